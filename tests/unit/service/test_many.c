// SPDX-License-Identifier: Apache-2.0
/* CancelMany, DeleteMany and RetryMany: whom they change and whom they pass over, dry runs, pages, and each invalid field. */
#include "service/internal.h"
#include "tests/unit/service/harness.h"

struct answer {
    uint64_t matched, changed;
    char token[80];
};

/* All answers have the same fields. */
static struct answer many(struct harness *h, const char *method, const char *format, ...) PRINTF_LIKE(3, 4);

static struct answer many(struct harness *h, const char *method, const char *format, ...)
{
    Futured__V1__CancelManyResponse *r;
    struct loopback_call c;
    struct answer a = {0};
    char *text;
    va_list args;

    va_start(args, format);
    assert_true(vasprintf(&text, format, args) >= 0);
    va_end(args);
    harness_unary(h, &c, method, "%s", text);
    if (c.status.code != GRPC_OK)
        fail_msg("%s: %s", text, c.status.message);
    free(text);
    r = harness_message(h, &c, 0, &futured__v1__cancel_many_response__descriptor);
    a.matched = r->matched;
    a.changed = r->changed;
    snprintf(a.token, sizeof a.token, "%s", r->next_page_token);
    harness_free(r);
    loopback_call_deinit(&c);
    return a;
}

enum { N = 8 };

/* Two succeeded, one failed, one cancelled, one running, three pending; of group g all but the last. */
static void fill(struct harness *h, struct harness_id *ids)
{
    for (int i = 0; i < N; i++)
        ids[i] = harness_submit(h, "task { function: 'echo' } group: '%s'", i < N - 1 ? "g" : "");
    harness_succeed(h, ids[0].text, "r");
    harness_succeed(h, ids[1].text, "r");
    harness_fail(h, ids[2].text, "broken");
    harness_cancel(h, ids[3].text);
    harness_start(h, ids[4].text);
}

static void assert_answer(struct answer a, uint64_t matched, uint64_t changed)
{
    assert_int_equal(a.matched, matched);
    assert_int_equal(a.changed, changed);
    assert_string_equal(a.token, "");
}

static void test_cancel(void **state)
{
    struct harness_id ids[N];
    struct harness h;
    const struct future *f;

    harness_init(&h, NULL);
    fill(&h, ids);
    assert_answer(many(&h, "CancelMany", "selector { filter: '*' } dry_run: true"), 8, 4);
    assert_int_equal(harness_find(&h, ids[5].text)->state, FUTURE_PENDING);
    assert_answer(many(&h, "CancelMany", "selector { group: 'g' } reason: 'not needed'"), 7, 3);
    for (int i = 5; i < 7; i++) {
        f = harness_find(&h, ids[i].text);
        assert_int_equal(f->state, FUTURE_CANCELLED);
        assert_true(span_eq(f->outcome->error->message, SPAN_LIT("not needed")));
    }
    f = harness_find(&h, ids[4].text); /* runs: it was told */
    assert_int_equal(f->state, FUTURE_RUNNING);
    assert_non_null(f->rare->cancel_requested);
    assert_answer(many(&h, "CancelMany", "selector { group: 'g' } dry_run: true"), 7, 0);
    assert_int_equal(harness_find(&h, ids[7].text)->state, FUTURE_PENDING);
    assert_answer(many(&h, "CancelMany", "selector { ids: '%s' ids: '%s' }", ids[7].text, ids[0].text), 2, 1);
    assert_answer(many(&h, "CancelMany", "selector { filter: 'state = PENDING' }"), 0, 0);
    harness_deinit(&h);
}

static void test_delete(void **state)
{
    struct harness_id ids[N];
    struct harness h;

    harness_init(&h, NULL);
    fill(&h, ids);
    assert_answer(many(&h, "DeleteMany", "selector { filter: '*' } dry_run: true"), 8, 4);
    assert_non_null(harness_find(&h, ids[0].text));
    engine_pin(h.engine, harness_find(&h, ids[2].text));
    assert_answer(many(&h, "DeleteMany", "selector { filter: 'state != SUCCEEDED' }"), 6, 1);
    assert_null(harness_find(&h, ids[3].text));
    assert_non_null(harness_find(&h, ids[2].text));
    engine_unpin(h.engine, harness_find(&h, ids[2].text));
    assert_answer(many(&h, "DeleteMany", "selector { group: 'g' }"), 6, 3);
    assert_int_equal(engine_stats(h.engine).n_futures, 4);
    assert_answer(many(&h, "DeleteMany", "selector { filter: '*' }"), 4, 0);
    harness_deinit(&h);
}

