// SPDX-License-Identifier: Apache-2.0
/* Every move, legal and not; what a record says of itself; errors and labels. */
#include "engine/future.h"
#include "fixture.h"

/* Written down again, from the contract: what may follow what. */
static int may_move(int from, int to)
{
    static const uint8_t legal[][2] = {
            {0, FUTURE_PENDING},
            {FUTURE_PENDING, FUTURE_RUNNING},
            {FUTURE_PENDING, FUTURE_FAILED},
            {FUTURE_PENDING, FUTURE_CANCELLED},
            {FUTURE_RUNNING, FUTURE_PENDING},
            {FUTURE_RUNNING, FUTURE_SUCCEEDED},
            {FUTURE_RUNNING, FUTURE_FAILED},
            {FUTURE_RUNNING, FUTURE_CANCELLED},
    };

    for (size_t i = 0; i < ARRAY_LEN(legal); i++)
        if (legal[i][0] == from && legal[i][1] == to)
            return 1;
    return 0;
}

struct move {
    int from, to;
};

static void make_move(void *arg)
{
    struct move *m = arg;
    struct future f = {.state = (uint8_t)m->from};

    future_move(&f, (enum future_state)m->to);
    ASSERT(f.state == m->to);
}

static void test_every_move(void **state)
{
    for (int from = 0; from <= 7; from++)
        for (int to = 0; to <= 7; to++) {
            struct move m = {from, to};

            if (may_move(from, to))
                make_move(&m);
            else
                test_aborts(make_move, &m, "future.c");
        }
}

static void test_terminal(void **state)
{
    for (int s = 0; s <= FUTURE_CANCELLED; s++) {
        struct future f = {.state = (uint8_t)s};

        assert_int_equal(!!future_is_terminal(&f), s >= FUTURE_SUCCEEDED);
    }
}

static void test_pending_reason(void **state)
{
    struct function fn = {.n_holders = 0};
    struct future f = {.state = FUTURE_PENDING, .function = &fn};

    assert_int_equal(future_pending_reason(&f), PENDING_NO_WORKER);
    fn.n_holders = 1;
    assert_int_equal(future_pending_reason(&f), PENDING_READY);
    for (int s = FUTURE_RUNNING; s <= FUTURE_CANCELLED; s++) {
        f.state = (uint8_t)s;
        assert_int_equal(future_pending_reason(&f), PENDING_NONE);
    }
}

static void test_times(void **state)
{
    struct attempt first = {.start_time = 10}, second = {.start_time = 20, .next = &first};
    struct outcome outcome = {.end_time = 30, .expire_time = 40};
    struct future f = {0};

    assert_int_equal(future_start_time(&f), 0);
    assert_int_equal(future_end_time(&f), 0);
    assert_int_equal(future_expire_time(&f), 0);
    f.attempts = &second;
    f.outcome = &outcome;
    assert_int_equal(future_start_time(&f), 20);
    assert_int_equal(future_end_time(&f), 30);
    assert_int_equal(future_expire_time(&f), 40);
}

static void test_names(void **state)
{
    struct fixture x;
    struct future *f;

    fixture_init(&x);
    f = fixture_submit(&x, NULL);
    assert_true(span_eq(future_function_name(f), SPAN_LIT("echo")));
    assert_true(span_eq(future_namespace(f), SPAN_LIT("ns")));
    assert_true(span_eq(future_principal(f), SPAN_LIT("alice")));
    assert_true(span_eq(future_group(f), SPAN_LIT("")));
    f = fixture_submit_group(&x, "nightly");
    assert_true(span_eq(future_group(f), SPAN_LIT("nightly")));
    fixture_deinit(&x);
}

static void test_reason_texts(void **state)
{
    assert_string_equal(future_reason_text(REASON_NONE), "");
    assert_string_equal(future_reason_text(REASON_CRASHED), "CRASHED");
    assert_string_equal(future_reason_text(REASON_SHUTDOWN), "SHUTDOWN");
    for (int r = REASON_FUNCTION_ERROR; r <= REASON_SHUTDOWN; r++)
        for (int other = REASON_NONE; other < r; other++)
            assert_string_not_equal(future_reason_text((enum future_reason)r),
                                    future_reason_text((enum future_reason)other));
}

static void test_error(void **state)
{
    char type[] = "ValueError", message[] = "no such thing", details[] = "\x01\x02";
    struct future_error from = {
            .code = 3,
            .reason = REASON_FUNCTION_ERROR,
            .retryable = 1,
            .type = span_of_string(type),
            .message = span_of_string(message),
            .details = span_of_string(details),
    };

    FAIL_EACH_ALLOCATION(nth)
    {
        struct future_error *error = future_error_new(&from);

        assert_int_equal(error == NULL, test_allocation_failed());
        if (!error)
            continue;
        memset(type, '-', sizeof type - 1); /* it has copies */
        assert_true(span_eq(error->type, SPAN_LIT("ValueError")));
        assert_true(span_eq(error->message, SPAN_LIT("no such thing")));
        assert_true(span_eq(error->details, SPAN_LIT("\x01\x02")));
        assert_int_equal(error->traceback.len, 0);
        assert_int_equal(error->code, 3);
        assert_int_equal(error->reason, REASON_FUNCTION_ERROR);
        assert_true(error->retryable);
        assert_ptr_equal(future_error_ref(error), error);
        assert_null(future_error_unref(error));
        assert_true(span_eq(error->type, SPAN_LIT("ValueError")));
        assert_null(future_error_unref(error));
        memcpy(type, "ValueError", sizeof type);
    }
    assert_null(future_error_ref(NULL));
    assert_null(future_error_unref(NULL));
}

static void test_labels(void **state)
{
    static const struct label from[] = {
            {SPAN_LIT("b"), SPAN_LIT("2")},  {SPAN_LIT("ab"), SPAN_LIT("1")}, {SPAN_LIT("a"), SPAN_LIT("")},
            {SPAN_LIT("zz"), SPAN_LIT("9")}, {SPAN_LIT("z"), SPAN_LIT("8")},
    };
    static const char *const sorted[] = {"a", "ab", "b", "z", "zz"};

    FAIL_EACH_ALLOCATION(nth)
    {
        struct labels *labels = labels_new(from, ARRAY_LEN(from));

        assert_int_equal(labels == NULL, test_allocation_failed());
        if (!labels)
            continue;
        assert_int_equal(labels->n, ARRAY_LEN(from));
        for (uint32_t i = 0; i < labels->n; i++)
            assert_true(span_eq(labels->at[i].key, span_of_string(sorted[i])));
        assert_true(span_eq(labels->at[1].value, SPAN_LIT("1")));
        assert_int_equal(labels->bytes, sizeof *labels + 5 * sizeof(struct label) + 7 + 4);
        mem_free(labels);
    }
    FAIL_EACH_ALLOCATION(nth)
    {
        struct labels *labels = labels_new(NULL, 0);

        assert_int_equal(labels == NULL, test_allocation_failed());
        mem_free(labels);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_every_move),     cmocka_unit_test(test_terminal),
            cmocka_unit_test(test_pending_reason), cmocka_unit_test(test_times),
            cmocka_unit_test(test_names),          cmocka_unit_test(test_reason_texts),
            cmocka_unit_test(test_error),          cmocka_unit_test(test_labels),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
