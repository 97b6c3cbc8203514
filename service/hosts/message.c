#include "service/hosts/message.h"

#include <stdio.h>

static_assert(TASK_ID_BYTES >= UUID_TEXT_BYTES + 1 + 10, "uuid, dot, 32-bit number, NUL");

void task_ref_format(struct task_ref task, char ret[TASK_ID_BYTES])
{
    uuid_format(task.run, ret);
    int len = snprintf(ret + UUID_TEXT_BYTES - 1, TASK_ID_BYTES - UUID_TEXT_BYTES + 1, ".%u",
                       task.effect);
    assert(len >= 2 && len <= TASK_ID_BYTES - UUID_TEXT_BYTES);
}

/* Only the form that task_ref_format() writes: no sign, no leading zero. */
static bool parse_effect(str text, uint32_t *ret)
{
    uint64_t value = 0;
    if (text.len == 0 || text.len > 10 || (text.ptr[0] == '0' && text.len > 1)) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return false;
        }
        value = value * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    if (value > UINT32_MAX) {
        return false;
    }
    *ret = (uint32_t)value;
    return true;
}

bool task_ref_parse(str text, struct task_ref *ret)
{
    const size_t dot = UUID_TEXT_BYTES - 1;
    struct task_ref task;
    if (text.len < dot + 2 || text.ptr[dot] != '.') {
        return false;
    }
    if (!uuid_parse(str_make(text.ptr, dot), &task.run) ||
        !parse_effect(str_make(text.ptr + dot + 1, text.len - dot - 1), &task.effect)) {
        return false;
    }
    *ret = task;
    return true;
}
