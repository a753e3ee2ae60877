// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/top_model.h"
#include "tests/support/testing.h"

static void sample(struct top_model *m, mono_ns_t now, uint64_t succeeded, uint64_t failed)
{
    const struct futured_function a = {.name = "alpha",
                                       .succeeded = succeeded,
                                       .failed = failed,
                                       .running = 1,
                                       .mean_run_ns = 5},
                                  b = {.name = "beta", .pending = 7, .mean_run_ns = FUTURED_NO_SPAN};
    const struct futured_worker_info w = {.slots = 4};

    top_model_begin(m, now);
    assert_int_equal(top_model_function(m, &a), 0);
    assert_int_equal(top_model_function(m, &b), 0);
    top_model_worker(m, &w);
    top_model_crashed(m, 3);
    top_model_end(m);
}

static void is_near(double a, double b)
{
    assert_true(a > b - 1e-6 && a < b + 1e-6);
}

static void test_rates(void **state)
{
    struct top_model m;

    top_model_init(&m);
    sample(&m, 0, 10, 1);
    assert_true(m.functions[0].done_rate < 0); /* one sample says nothing of it */
    assert_true(m.totals.done_rate < 0);
    sample(&m, 2 * NS_PER_S, 30, 2);
    is_near(m.functions[0].done_rate, 10.5);
    is_near(m.functions[0].failed_rate, 0.5);
    is_near(m.functions[1].done_rate, 0);
    is_near(m.totals.done_rate, 10.5);
    assert_int_equal(m.totals.pending, 7);
    assert_int_equal(m.totals.running, 1);
    assert_int_equal(m.totals.n_workers, 1);
    assert_int_equal(m.totals.slots, 4);
    assert_int_equal(m.totals.n_crashed, 3);
    sample(&m, 3 * NS_PER_S, 5, 0); /* another daemon: less than before */
    assert_true(m.functions[0].done_rate < 0);
    sample(&m, 4 * NS_PER_S, 6, 0);
    is_near(m.functions[0].done_rate, 1);
    top_model_deinit(&m);
}

static void test_rows(void **state)
{
    const struct top_function *rows[2];
    struct top_model m;

    top_model_init(&m);
    sample(&m, 0, 0, 0);
    sample(&m, NS_PER_S, 5, 0);
    assert_int_equal(top_model_rows(&m, TOP_BY_RATE, "", rows, 2), 2);
    assert_string_equal(rows[0]->name, "alpha");
    assert_int_equal(top_model_rows(&m, TOP_BY_PENDING, "", rows, 2), 2);
    assert_string_equal(rows[0]->name, "beta");
    assert_int_equal(top_model_rows(&m, TOP_BY_NAME, "", rows, 1), 1);
    assert_string_equal(rows[0]->name, "alpha");
    assert_int_equal(top_model_rows(&m, TOP_BY_NAME, "et", rows, 2), 1);
    assert_string_equal(rows[0]->name, "beta");
    assert_int_equal(top_model_rows(&m, TOP_BY_NAME, "gamma", rows, 2), 0);
    top_model_deinit(&m);
}

static void test_many(void **state)
{
    struct top_model m;

    top_model_init(&m);
    for (int round = 0; round < 3; round++) {
        top_model_begin(&m, round * NS_PER_S);
        for (int i = 0; i < 200; i++) {
            char name[16];
            const struct futured_function f = {.name = name, .succeeded = (uint64_t)(round * i)};

            snprintf(name, sizeof name, "f%03d", i);
            assert_int_equal(top_model_function(&m, &f), 0);
        }
        top_model_end(&m);
    }
    is_near(m.functions[199].done_rate, 199);
    is_near(m.totals.done_rate, 199 * 100);
    top_model_deinit(&m);
}

static void test_futures(void **state)
{
    static const struct futured_label labels[] = {{"a", "1"}, {"b", "2"}};
    static const struct futured_error error = {.reason = "CRASHED", .message = "killed"};
    static const struct futured_task task = {.function = "f"};
    const struct futured_future running = {.id = "r",
                                           .state = FUTURED_STATE_RUNNING,
                                           .task = &task,
                                           .start_time_ns = 5,
                                           .n_labels = 2,
                                           .labels = labels},
                                failed = {.id = "f",
                                          .state = FUTURED_STATE_FAILED,
                                          .task = &task,
                                          .end_time_ns = 7,
                                          .error = &error};
    const struct futured_future *const one[] = {&running}, *const other[] = {&failed};
    const struct futured_page running_page = {.n_futures = 1, .futures = one},
                              failed_page = {.n_futures = 1, .futures = other};
    struct top_list list;

    top_model_list(&list, &running_page);
    assert_int_equal(list.n, 1);
    assert_string_equal(list.futures[0].text, "a=1 b=2");
    assert_int_equal(list.futures[0].time_ns, 5);
    top_model_list(&list, &failed_page);
    assert_int_equal(list.n, 1);
    assert_string_equal(list.futures[0].text, "CRASHED: killed");
    assert_int_equal(list.futures[0].time_ns, 7);
    assert_true(list.futures[0].is_failed);
}

/* The first to start, the last to end, of more than are shown, and in whatever order they come. */
static void test_futures_order(void **state)
{
    enum { N = TOP_PAGE };
    static struct futured_future futures[N];
    static const struct futured_future *all[N];
    const struct futured_page page = {.n_futures = N, .futures = all};
    struct top_list list;

    for (int is_failed = 0; is_failed < 2; is_failed++) {
        for (size_t i = 0; i < N; i++) {
            int64_t t = (int64_t)(i * 7 % N); /* each once */

            futures[i] = (struct futured_future){
                    .id = "f",
                    .state = is_failed ? FUTURED_STATE_FAILED : FUTURED_STATE_RUNNING,
                    .start_time_ns = is_failed ? N - t : t,
                    .end_time_ns = is_failed ? t : 0,
            };
            all[i] = &futures[i];
        }
        top_model_list(&list, &page);
        assert_int_equal(list.n, TOP_FUTURES);
        for (size_t i = 0; i < list.n; i++)
            assert_int_equal(list.futures[i].time_ns, is_failed ? N - 1 - i : i);
    }
}

static void test_memory(void **state)
{
    FAIL_EACH_ALLOCATION(nth)
    {
        const struct futured_function f = {.name = "f"};
        struct top_model m;
        int r;

        top_model_init(&m);
        top_model_begin(&m, 0);
        r = top_model_function(&m, &f);
        assert_true(r == 0 ? m.n == 1 : r == -ENOMEM && test_allocation_failed());
        top_model_deinit(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_rates),         cmocka_unit_test(test_rows),
            cmocka_unit_test(test_many),          cmocka_unit_test(test_futures),
            cmocka_unit_test(test_futures_order), cmocka_unit_test(test_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
