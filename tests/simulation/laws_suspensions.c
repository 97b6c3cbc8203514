/*
 * laws_suspensions: an answer counts for the suspension it names and no other.
 *
 * What names one by its id says so by a name that begins with "id-"; all others name a step's key.
 */
#include "tests/simulation/world.h"

/* Whether it was asked, and its code was not left before anybody answered by a failure. */
static bool is_asked(const struct sim_wait *wait, str key)
{
    bool counts = wait->is_open || wait->is_settled || wait->is_withdrawn;
    return wait->kind == EFFECT_SUSPENSION && counts && str_equal(wait->key, key);
}

static bool has_asked(const struct sim_run *run, str key, const struct sim_wait *but)
{
    for (size_t i = 0; i < run->wait_count; i++) {
        if (&run->waits[i] != but && is_asked(&run->waits[i], key)) {
            return true;
        }
    }
    return false;
}

static bool has_open(const struct sim_run *run)
{
    for (size_t i = 0; i < run->wait_count; i++) {
        if (run->waits[i].is_open && run->waits[i].kind == EFFECT_SUSPENSION) {
            return true;
        }
    }
    return false;
}

void laws_note_kept(struct world *world, const struct sim_run *run, str key)
{
    if (run->is_copying) {
        return;
    }
    for (size_t i = 0; i < world->run_count; i++) {
        const struct sim_run *each = world->runs[i];
        if (each == run || uuid_equal(each->root, run->id)) {
            world_expect(world, !has_asked(each, key, NULL), "only-what-nobody-asked-is-kept");
            world_expect(world, !has_open(each), "nothing-is-kept-while-others-are-open");
        }
    }
}

void laws_note_answered(struct world *world, const struct sim_run *run, const struct sim_wait *wait,
                        str by)
{
    if (wait->kind == EFFECT_SUSPENSION && !run->is_copying && !str_starts_with(by, STR("id-"))) {
        world_expect(world, !has_asked(run, wait->key, wait), "a-key-answers-what-alone-it-means");
    }
}

static bool is_meant(const struct sim_resume *resume, const struct sim_run *run,
                     const struct sim_answer *answer)
{
    bool is_its = uuid_equal(run->id, resume->run);
    return resume->effect != 0 ? is_its && answer->effect == resume->effect
                               : (is_its || uuid_equal(run->root, resume->run)) &&
                                     str_equal(answer->key, resume->key);
}

/* Its run; *ret: where it is. Copies have it too: the one that was meant, if there is one. */
static const struct sim_run *find_answer(const struct world *world, const struct sim_resume *resume,
                                         const struct sim_answer **ret)
{
    const struct sim_run *found = NULL;
    for (size_t i = 0; i < world->run_count; i++) {
        const struct sim_run *run = world->runs[i];
        for (size_t j = 0; j < run->answer_count; j++) {
            const struct sim_answer *answer = &run->answers[j];
            bool is_better = found == NULL || !is_meant(resume, found, *ret);
            if (is_better && str_equal(answer->by, resume->by)) {
                found = run;
                *ret = answer;
            }
        }
    }
    return found;
}

/* In the run, or, where it names a root, below it: the suspensions that ever were under its key,
 * those that are over, and those under any key. */
struct known {
    size_t asked;
    size_t with_schema; /* Of these. */
    size_t over;
    size_t any;
};

static void add_known(const struct sim_run *run, const struct sim_resume *resume, struct known *ret)
{
    for (size_t i = 0; i < run->wait_count; i++) {
        const struct sim_wait *wait = &run->waits[i];
        if (wait->kind == EFFECT_SUSPENSION) {
            bool is_it = resume->effect != 0 ? wait->effect == resume->effect
                                             : str_equal(wait->key, resume->key);
            ret->any++;
            ret->asked += is_it;
            ret->with_schema += is_it && wait->has_schema;
            /* Of a run that has ended all are, where its journal alone tells of them. */
            ret->over += is_it && !wait->is_open &&
                         (resume->effect != 0 || wait->is_settled || wait->is_withdrawn ||
                          run->ledger.ended != EVENT_NONE);
        }
    }
}

static struct known find_known(const struct world *world, const struct sim_resume *resume)
{
    struct known known = {0};
    for (size_t i = 0; i < world->run_count; i++) {
        const struct sim_run *run = world->runs[i];
        bool is_below = resume->effect == 0 && uuid_equal(run->root, resume->run);
        if (is_below || uuid_equal(run->id, resume->run)) {
            add_known(run, resume, &known);
        }
    }
    return known;
}

void laws_judge_resume(struct world *world, const struct sim_resume *resume, bool is_accepted,
                       bool is_kept)
{
    const struct sim_answer *answer = NULL;
    const struct sim_run *run = find_answer(world, resume, &answer);
    if (is_accepted) {
        world_expect(world, run != NULL && answer->is_kept == is_kept,
                     "an-accepted-answer-is-written");
        world_expect(world, run == NULL || is_meant(resume, run, answer),
                     "an-answer-counts-for-what-it-names");
        return;
    }
    world_expect(world, run == NULL, "an-answer-that-came-second-changes-nothing");
    if (!is_kept) {
        world_expect(world, find_known(world, resume).over > 0, "an-answer-is-second-to-another");
    }
}

void laws_judge_refusal(struct world *world, const struct sim_resume *resume,
                        const struct failure *failure)
{
    const struct sim_run *run = world_find_run(world, resume->run);
    struct known known = find_known(world, resume);
    bool is_right =
        (failure->reason == REASON_RUN_ENDED && run->ledger.ended != EVENT_NONE) ||
        (failure->reason == REASON_SUSPENSION_AMBIGUOUS && known.asked > 1) ||
        (failure->reason == REASON_OTHER_SUSPENSIONS_OPEN && known.any > known.asked) ||
        (failure->reason == REASON_ANSWER_MISFIT && resume->is_misfit && known.with_schema > 0);
    world_fail_law(world, failure, is_right, "answers-are-taken");
}