static void test_retry(void **state)
{
    struct harness_id ids[N];
    const struct future *f;
    struct harness h;

    harness_init(&h, NULL);
    fill(&h, ids);
    assert_answer(many(&h, "RetryMany", "selector { filter: '*' } dry_run: true"), 8, 2);
    assert_int_equal(engine_stats(h.engine).n_futures, 8);
    assert_answer(many(&h, "RetryMany", "selector { filter: 'state = FAILED' } options { priority: 4 }"), 1,
                  1);
    f = engine_find_any(h.engine, future_retried_by(harness_find(&h, ids[2].text)));
    assert_int_equal(f->priority, 4);
    assert_memory_equal(future_retry_of(f), &harness_find(&h, ids[2].text)->id, sizeof f->id);
    assert_answer(many(&h, "RetryMany", "selector { filter: '*' } dry_run: true"), 9, 1);
    assert_answer(many(&h, "RetryMany", "selector { group: 'g' }"), 8, 1); /* that one is not retried twice */
    assert_answer(many(&h, "RetryMany", "selector { ids: '%s' ids: '%s' }", ids[2].text, ids[3].text), 2, 0);
    assert_answer(
            many(&h, "CancelMany", "selector { filter: 'retry_of > 00000000-0000-7000-8000-000000000000' }"),
            2, 2);
    assert_answer(many(&h, "RetryMany", "selector { filter: 'retried = false' }"), 8, 2);
    assert_answer(many(&h, "RetryMany", "selector { filter: 'retried = true' }"), 4, 0);
    assert_answer(many(&h, "RetryMany", "selector { filter: 'retry_of = %s' } dry_run: true", ids[2].text), 1,
                  0);
    assert_int_equal(engine_stats(h.engine).n_futures, 12);
    harness_deinit(&h);
}

/* A limit ends a call before the first that it keeps from being retried; with nothing done the call says so. One that depends on
 * what there is not any more is passed over. */
static void test_retry_limits(void **state)
{
    struct function_limits limits = {.max_pending = 2};
    struct harness_id ids[4];
    struct loopback_call c;
    struct function *echo;
    struct harness h;
    struct answer a;

    harness_init(&h, NULL);
    echo = engine_function_find(h.engine, SPAN_LIT("echo"));
    for (int i = 0; i < 3; i++)
        ids[i] = harness_submit(&h, "task { function: 'echo' }");
    ids[3] = harness_submit(&h, "task { function: 'echo' options { depends_on: '%s' } }", ids[0].text);
    for (int i = 3; i >= 0; i--)
        harness_cancel(&h, ids[i].text);
    harness_unary(&h, &c, "Delete", "id: '%s'", ids[0].text);
    loopback_call_deinit(&c);
    harness_submit(&h, "task { function: 'echo' }");
    assert_int_equal(engine_configure(h.engine, echo, &limits), 0);
    a = many(&h, "RetryMany", "selector { filter: 'state = CANCELLED' }");
    assert_int_equal(a.matched, 2);
    assert_int_equal(a.changed, 1);
    assert_true(a.token[0] != '\0');
    assert_null(future_retried_by(harness_find(&h, ids[3].text)));
    assert_non_null(future_retried_by(harness_find(&h, ids[2].text)));
    harness_unary(&h, &c, "RetryMany", "selector { filter: 'state = CANCELLED' } page_token: '%s'", a.token);
    harness_expect(&c, GRPC_RESOURCE_EXHAUSTED, "FUNCTION_QUEUE_FULL", NULL);
    loopback_call_deinit(&c);
    limits.max_pending = 0;
    assert_int_equal(engine_configure(h.engine, echo, &limits), 0);
    assert_answer(many(&h, "RetryMany", "selector { filter: 'state = CANCELLED' } page_token: '%s'", a.token),
                  1, 1);
    harness_unary(&h, &c, "RetryMany",
                  "selector { filter: 'state = CANCELLED' } options { depends_on: '%s' }", ids[0].text);
    harness_expect(&c, GRPC_NOT_FOUND, "NO_SUCH_FUTURE", NULL);
    loopback_call_deinit(&c);
    assert_answer(many(&h, "RetryMany", "selector { filter: 'state = CANCELLED' } options {}"), 3, 1);
    harness_deinit(&h);
}

