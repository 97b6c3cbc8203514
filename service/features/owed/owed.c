/*
 * owed: what a decision causes in other runs, and sweeps over many of them.
 */
#include "service/features/owed/owed.h"

#include <stdlib.h>

#include "service/base/sys.h"
#include "service/base/table.h"
#include "service/codec/owed_row.h"
#include "service/partition/state.h"

enum {
    ROUND_RUNS_MAX = 1024, /* Unless the options say otherwise. */
    LANE_RUNS_MAX = 256, /* Of one lane in a round. */
    LANE_BYTES_MAX = 1 << 20,
    ROUND_BYTES_MAX = 2 << 20, /* Beside what the requests put. */
    LANES_MAX = 1000, /* In memory, when the round is over. */
    LANE_ITEMS_MAX = 1024,
    PAGE_ROWS = 256,
};

static_assert(LANE_RUNS_MAX <= ROUND_RUNS_MAX && LANE_BYTES_MAX <= ROUND_BYTES_MAX,
              "a lane's share is a part of the round's");

struct item {
    struct item *next;
    const struct owed_kind *kind;
    struct owed owed;
    uint64_t number; /* Of its row; 0: it has none yet. */
    bool is_moved; /* Its row has another cursor. */
};

struct lane {
    struct table_link by_root;
    struct lane *next; /* Whose turn is later. */
    uuid root;
    struct item *first;
    struct item *last;
    size_t count;
    size_t of_kind[OWED_KINDS_MAX];
    uint64_t worked_round;
    uint64_t read_to; /* Rows up to here are in memory, or were dealt with. */
    uint64_t put_to; /* The newest row that this process put. */
    bool is_unread; /* There may be rows after read_to. */
};

/* The feature's state. */
struct owings {
    struct partition *partition;
    const struct owed_kind *kinds[OWED_KINDS_MAX];
    struct table by_root;
    struct lane *first; /* In turn. */
    struct lane *last;
    size_t lane_count;
    uint64_t newest; /* Of all rows' numbers. */
    uint64_t read_again_ms; /* The store could not be read; 0: it could. */
    bool is_unread; /* There may be rows of lanes that are not in memory. */
};

static struct owings *owings_of(const struct partition *partition)
{
    return partition_self(partition, &owed_feature);
}

static bool has_root(const struct table_link *link, const void *root)
{
    return uuid_equal(container_of(link, const struct lane, by_root)->root, *(const uuid *)root);
}

/* ---- Lanes in memory. ---- */

static struct lane *find_lane(const struct owings *owings, uuid root)
{
    struct table_link *link = table_find(&owings->by_root, uuid_hash(root), &root);
    return link == NULL ? NULL : container_of(link, struct lane, by_root);
}

static void queue_lane(struct owings *owings, struct lane *lane)
{
    lane->next = NULL;
    *(owings->last != NULL ? &owings->last->next : &owings->first) = lane;
    owings->last = lane;
    assert(owings->first != NULL && owings->last->next == NULL);
}

static struct lane *add_lane(struct owings *owings, uuid root)
{
    struct lane *lane = xcalloc(1, sizeof(*lane));
    assert(find_lane(owings, root) == NULL);
    lane->root = root;
    lane->is_unread = owings->is_unread; /* Those rows come first. */
    table_add(&owings->by_root, &lane->by_root, uuid_hash(root));
    queue_lane(owings, lane);
    owings->lane_count++;
    assert(owings->lane_count == owings->by_root.count);
    return lane;
}

static void add_item(struct lane *lane, const struct owed_kind *kind, const struct owed *owed,
                     uint64_t number)
{
    struct item *item = xcalloc(1, sizeof(*item));
    item->kind = kind;
    item->owed = *owed;
    item->number = number;
    *(lane->last != NULL ? &lane->last->next : &lane->first) = item;
    lane->last = item;
    lane->count++;
    lane->of_kind[kind->number]++;
}

static void drop_first(struct lane *lane)
{
    struct item *item = lane->first;
    assert(item != NULL && lane->count > 0);
    lane->first = item->next;
    lane->last = lane->first == NULL ? NULL : lane->last;
    lane->count--;
    assert(lane->of_kind[item->kind->number] > 0);
    lane->of_kind[item->kind->number]--;
    free(item);
}

static void free_lane(struct owings *owings, struct lane *lane)
{
    while (lane->first != NULL) {
        drop_first(lane);
    }
    table_remove(&owings->by_root, &lane->by_root);
    assert(owings->lane_count > 0);
    owings->lane_count--;
    free(lane);
}

