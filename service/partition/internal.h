/*
 * internal: what the files of the runtime share; nobody else includes it.
 *
 * A turn has three phases. In the first, requests become commands: events are applied to the
 * run in memory, written into the open batch, and what is to be done about them is noted as
 * acts. The batch is committed. Only then the acts are carried out, in order. When the commit
 * fails no act is: the touched runs are dropped from memory, read again, and recovered.
 */
#ifndef SERVICE_PARTITION_INTERNAL_H
#define SERVICE_PARTITION_INTERNAL_H

#include "service/base/table.h"
#include "service/codec/index.h"
#include "service/codec/tree_rows.h"
#include "service/codec/wait_rows.h"
#include "service/partition/journal.h"
#include "service/features/waits/step_keys.h"
#include "service/partition/requests.h"
#include "service/partition/timers.h"

enum {
    DEFINITIONS_MAX = 10000, /* Distinct ones in memory. */
    MODEL_TEXT_BYTES_MAX = 4 << 20, /* Kept of one call for late watchers. */
    BATCH_BYTES_MAX = 8 << 20, /* Over it, the turn takes no more requests. */
    WATCH_CHUNK_RECORDS = 256, /* Replayed per watcher and turn. */
    REPORT_EVENTS_MAX = 100000,
    IDLE_MS = 2000, /* A run nobody used that long leaves memory, if it may. */
    RECOVER_AGAIN_MS = 500, /* After a failed commit. */
    RUN_RETRIES_DEFAULT = 2,
};

/* A definition in memory. Kept while runs use it. */
struct definition {
    struct definition *next;
    uint8_t hash[16];
    struct arena arena;
    struct agent_definition agent;
    bool is_newest; /* Of its id. */
};

/* The text a model call has shown so far, for watchers who come late. */
struct model_text {
    struct buf bytes;
    struct {
        unsigned kind;
        size_t end;
    } * parts;
    size_t part_count;
    size_t part_capacity;
};

/* What the state does not hold of an open wait. */
struct live_wait {
    struct live_wait *next;
    uint32_t effect;
    uint32_t seq; /* Of its WAIT_SET. */
    uint8_t topic[16]; /* EFFECT_EVENT. */
    str key; /* The step's. */
    str event_type; /* EFFECT_EVENT; empty: any. */
    char bytes[]; /* Of both. */
};

/* A run in memory. */
struct live_run {
    struct table_link by_id;
    struct live_run *older; /* In its list, in the order of last use. */
    struct live_run *newer;
    struct live_run *touched_next; /* Touched in this turn. */
    struct run state;
    char name[NAME_BYTES_MAX + 1];
    struct run_row row; /* As last written. */
    uint64_t alarm_ms; /* Of its INDEX_ALARM row; 0: it has none. */
    bool row_written;
    bool is_touched;
    bool is_dropped; /* The turn's end frees it. */
    bool needs_recovery;
    bool is_resting; /* Which list it is in. */
    uint64_t used_ms;
    uint64_t used_round;
    uint32_t snapshot_seq;
    uint32_t durable_seq; /* Events up to here are on disk, and live watchers have seen them. */
    struct definition *definition; /* Agents. */
    /* Journal records, copied: all of an agent's, the first of others. */
    str *records;
    size_t record_count;
    size_t record_capacity;
    struct live_wait *open_waits; /* All, or those that were set since the run was read. */
    struct order_keys order_keys;
    bool may_have_state; /* Its code's state, as JSON, stands in the journal. */
    struct queue_seat *seat; /* In a queue; NULL: it takes no turns. */
    uint64_t model_call; /* In flight; 0: none. */
    struct model_text model_text;
    struct watcher *watchers;
    size_t watcher_count;
    struct request *waits; /* Chained through inbox_node. */
};

