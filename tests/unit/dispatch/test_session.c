// SPDX-License-Identifier: Apache-2.0
/* Workers from elsewhere on a stream: who they are, silence, lost streams and coming again, what cannot be taken from them by
 * signal. */
#include "dispatch/internal.h"
#include "dispatch/session.h"
#include "tests/unit/dispatch/harness.h"

#define TOKEN "session_token: 'abcdefghijklmnop' "

static struct child *come(struct harness *h, const char *more, uint32_t credit)
{
    struct child *w = harness_remote(h);

    harness_say(w,
                "hello { name: 'far' " TOKEN "slots: 2 functions { name: 'echo' } %s } ready { credit: %u }",
                more, (unsigned int)credit);
    harness_settle(h);
    return w;
}

/* The stream of @w is lost, and all that was waiting on it. */
static void lose_stream(struct child *w)
{
    harness_hang_up(w);
    harness_settle(w->harness);
}

static void test_works(void **state)
{
    struct harness h;
    struct future *f, *g;
    struct child *w;
    struct item *item;

    harness_init(&h);
    f = harness_submit(&h, "function: 'echo'");
    assert_int_equal(future_pending_reason(f), PENDING_NO_WORKER);
    w = come(&h, "", 2);
    assert_int_equal(w->n_welcomes, 1);
    assert_int_equal(w->welcome->heartbeat_interval->seconds, 3);
    assert_int_equal(w->welcome->lease_ttl->seconds, 10);
    assert_int_equal(dispatch_n_ready(h.dispatch), 1);
    assert_string_equal(h.told, "worker_attached w-1 ");
    assert_true(f->function->kinds & WORKER_KIND_REMOTE);
    item = harness_take(w);
    assert_int_equal(f->state, FUTURE_PENDING);
    harness_say(w, "started { %s }", harness_lease(item));
    harness_settle(&h);
    assert_int_equal(f->state, FUTURE_RUNNING);
    g = harness_submit(&h, "function: 'echo'"); /* there is a second slot, and nothing is asked back */
    harness_settle(&h);
    assert_int_equal(harness_n_open(w), 1);
    assert_int_equal(w->n_recalls, 0);
    harness_say(w, "finish { %s result { data: 'r' } }", harness_lease(item));
    harness_settle(&h);
    assert_int_equal(f->state, FUTURE_SUCCEEDED);
    loopback_half_close(&w->call); /* it goes, and what it holds goes back */
    harness_settle(&h);
    assert_int_equal(w->call.status.code, GRPC_OK);
    assert_int_equal(g->state, FUTURE_PENDING);
    assert_null(g->lease);
    assert_null(g->attempts);
    assert_int_equal(future_pending_reason(g), PENDING_NO_WORKER);
    harness_deinit(&h);
}

static void test_at_most_so_many_of_one(void **state)
{
    struct item *items[3];
    struct harness h;
    struct child *w;

    harness_init(&h);
    w = harness_remote(&h);
    harness_say(w, "hello { name: 'far' " TOKEN "slots: 4 functions { name: 'echo' max_running: 1 } "
                   "functions { name: 'other' } } ready { credit: 10 }");
    for (int i = 0; i < 3; i++)
        harness_submit(&h, "function: 'echo'");
    harness_submit(&h, "function: 'other'");
    harness_settle(&h);
    assert_int_equal(w->n_items, 2); /* one of each */
    items[0] = harness_take(w);
    items[1] = harness_take(w);
    assert_int_equal(dispatch_credit(h.dispatch, engine_function_find(h.engine, SPAN_LIT("echo"))), 0);
    assert_int_equal(dispatch_credit(h.dispatch, engine_function_find(h.engine, SPAN_LIT("other"))), 2);
    for (int i = 0; i < 2; i++)
        harness_say(w, "started { %s } finish { %s result {} }", harness_lease(items[i]),
                    harness_lease(items[i]));
    harness_settle(&h);
    assert_int_equal(w->n_items, 3);
    items[2] = harness_take(w);
    harness_say(w, "release { %s }", harness_lease(items[2])); /* and gets it again */
    harness_settle(&h);
    assert_int_equal(w->n_items, 4);
    assert_int_equal(dispatch_n_leases(h.dispatch), 1);
    harness_deinit(&h);
}

