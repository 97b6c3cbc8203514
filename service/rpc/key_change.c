#include "service/rpc/key_change.h"

#include <stdlib.h>

#include "service/rpc/call.h"

struct change {
    atomic_uint loops_left;
    struct key_set *set;
    struct keyring_wait *waits;
};

struct change_post {
    struct loop_post post;
    struct loop *loop;
    struct change *change;
};

static bool is_held(const struct rpc_call *call)
{
    enum principal_kind kind = call->api.principal.kind;
    return call->state == CALL_OPEN && !call->api.may_finish &&
           (kind == PRINCIPAL_ANYONE || kind == PRINCIPAL_KEY);
}

static void renew(struct loop *loop, struct key_set *set)
{
    uint64_t now_ms = keyring_now_ms(loop->keyring);
    key_set_unref(loop->keys);
    loop->keys = key_set_ref(set);
    for (struct rpc_call *call = loop->calls; call != NULL; call = call->next) {
        struct failure why;
        if (is_held(call) &&
            !key_set_keeps(set, &call->api.principal, now_ms, &loop->arena, &why)) {
            call_expel(call, &why);
        }
        arena_reset(&loop->arena);
    }
}

static void run_change(struct loop_post *base)
{
    struct change_post *post = container_of(base, struct change_post, post);
    struct change *change = post->change;
    renew(post->loop, change->set);
    free(post);
    if (atomic_fetch_sub(&change->loops_left, 1) > 1) {
        return;
    }
    keyring_told(change->waits);
    key_set_unref(change->set);
    free(change);
}

void key_change(struct loop *loops, uint32_t loop_count, struct key_set *set,
                struct keyring_wait *waits)
{
    struct change *change = xmalloc(sizeof(*change));
    assert(loop_count > 0);
    atomic_init(&change->loops_left, loop_count);
    change->set = set;
    change->waits = waits;
    for (uint32_t i = 0; i < loop_count; i++) {
        struct change_post *post = xmalloc(sizeof(*post));
        *post = (struct change_post){{.run = run_change}, &loops[i], change};
        loop_post(&loops[i], &post->post);
    }
}
