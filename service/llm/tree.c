#include "service/llm/tree.h"

#include <math.h>
#include <stdlib.h>

#include <cjson/cJSON.h>

#include "service/base/buf.h"

enum {
    NUMBER_BYTES_MAX = 63, /* cJSON stops in the middle of a longer one. */
    ESCAPE_BYTES = 6, /* \uXXXX */
};
static_assert(ESCAPE_BYTES == sizeof("\\uXXXX") - 1, "and no more");
static_assert(JSON_DEPTH_MAX < CJSON_NESTING_LIMIT, "cJSON reads whatever passed the check");

/* Before main(), since it changes the library for all threads. */
[[gnu::constructor]] static void abort_without_memory(void)
{
    cJSON_Hooks hooks = {xmalloc, free};
    cJSON_InitHooks(&hooks);
}

static struct cJSON *parse(str text)
{
    const char *end = NULL;
    assert(text.len <= TREE_BYTES_MAX);
    return cJSON_ParseWithLengthOpts(text.ptr, text.len, &end, false);
}

/* The character of the \u escape at `at`, or 0 when there is none. */
static unsigned long escaped_at(str text, size_t at)
{
    char digits[5] = {0};
    assert(at <= text.len);
    if (text.len - at < ESCAPE_BYTES || text.ptr[at] != '\\' || text.ptr[at + 1] != 'u') {
        return 0;
    }
    memcpy(digits, text.ptr + at + 2, 4);
    return strtoul(digits, NULL, 16);
}

/* Of the escape at `at`; returns the bytes read. */
static size_t mend_escape(str text, size_t at, struct buf *ret)
{
    unsigned long character = escaped_at(text, at);
    size_t len = ESCAPE_BYTES;
    assert(at + 1 < text.len && text.ptr[at] == '\\');
    if (text.ptr[at + 1] != 'u') {
        buf_put(ret, str_make(text.ptr + at, 2));
        return 2;
    }
    if (character == 0) {
        return len;
    }
    if (character >= 0xd800 && character <= 0xdfff) {
        unsigned long low = escaped_at(text, at + len);
        if (character >= 0xdc00 || low < 0xdc00 || low > 0xdfff) {
            buf_put(ret, STR("\\ufffd"));
            return len;
        }
        len += ESCAPE_BYTES;
    }
    buf_put(ret, str_make(text.ptr + at, len));
    return len;
}

/* Of the number at `at`, as the same double in fewer digits; returns the bytes read. */
static size_t mend_number(str text, size_t at, struct buf *ret)
{
    size_t len = 0;
    while (at + len < text.len && strchr("0123456789+-.eE", text.ptr[at + len]) != NULL) {
        len++;
    }
    assert(len > 0);
    if (len <= NUMBER_BYTES_MAX) {
        buf_put(ret, str_make(text.ptr + at, len));
        return len;
    }
    char *digits = xstrndup(text.ptr + at, len);
    double value = strtod(digits, NULL);
    free(digits);
    if (isfinite(value)) {
        buf_printf(ret, "%.17g", value);
    } else {
        buf_put(ret, value < 0 ? STR("-1e999") : STR("1e999"));
    }
    return len;
}

/* Checked text, without what cJSON cannot take. */
static void put_mended(str text, struct buf *ret)
{
    bool in_string = false;
    size_t at = 0;
    while (at < text.len) {
        char byte = text.ptr[at];
        if (byte == '\\') {
            assert(in_string && at + 1 < text.len);
            at += mend_escape(text, at, ret);
        } else if (!in_string && (byte == '-' || (byte >= '0' && byte <= '9'))) {
            at += mend_number(text, at, ret);
        } else {
            in_string ^= byte == '"';
            buf_put_char(ret, byte);
            at++;
        }
    }
}

struct cJSON *tree_new(str text)
{
    struct cJSON *root = NULL;
    struct buf mended = {0};
    if (text.len > TREE_BYTES_MAX || !json_check(text)) {
        return NULL;
    }
    if (memmem(text.ptr, text.len, "\\u", 2) == NULL) {
        root = parse(text);
    }
    if (root == NULL) {
        put_mended(text, &mended);
        root = parse(buf_str(&mended));
    }
    buf_fini(&mended);
    assert(root != NULL); /* What passed the check is read. */
    return root;
}

void tree_free(struct cJSON *root)
{
    cJSON_Delete(root);
}

enum json_kind tree_kind(const struct cJSON *value)
{
    if (value == NULL || cJSON_IsNull(value)) {
        return JSON_NONE;
    }
    if (cJSON_IsObject(value)) {
        return JSON_OBJECT;
    }
    if (cJSON_IsArray(value)) {
        return JSON_ARRAY;
    }
    if (cJSON_IsString(value)) {
        return JSON_STRING;
    }
    return cJSON_IsNumber(value) ? JSON_NUMBER : JSON_BOOL;
}

const struct cJSON *tree_get(const struct cJSON *object, const char *name)
{
    const struct cJSON *found = NULL;
    if (tree_kind(object) != JSON_OBJECT) {
        return NULL;
    }
    for (const struct cJSON *member = object->child; member != NULL; member = member->next) {
        assert(member->string != NULL);
        found = strcmp(member->string, name) == 0 ? member : found;
    }
    return tree_kind(found) == JSON_NONE ? NULL : found;
}

const struct cJSON *tree_first(const struct cJSON *container)
{
    return container == NULL ? NULL : container->child;
}

const struct cJSON *tree_next(const struct cJSON *value)
{
    return value == NULL ? NULL : value->next;
}

str tree_name(const struct cJSON *member)
{
    return member == NULL ? STR_EMPTY : str_of(member->string);
}

str tree_str(const struct cJSON *value)
{
    return tree_kind(value) == JSON_STRING ? str_of(value->valuestring) : STR_EMPTY;
}

bool tree_u64(const struct cJSON *value, uint64_t *ret)
{
    const double most = 9007199254740992.0;
    if (tree_kind(value) != JSON_NUMBER || !(value->valuedouble >= 0) ||
        value->valuedouble > most || floor(value->valuedouble) != value->valuedouble) {
        return false;
    }
    *ret = (uint64_t)value->valuedouble;
    return true;
}

bool tree_bool(const struct cJSON *value, bool *ret)
{
    if (tree_kind(value) != JSON_BOOL) {
        return false;
    }
    *ret = cJSON_IsTrue(value);
    return true;
}
