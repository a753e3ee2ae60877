// SPDX-License-Identifier: Apache-2.0
/* Progress, output and log: places, limits, what attempts of one future have in common, what the store is given. */
#include "engine/restore.h"
#include "engine/told.h"
#include "fixture.h"

static int tell(struct fixture *x, struct lease *lease, enum told_kind kind, uint64_t offset,
                const char *text)
{
    const struct told_piece piece = {
            .kind = kind, .stream = TOLD_FROM_LOG, .offset = offset, .data = span_of_string(text)};
    int r = engine_tell(x->e, lease, &piece);

    engine_check(x->e);
    return r;
}

/* All of one kind, as a string. */
static const char *all(const struct future *f, enum told_kind kind)
{
    static char text[4096];
    size_t n = 0;

    for (const struct told_chunk *c = future_told(f) ? future_told(f)->first : NULL; c; c = c->next)
        if (c->kind == kind) {
            assert_int_equal(c->offset, n);
            assert_true(n + c->data->len < sizeof text);
            memcpy(text + n, c->data->data, c->data->len);
            n += c->data->len;
        }
    text[n] = '\0';
    return text;
}

static void lose(struct fixture *x, struct lease *lease)
{
    assert_int_equal(engine_lose(x->e, lease), 0);
}

static void test_places(void **state)
{
    struct fixture x;
    struct future *f;
    struct lease *lease;
    uint64_t revision;

    fixture_init(&x);
    f = fixture_submit(&x, NULL);
    lease = fixture_claim(&x);
    assert_int_equal(tell(&x, lease, TOLD_LOG, 0, "early"), ENGINE_E_NOT_STARTED);
    assert_int_equal(engine_start(x.e, lease, x.wall), 0);
    revision = f->revision;
    assert_int_equal(tell(&x, lease, TOLD_LOG, 0, "abc"), 0);
    assert_int_equal(tell(&x, lease, TOLD_OUTPUT, 0, "123"), 0);
    assert_int_equal(tell(&x, lease, TOLD_LOG, 0, "abc"), 0);  /* again */
    assert_int_equal(tell(&x, lease, TOLD_LOG, 2, "cdef"), 0); /* and more */
    assert_int_equal(tell(&x, lease, TOLD_LOG, 6, ""), 0);
    assert_int_equal(tell(&x, lease, TOLD_LOG, 7, "h"), ENGINE_E_TOLD_WRONG);
    assert_int_equal(tell(&x, lease, TOLD_LOG, UINT64_MAX, "h"), ENGINE_E_TOLD_WRONG);
    assert_string_equal(all(f, TOLD_LOG), "abcdef");
    assert_string_equal(all(f, TOLD_OUTPUT), "123");
    assert_true(f->revision == revision);
    lose(&x, lease);
    lease = fixture_start(&x); /* the next attempt begins at 0 */
    assert_int_equal(tell(&x, lease, TOLD_LOG, 1, "x"), ENGINE_E_TOLD_WRONG);
    assert_int_equal(tell(&x, lease, TOLD_LOG, 0, "ghi"), 0);
    assert_string_equal(all(f, TOLD_LOG), "abcdefghi");
    assert_int_equal(future_told(f)->last->attempt, 2);
    fixture_succeed(&x, lease);
    assert_string_equal(all(f, TOLD_LOG), "abcdefghi");
    assert_int_equal(engine_delete(x.e, f), 0);
    fixture_deinit(&x);
}

static void test_limits(void **state)
{
    struct fixture x;
    struct future *f;
    struct lease *lease;
    char text[201];

    memset(text, 'x', 200);
    text[200] = '\0';
    fixture_init(&x);
    x.e->config.limits.max_log_bytes = 300;
    x.e->config.limits.max_output_bytes = 0;
    f = fixture_submit(&x, NULL);
    for (int attempt = 1; attempt <= 3; attempt++) {
        lease = fixture_start(&x);
        assert_int_equal(tell(&x, lease, TOLD_OUTPUT, 0, text), 0);
        assert_int_equal(tell(&x, lease, TOLD_LOG, 0, text), 0);
        assert_int_equal(tell(&x, lease, TOLD_LOG, 200, text), 0);
        assert_int_equal(tell(&x, lease, TOLD_LOG, 400, text), 0);
        lose(&x, lease);
    }
    assert_string_equal(all(f, TOLD_OUTPUT), "");
    assert_memory_equal(all(f, TOLD_LOG) + 200,
                        "\n[futured: the log of attempt 1 is cut here: an attempt may have 300 bytes]\n", 76);
    assert_non_null(strstr(all(f, TOLD_LOG), "attempt 3 is cut here"));
    fixture_deinit(&x);
}

