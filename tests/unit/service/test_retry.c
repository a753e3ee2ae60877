// SPDX-License-Identifier: Apache-2.0
/* Retry: what the new future is, that there is one, with which options, and what is refused. */
#include "tests/unit/service/shelf.h"

/* The answer to a Retry of @id with @options; harness_free. */
static Futured__V1__Future *retry(struct harness *h, const char *id, const char *options)
{
    struct loopback_call c;
    Futured__V1__Future *f;

    harness_unary(h, &c, "Retry", "id: '%s' %s", id, options);
    if (c.status.code != GRPC_OK)
        fail_msg("%s: %s", options, c.status.message);
    f = harness_message(h, &c, 0, &futured__v1__future__descriptor);
    loopback_call_deinit(&c);
    return f;
}

static Futured__V1__Future *get(struct harness *h, const char *id)
{
    struct loopback_call c;
    Futured__V1__Future *f;

    harness_unary(h, &c, "Get", "id: '%s'", id);
    f = harness_message(h, &c, 0, &futured__v1__future__descriptor);
    loopback_call_deinit(&c);
    return f;
}

static void refused(struct harness *h, const char *id, const char *options, enum grpc_code code,
                    const char *reason, const char *field)
{
    struct loopback_call c;

    harness_unary(h, &c, "Retry", "id: '%s' %s", id, options);
    harness_expect(&c, code, reason, field);
    loopback_call_deinit(&c);
}

static struct harness_id failed(struct harness *h, const char *request)
{
    struct harness_id id = harness_submit(h, "%s", request);

    harness_fail(h, id.text, "broken");
    return id;
}

static void test_what_it_is(void **state)
{
    Futured__V1__Future *f, *old;
    struct loopback_call c;
    struct harness_id id;
    struct harness h;

    harness_init(&h, NULL);
    id = failed(
            &h,
            "task { function: 'echo' argument: 'abc' labels { key: 'a' value: 'b' } options { priority: 7 "
            "idempotency_key: 'k' concurrency_key: 'c' retention { seconds: 99 } "
            "retry { max_attempts: 1 non_retryable_types: 'T' } } } group: 'g' tag: 't'");
    harness_unary(&h, &c, "Annotate", "id: '%s' set_labels { key: 'a' value: 'changed' }", id.text);
    loopback_call_deinit(&c);
    f = retry(&h, id.text, "");
    assert_string_equal(f->retry_of, id.text);
    assert_string_equal(f->retried_by, "");
    assert_int_equal(f->state, FUTURED__V1__STATE__STATE_PENDING);
    assert_string_equal(f->group, "g");
    assert_string_equal(f->tag, "");
    assert_int_equal(f->n_labels, 1);
    assert_string_equal(f->labels[0]->value, "changed");
    assert_string_equal(f->task->labels[0]->value, "b"); /* that is what was asked for */
    assert_int_equal(f->argument_size_bytes, 3);
    assert_string_equal(f->effective_options->idempotency_key, "");
    assert_string_equal(f->effective_options->concurrency_key, "c");
    assert_int_equal(f->effective_options->priority, 7);
    assert_int_equal(f->effective_options->retention->seconds, 99);
    assert_string_equal(f->effective_options->retry->non_retryable_types[0], "T");
    assert_string_equal(f->submitter->peer, "loopback");
    old = get(&h, id.text);
    assert_string_equal(old->retried_by, f->id);
    assert_int_equal(old->state, FUTURED__V1__STATE__STATE_FAILED);
    assert_string_equal(old->effective_options->idempotency_key, "k");
    harness_free(old);
    harness_succeed(&h, f->id, "r");
    old = get(&h, f->id);
    assert_memory_equal(old->task->argument.data, "abc", 3);
    harness_free(old);
    harness_free(f);
    harness_deinit(&h);
}

