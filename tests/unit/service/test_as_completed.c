// SPDX-License-Identifier: Apache-2.0
/* AsCompleted: order, each once, what is missing, a question that grows while it is answered, its end. */
#include "tests/unit/service/harness.h"

#define NOBODY "01890a5d-ac96-774b-bcce-b302099a8057"

static Futured__V1__AsCompletedResponse *response(const struct harness *h, const struct loopback_call *c,
                                                  size_t i)
{
    return harness_message(h, c, i, &futured__v1__as_completed_response__descriptor);
}

/* The ID in the @i-th answer; @ret_missing where it is one of nobody. */
static struct harness_id answered(const struct harness *h, const struct loopback_call *c, size_t i,
                                  int is_missing)
{
    Futured__V1__AsCompletedResponse *r = response(h, c, i);
    struct harness_id id = {""};

    assert_int_equal(r->item_case, is_missing ? FUTURED__V1__AS_COMPLETED_RESPONSE__ITEM_MISSING
                                              : FUTURED__V1__AS_COMPLETED_RESPONSE__ITEM_FUTURE);
    memcpy(id.text, is_missing ? r->missing : r->future->id, ID_TEXT_LEN);
    if (!is_missing)
        assert_true(r->future->state >= FUTURED__V1__STATE__STATE_SUCCEEDED);
    harness_free(r);
    return id;
}

static void submit(struct harness *h, struct harness_id *ids, int n)
{
    for (int i = 0; i < n; i++)
        ids[i] = harness_submit(h, "task { function: 'echo' argument: 'a' }");
}

static void leave(struct harness *h, struct loopback_call *c)
{
    grpc_client_call_cancel(c->call);
    harness_settle(h);
    assert_true(c->is_done);
    loopback_call_deinit(c);
    assert_int_equal(engine_stats(h->engine).n_edges, 0);
}