static void test_a_flood(void **state)
{
    static char much[TOLD_PIECE_BYTES + 1];
    struct fixture x;
    struct lease *lease;
    struct told_piece piece = {.kind = TOLD_OUTPUT, .stream = TOLD_FROM_OUTPUT};
    int r = 0;

    fixture_init(&x);
    fixture_submit(&x, NULL);
    lease = fixture_start(&x);
    piece.data = (struct span){(const uint8_t *)much, sizeof much};
    assert_int_equal(engine_tell(x.e, lease, &piece), ENGINE_E_TOLD_WRONG);
    piece.data.len--;
    for (; r == 0 && piece.offset < 64 << 20; piece.offset += piece.data.len)
        r = engine_tell(x.e, lease, &piece);
    assert_int_equal(r, ENGINE_E_FLOOD);
    assert_true(piece.offset <=
                TOLD_FLOOD_BYTES + x.e->config.limits.max_output_bytes + 2 * TOLD_PIECE_BYTES);
    engine_check(x.e);
    fixture_deinit(&x);
}

static void test_progress(void **state)
{
    const struct told_progress some = {.completed = 3, .total = 9}, more = {.completed = 4};
    static char long_text[TOLD_MESSAGE_BYTES + 1];
    struct fixture x;
    struct future *f;
    struct lease *lease;

    fixture_init(&x);
    f = fixture_submit(&x, NULL);
    lease = fixture_claim(&x);
    assert_int_equal(engine_progress(x.e, lease, &some, SPAN_LIT("")), ENGINE_E_NOT_STARTED);
    assert_int_equal(engine_start(x.e, lease, x.wall), 0);
    assert_null(told_progress(f));
    assert_int_equal(engine_progress(x.e, lease, &some, SPAN_LIT("halfway")), 0);
    assert_int_equal(told_progress(f)->total, 9);
    assert_int_equal(told_progress(f)->message->len, 7);
    assert_int_equal(
            engine_progress(x.e, lease, &more, (struct span){(const uint8_t *)long_text, sizeof long_text}),
            ENGINE_E_TOLD_WRONG);
    assert_int_equal(engine_progress(x.e, lease, &more, SPAN_LIT("")), 0);
    assert_int_equal(told_progress(f)->completed, 4);
    assert_null(told_progress(f)->message);
    engine_check(x.e);
    lose(&x, lease);
    assert_int_equal(told_progress(f)->completed, 4); /* until another attempt begins */
    lease = fixture_start(&x);
    assert_null(told_progress(f));
    fixture_succeed(&x, lease);
    fixture_deinit(&x);
}

/* Each allocation fails in turn: nothing is half there. */
static void test_no_memory(void **state)
{
    struct fixture x;
    struct future *f;
    struct lease *lease;
    int r = -ENOMEM;

    fixture_init(&x);
    f = fixture_submit(&x, NULL);
    lease = fixture_start(&x);
    for (uint64_t n = 1; r == -ENOMEM; n++) {
        mem_fail_at(n);
        r = tell(&x, lease, TOLD_LOG, 0, "abc");
        mem_fail_at(0);
        assert_string_equal(all(f, TOLD_LOG), r == 0 ? "abc" : "");
    }
    assert_int_equal(r, 0);
    fixture_deinit(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_places),   cmocka_unit_test(test_limits),    cmocka_unit_test(test_a_flood),
            cmocka_unit_test(test_progress), cmocka_unit_test(test_no_memory),
    };

    test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
