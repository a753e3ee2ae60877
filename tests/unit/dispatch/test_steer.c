// SPDX-License-Identifier: Apache-2.0
/* DrainWorker and KillWorker, of a child of the pool and of workers from elsewhere. */
#include "dispatch/session.h"
#include "dispatch/steer.h"
#include "tests/unit/dispatch/harness.h"

#define TOKEN "session_token: 'abcdefghijklmnop' "

/* Somebody with a connection. */
static struct child *boss;

static void start(struct harness *h)
{
    harness_init(h);
    boss = harness_remote(h);
}

static struct child *come(struct harness *h, uint32_t credit)
{
    struct child *w = harness_remote(h);

    harness_say(w, "hello { name: 'far' " TOKEN "slots: 2 functions { name: 'echo' } } ready { credit: %u }",
                (unsigned int)credit);
    harness_settle(h);
    return w;
}

static void drain(const struct child *w, const char *more)
{
    Futured__V1__DrainWorkerResponse *r;
    struct loopback_call c;
    struct span message;

    harness_call(boss, &c, "DrainWorker", &futured__v1__drain_worker_request__descriptor,
                 "worker_id: '%s' %s", w->welcome->worker_id, more);
    message = harness_reply(&c);
    r = futured__v1__drain_worker_response__unpack(NULL, message.len, message.p);
    assert_non_null(r);
    assert_string_equal(r->worker->id, w->welcome->worker_id);
    assert_int_equal(r->worker->state, w->has_stream ? FUTURED__V1__WORKER_STATE__WORKER_STATE_DRAINING
                                                     : FUTURED__V1__WORKER_STATE__WORKER_STATE_DISCONNECTED);
    futured__v1__drain_worker_response__free_unpacked(r, NULL);
    loopback_call_deinit(&c);
}

static void kill_worker(const char *worker_id)
{
    struct loopback_call c;

    harness_call(boss, &c, "KillWorker", &futured__v1__kill_worker_request__descriptor,
                 "worker_id: '%s' reason: 'so'", worker_id);
    harness_reply(&c);
    loopback_call_deinit(&c);
}

/* It finishes what it runs, gives back the rest, gets nothing more, and is stopped when it holds nothing. */
static void test_drain_child(void **state)
{
    struct future *f, *g;
    struct item *first, *second;
    struct harness h;
    struct child *w;

    start(&h);
    w = harness_spawn(&h, 5);
    harness_hello(w, "slots: 2", 3);
    f = harness_submit(&h, "function: 'echo'");
    g = harness_submit(&h, "function: 'echo'");
    harness_settle(&h);
    first = harness_take(w);
    second = harness_take(w);
    worker_starts(w, first);
    drain(w, "reason: 'maintenance'");
    assert_string_equal(h.told, "worker_draining w-1 maintenance");
    assert_int_equal(w->n_recalls, 1);
    assert_int_equal(w->n_drains, 0); /* the pool's are not told, but stopped */
    harness_say(w, "returned { %s }", harness_lease(second));
    harness_settle(&h);
    assert_null(g->lease);
    assert_int_equal(w->n_stops, 0);
    worker_ends(w);
    worker_finishes(w, first, "result {}");
    harness_settle(&h);
    assert_int_equal(f->state, FUTURE_SUCCEEDED);
    assert_int_equal(harness_n_open(w), 0);
    assert_int_equal(w->n_stops, 1);
    assert_int_equal(w->n_kills, 0);
    harness_die(w, 0, 1);
    harness_settle(&h);
    assert_int_equal(g->state, FUTURE_PENDING);
    harness_deinit(&h);
}

static void test_drain_idle_child(void **state)
{
    struct harness h;
    struct child *w;

    start(&h);
    w = harness_spawn(&h, 5);
    harness_hello(w, "slots: 1", 1);
    drain(w, "");
    assert_int_equal(w->n_stops, 1);
    drain(w, "");
    harness_advance(&h, NS_PER_S);
    assert_int_equal(w->n_stops, 1);
    harness_deinit(&h);
}

