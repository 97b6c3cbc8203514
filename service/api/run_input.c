#include "service/api/run_input.h"

#include "service/agents/transcript.h"
#include "service/base/json_writer.h"

static const char *const role_words[] = {
    [POLOS__V1__MESSAGE__ROLE__ROLE_UNSPECIFIED] = "user",
    [POLOS__V1__MESSAGE__ROLE__ROLE_SYSTEM] = "system",
    [POLOS__V1__MESSAGE__ROLE__ROLE_USER] = "user",
    [POLOS__V1__MESSAGE__ROLE__ROLE_ASSISTANT] = "assistant",
};

static bool put_part(struct check *check, const char *field, const Polos__V1__Part *part,
                     struct buf *out)
{
    if (part->part_case != POLOS__V1__PART__PART_TEXT) {
        return check_fault(check, check_path(check, "%s.text", field),
                           "it is required: other parts are not known here");
    }
    if (str_of(part->text).len == 0) {
        return check_fault(check, check_path(check, "%s.text", field), "it must not be empty");
    }
    buf_put_json_string(out, str_of(part->text));
    return true;
}

/* One part is the content itself; several are an array of parts. */
static bool put_parts(struct check *check, const char *field, const Polos__V1__Message *message,
                      struct buf *out)
{
    bool is_array = message->n_parts > 1;
    if (!check_range(check, check_path(check, "%s.parts", field), (int64_t)message->n_parts, 1,
                     RUN_INPUT_PARTS_MAX)) {
        return false;
    }
    buf_put(out, is_array ? STR("[") : STR_EMPTY);
    for (size_t i = 0; i < message->n_parts; i++) {
        buf_put(out, i > 0 ? STR(",") : STR_EMPTY);
        buf_put(out, is_array ? STR("{\"type\":\"text\",\"text\":") : STR_EMPTY);
        if (!put_part(check, check_path(check, "%s.parts[%zu]", field, i), message->parts[i],
                      out)) {
            return false;
        }
        buf_put(out, is_array ? STR("}") : STR_EMPTY);
    }
    buf_put(out, is_array ? STR("]") : STR_EMPTY);
    return true;
}

static bool put_message(struct check *check, const char *field, const Polos__V1__Message *message,
                        struct buf *out)
{
    if ((int)message->role < 0 || (size_t)message->role >= COUNT_OF(role_words)) {
        return check_fault(check, check_path(check, "%s.role", field), "%d is none",
                           (int)message->role);
    }
    buf_put(out, STR("{\"role\":\""));
    buf_put(out, str_of(role_words[message->role]));
    buf_put(out, STR("\",\"content\":"));
    bool is_fine = put_parts(check, field, message, out);
    buf_put(out, STR("}"));
    return is_fine;
}

static bool put_messages(struct check *check, const char *prefix, const struct run_input *input,
                         struct buf *out)
{
    bool is_fine = check_range(check, check_path(check, "%smessages", prefix),
                               (int64_t)input->message_count, 1, RUN_INPUT_MESSAGES_MAX);
    buf_put(out, STR("["));
    for (size_t i = 0; is_fine && i < input->message_count; i++) {
        buf_put(out, i > 0 ? STR(",") : STR_EMPTY);
        is_fine = put_message(check, check_path(check, "%smessages[%zu]", prefix, i),
                              input->messages[i], out);
    }
    buf_put(out, STR("]"));
    return is_fine;
}

static bool take_agent_input(struct check *check, const char *prefix, const struct run_input *input,
                             str *ret)
{
    const char *field = check_path(check, "%sinput", prefix);
    const char *messages = check_path(check, "%smessages", prefix);
    struct buf out = {0};
    bool is_text = input->text.len > 0;
    if (input->json.len > 0) {
        return check_fault(check, check_path(check, "%sinput_json", prefix),
                           "leave it empty: say something to an agent in input or messages");
    }
    if (is_text && input->message_count > 0) {
        return check_fault(check, field, "set input or messages, not both");
    }
    if (!is_text && input->message_count == 0) {
        return check_fault(check, field, "it is required: say something in input or messages");
    }
    bool is_fine = is_text || put_messages(check, prefix, input, &out);
    if (is_text) {
        buf_put_json_string(&out, input->text);
    }
    *ret = buf_finish(&out, check->arena);
    return is_fine && check_value(check, is_text ? field : messages, *ret, ret);
}

bool run_input_take(struct check *check, const char *prefix, enum run_kind kind,
                    const struct run_input *input, str *ret)
{
    assert(kind > RUN_KIND_NONE && kind < RUN_KIND_COUNT);
    if (kind == RUN_KIND_AGENT) {
        return take_agent_input(check, prefix, input, ret);
    }
    if (input->text.len > 0 || input->message_count > 0) {
        return check_fault(check, check_path(check, "%sinput", prefix),
                           "leave it empty: what is no agent is started with input_json");
    }
    return check_value_or_null(check, check_path(check, "%sinput_json", prefix), input->json, ret);
}
