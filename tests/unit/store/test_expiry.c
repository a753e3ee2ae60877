// SPDX-License-Identifier: Apache-2.0
#include "store/expiry.h"
#include "tests/support/testing.h"

#define HOUR (3600 * NS_PER_S)

static void test_hours(void **state)
{
    assert_int_equal(expiry_hour(0), 0);
    assert_int_equal(expiry_hour(-5), 0);
    assert_int_equal(expiry_hour(HOUR - 1), 0);
    assert_int_equal(expiry_hour(HOUR), 1);
    assert_true(expiry_due(0) == HOUR);
    assert_true(expiry_due(expiry_hour(7 * HOUR + 1)) == 8 * HOUR);
    assert_true(expiry_due(expiry_hour(CLOCK_NEVER)) == CLOCK_NEVER);
    for (wall_ns_t t = 0; t < 5 * HOUR; t += HOUR / 7)
        assert_true(expiry_due(expiry_hour(t)) > t); /* never looked at before its time */
}

static void test_rows(void **state)
{
    struct expiry e = {0};
    struct buf keys = BUF_INIT;
    uint64_t got[EXPIRY_ROW_KEYS];
    uint32_t at = 0, n, n_all = 0, n_rows = 0;
    int64_t hour, last_hour = -1;

    for (uint64_t k = 2000; k > 0; k--) /* backwards, into two hours */
        assert_int_equal(expiry_add(&e, k * 1000003, (int64_t)(k % 2) * 5 * HOUR), 0);
    expiry_sort(&e);
    while (expiry_row(&e, &at, &keys, &hour) == 0) {
        assert_int_equal(expiry_unpack((struct span){buf_head(&keys), buf_len(&keys)}, got, &n), 0);
        assert_true(n > 0 && n <= EXPIRY_ROW_KEYS && hour >= last_hour);
        for (uint32_t i = 0; i < n; i++) {
            assert_int_equal(got[i] % 1000003, 0);
            assert_int_equal(got[i] / 1000003 % 2 * 5, hour);
            assert_true(i == 0 || got[i] > got[i - 1]);
        }
        n_all += n;
        n_rows++;
        last_hour = hour;
        buf_clear(&keys);
    }
    assert_int_equal(n_all, 2000);
    assert_int_equal(n_rows, 4);
    buf_deinit(&keys);
    expiry_deinit(&e);
}

static void test_no_entries(void **state)
{
    struct expiry e = {0};
    struct buf keys = BUF_INIT;
    uint32_t at = 0;
    int64_t hour;

    expiry_sort(&e);
    assert_int_equal(expiry_row(&e, &at, &keys, &hour), EXPIRY_E_END);
}

static void test_extreme_keys(void **state)
{
    static const uint64_t keys[] = {0, 1, 127, 128, UINT64_C(1) << 60, UINT64_MAX - 1, UINT64_MAX};
    uint64_t got[EXPIRY_ROW_KEYS];
    struct expiry e = {0};
    struct buf out = BUF_INIT;
    uint32_t at = 0, n;
    int64_t hour;

    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        assert_int_equal(expiry_add(&e, keys[i], 0), 0);
    assert_int_equal(expiry_row(&e, &at, &out, &hour), 0);
    assert_int_equal(expiry_unpack((struct span){buf_head(&out), buf_len(&out)}, got, &n), 0);
    assert_int_equal(n, ARRAY_LEN(keys));
    assert_memory_equal(got, keys, sizeof keys);
    buf_deinit(&out);
    expiry_deinit(&e);
}

static void test_damaged_rows(void **state)
{
    static const struct span bad[] = {
            SPAN_LIT("\x80"),                                         /* no end */
            SPAN_LIT("\x80\x00"),                                     /* a number in two ways */
            SPAN_LIT("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"),     /* 65 bits */
            SPAN_LIT("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x01"), /* the sum overflows */
    };
    uint64_t keys[EXPIRY_ROW_KEYS];
    uint8_t many[EXPIRY_ROW_KEYS + 1];
    uint32_t n = 77;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(expiry_unpack(bad[i], keys, &n), EXPIRY_E_DAMAGED);
    memset(many, 1, sizeof many);
    assert_int_equal(expiry_unpack((struct span){many, sizeof many}, keys, &n), EXPIRY_E_DAMAGED);
    assert_int_equal(n, 77);
    assert_int_equal(expiry_unpack((struct span){many, sizeof many - 1}, keys, &n), 0);
    assert_int_equal(n, EXPIRY_ROW_KEYS);
    assert_int_equal(expiry_unpack((struct span){0}, keys, &n), 0);
    assert_int_equal(n, 0);
}

static void test_without_memory(void **state)
{
    FAIL_EACH_ALLOCATION(nth)
    {
        struct expiry e = {0};
        struct buf keys = BUF_INIT;
        uint32_t at = 0;
        int64_t hour;
        int r = expiry_add(&e, 1, 0);

        if (r == 0)
            r = expiry_row(&e, &at, &keys, &hour);
        assert_int_equal(r, test_allocation_failed() ? -ENOMEM : 0);
        buf_deinit(&keys);
        expiry_deinit(&e);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_hours),        cmocka_unit_test(test_rows),
            cmocka_unit_test(test_no_entries),   cmocka_unit_test(test_extreme_keys),
            cmocka_unit_test(test_damaged_rows), cmocka_unit_test(test_without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
