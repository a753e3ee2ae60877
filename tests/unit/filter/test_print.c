// SPDX-License-Identifier: Apache-2.0
/* Random trees: printed and parsed they are the same text again, and match the same. test_parse.c has each form. */
#include "tests/unit/filter/sample.h"

static struct test_random dice;

static const char *const terms[] = {
        "state = FAILED",
        "function = \"resize\"",
        "has \"customer\"",
        "attempts > 1",
        "labels.\"customer\" ~ \"b\"",
        "worker = \"w-2\"",
        "duration >= 90s",
        "retried = false",
        "end_time > 2026-01-01T00:00:00Z",
        ("id = " SAMPLE_ID),
        "NOT group = \"x\"",
        "pending_reason != READY",
};

static void put(struct buf *to, const char *text)
{
    assert_int_equal(buf_append(to, text, strlen(text)), 0);
}

static void make(struct buf *to, int depth)
{
    size_t n = depth > 3 ? 0 : test_random_below(&dice, 4);

    if (test_random_below(&dice, 4) == 0)
        put(to, "NOT ");
    if (n == 0) {
        put(to, terms[test_random_below(&dice, ARRAY_LEN(terms))]);
        return;
    }
    put(to, "(");
    for (size_t i = 0; i <= n; i++) {
        if (i > 0)
            put(to, test_random_below(&dice, 2) ? " AND " : " OR ");
        make(to, depth + 1);
    }
    put(to, ")");
}

static void test_round_trip(void **state)
{
    struct sample s = sample_new();
    struct filter_subject subject = {sample_get, &s};
    int n_yes = 0, n = 2000;

    for (int i = 0; i < n; i++) {
        struct buf text = BUF_INIT, once = BUF_INIT, twice = BUF_INIT;
        struct filter_problem problem;
        struct filter *f, *g;
        uint32_t cost = 0;
        int is;

        make(&text, 0);
        if (filter_parse(&f, (struct span){buf_head(&text), buf_len(&text)}, NOW, &problem) != 0)
            fail_msg("%.*s: %s", (int)buf_len(&text), (char *)buf_head(&text), problem.text);
        assert_int_equal(filter_print(f, &once), 0);
        assert_int_equal(filter_parse(&g, (struct span){buf_head(&once), buf_len(&once)}, NOW, &problem), 0);
        assert_int_equal(filter_print(g, &twice), 0);
        assert_int_equal(buf_len(&once), buf_len(&twice));
        assert_memory_equal(buf_head(&once), buf_head(&twice), buf_len(&once));
        is = filter_match(f, &subject, &cost);
        assert_int_equal(is, filter_match(g, &subject, &cost));
        assert_true(!is || filter_hints(f).states & 1 << 4);
        n_yes += is;
        filter_unref(f);
        filter_unref(g);
        buf_deinit(&text);
        buf_deinit(&once);
        buf_deinit(&twice);
    }
    assert_in_range(n_yes, n / 10, n - n / 10);
}

static void test_no_memory(void **state)
{
    struct filter *f = sample_parse("group = a OR has b AND NOT (attempts > 1 tag = c)");

    FAIL_EACH_ALLOCATION(nth)
    {
        struct buf out = BUF_INIT;
        int r = filter_print(f, &out);

        assert_int_equal(r, test_allocation_failed() ? -ENOMEM : 0);
        buf_deinit(&out);
    }
    filter_unref(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_round_trip), cmocka_unit_test(test_no_memory)};

    dice.state = test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
