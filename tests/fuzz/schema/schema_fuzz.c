/*
 * Goal:   no schema and no value can make the validator crash, or say two things of one value.
 * Method: the first zero byte parts a schema from a value. What is read judges the value twice, and
 *         must say the same; what is refused must have a sentence.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "service/schema/schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool fact, const char *what)
{
    if (!fact) {
        fprintf(stderr, "broken: %s\n", what);
        abort();
    }
}

static void judge_twice(struct schema *schema, str value, struct arena *arena)
{
    status first = schema_judge(schema, value, "answer", arena);
    status second = schema_judge(schema, value, "answer", arena);
    require(first.code == second.code, "a judgement is the same again");
    if (!status_is_ok(first)) {
        require(strcmp(first.why, second.why) == 0, "and so are its sentences");
        require(strncmp(first.why, "answer", 6) == 0, "they begin with the value's name");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct schema *schema;
    const uint8_t *zero = size == 0 ? NULL : memchr(data, 0, size);
    size_t schema_len = zero == NULL ? size : (size_t)(zero - data);
    size_t rest = zero == NULL ? size : schema_len + 1;
    arena_init(&arena, 0);
    status read = schema_read(str_make(data, schema_len), &arena, &schema);
    if (status_is_ok(read)) {
        judge_twice(schema, str_make(data + rest, size - rest), &arena);
    } else {
        require(read.why != NULL && read.why[0] != '\0', "what is refused has a sentence");
    }
    arena_fini(&arena);
    return 0;
}
