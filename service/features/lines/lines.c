#include "service/features/lines/lines.h"

#include <stdlib.h>

#include "service/partition/state.h"

/* In each run. */
struct room {
    char *server; /* NULL: it waits for no place. */
};

static struct room *room_of(const struct partition *partition, const struct live_run *run)
{
    return partition_room(partition, run, &lines_feature);
}

void line_leave(struct partition *partition, struct live_run *run)
{
    struct room *room = room_of(partition, run);
    free(room->server);
    room->server = NULL;
    assert(line_server(partition, run).len == 0);
}

void line_enter(struct partition *partition, struct live_run *run, str server)
{
    assert(server.len > 0);
    line_leave(partition, run);
    room_of(partition, run)->server = xstrndup(server.ptr, server.len);
}

str line_server(const struct partition *partition, const struct live_run *run)
{
    return str_of(room_of(partition, run)->server);
}

static void *start(struct partition *partition)
{
    return partition; /* It has no state. */
}

static bool deadline_message(void *self, struct live_run *run, str *ret)
{
    struct partition *partition = self;
    str server = line_server(partition, run);
    *ret = server.len == 0
               ? STR_EMPTY
               : arena_printf(&partition->round_arena,
                              "the run's deadline passed while its model call waited for a place "
                              "at " STR_FMT "; other calls have them all",
                              STR_ARG(server));
    return server.len > 0;
}

static void run_leaves(void *self, struct live_run *run)
{
    line_leave(self, run);
}

const struct feature lines_feature = {
    .name = "lines",
    .run_bytes = sizeof(struct room),
    .start = start,
    .deadline_message = deadline_message,
    .run_leaves = run_leaves,
};
