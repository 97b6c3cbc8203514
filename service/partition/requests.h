/*
 * runtime: the shell around the pure engine: one partition, one thread, one store.
 *
 * Everybody posts requests; the partition thread drains them in bounded batches, decides,
 * commits the whole batch with one synced write, applies, and only then acts: answers callers,
 * calls models, gives tasks to hosts. partition_round() is one such round; production calls it from
 * the thread, the simulation from its world.
 *
 * Order:     a caller's answer follows the commit of what it asked for.
 * Threading: partition_post() from any thread. Everything else from the partition thread.
 */
#ifndef SERVICE_PARTITION_REQUESTS_H
#define SERVICE_PARTITION_REQUESTS_H

#include "service/agents/definition.h"
#include "service/base/arena.h"
#include "service/base/inbox.h"
#include "service/base/payload.h"
#include "service/codec/codec.h"
#include "service/codec/topic_rows.h"
#include "service/engine/engine.h"
#include "service/hosts/host.h"
#include "service/llm/provider.h"
#include "service/features/queues/queue_order.h"
#include "storage/keys.h"
#include "storage/store.h"

struct partition;

enum request_kind {
    /* From callers. */
    REQUEST_REGISTER, /* definition */
    REQUEST_START, /* start */
    REQUEST_GET, /* run */
    REQUEST_WAIT, /* run: answered when it has ended */
    REQUEST_LIST, /* list */
    REQUEST_HISTORY, /* run, history */
    REQUEST_CANCEL, /* run, text: cause */
    REQUEST_WATCH, /* run, watch */
    REQUEST_WATCH_MORE, /* watch.watcher: it can take more */
    REQUEST_WATCH_END, /* watch.watcher: its caller is gone; it may have ended before */
    REQUEST_FORGET, /* wait: the caller of a REQUEST_WAIT is gone */
    REQUEST_RESUME, /* run, resume */
    REQUEST_SUSPENSIONS, /* suspensions; run zero: of all runs */
    REQUEST_SUSPENSION, /* run, suspensions with step_key */
    REQUEST_PUBLISH, /* publish */
    REQUEST_SUBSCRIBE, /* subscribe */
    REQUEST_SUBSCRIBE_MORE, /* subscribe.subscriber: it can take more */
    REQUEST_SUBSCRIBE_END, /* subscribe.subscriber: its caller is gone */
    REQUEST_FORK, /* run, fork */
    REQUEST_RETRY, /* run; report.ret: the run after it */
    REQUEST_PUT_SCHEDULE, /* put_schedule */
    REQUEST_SCHEDULES, /* schedules */
    REQUEST_DELETE_SCHEDULE, /* schedules.id */
    REQUEST_PUT_QUEUE, /* put_queue */
    REQUEST_DELETE_QUEUE, /* text: its name */
    REQUEST_QUEUES, /* queues */
    /* From hosts, for one link in order. */
    REQUEST_HOST_HELLO, /* link, hello, definitions */
    REQUEST_HOST_MESSAGE, /* link, message */
    REQUEST_HOST_GONE, /* link */
    /* From models. */
    REQUEST_MODEL_DELTA,
    REQUEST_MODEL_DONE,
    REQUEST_MODEL_FAILED,
    /* From the main thread. */
    REQUEST_DRAIN, /* no new work, hosts are told */
    REQUEST_STATS,
    REQUEST_KIND_COUNT,
};

/* How a request failed; `message` and `field` in the request's arena or static. */
struct failure {
    enum code code; /* CODE_OK: it did not. */
    const char *reason;
    str field;
    str message;
    uint64_t retry_after_ms;
};

