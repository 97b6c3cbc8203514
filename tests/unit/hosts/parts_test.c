/*
 * Goal:   the parts that hosts stand on: task ids, the window of numbers, the outbox.
 * Method: edges by hand; the window also against a model under a seeded random walk.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "service/hosts/message.h"
#include "service/hosts/outbox.h"
#include "service/hosts/window.h"

static void task_ids(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "01020304-0000-0000-0000-000000000000",
        "01020304-0000-0000-0000-000000000000.",
        "01020304-0000-0000-0000-000000000000.01",
        "01020304-0000-0000-0000-000000000000.-1",
        "01020304-0000-0000-0000-000000000000.1 ",
        "01020304-0000-0000-0000-000000000000.4294967296",
        "01020304-0000-0000-0000-000000000000.99999999999",
        "01020304-0000-0000-0000-000000000000:1",
        "0102030x-0000-0000-0000-000000000000.1",
    };
    const uint32_t effects[] = {0, 1, 10, 4294967295u};
    struct task_ref parsed;
    for (size_t i = 0; i < COUNT_OF(effects); i++) {
        struct task_ref task = {.run = {{1, 2, 3, 0xfe}}, .effect = effects[i]};
        char text[TASK_ID_BYTES];
        task_ref_format(task, text);
        assert_true(task_ref_parse(str_of(text), &parsed));
        assert_true(task_ref_equal(parsed, task));
    }
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        assert_false(task_ref_parse(str_of(wrong[i]), &parsed));
    }
}

enum {
    WALK_MAX = 3000,
};

enum model_state {
    MODEL_UNSEEN,
    MODEL_OPEN,
    MODEL_HANDLED,
    MODEL_FORGOTTEN,
};

static void check_receive(struct window *window, enum model_state *model, uint64_t seq,
                          uint64_t *received)
{
    enum window_verdict verdict = window_receive(window, seq);
    if (seq > *received + 1) {
        assert_int_equal(verdict, WINDOW_GAP);
        return;
    }
    bool is_new = model[seq] == MODEL_UNSEEN || model[seq] == MODEL_FORGOTTEN;
    assert_int_equal(verdict, is_new ? WINDOW_NEW : WINDOW_REPEATED);
    if (is_new) {
        model[seq] = MODEL_OPEN;
        *received = seq > *received ? seq : *received;
    }
}

static void window_walk(void **state)
{
    (void)state;
    enum model_state model[WALK_MAX + 2] = {MODEL_HANDLED};
    struct window window = {0};
    uint64_t random = 7;
    uint64_t received = 0;
    while (received < WALK_MAX - 20) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        uint64_t seq = window.handled + (random >> 33) % (received - window.handled + 3);
        switch (random >> 60) {
        case 0:
            if (window_is_open(&window, seq) && (random >> 50) % 16 == 0) {
                window_forget(&window, seq);
                for (uint64_t i = seq; i <= received; i++) {
                    model[i] = model[i] == MODEL_OPEN ? MODEL_FORGOTTEN : model[i];
                }
            }
            break;
        case 1:
        case 2:
        case 3:
        case 4:
            window_mark_handled(&window, seq);
            if (seq <= received) {
                model[seq] = MODEL_HANDLED;
            }
            break;
        default:
            check_receive(&window, model, seq, &received);
            break;
        }
        uint64_t handled = window.handled;
        assert_int_equal(window.received, received);
        assert_int_equal(model[handled], MODEL_HANDLED);
        assert_int_not_equal(model[handled + 1], MODEL_HANDLED);
        assert_int_equal(window_is_open(&window, seq), model[seq] == MODEL_OPEN);
    }
    window_fini(&window);
}

static void outbox_keeps_what_is_not_acknowledged(void **state)
{
    (void)state;
    struct outbox outbox = {0};
    assert_true(outbox_acknowledge(&outbox, 0));
    assert_false(outbox_acknowledge(&outbox, 1));
    for (uint64_t seq = 1; seq <= 1000; seq++) {
        outbox_push(&outbox, payload_copy(str_make(&seq, sizeof(seq))), seq / 2);
        if (seq % 3 == 0) {
            assert_true(outbox_acknowledge(&outbox, seq / 3));
        }
    }
    assert_int_equal(outbox_count(&outbox), 1000 - 333);
    assert_int_equal(outbox.bytes, (1000 - 333) * sizeof(uint64_t));
    for (uint64_t seq = 334; seq <= 1000; seq++) {
        assert_memory_equal(payload_bytes(outbox_get(&outbox, seq)).ptr, &seq, sizeof(seq));
        assert_int_equal(outbox_ack(&outbox, seq), seq / 2);
    }
    assert_true(outbox_acknowledge(&outbox, 5)); /* Old news. */
    assert_false(outbox_acknowledge(&outbox, 1001));
    assert_int_equal(outbox_count(&outbox), 1000 - 333);
    outbox_fini(&outbox);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(task_ids),
        cmocka_unit_test(window_walk),
        cmocka_unit_test(outbox_keeps_what_is_not_acknowledged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