static void test_drain_timeout(void **state)
{
    struct harness h;
    struct child *w;

    start(&h);
    w = harness_spawn(&h, 5);
    harness_hello(w, "slots: 1", 1);
    harness_submit(&h, "function: 'echo'");
    harness_settle(&h);
    worker_starts(w, harness_take(w));
    drain(w, "timeout { seconds: 3 }");
    assert_true(h.next <= h.now + 3 * NS_PER_S);
    harness_advance(&h, 3 * NS_PER_S - 1);
    assert_int_equal(w->n_kills, 0);
    harness_advance(&h, 1);
    assert_int_equal(w->n_kills, 1);
    harness_deinit(&h);
}

/* A worker from elsewhere is told, and its stream ends OK when it holds nothing. */
static void test_drain_remote(void **state)
{
    struct harness h;
    struct future *f;
    struct item *item;
    struct child *w;

    start(&h);
    f = harness_submit(&h, "function: 'echo'");
    w = come(&h, 5);
    item = harness_take(w);
    harness_say(w, "started { %s }", harness_lease(item));
    harness_settle(&h);
    drain(w, "timeout { seconds: 60 }");
    assert_int_equal(w->n_drains, 1);
    harness_submit(&h, "function: 'echo'");
    harness_settle(&h);
    assert_int_equal(harness_n_open(w), 0);
    assert_false(w->call.is_done);
    harness_say(w, "finish { %s result {} }", harness_lease(item));
    harness_settle(&h);
    assert_int_equal(f->state, FUTURE_SUCCEEDED);
    assert_true(w->call.is_done);
    assert_int_equal(w->call.status.code, GRPC_OK);
    assert_int_equal(dispatch_n_ready(h.dispatch), 0);
    harness_deinit(&h);
}

/* One that has lost its stream meanwhile is told when it comes again. */
static void test_drain_lost(void **state)
{
    struct child *w, *again;
    struct item *item;
    struct harness h;

    start(&h);
    harness_submit(&h, "function: 'echo'");
    w = come(&h, 1);
    item = harness_take(w);
    harness_say(w, "started { %s }", harness_lease(item));
    harness_settle(&h);
    harness_hang_up(w);
    harness_settle(&h);
    drain(w, "");
    again = harness_remote(&h);
    harness_say(again,
                "hello { " TOKEN
                "slots: 1 functions { name: 'echo' } epoch: 7 held_leases %s } ready { credit: 1 }",
                strchr(harness_lease(item), '{'));
    harness_settle(&h);
    assert_int_equal(again->n_drains, 1);
    assert_false(again->call.is_done);
    harness_say(again, "finish { %s result {} }", harness_lease(item));
    harness_settle(&h);
    assert_true(again->call.is_done);
    harness_deinit(&h);
}

/* One that claims gets nothing more, and hears why. */
static void test_drain_claiming(void **state)
{
    struct loopback_call c;
    struct harness h;
    struct child *w;
    char id[32];

    start(&h);
    harness_submit(&h, "function: 'echo'");
    w = harness_remote(&h);
    harness_call(w, &c, "Claim", &futured__v1__claim_request__descriptor,
                 "hello { " TOKEN "functions { name: 'echo' } }");
    harness_reply(&c);
    loopback_call_deinit(&c);
    snprintf(id, sizeof id, "w-1");
    harness_call(boss, &c, "DrainWorker", &futured__v1__drain_worker_request__descriptor, "worker_id: '%s'",
                 id);
    harness_reply(&c);
    loopback_call_deinit(&c);
    harness_call(w, &c, "Claim", &futured__v1__claim_request__descriptor,
                 "hello { " TOKEN "functions { name: 'echo' } }");
    assert_string_equal(c.status.precondition_type, "WORKER");
    harness_expect_refused(&c, GRPC_FAILED_PRECONDITION, "WORKER_DRAINING", "should end");
    harness_deinit(&h);
}

