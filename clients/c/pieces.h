/*
 * pieces: a Task or a StepResult that is too much for one message, put together of its TaskFacts.
 */
#ifndef CLIENTS_C_PIECES_H
#define CLIENTS_C_PIECES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "polos/v1/host.pb-c.h"

struct piece_of_child; /* The value of a child, until its wait is told. */

/* Zero-initialised is valid: nothing is awaited. */
struct polos_pieces {
    Polos__V1__ServerMessage *message; /* Owned: what the pieces belong to; NULL: nothing. */
    uint64_t seq; /* Its number. */
    uint32_t facts; /* That came. */
    Polos__V1__SettledStep **steps; /* Owned, as in a Task. */
    size_t step_count;
    struct piece_of_child *children;
};

/* Takes the body of a message that has more; in its place is nothing. */
void polos_pieces_begin(struct polos_pieces *pieces, uint64_t seq,
                        Polos__V1__ServerMessage *message);
/* Takes what the piece tells. False: it does not follow the ones before. One that belongs to
 * nothing is passed over. */
bool polos_pieces_take(struct polos_pieces *pieces, Polos__V1__TaskFacts *facts);
/* The message, whole, is the caller's to free; a StepResult is a Task with an id and steps only. */
Polos__V1__ServerMessage *polos_pieces_end(struct polos_pieces *pieces, Polos__V1__TaskFacts *last);
/* Frees what came; nothing is awaited. */
void polos_pieces_drop(struct polos_pieces *pieces);

#endif
