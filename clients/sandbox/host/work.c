#include "clients/sandbox/host/work.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "clients/sandbox/host/allowlist.h"
#include "clients/sandbox/host/approval.h"
#include "clients/sandbox/host/call.h"
#include "service/base/json.h"
#include "service/base/json_writer.h"
#include "service/base/utf8.h"

enum {
    SHOWN_BYTES_MAX = 48 << 10, /* Of one progress: it may have 64 KiB. */
    TIMEOUT_S_MAX = 3600,
    SHOWN_AT_ONCE_MAX = 64, /* That the loop has not come to; more is not shown. */
};

static const char exec_key[] = "approve_exec";
static const char file_key[] = "approve_file";

struct work {
    const struct work_place *place;
    const struct tool_row *tool;
    struct polos_task *task;
    struct sandbox *sandbox;
    struct arena arena;
    str input; /* The arguments, as the model wrote them. */
    str command; /* Of exec; empty if there is none: the box says so then. */
    struct words words; /* That may run without a shell; none: the command runs in one. */
    struct call call;
    struct local_options options;
    pthread_t thread;
    struct buf request;
    struct buf result;
    status outcome;
    atomic_int shown; /* On their way to the loop. */
    const char *stopped; /* Why nobody wants the answer; NULL: somebody does. */
};

struct shown {
    struct work *work;
    char text[]; /* Ends in NUL. */
};

static void end(struct work *work)
{
    if (work->sandbox != NULL) {
        sandboxes_leave(work->sandbox);
    }
    buf_fini(&work->request);
    buf_fini(&work->result);
    arena_fini(&work->arena);
    free(work);
}

static void settle(struct work *work)
{
    struct polos_outcome outcome = {0};
    if (work->stopped != NULL) {
        polos_task_cancelled(work->task, work->stopped);
        return;
    }
    if (status_is_ok(work->outcome)) {
        buf_put_char(&work->result, '\0');
        outcome.value_json = work->result.ptr;
    } else {
        outcome.error_type = code_name(work->outcome.code);
        outcome.error_message = work->outcome.why;
    }
    polos_task_done(work->task, &outcome);
}

static void fail(struct work *work, status why)
{
    work->outcome = why;
    settle(work);
    end(work);
}

/* ---- the call ---- */

static void put_request(struct work *work)
{
    const struct settings *settings = work->place->settings;
    struct json_writer writer = json_writer_of(&work->request);
    json_begin_object(&writer, NULL);
    json_put_string(&writer, "tool", str_of(work->tool->name));
    json_put_string(&writer, "workspace", STR(LOCAL_WORKSPACE));
    json_put_u64(&writer, "timeout", settings->exec_timeout_s);
    json_put_u64(&writer, "max_output_chars", settings->max_output_chars);
    json_put_u64(&writer, "max_processes", settings->max_processes);
    json_put_u64(&writer, "max_open_files", settings->max_open_files);
    json_put_u64(&writer, "max_file_bytes", settings->max_file_bytes);
    json_put_u64(&writer, "max_memory_bytes", settings->max_memory_bytes);
    json_put_bool(&writer, "progress", true);
    json_put_raw(&writer, "arguments", work->input);
    if (work->words.count > 0) {
        json_begin_array(&writer, "words");
        for (size_t i = 0; i < work->words.count; i++) {
            json_put_string(&writer, NULL, work->words.items[i]);
        }
        json_end_array(&writer);
    }
    json_end_object(&writer);
}

static void show_in_loop(void *context)
{
    struct shown *shown = context;
    atomic_fetch_sub(&shown->work->shown, 1);
    if (shown->work->stopped == NULL) {
        polos_task_progress(shown->work->task, shown->text);
    }
    free(shown);
}

static void show_part(struct work *work, str text)
{
    if (atomic_fetch_add(&work->shown, 1) >= SHOWN_AT_ONCE_MAX) {
        atomic_fetch_sub(&work->shown, 1);
        return;
    }
    struct shown *shown = xmalloc(sizeof *shown + text.len + 1);
    shown->work = work;
    memcpy(shown->text, text.ptr, text.len);
    shown->text[text.len] = '\0';
    polos_loop_post(work->place->loop, show_in_loop, shown);
}

/* On the call's thread. */
static void show(void *context, str text)
{
    while (text.len > 0) {
        str part = str_make(text.ptr, text.len < SHOWN_BYTES_MAX ? text.len : SHOWN_BYTES_MAX);
        part.len -= utf8_tail_len(part);
        if (part.len == 0) {
            return;
        }
        show_part(context, part);
        text = str_make(text.ptr + part.len, text.len - part.len);
    }
}

static void call_over(void *context)
{
    struct work *work = context;
    pthread_join(work->thread, NULL);
    call_fini(&work->call);
    settle(work);
    end(work);
}

static void *run_call(void *context)
{
    struct work *work = context;
    work->outcome = call_run(&work->call, &work->arena, &work->result);
    /* Behind everything it showed. */
    polos_loop_post(work->place->loop, call_over, work);
    return NULL;
}

/* A timeout in the arguments may be longer than the one of the settings. */
static uint64_t timeout_of(const struct work *work)
{
    str raw;
    uint64_t seconds = 0;
    if (!json_object_get(work->input, STR("timeout"), &raw)) {
        return work->place->settings->exec_timeout_s;
    }
    if (json_kind_of(raw) == JSON_STRING) {
        return TIMEOUT_S_MAX; /* The box reads numbers in strings, and ends its command in time. */
    }
    if (json_to_u64(raw, &seconds) && seconds > 0) {
        return seconds < TIMEOUT_S_MAX ? seconds : TIMEOUT_S_MAX;
    }
    return work->place->settings->exec_timeout_s;
}

