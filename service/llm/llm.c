#include "service/llm/llm.h"

#include <math.h>
#include <stdlib.h>

#include "service/base/array.h"
#include "service/base/json.h"
#include "service/base/sys.h"
#include "service/base/table.h"
#include "service/llm/attempt.h"
#include "service/llm/places.h"
#include "service/llm/request.h"
#include "service/llm/scripted.h"
#include "service/llm/target.h"
#include "service/net/http_client.h"

enum {
    CONNECT_MS = 10000,
    WAIT_SHOWN_MS = 100, /* After it, a call that has no place yet says so. */
};

/*
 * The life of a call; it may be cancelled in every state.
 *
 *   start --> [queued] --> [asking] --> done | failed
 *   start --> [playing] --> done | failed      the scripted provider
 */
enum call_state {
    CALL_POSTED,
    CALL_QUEUED, /* Waits for a free place; its timer says so. */
    CALL_ASKING, /* Holds a place and an HTTP call; its timer watches that the answer grows. */
    CALL_PLAYING, /* Its timer shows the next delta. */
};

struct llm_call {
    struct http_task task;
    struct llm *llm;
    uint64_t number;
    struct table_link link; /* By its number. */
    struct llm_call *newer; /* In the list of all calls. */
    struct llm_call *older;
    enum call_state state;
    const struct provider_row *row;
    struct claim claim; /* For a place to ask. */
    uint32_t project; /* Whose it is. */
    bool is_wait_shown;
    struct timer timer;
    struct arena arena;
    str log_name; /* Who asks whom, in the lines of the log. */
    struct diagnosis refusal; /* Found by start(): nothing is asked. */

    /* A real provider. */
    struct target target;
    enum target_verdict verdict; /* On the address it is connected to. */
    struct buf body;
    uint64_t *used_ids;
    size_t used_id_count;
    struct attempt *attempt;
    struct http_call *http;
    uint32_t attempt_number; /* The request's. */
    size_t size; /* Of the answer, when it last grew. */
    uint64_t grown_us;

    /* The scripted one. */
    struct scripted_plan plan;
    size_t delta; /* The next to show. */
};

struct llm_cancel {
    struct http_task task;
    struct llm *llm;
    uint64_t number;
};

struct llm {
    struct llm_options options;
    struct http_client *http;
    /* All below belongs to the model thread. */
    struct llm_call *newest;
    struct table by_number;
    struct places places;
    struct timer pump; /* Starts calls that have got a place, away from curl's callbacks. */
};

static status check_json(const struct model_request *request, struct arena *arena)
{
    if (request->options_json.len > 0 && !json_is_object(request->options_json)) {
        return status_make(CODE_INVALID_ARGUMENT, "options must be a JSON object");
    }
    if (request->output_schema_json.len > 0 && !json_is_object(request->output_schema_json)) {
        return status_make(CODE_INVALID_ARGUMENT, "the output schema must be a JSON object");
    }
    for (size_t i = 0; i < request->tool_count; i++) {
        const struct model_tool *tool = &request->tools[i];
        if (tool->name.len == 0) {
            return arena_fail(arena, CODE_INVALID_ARGUMENT, "tools[%zu] has no name", i);
        }
        if (tool->parameters_json.len > 0 && !json_is_object(tool->parameters_json)) {
            return arena_fail(arena, CODE_INVALID_ARGUMENT,
                              "the parameters of tool " STR_FMT " must be a JSON object",
                              STR_ARG(tool->name));
        }
    }
    return STATUS_OK;
}

static status llm_check(void *self, const struct model_request *request, struct arena *arena)
{
    const struct llm *llm = (const struct llm *)self;
    const struct provider_row *row = provider_find(request->provider);
    if (row == NULL) {
        return arena_fail(arena, CODE_INVALID_ARGUMENT,
                          "unknown provider \"" STR_FMT "\"; known are " STR_FMT,
                          STR_ARG(request->provider), STR_ARG(provider_names(arena)));
    }
    TRY(check_json(request, arena));
    if (row->codec == NULL) {
        return scripted_check(request, arena);
    }
    if (request->model.len == 0) {
        return arena_fail(arena, CODE_INVALID_ARGUMENT, "provider %s needs a model", row->name);
    }
    TRY(target_check(&llm->options.rules, row, request, arena));
    return request_check_media(row, request, arena);
}

