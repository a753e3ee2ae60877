// SPDX-License-Identifier: Apache-2.0
/* Explain: for each reason what it says; places in the queue; what is refused. */
#include "tests/unit/service/harness.h"

static Futured__V1__Explanation *explain(struct harness *h, const char *what, const char *name)
{
    Futured__V1__Explanation *x;
    struct loopback_call c;

    harness_unary(h, &c, "Explain", "%s: '%s'", what, name);
    if (c.status.code != GRPC_OK)
        fail_msg("%s", c.status.message);
    x = harness_message(h, &c, 0, &futured__v1__explanation__descriptor);
    loopback_call_deinit(&c);
    return x;
}

/* @says: a part of the text. */
static void expect(struct harness *h, const char *id, enum pending_reason reason, const char *limit,
                   const char *says)
{
    Futured__V1__Explanation *x = explain(h, "id", id);

    assert_string_equal(x->id, id);
    assert_int_equal(x->pending_reason, reason);
    assert_string_equal(x->limit, limit);
    if (!strstr(x->text, says))
        fail_msg("\"%s\" does not say \"%s\"", x->text, says);
    harness_free(x);
}

static void limit(struct harness *h, const char *request)
{
    struct loopback_call c;

    harness_unary(h, &c, "Functions/SetFunctionLimits", "function: 'echo' %s", request);
    assert_int_equal(c.status.code, GRPC_OK);
    loopback_call_deinit(&c);
}

static void test_places(void **state)
{
    struct harness_id ids[5], first;
    Futured__V1__Explanation *x;
    struct harness h;

    harness_init(&h, NULL);
    for (int i = 0; i < 5; i++)
        ids[i] = harness_submit(&h, "task { function: 'echo' }");
    first = harness_submit(&h, "task { function: 'echo' options { priority: 1 } }");
    for (int i = 0; i < 5; i++) {
        x = explain(&h, "id", ids[i].text);
        assert_int_equal(x->position_presence_case, FUTURED__V1__EXPLANATION__POSITION_PRESENCE_POSITION);
        assert_int_equal(x->position, (uint64_t)i + 1);
        assert_false(x->is_estimate);
        assert_int_equal(x->pending_count, 6);
        assert_int_equal(x->worker_count, 1);
        assert_int_equal(x->credit, 3);
        harness_free(x);
    }
    expect(&h, first.text, PENDING_READY, "", "it is the next");
    expect(&h, ids[0].text, PENDING_READY, "", "1 future of the function starts before it");
    x = explain(&h, "function", "echo");
    assert_int_equal(x->pending_reason, PENDING_READY);
    assert_string_equal(x->text, "workers have room");
    assert_string_equal(x->id, "");
    harness_free(x);
    harness_deinit(&h);
}

/* Of what it depends on, those that have not ended; at most a hundred by name. */
static void test_blocked(void **state)
{
    char text[1 + 103 * (ID_TEXT_LEN + 20)] = "";
    struct harness_id up[103], one, many;
    Futured__V1__Explanation *x;
    struct harness h;

    harness_init(&h, NULL);
    for (int i = 0; i < 103; i++) {
        up[i] = harness_submit(&h, "task { function: 'echo' }");
        snprintf(text + strlen(text), sizeof text - strlen(text), "depends_on: '%s' ", up[i].text);
    }
    one = harness_submit(&h, "task { function: 'echo' options { depends_on: '%s' } }", up[102].text);
    many = harness_submit(&h, "task { function: 'echo' options { %s } }", text);
    expect(&h, one.text, PENDING_BLOCKED, "", "it depends on 1 future that has not ended");
    expect(&h, many.text, PENDING_BLOCKED, "", "it depends on 103 futures that have not ended");
    harness_succeed(&h, up[0].text, "");
    x = explain(&h, "id", many.text);
    assert_int_equal(x->waits_for_count, 102);
    assert_int_equal(x->n_waits_for, 100);
    for (int i = 0; i < 100; i++)
        assert_string_equal(x->waits_for[i], up[i + 1].text);
    harness_free(x);
    harness_succeed(&h, up[102].text, "");
    x = explain(&h, "id", one.text);
    assert_int_equal(x->n_waits_for, 0);
    assert_int_equal(x->waits_for_count, 0);
    harness_free(x);
    harness_deinit(&h);
}

