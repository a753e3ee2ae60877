// SPDX-License-Identifier: Apache-2.0
/* ListWorkers: what is told of a worker in every state, pages, and what is refused. */
#include "dispatch/roster.h"
#include "tests/unit/dispatch/harness.h"

enum { EXITED_3 = 3 << 8 };

/* A client beside the workers. */
static struct child *client;

static void start(struct harness *h)
{
    harness_init(h);
    client = harness_spawn(h, 90); /* its own stream is a worker that has not said Hello */
}

static void ask(struct harness *h, struct loopback_call *c, const char *request)
{
    struct buf message = BUF_INIT;

    text_encode(&message, &futured__v1__list_workers_request__descriptor, "%s", request);
    loopback_call(&client->lo, c, "/futured.v1.Workers/ListWorkers", 0);
    loopback_send(c, buf_head(&message), buf_len(&message));
    loopback_half_close(c);
    buf_deinit(&message);
    harness_settle(h);
}

static Futured__V1__ListWorkersResponse *list(struct harness *h, const char *request)
{
    Futured__V1__ListWorkersResponse *r;
    struct loopback_call c;
    struct span message;

    ask(h, &c, request);
    assert_true(c.is_done);
    assert_int_equal(c.status.code, GRPC_OK);
    message = loopback_message(&c, 0);
    r = futured__v1__list_workers_response__unpack(NULL, message.len, message.p);
    assert_non_null(r);
    assert_int_equal(r->base.n_unknown_fields, 0);
    for (size_t i = 0; i < r->n_workers; i++)
        assert_int_equal(r->workers[i]->base.n_unknown_fields, 0);
    loopback_call_deinit(&c);
    return r;
}

static void list_free(Futured__V1__ListWorkersResponse *r)
{
    futured__v1__list_workers_response__free_unpacked(r, NULL);
}

static void test_info(void **state)
{
    Futured__V1__ListWorkersResponse *r;
    const Futured__V1__WorkerInfo *info;
    char running[ID_TEXT_LEN + 1];
    struct harness h;
    struct child *w;
    struct item *item;

    start(&h);
    harness_advance(&h, NS_PER_S);
    w = harness_spawn(&h, 5);
    harness_hello(w, "slots: 2 version: '1.2' labels { key: 'rack' value: 'r7' }", 4);
    harness_submit(&h, "function: 'slow'");
    harness_submit(&h, "function: 'slow'");
    harness_settle(&h);
    item = harness_take(w);
    id_format(&item->id, running);
    worker_starts(w, item);
    h.now += 3 * NS_PER_S;
    h.wall += 3 * NS_PER_S;
    r = list(&h, "");
    assert_int_equal(r->n_workers, 2);
    assert_string_equal(r->next_page_token, "");
    assert_int_equal(r->crashed_count, 0);
    assert_int_equal(r->workers[0]->state, FUTURED__V1__WORKER_STATE__WORKER_STATE_STARTING);
    assert_int_equal(r->workers[0]->pid, 1090);
    assert_int_equal(r->workers[0]->n_functions, 0);
    info = r->workers[1];
    assert_string_equal(info->id, w->welcome->worker_id);
    assert_string_equal(info->name, "w");
    assert_string_equal(info->version, "1.2");
    assert_int_equal(info->state, FUTURED__V1__WORKER_STATE__WORKER_STATE_READY);
    assert_true(info->pool);
    assert_int_equal(info->pid, 1005);
    assert_int_equal(info->n_functions, 2);
    assert_string_equal(info->functions[0], "echo");
    assert_string_equal(info->functions[1], "slow");
    assert_int_equal(info->slots, 2);
    assert_int_equal(info->credit, 2);
    assert_int_equal(info->reserved_count, 1);
    assert_int_equal(info->running_count, 1);
    assert_int_equal(info->n_running_ids, 1);
    assert_string_equal(info->running_ids[0], running);
    assert_int_equal(info->finished_count, 0);
    assert_int_equal(info->n_labels, 1);
    assert_string_equal(info->labels[0]->key, "rack");
    assert_string_equal(info->labels[0]->value, "r7");
    assert_int_equal(info->attach_time->seconds, h.wall / NS_PER_S - 3);
    assert_int_equal(info->last_seen_time->seconds, h.wall / NS_PER_S - 3);
    list_free(r);

    worker_ends(w);
    worker_finishes(w, item, "result {}");
    harness_say(w, "finish { %s result {} }", harness_lease(item)); /* no longer its lease */
    harness_settle(&h);
    dispatch_drain(h.dispatch);
    r = list(&h, "function: 'slow'");
    assert_int_equal(r->n_workers, 1);
    info = r->workers[0];
    assert_int_equal(info->state, FUTURED__V1__WORKER_STATE__WORKER_STATE_DRAINING);
    assert_int_equal(info->finished_count, 1);
    assert_int_equal(info->refused_count, 1);
    assert_int_equal(info->running_count, 0);
    assert_int_equal(info->last_seen_time->seconds, h.wall / NS_PER_S);
    list_free(r);
    harness_deinit(&h);
}