static struct llm_call *call_new(struct llm *llm, uint64_t number)
{
    struct llm_call *call = xcalloc(1, sizeof(*call));
    call->llm = llm;
    call->number = number;
    arena_init(&call->arena, 0);
    return call;
}

static void call_free(struct llm_call *call)
{
    attempt_free(call->attempt);
    diagnosis_fini(&call->refusal);
    buf_fini(&call->body);
    free(call->used_ids);
    arena_fini(&call->arena);
    free(call);
}

static void schedule_pump(struct llm *llm)
{
    assert(llm->pump.fire != NULL);
    if (llm->pump.place == 0) {
        http_client_arm(llm->http, &llm->pump, sys_monotonic_us());
    }
}

/* Gives back its place. */
static void end_asking(struct llm_call *call)
{
    assert(call->state == CALL_ASKING && call->claim.is_held);
    places_leave(&call->llm->places, &call->claim);
    call->http = NULL;
    http_client_disarm(call->llm->http, &call->timer);
    schedule_pump(call->llm);
}

static void forget(struct llm_call *call)
{
    struct llm *llm = call->llm;
    assert(call->http == NULL);
    if (call->state == CALL_QUEUED) {
        places_leave(&llm->places, &call->claim);
    }
    http_client_disarm(llm->http, &call->timer);
    table_remove(&llm->by_number, &call->link);
    if (call->newer != NULL) {
        call->newer->older = call->older;
    } else {
        assert(llm->newest == call);
        llm->newest = call->older;
    }
    if (call->older != NULL) {
        call->older->newer = call->newer;
    }
    call_free(call);
}

static void tell_failed(struct llm_call *call, const struct diagnosis *diagnosis, bool partial)
{
    const struct model_sink *sink = &call->llm->options.sink;
    struct model_failure told = {
        .code = diagnosis->code,
        .reason = diagnosis->reason,
        .message = buf_str(&diagnosis->message),
        .http_status = diagnosis->http_status,
        .retryable = diagnosis->retryable,
        .partial = partial,
        .retry_after_ms = diagnosis->retry_after_ms,
    };
    assert(diagnosis->code != CODE_OK && diagnosis->reason != NULL);
    log_line(LOG_WARN, "model_failed", STR_FMT " provider=%s reason=%s http=%u attempt=%u",
             STR_ARG(call->log_name), call->row == NULL ? "?" : call->row->name, diagnosis->reason,
             (unsigned)diagnosis->http_status, (unsigned)call->attempt_number);
    sink->failed(sink->context, call->number, &told);
}

static void take_delta(void *context, enum model_delta_kind kind, str text)
{
    const struct llm_call *call = (const struct llm_call *)context;
    const struct model_sink *sink = &call->llm->options.sink;
    sink->delta(sink->context, call->number, kind, text);
}

/* Whether there is room for another attempt; says in the message why not. */
static void limit_attempts(const struct llm_call *call, struct diagnosis *diagnosis)
{
    const struct llm_options *options = &call->llm->options;
    if (!diagnosis->retryable) {
        return;
    }
    if (diagnosis->retry_after_ms > options->retry_after_max_ms) {
        diagnosis->retryable = false;
        buf_printf(&diagnosis->message,
                   "; the provider wants %llu s of pause, more than --model-retry-after-max-ms",
                   (unsigned long long)diagnosis->retry_after_ms / 1000);
    } else if (call->attempt_number >= options->attempts_max) {
        diagnosis->retryable = false;
        buf_printf(&diagnosis->message, "; given up after %u tries",
                   (unsigned)call->attempt_number);
    }
}

/* The attempt is over without a reply. Its HTTP call is gone. */
static void attempt_failed(struct llm_call *call, struct diagnosis *diagnosis)
{
    assert(call->attempt != NULL && diagnosis->code != CODE_OK);
    diagnosis_redact(diagnosis, call->target.key);
    limit_attempts(call, diagnosis);
    end_asking(call);
    tell_failed(call, diagnosis, attempt_has_shown(call->attempt));
    forget(call);
}