enum act_kind {
    ACT_ANSWER, /* request->done(request, failure) */
    ACT_READ, /* A request that only reads: carried out now. */
    ACT_HELLO, /* A host came. */
    ACT_MODEL, /* Start the model call. */
    ACT_GIVE, /* Send a granted task. */
    ACT_PARK, /* Nobody took it. */
    ACT_RELEASE, /* A task was settled by its host. */
    ACT_CANCEL, /* A task was settled without its host. */
    ACT_DEALT, /* A host's message is durable. */
    ACT_REFUSE, /* A host's message was refused. */
    ACT_PUBLISH, /* Show a record to watchers. */
    ACT_ENDED, /* Tell those who wait. */
    ACT_OUTCOME, /* A wait was settled: tell the host that has its task. */
    ACT_INTERRUPT, /* A run is being cancelled: tell the host that has its task. */
};

struct act {
    enum act_kind kind;
    struct live_run *run;
    struct request *request;
    const struct failure *failure; /* ANSWER: NULL, or in the request's arena. */
    struct host_session *session; /* GIVE. */
    uint64_t session_number; /* DEALT, REFUSE. */
    uint64_t seq; /* DEALT, REFUSE: the message's; OUTCOME: its WAIT_SET's. */
    uint32_t effect;
    uint32_t attempt;
    str record; /* PUBLISH. */
    const char *text; /* REFUSE: reason; CANCEL: cause. Static. */
    str message; /* REFUSE. */
    uint32_t wait; /* OUTCOME: the wait; `effect` is its task. */
    enum effect_kind wait_kind; /* OUTCOME */
    str key; /* OUTCOME. */
    struct outcome outcome; /* OUTCOME. */
};

struct model_slot {
    uuid run;
    uint32_t generation;
    uint32_t effect;
    uint32_t attempt;
    uint32_t next_free;
    bool in_use;
};

struct watch_todo {
    uuid run;
    struct watcher *watcher;
};

struct run_list {
    struct live_run *oldest;
    struct live_run *newest;
    size_t count;
};

/* Where the rows of alarms are read on. */
struct alarms {
    struct index_tail from;
    uint64_t look_ms; /* 0: at once. */
};

struct partition {
    struct partition_options options;
    struct store store;
    struct hosts *hosts;
    struct timers *timers;
    struct inbox *inbox;
    struct store_batch batch;
    struct arena round_arena; /* Until the end of the turn. */
    struct arena scratch; /* Until the end of one act. */
    struct buf record;
    struct buf packed;
    struct decision decision;
    uint64_t now_ms;
    uint64_t monotonic_ms; /* Monotonic: leases do not run out because a clock was set. */
    bool is_draining;
    bool is_starting; /* Owed effects come before requests: a host may claim its task. */

    struct table runs; /* By their ids. */
    struct run_list at_work;
    struct run_list resting; /* Nothing is at work for them: they only save a reading. */
    size_t left_count; /* Runs that left memory since it was returned. */
    struct live_run *touched;
    struct alarms alarms;
    uuid *recovering; /* Runs that need recovery. */
    size_t recovering_count;
    size_t recovering_capacity;
    uint64_t recover_at_ms; /* Not before. */

    struct definition *definitions;
    size_t definition_count;

    struct act *acts;
    size_t act_count;
    size_t act_capacity;

    struct request *finished; /* Without done: freed at the end of the turn. */
    struct inbox_node *pending; /* Taken, but the batch was full. */

    struct model_slot *slots;
    size_t slot_capacity;
    uint32_t slot_free;

    struct host_loss *lost;
    size_t lost_count;
    size_t lost_capacity;

    struct watch_todo *todo; /* Watchers that go on reading next turn. */
    size_t todo_count;
    size_t todo_capacity;

    struct task_ref ready; /* A parked task for which a slot is free. */
    bool has_ready;

    /* Idempotency keys put by this turn and not yet in the store. */
    struct {
        uint8_t key[16];
        struct idempotency_row row;
    } * keys;
    size_t key_count;
    size_t key_capacity;

    /* Children started by this turn: their links are not in the store yet. */
    struct {
        uuid parent;
        uuid child;
    } * born;
    size_t born_count;
    size_t born_capacity;

