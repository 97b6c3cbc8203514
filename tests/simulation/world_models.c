/*
 * The provider: shows a call's text in pieces, then answers once; or fails, or answers when
 * nobody listens any more. What it may be asked is judged by the laws.
 */
#include <stdlib.h>

#include "service/features/models/models.h"
#include "service/partition/state.h"
#include "tests/simulation/world.h"

enum {
    TEXT_BYTES_MAX = 400,
    CALLS_PER_REPLY_MAX = ENGINE_TOOL_CALLS_MAX + 4,
};

uint64_t world_text_seed(const struct world *world, str marker, uint32_t turn, uint32_t attempt)
{
    return str_hash(marker) ^ (world->seed * 0x9E3779B97F4A7C15u) ^ ((uint64_t)turn << 32) ^
           attempt;
}

void world_model_text(uint64_t text_seed, size_t from, size_t len, char *ret)
{
    for (size_t i = 0; i < len; i++) {
        struct draw draw = {text_seed + from + i};
        ret[i] = (char)('a' + draw_u64(&draw) % 26);
    }
}

static status check(void *self, const struct model_request *request, struct arena *arena)
{
    (void)arena;
    struct world *world = self;
    world_expect(world, str_is(request->provider, "invented"), "starts-ask-for-their-provider");
    return STATUS_OK;
}

static uint32_t count_turns(const struct model_request *request)
{
    uint32_t turns = 0;
    for (size_t i = 0; i < request->message_count; i++) {
        turns += request->messages[i].role == MODEL_ROLE_ASSISTANT;
    }
    return turns;
}

/* The open model call of a run; 0: none. */
static uint32_t open_call(const struct sim_run *run)
{
    uint32_t id = 0;
    for (uint32_t i = 1; i <= run->ledger.effect_count; i++) {
        const struct ledger_effect *effect = ledger_open(&run->ledger, i);
        id = effect != NULL && effect->kind == EFFECT_MODEL ? i : id;
    }
    return run->ledger.ended == EVENT_NONE ? id : 0;
}

/* All that its model has said, what guardrails turned down included. */
static uint32_t replies_of(const struct sim_run *run)
{
    return run->ledger.replies + run->ledger.turned_down_in_all;
}

static bool may_ask(const struct sim_run *run, const struct model_request *request)
{
    uint32_t id = open_call(run);
    return id != 0 && run->ledger.effects[id].attempt == request->attempt &&
           run->ledger.effects[id].retry_at_ms == 0 && replies_of(run) == count_turns(request) &&
           run->calls_seen[id] < request->attempt;
}

/* A fork begins with the same words as the run it was made from. */
static struct sim_run *find_caller(struct world *world, const struct model_request *request)
{
    struct sim_run *found = NULL;
    struct buf marker = {0};
    buf_put_json_string(&marker, request->messages[0].blocks[0].text);
    for (size_t i = 0; i < world->run_count; i++) {
        struct sim_run *run = world->runs[i];
        if (str_equal(run->marker, buf_str(&marker)) &&
            (found == NULL || !may_ask(found, request))) {
            found = run;
        }
    }
    buf_fini(&marker);
    return found;
}

/* Whose reply it is says its name in the log: what is judged are no words of the run's start. */
static struct sim_run *find_judged(struct world *world, const struct model_request *request)
{
    char id[UUID_TEXT_BYTES];
    for (size_t i = 0; i < world->run_count; i++) {
        uuid_format(world->runs[i]->id, id);
        if (request->log_name.len > 0 &&
            memmem(request->log_name.ptr, request->log_name.len, id, strlen(id)) != NULL) {
            return world->runs[i];
        }
    }
    return NULL;
}

/* Then nobody knows here which of them has asked. */
static bool has_copies(const struct world *world, const struct sim_run *run)
{
    size_t count = 0;
    for (size_t i = 0; i < world->run_count; i++) {
        count += str_equal(world->runs[i]->marker, run->marker);
    }
    return count > 1;
}