/* A run as the runtime answers it: its state and, where asked for, its records. */
struct run_report {
    struct run state;
    str name;
    const str *records; /* Agents: all. Others: the first and the last. In order. */
    size_t record_count;
    bool is_structured; /* Agents: the definition has an output schema. */
    bool has_offer[ENGINE_EFFECTS_MAX]; /* Per effect of `state`: some host offers its task. */
    bool is_held_back[ENGINE_EFFECTS_MAX]; /* One is free, but not of the right deployment. */
    str failures[ENGINE_EFFECTS_MAX]; /* Of tasks that are tried again: why they failed. */
    str deployment; /* The run stays with; empty: none yet. */
    /* Per effect: the tool's, workflow's or model's name; of a wait its step's key. */
    str effect_names[ENGINE_EFFECTS_MAX];
    str state_json; /* Workflows, tools: empty: none. */
    str cancel_cause; /* Empty: nobody asked for it. */
    str queue; /* The run's; empty: none. */
    str queue_sentence; /* Why it is not its turn; empty: it is, or needs none. */
};

struct run_line {
    uuid id;
    struct run_row row;
};

/* Follows one run. Owned by the API's call; calls come from the partition thread. */
struct watcher {
    /* Sends one thing; bytes are packed once per fact or delta and shared by all watchers. */
    void (*push)(struct watcher *watcher, struct payload *payload);
    /* Bytes pushed that the peer has not taken. */
    size_t (*queued_bytes)(struct watcher *watcher);
    /* It has ended: with `failure` NULL after the run's end was pushed. Nothing follows; the
     * runtime has forgotten the watcher. */
    void (*end)(struct watcher *watcher, const struct failure *failure);
    bool deltas; /* Wants deltas. */
    /* The runtime's own: */
    struct watcher *next;
    uuid run;
    uint32_t seq; /* Facts up to here were pushed. */
    uint32_t effect; /* The model call whose deltas were pushed last, ... */
    uint32_t attempt; /* ... its attempt, ... */
    uint64_t offset; /* ... and up to which byte. */
    bool is_live; /* Has read the journal to its end. */
    bool is_stalled; /* Waits for REQUEST_WATCH_MORE. */
    bool caught_up_said;
};

/* A suspension as the runtime answers it. */
struct suspension {
    uuid run;
    uuid root;
    str name; /* The run's. */
    str step_key;
    str data; /* JSON text. */
    uint64_t since_ms;
    uint64_t deadline_ms; /* 0: none. */
    bool is_open;
    str by;
    str answer; /* JSON text; empty: none, or it timed out. */
    uint64_t resumed_ms;
    uint32_t effect; /* With since_ms and run its place in the list. */
};

/* A workflow of a hello that a topic's events start. */
struct trigger_offer {
    str workflow;
    str topic;
    uint32_t batch_size; /* 0 or 1: a run per event. */
    uint64_t batch_timeout_ms; /* 0: only full batches. */
};

/* When the clock is to start a workflow; see schedules.c. */
struct schedule_offer {
    str workflow;
    str key; /* Tells the workflow's schedules apart. */
    str cron;
    str zone;
    str input; /* JSON text of every run; empty: each is told its tick. */
    bool keeps_input; /* `input` is not looked at: a schedule that is there keeps what it has. */
    str field; /* What names of fields begin with, in a refusal. */
};

/* A schedule as the runtime answers it. */
struct schedule_view {
    str id; /* The workflow's name, '/', the key. */
    str workflow;
    str key;
    str cron;
    str zone;
    str input; /* Empty: none. */
    str problem; /* Why it rests, as its zone is gone; empty: it does not. */
    uint64_t created_ms;
    uint64_t next_ms; /* 0: none. */
    uint64_t last_ms; /* The tick of the last run; 0: none. */
    uuid last_run;
    uint64_t skipped; /* Ticks that found the run before them not ended. */
};

/* A queue's definition; limits as in queues.h. */
struct queue_offer {
    str name;
    struct queue_limits limits;
};

/* The queue of a workflow's runs that name none; an empty one takes it away. */
struct queue_default_offer {
    str workflow;
    str queue;
};

/* A queue as the runtime answers it. */
struct queue_report {
    str name;
    struct queue_limits limits;
    uint32_t running;
    uint32_t waiting;
};

