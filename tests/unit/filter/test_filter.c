// SPDX-License-Identifier: Apache-2.0
/* Words, references, and what a filter says of all that can match. */
#include "tests/unit/filter/sample.h"

enum { P = 1 << 1, R = 1 << 2, S = 1 << 3, F = 1 << 4, C = 1 << 5, ALL = P | R | S | F | C };

static void test_states(void **state)
{
    static const struct {
        const char *text;
        int states;
    } cases[] = {
            {"*", ALL},
            {"function = x", ALL},
            {"state = PENDING", P},
            {"state != PENDING", ALL & ~P},
            {"NOT state = PENDING", ALL & ~P},
            {"NOT state != PENDING", P},
            {"state = PENDING OR state = RUNNING", P | R},
            {"state = PENDING OR function = x", ALL},
            {"state = PENDING AND function = x", P},
            {"NOT (state = PENDING AND function = x)", ALL},
            {"NOT (state = PENDING OR function = x)", ALL & ~P},
            {"NOT (state = PENDING OR state = RUNNING)", S | F | C},
            {"state = PENDING state = RUNNING", 0},
            {"pending_reason = READY", P},
            {"pending_reason != READY", ALL},
            {"NOT pending_reason = READY", ALL},
            {"end_time > -1h", S | F | C},
            {"end_time != -1h", ALL},
            {"reason = TIMEOUT", F | C},
            {"reason = \"\"", ALL},
            {"reason != TIMEOUT", ALL},
            {"error ~ x", F | C},
            {"type = x", F | C},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct filter *f = sample_parse(cases[i].text);

        if (filter_hints(f).states != cases[i].states)
            fail_msg("%s: %x", cases[i].text, filter_hints(f).states);
        filter_unref(f);
    }
}

static void test_keys(void **state)
{
    static const uint64_t key = UINT64_C(0x0198c2f00000) << 12;
    static const struct {
        const char *text;
        uint64_t min, max;
    } cases[] = {
            {"*", 0, UINT64_MAX},
            {"id = " SAMPLE_ID, key, key},
            {"id >= " SAMPLE_ID, key, UINT64_MAX},
            {"id > " SAMPLE_ID, key, UINT64_MAX},
            {"id < " SAMPLE_ID " AND has x", 0, key},
            {"id != " SAMPLE_ID, 0, UINT64_MAX},
            {"id ~ 01", 0, UINT64_MAX},
            {"NOT id = " SAMPLE_ID, 0, UINT64_MAX},
            {"id = " SAMPLE_ID " OR has x", 0, UINT64_MAX},
            {"(id >= " SAMPLE_ID " has y) has x", key, UINT64_MAX},
            {"NOT (id >= " SAMPLE_ID " has y)", 0, UINT64_MAX},
            {"submit_time > 1970-01-01T00:00:01.5Z", UINT64_C(1500) << 12, UINT64_MAX},
            {"submit_time < 1970-01-01T00:00:01.5Z", 0, UINT64_MAX}, /* IDs may run ahead of the clock */
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct filter *f = sample_parse(cases[i].text);
        struct filter_hints h = filter_hints(f);

        if (h.key_min != cases[i].min || h.key_max != cases[i].max)
            fail_msg("%s: %" PRIx64 " %" PRIx64, cases[i].text, h.key_min, h.key_max);
        filter_unref(f);
    }
}

static void test_group_and_task(void **state)
{
    struct filter *f = sample_parse("group = a AND labels.x = 1");
    struct filter_hints h = filter_hints(f);

    assert_true(span_eq(h.group, SPAN_LIT("a")));
    assert_true(h.needs_task);
    filter_unref(f);
    f = sample_parse("group = a OR function = b");
    h = filter_hints(f);
    assert_int_equal(h.group.len, 0);
    assert_false(h.needs_task);
    filter_unref(f);
    f = sample_parse("group = \"\" OR argument ~ b");
    assert_int_equal(filter_hints(f).group.len, 0);
    assert_true(filter_hints(f).needs_task);
    filter_unref(f);
    f = sample_parse("group != a");
    assert_int_equal(filter_hints(f).group.len, 0);
    filter_unref(f);
}

static void test_words(void **state)
{
    for (int i = 0; i < FILTER_LABEL; i++)
        assert_int_equal(filter_field_find(span_of_string(filter_fields[i].name)), i);
    assert_true(filter_field_find(SPAN_LIT("labels")) < 0);
    assert_true(filter_field_find(SPAN_LIT("")) < 0);
    assert_string_equal(filter_enum_text(FILTER_STATE, 5), "CANCELLED");
    assert_null(filter_enum_text(FILTER_STATE, 6));
    assert_null(filter_enum_text(FILTER_STATE, 0));
    assert_null(filter_enum_text(FILTER_STATE, -1));
    assert_string_equal(filter_enum_text(FILTER_PENDING_REASON, 7), "LIMITED");
    assert_int_equal(filter_enum_find(FILTER_PENDING_REASON, SPAN_LIT("paused")), 6);
    assert_true(filter_enum_find(FILTER_STATE, SPAN_LIT("PEND")) < 0);
}

static void test_references(void **state)
{
    struct filter *f = sample_parse("has x");

    assert_ptr_equal(filter_ref(f), f);
    assert_null(filter_unref(f));
    assert_int_equal(f->refs, 1);
    assert_null(filter_unref(f));
    assert_null(filter_ref(NULL));
    assert_null(filter_unref(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_states),         cmocka_unit_test(test_keys),
            cmocka_unit_test(test_group_and_task), cmocka_unit_test(test_words),
            cmocka_unit_test(test_references),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