/* A call is made when its request is on disk, once for each attempt, with the facts so far. */
static struct sim_run *judge_start(struct world *world, const struct model_request *request)
{
    world_expect(world, request->message_count > 0 && request->messages[0].block_count > 0,
                 "a-call-has-messages");
    if (!world_is_well(world)) {
        return NULL;
    }
    struct sim_run *run =
        request->judgement > 0 ? find_judged(world, request) : find_caller(world, request);
    world_expect(world, run != NULL, "acts-follow-their-commit");
    if (run == NULL) {
        return NULL;
    }
    uint32_t id = open_call(run);
    world_expect(world, id != 0, "settled-calls-are-not-made-again");
    if (id == 0) {
        return NULL;
    }
    const struct ledger_effect *effect = &run->ledger.effects[id];
    world_expect(world, request->attempt == effect->attempt, "acts-follow-their-commit");
    world_expect(world, effect->retry_at_ms == 0, "calls-that-back-off-are-not-made");
    world_expect(world, (effect->phase == CALLBACK_REPLY) == (request->judgement > 0),
                 "a-judgement-is-asked-for-as-one");
    world_expect(world, request->judgement > 0 || count_turns(request) == replies_of(run),
                 "a-call-knows-all-turns");
    world_expect(world, run->calls_seen[id] < request->attempt, "one-call-per-attempt");
    world_expect(world, run->replied_life[id] != world->life || has_copies(world, run),
                 "a-reply-is-paid-for-once");
    run->calls_seen[id] = request->attempt;
    if (request->judgement > 0) {
        return run;
    }
    unsigned version = request->system.len == 0 ? 99 : (unsigned)(request->system.ptr[0] - '0');
    world_expect(
        world, version < world->definition_count && world->definitions[version] == run->definition,
        "a-run-keeps-its-definition");
    return run;
}

/* The model is told of each of its answers that was rejected, and why. */
static void judge_feedback(struct world *world, const struct sim_run *run,
                           const struct model_request *request)
{
    uint32_t count = 0;
    for (size_t i = 1; i < request->message_count; i++) {
        const struct model_message *message = &request->messages[i];
        bool is_input =
            message->block_count > 0 && str_starts_with(message->blocks[0].text, STR("say "));
        if (message->role == MODEL_ROLE_USER && message->is_amid && !is_input) {
            count++;
            world_expect(world,
                         (request->messages[i - 1].role == MODEL_ROLE_ASSISTANT ||
                          run->ledger.turned_down_in_all > 0) &&
                             message->blocks[0].text.len > 0,
                         "feedback-stands-behind-its-answer");
        }
    }
    world_expect(world, (run->ledger.output_tries > 0) == (request->output_schema_json.len > 0),
                 "a-schema-is-judged-by");
    world_expect(world, count == run->ledger.rejections + run->ledger.turned_down_in_all,
                 "a-model-is-told-of-each-rejection");
    world->counts.rejections += run->ledger.is_rejected;
}

/* Every call of the last turn has its result, of the task that ran it. */
static void judge_results(struct world *world, const struct model_request *request)
{
    for (size_t i = 0; i + 1 < request->message_count; i++) {
        const struct model_message *asked = &request->messages[i];
        const struct model_message *answered = &request->messages[i + 1];
        if (asked->role != MODEL_ROLE_ASSISTANT) {
            continue;
        }
        size_t result = 0;
        for (size_t j = 0; j < asked->block_count; j++) {
            if (asked->blocks[j].kind != MODEL_BLOCK_TOOL_CALL) {
                continue;
            }
            bool is_there = answered->role == MODEL_ROLE_TOOL && result < answered->block_count;
            world_expect(world,
                         is_there &&
                             str_equal(answered->blocks[result].call_id, asked->blocks[j].call_id),
                         "every-call-has-its-result");
            if (!world_is_well(world)) {
                return;
            }
            result++;
        }
    }
}

/* What callbacks made of results is what the model is told of them. */
static void judge_amended(struct world *world, const struct sim_run *run,
                          const struct model_request *request)
{
    size_t made = 0;
    size_t told = 0;
    for (uint32_t id = 1; id <= run->ledger.effect_count; id++) {
        made += run->ledger.effects[id].result != 0;
    }
    for (size_t i = 0; i < request->message_count; i++) {
        const struct model_message *message = &request->messages[i];
        for (size_t j = 0; j < message->block_count; j++) {
            told += message->blocks[j].kind == MODEL_BLOCK_TOOL_RESULT &&
                    str_is(message->blocks[j].text, "amended");
        }
    }
    world_expect(world, made == told, "a-model-is-told-what-callbacks-left");
}

static struct sim_call *find_call(struct world *world, uint64_t number)
{
    for (size_t i = 0; i < world->call_count; i++) {
        if (world->calls[i].in_use && world->calls[i].number == number) {
            return &world->calls[i];
        }
    }
    return NULL;
}

static struct model_sink sink(struct world *world)
{
    return models_sink(world->partition);
}

static bool is_heard(const struct world *world, const struct sim_call *call)
{
    return world->partition != NULL && !world->is_dead && call->life == world->life;
}

static void answer_failure(struct world *world, struct sim_call *call)
{
    struct model_failure failure = {
        .code = CODE_UNAVAILABLE,
        .reason = "OVERLOADED",
        .message = STR("the provider is overloaded"),
        .retryable = !world_fault(world, 15),
        .partial = call->shown > 0,
        .retry_after_ms = world_below(world, 5) == 0 ? world_below(world, 20000) : 0,
    };
    sink(world).failed(sink(world).context, call->call, &failure);
}