static void test_again(void **state)
{
    Futured__V1__Future *f, *again;
    struct loopback_call c;
    struct harness_id id;
    struct harness h;

    harness_init(&h, NULL);
    id = failed(&h, "task { function: 'echo' }");
    f = retry(&h, id.text, "");
    again = retry(&h, id.text, "options { priority: 3 }"); /* it is there already, as it is */
    assert_string_equal(again->id, f->id);
    assert_int_equal(again->effective_options->priority, 0);
    harness_free(again);
    assert_int_equal(engine_stats(h.engine).n_futures, 2);
    refused(&h, f->id, "", GRPC_FAILED_PRECONDITION, "NOT_FAILED", NULL);
    harness_cancel(&h, f->id);
    again = retry(&h, f->id, "");
    assert_string_equal(again->retry_of, f->id);
    harness_free(again);
    harness_unary(&h, &c, "Delete", "id: '%s'", f->id);
    assert_int_equal(c.status.code, GRPC_OK);
    loopback_call_deinit(&c);
    harness_unary(&h, &c, "Retry", "id: '%s'", id.text);
    harness_expect(&c, GRPC_FAILED_PRECONDITION, "RETRY_GONE", NULL);
    assert_non_null(strstr(c.status.message, f->id));
    loopback_call_deinit(&c);
    harness_free(f);
    harness_deinit(&h);
}

/* Sent again it may be too late for what it asks. */
static void test_again_late(void **state)
{
    Futured__V1__Future *f, *again;
    struct harness_id id;
    struct harness h;
    char options[128];

    harness_init(&h, NULL);
    snprintf(options, sizeof options, "options { delay { seconds: 10 } deadline { seconds: %lld } }",
             (long long)(h.wall / NS_PER_S + 15));
    id = failed(&h, "task { function: 'echo' }");
    f = retry(&h, id.text, options);
    harness_advance(&h, 8 * NS_PER_S);
    again = retry(&h, id.text, options);
    assert_string_equal(again->id, f->id);
    harness_free(again);
    harness_free(f);
    id = failed(&h, "task { function: 'echo' }");
    refused(&h, id.text, options, GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "options.deadline");
    harness_deinit(&h);
}

/* The start and the deadline of the task are over, that it has a policy is not. */
static void test_times(void **state)
{
    Futured__V1__Future *f;
    struct harness_id id;
    struct harness h;

    harness_init(&h, NULL);
    id = harness_submit(&h,
                        "task { function: 'echo' options { delay { seconds: 100 } deadline { seconds: %lld } "
                        "attempt_timeout { seconds: 5 } } }",
                        (long long)(h.wall / NS_PER_S + 200));
    harness_cancel(&h, id.text);
    harness_advance(&h, 300 * NS_PER_S);
    f = retry(&h, id.text, "");
    assert_int_equal(f->pending_reason, FUTURED__V1__PENDING_REASON__PENDING_REASON_READY);
    assert_null(f->effective_options->deadline);
    assert_null(f->effective_options->not_before);
    assert_int_equal(f->effective_options->attempt_timeout->seconds, 5);
    harness_cancel(&h, f->id);
    id = (struct harness_id){0};
    memcpy(id.text, f->id, ID_TEXT_LEN);
    harness_free(f);
    f = retry(&h, id.text, "options { delay { seconds: 9 } deadline { seconds: 2000000001 } }");
    assert_int_equal(f->pending_reason, FUTURED__V1__PENDING_REASON__PENDING_REASON_DELAYED);
    assert_int_equal(f->effective_options->deadline->seconds, 2000000001);
    assert_null(f->effective_options->attempt_timeout);
    harness_free(f);
    harness_deinit(&h);
}

/* Options stand in for all those of the task, wherever in it these were. */
static void test_options(void **state)
{
    static const char *const tasks[] = {
            "task { function: 'echo' argument: 'abc' labels { key: 'a' value: 'b' } options { priority: 7 } "
            "}",
            "task { options { priority: 7 idempotency_key: 'k' } function: 'echo' argument: 'abc' labels { "
            "key: 'a' value: 'b' } }",
            "task { function: 'echo' options { priority: 7 } argument: 'abc' labels { key: 'a' value: 'b' } "
            "}",
            "task { argument: 'abc' labels { key: 'a' value: 'b' } function: 'echo' }",
    };

    for (size_t i = 0; i < ARRAY_LEN(tasks); i++) {
        Futured__V1__Future *f, *full;
        struct harness_id id;
        struct harness h;

        harness_init(&h, NULL);
        id = failed(&h, tasks[i]);
        f = retry(&h, id.text, "options { concurrency_key: 'c' retention { seconds: 4 } }");
        assert_int_equal(f->effective_options->priority, 0);
        assert_string_equal(f->effective_options->concurrency_key, "c");
        full = get(&h, f->id);
        assert_string_equal(full->task->options->concurrency_key, "c");
        assert_int_equal(full->task->options->priority, 0);
        assert_string_equal(full->task->options->idempotency_key, "");
        assert_string_equal(full->task->function, "echo");
        assert_int_equal(full->task->argument.len, 3);
        assert_memory_equal(full->task->argument.data, "abc", 3);
        assert_int_equal(full->n_labels, 1);
        assert_int_equal(full->argument_size_bytes, 3);
        harness_free(full);
        full = get(&h, id.text); /* the old task is as it was */
        assert_string_equal(full->task->options ? full->task->options->concurrency_key : "", "");
        harness_free(full);
        harness_free(f);
        harness_deinit(&h);
    }
}

