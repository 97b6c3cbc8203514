/*
 * Goal:   whole stories of a run read as text, and stay as they are.
 * Method: a trace file holds a command on each line and below it, indented, what the engine made of
 *         it: verdict, events, the state after them. The file is played and compared with itself.
 *
 * Commands: at MS | start KIND [steps=N] [tokens=N] [deadline=MS] [tries=N]
 *   cancel | time | reply E.A [STOP | CALL...] [used=N] [misfit=N], a CALL is
 * NAME[!REFUSAL][@TIMEOUT_MS][#once] fail E.A REASON [retry[=HINT_MS]] | reissue E.A | grant E.A
 * HOST | lost E.A step E.A NUMBER | done E.A [failed] [retryable] [cancelled] | park E.A [seen=N]
 *   request E.A KEY [sleep|suspend|event|children=N|now] [due=MS] [settled] | resume 0.0 KEY
 *   say (to an agent at work) | event E.0 | child E.0 INDEX [failed] | code E.A
 *   of versions: grant E.A HOST DEPLOYMENT | done E.A misfit; the state says whom a task is for
 */
#include <stdio.h>
#include <stdlib.h>

#include "service/base/arena.h"
#include "service/base/buf.h"
#include "service/base/code_version.h"
#include "service/engine/engine.h"

enum {
    WORDS_MAX = 48,
    LINE_MAX = 4096,
};

struct player {
    struct arena arena;
    struct run run;
    struct decision decision;
    uint64_t now_ms;
    struct buf played; /* What the file should be. */
};

struct words {
    char *word[WORDS_MAX];
    size_t count;
};

static struct words split(char *line)
{
    struct words words = {.count = 0};
    for (char *word = strtok(line, " \n"); word != NULL; word = strtok(NULL, " \n")) {
        assert(words.count < WORDS_MAX);
        words.word[words.count++] = word;
    }
    return words;
}

/* The number after "name=", or `otherwise`. */
static uint64_t option(const struct words *words, const char *name, uint64_t otherwise)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < words->count; i++) {
        if (strncmp(words->word[i], name, len) == 0 && words->word[i][len] == '=') {
            return strtoull(words->word[i] + len + 1, NULL, 10);
        }
    }
    return otherwise;
}