    struct topics *topics;
    struct publications *publications;
    struct trigger *triggers;
    struct schedules *schedules;
    struct queues *queues;
    struct versions *versions;
    uint64_t id_ms; /* Of the newest run's id. */
    uint32_t id_count; /* Of its counter. */
    struct partition_stats stats;
    void *thread;
};

/* acts.c */
struct act *act_add(struct partition *partition, enum act_kind kind, struct live_run *run);
void acts_perform(struct partition *partition);
/* Leaves the acts that only read. */
void acts_abandon(struct partition *partition, status why);
void request_answer(struct partition *partition, struct request *request,
                    const struct failure *failure);
/* Answers after the commit. */
void request_answer_later(struct partition *partition, struct request *request);
/* Refuses after the commit: the reason is a fact of this very turn. */
void request_fail_later(struct partition *partition, struct request *request,
                        const struct failure *failure);
struct failure failure_make(enum code code, const char *reason, str message);
void request_fail(struct partition *partition, struct request *request, enum code code,
                  const char *reason, const char *message);
/* The run it names could not be read. */
void request_fail_run(struct partition *partition, struct request *request, status why);

/* runs.c */
void runs_init(struct partition *partition);
/* NOT_FOUND when there is none; DATA_LOSS when its journal is damaged. Borrowed until the turn's
 * end. */
status runs_get(struct partition *partition, uuid id, struct live_run **ret);
struct live_run *runs_find(const struct partition *partition, uuid id); /* In memory, or NULL. */
struct live_run *runs_insert(struct partition *partition, uuid id);
void runs_touch(struct partition *partition, struct live_run *run);
void runs_keep_record(struct live_run *run, str record);
void runs_keep_first(struct live_run *run); /* And no other record. */
/* What its start says of it: its name, its seat. */
void runs_note_start(struct live_run *run, const struct run_spec *spec);
/* The run's first fact. DATA_LOSS when that is not its start. */
status runs_started(const struct live_run *run, struct arena *arena, struct event *ret);
void runs_drop(struct partition *partition, struct live_run *run);
/* At the turn's end: those that only wait leave. */
void runs_evict(struct partition *partition);
size_t runs_count(const struct partition *partition);
/* All in memory. */
struct live_run *runs_first(const struct partition *partition);
struct live_run *runs_next(const struct partition *partition, const struct live_run *run);
uint64_t runs_next_eviction_ms(const struct partition *partition);
void runs_free_all(struct partition *partition);
bool runs_may_leave(const struct live_run *run);
/* Its effects are to be put in motion again, in a later turn. Keeps it in memory. */
void runs_recover_later(struct partition *partition, struct live_run *run, uint64_t at_ms);

/* alarms.c */
/* What the run's row of alarms is to be; 0: none. */
uint64_t alarm_of(const struct run_row *row);
/* Into the batch: moves the run's row. */
void alarm_put(struct partition *partition, struct live_run *run, uint64_t due_ms);
/* The run is about to leave memory: from now on its row wakes it. */
void alarm_leave(struct partition *partition, const struct live_run *run);
/* Makes timers of the alarms that are due. */
void alarms_work(struct partition *partition);
uint64_t alarms_next_due_ms(const struct partition *partition);

/* commands.c */
/* Decides, applies, writes into the batch, notes acts. */
enum verdict command_submit(struct partition *partition, struct live_run *run, struct command *command);
/* For a copy of another run's facts: applies a transition as it is and keeps its record. */
void command_replay(struct partition *partition, struct live_run *run, const struct decision *decision);
/* Writes the kept records, and the index rows of what is open, into the batch. */
void command_replay_commit(struct partition *partition, struct live_run *run);
/* Grants the task to a host that is free, or parks it. */
void command_grant(struct partition *partition, struct live_run *run, uint32_t effect);
/* As grant, though the run takes turns: it is its turn. False: no host is free. */
bool command_give(struct partition *partition, struct live_run *run, uint32_t effect);
/* After the last command of the turn: rows of the touched runs. */
void command_seal(struct partition *partition);
void command_row(const struct partition *partition, const struct live_run *run, struct run_row *ret);
/* What the run's effects need again after a restart or a failed commit. */
void command_recover(struct partition *partition, struct live_run *run);
/* The TASK_REQUESTED event of an open task. DATA_LOSS when it is not there. */
status command_task(const struct live_run *run, uint32_t effect, struct arena *arena,
                    struct event *ret);