static void test_kill(void **state)
{
    struct loopback_call c;
    struct harness h;
    struct future *f;
    struct child *w;

    start(&h);
    w = harness_spawn(&h, 5);
    harness_hello(w, "slots: 1", 0);
    kill_worker(w->welcome->worker_id);
    assert_int_equal(w->n_kills, 1);
    assert_string_equal(h.told, "worker_killed_by w-1 so");
    f = harness_submit(&h, "function: 'echo'");
    w = come(&h, 1);
    harness_say(w, "started { %s }", harness_lease(harness_take(w)));
    harness_settle(&h);
    kill_worker("w-2");
    harness_expect_cut(w, GRPC_ABORTED, "KillWorker");
    assert_int_equal(f->state, FUTURE_PENDING);
    assert_int_equal(f->attempts->error->reason, REASON_WORKER_LOST);
    w = harness_remote(&h); /* one that waits with a Claim */
    harness_call(w, &c, "Claim", &futured__v1__claim_request__descriptor,
                 "hello { " TOKEN "functions { name: 'other' } } wait { seconds: 60 }");
    kill_worker("w-3");
    harness_settle(&h);
    harness_expect_refused(&c, GRPC_ABORTED, "WORKER_KILLED", "");
    harness_call(boss, &c, "KillWorker", &futured__v1__kill_worker_request__descriptor, "worker_id: 'w-3'");
    assert_string_equal(c.status.resource_name, "w-3");
    harness_expect_refused(&c, GRPC_NOT_FOUND, "NO_SUCH_WORKER", "w-3");
    harness_deinit(&h);
}

static void test_bad(void **state)
{
    static const struct {
        const char *text, *field;
    } cases[] = {
            {"", "worker_id"},
            {"worker_id: 'w-'", "worker_id"},
            {"worker_id: 'w-1x'", "worker_id"},
            {"worker_id: 'w-1' reason: x1025", "reason"},
            {"worker_id: 'w-1' timeout { seconds: -1 }", "timeout"},
            {"worker_id: #ff", "worker_id"},
    };
    struct loopback_call c;
    struct harness h;

    start(&h);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        harness_call(boss, &c, "DrainWorker", &futured__v1__drain_worker_request__descriptor, "%s",
                     cases[i].text);
        assert_string_equal(c.status.violations[0].field, cases[i].field);
        harness_expect_refused(&c, GRPC_INVALID_ARGUMENT, "INVALID_FIELD", cases[i].field);
    }
    harness_deinit(&h);
}

/* Those from elsewhere are told that the daemon ends. */
static void test_leave(void **state)
{
    struct harness h;
    struct child *w, *own;

    start(&h);
    own = harness_spawn(&h, 5);
    harness_hello(own, "slots: 1", 1);
    w = come(&h, 0);
    dispatch_drain(h.dispatch);
    dispatch_leave(h.dispatch, 30 * NS_PER_S);
    harness_settle(&h);
    assert_int_equal(w->n_drains, 1);
    assert_true(w->call.is_done);
    assert_int_equal(w->call.status.code, GRPC_OK);
    assert_int_equal((int)own->n_drains + own->n_stops, 0);
    harness_deinit(&h);
}

static void scenario(struct harness *h)
{
    struct loopback_call c[2];
    struct child *w;

    start(h);
    harness_submit(h, "function: 'echo'");
    w = come(h, 1);
    harness_say(w, "started { %s }", harness_lease(harness_take(w)));
    harness_settle(h);
    harness_arm(h);
    harness_call(boss, &c[0], "DrainWorker", &futured__v1__drain_worker_request__descriptor,
                 "worker_id: 'w-1' timeout { seconds: 1 }");
    harness_call(boss, &c[1], "KillWorker", &futured__v1__kill_worker_request__descriptor,
                 "worker_id: 'w-1'");
    harness_advance(h, 2 * NS_PER_S);
    h->fail_nth = 0;
    harness_hang_up(boss);
    loopback_call_deinit(&c[0]);
    loopback_call_deinit(&c[1]);
}

static void test_no_memory(void **state)
{
    harness_fail_allocations(scenario, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_drain_child),   cmocka_unit_test(test_drain_idle_child),
            cmocka_unit_test(test_drain_timeout), cmocka_unit_test(test_drain_remote),
            cmocka_unit_test(test_drain_lost),    cmocka_unit_test(test_drain_claiming),
            cmocka_unit_test(test_kill),          cmocka_unit_test(test_bad),
            cmocka_unit_test(test_leave),         cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests_name("dispatch/steer", tests, NULL, NULL);
}