static void test_credit_for_one(void **state)
{
    struct harness h;
    struct child *w;

    harness_init(&h);
    w = harness_remote(&h);
    harness_say(w, "hello { name: 'far' " TOKEN
                   "slots: 4 functions { name: 'echo' } functions { name: 'other' } } "
                   "ready { by_function { function: 'other' credit: 2 } }");
    harness_submit(&h, "function: 'echo'");
    harness_submit(&h, "function: 'other'");
    harness_settle(&h);
    assert_int_equal(w->n_items, 1);
    assert_int_equal(dispatch_stats(h.dispatch).n_credit, 1);
    assert_int_equal(dispatch_credit(h.dispatch, engine_function_find(h.engine, SPAN_LIT("echo"))), 0);
    harness_say(w, "ready { credit: 1 }");
    harness_settle(&h);
    assert_int_equal(w->n_items, 2);
    assert_int_equal(dispatch_stats(h.dispatch).n_credit, 1); /* that for the other is left */
    harness_submit(&h, "function: 'echo'");
    harness_submit(&h, "function: 'other'");
    harness_settle(&h);
    assert_int_equal(w->n_items, 3);
    assert_int_equal(dispatch_stats(h.dispatch).n_credit, 0);
    harness_deinit(&h);
}

static void test_silence(void **state)
{
    struct harness h;
    struct future *f;
    struct child *w;

    harness_init(&h);
    f = harness_submit(&h, "function: 'echo'");
    w = come(&h, "", 1);
    harness_say(w, "started { %s }", harness_lease(harness_take(w)));
    harness_advance(&h, 9 * NS_PER_S);
    harness_say(w, "heartbeat {}");
    harness_settle(&h);
    harness_advance(&h, 9 * NS_PER_S);
    assert_int_equal(f->state, FUTURE_RUNNING);
    harness_advance(&h, 1 * NS_PER_S);
    harness_expect_cut(w, GRPC_UNAVAILABLE, "nothing was heard");
    assert_int_equal(f->state, FUTURE_PENDING);
    assert_int_equal(f->attempts->error->reason, REASON_WORKER_LOST);
    assert_int_equal(dispatch_n_ready(h.dispatch), 0);
    harness_deinit(&h);
}

/* Where the daemon itself was away, what has been said meanwhile is read first. */
static void test_we_were_late(void **state)
{
    struct harness h;
    struct future *f;
    struct child *w;

    harness_init(&h);
    f = harness_submit(&h, "function: 'echo'");
    w = come(&h, "", 1);
    harness_say(w, "started { %s }", harness_lease(harness_take(w)));
    harness_settle(&h);
    harness_advance(&h, 60 * NS_PER_S);
    assert_int_equal(f->state, FUTURE_RUNNING);
    harness_say(w, "heartbeat {}");
    harness_advance(&h, 5 * NS_PER_S);
    assert_int_equal(f->state, FUTURE_RUNNING);
    harness_advance(&h, 10 * NS_PER_S);
    assert_int_equal(f->state, FUTURE_PENDING);
    harness_deinit(&h);
}

/* A stream is lost; the worker comes again within lease_ttl and says what it still holds. */
static void test_comes_again(void **state)
{
    struct future *kept, *forgotten;
    struct item *first, *second;
    struct child *w, *again;
    struct harness h;
    char held[512];

    harness_init(&h);
    kept = harness_submit(&h, "function: 'echo' argument: 'kept'");
    forgotten = harness_submit(&h, "function: 'echo'");
    w = come(&h, "", 2);
    first = harness_take(w);
    second = harness_take(w);
    harness_say(w, "started { %s } started { %s }", harness_lease(first), harness_lease(second));
    harness_settle(&h);
    lose_stream(w);
    harness_advance(&h, 9 * NS_PER_S);
    assert_int_equal(kept->state, FUTURE_RUNNING);
    snprintf(held, sizeof held,
             "epoch: %d held_leases %s held_leases { attempt: 9 epoch: 7 id: "
             "#00112233445566778899aabbccddeeff }",
             HARNESS_EPOCH, strchr(harness_lease(first), '{'));
    again = come(&h, held, 1);
    assert_string_equal(again->welcome->worker_id, "w-1");
    assert_int_equal(again->welcome->n_kept, 1);
    assert_memory_equal(again->welcome->kept[0]->id.data, first->id.b, ID_BYTES);
    assert_int_equal(again->welcome->n_dropped, 1);
    assert_int_equal(kept->state, FUTURE_RUNNING);
    /* what it does not hold any more is lost, and given to it anew */
    assert_int_equal(forgotten->attempts->error->reason, REASON_WORKER_LOST);
    assert_int_equal(harness_n_open(again), 1);
    harness_say(again, "finish { %s result { data: 'r' } }", harness_lease(first));
    harness_settle(&h);
    assert_int_equal(kept->state, FUTURE_SUCCEEDED);
    assert_int_equal(kept->attempts->number, 1);
    harness_deinit(&h);
}