/* An answer without a word is one, but whoever waits for words should find out why. */
static void note_empty(const struct llm_call *call, const struct model_reply *reply)
{
    for (size_t i = 0; i < reply->block_count; i++) {
        const struct model_block *block = &reply->blocks[i];
        if (block->kind == MODEL_BLOCK_TOOL_CALL || block->text.len > 0) {
            return;
        }
    }
    log_line(LOG_WARN, "model_empty", STR_FMT " provider=%s stop=" STR_FMT, STR_ARG(call->log_name),
             call->row->name, STR_ARG(reply->stop_raw));
}

static void attempt_whole(struct llm_call *call)
{
    const struct model_sink *sink = &call->llm->options.sink;
    struct model_reply reply;
    assert(call->attempt != NULL);
    end_asking(call);
    attempt_reply(call->attempt, &call->arena, &reply);
    note_empty(call, &reply);
    sink->done(sink->context, call->number, &reply);
    forget(call);
}

static bool may_reach(void *context, const struct sockaddr *address)
{
    struct llm_call *call = (struct llm_call *)context;
    call->verdict = target_judge(&call->llm->options.rules, call->target.is_strangers, address);
    return call->verdict == TARGET_MAY || call->verdict == TARGET_MAY_INNER;
}

static void on_head(void *context, uint32_t http_status, str headers)
{
    struct llm_call *call = (struct llm_call *)context;
    assert(call->state == CALL_ASKING);
    if (call->verdict == TARGET_MAY_INNER) {
        attempt_hide_text(call->attempt);
    }
    attempt_head(call->attempt, http_status, headers, sys_now_ms());
}

static void note_growth(struct llm_call *call)
{
    size_t size = attempt_size(call->attempt);
    if (size != call->size) {
        call->size = size;
        call->grown_us = sys_monotonic_us();
    }
}

static void on_bytes(void *context, str bytes)
{
    struct llm_call *call = (struct llm_call *)context;
    assert(call->state == CALL_ASKING && bytes.len > 0);
    switch (attempt_bytes(call->attempt, bytes)) {
    case ATTEMPT_OPEN:
        note_growth(call);
        return;
    case ATTEMPT_WHOLE:
        http_call_release(call->http);
        attempt_whole(call);
        return;
    case ATTEMPT_FAILED:
        http_call_drop(call->http);
        attempt_failed(call, attempt_diagnosis(call->attempt));
        return;
    }
}

/* What the transport has to say when the provider said nothing. */
static void name_fault(struct llm_call *call, struct diagnosis *diagnosis,
                       const struct http_end *end)
{
    static const struct {
        enum code code;
        const char *reason;
        const char *check; /* What to look at. */
    } rows[] = {
        [HTTP_FAULT_NONE] = {CODE_UNAVAILABLE, "MODEL_INCOMPLETE", ""},
        [HTTP_FAULT_URL] = {CODE_INVALID_ARGUMENT, "BAD_URL", "; check the base URL"},
        [HTTP_FAULT_CONNECT] = {CODE_UNAVAILABLE, "CONNECT_FAILED", "; is the server running?"},
        [HTTP_FAULT_CERTIFICATE] = {CODE_FAILED_PRECONDITION, "CERTIFICATE_REFUSED", ""},
        [HTTP_FAULT_FIRST_BYTE] = {CODE_DEADLINE_EXCEEDED, "FIRST_BYTE_TIMEOUT", ""},
        [HTTP_FAULT_IDLE] = {CODE_DEADLINE_EXCEEDED, "IDLE_TIMEOUT", ""},
        [HTTP_FAULT_LOST] = {CODE_UNAVAILABLE, "CONNECTION_LOST", ""},
        [HTTP_FAULT_ADDRESS] = {CODE_PERMISSION_DENIED, "ADDRESS_REFUSED", ""},
        [HTTP_FAULT_NOT_HTTP] = {CODE_FAILED_PRECONDITION, "NOT_A_MODEL",
                                 "; check host and port of the base URL"},
        [HTTP_FAULT_OTHER] = {CODE_UNAVAILABLE, "TRANSPORT_FAILED", ""},
    };
    bool is_set = call->row->base_url_setting != NULL && !call->target.is_strangers;
    bool may_be_set = is_set && rows[end->fault].check[0] != '\0';
    static_assert(COUNT_OF(rows) == HTTP_FAULT_OTHER + 1, "one row per fault");
    if (end->fault == HTTP_FAULT_ADDRESS) {
        assert(call->verdict == TARGET_REFUSED || call->verdict == TARGET_OWN);
        str why = target_refusal(call->row, call->target.shown, call->verdict, &call->arena);
        diagnosis_set(diagnosis, rows[end->fault].code, rows[end->fault].reason, false, "%s",
                      why.ptr);
        return;
    }
    diagnosis_set(diagnosis, rows[end->fault].code, rows[end->fault].reason,
                  end->transient || end->fault == HTTP_FAULT_NONE, "%s: " STR_FMT ": %s%s%s%s",
                  call->row->name, STR_ARG(call->target.shown), end->why, rows[end->fault].check,
                  may_be_set ? " Another address is set by " : "",
                  may_be_set ? call->row->base_url_setting : "");
}

