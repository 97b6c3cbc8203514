#include "service/base/json_writer.h"

struct json_writer json_writer_of(struct buf *buf)
{
    return (struct json_writer){.buf = buf};
}

static bool is_in_object(const struct json_writer *writer)
{
    return writer->depth > 0 && (writer->objects >> (writer->depth - 1) & 1) != 0;
}

/* What stands before a value. */
static void begin_value(struct json_writer *writer, const char *name)
{
    assert(is_in_object(writer) == (name != NULL));
    assert((writer->depth > 0 || !writer->needs_comma) && "one value has been written already");
    if (writer->needs_comma) {
        buf_put_char(writer->buf, ',');
    }
    writer->needs_comma = true;
    if (name != NULL) {
        buf_put_json_string(writer->buf, str_of(name));
        buf_put_char(writer->buf, ':');
    }
}

static void begin_container(struct json_writer *writer, const char *name, bool is_object)
{
    assert(writer->depth < JSON_WRITER_DEPTH_MAX);
    begin_value(writer, name);
    uint64_t bit = (uint64_t)1 << writer->depth;
    writer->objects = is_object ? writer->objects | bit : writer->objects & ~bit;
    writer->depth++;
    writer->needs_comma = false;
    buf_put_char(writer->buf, is_object ? '{' : '[');
}

static void end_container(struct json_writer *writer, bool is_object)
{
    assert(writer->depth > 0 && is_in_object(writer) == is_object);
    writer->depth--;
    writer->needs_comma = true;
    buf_put_char(writer->buf, is_object ? '}' : ']');
}

void json_begin_object(struct json_writer *writer, const char *name)
{
    begin_container(writer, name, true);
}

void json_end_object(struct json_writer *writer)
{
    end_container(writer, true);
}

void json_begin_array(struct json_writer *writer, const char *name)
{
    begin_container(writer, name, false);
}

void json_end_array(struct json_writer *writer)
{
    end_container(writer, false);
}

void json_put_string(struct json_writer *writer, const char *name, str text)
{
    begin_value(writer, name);
    buf_put_json_string(writer->buf, text);
}

void json_put_u64(struct json_writer *writer, const char *name, uint64_t number)
{
    begin_value(writer, name);
    buf_printf(writer->buf, "%llu", (unsigned long long)number);
}

void json_put_i64(struct json_writer *writer, const char *name, int64_t number)
{
    begin_value(writer, name);
    buf_printf(writer->buf, "%lld", (long long)number);
}

void json_put_bool(struct json_writer *writer, const char *name, bool fact)
{
    json_put_raw(writer, name, fact ? STR("true") : STR("false"));
}

void json_put_null(struct json_writer *writer, const char *name)
{
    json_put_raw(writer, name, STR_EMPTY);
}

void json_put_uuid(struct json_writer *writer, const char *name, uuid id)
{
    char text[UUID_TEXT_BYTES];
    uuid_format(id, text);
    json_put_string(writer, name, str_of(text));
}

void json_put_raw(struct json_writer *writer, const char *name, str value)
{
    begin_value(writer, name);
    buf_put(writer->buf, value.len == 0 ? STR("null") : value);
}

void json_put_members(struct json_writer *writer, str object)
{
    str text = str_trim(object);
    assert(is_in_object(writer));
    assert(text.len >= 2 && text.ptr[0] == '{' && text.ptr[text.len - 1] == '}');
    str members = str_make(text.ptr + 1, text.len - 2);
    if (str_trim(members).len == 0) {
        return;
    }
    if (writer->needs_comma) {
        buf_put_char(writer->buf, ',');
    }
    writer->needs_comma = true;
    buf_put(writer->buf, members);
}