static size_t draw_tool_calls(struct world *world, struct sim_call *call,
                              struct model_block *blocks)
{
    static const struct {
        const char *name;
        const char *arguments;
    } kinds[] = {
        {"add", "{\"a\":1}"},       {"add", "{\"a\":2, \"b\" : 3}"},
        {"search", "{}"},           {"slow", "{}"},
        {"send", "{\"to\":\"x\"}"}, {"nowhere", "{}"},
        {"no_such_tool", "{}"},     {"add", "[1]"},
        {"add", "{\"broken\""},
    };
    static const size_t sizes[] = {1, 1, 2, 2, 3, 4, 6, CALLS_PER_REPLY_MAX};
    size_t count = sizes[world_below(world, world->calm ? 4 : COUNT_OF(sizes))];
    for (size_t i = 0; i < count; i++) {
        size_t kind = world_below(world, COUNT_OF(kinds));
        blocks[i] = (struct model_block){
            .kind = MODEL_BLOCK_TOOL_CALL,
            .call_id = arena_printf(&world->arena, "c%u-%zu", call->turn, i),
            .name = str_of(kinds[kind].name),
            .arguments = str_of(kinds[kind].arguments),
            .arguments_invalid = kind + 2 >= COUNT_OF(kinds),
        };
    }
    return count;
}

/* Some of them fit WORLD_OUTPUT_SCHEMA. */
static const char *const answers[] = {
    WORLD_OUTPUT,         "```json\n" WORLD_OUTPUT "\n```", "{\"is_done\":false}", "{}",
    "[" WORLD_OUTPUT "]",
};

/* Of a judge; one says nothing that can be understood. */
static const char *const verdicts[] = {
    "{\"passed\":true,\"reason\":\"\"}",
    "```json\n{\"passed\":true}\n```",
    "{\"passed\":true,\"reason\":\"kind\"}",
    "{\"passed\":false,\"reason\":\"rude\"}",
    "It is kind.",
};

bool world_output_fits(str text)
{
    return str_is(text, answers[0]) || str_is(text, answers[1]);
}

static void answer_reply(struct world *world, struct sim_call *call)
{
    struct model_block blocks[1 + CALLS_PER_REPLY_MAX];
    char text[TEXT_BYTES_MAX];
    bool wants_tools = world_below(world, 100) < 65;
    static const enum model_stop stops[] = {
        MODEL_STOP_END,        MODEL_STOP_END,     MODEL_STOP_END,
        MODEL_STOP_MAX_TOKENS, MODEL_STOP_REFUSAL, MODEL_STOP_CONTENT_FILTER,
        MODEL_STOP_SEQUENCE,
    };
    world_model_text(call->text_seed, 0, call->text_len, text);
    blocks[0] =
        (struct model_block){.kind = MODEL_BLOCK_TEXT, .text = str_make(text, call->text_len)};
    wants_tools = wants_tools && !call->is_judgement;
    if (call->is_judgement) {
        blocks[0].text = str_of(verdicts[world_below(world, world->calm ? 3 : COUNT_OF(verdicts))]);
    } else if (call->is_structured && world_below(world, 100) < 70) {
        blocks[0].text = str_of(answers[world_below(world, COUNT_OF(answers))]);
    }
    struct model_reply reply = {
        .blocks = blocks,
        .block_count = 1,
        .usage = {.input = world_below(world, 50), .output = world_below(world, 50), .known = true},
        .stop = wants_tools ? MODEL_STOP_TOOL_USE : stops[world_below(world, COUNT_OF(stops))],
        .stop_raw = STR("stop"),
        .response_id = STR("r"),
        .model = STR("m"),
    };
    if (wants_tools) {
        reply.block_count += draw_tool_calls(world, call, &blocks[1]);
    }
    world_say(world, "provider: replies to %.6s.. turn %u%s", call->run->marker.ptr, call->turn,
              call->is_over ? ", late" : "");
    bool is_none = call->is_judgement && str_is(blocks[0].text, "It is kind.");
    call->run->replied_life[call->effect] = call->is_over || is_none ? 0 : world->life;
    sink(world).done(sink(world).context, call->call, &reply);
}

static void answer(struct world *world, void *context, uint64_t number);

/* A commit of its run fails before it is answered, and so do reads for a while. */
static bool fails_beside(struct world *world, struct sim_call *call)
{
    if (world->calm || call->is_over || call->is_beside_failure || world->seed % 4 != 0 ||
        !draw_chance(&world->disk, 15)) {
        return false;
    }
    call->is_beside_failure = true;
    world_answer_early(world, call->run->id);
    world_store_fail_next(world);
    world_at(world, draw_below(&world->disk, 1500), answer, NULL, call->number);
    return true;
}

