/*
 * The laws of agents' answers: by their text, what fits its output schema ends the run, and what
 * does not is rejected.
 */
#include "service/agents/transcript.h"
#include "tests/simulation/world.h"

static str text_of(str packed, struct arena *arena)
{
    struct model_reply reply;
    str origin;
    status read = transcript_unpack_reply(packed, arena, &reply, &origin);
    bool has_text = status_is_ok(read) && reply.block_count > 0;
    return has_text ? reply.blocks[0].text : STR_EMPTY;
}

void laws_note_answer(struct world *world, struct sim_run *run, const struct event *event)
{
    bool is_amended = event->kind == EVENT_REPLY_AMENDED;
    if (event->kind == EVENT_MODEL_REPLIED || is_amended) {
        str packed = is_amended ? event->reply_amended.reply : event->model_replied.reply;
        struct arena arena;
        arena_init(&arena, 0);
        run->answer_fits = world_output_fits(text_of(packed, &arena));
        arena_fini(&arena);
    } else if (event->kind == EVENT_REPLY_REJECTED &&
               event->reply_rejected.by == REJECTED_BY_SCHEMA) {
        world_expect(world, !run->answer_fits, "what-fits-is-not-rejected");
    } else if (event->kind == EVENT_RUN_COMPLETED && run->ledger.output_tries > 0) {
        bool is_answer = str_is(event->run_completed.stop_reason, "end") ||
                         str_is(event->run_completed.stop_reason, "length");
        world_expect(world, !is_answer || run->answer_fits, "what-does-not-fit-is-no-answer");
    }
}