static void test_refused(void **state)
{
    static const struct harness_refusal bad[] = {
            {"", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "id"},
            {"id: 'x'", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "id"},
            {"id: '01000000-0000-7000-8000-000000000000'", GRPC_NOT_FOUND, "NO_SUCH_FUTURE", NULL},
    };
    static const struct {
        const char *options;
        const char *field;
    } options[] = {
            {"durability: DURABILITY_DURABLE", "options.durability"},
            {"durability: DURABILITY_EPHEMERAL", "options.durability"},
            {"idempotency_key: 'k'", "options.idempotency_key"},
            {"key_policy: KEY_POLICY_JOIN", "options.key_policy"},
            {"on_lost: 3", "options.on_lost"},
            {"delay { seconds: -1 }", "options.delay"},
            {"delay {} not_before {}", "options.delay"},
            {"attempt_timeout { seconds: -1 }", "options.attempt_timeout"},
            {"retention { seconds: -1 }", "options.retention"},
            {"concurrency_key: x256", "options.concurrency_key"},
            {"fairness_key: x256", "options.fairness_key"},
            {"depend_policy: 4", "options.depend_policy"},
            {"depends_on: 'x'", "options.depends_on"},
            {"retry { max_attempts: 1001 }", "options.retry.max_attempts"},
            {"retry { multiplier: 0.5 }", "options.retry.multiplier"},
            {"delay { seconds: 9000000000 } deadline { seconds: 1 }", "options.deadline"},
    };
    struct harness_id id;
    struct harness h;
    char text[256];

    harness_init(&h, NULL);
    harness_refused(&h, "Retry", "", "", bad, ARRAY_LEN(bad));
    id = failed(&h, "task { function: 'echo' }");
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        snprintf(text, sizeof text, "options { %s }", options[i].options);
        refused(&h, id.text, text, GRPC_INVALID_ARGUMENT, "INVALID_FIELD", options[i].field);
    }
    refused(&h, id.text, "options { depends_on: '01000000-0000-7000-8000-000000000000' }", GRPC_NOT_FOUND,
            "NO_SUCH_FUTURE", NULL);
    assert_null(future_retried_by(harness_find(&h, id.text)));
    futures_drain(h.futures, 1);
    refused(&h, id.text, "", GRPC_UNAVAILABLE, "DRAINING", NULL);
    harness_deinit(&h);
}

static void test_states(void **state)
{
    struct harness_id id;
    struct harness h;

    harness_init(&h, NULL);
    id = harness_submit(&h, "task { function: 'echo' }");
    refused(&h, id.text, "", GRPC_FAILED_PRECONDITION, "NOT_FAILED", NULL);
    harness_start(&h, id.text);
    refused(&h, id.text, "", GRPC_FAILED_PRECONDITION, "NOT_FAILED", NULL);
    harness_succeed(&h, id.text, "r");
    refused(&h, id.text, "", GRPC_FAILED_PRECONDITION, "NOT_FAILED", NULL);
    harness_deinit(&h);
}

static void test_limits(void **state)
{
    const struct harness_options small = {.max_message_bytes = 4096};
    const struct function_limits limits = {.max_pending = 1};
    struct harness_id id;
    struct harness h;
    char text[4096];

    harness_init(&h, &small);
    id = failed(&h, "task { function: 'echo' argument: x3500 }");
    snprintf(text, sizeof text, "options { retry { 10 * non_retryable_types: x200 } }");
    refused(&h, id.text, text, GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "options");
    assert_int_equal(engine_configure(h.engine, engine_function_find(h.engine, SPAN_LIT("echo")), &limits),
                     0);
    harness_submit(&h, "task { function: 'echo' }");
    refused(&h, id.text, "", GRPC_RESOURCE_EXHAUSTED, "FUNCTION_QUEUE_FULL", NULL);
    assert_null(future_retried_by(harness_find(&h, id.text)));
    harness_deinit(&h);
}

