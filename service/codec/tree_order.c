#include "service/codec/tree_order.h"

#include "polos/journal/v1/records.pb.h"
#include "service/base/endian.h"
#include "service/codec/pack.h"

enum {
    ROW_VERSION = 1,
    NUMBER_BYTES = 8,
};
static_assert(polos_journal_v1_TreeFacts_size <= TREE_FACTS_BYTES_MAX, "records.options");

struct index_tail tree_facts_tail(uuid root, uint64_t number)
{
    struct index_tail tail = tree_facts_of(root);
    assert(number > 0);
    index_tail_put_number(&tail, number, NUMBER_BYTES);
    return tail;
}

struct index_tail tree_facts_of(uuid root)
{
    struct index_tail tail = {.len = 0};
    assert(!uuid_is_zero(root));
    index_tail_put(&tail, root.bytes, sizeof(root.bytes));
    return tail;
}

str tree_facts_encode(const struct tree_facts *facts, char ret[TREE_FACTS_BYTES_MAX])
{
    polos_journal_v1_TreeFacts body = {
        .version = ROW_VERSION, .first_seq = facts->first_seq, .count = facts->count};
    assert(facts->first_seq > 0 && facts->count > 0);
    static_assert(sizeof(body.run) == sizeof(facts->run.bytes), "records.options");
    memcpy(body.run, facts->run.bytes, sizeof(body.run));
    return str_make(
        ret, pack_message(polos_journal_v1_TreeFacts_fields, &body, ret, TREE_FACTS_BYTES_MAX));
}

status tree_facts_decode(str tail, str bytes, struct tree_facts *ret)
{
    polos_journal_v1_TreeFacts body = polos_journal_v1_TreeFacts_init_zero;
    size_t root_bytes = sizeof(ret->run.bytes);
    bool is_whole = tail.len == root_bytes + NUMBER_BYTES &&
                    unpack_message(polos_journal_v1_TreeFacts_fields, bytes, &body);
    if (is_whole && body.version > ROW_VERSION) {
        return status_make(CODE_FAILED_PRECONDITION, "order of a tree: of a later release");
    }
    if (!is_whole || body.first_seq == 0 || body.count == 0) {
        return status_make(CODE_DATA_LOSS, "order of a tree: damaged");
    }
    *ret = (struct tree_facts){.number = endian_get_be(tail.ptr + root_bytes, NUMBER_BYTES),
                               .first_seq = body.first_seq,
                               .count = body.count};
    memcpy(ret->run.bytes, body.run, sizeof(ret->run.bytes));
    return ret->number > 0 ? STATUS_OK
                           : status_make(CODE_DATA_LOSS, "order of a tree: a number is 0");
}
