/*
 * Those who say something to agents at work, once or under a key; laws of what comes of it.
 */
#include "service/base/failure.h"
#include "service/features/inputs/inputs.h"
#include "service/partition/request.h"
#include "tests/simulation/world.h"

struct sim_input {
    struct sim_ask base;
    const struct sim_run *run;
    str data;
    str key;
};

/* Every input says which it is: the caller's count. */
static void judge_sent(struct world *world, const struct sim_input *it, uint32_t number,
                       bool existed)
{
    const struct sim_run *run = it->run;
    bool is_there = number > 0 && number <= run->ledger.inputs_accepted;
    world_expect(world, is_there, "acknowledged-inputs-are-durable");
    world_expect(world, !is_there || run->inputs[number - 1] == str_hash(it->data),
                 "an-input-is-what-was-sent");
    world_expect(world, !existed || it->key.len > 0, "only-a-key-finds-an-input");
    world->counts.inputs += !existed;
}

static void send_done(struct request *request, const struct failure *failure)
{
    const struct sim_input *it = world_answered(request);
    if (it != NULL && failure == NULL) {
        judge_sent(it->base.world, it, send_request(request)->ret_number,
                   send_request(request)->ret_existed);
    } else if (it != NULL) {
        const struct sim_run *run = it->run;
        bool is_told =
            (failure->reason == REASON_RUN_ENDED && run->ledger.ended != EVENT_NONE) ||
            (failure->reason == REASON_RUN_NOT_AGENT && run->ledger.kind != RUN_KIND_AGENT) ||
            failure->reason == REASON_TOO_MANY_INPUTS ||
            (failure->reason == REASON_RUN_NOT_FOUND && run->is_doomed);
        world_fail_law(it->base.world, failure, is_told, "who-is-at-work-can-be-told");
    }
    request_free(request);
}

static void ask(struct world *world, const struct sim_input *sent)
{
    struct sim_input *it = arena_zalloc(&world->arena, sizeof(*it));
    struct request *request = request_new(&send_operation);
    *it = *sent;
    it->base.world = world;
    request->run = it->run->id;
    send_request(request)->data = it->data;
    send_request(request)->key = it->key;
    world_ask(&it->base, request, send_done);
}

static void send(struct world *world, const struct sim_run *run)
{
    unsigned long long number = ++world->input_number;
    struct sim_input it = {
        .run = run,
        .data = arena_printf(&world->arena, "\"say %llu\"", number),
        .key =
            world_below(world, 2) == 0 ? arena_printf(&world->arena, "i%llu", number) : STR_EMPTY,
    };
    ask(world, &it);
    if (it.key.len > 0 && world_below(world, 2) == 0) {
        ask(world, &it); /* Again, perhaps in one round. */
    }
}

/* Mostly to an agent at work. */
void world_send_some(struct world *world)
{
    const struct sim_run *run = world->runs[world_below(world, world->run_count)];
    for (size_t i = 0; i < 6 && world->live_count > 0; i++) {
        const struct sim_run *live = world->live[world_below(world, world->live_count)];
        run = live->ledger.kind == RUN_KIND_AGENT ? live : run;
    }
    if (run->ledger.inputs_accepted + 2 < COUNT_OF(run->inputs) / 2) {
        send(world, run);
    }
}

void laws_note_input(struct world *world, struct sim_run *run, const struct event *event)
{
    if (event->kind != EVENT_INPUT_ACCEPTED) {
        return;
    }
    str key = event->input_accepted.key;
    uint32_t number = event->input_accepted.number;
    world_expect(world, number <= COUNT_OF(run->inputs), "the-world-has-room");
    if (!world_is_well(world)) {
        return;
    }
    run->inputs[number - 1] = str_hash(event->input_accepted.data);
    run->input_keys[number - 1] = key.len == 0 ? 0 : str_hash(key);
    for (uint32_t i = 0; i + 1 < number && key.len > 0; i++) {
        world_expect(world, run->input_keys[i] != str_hash(key), "a-key-sends-once");
    }
}

void laws_judge_inputs(struct world *world, const struct sim_run *run,
                       const struct model_request *request)
{
    uint32_t count = 0;
    for (size_t i = 0; i < request->message_count; i++) {
        const struct model_message *message = &request->messages[i];
        if (message->role != MODEL_ROLE_USER || !message->is_amid ||
            !str_starts_with(message->blocks[0].text, STR("say "))) {
            continue;
        }
        struct buf data = {0};
        buf_put_json_string(&data, message->blocks[0].text);
        world_expect(world, count < run->ledger.inputs_taken, "a-model-is-told-what-is-taken");
        world_expect(
            world, count < COUNT_OF(run->inputs) && run->inputs[count] == str_hash(buf_str(&data)),
            "a-model-is-told-in-order");
        buf_fini(&data);
        count++;
    }
    world_expect(world, count == run->ledger.inputs_taken, "a-model-is-told-what-is-taken");
}