static void forget_all(struct owings *owings)
{
    while (owings->first != NULL) {
        struct lane *lane = owings->first;
        owings->first = lane->next;
        free_lane(owings, lane);
    }
    owings->last = NULL;
    assert(owings->lane_count == 0);
}

/* ---- Rows. ---- */

static void put_row(struct owings *owings, struct lane *lane, uint64_t number,
                    const struct owed_kind *kind, const struct owed *owed)
{
    assert(number > 0); /* 0 is: it has no row. */
    char key[KEY_BYTES_MAX];
    char bytes[OWED_ROW_BYTES_MAX];
    struct partition *partition = owings->partition;
    struct index_tail tail = owed_key_tail(&(struct owed_key){lane->root, number});
    const struct owed_row row = {kind->number, owed->target, owed->source, owed->cursor};
    store_batch_put(&partition->batch, STORE_INDEX,
                    key_index(key, partition->options.space, INDEX_OWED, index_tail_str(&tail)),
                    owed_row_encode(&row, bytes));
    lane->put_to = number > lane->put_to ? number : lane->put_to;
}

static void delete_row(struct owings *owings, const struct lane *lane, uint64_t number)
{
    char key[KEY_BYTES_MAX];
    struct partition *partition = owings->partition;
    struct index_tail tail = owed_key_tail(&(struct owed_key){lane->root, number});
    store_batch_delete(&partition->batch, STORE_INDEX,
                       key_index(key, partition->options.space, INDEX_OWED, index_tail_str(&tail)));
}

/* From `from` on, a key's tail; empty: from the first. */
static status scan(struct owings *owings, struct index_tail prefix, str from, size_t limit,
                   store_visit *visit, void *context)
{
    char key[KEY_BYTES_MAX];
    char from_key[KEY_BYTES_MAX];
    struct partition *partition = owings->partition;
    struct key_space space = partition->options.space;
    return store_scan(&partition->store, STORE_INDEX,
                      key_index(key, space, INDEX_OWED, index_tail_str(&prefix)),
                      from.len == 0 ? STR_EMPTY : key_index(from_key, space, INDEX_OWED, from),
                      false, limit, visit, context);
}

static void note_unreadable(struct owings *owings, status why)
{
    log_line(LOG_ERROR, "owed_unreadable", "why=\"%s\"", why.why);
    owings->read_again_ms = owings->partition->now_ms + READ_AGAIN_MS;
}

struct reading {
    struct owings *owings;
    struct lane *lane;
    size_t rows;
};

static bool read_item(void *context, str key, str value)
{
    str tail;
    struct owed_key owed_key;
    struct owed_row row;
    struct reading *reading = context;
    struct owings *owings = reading->owings;
    reading->rows++;
    if (!key_read_index(key, &tail) || !status_is_ok(owed_key_decode(tail, &owed_key))) {
        return true;
    }
    reading->lane->read_to = owed_key.number;
    bool is_known = status_is_ok(owed_row_decode(value, &row)) && row.kind < OWED_KINDS_MAX &&
                    owings->kinds[row.kind] != NULL;
    if (!is_known) {
        log_line(LOG_ERROR, "owed_unreadable", "number=%llu; it is put aside",
                 (unsigned long long)owed_key.number);
        return true;
    }
    const struct owed owed = {.target = row.target, .source = row.source, .cursor = row.cursor};
    add_item(reading->lane, owings->kinds[row.kind], &owed, owed_key.number);
    return true;
}

/* The next rows of a lane that has none in memory. */
static void read_lane(struct owings *owings, struct lane *lane)
{
    struct reading reading = {.owings = owings, .lane = lane};
    struct index_tail from = owed_key_tail(&(struct owed_key){lane->root, lane->read_to + 1});
    assert(lane->first == NULL);
    status read = scan(owings, owed_keys_of(lane->root), index_tail_str(&from), PAGE_ROWS,
                       read_item, &reading);
    if (!status_is_ok(read)) {
        note_unreadable(owings, read);
        return;
    }
    lane->is_unread = reading.rows == PAGE_ROWS || lane->read_to < lane->put_to;
}

struct finding {
    uuid root;
    bool found;
};

static bool find_root(void *context, str key, str value)
{
    (void)value;
    str tail;
    struct owed_key owed;
    struct finding *finding = context;
    finding->found = key_read_index(key, &tail) && status_is_ok(owed_key_decode(tail, &owed));
    if (finding->found) {
        finding->root = owed.lane;
    }
    return !finding->found;
}

