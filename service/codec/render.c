#include "service/codec/render.h"

#include "service/base/json.h"
#include "service/codec/codec.h"
#include "service/codec/events.h"

void render_text(struct json_writer *writer, const char *name, str text)
{
    if (text.len > 0) {
        json_put_string(writer, name, text);
    }
}

void render_number(struct json_writer *writer, const char *name, uint64_t number)
{
    if (number != 0) {
        json_put_u64(writer, name, number);
    }
}

void render_true(struct json_writer *writer, const char *name, bool fact)
{
    if (fact) {
        json_put_bool(writer, name, true);
    }
}

void render_json(struct json_writer *writer, const char *name, str value)
{
    if (json_is_valid(value)) {
        json_put_raw(writer, name, value);
    } else {
        render_text(writer, name, value);
    }
}

void render_id(struct json_writer *writer, const char *name, uuid id)
{
    if (!uuid_is_zero(id)) {
        json_put_uuid(writer, name, id);
    }
}

void render_hex(struct json_writer *writer, const char *name, str bytes)
{
    struct buf text = {NULL, 0, 0};
    for (size_t i = 0; i < bytes.len; i++) {
        buf_printf(&text, "%02x", (unsigned)(uint8_t)bytes.ptr[i]);
    }
    render_text(writer, name, buf_str(&text));
    buf_fini(&text);
}

void render_outcome(struct json_writer *writer, const struct outcome *outcome)
{
    if (!outcome->failed) {
        render_json(writer, "value", outcome->value);
        return;
    }
    json_begin_object(writer, "error");
    render_text(writer, "type", outcome->error_type);
    render_text(writer, "message", outcome->error_message);
    render_text(writer, "stack", outcome->error_stack);
    json_end_object(writer);
}

void codec_render(const struct event *event, struct buf *ret)
{
    const struct event_row *row = event_row_of((unsigned)event->kind);
    assert(row != NULL);
    struct json_writer writer = json_writer_of(ret);
    json_begin_object(&writer, NULL);
    if (row->render != NULL) {
        row->render(&writer, event);
    }
    json_end_object(&writer);
}
