/*
 * Goal:   what cannot be read is never taken for what is not there: a read fails where one of the
 *         store's does, whichever it is; and each list looks at the rows of the narrowest index.
 * Method: a store that the partition filled; each kind of read again and again, with the first, the
 *         second, ... of its reads of the store failing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "service/codec/topic_rows.h"
#include "service/features/definitions/definitions.h"
#include "service/features/topics/topics.h"
#include "service/reads/agents.h"
#include "service/reads/history.h"
#include "service/reads/list.h"
#include "service/reads/offers.h"
#include "service/reads/run_read.h"
#include "service/reads/run_replay.h"
#include "service/reads/suspensions.h"
#include "service/reads/topic_replay.h"
#include "service/reads/topics.h"
#include "service/reads/tree_replay.h"
#include "tests/unit/partition/lone_calls.h"
#include "tests/unit/partition/lone_host.h"

#define START_MS ((uint64_t)1800000000000)

enum {
    READS_MAX = 100, /* Of the store, by one read. */
    OTHERS = 200, /* Runs of nobody in particular. */
    NARROW = 20, /* Rows that a list of few runs may look at. */
};

static struct {
    struct lone_partition lone;
    struct lone_host host;
    uuid parent; /* It has ended. */
    uuid agent; /* So has it, and its definition was deleted since. */
    uuid asking; /* It waits for an answer. */
} bed;

static void set_up(void)
{
    static const char *const offers[] = {"workflow:flow", "workflow:child", "tool:look", NULL};
    static const struct host_child child = {.kind = RUN_KIND_WORKFLOW, .name = {"child", 5}};
    lone_init(&bed.lone, START_MS);
    bed.lone.leaves_runs_open = true;
    lone_register(&bed.lone, (struct agent_definition){.id = STR("helper")});
    lone_register(&bed.lone, (struct agent_definition){.id = STR("gone")});
    lone_host_connect(&bed.host, &bed.lone, "host", offers);
    bed.parent = lone_start_flow(&bed.lone, "flow");
    struct held_task task = lone_host_task(&bed.host);
    lone_host_start(&bed.host, task, "one", &child, 1);
    lone_host_done(&bed.host, lone_host_task(&bed.host), "1");
    lone_host_done(&bed.host, task, "2");
    bed.agent = lone_start(
        &bed.lone,
        (struct run_spec){.kind = RUN_KIND_AGENT, .name = STR("gone"), .input = STR("\"hi\"")});
    lone_model_ends(&bed.lone, "done");
    struct request *request = request_new(&delete_definition_operation);
    delete_definition_request(request)->id = STR("gone");
    lone_ask(&bed.lone, request);
    assert_int_equal(bed.lone.failure.code, CODE_OK);
    request_free(request);
    lone_publish(&bed.lone, "news", "good", "1");
    bed.asking = lone_start(&bed.lone, (struct run_spec){.kind = RUN_KIND_WORKFLOW,
                                                         .name = STR("flow"),
                                                         .options = {.session_id = STR("s"),
                                                                     .user_id = STR("u"),
                                                                     .conversation_id = STR("c")}});
    lone_host_request(
        &bed.host, lone_host_task(&bed.host), "ask",
        (struct host_step_request){.kind = STEP_REQUEST_SUSPENSION, .data = STR("{}")});
    lone_rounds(&bed.lone);
}

static void tear_down(void)
{
    lone_fini(&bed.lone);
    lone_host_fini(&bed.host);
    memset(&bed, 0, sizeof(bed));
}

/* ---- Each kind of read. ---- */

static struct read *read_list(void)
{
    struct read *read = read_new(&list_kind);
    list_read(read)->limit = 10;
    list_read(read)->filter.user_id = STR("u");
    return read;
}

static struct read *read_children(void)
{
    struct read *read = read_new(&list_kind);
    list_read(read)->limit = 10;
    list_read(read)->filter.parent = bed.parent;
    return read;
}

