/*
 * Goal:   no text makes the JSON functions read outside it, and what is valid stays valid when
 *         it is taken apart and put together.
 * Method: every function on the text as it is; for valid text, the promises.
 */
#include <stdint.h>
#include <stdlib.h>

#include "service/base/json.h"
#include "service/base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(str value, bool valid, size_t depth)
{
    struct json_iterator members = json_members(value);
    struct json_iterator elements = json_elements(value);
    struct buf decoded = {0};
    str key;
    str part;
    uint64_t whole;
    double number;
    bool truth;
    assert(!valid || json_is_valid(value));
    (void)json_to_u64(value, &whole);
    (void)json_to_double(value, &number);
    (void)json_to_bool(value, &truth);
    if (json_string_decode(value, &decoded)) {
        assert(!valid || utf8_is_valid(buf_str(&decoded)));
    }
    buf_fini(&decoded);
    while (depth < 8 && json_next_member(&members, &key, &part)) {
        assert(!valid || json_kind_of(key) == JSON_STRING);
        walk(part, valid, depth + 1);
    }
    while (depth < 8 && json_next_element(&elements, &part)) {
        walk(part, valid, depth + 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    str text = str_make(data, size);
    bool valid = json_is_valid(text);
    struct buf merged = {0};
    struct buf quoted = {0};
    struct buf back = {0};
    assert(!valid || json_check(text));
    walk(text, valid, 0);
    json_object_merge(text, text, &merged);
    assert(!valid || json_is_object(buf_str(&merged)));
    buf_put_json_string(&quoted, text);
    assert(json_is_valid(buf_str(&quoted)) && json_string_decode(buf_str(&quoted), &back));
    assert(!utf8_is_valid(text) || str_equal(buf_str(&back), text));
    buf_fini(&merged);
    buf_fini(&quoted);
    buf_fini(&back);
    return 0;
}
