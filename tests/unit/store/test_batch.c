// SPDX-License-Identifier: Apache-2.0
#include "store/batch.h"
#include "tests/unit/store/sample.h"

static void assert_span(const struct batch *b, struct batch_piece piece, const char *want)
{
    assert_true(span_eq(batch_span(b, piece), span_of_string(want)));
}

static void test_put(void **state)
{
    struct sample *s = sample_plain(1);
    struct batch *b = batch_new();
    struct record got;

    assert_non_null(b);
    assert_int_equal(batch_put(b, BATCH_PUT_LIVE, &s->future), 0);
    sample_finish(s, sample_bytes("result"), NS_PER_S);
    assert_int_equal(batch_put(b, BATCH_FINISH, &s->future), 0);
    assert_int_equal(b->n, 2);
    assert_int_equal(b->ops[0].kind, BATCH_PUT_LIVE);
    assert_int_equal(b->ops[1].kind, BATCH_FINISH);
    assert_int_equal(b->ops[1].state, FUTURE_SUCCEEDED);
    assert_true(b->ops[1].time == s->outcome.expire_time);
    assert_true(b->ops[1].k == id_key(&s->future.id));
    assert_span(b, b->ops[0].function, "echo");
    assert_span(b, b->ops[1].function, "echo");
    assert_int_equal(record_decode(&s->future.id, batch_span(b, b->ops[1].record), &got), 0);
    sample_assert(&got, s);
    record_deinit(&got);
    assert_null(b->ops[1].task);
    assert_null(b->ops[1].data);
    assert_true(b->n_bytes >= buf_len(&b->bytes));
    assert_null(batch_free(b));
    sample_free(s);
}

static void test_large_payloads_are_referenced(void **state)
{
    struct sample *s = sample_plain(1);
    struct batch *b = batch_new();

    assert_non_null(b);
    bytes_unref(s->future.task);
    s->future.task = sample_long(BATCH_INLINE_BYTES + 1, 1);
    sample_finish(s, sample_long(100000, 2), NS_PER_S);
    assert_int_equal(batch_put(b, BATCH_FINISH, &s->future), 0);
    assert_ptr_equal(b->ops[0].task, s->future.task);
    assert_ptr_equal(b->ops[0].data, s->outcome.data);
    assert_int_equal(s->future.task->refs, 2);
    assert_int_equal(s->outcome.data->refs, 2);
    assert_true(buf_len(&b->bytes) < 1000 && b->n_bytes > 100000);
    batch_clear(b);
    assert_int_equal(s->future.task->refs, 1);
    assert_int_equal(s->outcome.data->refs, 1);
    assert_int_equal(b->n, 0);
    assert_int_equal(b->n_bytes, 0);
    assert_int_equal(batch_put(b, BATCH_FINISH, &s->future), 0); /* it can be used again */
    batch_free(b);
    sample_free(s);
}

static void test_the_others(void **state)
{
    struct span value = SPAN_LIT("on"), empty = {0};
    struct id id = id_make(77, 5);
    struct batch *b = batch_new();

    assert_non_null(b);
    assert_int_equal(batch_delete(b, &id), 0);
    assert_int_equal(batch_key_ceiling(b, 123), 0);
    assert_int_equal(batch_setting(b, SPAN_LIT("name"), &value, SPAN_LIT("root"), 9, SPAN_LIT("why not")), 0);
    assert_int_equal(batch_setting(b, SPAN_LIT("name"), NULL, SPAN_LIT("root"), 10, empty), 0);
    assert_int_equal(batch_setting(b, SPAN_LIT("name"), &empty, empty, 11, empty), 0);
    assert_int_equal(b->n, 5);
    assert_true(b->ops[0].kind == BATCH_DELETE && b->ops[0].k == 77);
    assert_memory_equal(&b->ops[0].id, &id, sizeof id);
    assert_true(b->ops[1].kind == BATCH_KEY_CEILING && b->ops[1].k == 123);
    assert_true(b->ops[2].kind == BATCH_SETTING && b->ops[2].has_value && b->ops[2].time == 9);
    assert_span(b, b->ops[2].name, "name");
    assert_span(b, b->ops[2].value, "on");
    assert_span(b, b->ops[2].who, "root");
    assert_span(b, b->ops[2].why, "why not");
    assert_int_equal(b->ops[3].has_value, 0);
    assert_int_equal(b->ops[4].has_value, 1);
    assert_span(b, b->ops[4].value, "");
    batch_free(b);
    assert_null(batch_free(NULL));
}

static void test_grows(void **state)
{
    struct batch *b = batch_new();
    struct record got;

    assert_non_null(b);
    for (uint32_t i = 0; i < 10000; i++) {
        struct sample *s = sample_plain(i);

        assert_int_equal(batch_put(b, BATCH_PUT_LIVE, &s->future), 0);
        sample_free(s);
    }
    for (uint32_t i = 0; i < 10000; i += 999) {
        assert_true(b->ops[i].k == sample_key(i));
        assert_int_equal(record_decode(&b->ops[i].id, batch_span(b, b->ops[i].record), &got), 0);
        record_deinit(&got);
    }
    batch_clear(b);
    assert_int_equal(b->cap, 0); /* what one huge turn has needed is not kept */
    batch_free(b);
}

static void test_without_memory(void **state)
{
    struct sample *s = sample_plain(1);
    struct span value = SPAN_LIT("value");

    bytes_unref(s->future.task);
    s->future.task = sample_long(9000, 1);
    FAIL_EACH_ALLOCATION(nth)
    {
        struct batch *b = batch_new();
        int r = 0;

        if (!b)
            continue;
        r = batch_put(b, BATCH_PUT_LIVE, &s->future);
        assert_int_equal(b->n, r == 0);
        assert_int_equal(s->future.task->refs, r == 0 ? 2 : 1);
        if (r == 0)
            r = batch_setting(b, SPAN_LIT("name"), &value, value, 0, value);
        assert_int_equal(r, test_allocation_failed() ? -ENOMEM : 0);
        batch_free(b);
        assert_int_equal(s->future.task->refs, 1);
    }
    sample_free(s);
}

static void put_as_live(void *sample)
{
    struct sample *s = sample;
    struct batch *b = batch_new();

    ASSERT(b && batch_put(b, BATCH_PUT_LIVE, &s->future) == 0);
}

static void test_kind_and_state_must_agree(void **state)
{
    struct sample *s = sample_plain(1);

    sample_finish(s, sample_bytes("x"), 0);
    test_aborts(put_as_live, s, "future_is_terminal");
    sample_free(s);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_put),
            cmocka_unit_test(test_large_payloads_are_referenced),
            cmocka_unit_test(test_the_others),
            cmocka_unit_test(test_grows),
            cmocka_unit_test(test_without_memory),
            cmocka_unit_test(test_kind_and_state_must_agree),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