/* Lanes that are rows only come into memory, as many as there is room for. */
static void read_lanes(struct owings *owings)
{
    struct index_tail from = {.len = 0};
    while (owings->lane_count < LANES_MAX) {
        struct finding finding = {.found = false};
        status read = scan(owings, (struct index_tail){.len = 0}, index_tail_str(&from), SIZE_MAX,
                           find_root, &finding);
        if (!status_is_ok(read)) {
            note_unreadable(owings, read);
            return;
        }
        if (!finding.found) {
            owings->is_unread = false;
            return;
        }
        if (find_lane(owings, finding.root) == NULL) {
            add_lane(owings, finding.root)->is_unread = true;
        }
        from = owed_key_tail(&(struct owed_key){finding.root, UINT64_MAX});
        from.bytes[from.len++] = 0; /* The first key after all of the lane. */
    }
}

/* ---- In a round. ---- */

static void begin_round(void *self)
{
    struct owings *owings = self;
    if (owings->partition->now_ms < owings->read_again_ms) {
        return;
    }
    owings->read_again_ms = 0;
    if (owings->is_unread && owings->lane_count < LANES_MAX / 2) {
        read_lanes(owings);
    }
    for (struct lane *lane = owings->first; lane != NULL; lane = lane->next) {
        if (lane->is_unread && lane->first == NULL) {
            read_lane(owings, lane);
        }
    }
}

void owed_post(struct partition *partition, uuid lane_root, const struct owed_kind *kind,
               const struct owed *owed)
{
    struct owings *owings = owings_of(partition);
    assert(kind->number > 0 && kind->number < OWED_KINDS_MAX);
    assert(owings->kinds[kind->number] == kind); /* Some feature has a row for it. */
    struct lane *lane = find_lane(owings, lane_root);
    if (lane == NULL) {
        lane = add_lane(owings, lane_root);
    }
    if (lane->is_unread) { /* After those that are rows only. */
        put_row(owings, lane, ++owings->newest, kind, owed);
        return;
    }
    add_item(lane, kind, owed, 0);
}

bool owed_stands(const struct partition *partition, uuid lane_root, const struct owed_kind *kind)
{
    const struct owings *owings = owings_of(partition);
    const struct lane *lane = find_lane(owings, lane_root);
    if (lane == NULL) {
        return owings->is_unread;
    }
    return lane->is_unread || lane->of_kind[kind->number] > 0;
}

enum owed_result owed_unread(status why)
{
    assert(!status_is_ok(why));
    if (why.code == CODE_NOT_FOUND) { /* It was deleted. */
        return OWED_DONE;
    }
    return store_may_pass(why) ? OWED_LATER : OWED_PUT_ASIDE;
}

/* False: it is not done in this round. */
static bool work_item(struct owings *owings, struct lane *lane, size_t *budget)
{
    struct item *item = lane->first;
    uint64_t number = item->number;
    assert(*budget > 0);
    enum owed_result result = item->kind->work(owings->partition, &item->owed, budget);
    assert(lane->first == item); /* What it posted comes after it. */
    if (result == OWED_LATER) {
        owings->read_again_ms = owings->partition->now_ms + READ_AGAIN_MS;
        return false;
    }
    if (result == OWED_GOES_ON) {
        item->is_moved = true;
        return false;
    }
    if (result == OWED_PUT_ASIDE) {
        char id[UUID_TEXT_BYTES];
        uuid_format(item->owed.target, id);
        log_line(LOG_ERROR, "owed_put_aside", "kind=%s run=%s", item->kind->name, id);
        if (number == 0) {
            put_row(owings, lane, ++owings->newest, item->kind, &item->owed);
        }
    } else if (number != 0) {
        delete_row(owings, lane, number);
    }
    drop_first(lane);
    return true;
}

static size_t batch_bytes(const struct owings *owings)
{
    return owings->partition->batch.bytes.len;
}

static void work_lane(struct owings *owings, struct lane *lane, size_t *budget)
{
    size_t share = *budget < LANE_RUNS_MAX ? *budget : LANE_RUNS_MAX;
    size_t left = share;
    size_t bytes = batch_bytes(owings);
    while (lane->first != NULL && left > 0 && batch_bytes(owings) - bytes < LANE_BYTES_MAX) {
        if (!work_item(owings, lane, &left)) {
            break;
        }
    }
    assert(left <= share);
    *budget -= share - left;
}