static void stop(struct polos_task *task, const char *cause)
{
    struct work *work = polos_task_context(task);
    (void)cause;
    work->stopped = "the call was stopped";
    call_stop(&work->call);
}

static void carry_out(struct work *work)
{
    status outcome = call_init(&work->call);
    if (!status_is_ok(outcome)) {
        fail(work, outcome);
        return;
    }
    put_request(work);
    work->options = (struct local_options){
        .box = work->place->settings->box,
        .workspace = sandbox_folder(work->sandbox),
        .environment = work->place->settings->environment,
    };
    work->call.sandbox = &work->options;
    work->call.request = buf_str(&work->request);
    work->call.timeout_s = timeout_of(work);
    work->call.shown = show;
    work->call.context = work;
    if (pthread_create(&work->thread, NULL, run_call, work) == 0) {
        polos_task_on_stop(work->task, stop);
    } else {
        call_fini(&work->call);
        fail(work, status_make(CODE_RESOURCE_EXHAUSTED, "There is no room for another thread."));
    }
}

/* ---- approval ---- */

/* Whether somebody has to be asked before the command; *ret_why: for whoever is asked. */
static bool command_asks(struct work *work, const char **ret_why)
{
    const struct settings *settings = work->place->settings;
    *ret_why = NULL;
    if (settings->security == SECURITY_ALLOW || sandbox_allows(work->sandbox, work->command)) {
        return false;
    }
    if (settings->security == SECURITY_ASK) {
        return true;
    }
    struct words words;
    status split = words_split(work->command, &work->arena, &words);
    if (!status_is_ok(split)) {
        *ret_why = split.why;
        return true;
    }
    if (!allowlist_has(settings->allowlist, settings->allowlist_count, &words)) {
        *ret_why = "The command is none of those that are allowed.";
        return true;
    }
    work->words = words;
    return false;
}

/* Never called: the task is parked at once. */
static void answered_while_here(void *context, struct polos_task *task,
                                const struct polos_error *error,
                                const Polos__V1__TaskOutcome *outcome)
{
    (void)context;
    (void)task;
    (void)error;
    (void)outcome;
}

static void ask(struct work *work, const char *key, const char *why)
{
    Polos__V1__Suspend suspend = POLOS__V1__SUSPEND__INIT;
    struct buf form = {0};
    if (work->tool->is_command) {
        approval_ask_command(work->command, STR(LOCAL_WORKSPACE), why, &form);
    } else {
        approval_ask_file(work->tool->name, work->input, &form);
    }
    str text = buf_finish(&form, &work->arena);
    suspend.data_json = arena_cstr(&work->arena, text);
    suspend.answer_schema_json = (char *)approval_schema;
    if (polos_request_suspend(work->task, key, &suspend, answered_while_here, NULL)) {
        polos_task_park(work->task);
    } else {
        polos_task_cancelled(work->task, "nobody wants its answer any more");
    }
    end(work);
}

static void reject(struct work *work, const struct approval *approval)
{
    if (work->tool->is_command) {
        approval_put_rejected_command(work->command, approval, &work->result);
        fail(work, STATUS_OK);
        return;
    }
    fail(work, arena_fail(&work->arena, CODE_PERMISSION_DENIED,
                          "The change was rejected by user.%s" STR_FMT,
                          approval->feedback.len > 0 ? " User feedback: " : "",
                          STR_ARG(approval->feedback)));
}

static void deal_with_answer(struct work *work, const Polos__V1__TaskOutcome *answer)
{
    if (answer->result_case != POLOS__V1__TASK_OUTCOME__RESULT_VALUE_JSON) {
        fail(work, status_make(CODE_FAILED_PRECONDITION, "Nobody approved it in time."));
        return;
    }
    struct approval approval = approval_read(str_of(answer->value_json), &work->arena);
    if (!approval.is_approved) {
        reject(work, &approval);
        return;
    }
    if (approval.is_for_always && work->tool->is_command) {
        sandbox_allow(work->sandbox, work->command);
    }
    carry_out(work);
}

static void ask_or_carry_out(struct work *work)
{
    const char *key = work->tool->is_command ? exec_key : file_key;
    const Polos__V1__TaskOutcome *answer = polos_task_settled(work->task, key);
    const char *why = NULL;
    bool asks = work->tool->is_command
                    ? command_asks(work, &why)
                    : work->tool->changes_files && work->place->settings->asks_for_files;
    /* What was asked is answered, whatever is allowed by now. */
    if (answer != NULL) {
        work->words.count = 0;
        deal_with_answer(work, answer);
    } else if (asks) {
        ask(work, key, why);
    } else {
        carry_out(work);
    }
}

/* ---- its beginning ---- */

void work_begin(const struct work_place *place, const struct tool_row *tool,
                struct polos_task *task)
{
    const Polos__V1__Task *message = polos_task_message(task);
    struct work *work = xcalloc(1, sizeof *work);
    struct buf command = {0};
    str raw;
    work->place = place;
    work->tool = tool;
    work->task = task;
    arena_init(&work->arena, 0);
    work->input = str_of(message->input_json);
    polos_task_set_context(task, work);
    const char *root = message->root_run_id[0] != '\0' ? message->root_run_id : message->run_id;
    status outcome = sandboxes_enter(place->sandboxes, root, &work->arena, &work->sandbox);
    if (!status_is_ok(outcome)) {
        fail(work, outcome);
        return;
    }
    if (!json_is_object(work->input)) {
        fail(work, status_make(CODE_INVALID_ARGUMENT, "The arguments are no JSON object."));
        return;
    }
    if (tool->is_command && json_object_get(work->input, STR("command"), &raw)) {
        json_string_decode(raw, &command);
    }
    work->command = buf_finish(&command, &work->arena);
    ask_or_carry_out(work);
}
