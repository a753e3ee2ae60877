// SPDX-License-Identifier: Apache-2.0
/* What a filter asks of a future, by table, and the walk in both orders under every bound. test_match.c of the store compares
 * all fields with those of a record. */
#include "engine/filter.h"
#include "tests/unit/engine/stored.h"

static int matches(const struct fixture *x, const struct future *f, const char *text)
{
    struct filter_future record = {.future = f, .now = x->wall};
    struct filter_subject subject = {engine_filter_get, &record};
    struct filter_problem problem;
    struct filter *filter;
    uint32_t cost = 0;
    int is;

    if (filter_parse(&filter, span_of_string(text), x->wall, &problem) != 0)
        fail_msg("%s: %s", text, problem.text);
    is = filter_match(filter, &subject, &cost);
    filter_unref(filter);
    return is;
}

static void test_pending(void **state)
{
    /* function 1: "f", argument 2: "abc", label k=v */
    static const uint8_t bytes[] = {0x0a, 1, 'f',  0x12, 3,   'a',  'b', 'c',
                                    0x2a, 6, 0x0a, 1,    'k', 0x12, 1,   'v'};
    struct bytes *task = bytes_dup(bytes, sizeof bytes);
    struct fixture x;
    struct engine_submit in;
    struct future *f;

    fixture_init(&x);
    in = fixture_in(&x, task);
    in.argument_at = 3;
    in.argument_field_bytes = 5;
    in.argument_bytes = 3;
    in.group = SPAN_LIT("g");
    in.tag = SPAN_LIT("t");
    in.priority = 4;
    f = fixture_submit(&x, &in);
    fixture_pass(&x, 5 * NS_PER_S);
    static const char *const yes[] = {
            "function = echo",
            "state = PENDING",
            "pending_reason = READY",
            "group = g",
            "tag = t",
            "reason = \"\"",
            "worker = \"\"",
            "principal = alice",
            "namespace = ns",
            "attempts = 0",
            "priority = 4",
            "argument = abc",
            "argument ~ bc",
            "error = \"\"",
            "submit_time < -4s",
            "submit_time > -6s",
            "queue_time = 5s",
            "labels.k = v",
            "has k",
            "NOT has other",
            "retried != true",
            "NOT duration >= 0s",
            "NOT start_time > 1970-01-01",
            "NOT end_time > 1970-01-01",
            "type = \"\"",
    };
    for (size_t i = 0; i < ARRAY_LEN(yes); i++)
        if (!matches(&x, f, yes[i]))
            fail_msg("%s", yes[i]);
    fixture_deinit(&x);
    bytes_unref(task);
}

static void test_ended(void **state)
{
    static const struct label label = {SPAN_LIT("own"), SPAN_LIT("label")};
    struct fixture x;
    struct future *f;
    struct lease *lease;

    fixture_init(&x);
    f = fixture_submit(&x, NULL);
    fixture_pass(&x, 2 * NS_PER_S);
    lease = fixture_start(&x);
    fixture_pass(&x, 3 * NS_PER_S);
    assert_true(
            matches(&x, f, "state = RUNNING duration = 3s queue_time = 2s attempts = 1 worker = worker-1"));
    fixture_fail(&x, lease);
    fixture_pass(&x, 4 * NS_PER_S);
    assert_true(matches(
            &x, f, "state = FAILED duration = 3s queue_time = 2s end_time >= -4s reason = FUNCTION_ERROR"));
    assert_true(matches(&x, f, "pending_reason != READY start_time = -7s"));
    assert_int_equal(engine_annotate(x.e, f, labels_new(&label, 1), NULL), 0);
    assert_true(matches(&x, f, "labels.own = label AND NOT has k"));
    assert_int_equal(engine_filter_duration(0, 5, 9), -1);
    assert_int_equal(engine_filter_duration(2, 0, 9), 7);
    assert_int_equal(engine_filter_duration(9, 2, 9), 0); /* a clock that went back */
    assert_int_equal(engine_filter_queue_time(3, 0, 0, 9), 6);
    assert_int_equal(engine_filter_queue_time(3, 0, 5, 9), 2);
    assert_int_equal(engine_filter_queue_time(9, 3, 5, 9), 0);
    fixture_deinit(&x);
}

enum { N = 40 };

/* All that the walk finds, in pieces of @max and with @budget each, against @want (by number). */
static void walk(struct fixture *x, struct filter_walk w, uint32_t max, uint32_t budget,
                 struct future *const *all, int (*is_wanted)(int i))
{
    struct future *found[N];
    int i = w.is_desc ? N - 1 : 0;
    uint32_t left, n;

    do {
        left = budget;
        n = engine_filter_walk(x->e, &w, &left, found, max);
        assert_true(n <= max && left <= budget);
        for (uint32_t k = 0; k < n; k++, i += w.is_desc ? -1 : 1) {
            while (!is_wanted(i))
                i += w.is_desc ? -1 : 1;
            assert_ptr_equal(found[k], all[i]);
        }
    } while (n == max || left == 0);
    for (; i >= 0 && i < N; i += w.is_desc ? -1 : 1)
        assert_false(is_wanted(i));
}

