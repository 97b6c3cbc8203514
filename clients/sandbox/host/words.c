#include "clients/sandbox/host/words.h"

#include "service/base/buf.h"

struct splitter {
    str text;
    size_t at;
    struct arena *arena;
    struct words words;
    struct buf word;
};

static status refuse(const struct splitter *splitter, const char *what)
{
    return arena_fail(splitter->arena, CODE_FAILED_PRECONDITION, "The command holds %s.", what);
}

static status refuse_byte(const struct splitter *splitter, char byte)
{
    if (byte == '\n' || byte == '\r') {
        return refuse(splitter, "more than one line");
    }
    if ((uint8_t)byte < ' ' || byte == '\x7f') {
        return refuse(splitter, "a control character");
    }
    return arena_fail(splitter->arena, CODE_FAILED_PRECONDITION,
                      "The command holds %c, which means something to a shell.", byte);
}

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t';
}

static bool is_control(char byte)
{
    return ((uint8_t)byte < ' ' && !is_blank(byte)) || byte == '\x7f';
}

/* Anywhere in a word, outside of quotes. Some mean something to some shells or in some places
 * only: asking about them costs a question, passing them could cost more. */
static bool means_something(char byte)
{
    return is_control(byte) || strchr("|&;<>()$`\\*?[]{}#~!^%", byte) != NULL;
}

/* Within double quotes. */
static bool means_something_quoted(char byte)
{
    return byte == '\0' || strchr("$`\\!", byte) != NULL;
}

/* From behind a quote to behind the one that closes it. */
static status take_quoted(struct splitter *splitter, char quote)
{
    for (; splitter->at < splitter->text.len; splitter->at++) {
        char byte = splitter->text.ptr[splitter->at];
        if (byte == quote) {
            splitter->at++;
            return STATUS_OK;
        }
        if (byte == '\0' || (quote == '"' && means_something_quoted(byte))) {
            return refuse_byte(splitter, byte);
        }
        buf_put_char(&splitter->word, byte);
    }
    return refuse(splitter, "a quote that is not closed");
}

/* To the next blank. */
static status take_word(struct splitter *splitter)
{
    while (splitter->at < splitter->text.len && !is_blank(splitter->text.ptr[splitter->at])) {
        char byte = splitter->text.ptr[splitter->at];
        if (means_something(byte)) {
            return refuse_byte(splitter, byte);
        }
        splitter->at++;
        if (byte == '\'' || byte == '"') {
            TRY(take_quoted(splitter, byte));
        } else if (byte == '=' && splitter->words.count == 0) {
            return refuse(splitter, "= in its first word, which sets a variable");
        } else {
            buf_put_char(&splitter->word, byte);
        }
    }
    return STATUS_OK;
}

static status add_word(struct splitter *splitter)
{
    if (splitter->words.count == WORDS_COUNT_MAX) {
        return refuse(splitter, "too many words");
    }
    str word = buf_str(&splitter->word);
    splitter->words.items[splitter->words.count++] = arena_copy(splitter->arena, word);
    buf_reset(&splitter->word);
    return STATUS_OK;
}

/* What these begin is no command but a part of a shell's language. */
static bool is_reserved(str word)
{
    static const char *const reserved[] = {
        "if",   "then", "else", "elif",     "fi",   "for",    "while",  "until", "do",
        "done", "case", "esac", "function", "time", "select", "coproc", "in",
    };
    for (size_t i = 0; i < COUNT_OF(reserved); i++) {
        if (str_is(word, reserved[i])) {
            return true;
        }
    }
    return false;
}

static status split(struct splitter *splitter)
{
    for (;;) {
        while (splitter->at < splitter->text.len && is_blank(splitter->text.ptr[splitter->at])) {
            splitter->at++;
        }
        if (splitter->at == splitter->text.len) {
            break;
        }
        TRY(take_word(splitter));
        TRY(add_word(splitter));
    }
    if (splitter->words.count == 0) {
        return refuse(splitter, "no word");
    }
    if (splitter->words.items[0].len == 0 || is_reserved(splitter->words.items[0])) {
        return refuse(splitter, "no command to begin with");
    }
    return STATUS_OK;
}

status words_split(str command, struct arena *arena, struct words *ret)
{
    struct splitter splitter = {.text = command, .arena = arena};
    if (command.len > WORDS_BYTES_MAX) {
        return refuse(&splitter, "more than 65536 bytes");
    }
    splitter.words.items = arena_alloc(arena, WORDS_COUNT_MAX * sizeof splitter.words.items[0]);
    status outcome = split(&splitter);
    buf_fini(&splitter.word);
    if (status_is_ok(outcome)) {
        assert(splitter.words.count > 0);
        *ret = splitter.words;
    }
    return outcome;
}
