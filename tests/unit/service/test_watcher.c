// SPDX-License-Identifier: Apache-2.0
/* What all Watches have in common: a keepalive where nothing was sent for a while. */
#include "tests/unit/service/harness.h"

enum {
    KEEPALIVE = FUTURED__V1__FUTURE_EVENT__EVENT_KEEPALIVE,
    STATE = FUTURED__V1__FUTURE_EVENT__EVENT_STATE
};

static void expect_last(const struct harness *h, const struct loopback_call *c, size_t n, int kind,
                        int has_cursor)
{
    Futured__V1__FutureEvent *e;

    assert_int_equal(c->n_messages, n);
    e = harness_message(h, c, n - 1, &futured__v1__future_event__descriptor);
    assert_int_equal(e->event_case, kind);
    assert_int_equal(e->cursor != NULL, has_cursor);
    assert_non_null(e->time);
    if (kind == KEEPALIVE)
        assert_string_equal(e->id, "");
    harness_free(e);
}

static void test_keepalive(void **state)
{
    struct loopback_call of_one, of_all;
    struct harness_id id;
    struct harness h;

    harness_init(&h, NULL);
    futures_limit_watches(h.futures, &(struct futures_watches){2, 16, 10 * NS_PER_S});
    id = harness_submit(&h, "task { function: 'echo' }");
    harness_unary(&h, &of_one, "Watch", "selector { ids: '%s' }", id.text);
    harness_advance(&h, 5 * NS_PER_S);
    harness_unary(&h, &of_all, "Watch", "selector { filter: 'state = FAILED' }");
    assert_int_equal(of_one.n_messages, 1);
    expect_last(&h, &of_all, 1, KEEPALIVE, 1); /* it is complete */
    assert_true(h.next <= h.lo.now + 5 * NS_PER_S);
    harness_advance(&h, 5 * NS_PER_S);
    expect_last(&h, &of_one, 2, KEEPALIVE, 0);
    assert_int_equal(of_all.n_messages, 1);
    harness_start(&h, id.text); /* nothing for the other one but that its cursor moves */
    expect_last(&h, &of_one, 3, STATE, 0);
    harness_advance(&h, 5 * NS_PER_S);
    assert_int_equal(of_one.n_messages, 3); /* it was not quiet */
    expect_last(&h, &of_all, 2, KEEPALIVE, 1);
    harness_advance(&h, 5 * NS_PER_S);
    expect_last(&h, &of_one, 4, KEEPALIVE, 0);
    harness_advance(&h, 60 * NS_PER_S); /* a late turn: one, not six */
    assert_int_equal(of_one.n_messages, 5);
    assert_int_equal(of_all.n_messages, 3);
    grpc_client_call_cancel(of_all.call);
    harness_succeed(&h, id.text, "r");
    assert_true(of_one.is_done);
    harness_advance(&h, 60 * NS_PER_S);
    assert_true(h.next > h.lo.now + 60 * NS_PER_S); /* nobody is left to be told */
    loopback_call_deinit(&of_one);
    loopback_call_deinit(&of_all);
    harness_deinit(&h);
}

/* Nothing is put behind what a client does not read. */
static void test_unread(void **state)
{
    struct loopback_call c;
    struct harness_id id;
    struct harness h;

    harness_init(&h, NULL);
    futures_limit_watches(h.futures, &(struct futures_watches){2, 16, NS_PER_S});
    id = harness_submit(&h, "task { function: 'echo' argument: x3000000 }");
    harness_call(&h, &c, "Watch");
    grpc_client_call_pause(c.call, 1);
    harness_send(&c, "Watch", "selector { ids: '%s' } view: VIEW_FULL", id.text);
    loopback_half_close(&c);
    harness_settle(&h);
    for (int i = 0; i < 100; i++)
        harness_advance(&h, NS_PER_S / 2);
    grpc_client_call_pause(c.call, 0);
    harness_settle(&h);
    assert_true(c.n_messages <= 2);
    grpc_client_call_cancel(c.call);
    harness_settle(&h);
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_keepalive), cmocka_unit_test(test_unread)};

    return cmocka_run_group_tests_name("service/watcher", tests, NULL, NULL);
}
