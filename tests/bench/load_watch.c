/*
 * Deltas to watchers: a task of this process reports progress, and each watcher of its run tells
 * from the time in the text how long the delta was on its way.
 *
 * The text is made of records of one size, so that deltas that were joined count for what they
 * are. With a rate of 0 a delta is sent as soon as fewer than WINDOW are on their way.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/load.h"

enum {
    RECORD_BYTES = 24, /* 16 digits of microseconds, and filling as long as a word or two. */
    WINDOW = 16,
    PATIENCE_US = 2000 * 1000, /* Until what has not come is given up. */
};

struct watcher {
    struct watch *watch;
    bool is_ready;
    bool is_closed;
};

struct watch {
    struct load *load;
    struct polos_task *task;
    struct watcher *watchers;
    unsigned ready;
    unsigned closed;
    uint64_t sent; /* Records. */
    uint64_t received; /* By all. */
    uint64_t messages;
    uint64_t first_us;
    uint64_t until_us;
    bool is_over;
    struct polos_timer pace;
    struct polos_timer give_up;
};

static struct watch watch;

static void send_record(void)
{
    char text[RECORD_BYTES + 1];
    snprintf(text, sizeof(text), "%016" PRIu64 " a word\n", polos_now_us());
    assert(strlen(text) == RECORD_BYTES);
    polos_task_progress(watch.task, text);
    watch.sent++;
}

static bool is_all_received(void)
{
    return watch.received >= watch.sent * watch.load->options.watchers;
}

static void end(void)
{
    if (watch.is_over) {
        return;
    }
    watch.is_over = true;
    tally_end(&watch.load->tally);
    polos_timer_clear(watch.load->loop, &watch.give_up);
    polos_loop_stop(watch.load->loop);
}

/* Once when the time is up, and once more when what is late was waited for. */
static void time_is_up(void *context)
{
    uint64_t last_us = watch.until_us + PATIENCE_US;
    (void)context;
    if (is_all_received() || polos_now_us() >= last_us) {
        end();
        return;
    }
    polos_timer_set(watch.load->loop, &watch.give_up, last_us);
}

static void fill_window(void)
{
    uint64_t watchers = watch.load->options.watchers;
    while (polos_now_us() < watch.until_us &&
           watch.sent * watchers < watch.received + WINDOW * watchers) {
        send_record();
    }
}

static void pace(void *context)
{
    uint64_t interval_us = 1000000 / watch.load->options.rate;
    (void)context;
    if (polos_now_us() >= watch.until_us) {
        return;
    }
    send_record();
    polos_timer_set(watch.load->loop, &watch.pace, watch.first_us + watch.sent * interval_us);
}

static void begin(void)
{
    struct load *load = watch.load;
    tally_begin(&load->tally);
    watch.first_us = polos_now_us();
    watch.until_us = watch.first_us + load->options.seconds * (uint64_t)1000000;
    polos_timer_set(load->loop, &watch.give_up, watch.until_us);
    if (load->options.rate == 0) {
        fill_window();
    } else {
        pace(NULL);
    }
}

static void take_records(const char *text)
{
    uint64_t now_us = polos_now_us();
    watch.messages++;
    for (size_t length = strlen(text); length >= RECORD_BYTES; length -= RECORD_BYTES) {
        tally_add(&watch.load->tally, now_us - strtoull(text, NULL, 10));
        text += RECORD_BYTES;
        watch.received++;
    }
    if (watch.load->options.rate == 0) {
        fill_window();
    }
    if (polos_now_us() >= watch.until_us && is_all_received()) {
        end();
    }
}

static void on_event(void *context, const Polos__V1__RunServiceWatchResponse *event)
{
    struct watcher *watcher = context;
    if (event->event_case == POLOS__V1__RUN_SERVICE_WATCH_RESPONSE__EVENT_DELTA && !watch.is_over &&
        watch.until_us > 0) {
        take_records(event->delta->text);
    }
    if (event->event_case == POLOS__V1__RUN_SERVICE_WATCH_RESPONSE__EVENT_CAUGHT_UP &&
        !watcher->is_ready) {
        watcher->is_ready = true;
        if (++watch.ready == watch.load->options.watchers) {
            begin();
        }
    }
}

static void on_closed(void *context, const struct polos_error *error)
{
    struct watcher *watcher = context;
    load_must(error);
    watcher->is_closed = true;
    if (++watch.closed == watch.load->options.watchers) {
        polos_loop_stop(watch.load->loop);
    }
}

static void given(void *context, struct polos_task *task)
{
    static const struct polos_watch_events events = {on_event, on_closed};
    struct load *load = context;
    watch.task = task;
    for (unsigned i = 0; i < load->options.watchers; i++) {
        watch.watchers[i].watch = &watch;
        polos_watch_run(load->client, polos_task_message(task)->run_id, true, &events,
                        &watch.watchers[i]);
    }
}

static void started(void *context, const struct polos_error *error, const ProtobufCMessage *answer)
{
    (void)context;
    (void)answer;
    load_must(error);
}

static void print(void)
{
    struct load *load = watch.load;
    double wanted = (double)watch.sent * load->options.watchers;
    printf("{\"bench\": \"watch\", \"watchers\": %u, \"rate\": %u, \"sent\": %" PRIu64
           ", \"deltas_per_s\": %.0f, \"received_share\": %.4f, \"messages_share\": %.4f, ",
           load->options.watchers, load->options.rate, watch.sent,
           tally_per_second(&load->tally, (double)watch.received), (double)watch.received / wanted,
           (double)watch.messages / wanted);
    tally_print(&load->tally, (double)watch.received);
    printf("}\n");
}

void load_watch(struct load *load)
{
    static const struct polos_outcome all_done = {.value_json = "true"};
    watch.load = load;
    watch.pace = (struct polos_timer){.due = pace};
    watch.give_up = (struct polos_timer){.due = time_is_up};
    watch.watchers = calloc(load->options.watchers, sizeof(*watch.watchers));
    assert(watch.watchers != NULL);
    load_host_workflow(load, "bench-watch", 1, given);
    load_start(load, "bench-watch", started);
    polos_loop_run(load->loop);
    print();
    polos_task_done(watch.task, &all_done);
    polos_loop_run(load->loop);
}