/* What the task depends on is taken anew; what is gone is named, and other options help. */
static void test_depends(void **state)
{
    Futured__V1__Future *f;
    struct harness_id up, id;
    struct loopback_call c;
    struct harness h;
    char text[256];

    harness_init(&h, NULL);
    up = harness_submit(&h, "task { function: 'echo' }");
    snprintf(text, sizeof text, "task { function: 'echo' options { depends_on: '%s' pass_results: true } }",
             up.text);
    id = harness_submit(&h, "%s", text);
    harness_cancel(&h, id.text);
    f = retry(&h, id.text, "");
    assert_int_equal(f->pending_reason, FUTURED__V1__PENDING_REASON__PENDING_REASON_BLOCKED);
    assert_true(f->effective_options->pass_results);
    harness_cancel(&h, f->id);
    memcpy(id.text, f->id, ID_TEXT_LEN);
    harness_free(f);
    harness_succeed(&h, up.text, "r");
    harness_unary(&h, &c, "Delete", "id: '%s'", up.text);
    assert_int_equal(c.status.code, GRPC_OK);
    loopback_call_deinit(&c);
    harness_unary(&h, &c, "Retry", "id: '%s'", id.text);
    harness_expect(&c, GRPC_FAILED_PRECONDITION, "UPSTREAM_GONE", NULL);
    assert_non_null(strstr(c.status.message, up.text));
    loopback_call_deinit(&c);
    f = retry(&h, id.text, "options {}");
    assert_int_equal(f->pending_reason, FUTURED__V1__PENDING_REASON__PENDING_REASON_READY);
    harness_free(f);
    harness_deinit(&h);
}

/* What only the store has: the old one, then what its task depends on. */
static void test_stored(void **state)
{
    struct loopback_call c;
    Futured__V1__Future *f;
    struct shelf s;

    shelf_init(&s, 10);
    s.state = FUTURE_FAILED;
    s.upstream = 4;
    harness_unary(&s.h, &c, "Retry", "id: '%s'", shelf_text(3).text);
    assert_int_equal(s.n_asked, 1);
    shelf_answer(&s, 3, 0);
    harness_settle(&s.h);
    assert_int_equal(s.n_asked, 1);
    assert_non_null(s.wishes[4]);
    assert_int_equal(engine_delete(s.h.engine, harness_find(&s.h, shelf_text(3).text)), ENGINE_E_PINNED);
    shelf_answer(&s, 4, 0);
    harness_settle(&s.h);
    assert_int_equal(c.n_messages, 0); /* both must be durable */
    shelf_release(&s);
    assert_int_equal(c.status.code, GRPC_OK);
    f = harness_message(&s.h, &c, 0, &futured__v1__future__descriptor);
    assert_string_equal(f->retry_of, shelf_text(3).text);
    assert_int_equal(f->effective_options->durability, FUTURED__V1__DURABILITY__DURABILITY_DURABLE);
    harness_free(f);
    loopback_call_deinit(&c);
    harness_deinit(&s.h);
}

static void test_stored_upstream_gone(void **state)
{
    struct loopback_call c;
    struct shelf s;

    shelf_init(&s, 10);
    s.state = FUTURE_FAILED;
    s.upstream = 11;
    harness_unary(&s.h, &c, "Retry", "id: '%s'", shelf_text(3).text);
    shelf_answer_all(&s);
    harness_settle(&s.h);
    shelf_release(&s);
    harness_expect(&c, GRPC_FAILED_PRECONDITION, "UPSTREAM_GONE", NULL);
    loopback_call_deinit(&c);
    harness_deinit(&s.h);
}

/* The retry that there is already may be there too, or have gone. */
static void test_stored_retry(void **state)
{
    for (int is_gone = 0; is_gone < 2; is_gone++) {
        struct loopback_call c;
        Futured__V1__Future *f;
        struct shelf s;

        shelf_init(&s, 10);
        s.state = FUTURE_FAILED;
        s.retried = 3;
        s.retried_by = is_gone ? 11 : 5;
        harness_unary(&s.h, &c, "Retry", "id: '%s'", shelf_text(3).text);
        shelf_answer(&s, 3, 0);
        assert_int_equal(s.n_asked, 1);
        assert_int_equal(engine_delete(s.h.engine, harness_find(&s.h, shelf_text(3).text)), ENGINE_E_PINNED);
        shelf_answer_all(&s);
        shelf_release(&s);
        if (is_gone) {
            harness_expect(&c, GRPC_FAILED_PRECONDITION, "RETRY_GONE", NULL);
        } else {
            f = harness_message(&s.h, &c, 0, &futured__v1__future__descriptor);
            assert_string_equal(f->id, shelf_text(5).text);
            harness_free(f);
        }
        loopback_call_deinit(&c);
        harness_deinit(&s.h);
    }
}

