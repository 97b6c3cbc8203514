/*
 * Reads commands, each with a NUL behind it; for each a line: its words as a JSON array, or null.
 */
#include <stdio.h>
#include <stdlib.h>

#include "clients/sandbox/host/words.h"
#include "service/base/json_writer.h"

static void show(str command)
{
    struct arena arena;
    struct words words;
    struct buf line = {0};
    struct json_writer writer = json_writer_of(&line);
    arena_init(&arena, 0);
    if (status_is_ok(words_split(command, &arena, &words))) {
        json_begin_array(&writer, NULL);
        for (size_t i = 0; i < words.count; i++) {
            json_put_string(&writer, NULL, words.items[i]);
        }
        json_end_array(&writer);
    } else {
        json_put_null(&writer, NULL);
    }
    buf_put_char(&line, '\n');
    fwrite(line.ptr, 1, line.len, stdout);
    buf_fini(&line);
    arena_fini(&arena);
}

int main(void)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t len = getdelim(&line, &room, '\0', stdin);
    for (; len > 0; len = getdelim(&line, &room, '\0', stdin)) {
        show(str_make(line, (size_t)len - 1));
    }
    free(line);
    return 0;
}