static struct read *read_parent(void)
{
    struct read *read = read_new(&run_kind);
    read->run = bed.parent;
    return read;
}

static struct read *read_agent_run(void)
{
    struct read *read = read_new(&run_kind);
    read->run = bed.agent;
    return read;
}

static struct read *read_history(void)
{
    struct read *read = read_new(&history_kind);
    read->run = bed.parent;
    history_read(read)->from_seq = 2;
    history_read(read)->limit = 100;
    return read;
}

static struct read *read_history_back(void)
{
    struct read *read = read_history();
    history_read(read)->backwards = true;
    history_read(read)->from_seq = 3;
    return read;
}

static struct read *read_agent(void)
{
    struct read *read = read_new(&agents_kind);
    agents_read(read)->limit = 10;
    agents_read(read)->id = STR("helper");
    return read;
}

static struct read *read_agents(void)
{
    struct read *read = read_new(&agents_kind);
    agents_read(read)->limit = 10;
    return read;
}

static struct read *read_versions(void)
{
    struct read *read = read_agent();
    agents_read(read)->wants_versions = true;
    return read;
}

static struct read *read_offers(void)
{
    struct read *read = read_new(&offers_kind);
    offers_read(read)->limit = 10;
    return read;
}

static struct read *read_tool(void)
{
    struct read *read = read_offers();
    offers_read(read)->wants_tools = true;
    offers_read(read)->name = STR("look");
    return read;
}

static struct read *read_suspensions(void)
{
    struct read *read = read_new(&suspensions_kind);
    suspensions_read(read)->limit = 10;
    return read;
}

static struct read *read_suspensions_of_run(void)
{
    struct read *read = read_suspensions();
    read->run = bed.asking;
    return read;
}

static struct read *read_topics(void)
{
    struct read *read = read_new(&topics_kind);
    topics_read(read)->limit = 10;
    return read;
}

static bool show_event(struct topic_replay *replay, const struct topic_event *event)
{
    (void)replay, (void)event;
    return true;
}

static struct read *replay_topic(void)
{
    struct read *read = read_new(&topic_replay_kind);
    topic_hash(STR("news"), topic_replay(read)->topic);
    topic_replay(read)->show = show_event;
    return read;
}

static bool show_fact(struct run_replay *replay, const struct codec_entry *entry,
                      const struct event *event)
{
    (void)replay, (void)entry, (void)event;
    return true;
}

static struct read *replay_run(void)
{
    struct read *read = read_new(&run_replay_kind);
    read->run = bed.parent;
    run_replay(read)->show = show_fact;
    return read;
}

static bool show_in_tree(struct tree_replay *replay, uuid run, uint64_t number,
                         const struct codec_entry *entry, const struct event *event)
{
    (void)replay, (void)run, (void)number, (void)entry, (void)event;
    return true;
}

static struct read *replay_tree(void)
{
    struct read *read = read_new(&tree_replay_kind);
    read->run = bed.parent;
    tree_replay(read)->show = show_in_tree;
    return read;
}

static struct read *(*const makers[])(void) = {
    read_list,         read_children,    read_parent, read_agent_run,          read_history,
    read_history_back, read_agent,       read_agents, read_versions,           read_offers,
    read_tool,         read_suspensions, read_topics, read_suspensions_of_run, replay_topic,
    replay_run,        replay_tree,
};

/* How many reads of the store it took; with the last of `left` reads failing. */
static void read_once(struct read *(*make)(void), size_t left, enum code *ret)
{
    struct read *read = make();
    bed.lone.reads_left = left;
    bed.lone.left_failure = CODE_UNAVAILABLE;
    lone_try_read(&bed.lone, read);
    *ret = bed.lone.failure.code;
    read_free(read);
}