/* Lanes in turn, each once. */
static void work(void *self)
{
    struct owings *owings = self;
    struct partition *partition = owings->partition;
    size_t budget = partition->options.owed_max == 0 ? ROUND_RUNS_MAX : partition->options.owed_max;
    size_t bytes = batch_bytes(owings);
    while (owings->first != NULL && budget > 0 && owings->read_again_ms == 0 &&
           owings->first->worked_round != partition->stats.rounds &&
           batch_bytes(owings) - bytes < ROUND_BYTES_MAX) {
        struct lane *lane = owings->first;
        lane->worked_round = partition->stats.rounds;
        work_lane(owings, lane, &budget);
        owings->first = lane->next;
        owings->last = owings->first == NULL ? NULL : owings->last;
        if (lane->first == NULL && !lane->is_unread) {
            free_lane(owings, lane);
        } else {
            queue_lane(owings, lane);
        }
    }
}

/* What is left becomes rows; those far behind leave memory. */
static void seal_lane(struct owings *owings, struct lane *lane)
{
    struct item *item = lane->first;
    struct item *kept = NULL;
    if (item == NULL) {
        return;
    }
    for (size_t i = 0; item != NULL; item = item->next, i++) {
        if (item->number == 0 || item->is_moved) {
            item->number = item->number == 0 ? ++owings->newest : item->number;
            item->is_moved = false;
            item->owed.at_hand = NULL;
            put_row(owings, lane, item->number, item->kind, &item->owed);
        }
        lane->read_to = i < LANE_ITEMS_MAX ? item->number : lane->read_to;
        kept = i < LANE_ITEMS_MAX ? item : kept;
    }
    while (kept->next != NULL) {
        struct item *dropped = kept->next;
        kept->next = dropped->next;
        lane->count--;
        assert(dropped->number > 0); /* It can be read again. */
        lane->of_kind[dropped->kind->number]--;
        lane->is_unread = true;
        free(dropped);
    }
    lane->last = kept;
}

static void seal_round(void *self)
{
    struct owings *owings = self;
    size_t seen = 0;
    struct lane *kept = NULL;
    for (struct lane *lane = owings->first; lane != NULL; lane = lane->next) {
        seal_lane(owings, lane);
        kept = ++seen <= LANES_MAX ? lane : kept;
    }
    while (kept != NULL && kept->next != NULL) {
        struct lane *dropped = kept->next;
        kept->next = dropped->next;
        free_lane(owings, dropped);
        owings->is_unread = true;
    }
    owings->last = kept;
}

static void forget_round(void *self)
{
    struct owings *owings = self;
    forget_all(owings);
    owings->is_unread = true; /* What was committed is read again. */
}

static uint64_t next_due_ms(void *self)
{
    const struct owings *owings = self;
    if (owings->first == NULL && !owings->is_unread) {
        return 0;
    }
    return owings->read_again_ms != 0 ? owings->read_again_ms : owings->partition->now_ms;
}

/* ---- The feature. ---- */

static void take_kinds(struct owings *owings, const struct feature *feature)
{
    for (size_t i = 0; feature->owed_kinds != NULL && feature->owed_kinds[i] != NULL; i++) {
        const struct owed_kind *kind = feature->owed_kinds[i];
        assert(kind->number > 0 && kind->number < OWED_KINDS_MAX && kind->work != NULL);
        assert(owings->kinds[kind->number] == NULL); /* One feature for each. */
        owings->kinds[kind->number] = kind;
    }
}

static bool note_number(void *context, str key, str value)
{
    (void)value;
    str tail;
    struct owed_key owed;
    struct owings *owings = context;
    if (key_read_index(key, &tail) && status_is_ok(owed_key_decode(tail, &owed))) {
        owings->newest = owed.number > owings->newest ? owed.number : owings->newest;
    }
    return true;
}

/* Numbers go on from what the last process left. */
static status load(void *self)
{
    return scan(self, (struct index_tail){.len = 0}, STR_EMPTY, SIZE_MAX, note_number, self);
}

static void *start(struct partition *partition)
{
    struct owings *owings = xcalloc(1, sizeof(*owings));
    owings->partition = partition;
    owings->is_unread = true;
    table_init(&owings->by_root, has_root);
    for (size_t i = 0; partition->options.features[i] != NULL; i++) {
        take_kinds(owings, partition->options.features[i]);
    }
    return owings;
}

static void stop(void *self)
{
    struct owings *owings = self;
    forget_all(owings);
    table_fini(&owings->by_root);
    free(owings);
}

const struct feature owed_feature = {
    .name = "owed",
    .start = start,
    .load = load,
    .at =
        {
            [ROUND_BEGINS] = begin_round,
            [ROUND_HEARD] = work,
            [ROUND_SEALS] = seal_round,
            [ROUND_FAILED] = forget_round,
        },
    .next_due_ms = next_due_ms,
    .stop = stop,
};