/* One without a stream is there until its process is known to be dead; crashes are counted. */
static void test_gone(void **state)
{
    Futured__V1__ListWorkersResponse *r;
    struct harness h;
    struct child *w;

    start(&h);
    w = harness_spawn(&h, 5);
    harness_hello(w, "slots: 1", 1);
    worker_runs(w, (harness_submit(&h, "function: 'echo'"), harness_settle(&h), harness_take(w)));
    harness_hang_up(w);
    r = list(&h, "function: 'echo'");
    assert_int_equal(r->n_workers, 1);
    assert_int_equal(r->workers[0]->state, FUTURED__V1__WORKER_STATE__WORKER_STATE_DISCONNECTED);
    list_free(r);
    harness_die(w, EXITED_3, 0);
    r = list(&h, "function: 'echo'");
    assert_int_equal(r->n_workers, 0);
    assert_int_equal(r->crashed_count, 1);
    list_free(r);
    w = harness_spawn(&h, 6);
    harness_die(w, 0, 1); /* we had asked for it */
    w = harness_spawn(&h, 7);
    harness_die(w, 0, 0); /* it had nothing to do, and has ended in order */
    r = list(&h, "");
    assert_int_equal(r->crashed_count, 1);
    list_free(r);
    assert_int_equal(dispatch_stats(h.dispatch).n_crashed, 1);
    assert_int_equal(dispatch_stats(h.dispatch).n_finished, 1);
    assert_int_equal(dispatch_stats(h.dispatch).n_attached, 4);
    harness_deinit(&h);
}

static void test_pages(void **state)
{
    struct child *w[5];
    char request[64] = "page_size: 2 function: 'echo'";
    size_t n = 0, n_pages = 0;
    struct harness h;

    start(&h);
    for (size_t i = 0; i < ARRAY_LEN(w); i++) {
        w[i] = harness_spawn(&h, 10 + i);
        harness_hello(w[i], "slots: 1", i % 2 ? 1 : 0);
    }
    harness_submit(&h, "function: 'echo'"); /* who takes it moves in the list of workers */
    harness_settle(&h);
    for (int is_more = 1; is_more; n_pages++) {
        Futured__V1__ListWorkersResponse *r = list(&h, request);

        for (size_t i = 0; i < r->n_workers; i++, n++)
            assert_string_equal(r->workers[i]->id, w[n]->welcome->worker_id);
        is_more = r->next_page_token[0] != 0;
        snprintf(request, sizeof request, "page_size: 2 function: 'echo' page_token: '%s'",
                 r->next_page_token);
        list_free(r);
    }
    assert_int_equal(n, ARRAY_LEN(w));
    assert_int_equal(n_pages, 3);
    harness_deinit(&h);
}

/* A page ends where the message is full; of one that is too large alone, what there is room for is told. */
static void test_full_pages(void **state)
{
    Futured__V1__ListWorkersResponse *r;
    struct buf more = BUF_INIT;
    char text[400];
    struct harness h;
    struct child *w;

    start(&h);
    w = harness_spawn(&h, 5);
    text_put(&more, "slots: 1", 8);
    for (int i = 0; i < 9000; i++) {
        int n = snprintf(text, sizeof text, " functions { name: '%0250d' }", i);

        text_put(&more, text, (size_t)n);
    }
    text_put(&more, "", 1);
    harness_hello(w, (const char *)buf_head(&more), 0);
    assert_int_equal(w->n_welcomes, 1);
    w = harness_spawn(&h, 6);
    harness_hello(w, (const char *)buf_head(&more), 0);
    r = list(&h, "");
    assert_int_equal(r->n_workers, 2); /* the second of these does not fit */
    assert_int_equal(r->workers[1]->n_functions, 9002);
    assert_string_equal(r->next_page_token, r->workers[1]->id);
    list_free(r);
    buf_deinit(&more);
    harness_deinit(&h);
}