enum task_kind task_kind_of(const struct live_run *run, const struct effect *effect);

/* waits.c */
/* The wait's step key, topic and event type. DATA_LOSS when the journal lacks them. */
status wait_find(struct partition *partition, struct live_run *run, uint32_t effect,
                 const struct live_wait **ret);
/* Index rows and memory of waits, as events set and end them. Before the event is applied. */
void waits_note(struct partition *partition, struct live_run *run, const struct event *event);
void waits_free(struct live_run *run);
/* Index rows and memory of all open waits, from the records in memory. */
void waits_restore(struct partition *partition, struct live_run *run);
/* Cancels the runs this one started, in the same batch. */
void waits_cancel_children(struct partition *partition, struct live_run *run);
/* The run has ended: its parent, where one waits, is told in the same batch. */
void waits_tell_parent(struct partition *partition, struct live_run *run, const struct event *events,
                       size_t count);

/* A copy of a failed run waits for the children that run had begun, where its wait for them is
 * open; those that have ended are told of at once. */
status waits_adopt_children(struct partition *partition, uuid source, struct live_run *heir);

/* forks.c */
void handle_fork(struct partition *partition, struct request *request);
void handle_retry(struct partition *partition, struct request *request);

/* orders.c */
enum verdict order_submit(struct partition *partition, struct live_run *run,
                          const struct host_message *message, struct arena *arena);
void order_outcome(struct partition *partition, const struct act *act);
/* Sends the outcomes of all settled orders of a task once more. */
void order_resend(struct partition *partition, struct task_ref task);

/* replay.c */
struct replay {
    struct settled_step *steps; /* Of one task, in order. */
    size_t count;
    uint32_t settled_count; /* Those that are no orders. */
    str state; /* JSON text; empty: none. */
    str cancel_cause; /* Empty: nobody asked for it. */
};

/* Reads the run's journal: the settled steps and orders of a task (0: none of them), its state. */
status replay_read(struct partition *partition, uuid run, uint32_t task, struct arena *arena,
                   struct replay *ret);
/* [{"run_id","status","result","error"}] of the children an effect counted. `since` is its
 * WAIT_SET's seq: nothing before it is read. */
status replay_children(struct partition *partition, uuid run, uint32_t effect, uint32_t since,
                       struct arena *arena, str *ret);
/* The text of an agent's last reply as JSON. */
str replay_answer(const struct live_run *run, struct arena *arena);

/* account.c */
/* What a parent is told of an agent run that has ended, beside its answer: a JSON object; of other
 * runs: empty. */
str account_of(const struct live_run *run, struct arena *arena);

/* suspensions.c */
void handle_resume(struct partition *partition, struct request *request);
enum verdict suspension_answer(struct partition *partition, uuid run, str key, str data, str by,
                               struct arena *arena, bool *ret_accepted, bool *ret_kept);
void suspensions_read(struct partition *partition, struct request *request);
/* The kept answer to a suspension to come. NOT_FOUND when there is none. */
status suspension_kept(struct partition *partition, uuid run, str key, struct arena *arena,
                       struct outcome *ret, str *ret_by);

/* topics.c */
struct topics *topics_new(void);
void topics_free(struct topics *topics);
/* Gives sequences and writes into the batch. */
status topic_publish(struct partition *partition, const struct topic_event *events, size_t count,
                     uint64_t *ret_first);
/* The sequence of the topic's last event; 0: none. */
status topic_last(struct partition *partition, str topic, uint64_t *ret);
/* As topic_last(), for a wait that gets its row in this batch. */
status topic_await(struct partition *partition, const uint8_t hash[16], uuid run, uint32_t effect,
                   uint64_t *ret_last);