/* Those already finished first, in the order they are asked for, then completion order. */
static void test_order(void **state)
{
    static const int then[] = {4, 2, 5};
    struct harness_id ids[6];
    struct loopback_call c;
    struct harness h;

    harness_init(&h, NULL);
    submit(&h, ids, 6);
    harness_succeed(&h, ids[3].text, "r");
    harness_fail(&h, ids[1].text, "no");
    harness_cancel(&h, ids[0].text);
    harness_call(&h, &c, "AsCompleted");
    harness_send(&c, "AsCompleted", "ids: '%s' ids: '%s' ids: '%s' ids: '%s' ids: '%s' ids: '%s'",
                 ids[0].text, ids[1].text, ids[2].text, ids[3].text, ids[4].text, ids[5].text);
    loopback_half_close(&c);
    harness_settle(&h);
    assert_int_equal(c.n_messages, 3);
    assert_string_equal(answered(&h, &c, 0, 0).text, ids[0].text);
    assert_string_equal(answered(&h, &c, 1, 0).text, ids[1].text);
    assert_string_equal(answered(&h, &c, 2, 0).text, ids[3].text);
    for (size_t i = 0; i < ARRAY_LEN(then); i++) {
        assert_false(c.is_done);
        harness_succeed(&h, ids[then[i]].text, "r");
        assert_int_equal(c.n_messages, 4 + i);
        assert_string_equal(answered(&h, &c, 3 + i, 0).text, ids[then[i]].text);
    }
    assert_true(c.is_done);
    assert_int_equal(c.status.code, GRPC_OK);
    assert_int_equal(engine_stats(h.engine).n_edges, 0);
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

/* Each once, however often it is given: in one message, in another, before its end and behind it; missing ones too. */
static void test_once(void **state)
{
    struct harness_id ids[2];
    struct loopback_call c;
    struct harness h;

    harness_init(&h, NULL);
    submit(&h, ids, 2);
    harness_succeed(&h, ids[0].text, "r");
    harness_call(&h, &c, "AsCompleted");
    for (int i = 0; i < 3; i++) {
        harness_send(&c, "AsCompleted", "ids: '%s' ids: '%s' ids: '%s' ids: '" NOBODY "' ids: '" NOBODY "'",
                     ids[0].text, ids[1].text, ids[0].text);
        harness_settle(&h);
        assert_int_equal(c.n_messages, i < 2 ? 2 : 3);
        if (i == 1)
            harness_succeed(&h, ids[1].text, "r");
    }
    assert_string_equal(answered(&h, &c, 0, 1).text, NOBODY);
    assert_string_equal(answered(&h, &c, 1, 0).text, ids[0].text);
    assert_string_equal(answered(&h, &c, 2, 0).text, ids[1].text);
    loopback_half_close(&c);
    harness_settle(&h);
    assert_true(c.is_done);
    assert_int_equal(c.status.code, GRPC_OK);
    assert_int_equal(c.n_messages, 3);
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

/* It grows while it is read, and does not end before the client says so. */
static void test_grows(void **state)
{
    struct harness_id ids[5];
    struct loopback_call c;
    struct harness h;

    harness_init(&h, NULL);
    submit(&h, ids, 5);
    harness_call(&h, &c, "AsCompleted");
    for (int i = 0; i < 5; i++) {
        harness_send(&c, "AsCompleted", "ids: '%s'", ids[i].text);
        harness_settle(&h);
        assert_int_equal(c.n_messages, i);
        harness_succeed(&h, ids[i].text, "r");
        assert_int_equal(c.n_messages, i + 1);
        assert_false(c.is_done);
    }
    harness_send(&c, "AsCompleted", "@99: 5"); /* nothing asked is nothing wrong */
    harness_settle(&h);
    assert_false(c.is_done);
    loopback_half_close(&c);
    harness_settle(&h);
    assert_true(c.is_done);
    assert_int_equal(c.status.code, GRPC_OK);
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

static void test_nothing_asked(void **state)
{
    struct loopback_call c;
    struct harness h;

    harness_init(&h, NULL);
    harness_call(&h, &c, "AsCompleted");
    loopback_half_close(&c);
    harness_settle(&h);
    assert_true(c.is_done);
    assert_int_equal(c.status.code, GRPC_OK);
    assert_int_equal(c.n_messages, 0);
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

/* Each message has its view. */
static void test_views(void **state)
{
    struct harness_id ids[5];
    struct loopback_call c;
    struct harness h;

    harness_init(&h, NULL);
    submit(&h, ids, 5);
    harness_call(&h, &c, "AsCompleted");
    for (int view = 0; view <= 4; view++)
        harness_send(&c, "AsCompleted", "ids: '%s' view: %d", ids[view].text, view);
    harness_settle(&h);
    for (int view = 0; view <= 4; view++) {
        Futured__V1__AsCompletedResponse *r;

        harness_succeed(&h, ids[view].text, "r");
        r = response(&h, &c, (size_t)view);
        assert_string_equal(r->future->id, ids[view].text);
        assert_int_equal(r->future->task != NULL, view != 1);
        assert_int_equal(r->future->result->content_case == FUTURED__V1__RESULT__CONTENT_DATA,
                         view == 0 || view == 1 || view == 4);
        harness_free(r);
    }
    leave(&h, &c);
    harness_deinit(&h);
}

/* What is asked for is pinned until it is answered, and no longer. */
static void test_pins(void **state)
{
    const struct harness_options options = {.retention_ns = NS_PER_S};
    struct harness_id ids[2];
    struct loopback_call c;
    struct harness h;

    harness_init(&h, &options);
    submit(&h, ids, 2);
    harness_call(&h, &c, "AsCompleted");
    harness_send(&c, "AsCompleted", "ids: '%s' ids: '%s'", ids[0].text, ids[1].text);
    harness_settle(&h);
    harness_succeed(&h, ids[0].text, "r");
    assert_int_equal(harness_find(&h, ids[0].text)->n_pins, 0);
    assert_int_equal(harness_find(&h, ids[1].text)->n_pins, 1);
    harness_advance(&h, 5 * NS_PER_S);
    assert_null(harness_find(&h, ids[0].text));
    leave(&h, &c);
    harness_deinit(&h);
}

static const struct harness_refusal bad_questions[] = {
        {"ids: 'x'", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "ids"},
        {"ids: '" NOBODY "' ids: ''", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "ids"},
        {"ids: #ff", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "ids"},
        {"@1: 5", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "ids"},
        {"10001 * ids: '" NOBODY "'", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "ids"},
        {"ids: '" NOBODY "' view: 5", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "view"},
};

static void test_refused(void **state)
{
    struct harness_id id;
    struct harness h;

    harness_init(&h, NULL);
    id = harness_submit(&h, "task { function: 'echo' }");
    for (size_t i = 0; i < ARRAY_LEN(bad_questions); i++) {
        struct loopback_call c;

        harness_call(&h, &c, "AsCompleted");
        harness_send(&c, "AsCompleted", "ids: '%s'", id.text);
        harness_send(&c, "AsCompleted", "%s", bad_questions[i].request);
        harness_settle(&h);
        harness_expect(&c, bad_questions[i].code, bad_questions[i].reason, bad_questions[i].field);
        loopback_call_deinit(&c);
        assert_int_equal(engine_stats(h.engine).n_edges, 0);
    }
    harness_deinit(&h);
}

/* 10,000 a message, and more of them. */
static void test_many(void **state)
{
    struct harness_id id;
    struct loopback_call c;
    struct harness h;

    harness_init(&h, NULL);
    id = harness_submit(&h, "task { function: 'echo' }");
    harness_call(&h, &c, "AsCompleted");
    harness_send(&c, "AsCompleted", "10000 * ids: '01890a5d-ac96-774b-bcce-$'");
    harness_send(&c, "AsCompleted", "10000 * ids: '01890a5d-ac96-774b-bcce-$'"); /* the same again */
    harness_send(&c, "AsCompleted", "9999 * ids: '01890a5d-ac96-774b-accf-$' ids: '%s'", id.text);
    loopback_half_close(&c);
    harness_settle(&h);
    assert_int_equal(c.n_messages, 19999);
    assert_false(c.is_done);
    harness_succeed(&h, id.text, "r");
    assert_true(c.is_done);
    assert_int_equal(c.status.code, GRPC_OK);
    assert_int_equal(c.n_messages, 20000);
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

/* A client that asks and does not read: bounded, and all of it once it reads. */
static void test_unread(void **state)
{
    enum { N_MESSAGES = 60 };
    struct loopback_call c;
    size_t pending;
    struct harness h;

    harness_init(&h, NULL);
    harness_call(&h, &c, "AsCompleted");
    harness_settle(&h);
    grpc_client_call_pause(c.call, 1);
    for (int i = 0; i < N_MESSAGES; i++)
        harness_send(&c, "AsCompleted", "9000 * ids: '01890a5d-%04x-774b-bcce-$'", i);
    loopback_half_close(&c);
    harness_settle(&h);
    pending = h2_session_pending_bytes(grpc_conn_session(h.lo.conn));
    assert_true(pending > H2_STREAM_HIGH_BYTES);
    assert_true(pending < LIMIT_STREAM_UNREAD_BYTES + 9000 * 64);
    assert_int_equal(c.n_messages, 0);
    grpc_client_call_pause(c.call, 0);
    harness_settle(&h);
    assert_true(c.is_done);
    assert_int_equal(c.status.code, GRPC_OK);
    assert_int_equal(c.n_messages, 9000 * N_MESSAGES);
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

/* Futures that have finished wait as futures, not as bytes. */
static void test_unread_futures(void **state)
{
    enum { N = 40 };
    static struct harness_id ids[N];
    struct loopback_call c;
    struct harness h;

    harness_init(&h, NULL);
    submit(&h, ids, N);
    harness_call(&h, &c, "AsCompleted");
    harness_settle(&h);
    grpc_client_call_pause(c.call, 1);
    for (int i = 0; i < N; i++) {
        harness_send(&c, "AsCompleted", "ids: '%s'", ids[i].text);
        harness_succeed_bytes(&h, ids[i].text, 200000);
    }
    assert_true(h2_session_pending_bytes(grpc_conn_session(h.lo.conn)) < H2_STREAM_HIGH_BYTES + 210000);
    assert_true(engine_stats(h.engine).n_edges > 0);
    grpc_client_call_pause(c.call, 0);
    harness_settle(&h);
    assert_int_equal(c.n_messages, N);
    for (int i = 0; i < N; i++)
        assert_string_equal(answered(&h, &c, (size_t)i, 0).text, ids[i].text);
    leave(&h, &c);
    harness_deinit(&h);
}

static void test_full_edges(void **state)
{
    struct harness_options options = {.limits = LIMITS_DEFAULT};
    struct harness_id ids[3];
    struct loopback_call c;
    struct harness h;

    options.limits.max_waiter_edges = 2;
    harness_init(&h, &options);
    submit(&h, ids, 3);
    harness_call(&h, &c, "AsCompleted");
    harness_send(&c, "AsCompleted", "ids: '%s' ids: '%s' ids: '%s'", ids[0].text, ids[1].text, ids[2].text);
    harness_settle(&h);
    harness_expect(&c, GRPC_RESOURCE_EXHAUSTED, "TOO_MANY_WAITERS", NULL);
    loopback_call_deinit(&c);
    assert_int_equal(engine_stats(h.engine).n_edges, 0);
    harness_deinit(&h);
}

static void test_too_large(void **state)
{
    const struct harness_options options = {.max_message_bytes = 65536};
    Futured__V1__AsCompletedResponse *r;
    struct harness_id id;
    struct loopback_call c;
    struct harness h;

    harness_init(&h, &options);
    id = harness_submit(&h, "task { function: 'echo' argument: x40000 }");
    harness_succeed_bytes(&h, id.text, 40000);
    harness_unary(&h, &c, "AsCompleted", "ids: '%s'", id.text);
    r = response(&h, &c, 0);
    assert_true(r->future->omitted);
    assert_int_equal(r->future->result->data.len, 40000);
    harness_free(r);
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

static void test_shutdown(void **state)
{
    struct harness_id id;
    struct loopback_call c;
    struct harness h;

    harness_init(&h, NULL);
    id = harness_submit(&h, "task { function: 'echo' }");
    harness_call(&h, &c, "AsCompleted");
    harness_send(&c, "AsCompleted", "ids: '%s'", id.text);
    harness_settle(&h);
    futures_shutdown(h.futures);
    harness_settle(&h);
    harness_expect(&c, GRPC_UNAVAILABLE, "STOPPING", NULL);
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

static void without_memory(struct harness *h, struct loopback_call *c)
{
    struct harness_id ids[20];

    harness_init(h, NULL);
    submit(h, ids, 20);
    for (int i = 0; i < 10; i++)
        harness_succeed_bytes(h, ids[i].text, 1000);
    harness_arm(h);
    harness_call(h, c, "AsCompleted");
    for (int i = 0; i < 20; i++)
        harness_send(c, "AsCompleted", "ids: '%s' ids: '01890a5d-ac96-774b-bcce-%012d'", ids[i].text, i);
    loopback_half_close(c);
    harness_settle(h);
    for (int i = 10; i < 20; i++)
        harness_succeed_bytes(h, ids[i].text, 1000);
}

static void test_no_memory(void **state)
{
    harness_fail_allocations(without_memory, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_order),      cmocka_unit_test(test_once),
            cmocka_unit_test(test_grows),      cmocka_unit_test(test_nothing_asked),
            cmocka_unit_test(test_views),      cmocka_unit_test(test_pins),
            cmocka_unit_test(test_refused),    cmocka_unit_test(test_many),
            cmocka_unit_test(test_unread),     cmocka_unit_test(test_unread_futures),
            cmocka_unit_test(test_full_edges), cmocka_unit_test(test_too_large),
            cmocka_unit_test(test_shutdown),   cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests_name("service/as_completed", tests, NULL, NULL);
}
