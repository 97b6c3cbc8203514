/*
 * local_probe BOX WORKSPACE: becomes polos-box in a sandbox of bubblewrap; says why it cannot.
 */
#include <stdio.h>

#include "clients/sandbox/host/local.h"

int main(int argc, char **argv)
{
    struct arena arena;
    struct local_start start;
    static const char *const environment[] = {"TOLD", "yes", NULL};
    struct local_options options = {.box = argc > 1 ? argv[1] : "",
                                    .workspace = argc > 2 ? argv[2] : "",
                                    .environment = environment};
    arena_init(&arena, 0);
    status outcome = local_prepare(&options, &arena, &start);
    if (status_is_ok(outcome)) {
        local_exec(&start);
        outcome = status_make(CODE_INTERNAL, "It could not be started.");
    }
    fprintf(stderr, "%s: %s\n", code_name(outcome.code), outcome.why);
    arena_fini(&arena);
    return 1;
}