void topic_hash(str topic, uint8_t ret[16]);
/* An event as JSON, for those who awaited it. */
str topic_render(const struct topic_event *event, struct arena *arena);
/* Wakes those who await what was published; starts what it triggers. */
void topics_work(struct partition *partition);
size_t topics_count(const struct partition *partition); /* In memory. */
uint64_t topics_next_due_ms(const struct partition *partition); /* 0: nothing to do. */
void topics_forget(struct partition *partition); /* After a failed commit. */
status topics_recover(struct partition *partition);
/* The topic's events after a sequence, until `each` returns false. */
status topic_visit(struct partition *partition, const uint8_t hash[16], uint64_t after,
                   bool (*each)(void *context, const struct topic_event *event), void *context);
void subscribe_begin(struct partition *partition, struct request *request);
void subscribe_more(struct partition *partition, struct request *request);
void subscribe_end(struct partition *partition, struct request *request);

/* publications.c */
struct publications *publications_new(void);
void publications_free(struct publications *publications);
void publications_end_turn(struct partition *partition);
void publications_forget(struct partition *partition); /* After a failed commit. */
void handle_publish(struct partition *partition, struct request *request);

/* triggers.c */
void triggers_offer(struct partition *partition, const struct trigger_offer *offer);
/* The topic has new events, all committed. */
void triggers_work(struct partition *partition, const uint8_t topic[16]);
void triggers_tick(struct partition *partition);
uint64_t triggers_next_due_ms(const struct partition *partition);
status triggers_recover(struct partition *partition);
void triggers_free(struct partition *partition);

/* schedules.c */
struct schedules *schedules_new(void);
void schedules_free(struct schedules *schedules);
/* Whether it can be kept. What a refusal says is in the arena. */
bool schedules_check(struct partition *partition, const struct schedule_offer *offer,
                     struct arena *arena, struct failure *ret);
/* One that was checked. Returns its next tick. */
uint64_t schedules_put(struct partition *partition, const struct schedule_offer *offer);
void schedules_tick(struct partition *partition);
uint64_t schedules_next_due_ms(const struct partition *partition); /* 0: nothing to do. */
/* From the rows: at the start, and after a commit that failed. */
status schedules_recover(struct partition *partition);
void schedules_read(struct partition *partition, struct request *request);
void handle_put_schedule(struct partition *partition, struct request *request);
void handle_delete_schedule(struct partition *partition, struct request *request);

/* queueing.c */
/* The run was started with this. */
void queueing_seat(struct live_run *run, const struct run_spec *spec);
/* Whether the task asks for a host only when it is its run's turn. */
bool queueing_gates(const struct live_run *run, const struct effect *effect);
/* After each change of a run's state, and when it was read again. */
void queueing_note(struct partition *partition, struct live_run *run);
void queueing_row(const struct live_run *run, struct run_row *row);
/* False: the row's task takes no turns. */
bool queueing_wait_row(struct partition *partition, uuid id, const struct run_row *row);
/* Gives hosts to those whose turn it is. */
void queueing_work(struct partition *partition);
/* A host got free for a task that stood in line for all of its name and queue. False: this one
 * did not. */
bool queueing_woken(struct partition *partition, uuid run);
str queueing_sentence(struct partition *partition, const struct live_run *run, struct arena *arena);
str queueing_name(const struct live_run *run);
/* Fills in the workflow's queue, an agent's is its definition's; false: refused. */
bool queueing_check(struct partition *partition, struct run_spec *spec, struct arena *arena,
                    struct failure *ret);
bool queueing_is_full(const struct partition *partition);
/* Names the queue, without limits, unless it is defined. False: there are too many. */
bool queueing_name_queue(struct partition *partition, str name, struct failure *ret);
/* Of a hello. */
bool queueing_offer(struct partition *partition, const struct request *request, struct failure *ret);
void handle_put_queue(struct partition *partition, struct request *request);
void handle_delete_queue(struct partition *partition, struct request *request);
void queueing_read(struct partition *partition, struct request *request);
/* From the rows: at the start, and after a commit that failed. */
status queueing_recover(struct partition *partition);

