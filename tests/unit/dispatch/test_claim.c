// SPDX-License-Identifier: Apache-2.0
/* Claim: who gets what, how long it waits, what the answer carries and what becomes of it when nobody takes the answer. */
#include "dispatch/claim.h"
#include "dispatch/internal.h"
#include "tests/unit/dispatch/harness.h"

#define HELLO "hello { name: 'p' session_token: 'abcdefghijklmnop' functions { name: 'echo' } } "

static void claim(struct child *w, struct loopback_call *c, const char *more)
{
    harness_call(w, c, "Claim", &futured__v1__claim_request__descriptor, HELLO "%s", more);
}

static Futured__V1__ClaimResponse *response(struct loopback_call *c)
{
    struct span message = harness_reply(c);
    Futured__V1__ClaimResponse *r = futured__v1__claim_response__unpack(NULL, message.len, message.p);

    assert_non_null(r);
    assert_int_equal(r->base.n_unknown_fields, 0);
    loopback_call_deinit(c);
    return r;
}

/* How many items a Claim with @more brings. */
static size_t n_claimed(struct child *w, const char *more)
{
    Futured__V1__ClaimResponse *r;
    struct loopback_call c;
    size_t n;

    claim(w, &c, more);
    r = response(&c);
    n = r->n_items;
    futured__v1__claim_response__free_unpacked(r, NULL);
    return n;
}

static void test_items(void **state)
{
    Futured__V1__ClaimResponse *r;
    struct future *f, *g, *other;
    char id[ID_TEXT_LEN + 1];
    struct loopback_call c;
    struct harness h;
    struct child *w;

    harness_init(&h);
    f = harness_submit(&h, "function: 'echo' argument: 'one'");
    g = harness_submit(&h, "function: 'echo' argument: x100000"); /* never in pieces */
    other = harness_submit(&h, "function: 'other'");
    w = harness_remote(&h);
    claim(w, &c, "max_items: 5 lease_ttl { seconds: 7 }");
    r = response(&c);
    assert_string_equal(r->worker_id, "w-1");
    assert_int_equal(r->epoch, HARNESS_EPOCH);
    assert_int_equal(r->lease_ttl->seconds, 7);
    assert_int_equal(r->n_items, 2);
    id_format(&f->id, id);
    assert_string_equal(r->items[0]->id, id);
    assert_int_equal(r->items[0]->attempt, 1);
    assert_memory_equal(r->items[0]->lease->id.data, f->id.b, ID_BYTES);
    assert_int_equal(r->items[0]->lease->epoch, HARNESS_EPOCH);
    assert_memory_equal(r->items[0]->task->argument.data, "one", 3);
    assert_string_equal(r->items[0]->submitter->principal, "ann");
    assert_int_equal(r->items[1]->task->argument.len, 100000);
    assert_false(r->items[1]->task_chunked);
    futured__v1__claim_response__free_unpacked(r, NULL);
    assert_int_equal(f->state, FUTURE_RUNNING);
    assert_int_equal(g->state, FUTURE_RUNNING);
    assert_int_equal(other->state, FUTURE_PENDING);
    assert_true(f->function->kinds & WORKER_KIND_REMOTE);
    assert_int_equal(dispatch_n_leases(h.dispatch), 2);
    harness_deinit(&h);
}

/* One at a time unless asked for more; only reserved where asked. */
static void test_one_and_reserve(void **state)
{
    struct future *f, *g;
    struct harness h;
    struct child *w;

    harness_init(&h);
    f = harness_submit(&h, "function: 'echo'");
    g = harness_submit(&h, "function: 'echo'");
    w = harness_remote(&h);
    assert_int_equal(n_claimed(w, "reserve: true"), 1);
    assert_int_equal(f->state, FUTURE_PENDING);
    assert_non_null(f->lease);
    assert_int_equal(n_claimed(w, ""), 1);
    assert_int_equal(g->state, FUTURE_RUNNING);
    assert_int_equal(n_claimed(w, ""), 0);
    harness_deinit(&h);
}