/* Too late, or with the epoch of another start: all of it is gone. */
static void test_comes_too_late(void **state)
{
    for (int is_late = 0; is_late < 2; is_late++) {
        struct future *f;
        struct item *item;
        struct child *w, *again;
        struct harness h;
        char held[512];

        harness_init(&h);
        f = harness_submit(&h, "function: 'echo'");
        w = come(&h, "", 1);
        item = harness_take(w);
        harness_say(w, "started { %s }", harness_lease(item));
        harness_settle(&h);
        lose_stream(w);
        harness_advance(&h, (is_late ? 11 : 1) * NS_PER_S);
        snprintf(held, sizeof held, "epoch: %d held_leases %s", is_late ? HARNESS_EPOCH : 6,
                 strchr(harness_lease(item), '{'));
        again = come(&h, held, 0);
        assert_string_equal(again->welcome->worker_id, is_late ? "w-2" : "w-1");
        assert_int_equal(again->welcome->n_kept, 0);
        assert_int_equal(again->welcome->n_dropped, 1);
        assert_int_equal(f->state, FUTURE_PENDING);
        harness_say(again, "finish { %s result {} }", harness_lease(item));
        harness_settle(&h);
        assert_int_equal(again->n_refused, 1);
        assert_string_equal(again->told_reason, "STALE_LEASE");
        assert_int_equal(f->state, FUTURE_PENDING);
        harness_deinit(&h);
    }
}

/* A second stream with the token is the same worker: the first one ends. Functions come and go with a Hello. */
static void test_moves(void **state)
{
    struct child *w, *again;
    struct future *f, *g;
    struct harness h;

    harness_init(&h);
    w = come(&h, "", 1);
    again = harness_remote(&h);
    harness_say(again,
                "hello { name: 'far' " TOKEN "slots: 1 functions { name: 'other' } } ready { credit: 2 }");
    harness_settle(&h);
    harness_expect_cut(w, GRPC_ABORTED, "another stream");
    assert_string_equal(w->call.status.reason, "SESSION_MOVED");
    assert_string_equal(again->welcome->worker_id, "w-1");
    f = harness_submit(&h, "function: 'echo'");
    g = harness_submit(&h, "function: 'other'");
    harness_settle(&h);
    assert_int_equal(future_pending_reason(f), PENDING_NO_WORKER);
    assert_int_equal(future_pending_reason(g), PENDING_READY);
    assert_int_equal(harness_n_open(again), 1);
    harness_deinit(&h);
}

/* What breaks the rules costs a worker from elsewhere its stream and all that it holds, at once. */
static void test_cut_off(void **state)
{
    static const char *const said[] = {"ready { credit: 65537 }", "@7: 5", "hello { slots: 1 }", "finish {}"};

    for (size_t i = 0; i < ARRAY_LEN(said); i++) {
        struct future *f;
        struct harness h;
        struct child *w;

        harness_init(&h);
        f = harness_submit(&h, "function: 'echo'");
        w = come(&h, "", 1);
        harness_say(w, "started { %s }", harness_lease(harness_take(w)));
        harness_settle(&h);
        harness_say(w, "%s", said[i]);
        harness_settle(&h);
        harness_expect_cut(w, GRPC_INVALID_ARGUMENT, "");
        assert_int_equal(f->state, FUTURE_PENDING);
        assert_int_equal(f->attempts->error->reason, REASON_WORKER_LOST);
        assert_int_equal(dispatch_n_ready(h.dispatch), 0);
        harness_deinit(&h);
    }
}