/* RetryMany waits for what one of them depends on, and goes on behind it. */
static void test_stored_many(void **state)
{
    for (int how = 0; how < 3; how++) { /* the upstream is there; is not; cannot be read */
        Futured__V1__RetryManyResponse *r;
        struct loopback_call c;
        struct shelf s;

        shelf_init(&s, 10);
        s.state = FUTURE_FAILED;
        s.upstream = how == 1 ? 11 : 4;
        harness_unary(&s.h, &c, "RetryMany", "selector { ids: '%s' ids: '%s' ids: '%s' }", shelf_text(1).text,
                      shelf_text(2).text, shelf_text(3).text);
        for (uint64_t key = 1; key <= 3; key++)
            shelf_answer(&s, key, 0);
        harness_settle(&s.h);
        assert_int_equal(s.n_asked, 1);
        if (how == 2) {
            shelf_answer(&s, 4, FUTURES_E_UNREADABLE);
            harness_settle(&s.h);
            harness_expect(&c, GRPC_UNAVAILABLE, "STORE_UNREADABLE", NULL);
        } else {
            shelf_answer_all(&s);
            shelf_answer_all(&s); /* what is not there is looked for once for each */
            shelf_answer_all(&s);
            shelf_release(&s);
            assert_int_equal(c.status.code, GRPC_OK);
            r = harness_message(&s.h, &c, 0, &futured__v1__retry_many_response__descriptor);
            assert_int_equal(r->matched, 3);
            assert_int_equal(r->changed, how ? 0 : 3);
            assert_string_equal(r->next_page_token, "");
            harness_free(r);
        }
        loopback_call_deinit(&c);
        harness_deinit(&s.h);
    }
}

/* The client goes meanwhile. */
static void test_stored_client_goes(void **state)
{
    for (int i = 0; i < 2; i++) {
        struct loopback_call c;
        char text[128];
        struct shelf s;

        shelf_init(&s, 10);
        s.state = FUTURE_FAILED;
        s.upstream = 4;
        snprintf(text, sizeof text, i ? "selector { ids: '%s' }" : "id: '%s'", shelf_text(3).text);
        harness_unary(&s.h, &c, i ? "RetryMany" : "Retry", "%s", text);
        shelf_answer(&s, 3, 0);
        harness_settle(&s.h);
        assert_int_equal(s.n_asked, 1);
        harness_disconnect(&s.h, &s.h.lo);
        loopback_call_deinit(&c);
        engine_check(s.h.engine);
        assert_int_equal(engine_delete(s.h.engine, harness_find(&s.h, shelf_text(3).text)), 0);
        harness_deinit(&s.h);
    }
}

static void scenario(struct harness *h, struct loopback_call *c)
{
    struct harness_id id;

    harness_init(h, NULL);
    id = failed(
            h, "task { function: 'echo' options { priority: 1 } labels { key: 'a' value: 'b' } } group: 'g'");
    harness_arm(h);
    harness_unary(h, c, "Retry", "id: '%s' options { retention { seconds: 1 } }", id.text);
}

static void test_no_memory(void **state)
{
    harness_fail_allocations(scenario, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_what_it_is),
            cmocka_unit_test(test_again),
            cmocka_unit_test(test_again_late),
            cmocka_unit_test(test_times),
            cmocka_unit_test(test_options),
            cmocka_unit_test(test_refused),
            cmocka_unit_test(test_states),
            cmocka_unit_test(test_limits),
            cmocka_unit_test(test_depends),
            cmocka_unit_test(test_no_memory),
            cmocka_unit_test(test_stored),
            cmocka_unit_test(test_stored_upstream_gone),
            cmocka_unit_test(test_stored_retry),
            cmocka_unit_test(test_stored_many),
            cmocka_unit_test(test_stored_client_goes),
    };

    test_seed();
    return cmocka_run_group_tests_name("service/retry", tests, NULL, NULL);
}