/* versions.c */
struct versions *versions_new(void);
void versions_free(struct versions *versions);
/* The code of a task did not fit its history. */
void versions_note_stopped(struct partition *partition, struct live_run *run, uint32_t effect);
/* A host has dialled in: what it offers of that is to be tried in the next turn. */
void versions_hear(struct partition *partition, const struct host_hello *hello);
bool versions_is_busy(const struct partition *partition);
void versions_work(struct partition *partition);
/* The name of the deployment the run stays with; empty: none yet. */
status versions_deployment(struct partition *partition, const struct live_run *run, struct arena *arena,
                           str *ret);
/* Why a task failed last; empty: it did not. */
status versions_failure(struct partition *partition, const struct live_run *run, uint32_t effect,
                        struct arena *arena, str *ret);

/* starts.c */
/* Starts a run in this batch. spec->root zero: the run is its own. On a refusal nothing was done;
 * what it says is in the arena. */
bool start_run(struct partition *partition, struct run_spec *spec, uint64_t timeout_ms,
               int32_t max_retries, struct arena *arena, struct failure *ret_failure, uuid *ret_id);
uuid start_new_id(struct partition *partition);
/* Into the batch: the parent's cancellation is the child's. Parent zero: nothing. */
void start_note_child(struct partition *partition, uuid parent, uuid child);
/* Whether start_run would refuse it. */
bool start_check(struct partition *partition, struct run_spec *spec, struct arena *arena,
                 struct failure *ret_failure);
void handle_register(struct partition *partition, struct request *request);
void handle_start(struct partition *partition, struct request *request);
status definition_put(struct partition *partition, const struct agent_definition *agent,
                      uint8_t ret_hash[16]);
status definition_by_hash(struct partition *partition, const uint8_t hash[16], struct definition **ret);
/* The definition the run is pinned to, in run->definition. */
status definition_of(struct partition *partition, struct live_run *run);
void definitions_free(struct partition *partition);

/* models.c */
void model_perform(struct partition *partition, struct live_run *run, uint32_t effect,
                   uint32_t attempt);
void handle_model_delta(struct partition *partition, struct request *request);
void handle_model_done(struct partition *partition, struct request *request);
void handle_model_failed(struct partition *partition, struct request *request);
void model_forget(struct partition *partition, struct live_run *run);

/* tasks.c */
void handle_host_message(struct partition *partition, struct request *request);
void handle_host_gone(struct partition *partition, struct request *request);
void task_hello(struct partition *partition, struct request *request);
void task_give(struct partition *partition, const struct act *act);
void tasks_handle_lost(struct partition *partition);
void tasks_handle_ready(struct partition *partition);
void tasks_note_lost(void *context, const struct host_loss *loss);

/* watch.c */
void watch_begin(struct partition *partition, struct request *request);
void watch_more(struct partition *partition, struct request *request);
void watch_end(struct partition *partition, struct request *request);
void watch_publish(struct partition *partition, struct live_run *run, str record);
void watch_delta(struct partition *partition, struct live_run *run, uint32_t effect, uint32_t attempt,
                 unsigned kind, str text);
void watch_ended(struct partition *partition, struct live_run *run);
void watch_work(struct partition *partition);
/* After the run was read again: live watchers go on from the journal where facts were not shown. */
void watch_reread(struct partition *partition, struct live_run *run);
void watch_drop_all(struct partition *partition, struct live_run *run, const struct failure *failure);

/* queries.c */
void query_read(struct partition *partition, struct request *request);
status query_report(struct partition *partition, struct live_run *run, struct arena *arena,
                    struct run_report *ret);
void query_wait_ended(struct partition *partition, struct live_run *run);
void query_refuse_waits(struct partition *partition, struct live_run *run,
                        const struct failure *failure);
void handle_forget(struct partition *partition, struct request *request);

/* turn.c */
void round_read_clocks(struct partition *partition);

/* recovery.c */
status recovery_run(struct partition *partition, struct arena *arena);

#endif
