#include "clients/sandbox/box/frame.h"

#include "service/base/endian.h"
#include "service/base/json_writer.h"

void frame_put(struct buf *buf, enum frame_kind kind, str body)
{
    assert(body.len <= FRAME_BYTES_MAX);
    buf_put_char(buf, (char)kind);
    buf_put_u32_le(buf, (uint32_t)body.len);
    buf_put(buf, body);
}

void frame_put_failure(struct buf *buf, status failure)
{
    struct buf body = {0};
    struct json_writer writer = json_writer_of(&body);
    assert(!status_is_ok(failure));
    assert(failure.why != NULL);
    json_begin_object(&writer, NULL);
    json_put_string(&writer, "reason", str_of(code_name(failure.code)));
    json_put_string(&writer, "message", str_of(failure.why));
    json_end_object(&writer);
    frame_put(buf, FRAME_FAILURE, buf_str(&body));
    buf_fini(&body);
}

static bool is_kind(char byte)
{
    return byte == FRAME_OUTPUT || byte == FRAME_ERRORS || byte == FRAME_RESULT ||
           byte == FRAME_FAILURE;
}

bool frame_take(str *bytes, enum frame_kind *ret_kind, str *ret_body, bool *ret_is_broken)
{
    *ret_is_broken = bytes->len > 0 && !is_kind(bytes->ptr[0]);
    if (*ret_is_broken || bytes->len < FRAME_HEAD_BYTES) {
        return false;
    }
    size_t len = endian_get_le(bytes->ptr + 1, 4);
    *ret_is_broken = len > FRAME_BYTES_MAX;
    if (*ret_is_broken || bytes->len - FRAME_HEAD_BYTES < len) {
        return false;
    }
    *ret_kind = (enum frame_kind)bytes->ptr[0];
    *ret_body = str_make(bytes->ptr + FRAME_HEAD_BYTES, len);
    *bytes = str_make(bytes->ptr + FRAME_HEAD_BYTES + len, bytes->len - FRAME_HEAD_BYTES - len);
    return true;
}