/* Follows one topic. As struct watcher. */
struct subscriber {
    void (*push)(struct subscriber *subscriber, const struct topic_event *event);
    size_t (*queued_bytes)(struct subscriber *subscriber);
    void (*end)(struct subscriber *subscriber, const struct failure *failure);
    bool follows; /* False: ends with the topic's last event. */
    uint64_t sequence; /* Events up to here were pushed; UINT64_MAX: only new ones are wanted. */
    /* The runtime's own: */
    struct topic *at; /* NULL: it has ended, or not begun. */
    struct subscriber *next;
    str topic;
    bool is_stalled;
};

struct request {
    struct inbox_node node;
    enum request_kind kind;
    struct arena arena; /* Owns every str below. */
    /*
     * Called once on the partition thread. NULL: nobody waits. The request is freed by whoever
     * `done` belongs to, with request_free(); without `done`, by the partition.
     */
    void (*done)(struct request *request, const struct failure *failure);
    void *context; /* The caller's. */
    uuid run;
    str text;
    union {
        struct {
            const struct agent_definition *definition;
            uint8_t ret_hash[16];
        } define;
        struct {
            struct run_spec spec; /* Without root, definition_hash, limits: the runtime's. */
            uint64_t timeout_ms; /* 0: the default. */
            int32_t max_retries; /* 0: the default; negative: none. */
            uint8_t digest[16]; /* Of the request, for idempotency. */
            uuid ret_run;
            bool ret_existed;
        } start;
        struct {
            const struct run_report *ret; /* GET, WAIT, CANCEL, RETRY. Valid during done. */
            /* WAIT: a number of the caller's, never used twice; FORGET: of which WAIT, whose `done`
             * is then called with CANCELLED, unless it was answered before. */
            uint64_t ticket;
        } report;
        struct {
            uuid parent; /* Zero: any. */
            enum run_kind kind; /* RUN_KIND_NONE: any. */
            uint32_t status; /* 0: any. */
            str name; /* Empty: any. */
            str deployment; /* Empty: any. */
            uuid before; /* Zero: from the newest. */
            size_t limit;
            const struct run_line *ret_lines;
            size_t ret_count;
            uuid ret_next; /* Zero: no more. */
        } list;
        struct {
            uint32_t from_seq;
            size_t limit;
            const str *ret_records; /* Every record that holds events of [from_seq, +limit). */
            size_t ret_count;
        } history;
        struct {
            struct watcher *watcher;
        } watch;
        struct {
            struct host_link *link;
            struct host_hello hello;
            const struct agent_definition *definitions;
            size_t definition_count;
            const struct trigger_offer *triggers;
            size_t trigger_count;
            const struct schedule_offer *schedules;
            size_t schedule_count;
            const struct queue_offer *queues;
            size_t queue_count;
            const struct queue_default_offer *defaults; /* Of all its workflows. */
            size_t default_count;
        } hello;
        struct {
            struct host_link *link;
            struct host_message message;
        } host;
        struct {
            uint64_t call;
            enum model_delta_kind kind;
            const struct model_reply *reply;
            struct model_failure failure;
        } model;
        struct {
            str key;
            str data; /* JSON text. */
            str by;
            bool ret_accepted;
            bool ret_kept;
        } resume;
        struct {
            str step_key;
            size_t limit;
            uint64_t after_ms; /* List: after this since_ms, run and effect; 0: from the first. */
            uuid after_run;
            uint32_t after_effect;
            const struct suspension *ret; /* In the request's arena. */
            size_t ret_count;
            bool ret_more;
        } suspensions;
        struct {
            const struct topic_event *events; /* topic, type, data. */
            size_t count;
            str key; /* Idempotency key, of the topic; empty: none. Then one topic for all. */
            uint8_t digest[16]; /* Of the events, for idempotency. */
            uint64_t ret_first; /* Sequence of the first; the others follow. */
            bool ret_existed; /* The key found them. */
        } publish;
        struct {
            struct subscriber *subscriber; /* Its topic is request->text. */
        } subscribe;
        struct {
            uint32_t after_seq; /* The last event to keep; at least 1. */
            uuid ret_run;
        } fork;
        struct {
            struct partition_stats *ret;
        } stats;
        struct {
            struct schedule_offer offer;
            uint64_t ret_next_ms;
        } put_schedule;
        struct {
            str id; /* List: after this one; empty: from the first. */
            str workflow; /* Empty: of all. */
            size_t limit;
            const struct schedule_view *ret; /* In the request's arena. */
            size_t ret_count;
            bool ret_more;
        } schedules;
        struct {
            struct queue_offer offer;
            struct queue_report ret;
        } put_queue;
        struct {
            str after; /* Empty: from the first. */
            size_t limit;
            const struct queue_report *ret; /* In the request's arena. */
            size_t ret_count;
            bool ret_more;
        } queues;
    };
};

