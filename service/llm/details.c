#include "service/llm/details.h"

#include "service/base/json.h"
#include "service/base/json_writer.h"

void details_fini(struct details *details)
{
    buf_fini(&details->joined);
    buf_fini(&details->first);
    buf_fini(&details->members);
    buf_fini(&details->text);
}

size_t details_bytes(const struct details *details)
{
    return details->joined.len + details->first.len + details->text.len;
}

/* The member that holds the text of an element which may be cut, or NULL. */
static const char *text_field(str element)
{
    str type;
    if (!json_object_get(element, STR("type"), &type)) {
        return NULL;
    }
    if (json_string_is(type, STR("reasoning.text"))) {
        return "text";
    }
    return json_string_is(type, STR("reasoning.summary")) ? "summary" : NULL;
}

static bool same_member(str a, str b, str key)
{
    str from_a = STR_EMPTY;
    str from_b = STR_EMPTY;
    (void)json_object_get(a, key, &from_a);
    (void)json_object_get(b, key, &from_b);
    return str_equal(from_a, from_b);
}

static bool is_signed(str element)
{
    str signature;
    return json_object_get_kind(element, STR("signature"), JSON_STRING, &signature) &&
           signature.len > 2;
}

/* Whether the element goes on where the open one stopped. */
static bool continues(const struct details *details, str element, const char *field)
{
    str open = buf_str(&details->members);
    assert(details->pieces == 0 || details->field != NULL);
    return details->pieces > 0 && field != NULL && strcmp(field, details->field) == 0 &&
           same_member(open, element, STR("index")) && same_member(open, element, STR("type")) &&
           !is_signed(open);
}

static void put_element(struct details *details, str element)
{
    assert(json_kind_of(element) != JSON_NONE);
    if (details->joined.len > 0) {
        buf_put_char(&details->joined, ',');
    }
    buf_put(&details->joined, element);
}

static void end_open(struct details *details)
{
    struct buf overlay = {0};
    struct buf element = {0};
    struct json_writer writer = json_writer_of(&overlay);
    assert((details->pieces == 0) == (details->first.len == 0));
    if (details->pieces == 1) {
        put_element(details, buf_str(&details->first));
    } else if (details->pieces > 1) {
        json_begin_object(&writer, NULL);
        json_put_string(&writer, details->field, buf_str(&details->text));
        json_end_object(&writer);
        json_object_merge(buf_str(&details->members), buf_str(&overlay), &element);
        put_element(details, buf_str(&element));
    }
    details->pieces = 0;
    buf_reset(&details->first);
    buf_reset(&details->members);
    buf_reset(&details->text);
    buf_fini(&overlay);
    buf_fini(&element);
}

/* Members of the piece win over older ones, unless they are null. */
static void merge_members(struct details *details, str element)
{
    struct json_iterator members = json_members(element);
    struct buf told = {0};
    struct buf merged = {0};
    str key;
    str value;
    assert(details->field != NULL && details->pieces > 0);
    buf_put_char(&told, '{');
    while (json_next_member(&members, &key, &value)) {
        if (json_kind_of(value) == JSON_NULL || json_string_is(key, str_of(details->field))) {
            continue;
        }
        buf_put(&told, told.len > 1 ? STR(",") : STR_EMPTY);
        buf_put(&told, key);
        buf_put_char(&told, ':');
        buf_put(&told, value);
    }
    buf_put_char(&told, '}');
    json_object_merge(buf_str(&details->members), buf_str(&told), &merged);
    buf_fini(&details->members);
    buf_fini(&told);
    details->members = merged;
}

void details_add(struct details *details, str element)
{
    const char *field = text_field(element);
    str text;
    if (!continues(details, element, field)) {
        end_open(details);
    }
    if (field == NULL) {
        put_element(details, element);
        return;
    }
    if (details->pieces == 0) {
        details->field = field;
        buf_put(&details->first, element);
    }
    assert(strcmp(details->field, field) == 0);
    details->pieces++;
    merge_members(details, element);
    if (json_object_get(element, str_of(field), &text)) {
        (void)json_string_decode(text, &details->text);
    }
}

str details_finish(struct details *details)
{
    end_open(details);
    assert(details->pieces == 0);
    return buf_str(&details->joined);
}