static void on_done(void *context, const struct http_end *end)
{
    struct llm_call *call = (struct llm_call *)context;
    bool clean = end->fault == HTTP_FAULT_NONE;
    assert(call->state == CALL_ASKING);
    if (attempt_end(call->attempt, clean ? ATTEMPT_END_CLEAN : ATTEMPT_END_BROKEN) ==
        ATTEMPT_WHOLE) {
        attempt_whole(call);
        return;
    }
    struct diagnosis *diagnosis = attempt_diagnosis(call->attempt);
    if (diagnosis->code == CODE_OK) {
        name_fault(call, diagnosis, end);
    }
    attempt_failed(call, diagnosis);
}

/* The server has shown nothing but signs of life for too long. */
static void give_up(struct llm_call *call)
{
    assert(call->state == CALL_ASKING && call->http != NULL);
    http_call_drop(call->http);
    if (attempt_end(call->attempt, ATTEMPT_END_BROKEN) == ATTEMPT_WHOLE) {
        attempt_whole(call);
        return;
    }
    struct diagnosis *diagnosis = attempt_diagnosis(call->attempt);
    diagnosis_set(diagnosis, CODE_DEADLINE_EXCEEDED, "IDLE_TIMEOUT", true,
                  "the server sent nothing but signs of life for %llu ms",
                  (unsigned long long)call->llm->options.quiet_ms);
    attempt_failed(call, diagnosis);
}

static void watch_growth(struct llm_call *call)
{
    uint64_t due_us = call->grown_us + call->llm->options.quiet_ms * 1000;
    assert(call->state == CALL_ASKING);
    if (due_us > sys_monotonic_us()) {
        http_client_arm(call->llm->http, &call->timer, due_us);
    } else {
        give_up(call);
    }
}

static void tell_waits(struct llm_call *call, bool is_waiting)
{
    const struct model_sink *sink = &call->llm->options.sink;
    if (sink->waits != NULL && call->is_wait_shown != is_waiting) {
        sink->waits(sink->context, call->number, is_waiting ? call->target.server : STR_EMPTY);
        call->is_wait_shown = is_waiting;
    }
}

static void ask(struct llm_call *call)
{
    struct llm *llm = call->llm;
    struct reply_options options = {
        .delta = take_delta,
        .context = call,
        .used_ids = call->used_ids,
        .used_id_count = call->used_id_count,
    };
    struct http_request request = {
        .method = "POST",
        .url = call->target.url,
        .headers = call->target.headers,
        .header_count = call->target.header_count,
        .body = buf_str(&call->body),
        .connect_ms = CONNECT_MS,
        .first_byte_ms = llm->options.first_byte_ms,
        .idle_ms = llm->options.idle_ms,
        .fresh_connection = call->attempt_number > 1, /* The kept one may be to blame. */
        .is_strangers = call->target.is_strangers,
        .http_1 = (call->row->quirks & PROVIDER_HTTP_1) != 0,
    };
    struct http_handler handler = {call, may_reach, on_head, on_bytes, on_done};
    assert(call->attempt == NULL && call->http == NULL);
    sys_random(&options.id_seed, sizeof(options.id_seed));
    tell_waits(call, false);
    call->state = CALL_ASKING;
    call->attempt = attempt_new(call->row, call->target.shown, &options);
    call->http = http_call_start(llm->http, &request, &handler);
    call->grown_us = sys_monotonic_us();
    watch_growth(call);
}

