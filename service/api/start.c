#include "service/api/start.h"

#include <stdlib.h>

#include "service/api/api.h"
#include "service/api/check.h"
#include "service/api/exchange.h"
#include "service/api/options.h"
#include "service/api/run_view.h"
#include "service/api/text.h"
#include "service/base/failure.h"
#include "service/base/hash.h"
#include "service/features/callers/callers.h"
#include "service/features/reports/reports.h"
#include "service/features/starts/starts.h"
#include "service/partition/request.h"

/*
 * STARTING --the start is durable--> WAITING --the run ended--> ANSWERED
 *     \_____________ CLOSED ____________/   the caller is gone
 *
 * Whoever finds that the other was there first posts the &forget_operation.
 */
enum start_stage {
    STAGE_STARTING,
    STAGE_WAITING,
    STAGE_CLOSED,
    STAGE_ANSWERED,
};

/* call->user of every start call. */
struct start {
    const struct start_answers *answers; /* Constant. */
    bool waits; /* Constant. */
    uint64_t ticket; /* Constant. */
    uuid run; /* Written before the stage becomes WAITING. */
    atomic_int stage; /* Any thread. */
};

static struct start *start_of(const struct api_call *call)
{
    assert(call->user != NULL);
    return call->user;
}

static void post_forget(struct api_call *call)
{
    assert(start_of(call)->waits && start_of(call)->ticket != 0);
    struct request *forget = exchange_new(call, &forget_operation, exchange_ignore);
    forget->run = start_of(call)->run;
    forget_request(forget)->ticket = start_of(call)->ticket;
    exchange_post_always(forget);
}

static void waited(struct request *request, const struct failure *failure)
{
    atomic_store(&start_of(exchange_call(request))->stage, STAGE_ANSWERED);
    if (exchange_failed(request, failure)) {
        return;
    }
    exchange_reply_run(request, start_of(exchange_call(request))->answers->ended);
}

static void wait_for_end(struct api_call *call, uuid run)
{
    struct start *start = start_of(call);
    assert(start->waits && !uuid_is_zero(run));
    struct request *wait = exchange_new(call, &wait_operation, waited);
    start->run = run;
    wait->run = run;
    wait_request(wait)->ticket = start->ticket;
    exchange_post_always(wait);
    int stage = STAGE_STARTING;
    if (!atomic_compare_exchange_strong(&start->stage, &stage, STAGE_WAITING)) {
        assert(stage == STAGE_CLOSED);
        post_forget(call);
    }
}

static void started(struct request *request, const struct failure *failure)
{
    if (exchange_failed(request, failure)) {
        return;
    }
    struct api_call *call = exchange_call(request);
    struct start *start = start_of(call);
    if (start->waits) {
        wait_for_end(call, start_request(request)->ret_run);
    } else {
        char *run_id = text_of_uuid(&request->arena, start_request(request)->ret_run);
        start->answers->started(call, run_id,
                                start_request(request)->ret_existed
                                    ? POLOS__V1__START_OUTCOME__START_OUTCOME_FOUND
                                    : POLOS__V1__START_OUTCOME__START_OUTCOME_STARTED);
    }
    exchange_end(request);
}

static void digest(const struct run_spec *spec, uint8_t ret[16])
{
    struct buf buf = {0};
    buf_put_char(&buf, (char)spec->kind);
    buf_put_counted(&buf, spec->name);
    buf_put_counted(&buf, spec->input);
    buf_put_counted(&buf, spec->provider_options);
    options_hash(&spec->options, &buf);
    hash128(buf_str(&buf), ret);
    buf_fini(&buf);
}

static bool take_form(struct check *check, const struct start_form *form, struct request *request)
{
    struct run_spec *spec = &start_request(request)->spec;
    bool is_tool = form->kind == RUN_KIND_TOOL;
    if (!check_code_name(check, form->name_field, is_tool, form->name) ||
        !run_input_take(check, "", form->kind, &form->input, &spec->input) ||
        !options_take_provider(check, "options.", form->kind, form->options,
                               &spec->provider_options) ||
        !options_take(check, "options.", form->kind, form->options, &spec->options)) {
        return false;
    }
    spec->kind = form->kind;
    assert(spec->input.len > 0); /* At least null. */
    spec->name = arena_copy(check->arena, form->name);
    digest(spec, start_request(request)->digest);
    return true;
}

static struct start *start_new(struct api_call *call, const struct start_answers *answers,
                               bool waits)
{
    struct api *api = call->service;
    struct start *start = xcalloc(1, sizeof(*start));
    start->answers = answers;
    start->waits = waits;
    start->ticket = atomic_fetch_add(&api->ticket, 1) + 1;
    atomic_init(&start->stage, STAGE_STARTING);
    return start;
}

void start_begin(struct api_call *call, const struct start_form *form,
                 const struct start_answers *answers, bool waits)
{
    assert(form->kind > RUN_KIND_NONE && form->kind < RUN_KIND_COUNT);
    assert(call->user == NULL);
    const struct api *api = call->service;
    call->user = start_new(call, answers, waits);
    struct request *request = exchange_new(call, &start_operation, started);
    struct check check = {.arena = &request->arena, .json_bytes_max = api->input_bytes_max};
    bool is_fine = take_form(&check, form, request);
    exchange_post_checked(request, is_fine, &check);
}

void start_closed(struct api_call *call)
{
    struct start *start = start_of(call);
    if (atomic_exchange(&start->stage, STAGE_CLOSED) == STAGE_WAITING) {
        post_forget(call);
    }
}

void start_released(struct api_call *call)
{
    free(call->user);
}