static void test_no_hello(void **state)
{
    struct harness h;
    struct child *w;

    harness_init(&h);
    w = harness_remote(&h);
    harness_say(w, "ready { credit: 1 }");
    harness_settle(&h);
    harness_expect_cut(w, GRPC_FAILED_PRECONDITION, "first message");
    w = harness_remote(&h);
    harness_say(w, "hello { session_token: 'short' slots: 1 functions { name: 'f' } }");
    harness_settle(&h);
    harness_expect_cut(w, GRPC_INVALID_ARGUMENT, "hello.session_token");
    w = harness_remote(&h);
    loopback_half_close(&w->call);
    harness_settle(&h);
    assert_int_equal(w->call.status.code, GRPC_OK);
    harness_deinit(&h);
}

/* The lease of another is none. */
static void test_others_lease(void **state)
{
    struct child *w, *thief;
    struct future *f;
    struct item *item;
    struct harness h;

    harness_init(&h);
    f = harness_submit(&h, "function: 'echo'");
    w = come(&h, "", 1);
    item = harness_take(w);
    thief = harness_remote(&h);
    harness_say(thief,
                "hello { session_token: 'thief-thief-thief' slots: 1 functions { name: 'f' } epoch: 7 "
                "held_leases %s }",
                strchr(harness_lease(item), '{'));
    harness_settle(&h);
    assert_int_equal(thief->welcome->n_kept, 0);
    assert_int_equal(thief->welcome->n_dropped, 1);
    harness_say(thief, "started { %s } finish { %s result {} } release { %s }", harness_lease(item),
                harness_lease(item), harness_lease(item));
    harness_settle(&h);
    assert_int_equal(thief->n_refused, 2); /* nobody waits for an answer to a release */
    assert_int_equal(f->state, FUTURE_PENDING);
    assert_ptr_equal(f->lease->holder->user,
                     LIST_ENTRY(h.dispatch->workers.prev, struct worker, link)->holder->user);
    harness_say(w, "finish { %s result {} }", harness_lease(item));
    harness_settle(&h);
    assert_int_equal(f->state, FUTURE_SUCCEEDED);
    harness_deinit(&h);
}

static void cancel(struct harness *h, struct future *f)
{
    assert_int_equal(engine_cancel(h->engine, f, h->scope, SPAN_LIT("enough"), 4 * NS_PER_S), 0);
    harness_settle(h);
}

/* It is told, and told again when it comes again; when it does not end the attempt, that is taken from it. */
static void test_does_not_end(void **state)
{
    struct child *w, *again;
    struct future *f;
    struct item *item;
    struct harness h;
    char held[256];

    harness_init(&h);
    f = harness_submit(&h, "function: 'echo'");
    w = come(&h, "", 1);
    item = harness_take(w);
    harness_say(w, "started { %s }", harness_lease(item));
    harness_settle(&h);
    cancel(&h, f);
    assert_int_equal(w->n_cancels, 1);
    assert_string_equal(w->told_reason, "enough");
    lose_stream(w);
    harness_advance(&h, NS_PER_S);
    snprintf(held, sizeof held, "epoch: 7 held_leases %s", strchr(harness_lease(item), '{'));
    again = come(&h, held, 1);
    assert_int_equal(again->n_cancels, 1);
    assert_true(again->told_grace_ns == 3 * NS_PER_S);
    harness_advance(&h, 3 * NS_PER_S);
    assert_int_equal(f->state, FUTURE_RUNNING);
    harness_advance(&h, NS_PER_S);
    assert_int_equal(f->state, FUTURE_CANCELLED);
    assert_false(again->call.is_done);
    harness_say(again, "finish { %s result {} }", harness_lease(item));
    harness_settle(&h);
    assert_int_equal(again->n_refused, 1);
    harness_deinit(&h);
}