static void test_refused(void **state)
{
    static const struct {
        const char *request, *field;
    } cases[] = {
            {"page_size: 1001", "page_size"},  {"@1: 'x'", "page_size"},
            {"page_token: 'w'", "page_token"}, {"page_token: 'w-x'", "page_token"},
            {"page_token: #ff", "page_token"}, {"page_token: 'w-1234567890123456789'", "page_token"},
            {"function: 'a b'", "function"},   {"function: x256", "function"},
            {"function: #ff", "function"},
    };
    Futured__V1__ListWorkersResponse *r;
    struct loopback_call c;
    struct harness h;

    start(&h);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        ask(&h, &c, cases[i].request);
        assert_int_equal(c.status.code, GRPC_INVALID_ARGUMENT);
        assert_string_equal(c.status.reason, "INVALID_FIELD");
        assert_string_equal(c.status.violations[0].field, cases[i].field);
        loopback_call_deinit(&c);
    }
    loopback_call(&client->lo, &c, "/futured.v1.Workers/ListWorkers", 0);
    loopback_send(&c, "\x0a", 1);
    loopback_half_close(&c);
    harness_settle(&h);
    assert_int_equal(c.status.code, GRPC_INVALID_ARGUMENT);
    assert_string_equal(c.status.reason, "MALFORMED_MESSAGE");
    loopback_call_deinit(&c);
    r = list(&h, "function: 'unheard-of'");
    assert_int_equal(r->n_workers, 0);
    list_free(r);
    harness_deinit(&h);
}

static void test_no_memory(void **state)
{
    int has_failed = 1, n = 0;

    for (uint64_t nth = 1; has_failed; nth++, n++) {
        struct loopback_call c;
        struct harness h;
        struct child *w;

        start(&h);
        w = harness_spawn(&h, 5);
        harness_hello(w, "slots: 1 labels { key: 'k' value: 'v' }", 1);
        h.fail_nth = nth;
        ask(&h, &c, "");
        has_failed = h.has_failed;
        h.fail_nth = 0;
        if (!c.is_done) /* the connection has died of it */
            harness_hang_up(client);
        if (c.status.code != GRPC_OK)
            assert_true(has_failed);
        loopback_call_deinit(&c);
        harness_deinit(&h);
    }
    assert_true(n > 2);
}

/* Workers from elsewhere: who they are, and what they are doing. */
static void test_remote(void **state)
{
    Futured__V1__ListWorkersResponse *r;
    struct loopback_call c;
    struct child *w, *claims;
    struct harness h;

    start(&h);
    w = harness_remote(&h);
    harness_say(w, "hello { name: 'far' session_token: 'abcdefghijklmnop' slots: 3 functions { name: 'echo' "
                   "} } ready { "
                   "credit: 7 }");
    claims = harness_remote(&h);
    harness_call(claims, &c, "Claim", &futured__v1__claim_request__descriptor,
                 "hello { session_token: 'another-another-' functions { name: 'slow' } }");
    harness_reply(&c);
    loopback_call_deinit(&c);
    r = list(&h, "");
    assert_int_equal(r->n_workers, 3);
    assert_string_equal(r->workers[1]->name, "far");
    assert_false(r->workers[1]->pool);
    assert_int_equal(r->workers[1]->pid, 0);
    assert_string_equal(r->workers[1]->peer, "worker:1");
    assert_int_equal(r->workers[1]->state, FUTURED__V1__WORKER_STATE__WORKER_STATE_READY);
    assert_int_equal(r->workers[1]->slots, 3);
    assert_int_equal(r->workers[1]->credit, 7);
    assert_int_equal(r->workers[2]->state, FUTURED__V1__WORKER_STATE__WORKER_STATE_READY);
    assert_int_equal(r->workers[2]->slots, 0);
    assert_string_equal(r->workers[2]->functions[0], "slow");
    list_free(r);
    harness_hang_up(w);
    r = list(&h, "function: 'echo'");
    assert_int_equal(r->n_workers, 1);
    assert_int_equal(r->workers[0]->state, FUTURED__V1__WORKER_STATE__WORKER_STATE_DISCONNECTED);
    list_free(r);
    harness_deinit(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_remote),     cmocka_unit_test(test_info),
            cmocka_unit_test(test_gone),       cmocka_unit_test(test_pages),
            cmocka_unit_test(test_full_pages), cmocka_unit_test(test_refused),
            cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests_name("dispatch/roster", tests, NULL, NULL);
}
