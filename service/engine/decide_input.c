/* What is said to an agent while it is at work. */
#include "service/engine/draft.h"

enum verdict decide_input(struct draft *draft, const struct command *command)
{
    if (draft->run.inputs_open == ENGINE_INPUTS_MAX) {
        return VERDICT_REFUSED;
    }
    draft_emit(draft, (struct event){
                          .kind = EVENT_INPUT_ACCEPTED,
                          .input_accepted = {.number = draft->run.inputs_accepted + 1,
                                             .data = command->input.data,
                                             .key = command->input.key},
                      });
    return VERDICT_OK;
}

static uint32_t first_open(const struct draft *draft)
{
    assert(draft->run.inputs_open > 0);
    return draft->run.inputs_accepted - draft->run.inputs_open + 1;
}

void draft_take_inputs(struct draft *draft)
{
    while (draft->run.inputs_open > 0) {
        draft_emit(draft,
                   (struct event){
                       .kind = EVENT_INPUT_TAKEN,
                       .input_taken = {.number = first_open(draft), .turn = draft->run.turns + 1},
                   });
    }
}

void draft_return_inputs(struct draft *draft)
{
    while (draft->run.inputs_open > 0) {
        draft_emit(draft, (struct event){
                              .kind = EVENT_INPUT_RETURNED,
                              .input_returned = {.number = first_open(draft)},
                          });
    }
}
