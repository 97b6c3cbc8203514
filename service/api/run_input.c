#include "service/api/run_input.h"

#include "service/agents/transcript.h"
#include "service/base/base64.h"
#include "service/base/json_writer.h"

static const char *const role_words[] = {
    [POLOS__V1__MESSAGE__ROLE__ROLE_UNSPECIFIED] = "user",
    [POLOS__V1__MESSAGE__ROLE__ROLE_SYSTEM] = "system",
    [POLOS__V1__MESSAGE__ROLE__ROLE_USER] = "user",
    [POLOS__V1__MESSAGE__ROLE__ROLE_ASSISTANT] = "assistant",
};

static bool put_source(struct check *check, const char *field, const Polos__V1__Media *media,
                       struct json_writer *writer)
{
    struct buf data = {0};
    if (media->source_case == POLOS__V1__MEDIA__SOURCE_URL) {
        json_put_string(writer, "url", str_of(media->url));
        return str_of(media->url).len > 0 ||
               check_fault(check, check_path(check, "%s.url", field), "it must not be empty");
    }
    if (media->source_case != POLOS__V1__MEDIA__SOURCE_DATA || media->data.len == 0) {
        return check_fault(check, check_path(check, "%s.data", field),
                           "it is required, or url: the bytes, or where they are");
    }
    base64_encode(str_make((const char *)media->data.data, media->data.len), &data);
    json_put_string(writer, "data", buf_str(&data));
    buf_fini(&data);
    return str_of(media->media_type).len > 0 ||
           check_fault(check, check_path(check, "%s.media_type", field),
                       "it is required with data: \"image/png\"");
}

static bool put_media(struct check *check, const char *field, enum _Polos__V1__Message__Role role,
                      const Polos__V1__Media *media, struct json_writer *writer)
{
    if (role != POLOS__V1__MESSAGE__ROLE__ROLE_USER &&
        role != POLOS__V1__MESSAGE__ROLE__ROLE_UNSPECIFIED) {
        return check_fault(check, field, "only a user shows media");
    }
    json_put_string(writer, "type", STR("media"));
    if (str_of(media->media_type).len > 0) {
        json_put_string(writer, "media_type", str_of(media->media_type));
    }
    if (str_of(media->filename).len > 0) {
        json_put_string(writer, "filename", str_of(media->filename));
    }
    return put_source(check, field, media, writer);
}

static bool put_part(struct check *check, const char *field, enum _Polos__V1__Message__Role role,
                     const Polos__V1__Part *part, struct json_writer *writer)
{
    if (part->part_case == POLOS__V1__PART__PART_MEDIA) {
        return put_media(check, check_path(check, "%s.media", field), role, part->media, writer);
    }
    if (part->part_case != POLOS__V1__PART__PART_TEXT) {
        return check_fault(check, check_path(check, "%s.text", field),
                           "it is required, or media: other parts are not known here");
    }
    json_put_string(writer, "type", STR("text"));
    json_put_string(writer, "text", str_of(part->text));
    return str_of(part->text).len > 0 ||
           check_fault(check, check_path(check, "%s.text", field), "it must not be empty");
}

/* One text is the content itself; anything else is an array of parts. */
static bool put_parts(struct check *check, const char *field, const Polos__V1__Message *message,
                      struct json_writer *writer)
{
    if (!check_range(check, check_path(check, "%s.parts", field), (int64_t)message->n_parts, 1,
                     RUN_INPUT_PARTS_MAX)) {
        return false;
    }
    const Polos__V1__Part *first = message->parts[0];
    if (message->n_parts == 1 && first->part_case == POLOS__V1__PART__PART_TEXT &&
        str_of(first->text).len > 0) {
        json_put_string(writer, "content", str_of(first->text));
        return true;
    }
    bool is_fine = true;
    json_begin_array(writer, "content");
    for (size_t i = 0; is_fine && i < message->n_parts; i++) {
        json_begin_object(writer, NULL);
        is_fine = put_part(check, check_path(check, "%s.parts[%zu]", field, i), message->role,
                           message->parts[i], writer);
        json_end_object(writer);
    }
    json_end_array(writer);
    return is_fine;
}

static bool put_message(struct check *check, const char *field, const Polos__V1__Message *message,
                        struct json_writer *writer)
{
    if ((int)message->role < 0 || (size_t)message->role >= COUNT_OF(role_words)) {
        return check_fault(check, check_path(check, "%s.role", field), "%d is none",
                           (int)message->role);
    }
    if (str_of(message->origin).len > 0) {
        return check_fault(check, check_path(check, "%s.origin", field),
                           "leave it empty: only a history names who said it");
    }
    json_begin_object(writer, NULL);
    json_put_string(writer, "role", str_of(role_words[message->role]));
    bool is_fine = put_parts(check, field, message, writer);
    json_end_object(writer);
    return is_fine;
}

static bool put_messages(struct check *check, const char *prefix, const struct run_input *input,
                         struct buf *out)
{
    struct json_writer writer = json_writer_of(out);
    bool is_fine = check_range(check, check_path(check, "%smessages", prefix),
                               (int64_t)input->message_count, 1, RUN_INPUT_MESSAGES_MAX);
    json_begin_array(&writer, NULL);
    for (size_t i = 0; is_fine && i < input->message_count; i++) {
        is_fine = put_message(check, check_path(check, "%smessages[%zu]", prefix, i),
                              input->messages[i], &writer);
    }
    json_end_array(&writer);
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
