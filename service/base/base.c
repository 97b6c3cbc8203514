#include "service/base/base.h"

#include <stdlib.h>
#include <unistd.h>

static const char *const code_names[] = {
    [CODE_OK] = "OK",
    [CODE_CANCELLED] = "CANCELLED",
    [CODE_UNKNOWN] = "UNKNOWN",
    [CODE_INVALID_ARGUMENT] = "INVALID_ARGUMENT",
    [CODE_DEADLINE_EXCEEDED] = "DEADLINE_EXCEEDED",
    [CODE_NOT_FOUND] = "NOT_FOUND",
    [CODE_ALREADY_EXISTS] = "ALREADY_EXISTS",
    [CODE_PERMISSION_DENIED] = "PERMISSION_DENIED",
    [CODE_RESOURCE_EXHAUSTED] = "RESOURCE_EXHAUSTED",
    [CODE_FAILED_PRECONDITION] = "FAILED_PRECONDITION",
    [CODE_ABORTED] = "ABORTED",
    [CODE_OUT_OF_RANGE] = "OUT_OF_RANGE",
    [CODE_UNIMPLEMENTED] = "UNIMPLEMENTED",
    [CODE_INTERNAL] = "INTERNAL",
    [CODE_UNAVAILABLE] = "UNAVAILABLE",
    [CODE_DATA_LOSS] = "DATA_LOSS",
    [CODE_UNAUTHENTICATED] = "UNAUTHENTICATED",
};
static_assert(COUNT_OF(code_names) == CODE_UNAUTHENTICATED + 1, "a code has no name");

const char *code_name(enum code code)
{
    size_t index = (size_t)code;
    return index < COUNT_OF(code_names) ? code_names[index] : "UNKNOWN";
}

bool str_starts_with(str text, str prefix)
{
    if (prefix.len == 0) {
        return true;
    }
    return text.len >= prefix.len && memcmp(text.ptr, prefix.ptr, prefix.len) == 0;
}

static bool is_space(char byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

str str_trim(str text)
{
    while (text.len > 0 && is_space(text.ptr[0])) {
        text.ptr++;
        text.len--;
    }
    while (text.len > 0 && is_space(text.ptr[text.len - 1])) {
        text.len--;
    }
    return text;
}

uint64_t str_hash(str text)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < text.len; i++) {
        hash = (hash ^ (uint8_t)text.ptr[i]) * 0x100000001b3u;
    }
    return hash;
}

__attribute__((noreturn)) static void die_out_of_memory(void)
{
    static const char line[] = "out of memory: aborting; a restart recovers every run\n";
    ssize_t written = write(STDERR_FILENO, line, sizeof(line) - 1);
    (void)written;
    abort();
}

void *xmalloc(size_t bytes)
{
    void *memory = malloc(bytes == 0 ? 1 : bytes);
    if (memory == NULL) {
        die_out_of_memory();
    }
    return memory;
}

void *xcalloc(size_t count, size_t bytes)
{
    void *memory = calloc(count == 0 ? 1 : count, bytes == 0 ? 1 : bytes);
    if (memory == NULL) {
        die_out_of_memory();
    }
    return memory;
}

void *xrealloc(void *old, size_t bytes)
{
    void *memory = realloc(old, bytes == 0 ? 1 : bytes);
    if (memory == NULL) {
        die_out_of_memory();
    }
    return memory;
}

char *xstrndup(const char *text, size_t len)
{
    assert(text != NULL || len == 0);
    char *copy = xmalloc(len + 1);
    if (len > 0) {
        memcpy(copy, text, len);
    }
    copy[len] = '\0';
    return copy;
}