static int is_any(int i)
{
    return 1;
}

static int is_third(int i)
{
    return i % 3 == 0;
}

static int is_odd(int i)
{
    return i % 2;
}

static int is_middle(int i)
{
    return i >= 10 && i <= 20;
}

static void test_walk(void **state)
{
    struct filter_problem problem;
    struct future *all[N];
    struct filter *odd;
    struct fixture x;
    struct scope *other;

    fixture_init(&x);
    other = engine_scope(x.e, SPAN_LIT("other"), SPAN_LIT("alice"));
    for (int i = 0; i < N; i++) {
        struct engine_submit in = fixture_in(&x, NULL);

        in.group = i % 3 == 0 ? SPAN_LIT("g") : (struct span){0};
        in.priority = i % 2;
        all[i] = fixture_submit(&x, &in);
        in.scope = other; /* in between, of no interest */
        fixture_submit(&x, &in);
    }
    assert_int_equal(filter_parse(&odd, SPAN_LIT("priority = 1"), 0, &problem), 0);
    for (int is_desc = 0; is_desc < 2; is_desc++)
        for (uint32_t max = 1; max <= N; max += 3)
            for (uint32_t budget = 1; budget < 100; budget += 7) {
                struct filter_walk w = {.scope = x.scope,
                                        .key = is_desc ? UINT64_MAX : 0,
                                        .until = is_desc ? 0 : UINT64_MAX,
                                        .is_desc = is_desc};

                walk(&x, w, max, budget, all, is_any);
                w.filter = odd;
                walk(&x, w, max, budget, all, is_odd);
                w.filter = NULL;
                w.group = SPAN_LIT("g");
                walk(&x, w, max, budget, all, is_third);
                w.group = (struct span){0};
                w.key = is_desc ? id_key(&all[20]->id) + 1 : id_key(&all[10]->id) - 1;
                w.until = id_key(&all[is_desc ? 10 : 20]->id);
                walk(&x, w, max, budget, all, is_middle);
            }
    filter_unref(odd);
    fixture_deinit(&x);
}

/* A group of many is looked for among all. */
static void test_large_group(void **state)
{
    enum { MANY = 5100 };
    struct filter_walk w;
    struct future *found[100];
    struct fixture x;
    uint32_t budget = UINT32_MAX, n, n_all = 0;

    fixture_init(&x);
    for (int i = 0; i < MANY; i++) {
        fixture_submit_group(&x, "g");
        if (i % 10 == 0)
            fixture_submit_group(&x, "h");
    }
    w = (struct filter_walk){.scope = x.scope, .group = SPAN_LIT("g"), .until = UINT64_MAX};
    do {
        n = engine_filter_walk(x.e, &w, &budget, found, ARRAY_LEN(found));
        n_all += n;
    } while (n == ARRAY_LEN(found));
    assert_int_equal(n_all, MANY);
    assert_int_equal(UINT32_MAX - budget, MANY + MANY / 10);
    w = (struct filter_walk){.scope = x.scope, .group = SPAN_LIT("none"), .until = UINT64_MAX};
    assert_int_equal(engine_filter_walk(x.e, &w, &budget, found, 1), 0);
    fixture_deinit(&x);
}

/* Who has come back from the store is in no list: the store's index finds it. */
static void test_back_from_the_store(void **state)
{
    struct restored in = {
            .id = id_make(500, 1),
            .state = FUTURE_CANCELLED,
            .on_lost = ON_LOST_RETRY,
            .retention_ns = -1,
            .function = SPAN_LIT("echo"),
            .namespace = SPAN_LIT("ns"),
            .principal = SPAN_LIT("alice"),
            .group = SPAN_LIT("g"),
            .end_time = T0,
            .expire_time = T0 + NS_PER_S * 60,
            .has_error = 1,
            .error = {.reason = REASON_CANCELLED},
    };
    struct filter_walk w = {.until = UINT64_MAX, .group = SPAN_LIT("g")};
    uint32_t budget = 100;
    struct future *f, *found[2];
    struct fixture x;

    stored_init(&x, UINT64_MAX);
    w.scope = x.scope;
    in.task = bytes_dup("t", 1);
    assert_int_equal(engine_restore(x.e, &in, &f), 0);
    bytes_unref(in.task);
    engine_check(x.e);
    assert_false(engine_filter_is_member(f));
    assert_true(span_eq(future_group(f), SPAN_LIT("g")));
    assert_int_equal(engine_group_size(x.e, x.scope, SPAN_LIT("g")), 0);
    assert_int_equal(engine_filter_walk(x.e, &w, &budget, found, 2), 0);
    fixture_submit_group(&x, "g");
    assert_int_equal(engine_filter_walk(x.e, &w, &budget, found, 2), 1);
    assert_true(engine_filter_is_member(found[0]));
    fixture_deinit(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_pending),
            cmocka_unit_test(test_ended),
            cmocka_unit_test(test_walk),
            cmocka_unit_test(test_large_group),
            cmocka_unit_test(test_back_from_the_store),
    };

    test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
