#include "service/base/code_version.h"

/*
 * 48 bits of a deployment above 16 of a language. The lowest bit: any language; the others are the
 * deployment's as well, then. With it unset they are a language's, which is even and 4 or more.
 */
enum {
    LANGUAGE_BITS = 16,
    LANGUAGE_MASK = (1 << LANGUAGE_BITS) - 1,
    LANGUAGE_FIRST = 4,
    LANGUAGE_COUNT = (LANGUAGE_MASK + 1 - LANGUAGE_FIRST) / 2,
};

static_assert((int)CODE_VERSION_NEWEST < (int)LANGUAGE_FIRST, "it is no language");

/* 0: any. */
static uint64_t language_of(uint64_t version)
{
    uint64_t language = version & LANGUAGE_MASK;
    return language % 2 == 1 || language < LANGUAGE_FIRST ? 0 : language;
}

uint64_t code_version_make(str deployment, str language)
{
    uint64_t hash = str_hash(deployment);
    if (language.len == 0) {
        return hash | 1;
    }
    uint64_t number = LANGUAGE_FIRST + 2 * (str_hash(language) % LANGUAGE_COUNT);
    assert(language_of(number) == number);
    return (hash & ~(uint64_t)LANGUAGE_MASK) | number;
}

uint64_t code_version_newest_alike(uint64_t version)
{
    uint64_t language = language_of(version);
    return language == 0 ? CODE_VERSION_NEWEST : language;
}

uint64_t code_version_in_any_language(uint64_t version)
{
    return language_of(version) == 0 ? version : (version & ~(uint64_t)LANGUAGE_MASK) | 1;
}

bool code_version_is_newest(uint64_t version)
{
    return version % 2 == 0 && version != CODE_VERSION_ANY && version >> LANGUAGE_BITS == 0;
}

bool code_version_shares_deployment(uint64_t a, uint64_t b)
{
    return a >> LANGUAGE_BITS == b >> LANGUAGE_BITS;
}

bool code_version_speaks(uint64_t wanted, uint64_t offered)
{
    uint64_t language = language_of(wanted);
    return language == 0 || language == language_of(offered);
}
