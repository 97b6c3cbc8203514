#include "service/partition/seal.h"

#include "service/base/code_version.h"
#include "service/partition/alarms.h"
#include "service/partition/state.h"
#include "service/partition/timers.h"

/* A waiting run need not be loaded to be given out, or to be woken by a timer or a wait's end. */
static void put_ready(const struct live_run *run, struct run_row *row)
{
    row->load = true;
    uint32_t count = 0;
    if (run->state.admission == ADMISSION_HELD) {
        return; /* Its place is known by its state. */
    }
    for (uint32_t i = 0; i < run->state.effect_count; i++) {
        const struct effect *effect = &run->state.effects[i];
        bool is_ready = (effect->kind == EFFECT_BODY && effect->state == EFFECT_READY) ||
                        (effect->kind == EFFECT_MODEL && effect->state == EFFECT_PARKED);
        bool rests = effect_is_wait(effect) || effect->state == EFFECT_PARKED ||
                     effect->state == EFFECT_BACKOFF;
        if (rests && !is_ready) {
            continue;
        }
        if (!is_ready || count == CODEC_READY_MAX) {
            return; /* A tool's name is in the journal only. */
        }
        bool is_task = effect_is_task(effect);
        row->ready[count].effect = effect->id;
        row->ready[count].kind = (enum effect_kind)effect->kind;
        row->ready[count].deployment = is_task ? engine_pin(&run->state, effect) : CODE_VERSION_ANY;
        memcpy(row->ready[count].name, run->name, sizeof(run->name));
        count++;
    }
    assert(count <= CODEC_READY_MAX);
    row->ready_count = count;
    row->load = false;
}

void seal_row(struct partition *partition, struct live_run *run, struct run_row *ret)
{
    memset(ret, 0, sizeof(*ret));
    ret->kind = (enum run_kind)run->state.kind;
    ret->status = run_status_of(&run->state);
    memcpy(ret->name, run->name, sizeof(run->name));
    ret->created_ms = run->state.started_ms;
    ret->ended_ms = run->state.ended_ms;
    ret->next_deadline_ms = engine_next_deadline(&run->state);
    ret->last_seq = run->state.seq;
    ret->deployment = run->state.deployment;
    ret->begun_ms = run->state.begun_ms;
    if (run->is_copying) {
        assert(!engine_is_terminal(&run->state));
        ret->status = RUN_STATUS_WAITING;
        ret->next_deadline_ms = 0;
        ret->load = true;
    } else if (ret->status == RUN_STATUS_WAITING) {
        put_ready(run, ret);
        features_tell(partition, seal, run, ret);
    } else {
        ret->load = !engine_is_terminal(&run->state);
    }
}

static bool row_equal(const struct run_row *a, const struct run_row *b)
{
    struct run_row left = *a;
    left.last_seq = b->last_seq; /* Lists may lag behind by events; never by a status. */
    return memcmp(&left, b, sizeof(left)) == 0;
}

static void seal_run(struct partition *partition, struct live_run *run)
{
    struct run_row row;
    assert(run->is_touched);
    seal_row(partition, run, &row);
    timers_arm(partition->timers, run->state.id, row.next_deadline_ms);
    if (run->row_written && row_equal(&run->row, &row)) {
        return;
    }
    char key_bytes[KEY_BYTES_MAX];
    char bytes[2048];
    str key = key_run(key_bytes, partition->options.space, run->state.id);
    str value = str_make(bytes, codec_encode_row(&row, bytes, sizeof(bytes)));
    store_batch_put(&partition->batch, STORE_RUNS, key, value);
    if (engine_is_terminal(&run->state)) {
        if (run->row_written) {
            store_batch_delete(&partition->batch, STORE_ACTIVE, key);
        }
    } else {
        store_batch_put(&partition->batch, STORE_ACTIVE, key, value);
    }
    alarm_put(partition, run, alarm_of(&row));
    run->row = row;
    run->row_written = true;
}

void seal_touched(struct partition *partition)
{
    for (struct live_run *run = partition->runs.touched; run != NULL; run = run->touched_next) {
        if (run->state.seq > 0) {
            seal_run(partition, run);
        }
    }
}