static void pump(struct timer *timer)
{
    struct llm *llm = container_of(timer, struct llm, pump);
    struct claim *claim;
    while ((claim = places_next(&llm->places)) != NULL) {
        ask(container_of(claim, struct llm_call, claim));
    }
}

static void enqueue(struct llm_call *call)
{
    assert(call->row != NULL && call->row->codec != NULL);
    call->state = CALL_QUEUED;
    places_ask(&call->llm->places, &call->claim, call->project, call->target.server);
    schedule_pump(call->llm);
    http_client_arm(call->llm->http, &call->timer,
                    sys_monotonic_us() + WAIT_SHOWN_MS * (uint64_t)1000);
}

static void play_end(struct llm_call *call)
{
    const struct model_sink *sink = &call->llm->options.sink;
    assert(call->state == CALL_PLAYING && call->delta == call->plan.delta_count);
    if (call->plan.fails) {
        sink->failed(sink->context, call->number, &call->plan.failure);
    } else {
        sink->done(sink->context, call->number, &call->plan.reply);
    }
    forget(call);
}

/* Shows the next delta, or all that is left when there is no pause between them. */
static void play(struct llm_call *call)
{
    const struct scripted_plan *plan = &call->plan;
    do {
        if (call->delta == plan->delta_count) {
            play_end(call);
            return;
        }
        const struct scripted_delta *delta = &plan->deltas[call->delta++];
        take_delta(call, delta->kind, delta->text);
    } while (plan->delta_ms == 0);
    http_client_arm(call->llm->http, &call->timer,
                    sys_monotonic_us() + plan->delta_ms * (uint64_t)1000);
}

static void on_timer(struct timer *timer)
{
    struct llm_call *call = container_of(timer, struct llm_call, timer);
    if (call->state == CALL_PLAYING) {
        play(call);
    } else if (call->state == CALL_QUEUED) {
        tell_waits(call, true);
    } else {
        watch_growth(call);
    }
}

static bool has_number(const struct table_link *link, const void *key)
{
    return container_of(link, struct llm_call, link)->number == *(const uint64_t *)key;
}

/* NULL: no such call, or it is over. */
static struct llm_call *find_call(const struct llm *llm, uint64_t number)
{
    struct table_link *link = table_find(&llm->by_number, number, &number);
    return link == NULL ? NULL : container_of(link, struct llm_call, link);
}

static void remember(struct llm *llm, struct llm_call *call)
{
    assert(find_call(llm, call->number) == NULL);
    table_add(&llm->by_number, &call->link, call->number);
    call->older = llm->newest;
    if (llm->newest != NULL) {
        llm->newest->newer = call;
    }
    llm->newest = call;
}

/* On the model thread: the call begins. */
static void begin(struct http_task *task)
{
    struct llm_call *call = container_of(task, struct llm_call, task);
    assert(call->state == CALL_POSTED);
    remember(call->llm, call);
    call->timer.fire = on_timer;
    if (call->refusal.code != CODE_OK) {
        tell_failed(call, &call->refusal, false);
        forget(call);
    } else if (call->row->codec != NULL) {
        enqueue(call);
    } else {
        call->state = CALL_PLAYING;
        play(call);
    }
}

static void note_used_ids(struct llm_call *call, const struct model_request *request)
{
    size_t capacity = 0;
    for (size_t i = 0; i < request->message_count; i++) {
        for (size_t j = 0; j < request->messages[i].block_count; j++) {
            const struct model_block *block = &request->messages[i].blocks[j];
            if (block->kind != MODEL_BLOCK_TOOL_CALL) {
                continue;
            }
            call->used_ids =
                array_reserve(call->used_ids, &capacity, call->used_id_count + 1, sizeof(uint64_t));
            call->used_ids[call->used_id_count++] = str_hash(block->call_id);
        }
    }
}

