// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/when.h"
#include "tests/support/testing.h"

#include <time.h>

/* 2026-01-31 12:00:00 UTC, 13:00 where the clock is an hour ahead. */
#define NOON INT64_C(1769860800000000000)
#define HOUR (3600 * NS_PER_S)

static void expect(const char *text, wall_ns_t t)
{
    wall_ns_t got = 0;

    if (when_parse(text, NOON, &got) != 0)
        fail_msg("`%s` is not taken", text);
    if (got != t)
        fail_msg("`%s` is %lld, not %lld", text, (long long)got, (long long)t);
}

static void test_times(void **state)
{
    setenv("TZ", "ABC-1", 1);
    tzset();
    expect("2026-01-31T12:00:00Z", NOON);
    expect("2026-01-31T12:00:00.5+00:00", NOON + NS_PER_S / 2);
    expect("2026-01-31 13:00", NOON);
    expect("2026-01-31 13:00:01", NOON + NS_PER_S);
    expect("2026-01-31T13:00", NOON);
    expect("2026-01-31T13:00:01", NOON + NS_PER_S);
    expect("2026-01-31", NOON - 13 * HOUR);
    expect("13:30", NOON + HOUR / 2);
    expect("13:00:01", NOON + NS_PER_S);
    expect("13:00", NOON + 24 * HOUR); /* that is now: tomorrow */
    expect("00:00", NOON + 11 * HOUR); /* in the next month */
    expect("12:59:59", NOON + 24 * HOUR - NS_PER_S);
}

static void test_refused(void **state)
{
    static const char *const texts[] = {"",
                                        "noon",
                                        "-2h",
                                        "2h",
                                        "25:00",
                                        "12:60",
                                        "2026-13-01",
                                        "2026-01-31 noon",
                                        "2026-01-31T12:00:00Zx",
                                        "12:00 tomorrow",
                                        "1769860800"};
    wall_ns_t t = 7;

    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (when_parse(texts[i], NOON, &t) != WHEN_E_SYNTAX)
            fail_msg("`%s` is taken", texts[i]);
    assert_int_equal(t, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_times), cmocka_unit_test(test_refused)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