static void test_reasons(void **state)
{
    struct harness_id a, b, c, unserved;
    Futured__V1__Explanation *x;
    struct loopback_call call;
    struct harness h;

    harness_init(&h, NULL);
    unserved = harness_submit(&h, "task { function: 'unserved' }");
    expect(&h, unserved.text, PENDING_NO_WORKER, "", "no worker serves");
    a = harness_submit(&h, "task { function: 'echo' options { concurrency_key: 'k' fairness_key: 'f' } }");
    b = harness_submit(&h, "task { function: 'echo' options { concurrency_key: 'k' } }");
    limit(&h, "max_running: 1");
    harness_start(&h, a.text);
    expect(&h, a.text, PENDING_NONE, "", "runs it");
    expect(&h, b.text, PENDING_LIMITED, "max_running", "max_running = 1");
    limit(&h, "max_running: 0");
    c = harness_submit(&h, "task { function: 'echo' }");
    harness_claim(&h, c.text);
    expect(&h, c.text, PENDING_READY, "", "is to start it");
    expect(&h, b.text, PENDING_LIMITED, "concurrency_key", a.text);
    x = explain(&h, "id", b.text);
    assert_int_equal(x->n_waits_for, 1);
    assert_int_equal(x->waits_for_count, 1);
    assert_string_equal(x->waits_for[0], a.text);
    harness_free(x);
    x = explain(&h, "function", "echo");
    assert_string_equal(x->limit, "concurrency_key");
    assert_int_equal(x->running_count, 1);
    harness_free(x);
    harness_succeed(&h, a.text, "r");
    expect(&h, a.text, PENDING_NONE, "", "it has ended");
    limit(&h, "rate: 0.01");
    harness_succeed(&h, b.text, "r");
    a = harness_submit(&h, "task { function: 'echo' }");
    expect(&h, a.text, PENDING_LIMITED, "rate", "rate = 0.01");
    x = explain(&h, "id", a.text);
    assert_non_null(x->next_start_time);
    harness_free(x);
    limit(&h, "reset: true");
    harness_unary(&h, &call, "Functions/PauseFunction", "function: 'echo' reason: 'tea'");
    loopback_call_deinit(&call);
    expect(&h, a.text, PENDING_PAUSED, "", "tea");
    engine_hold(h.engine, 1);
    expect(&h, a.text, PENDING_PAUSED, "", "tea");
    expect(&h, unserved.text, PENDING_PAUSED, "", "the daemon starts no tasks");
    x = explain(&h, "function", "unserved");
    assert_int_equal(x->pending_reason, PENDING_PAUSED);
    harness_free(x);
    engine_hold(h.engine, 0);
    x = explain(&h, "function", "unserved");
    assert_int_equal(x->pending_reason, PENDING_NO_WORKER);
    harness_free(x);
    x = explain(&h, "function", "sleep");
    assert_string_equal(x->text, "nothing waits");
    harness_free(x);
    harness_deinit(&h);
}

static void test_refused(void **state)
{
    static const struct harness_refusal bad[] = {
            {"", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "id"},
            {"id: 'x'", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "id"},
            {"id: '01890a5d-ac96-774b-bcce-b302099a8057'", GRPC_NOT_FOUND, "NO_SUCH_FUTURE", NULL},
            {"id: '01890a5d-ac96-774b-bcce-b302099a8057' function: 'echo'", GRPC_INVALID_ARGUMENT,
             "INVALID_FIELD", "id"},
            {"function: 'none'", GRPC_NOT_FOUND, "NO_SUCH_FUNCTION", NULL},
            {"function: x256", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "function"},
    };
    struct harness h;

    harness_init(&h, NULL);
    harness_refused(&h, "Explain", "", "", bad, ARRAY_LEN(bad));
    harness_deinit(&h);
}

static void explain_without_memory(struct harness *h, struct loopback_call *c)
{
    harness_init(h, NULL);
    harness_arm(h);
    harness_unary(h, c, "Explain", "function: 'echo'");
}

static void test_no_memory(void **state)
{
    harness_fail_allocations(explain_without_memory, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_places),  cmocka_unit_test(test_blocked),   cmocka_unit_test(test_reasons),
            cmocka_unit_test(test_refused), cmocka_unit_test(test_no_memory),
    };

    test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