static void test_waits(void **state)
{
    struct loopback_call first, second, third;
    Futured__V1__ClaimResponse *r;
    const struct function *fn;
    struct harness h;
    struct child *w;

    harness_init(&h);
    w = harness_remote(&h);
    claim(w, &first, "wait { seconds: 10 } max_items: 3");
    claim(w, &second, "wait { seconds: 10 }");
    claim(w, &third, "wait { seconds: 60 }");
    assert_false(first.is_done || second.is_done || third.is_done);
    fn = engine_function_find(h.engine, SPAN_LIT("echo"));
    assert_int_equal(fn->n_holders, 1);
    assert_true(dispatch_credit(h.dispatch, fn) == 5);
    harness_submit(&h, "function: 'echo'");
    harness_submit(&h, "function: 'echo'");
    harness_settle(&h);
    r = response(&first); /* the oldest gets all that it takes */
    assert_int_equal(r->n_items, 2);
    futured__v1__claim_response__free_unpacked(r, NULL);
    assert_false(second.is_done || third.is_done);
    harness_advance(&h, 10 * NS_PER_S);
    r = response(&second);
    assert_int_equal(r->n_items, 0);
    assert_string_equal(r->worker_id, "w-1");
    futured__v1__claim_response__free_unpacked(r, NULL);
    assert_false(third.is_done);
    harness_hang_up(w);
    loopback_call_deinit(&third);
    assert_true(dispatch_credit(h.dispatch, fn) == 0);
    harness_deinit(&h);
}

/* Whoever has gone before the answer was there has claimed nothing. */
static void test_not_delivered(void **state)
{
    struct loopback_call c;
    struct future *f;
    struct harness h;
    struct child *w;

    harness_init(&h);
    w = harness_remote(&h);
    claim(w, &c, "wait { seconds: 10 }");
    f = harness_submit(&h, "function: 'echo' options { on_lost: ON_LOST_FAIL }");
    {
        struct effects *effects;

        engine_begin(h.engine, h.now, h.wall);
        effects = engine_end(h.engine);
        dispatch_run(h.dispatch, effects, h.now); /* it is answered, and nothing of that has left */
    }
    assert_non_null(f->lease);
    harness_hang_up(w);
    assert_null(f->lease);
    assert_int_equal(f->state, FUTURE_PENDING);
    assert_null(f->attempts);
    loopback_call_deinit(&c);
    w = harness_remote(&h);
    assert_int_equal(n_claimed(w, ""), 1);
    harness_deinit(&h);
}

/* Leases live as long as was asked for; a session without any is forgotten, and with it what it served. */
static void test_expires(void **state)
{
    struct harness h;
    struct future *f, *g;
    struct child *w;

    harness_init(&h);
    f = harness_submit(&h, "function: 'echo'");
    g = harness_submit(&h, "function: 'echo'");
    w = harness_remote(&h);
    assert_int_equal(n_claimed(w, "lease_ttl { seconds: 20 }"), 1);
    harness_advance(&h, 5 * NS_PER_S);
    assert_int_equal(n_claimed(w, "lease_ttl { seconds: 2 } reserve: true"), 1);
    harness_advance(&h, 3 * NS_PER_S);
    assert_null(g->lease);
    assert_null(g->attempts);
    assert_int_equal(f->state, FUTURE_RUNNING);
    assert_int_equal(dispatch_n_ready(h.dispatch), 1);
    harness_advance(&h, 12 * NS_PER_S);
    assert_int_equal(f->state, FUTURE_PENDING);
    assert_int_equal(f->attempts->error->reason, REASON_WORKER_LOST);
    harness_advance(&h, 0);
    assert_int_equal(dispatch_n_ready(h.dispatch), 0);
    assert_int_equal(future_pending_reason(f), PENDING_NO_WORKER);
    harness_deinit(&h);
}

