/*
 * Goal:   no command has words that hold what a shell would have made of it.
 * Method: of a command that has words, each is quoted again and split again: the same words. What
 *         was not quoted holds no metacharacter. The first zero byte parts a pattern from a
 * command.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "clients/sandbox/host/allowlist.h"
#include "service/base/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool fact, const char *what)
{
    if (!fact) {
        fprintf(stderr, "broken: %s\n", what);
        abort();
    }
}

static void quote(struct buf *buf, str word)
{
    buf_put_char(buf, '\'');
    for (size_t i = 0; i < word.len; i++) {
        if (word.ptr[i] == '\'') {
            buf_put(buf, STR("'\"'\"'"));
        } else {
            buf_put_char(buf, word.ptr[i]);
        }
    }
    buf_put(buf, STR("' "));
}

static void split_again(const struct words *words, struct arena *arena)
{
    struct buf command = {0};
    struct words again;
    for (size_t i = 0; i < words->count; i++) {
        quote(&command, words->items[i]);
    }
    if (command.len <= WORDS_BYTES_MAX) {
        require(status_is_ok(words_split(buf_str(&command), arena, &again)), "quoted words split");
        require(again.count == words->count, "into as many");
        for (size_t i = 0; i < words->count; i++) {
            require(str_equal(again.items[i], words->items[i]), "and the same");
        }
    }
    buf_fini(&command);
}

/* Without what stands in quotes nothing of this may be left. */
static void search_metacharacters(str command)
{
    char quote = '\0';
    for (size_t i = 0; i < command.len; i++) {
        char byte = command.ptr[i];
        if (quote == '\0' && (byte == '\'' || byte == '"')) {
            quote = byte;
        } else if (byte == quote) {
            quote = '\0';
        } else if (quote == '\0') {
            require(strchr("|&;<>()$`\\*?[]{}#~!\n\r", byte) == NULL, "no metacharacter passes");
        } else if (quote == '"') {
            require(strchr("$`\\", byte) == NULL, "nor one that means something in quotes");
        }
    }
    require(quote == '\0', "quotes are closed");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct words words;
    const uint8_t *zero = size == 0 ? NULL : memchr(data, 0, size);
    size_t len = zero == NULL ? 0 : (size_t)(zero - data);
    size_t begin = zero == NULL ? 0 : len + 1;
    str pattern = str_make(data, len);
    str command = str_make(data + begin, size - begin);
    arena_init(&arena, 0);
    status outcome = words_split(command, &arena, &words);
    if (status_is_ok(outcome)) {
        split_again(&words, &arena);
        search_metacharacters(command);
        str all = STR("*");
        require(allowlist_has(&all, 1, &words), "a star fits all");
        (void)allowlist_has(&pattern, 1, &words);
    } else {
        require(outcome.why != NULL, "a refusal has a sentence");
    }
    arena_fini(&arena);
    return 0;
}