/* What it has not begun comes back; what nobody knows to have begun does so at the end. */
static void test_does_not_give_back(void **state)
{
    struct future *f;
    struct harness h;

    harness_init(&h);
    f = harness_submit(&h, "function: 'echo'");
    come(&h, "", 1);
    cancel(&h, f);
    assert_int_equal(f->state, FUTURE_PENDING);
    harness_advance(&h, 5 * NS_PER_S);
    assert_int_equal(f->state, FUTURE_CANCELLED);
    assert_null(f->attempts);
    harness_deinit(&h);
}

/* What must not run twice counts as started by who was given it. */
static void test_on_lost_fail(void **state)
{
    struct future *f, *g;
    struct child *w;
    struct harness h;

    harness_init(&h);
    f = harness_submit(&h, "function: 'echo' options { on_lost: ON_LOST_FAIL }");
    g = harness_submit(&h, "function: 'echo' options { on_lost: ON_LOST_FAIL }");
    w = come(&h, "", 2);
    assert_int_equal(harness_n_open(w), 2);
    harness_say(w, "release { %s }", harness_lease(harness_take(w))); /* it says so itself: it has not */
    harness_settle(&h);
    assert_int_equal(f->state, FUTURE_PENDING);
    lose_stream(w);
    harness_advance(&h, 10 * NS_PER_S);
    assert_int_equal(f->state, FUTURE_PENDING);
    assert_int_equal(g->state, FUTURE_FAILED);
    assert_int_equal(g->outcome->error->reason, REASON_OUTCOME_UNKNOWN);
    harness_deinit(&h);
}

static void test_too_many(void **state)
{
    struct grpc_status st;
    struct harness h;
    struct child *w;

    harness_init(&h);
    w = harness_remote(&h);
    for (int i = 0; i <= SESSION_MAX; i++) {
        struct loopback_call c;

        harness_call(w, &c, "Claim", &futured__v1__claim_request__descriptor,
                     "hello { session_token: 'abcdefghijklmnop-%d' functions { name: 'f' } }", i);
        if (i < SESSION_MAX) {
            harness_reply(&c);
            loopback_call_deinit(&c);
        } else {
            st = c.status;
            harness_expect_refused(&c, GRPC_RESOURCE_EXHAUSTED, "TOO_MANY_WORKERS", "");
            assert_true(st.retry_delay_ms > 0);
        }
    }
    harness_say(w, "hello { " TOKEN "slots: 1 functions { name: 'f' } }");
    harness_settle(&h);
    harness_expect_cut(w, GRPC_RESOURCE_EXHAUSTED, "elsewhere");
    harness_deinit(&h);
}

/* A worker comes, works, loses its stream, comes again, and is lost. */
static void scenario(struct harness *h)
{
    struct child *w, *again;

    harness_init(h);
    harness_submit(h, "function: 'echo'");
    harness_submit(h, "function: 'echo' options { on_lost: ON_LOST_FAIL }");
    w = harness_remote(h);
    harness_arm(h);
    harness_say(w, "hello { " TOKEN "slots: 2 functions { name: 'echo' } } ready { credit: 2 }");
    harness_settle(h);
    if (harness_n_open(w))
        harness_say(w, "started { %s }", harness_lease(harness_take(w)));
    harness_settle(h);
    harness_hang_up(w);
    harness_settle(h);
    again = harness_remote(h);
    harness_say(again, "hello { " TOKEN "slots: 1 functions { name: 'other' } epoch: 7 }");
    harness_settle(h);
    harness_advance(h, 10 * NS_PER_S);
    harness_advance(h, 2 * NS_PER_S);
}

static void test_no_memory(void **state)
{
    harness_fail_allocations(scenario, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_works),
            cmocka_unit_test(test_at_most_so_many_of_one),
            cmocka_unit_test(test_credit_for_one),
            cmocka_unit_test(test_silence),
            cmocka_unit_test(test_we_were_late),
            cmocka_unit_test(test_comes_again),
            cmocka_unit_test(test_comes_too_late),
            cmocka_unit_test(test_moves),
            cmocka_unit_test(test_cut_off),
            cmocka_unit_test(test_no_hello),
            cmocka_unit_test(test_others_lease),
            cmocka_unit_test(test_does_not_end),
            cmocka_unit_test(test_does_not_give_back),
            cmocka_unit_test(test_on_lost_fail),
            cmocka_unit_test(test_too_many),
            cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests_name("dispatch/session", tests, NULL, NULL);
}