/* A call ends at its budget; the next goes on where it has ended, and what was accepted meanwhile is left alone. */
static void test_pages(void **state)
{
    enum { MANY = 3000 };
    struct answer a = {0};
    struct loopback_call c;
    uint64_t matched = 0, changed = 0;
    size_t n_pages = 0;
    struct harness h;

    harness_init(&h, NULL);
    futures_limit_scans(h.futures, 1000);
    harness_call(&h, &c, "SubmitStream");
    for (int i = 0; i < MANY; i++)
        harness_send(&c, "SubmitStream", "task { function: 'echo' } view: VIEW_RESULT");
    loopback_half_close(&c);
    harness_settle(&h);
    loopback_call_deinit(&c);
    do {
        a = many(&h, "CancelMany", "selector { filter: '*' } page_token: '%s'", a.token);
        matched += a.matched;
        changed += a.changed;
        n_pages++;
        harness_submit(&h, "task { function: 'echo' }");
    } while (a.token[0]);
    assert_int_equal(matched, MANY);
    assert_int_equal(changed, MANY);
    assert_in_range(n_pages, 3, 4);
    assert_int_equal(engine_stats(h.engine).n_by_state[FUTURE_PENDING], n_pages);
    do {
        a = many(&h, "DeleteMany", "selector { filter: 'state = CANCELLED' } page_token: '%s'", a.token);
    } while (a.token[0]);
    assert_int_equal(engine_stats(h.engine).n_futures, n_pages);
    harness_deinit(&h);
}

static const struct harness_refusal bad[] = {
        {"", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "selector"},
        {"selector { ids: 'x' }", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "selector.ids"},
        {"selector { group: x256 }", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "selector.group"},
        {"selector { filter: '*' group: 'g' }", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "selector"},
        {"selector { filter: 'state' }", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "selector.filter"},
        {"selector { filter: '*' } page_token: 'x'", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "page_token"},
};

static const struct harness_refusal bad_cancels[] = {
        {"selector { filter: '*' } reason: x1025", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "reason"},
        {"selector { filter: '*' } grace { seconds: -1 }", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "grace"},
};

static const struct harness_refusal bad_retries[] = {
        {"selector { filter: '*' } options { durability: 1 }", GRPC_INVALID_ARGUMENT, "INVALID_FIELD",
         "options.durability"},
        {"selector { filter: '*' } options { delay { seconds: 9 } deadline { seconds: 1 } }",
         GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "options.deadline"},
        {"selector { filter: '*' } options { idempotency_key: 'k' }", GRPC_INVALID_ARGUMENT, "INVALID_FIELD",
         "options.idempotency_key"},
        {"selector { filter: '*' } options { retention { seconds: -1 } }", GRPC_INVALID_ARGUMENT,
         "INVALID_FIELD", "options.retention"},
};

static void test_refused(void **state)
{
    struct harness h;

    harness_init(&h, NULL);
    harness_refused(&h, "CancelMany", "", "", bad, ARRAY_LEN(bad));
    harness_refused(&h, "CancelMany", "", "", bad_cancels, ARRAY_LEN(bad_cancels));
    harness_refused(&h, "DeleteMany", "", "", bad, ARRAY_LEN(bad));
    harness_refused(&h, "RetryMany", "", "", bad, ARRAY_LEN(bad));
    harness_refused(&h, "RetryMany", "", "", bad_retries, ARRAY_LEN(bad_retries));
    harness_deinit(&h);
}

static void cancel_without_memory(struct harness *h, struct loopback_call *c)
{
    struct harness_id ids[N];

    harness_init(h, NULL);
    fill(h, ids);
    harness_arm(h);
    harness_unary(h, c, "CancelMany", "selector { filter: 'group = g' } reason: 'r'");
}

static void delete_without_memory(struct harness *h, struct loopback_call *c)
{
    struct harness_id ids[N];

    harness_init(h, NULL);
    fill(h, ids);
    harness_arm(h);
    harness_unary(h, c, "DeleteMany", "selector { filter: 'group = g' }");
}

static void retry_without_memory(struct harness *h, struct loopback_call *c)
{
    struct harness_id ids[N];

    harness_init(h, NULL);
    fill(h, ids);
    harness_arm(h);
    harness_unary(h, c, "RetryMany", "selector { filter: 'group = g' } options { priority: 1 }");
}

static void test_no_memory(void **state)
{
    harness_fail_allocations(cancel_without_memory, 5);
    harness_fail_allocations(delete_without_memory, 3);
    harness_fail_allocations(retry_without_memory, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_cancel),       cmocka_unit_test(test_delete),
            cmocka_unit_test(test_pages),        cmocka_unit_test(test_refused),
            cmocka_unit_test(test_no_memory),    cmocka_unit_test(test_retry),
            cmocka_unit_test(test_retry_limits),
    };

    test_seed();
    return cmocka_run_group_tests_name("service/many", tests, NULL, NULL);
}
