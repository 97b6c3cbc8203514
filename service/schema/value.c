#include "service/schema/value.h"

#include <ctype.h>
#include <stdlib.h>

#include "service/base/utf8.h"

struct reader {
    struct arena *arena;
    const char *at; /* In text that json_validate() passed. */
    uint32_t count;
};

static struct value *read_value(struct reader *reader, const struct value *parent);

static void skip_blanks(struct reader *reader)
{
    while (*reader->at == ' ' || *reader->at == '\n' || *reader->at == '\r' ||
           *reader->at == '\t') {
        reader->at++;
    }
}

/* The quoted text at the cursor. */
static str take_raw_string(struct reader *reader)
{
    const char *start = reader->at;
    assert(*start == '"');
    for (reader->at++; *reader->at != '"'; reader->at++) {
        reader->at += *reader->at == '\\';
    }
    reader->at++;
    return str_make(start, (size_t)(reader->at - start));
}

static str decode(struct reader *reader, str raw)
{
    struct buf text = {0};
    if (memchr(raw.ptr, '\\', raw.len) == NULL) {
        return str_make(raw.ptr + 1, raw.len - 2);
    }
    bool is_string = json_string_decode(raw, &text);
    assert(is_string);
    return buf_finish(&text, reader->arena);
}

static int by_name(const void *a, const void *b)
{
    const struct value *left = *(const struct value *const *)a;
    const struct value *right = *(const struct value *const *)b;
    size_t common = left->name.len < right->name.len ? left->name.len : right->name.len;
    int order = common == 0 ? 0 : memcmp(left->name.ptr, right->name.ptr, common);
    if (order == 0 && left->name.len != right->name.len) {
        return left->name.len < right->name.len ? -1 : 1;
    }
    if (order == 0) {
        return left->index < right->index ? -1 : left->index > right->index;
    }
    return order;
}

/* Fills in `sorted`, without those a later member of that name wins over. */
static void sort_members(struct reader *reader, struct value *object)
{
    size_t kept = 0;
    object->sorted =
        arena_alloc(reader->arena, (object->count == 0 ? 1 : object->count) * sizeof(void *));
    size_t count = 0;
    for (const struct value *member = object->first; member != NULL; member = member->next) {
        object->sorted[count++] = member;
    }
    assert(count == object->count);
    qsort(object->sorted, count, sizeof(void *), by_name);
    for (size_t i = 0; i < count; i++) {
        if (i + 1 == count || !str_equal(object->sorted[i]->name, object->sorted[i + 1]->name)) {
            object->sorted[kept++] = object->sorted[i];
        }
    }
    if (kept == count) {
        return;
    }
    object->count = (uint32_t)kept;
    uint32_t index = 0;
    for (struct value **link = &object->first; *link != NULL;) {
        if (value_member(object, (*link)->name) != *link) {
            *link = (*link)->next;
            continue;
        }
        (*link)->index = index++;
        link = &(*link)->next;
    }
    assert(index == object->count);
}

static void read_container(struct reader *reader, struct value *container)
{
    bool is_object = container->kind == JSON_OBJECT;
    struct value **link = &container->first;
    reader->at++;
    for (skip_blanks(reader); *reader->at != (is_object ? '}' : ']'); skip_blanks(reader)) {
        str name = STR_EMPTY;
        if (*reader->at == ',') {
            reader->at++;
            skip_blanks(reader);
        }
        if (is_object) {
            name = decode(reader, take_raw_string(reader));
            skip_blanks(reader);
            assert(*reader->at == ':');
            reader->at++;
        }
        struct value *child = read_value(reader, container);
        child->name = name;
        child->index = container->count++;
        *link = child;
        link = &child->next;
    }
    reader->at++;
    if (is_object) {
        sort_members(reader, container);
    }
}

static void read_scalar(struct reader *reader, struct value *scalar)
{
    const char *start = reader->at;
    if (scalar->kind == JSON_STRING) {
        scalar->text = decode(reader, take_raw_string(reader));
        return;
    }
    while (isalnum((unsigned char)*reader->at) || *reader->at == '-' || *reader->at == '+' ||
           *reader->at == '.') {
        reader->at++;
    }
    str raw = str_make(start, (size_t)(reader->at - start));
    if (scalar->kind == JSON_NUMBER) {
        scalar->number = decimal_of(raw, reader->arena);
    } else {
        scalar->is_true = *start == 't';
    }
}

/* As deep as JSON_DEPTH_MAX at most: json_validate() has seen the text. */
static struct value *read_value(struct reader *reader, const struct value *parent)
{
    struct value *value = arena_zalloc(reader->arena, sizeof(*value));
    skip_blanks(reader);
    const char *start = reader->at;
    value->kind = json_kind_of(str_make(start, 1));
    value->parent = parent;
    reader->count++;
    assert(value->kind != JSON_NONE);
    if (value->kind == JSON_OBJECT || value->kind == JSON_ARRAY) {
        read_container(reader, value);
    } else {
        read_scalar(reader, value);
    }
    value->raw = str_make(start, (size_t)(reader->at - start));
    return value;
}

/* At least as many as there are values: each but the first follows one of these. */
static bool has_too_many(str text)
{
    size_t count = 1;
    for (size_t i = 0; i < text.len; i++) {
        count += text.ptr[i] == ',' || text.ptr[i] == '[' || text.ptr[i] == ':';
    }
    return count > VALUES_MAX;
}

