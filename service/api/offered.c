#include "service/api/offered.h"

/* Of a read, in its arena. */
struct offered {
    struct read *read;
    offered_answer *answer;
};

static void told(struct request *request, const struct failure *failure)
{
    const struct offered *offered = offered_request(request)->poster;
    assert(offered->answer != NULL);
    if (!reading_failed(offered->read, failure)) {
        offered->answer(offered->read, offered_request(request)->names);
    }
    exchange_end(request);
}

void offered_ask(struct read *read, struct offered_name *names, size_t count,
                 offered_answer *answer)
{
    struct offered *offered = arena_zalloc(&read->arena, sizeof(*offered));
    struct request *request = exchange_new(reading_call(read), &offered_operation, told);
    *offered = (struct offered){.read = read, .answer = answer};
    offered_request(request)->names = names;
    offered_request(request)->count = count;
    offered_request(request)->poster = offered;
    if (!exchange_try_post(request)) {
        struct failure busy = exchange_busy();
        api_call_fail(reading_call(read), &busy);
        reading_end(read);
    }
}