static void prepare(struct llm_call *call, const struct model_request *request)
{
    struct llm *llm = call->llm;
    status checked = llm_check(llm, request, &call->arena);
    call->row = provider_find(request->provider);
    call->attempt_number = request->attempt;
    call->project = request->project;
    call->log_name =
        arena_printf(&call->arena, STR_FMT "%smodel=\"" STR_FMT "\"", STR_ARG(request->log_name),
                     request->log_name.len == 0 ? "" : " ", STR_ARG(request->model));
    if (!status_is_ok(checked)) {
        diagnosis_set(&call->refusal, checked.code, "REQUEST_REFUSED", false, "%s", checked.why);
        return;
    }
    if (call->row->codec == NULL) {
        scripted_make(request, &call->arena, &call->plan);
        return;
    }
    target_make(&llm->options.rules, call->row, request, &call->arena, &call->target);
    if (call->target.key_kept) {
        log_line(LOG_INFO, "model_key_kept", STR_FMT " provider=%s key=%s", STR_ARG(call->log_name),
                 call->row->name, call->row->key_setting);
    }
    call->row->codec->put_body(call->row, request, &call->body);
    note_used_ids(call, request);
}

static void llm_start_call(void *self, uint64_t number, const struct model_request *request)
{
    struct llm *llm = (struct llm *)self;
    struct llm_call *call = call_new(llm, number);
    prepare(call, request);
    call->task.run = begin;
    http_client_post(llm->http, &call->task);
}

static void cancel_call(struct llm_call *call)
{
    if (call->state == CALL_ASKING) {
        http_call_drop(call->http);
        end_asking(call);
    }
    forget(call);
}

static void cancel_now(struct http_task *task)
{
    struct llm_cancel *cancel = container_of(task, struct llm_cancel, task);
    struct llm_call *call = find_call(cancel->llm, cancel->number);
    if (call != NULL) {
        cancel_call(call);
    }
    free(cancel);
}

static void llm_cancel_call(void *self, uint64_t number)
{
    struct llm *llm = (struct llm *)self;
    struct llm_cancel *cancel = xcalloc(1, sizeof(*cancel));
    cancel->task.run = cancel_now;
    cancel->llm = llm;
    cancel->number = number;
    http_client_post(llm->http, &cancel->task);
}

struct llm *llm_start(const struct llm_options *options)
{
    struct llm *llm = xcalloc(1, sizeof(*llm));
    struct llm_options *own = &llm->options;
    assert(options->sink.delta != NULL && options->sink.done != NULL);
    assert(options->sink.failed != NULL);
    *own = *options;
    own->first_byte_ms = own->first_byte_ms == 0 ? 300000 : own->first_byte_ms;
    own->idle_ms = own->idle_ms == 0 ? 90000 : own->idle_ms;
    own->quiet_ms = own->quiet_ms == 0 ? 600000 : own->quiet_ms;
    own->retry_after_max_ms = own->retry_after_max_ms == 0 ? 600000 : own->retry_after_max_ms;
    own->attempts_max = own->attempts_max == 0 ? 4 : own->attempts_max;
    own->calls_max = own->calls_max == 0 ? 256 : own->calls_max;
    table_init(&llm->by_number, has_number);
    places_init(&llm->places, own->calls_max);
    llm->pump.fire = pump;
    llm->http = http_client_start(PLACES_WITH_SURE * own->calls_max);
    return llm;
}

void llm_stop(struct llm *llm)
{
    if (llm == NULL) {
        return;
    }
    http_client_stop(llm->http);
    while (llm->newest != NULL) {
        cancel_call(llm->newest);
    }
    http_client_disarm(llm->http, &llm->pump);
    http_client_free(llm->http);
    places_fini(&llm->places);
    table_fini(&llm->by_number);
    free(llm);
}

struct model_client llm_client(struct llm *llm)
{
    static const struct model_client_vtable vtable = {
        .check = llm_check,
        .start = llm_start_call,
        .cancel = llm_cancel_call,
    };
    return (struct model_client){&vtable, llm};
}