status value_read(str text, struct arena *arena, struct value **ret)
{
    TRY(json_validate(text, arena));
    str copy = arena_copy(arena, text); /* A NUL ends it, so that a number needs no other end. */
    struct reader reader = {.arena = arena, .at = copy.ptr};
    if (has_too_many(text)) {
        return arena_fail(arena, CODE_INVALID_ARGUMENT,
                          "more than %d values, commas and colons in strings counted", VALUES_MAX);
    }
    *ret = read_value(&reader, NULL);
    assert(reader.count <= VALUES_MAX);
    return STATUS_OK;
}

static int compare_texts(str a, str b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common == 0 ? 0 : memcmp(a.ptr, b.ptr, common);
    if (order != 0 || a.len == b.len) {
        return order;
    }
    return a.len < b.len ? -1 : 1;
}

struct value *value_member(const struct value *object, str name)
{
    if (object->kind != JSON_OBJECT) {
        return NULL;
    }
    for (size_t low = 0, high = object->count; low < high;) {
        size_t middle = low + (high - low) / 2;
        int order = compare_texts(name, object->sorted[middle]->name);
        if (order == 0) {
            return (struct value *)object->sorted[middle];
        }
        low = order > 0 ? middle + 1 : low;
        high = order < 0 ? middle : high;
    }
    return NULL;
}

static int compare_objects(const struct value *a, const struct value *b, uint64_t *steps)
{
    assert(a->count == b->count);
    for (size_t i = 0; i < a->count; i++) {
        int order = compare_texts(a->sorted[i]->name, b->sorted[i]->name);
        order = order == 0 ? value_compare(a->sorted[i], b->sorted[i], steps) : order;
        if (order != 0) {
            return order;
        }
    }
    return 0;
}

static int compare_arrays(const struct value *a, const struct value *b, uint64_t *steps)
{
    const struct value *right = b->first;
    assert(a->count == b->count);
    for (const struct value *left = a->first; left != NULL; left = left->next) {
        int order = value_compare(left, right, steps);
        if (order != 0) {
            return order;
        }
        right = right->next;
    }
    return 0;
}

int value_compare(const struct value *a, const struct value *b, uint64_t *steps)
{
    ++*steps;
    if (a->kind != b->kind) {
        return a->kind < b->kind ? -1 : 1;
    }
    if (a->count != b->count) {
        return a->count < b->count ? -1 : 1;
    }
    switch (a->kind) {
    case JSON_BOOL:
        return (int)a->is_true - (int)b->is_true;
    case JSON_NUMBER:
        return decimal_compare(&a->number, &b->number);
    case JSON_STRING:
        return compare_texts(a->text, b->text);
    case JSON_ARRAY:
        return compare_arrays(a, b, steps);
    case JSON_OBJECT:
        return compare_objects(a, b, steps);
    case JSON_NONE:
    case JSON_NULL:
        return 0;
    }
    return 0;
}

const char *value_kind_words(const struct value *value)
{
    static const char *const words[] = {
        [JSON_NONE] = "nothing",     [JSON_NULL] = "null",       [JSON_BOOL] = "a boolean",
        [JSON_NUMBER] = "a number",  [JSON_STRING] = "a string", [JSON_ARRAY] = "an array",
        [JSON_OBJECT] = "an object",
    };
    assert(value->kind < COUNT_OF(words));
    return words[value->kind];
}

static bool is_plain(str name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (!isalnum((unsigned char)name.ptr[i]) && name.ptr[i] != '_' && name.ptr[i] != '-') {
            return false;
        }
    }
    return name.len > 0;
}

enum {
    NAME_SHOWN_BYTES = 60, /* Of each name in a path. */
};

static str shown_name(str name)
{
    str shown = str_make(name.ptr, name.len < NAME_SHOWN_BYTES ? name.len : NAME_SHOWN_BYTES);
    shown.len -= utf8_tail_len(shown);
    return shown;
}

void value_put_path(const struct value *value, const char *root, struct buf *ret)
{
    if (value->parent == NULL) {
        buf_put(ret, str_of(root));
        return;
    }
    value_put_path(value->parent, root, ret);
    if (value->parent->kind == JSON_ARRAY) {
        buf_printf(ret, "[%u]", (unsigned)value->index);
    } else if (is_plain(value->name)) {
        buf_put_char(ret, '.');
        buf_put(ret, shown_name(value->name));
    } else {
        buf_put_char(ret, '[');
        buf_put_json_string(ret, shown_name(value->name));
        buf_put_char(ret, ']');
    }
}

static void put_pointer_name(str name, struct buf *ret)
{
    str shown = shown_name(name);
    for (size_t i = 0; i < shown.len; i++) {
        if (shown.ptr[i] == '~' || shown.ptr[i] == '/') {
            buf_put(ret, shown.ptr[i] == '~' ? STR("~0") : STR("~1"));
        } else {
            buf_put_char(ret, (unsigned char)shown.ptr[i] < ' ' ? '?' : shown.ptr[i]);
        }
    }
}

void value_put_pointer(const struct value *value, struct buf *ret)
{
    if (value->parent == NULL) {
        buf_put_char(ret, '#');
        return;
    }
    value_put_pointer(value->parent, ret);
    buf_put_char(ret, '/');
    if (value->parent->kind == JSON_ARRAY) {
        buf_printf(ret, "%u", (unsigned)value->index);
    } else {
        put_pointer_name(value->name, ret);
    }
}