static void a_read_fails_with_the_store(void **state)
{
    (void)state;
    set_up();
    for (size_t i = 0; i < COUNT_OF(makers); i++) {
        enum code code;
        size_t count = 0;
        do {
            read_once(makers[i], ++count, &code);
            if (bed.lone.reads_left == 0 && code != CODE_UNAVAILABLE) {
                print_message("kind %zu: read %zu of the store\n", i, count);
            }
            assert_true(bed.lone.reads_left > 0 || code == CODE_UNAVAILABLE);
        } while (bed.lone.reads_left == 0 && count < READS_MAX);
        bed.lone.reads_left = 0;
        assert_int_equal(code, CODE_OK);
        assert_in_range(count, 2, READS_MAX - 1); /* It has read something. */
    }
    tear_down();
}

/* It was deleted while the page was read: the others are shown. */
static void a_version_that_is_gone_is_left_out(void **state)
{
    (void)state;
    char key[KEY_BYTES_MAX];
    struct store_batch batch = {0};
    set_up();
    lone_register(&bed.lone,
                  (struct agent_definition){.id = STR("helper"), .system_prompt = STR("new")});
    struct read *read = read_versions();
    lone_read(&bed.lone, read);
    assert_int_equal(agents_read(read)->ret_count, 2);
    store_batch_delete(&batch, STORE_DEFINITIONS,
                       key_hash(key, (struct key_space){0}, agents_read(read)->ret_lines[0].hash));
    assert_true(status_is_ok(store_commit(&bed.lone.store, &batch)));
    store_batch_fini(&batch);
    read_free(read);
    read = read_versions();
    lone_read(&bed.lone, read);
    assert_int_equal(agents_read(read)->ret_count, 1);
    read_free(read);
    tear_down();
}

/* ---- Lists. ---- */

static void lists_one_of_few(struct run_filter filter, uuid expected)
{
    struct read *read = read_new(&list_kind);
    list_read(read)->limit = 10;
    list_read(read)->filter = filter;
    bed.lone.rows_read = 0;
    lone_read(&bed.lone, read);
    assert_int_equal(list_read(read)->ret_count, 1);
    assert_true(uuid_equal(list_read(read)->ret_lines[0].id, expected));
    assert_in_range(bed.lone.rows_read, 1, NARROW);
    read_free(read);
}

static void a_list_looks_at_few_rows(void **state)
{
    (void)state;
    enum {
        COMPLETED = 3,
        FAILED,
        CANCELLED
    };
    set_up();
    uuid other = {{0}};
    for (int i = 0; i < OTHERS; i++) {
        other = lone_start_flow(&bed.lone, "nobody");
    }
    uuid failed = lone_start_flow(&bed.lone, "flow");
    lone_host_failed(&bed.host, lone_host_task(&bed.host), "Boom", false);
    lone_cancel(&bed.lone, other);
    lone_rounds(&bed.lone);
    lists_one_of_few((struct run_filter){.user_id = STR("u")}, bed.asking);
    lists_one_of_few((struct run_filter){.session_id = STR("s")}, bed.asking);
    lists_one_of_few((struct run_filter){.conversation_id = STR("c")}, bed.asking);
    lists_one_of_few((struct run_filter){.user_id = STR("u"), .name = STR("flow")}, bed.asking);
    lists_one_of_few((struct run_filter){.name = STR("gone")}, bed.agent);
    lists_one_of_few((struct run_filter){.kind = RUN_KIND_AGENT}, bed.agent);
    lists_one_of_few((struct run_filter){.statuses = 1u << FAILED}, failed);
    lists_one_of_few((struct run_filter){.statuses = 1u << CANCELLED, .name = STR("nobody")},
                     other);
    lists_one_of_few((struct run_filter){.statuses = 1u << COMPLETED, .kind = RUN_KIND_AGENT},
                     bed.agent);
    tear_down();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_read_fails_with_the_store),
        cmocka_unit_test(a_version_that_is_gone_is_left_out),
        cmocka_unit_test(a_list_looks_at_few_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