/* What no answer can carry ends, and does not stand in the way of others; an answer ends early where the next would be too much. */
static void test_too_large(void **state)
{
    struct future *large;
    struct harness h;
    struct child *w;

    harness_init(&h);
    large = harness_submit(&h, "function: 'echo' argument: x%d", (4 << 20) - 100);
    for (int i = 0; i < 3; i++)
        harness_submit(&h, "function: 'echo' argument: x%d", 3 << 19);
    w = harness_remote(&h);
    assert_int_equal(n_claimed(w, "max_items: 9"), 2);
    assert_int_equal(large->state, FUTURE_FAILED);
    assert_int_equal(large->outcome->error->reason, REASON_ARGUMENT_TOO_LARGE);
    assert_int_equal(n_claimed(w, "max_items: 9"), 1);
    harness_deinit(&h);
}

static void test_bad(void **state)
{
    static const struct {
        const char *text, *what;
    } cases[] = {
            {HELLO "max_items: 1001", "max_items"},
            {HELLO "wait { seconds: 61 }", "wait"},
            {HELLO "wait { nanos: -1 }", "wait"},
            {HELLO "lease_ttl { seconds: 3601 }", "lease_ttl"},
            {HELLO "lease_ttl {}", "lease_ttl"},
            {HELLO "@2: 'x'", "max_items"},
            {"", "hello.session_token"},
            {"hello { session_token: 'abcdefghijklmnop' }", "hello.functions"},
            {"hello { session_token: 'abcdefghijklmno ' functions { name: 'f' } }", "hello.session_token"},
    };
    struct loopback_call c;
    struct harness h;
    struct child *w;

    harness_init(&h);
    w = harness_remote(&h);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        harness_call(w, &c, "Claim", &futured__v1__claim_request__descriptor, "%s", cases[i].text);
        assert_string_equal(c.status.violations[0].field, cases[i].what);
        harness_expect_refused(&c, GRPC_INVALID_ARGUMENT, "INVALID_FIELD", cases[i].what);
    }
    assert_int_equal(dispatch_stats(h.dispatch).n_workers, 0);
    harness_deinit(&h);
}

static void test_greedy(void **state)
{
    struct loopback_call c[CLAIM_CALLS_MAX + 1];
    struct harness h;
    struct child *w;

    harness_init(&h);
    w = harness_remote(&h);
    for (size_t i = 0; i < ARRAY_LEN(c); i++)
        claim(w, &c[i], "wait { seconds: 60 }");
    harness_expect_refused(&c[CLAIM_CALLS_MAX], GRPC_RESOURCE_EXHAUSTED, "WORKER_TOO_GREEDY", "64 calls");
    harness_hang_up(w);
    for (size_t i = 0; i < CLAIM_CALLS_MAX; i++)
        loopback_call_deinit(&c[i]);
    harness_deinit(&h);
}

static void test_most_leases(void **state)
{
    struct loopback_call c;
    struct harness h;
    struct child *w;

    harness_init(&h);
    for (int i = 0; i < SESSION_LEASES_MAX + 1; i++)
        harness_submit(&h, "function: 'echo'");
    w = harness_remote(&h);
    assert_int_equal(n_claimed(w, "max_items: 1"), 1);
    for (int i = 0; i < SESSION_LEASES_MAX / CLAIM_ITEMS_MAX - 1; i++)
        assert_int_equal(n_claimed(w, "max_items: 1000"), CLAIM_ITEMS_MAX);
    assert_int_equal(n_claimed(w, "max_items: 1000"), CLAIM_ITEMS_MAX - 1);
    claim(w, &c, "");
    harness_expect_refused(&c, GRPC_RESOURCE_EXHAUSTED, "WORKER_TOO_GREEDY", "10,000 leases");
    harness_deinit(&h);
}

