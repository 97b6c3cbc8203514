#include "service/hosts/window.h"

#include <stdlib.h>

enum {
    WINDOW_CAPACITY_MIN = 16,
};
static_assert((WINDOW_MAX & (WINDOW_MAX - 1)) == 0, "the ring is masked");

enum window_state {
    WINDOW_STATE_OPEN,
    WINDOW_STATE_HANDLED,
    WINDOW_STATE_FORGOTTEN,
};

void window_fini(struct window *window)
{
    free(window->states);
    *window = (struct window){0};
}

static uint8_t *state_of(const struct window *window, uint64_t seq)
{
    assert(seq > window->handled && seq <= window->received);
    return &window->states[seq & (window->capacity - 1)];
}

static void grow(struct window *window)
{
    struct window wider = *window;
    wider.capacity = window->capacity == 0 ? WINDOW_CAPACITY_MIN : window->capacity * 2;
    wider.states = xcalloc(wider.capacity, sizeof(*wider.states));
    for (uint64_t seq = window->handled + 1; seq <= window->received; seq++) {
        *state_of(&wider, seq) = *state_of(window, seq);
    }
    free(window->states);
    *window = wider;
}

static enum window_verdict receive_again(struct window *window, uint64_t seq)
{
    if (seq <= window->handled || *state_of(window, seq) != WINDOW_STATE_FORGOTTEN) {
        return WINDOW_REPEATED;
    }
    *state_of(window, seq) = WINDOW_STATE_OPEN;
    return WINDOW_NEW;
}

enum window_verdict window_receive(struct window *window, uint64_t seq)
{
    assert(window->handled <= window->received);
    if (seq <= window->received) {
        return receive_again(window, seq);
    }
    if (seq - window->received != 1) {
        return WINDOW_GAP;
    }
    if (window->received - window->handled == WINDOW_MAX) {
        return WINDOW_FULL;
    }
    if (window->received - window->handled == window->capacity) {
        grow(window);
    }
    window->received = seq;
    *state_of(window, seq) = WINDOW_STATE_OPEN;
    return WINDOW_NEW;
}

bool window_is_open(const struct window *window, uint64_t seq)
{
    return seq > window->handled && seq <= window->received &&
           *state_of(window, seq) == WINDOW_STATE_OPEN;
}

bool window_mark_handled(struct window *window, uint64_t seq)
{
    uint64_t before = window->handled;
    if (seq <= window->handled || seq > window->received) {
        return false;
    }
    *state_of(window, seq) = WINDOW_STATE_HANDLED;
    while (window->handled < window->received &&
           *state_of(window, window->handled + 1) == WINDOW_STATE_HANDLED) {
        window->handled++;
    }
    return window->handled > before;
}

void window_forget(struct window *window, uint64_t seq)
{
    assert(window_is_open(window, seq));
    for (; seq <= window->received; seq++) {
        if (*state_of(window, seq) == WINDOW_STATE_OPEN) {
            *state_of(window, seq) = WINDOW_STATE_FORGOTTEN;
        }
    }
}
