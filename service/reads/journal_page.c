#include "service/reads/journal_page.h"

struct page {
    const struct reads_source *source;
    journal_page_visit *each;
    void *context;
    size_t bytes;
    size_t rows;
    uint32_t next;
    status status;
};

static bool visit(void *context, str key, str value)
{
    struct page *page = context;
    uint32_t seq;
    bool enough = false;
    if (!key_read_journal_seq(key, &seq) || seq == 0) {
        page->status = status_make(CODE_DATA_LOSS, "a key of the journal is damaged");
        return false;
    }
    bool is_full =
        page->rows == page->source->page_rows || page->bytes + value.len > page->source->page_bytes;
    if (page->rows > 0 && is_full) {
        page->next = seq;
        return false;
    }
    page->rows++;
    page->bytes += value.len;
    page->status = page->each(page->context, seq, value, &enough);
    return status_is_ok(page->status) && !enough;
}

status journal_page(const struct reads_source *source, uuid run, uint32_t seq, bool backwards,
                    journal_page_visit *each, void *context, uint32_t *ret_next)
{
    char prefix[KEY_BYTES_MAX];
    char from[KEY_BYTES_MAX];
    struct page page = {.source = source, .each = each, .context = context};
    assert(seq > 0);
    TRY(store_scan(&source->store, STORE_JOURNAL, key_run(prefix, source->space, run),
                   key_journal(from, source->space, run, seq), backwards, SIZE_MAX, visit, &page));
    *ret_next = page.next;
    return page.status;
}

static bool visit_start(void *context, str key, str value)
{
    (void)value;
    return !key_read_journal_seq(key, context);
}

status journal_record_start(const struct reads_source *source, uuid run, uint32_t seq,
                            uint32_t *ret)
{
    char prefix[KEY_BYTES_MAX];
    char from[KEY_BYTES_MAX];
    *ret = seq;
    return store_scan(&source->store, STORE_JOURNAL, key_run(prefix, source->space, run),
                      key_journal(from, source->space, run, seq), true, 1, visit_start, ret);
}