/* A token is of one kind of worker. */
static void test_other_kind(void **state)
{
    struct loopback_call c;
    struct harness h;
    struct child *w;

    harness_init(&h);
    w = harness_remote(&h);
    harness_say(w, HELLO);
    harness_settle(&h);
    harness_expect_cut(w, GRPC_INVALID_ARGUMENT, "hello.slots");
    assert_int_equal(n_claimed(w, ""), 0);
    loopback_call_deinit(&w->call);
    loopback_call(&w->lo, &w->call, "/futured.v1.Workers/Attach", 0);
    harness_say(w, "hello { session_token: 'abcdefghijklmnop' slots: 1 functions { name: 'echo' } }");
    harness_settle(&h);
    harness_expect_cut(w, GRPC_FAILED_PRECONDITION, "takes work in another way");
    loopback_call_deinit(&w->call);
    loopback_call(&w->lo, &w->call, "/futured.v1.Workers/Attach", 0);
    harness_say(w, "hello { session_token: 'another-another-' slots: 1 functions { name: 'echo' } }");
    harness_settle(&h);
    assert_int_equal(w->n_welcomes, 1);
    harness_call(w, &c, "Claim", &futured__v1__claim_request__descriptor,
                 "hello { session_token: 'another-another-' functions { name: 'echo' } }");
    harness_expect_refused(&c, GRPC_FAILED_PRECONDITION, "SESSION_IN_USE", "needs one of its own");
    harness_deinit(&h);
}

/* While nothing is handed out a Claim is sent away, those that wait as well. */
static void test_drain(void **state)
{
    struct loopback_call c, late;
    struct harness h;
    struct child *w;

    harness_init(&h);
    w = harness_remote(&h);
    claim(w, &c, "wait { seconds: 60 }");
    dispatch_drain(h.dispatch);
    harness_settle(&h);
    harness_expect_refused(&c, GRPC_UNAVAILABLE, "DRAINING", "");
    claim(w, &late, "wait { seconds: 60 }");
    assert_true(late.status.retry_delay_ms > 0);
    harness_expect_refused(&late, GRPC_UNAVAILABLE, "DRAINING", "");
    harness_submit(&h, "function: 'echo'");
    dispatch_resume(h.dispatch);
    assert_int_equal(n_claimed(w, ""), 1);
    harness_deinit(&h);
}

/* What a worker that claims serves is what its last Claim says. */
static void test_functions(void **state)
{
    struct loopback_call c;
    struct harness h;
    struct child *w;

    harness_init(&h);
    w = harness_remote(&h);
    assert_int_equal(n_claimed(w, ""), 0);
    harness_call(w, &c, "Claim", &futured__v1__claim_request__descriptor,
                 "hello { session_token: 'abcdefghijklmnop' functions { name: 'other' } }");
    harness_reply(&c);
    loopback_call_deinit(&c);
    assert_int_equal(engine_function_find(h.engine, SPAN_LIT("echo"))->n_holders, 0);
    assert_int_equal(engine_function_find(h.engine, SPAN_LIT("other"))->n_holders, 1);
    harness_deinit(&h);
}

static void scenario(struct harness *h)
{
    struct loopback_call c[3];
    struct child *w;

    harness_init(h);
    harness_submit(h, "function: 'echo'");
    w = harness_remote(h);
    harness_arm(h);
    claim(w, &c[0], "max_items: 2");
    claim(w, &c[1], "wait { seconds: 5 }");
    harness_submit(h, "function: 'echo' argument: x4194200");
    harness_submit(h, "function: 'echo'");
    harness_settle(h);
    claim(w, &c[2], "wait { seconds: 5 }");
    harness_advance(h, 5 * NS_PER_S);
    h->fail_nth = 0;
    harness_hang_up(w);
    for (size_t i = 0; i < ARRAY_LEN(c); i++)
        loopback_call_deinit(&c[i]);
}

static void test_no_memory(void **state)
{
    harness_fail_allocations(scenario, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_items),       cmocka_unit_test(test_one_and_reserve),
            cmocka_unit_test(test_waits),       cmocka_unit_test(test_not_delivered),
            cmocka_unit_test(test_expires),     cmocka_unit_test(test_too_large),
            cmocka_unit_test(test_bad),         cmocka_unit_test(test_greedy),
            cmocka_unit_test(test_most_leases), cmocka_unit_test(test_other_kind),
            cmocka_unit_test(test_drain),       cmocka_unit_test(test_functions),
            cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests_name("dispatch/claim", tests, NULL, NULL);
}