static void answer(struct world *world, void *context, uint64_t number)
{
    (void)context;
    struct sim_call *call = find_call(world, number);
    if (call == NULL || !is_heard(world, call) || fails_beside(world, call)) {
        return;
    }
    world->counts.late_answers += call->is_over;
    if (call->is_over && !world_fault(world, 50)) {
        call->in_use = false;
        return;
    }
    if (world_below(world, 100) < world->provider_failure_percent) {
        answer_failure(world, call);
    } else {
        answer_reply(world, call);
    }
    bool again = world_fault(world, 5) && !call->is_over;
    call->is_over = true;
    if (again) {
        world_at(world, world_below(world, 3000), answer, NULL, number);
    } else {
        call->in_use = false;
    }
}

static void show(struct world *world, void *context, uint64_t number)
{
    (void)context;
    struct sim_call *call = find_call(world, number);
    if (call == NULL || call->is_over || !is_heard(world, call)) {
        return;
    }
    char text[TEXT_BYTES_MAX];
    size_t left = call->text_len - call->shown;
    size_t len = left == 0 ? 0 : 1 + world_below(world, left < 60 ? left : 60);
    if (len == 0) {
        world_at(world, world_below(world, 2000), answer, NULL, number);
        return;
    }
    world_model_text(call->text_seed, call->shown, len, text);
    call->shown += len;
    enum model_delta_kind kind = (enum model_delta_kind)world_below(world, 2);
    sink(world).delta(sink(world).context, call->call, kind, str_make(text, len));
    world_at(world, world_below(world, 400), show, NULL, number);
}

static struct sim_call *free_call(struct world *world)
{
    for (size_t i = 0; i < world->call_count; i++) {
        if (!world->calls[i].in_use) {
            return &world->calls[i];
        }
    }
    world->call_count++;
    world->calls = xrealloc(world->calls, world->call_count * sizeof(world->calls[0]));
    return &world->calls[world->call_count - 1];
}

static void start(void *self, uint64_t number, const struct model_request *request)
{
    struct world *world = self;
    if (!world_sees(world)) {
        return;
    }
    struct sim_run *run = judge_start(world, request);
    if (run == NULL) {
        return;
    }
    world_expect(world, !world->partition->requests.is_draining, "who-drains-begins-no-call");
    judge_results(world, request);
    if (request->judgement == 0 &&
        !has_copies(world, run)) { /* Else it may be another's, and of other facts. */
        judge_feedback(world, run, request);
        judge_amended(world, run, request);
        laws_judge_inputs(world, run, request);
    }
    world->counts.model_calls++;
    struct sim_call *call = free_call(world);
    uint32_t turn = count_turns(request);
    *call = (struct sim_call){
        .in_use = true,
        .call = number,
        .life = world->life,
        .run = run,
        .effect = open_call(run),
        .number = ++world->call_number,
        .turn = turn,
        .is_judgement = request->judgement > 0,
        .is_structured = request->output_schema_json.len > 0,
        .text_seed = world_text_seed(world, run->marker, turn, request->attempt),
        .text_len = world_below(world, TEXT_BYTES_MAX),
    };
    world_say(world, "provider: call of %.6s.. turn %u attempt %u", run->marker.ptr, turn,
              request->attempt);
    uint64_t delay_ms =
        world_fault(world, 3) ? world_below(world, 120000) : world_below(world, 900);
    bool in_pieces = world_below(world, 100) < 70;
    world_at(world, delay_ms, in_pieces ? show : answer, NULL, call->number);
}

static void cancel(void *self, uint64_t number)
{
    struct world *world = self;
    if (!world_sees(world)) {
        return;
    }
    for (size_t i = 0; i < world->call_count; i++) {
        struct sim_call *call = &world->calls[i];
        if (call->in_use && call->life == world->life && call->call == number) {
            world_say(world, "provider: call of %.6s.. is withdrawn", call->run->marker.ptr);
            call->is_over = true; /* One answer may be under way. */
            world_at(world, world_below(world, 500), answer, NULL, call->number);
        }
    }
}

void world_models_check(struct world *world)
{
    for (size_t i = 0; i < world->call_count; i++) {
        const struct sim_call *call = &world->calls[i];
        bool is_out = call->in_use && !call->is_over && call->life == world->life;
        bool has_ended = is_out && call->run->ledger.ended != EVENT_NONE;
        world_expect(world, !has_ended || has_copies(world, call->run),
                     "calls-of-what-has-ended-are-withdrawn");
    }
}

void world_models_end_life(struct world *world)
{
    for (size_t i = 0; i < world->call_count; i++) {
        world->calls[i].in_use = false;
    }
}

struct model_client world_models(struct world *world)
{
    static const struct model_client_vtable vtable = {check, start, cancel};
    return (struct model_client){.vtable = &vtable, .self = world};
}