struct request *request_new(enum request_kind kind);
void request_free(struct request *request);

/* What a fact, a delta or an end looks like on the wire is the API's affair. */
struct watch_format {
    /* `each` takes the reference. */
    void (*fact)(const struct codec_entry *entry, const struct event *event,
                 void (*each)(void *context, struct payload *payload), void *context);
    /* kind: the API's Delta.Kind, which is enum model_delta_kind + 1, or 4 for progress. offset:
     * behind the text. */
    struct payload *(*delta)(uint32_t seq, uint32_t effect, uint32_t attempt, uint64_t offset,
                             uint32_t step, unsigned kind, str text);
    struct payload *(*caught_up)(uint32_t seq);
    struct payload *(*ended)(const struct run_report *report);
};

struct partition_options {
    struct store store; /* Taken: closed by partition_free(). */
    struct model_client models;
    const struct watch_format *format;
    struct key_space space;
    uint64_t (*now_ms)(void *context);
    uint64_t (*monotonic_ms)(void *context); /* For leases; NULL: now_ms. */
    void (*random)(void *context, void *ret, size_t bytes);
    void *context;
    size_t inbox_max; /* 0: 65,536. */
    size_t batch_max; /* Requests per turn; 0: 1,024. */
    size_t waiting_runs_max; /* That only wait and are in memory all the same; 0: 1,000. */
    size_t watchers_max; /* Per run; 0: 10,000. */
    size_t input_bytes_max; /* 0: 1 MiB. */
    uint64_t lease_ms; /* 0: 15,000. */
    uint64_t run_timeout_ms; /* Default for a start that says none; 0: 24 hours. */
    uint32_t snapshot_every; /* Events; 0: 64. */
    const char *zone_folder; /* Of schedules' time zones; NULL: only UTC is known. Kept. */
};

/* Recovers what the store holds. `why` in the arena. */
status partition_new(const struct partition_options *options, struct arena *arena,
                   struct partition **ret);
void partition_free(struct partition *partition);

/* Before partition_start(): the model client needs the sink, and the sink the partition. */
void partition_set_models(struct partition *partition, struct model_client models);

/* False: the inbox is full; the request stays the caller's (answer RESOURCE_EXHAUSTED). */
[[nodiscard]] bool partition_post(struct partition *partition, struct request *request);
/* For what may not be lost: completions, disconnects. */
void partition_post_always(struct partition *partition, struct request *request);

/* Feeds requests; give it to llm_start(). */
struct model_sink models_sink(struct partition *partition);

/* One round. Returns when the next one is due at the latest (Unix ms; 0: only on a request). */
uint64_t partition_round(struct partition *partition);
/* Production: a thread that waits and turns until stopped. */
void partition_start(struct partition *partition);
void partition_stop(struct partition *partition);

struct partition_stats {
    uint64_t turns;
    uint64_t commits;
    uint64_t events;
    uint64_t commands;
    uint64_t stale;
    size_t runs_in_memory;
    size_t timers; /* In memory: of runs there and of those whose time is near. */
    size_t topics; /* In memory. */
    struct hosts_stats hosts;
    struct store_stats store;
};

void partition_stats(struct partition *partition, struct partition_stats *ret);

#endif
