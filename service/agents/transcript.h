/*
 * transcript: the facts of an agent run as a conversation for the model.
 *
 * Built anew from the journal for each model call, so that prompts and the loop may change under
 * a live run. What a provider sent opaquely goes back as it came.
 */
#ifndef SERVICE_AGENTS_TRANSCRIPT_H
#define SERVICE_AGENTS_TRANSCRIPT_H

#include "service/agents/definition.h"
#include "service/base/arena.h"
#include "service/base/buf.h"
#include "service/engine/engine.h"
#include "service/llm/provider.h"

/* Packs a reply for COMMAND_MODEL_REPLIED (a journal ModelReply). origin: "provider/model". */
void transcript_pack_reply(const struct model_reply *reply, str origin, struct buf *ret);
/* `raw` and all texts point into `packed` or the arena. */
status transcript_unpack_reply(str packed, struct arena *arena, struct model_reply *ret,
                               str *ret_origin);
/* What a reply says: its texts, one behind the other. */
str transcript_reply_text(const struct model_reply *reply, struct arena *arena);
/* The same, or where it says nothing why it refused. */
str transcript_reply_said(const struct model_reply *reply, struct arena *arena);

/*
 * The request of the run's next model call, from its records in order (as codec_encode wrote
 * them). Lives as long as the arena and the records. The messages: the run's input (a JSON string
 * is one user message; a JSON array gives messages with role and content), then each reply and
 * its tool results in the order of the calls, or as the user what is wrong with it as an answer;
 * then what the user said meanwhile. A failed tool is shown as "Error: <message>". The definition's
 * options and the run's are merged, the run's win.
 */
status transcript_request(const struct agent_definition *definition, const str *records,
                          size_t record_count, struct arena *arena, struct model_request *ret);

/* The provider's options of a run: those of the definition, and its own, which win. */
status transcript_options(const struct agent_definition *definition, const str *records,
                          size_t record_count, struct arena *arena, str *ret);

/* What a model call says of its model alone, to be checked before there is a conversation. */
struct model_request transcript_bare_request(const struct agent_definition *definition,
                                             str options_json);

/* The messages of a run's input, before it is started; `why` says what is wrong with it. They live
 * as long as the arena and the input. */
status transcript_check_input(str input_json, struct arena *arena,
                              const struct model_message **ret_messages, size_t *ret_count);

/* Judges the tool calls of a reply against the definition: what is not to be run carries a refusal
 * for the model (unknown tool, arguments no JSON object, reply cut off, too many calls). */
void transcript_judge_calls(const struct agent_definition *definition,
                            const struct model_reply *reply, struct arena *arena,
                            const struct tool_call **ret_calls, size_t *ret_count,
                            enum reply_stop *ret_stop);

#endif
