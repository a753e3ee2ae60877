// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/progress.h"
#include "tests/support/testing.h"

static void says(const struct progress *p, mono_ns_t now, struct progress_counts c, const char *expect)
{
    char text[PROGRESS_TEXT_BYTES];

    progress_line(p, now, &c, text);
    assert_string_equal(text, expect);
}

static void draws(const struct progress *p, mono_ns_t now, struct progress_counts c, size_t width,
                  const char *expect)
{
    char text[PROGRESS_TEXT_BYTES];

    progress_bar(p, now, &c, width, 0, text);
    assert_string_equal(text, expect);
    assert_true(strlen(text) <= width);
}

static void test_line(void **state)
{
    struct progress p;

    progress_init(&p, 0);
    says(&p, 0, (struct progress_counts){0}, "0 done, 0.00/s");
    says(&p, NS_PER_S, (struct progress_counts){.n_done = 5}, "5 done, 5.0/s");
    says(&p, NS_PER_S,
         (struct progress_counts){
                 .n_done = 500, .total = 10000, .n_failed = 2, .n_cancelled = 1, .n_in_flight = 256},
         "500 of 10000 done, 2 failed, 1 cancelled, 256 in flight, 500/s, 19 s left");
    says(&p, NS_PER_S, (struct progress_counts){.n_done = 500, .total = 500}, "500 of 500 done, 500/s");
    says(&p, 10 * NS_PER_S, (struct progress_counts){.n_done = 1, .total = 1000},
         "1 of 1000 done, 0.10/s, 2 h 46 m left");
}

static void test_bar(void **state)
{
    const struct progress_counts c = {.n_done = 50, .total = 200};
    struct progress p;

    progress_init(&p, 0);
    draws(&p, NS_PER_S, c, 200, "[==========>                             ] 50 of 200 done, 50/s, 3 s left");
    draws(&p, NS_PER_S, c, 50, "[====>            ] 50 of 200 done, 50/s, 3 s left");
    draws(&p, NS_PER_S, c, 40, "50 of 200 done, 50/s, 3 s left"); /* no room for a bar */
    draws(&p, NS_PER_S, c, 10, "50 of 200 ");
    draws(&p, NS_PER_S, (struct progress_counts){.n_done = 50}, 200,
          "50 done, 50/s"); /* of how many is not known */
}

static void test_colour(void **state)
{
    const struct progress_counts c = {.n_done = 1, .n_failed = 1, .total = 1};
    char text[PROGRESS_TEXT_BYTES];
    struct progress p;

    progress_init(&p, 0);
    progress_bar(&p, NS_PER_S, &c, 42, 1, text);
    assert_string_equal(text, "[===========] 1 of 1 done, \033[31m1 failed\033[0m, 1.0/s");
}

/* The rate is that of the last seconds, not of all the time. */
static void test_rate(void **state)
{
    uint64_t n = 0;
    struct progress p;
    mono_ns_t t = 0;

    progress_init(&p, 0);
    for (; t <= 60 * NS_PER_S; t += NS_PER_S / 10)
        progress_note(&p, t, n += 100); /* 1000 a second */
    assert_true(progress_rate(&p, t, n) > 900 && progress_rate(&p, t, n) < 1100);
    for (; t <= 80 * NS_PER_S; t += NS_PER_S / 10)
        progress_note(&p, t, ++n); /* 10 a second */
    assert_true(progress_rate(&p, t, n) > 9 && progress_rate(&p, t, n) < 11);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_line),
            cmocka_unit_test(test_bar),
            cmocka_unit_test(test_colour),
            cmocka_unit_test(test_rate),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