static bool flag(const struct words *words, const char *name)
{
    for (size_t i = 0; i < words->count; i++) {
        if (strcmp(words->word[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static void read_start(const struct words *words, struct command *command)
{
    static const char *const kinds[] = {"", "agent", "workflow", "tool"};
    struct run_spec *spec = &command->start.spec;
    for (size_t i = 1; i < COUNT_OF(kinds); i++) {
        spec->kind = flag(words, kinds[i]) ? (enum run_kind)i : spec->kind;
    }
    spec->name = STR("it");
    spec->turns_max = (uint32_t)option(words, "steps", 10);
    spec->tokens_max = option(words, "tokens", 0);
    spec->deadline_ms = option(words, "deadline", 0);
    spec->retries_max = (uint32_t)option(words, "retries", 0);
    spec->output_tries = (uint32_t)option(words, "tries", 0);
    spec->options.queue = flag(words, "queued") ? STR("slow") : STR_EMPTY;
}

static void read_step_request(const struct words *words, str key, struct command *command)
{
    static const char *const kinds[] = {"sleep", "suspend", "event", "", "now"};
    command->step_request.key = key;
    command->step_request.children = (uint32_t)option(words, "children", 0);
    command->step_request.kind =
        command->step_request.children > 0 ? EFFECT_CHILDREN : EFFECT_SLEEP;
    for (unsigned i = 0; i < COUNT_OF(kinds); i++) {
        if (flag(words, kinds[i])) {
            command->step_request.kind = EFFECT_SLEEP + (enum effect_kind)i;
        }
    }
    command->step_request.due_ms = option(words, "due", 0);
    command->step_request.is_settled =
        flag(words, "settled") || command->step_request.kind == EFFECT_AT_ONCE;
    command->step_request.outcome.value = STR("1");
}

static struct tool_call read_call(struct player *player, char *word)
{
    struct tool_call call = {.call_id = STR("c"), .arguments = STR("{}")};
    char *once = strstr(word, "#once");
    char *timeout = strchr(word, '@');
    char *refusal = strchr(word, '!');
    call.at_most_once = once != NULL;
    call.timeout_ms = timeout == NULL ? 0 : strtoull(timeout + 1, NULL, 10);
    char *const ends[] = {once, timeout, refusal};
    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        if (ends[i] != NULL) {
            *ends[i] = '\0';
        }
    }
    call.refusal_type = refusal == NULL ? NULL : arena_cstr(&player->arena, str_of(refusal + 1));
    call.name = arena_copy(&player->arena, str_of(word));
    return call;
}

static void read_reply(struct player *player, const struct words *words, struct command *command)
{
    static const char *const stops[] = {"end", "", "length", "content_filter", "refusal", "pause"};
    struct tool_call *calls = arena_zalloc(&player->arena, WORDS_MAX * sizeof(*calls));
    command->plan.stop = REPLY_STOP_TOOLS;
    command->model_replied.usage =
        (struct engine_usage){.input = option(words, "used", 0), .known = true};
    command->plan.misfit = option(words, "misfit", 0) > 0 ? STR("it does not fit") : STR_EMPTY;
    command->plan.calls = calls;
    for (size_t i = 2; i < words->count; i++) {
        bool is_stop = false;
        for (size_t stop = 0; stop < COUNT_OF(stops); stop++) {
            if (strcmp(words->word[i], stops[stop]) == 0) {
                command->plan.stop = (enum reply_stop)stop;
                is_stop = true;
            }
        }
        if (!is_stop && strchr(words->word[i], '=') == NULL) {
            calls[command->plan.call_count++] = read_call(player, words->word[i]);
        }
    }
}

/* "2 key": the number among the steps. */
static void read_said(struct player *player, const struct words *words, str third,
                      struct command *command)
{
    uint32_t number = (uint32_t)strtoul(third.ptr, NULL, 10);
    if (command->kind == COMMAND_STEP_DONE) {
        command->step.number = number;
        command->step.key = STR("key");
        command->step.outcome.value = STR("1");
        return;
    }
    if (command->kind == COMMAND_CANCEL_SHOWN) {
        command->cancel_shown.number = number;
        return;
    }
    str key = words->count > 3 ? arena_copy(&player->arena, str_of(words->word[3])) : STR_EMPTY;
    if (command->kind == COMMAND_STEP_TRY) {
        command->step_try.number = number;
        command->step_try.key = key;
        command->step_try.try_number = (uint32_t)option(words, "try", 1);
        command->step_try.retry_at_ms = option(words, "at", 0);
        command->step_try.outcome =
            (struct outcome){.failed = true, .error_type = STR("ValueError")};
        return;
    }
    command->withdraw.number = number;
    command->withdraw.key = key;
}

static void read_verdict(const struct words *words, str reason, struct command *command)
{
    command->reply_judged.passed = flag(words, "passed");
    command->reply_judged.reason = reason;
    command->plan.objection = reason;
}

static void read_failure(const struct words *words, str reason, struct command *command)
{
    command->model_failed.reason = reason;
    command->model_failed.retry_after_ms = option(words, "retry", 0);
    command->model_failed.retryable =
        flag(words, "retry") || command->model_failed.retry_after_ms > 0;
}

static void read_rest(struct player *player, const struct words *words, struct command *command)
{
    str third = words->count > 2 ? str_of(words->word[2]) : STR_EMPTY;
    third = arena_copy(&player->arena, third);
    switch (command->kind) {
    case COMMAND_START:
        read_start(words, command);
        break;
    case COMMAND_MODEL_REPLIED:
        read_reply(player, words, command);
        break;
    case COMMAND_REPLY_JUDGED:
        read_verdict(words, third, command);
        break;
    case COMMAND_MODEL_FAILED:
        read_failure(words, third, command);
        break;
    case COMMAND_LEASE_GRANT:
        command->lease.host_id = third;
        command->lease.deployment =
            words->count > 3 ? arena_copy(&player->arena, str_of(words->word[3])) : STR_EMPTY;
        break;
    case COMMAND_STEP_DONE:
    case COMMAND_CANCEL_SHOWN:
    case COMMAND_WITHDRAW:
    case COMMAND_STEP_TRY:
        read_said(player, words, third, command);
        break;
    case COMMAND_TASK_DONE:
        command->task.outcome =
            (struct outcome){.failed = flag(words, "failed"), .error_type = STR("ValueError")};
        if (flag(words, "misfit")) {
            command->task.outcome =
                (struct outcome){.failed = true, .error_type = STR(ENGINE_NON_DETERMINISM)};
        }
        command->task.is_retryable = flag(words, "retryable");
        command->task.is_cancelled = flag(words, "cancelled");
        break;
    case COMMAND_STEP_REQUEST:
        read_step_request(words, third, command);
        break;
    case COMMAND_RESUME:
        command->resume.key = third;
        command->resume.data = STR("\"yes\"");
        break;
    case COMMAND_CHILD_DONE:
        command->child_done.index = (uint32_t)strtoul(third.ptr, NULL, 10);
        command->child_done.outcome.failed = flag(words, "failed");
        break;
    case COMMAND_PARK:
        command->park.outcomes_seen = (uint32_t)option(words, "seen", 0);
        break;
    case COMMAND_WAIT_DONE:
        command->wait_done.outcome.value = STR("1");
        break;
    case COMMAND_CANCEL:
        command->cancel.cause = STR("asked");
        break;
    case COMMAND_MODEL_REISSUE:
    case COMMAND_LEASE_LOST:
    case COMMAND_TIME:
    case COMMAND_CODE_CAME:
    case COMMAND_ADMIT:
    case COMMAND_WITHDRAW_ADMISSION:
    case COMMAND_INPUT:
    case COMMAND_FAIL:
    case COMMAND_COUNT:
        break;
    }
}

/* False when the line is none of the commands. */
static bool read_command(struct player *player, char *line, struct command *ret)
{
    static const char *const names[] = {
        [COMMAND_START] = "start",
        [COMMAND_MODEL_REPLIED] = "reply",
        [COMMAND_REPLY_JUDGED] = "judged",
        [COMMAND_MODEL_FAILED] = "fail",
        [COMMAND_MODEL_REISSUE] = "reissue",
        [COMMAND_LEASE_GRANT] = "grant",
        [COMMAND_LEASE_LOST] = "lost",
        [COMMAND_STEP_DONE] = "step",
        [COMMAND_CANCEL_SHOWN] = "shown",
        [COMMAND_WITHDRAW] = "giveup",
        [COMMAND_STEP_TRY] = "try",
        [COMMAND_TASK_DONE] = "done",
        [COMMAND_TIME] = "time",
        [COMMAND_CANCEL] = "cancel",
        [COMMAND_STEP_REQUEST] = "request",
        [COMMAND_RESUME] = "resume",
        [COMMAND_WAIT_DONE] = "event",
        [COMMAND_CHILD_DONE] = "child",
        [COMMAND_PARK] = "park",
        [COMMAND_CODE_CAME] = "code",
        [COMMAND_ADMIT] = "admit",
        [COMMAND_WITHDRAW_ADMISSION] = "withdraw",
        [COMMAND_INPUT] = "say",
        [COMMAND_FAIL] = "end",
    };
    static_assert(COUNT_OF(names) == COMMAND_COUNT);
    struct words words = split(line);
    *ret = (struct command){.kind = COMMAND_COUNT, .now_ms = player->now_ms};
    for (int kind = 0; kind < COMMAND_COUNT; kind++) {
        if (strcmp(words.word[0], names[kind]) == 0) {
            ret->kind = (enum command_kind)kind;
        }
    }
    if (ret->kind == COMMAND_COUNT) {
        return false;
    }
    if (words.count > 1) {
        sscanf(words.word[1], "%u.%u", &ret->effect, &ret->attempt);
    }
    read_rest(player, &words, ret);
    return true;
}

static void print_event(struct buf *text, const struct event *event)
{
    buf_printf(text, " %s", engine_event_name(event->kind));
    if (event->effect != 0) {
        buf_printf(text, " %u.%u", event->effect, event->attempt);
    }
    str more = STR_EMPTY;
    if (event->kind == EVENT_RUN_COMPLETED) {
        more = event->run_completed.stop_reason;
    } else if (event->kind == EVENT_RUN_FAILED) {
        more = event->run_failed.reason;
    } else if (event->kind == EVENT_TASK_REQUESTED) {
        more = event->task_requested.name;
    } else if (event->kind == EVENT_TASK_SETTLED && event->task_settled.outcome.failed) {
        more = event->task_settled.outcome.error_type;
    } else if (event->kind == EVENT_WAIT_SET) {
        more = event->wait_set.key;
    } else if (event->kind == EVENT_WAIT_SETTLED && event->wait_settled.outcome.failed) {
        more = event->wait_settled.outcome.error_type;
    } else if (event->kind == EVENT_TASK_PARKED) {
        more = event->task_parked.is_ready ? STR("ready") : STR("waits");
    }
    buf_printf(text, more.len > 0 ? "(" STR_FMT ")" : "%.*s", STR_ARG(more));
}

/* Whom the tasks without a host wait for; deployments are called v1, v2, v3. */
static void print_pins(struct buf *text, const struct run *run)
{
    for (uint32_t i = 0; i < run->effect_count; i++) {
        const struct effect *task = &run->effects[i];
        if (!effect_is_task(task) || task->state == EFFECT_LEASED) {
            continue;
        }
        uint64_t pin = engine_pin(run, task);
        for (unsigned number = 1; number <= 3; number++) {
            char name[3] = {'v', (char)('0' + number), '\0'};
            if (pin == code_version_make(str_of(name), STR_EMPTY)) {
                buf_printf(text, ", %u for %s", task->id, name);
            }
        }
        bool is_bound = task->pin != 0 || run->deployment != 0;
        if (pin == CODE_VERSION_NEWEST && is_bound) {
            buf_printf(text, ", %u for the newest", task->id);
        }
    }
}

static void print_decision(struct player *player, enum verdict verdict)
{
    static const char *const verdicts[] = {"ok",  "stale",    "done before",
                                           "gap", "terminal", "refused"};
    struct buf *text = &player->played;
    buf_printf(text, "    %s:", verdicts[verdict]);
    for (size_t i = 0; i < player->decision.count; i++) {
        buf_printf(text, "%s", i == 0 ? "" : ",");
        print_event(text, &player->decision.events[i]);
    }
    uint64_t next_ms = engine_next_deadline(&player->run);
    const struct run *run = &player->run;
    buf_printf(text, " => %s",
               run->state == RUN_LIVE ? engine_phase_name((enum run_phase)run->phase)
                                      : engine_state_name((enum run_state)run->state));
    buf_printf(text, "%s", engine_is_waiting(&player->run) ? ", waiting" : "");
    print_pins(text, &player->run);
    buf_printf(text, next_ms == 0 ? "\n" : ", alarm at %llu\n", (unsigned long long)next_ms);
}

static void play_line(struct player *player, const char *line)
{
    char copy[LINE_MAX];
    snprintf(copy, sizeof(copy), "%s", line);
    if (line[0] == ' ') {
        return; /* An answer: it is written anew. */
    }
    buf_put(&player->played, str_of(line));
    if (line[0] == '#' || line[0] == '\n') {
        return;
    }
    if (strncmp(line, "at ", 3) == 0) {
        player->now_ms = strtoull(line + 3, NULL, 10);
        return;
    }
    struct command command;
    if (!read_command(player, copy, &command)) {
        buf_put(&player->played, STR("    no such command\n"));
        return;
    }
    enum verdict verdict = engine_decide(&player->run, &command, &player->decision);
    for (size_t i = 0; i < player->decision.count; i++) {
        engine_apply(&player->run, &player->decision.events[i]);
    }
    print_decision(player, verdict);
}

static bool play(const char *path)
{
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        printf("%s: cannot be read\n", path);
        return false;
    }
    struct player player = {.now_ms = 0};
    struct buf found = {0};
    char line[LINE_MAX];
    arena_init(&player.arena, 0);
    engine_init(&player.run);
    while (fgets(line, sizeof(line), file) != NULL) {
        buf_put(&found, str_of(line));
        play_line(&player, line);
    }
    fclose(file);
    bool is_same = found.len > 0 && str_equal(buf_str(&found), buf_str(&player.played));
    if (!is_same) {
        printf("%s: the engine does not do that any more. It does:\n" STR_FMT "\n", path,
               STR_ARG(buf_str(&player.played)));
    }
    arena_fini(&player.arena);
    buf_fini(&player.played);
    buf_fini(&found);
    return is_same;
}

int main(int argc, char **argv)
{
    int failed = argc == 1;
    for (int i = 1; i < argc; i++) {
        failed += !play(argv[i]);
    }
    printf("%d passed, %d failed\n", argc - 1 - failed, failed);
    return failed == 0 ? 0 : 1;
}
