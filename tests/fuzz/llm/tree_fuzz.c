/*
 * Goal:   whatever the JSON check accepts becomes a tree with the same shape as the scanner
 *         sees, and nothing else does.
 * Method: both readers side by side, value by value.
 */
#include <stdint.h>
#include <stdlib.h>

#include "service/llm/tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void compare(const struct cJSON *value, str raw)
{
    struct json_iterator members = json_members(raw);
    struct json_iterator elements = json_elements(raw);
    enum json_kind kind = json_kind_of(raw);
    const struct cJSON *child = tree_first(value);
    str key;
    str part;
    assert(tree_kind(value) == (kind == JSON_NULL ? JSON_NONE : kind));
    while (json_next_member(&members, &key, &part) || json_next_element(&elements, &part)) {
        assert(child != NULL);
        compare(child, part);
        child = tree_next(child);
    }
    assert(child == NULL);
}

static void check_string(const struct cJSON *value, str raw)
{
    struct buf decoded = {0};
    str found = tree_str(value);
    size_t at = 0;
    /* The scanner keeps an escaped NUL. */
    (void)json_string_decode(raw, &decoded);
    for (size_t i = 0; i < decoded.len; i++) {
        if (decoded.ptr[i] != '\0') {
            assert(at < found.len && found.ptr[at] == decoded.ptr[i]);
            at++;
        }
    }
    assert(at == found.len);
    buf_fini(&decoded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    str text = str_make(data, size);
    struct cJSON *tree = tree_new(text);
    assert((tree != NULL) == (size <= TREE_BYTES_MAX && json_check(text)));
    if (tree != NULL) {
        compare(tree, text);
        check_string(tree, text);
    }
    tree_free(tree);
    return 0;
}
