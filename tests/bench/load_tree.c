/*
 * A wide tree: one run starts many that nobody hosts, by a thousand. A line on standard input
 * cancels the root; measured is how long it takes until none below it is left. Then each of them
 * is looked for: one that was forgotten ends the program.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "polos/v1/runs.pb-c.h"
#include "tests/bench/load.h"

enum {
    ORDER_MAX = 1000, /* Runs that one step request may start. */
    LOOK_AGAIN_US = 5 * 1000,
};

struct wide_tree {
    struct load *load;
    char root_id[40];
    unsigned ordered;
    char token[512]; /* Of the page looked at. */
    struct polos_timer look;
};

static struct wide_tree tree;

static void order(struct polos_task *task);

static void ordered(void *context, struct polos_task *task, const struct polos_error *error,
                    const Polos__V1__TaskOutcome *outcome)
{
    (void)context;
    load_must(error);
    if (outcome->result_case != POLOS__V1__TASK_OUTCOME__RESULT_VALUE_JSON) {
        fprintf(stderr, "load: the children were refused: %s\n", outcome->error->message);
        exit(1);
    }
    if (tree.ordered < tree.load->options.count) {
        order(task);
    } else {
        polos_loop_stop(tree.load->loop);
    }
}

static void order(struct polos_task *task)
{
    static Polos__V1__RunSpec child;
    static Polos__V1__RunSpec *children[ORDER_MAX];
    Polos__V1__StartRuns start = POLOS__V1__START_RUNS__INIT;
    unsigned left = tree.load->options.count - tree.ordered;
    char key[32];
    polos__v1__run_spec__init(&child);
    child.kind = POLOS__V1__RUN_KIND__RUN_KIND_WORKFLOW;
    child.name = (char *)"bench-nobody-hosts-this";
    child.input_json = (char *)"1";
    start.n_runs = left < ORDER_MAX ? left : ORDER_MAX;
    for (size_t i = 0; i < start.n_runs; i++) {
        children[i] = &child;
    }
    start.runs = children;
    tree.ordered += (unsigned)start.n_runs;
    snprintf(key, sizeof(key), "children-%u", tree.ordered);
    polos_request_start(task, key, &start, ordered, NULL);
}

static void stop(struct polos_task *task, const char *cause)
{
    polos_task_cancelled(task, cause);
}

static void given(void *context, struct polos_task *task)
{
    (void)context;
    snprintf(tree.root_id, sizeof(tree.root_id), "%s", polos_task_message(task)->run_id);
    polos_task_on_stop(task, stop);
    order(task);
}

static void look(void *context);

/* The next page; the first one again while any is left; or the end. */
static void looked(void *context, const struct polos_error *error, const ProtobufCMessage *answer)
{
    struct load *load = context;
    const Polos__V1__RunServiceListResponse *page = (const void *)answer;
    load_must(error);
    if (page->n_runs == 0 && page->next_page_token[0] == '\0') {
        tally_end(&load->tally);
        polos_loop_stop(load->loop);
        return;
    }
    const char *next = page->n_runs > 0 ? "" : page->next_page_token;
    snprintf(tree.token, sizeof(tree.token), "%s", next);
    tree.look = (struct polos_timer){.due = look, .context = load};
    polos_timer_set(load->loop, &tree.look, polos_now_us() + (next[0] == '\0' ? LOOK_AGAIN_US : 0));
}

static void look(void *context)
{
    struct load *load = context;
    Polos__V1__RunServiceListRequest request = POLOS__V1__RUN_SERVICE_LIST_REQUEST__INIT;
    Polos__V1__RunFilter filter = POLOS__V1__RUN_FILTER__INIT;
    Polos__V1__RunStatus waiting = POLOS__V1__RUN_STATUS__RUN_STATUS_WAITING;
    filter.parent_run_id = tree.root_id;
    filter.n_statuses = 1;
    filter.statuses = &waiting;
    request.filter = &filter;
    request.page_size = 1;
    request.page_token = tree.token;
    polos_call(load->client, POLOS_RUN_LIST, &request.base, 10000, looked, load);
}

static void cancel(struct load *load)
{
    Polos__V1__RunServiceCancelRequest request = POLOS__V1__RUN_SERVICE_CANCEL_REQUEST__INIT;
    request.run_id = tree.root_id;
    polos_call(load->client, POLOS_RUN_CANCEL, &request.base, 0, load_must_answer, load);
}

void load_tree(struct load *load)
{
    char byte;
    tree.load = load;
    load_host_workflow(load, "bench-tree", 1, given);
    load_start(load, "bench-tree", load_must_answer);
    polos_loop_run(load->loop);
    printf("{\"bench\": \"tree\", \"runs\": %u}\n", tree.ordered);
    fflush(stdout);
    if (read(STDIN_FILENO, &byte, 1) <= 0) {
        return;
    }
    tally_begin(&load->tally);
    cancel(load);
    look(load);
    polos_loop_run(load->loop);
    printf("{\"bench\": \"cancel\", \"run_id\": \"%s\", \"cancels_per_s\": %.0f, ", tree.root_id,
           tally_per_second(&load->tally, tree.ordered));
    tally_print(&load->tally, tree.ordered);
    printf("}\n");
}
