/*
 * code_version: which code a task is for, and which a host runs, as a number.
 *
 * It is of a deployment and of the language that its code is written in. What a host says of
 * neither, and what was kept before languages were said, fits any language. As a deployment the
 * numbers of two names are the same once in 2^48.
 */
#ifndef SERVICE_BASE_CODE_VERSION_H
#define SERVICE_BASE_CODE_VERSION_H

#include "service/base/base.h"

enum {
    CODE_VERSION_ANY = 0,
    CODE_VERSION_NEWEST = 2, /* The deployment that dialled in last, in any language. */
};

/* Never one of the above. An empty language: any. */
uint64_t code_version_make(str deployment, str language);
/* The newest deployment of the same language; CODE_VERSION_NEWEST: of any. */
uint64_t code_version_newest_alike(uint64_t version);
/* The same deployment in any language. */
uint64_t code_version_in_any_language(uint64_t version);
/* Whether it names no deployment. */
bool code_version_is_newest(uint64_t version);
/* Whether both name the same deployment, whatever the languages. */
bool code_version_shares_deployment(uint64_t a, uint64_t b);
/* Whether code of the one may be given what wants the other: any language will do, or this one. */
bool code_version_speaks(uint64_t wanted, uint64_t offered);

#endif
