// SPDX-License-Identifier: Apache-2.0
/* Wait: when it is over in each mode, what it answers, groups that grow, timeouts on virtual time, and large answers. */
#include "tests/unit/service/harness.h"

#define NOBODY "01890a5d-ac96-774b-bcce-b302099a8057" /* an ID that the daemon has not made */

static Futured__V1__WaitResponse *response(const struct harness *h, const struct loopback_call *c)
{
    assert_true(c->is_done);
    assert_int_equal(c->status.code, GRPC_OK);
    assert_int_equal(c->n_messages, 1);
    return harness_message(h, c, 0, &futured__v1__wait_response__descriptor);
}

static void leave(struct harness *h, struct loopback_call *c)
{
    grpc_client_call_cancel(c->call);
    harness_settle(h);
    assert_true(c->is_done);
    loopback_call_deinit(c);
    assert_int_equal(engine_stats(h->engine).n_edges, 0);
}

/* @n futures; a Wait for all of them, in order, with @rest of the request. */
static void wait_for(struct harness *h, struct loopback_call *c, const struct harness_id *ids, size_t n,
                     const char *rest)
{
    struct buf text = BUF_INIT;

    for (size_t i = 0; i < n; i++) {
        text_put(&text, "ids: '", 6);
        text_put(&text, ids[i].text, ID_TEXT_LEN);
        text_put(&text, "' ", 2);
    }
    text_put(&text, "", 1);
    harness_unary(h, c, "Wait", "selector { %s } %s", (const char *)buf_head(&text), rest);
    buf_deinit(&text);
}

/* What ended so far: s(ucceeded), f(ailed), c(ancelled), "" = nothing yet, for futures 0, 1, 2 .... */
static void end(struct harness *h, const struct harness_id *id, char how)
{
    switch (how) {
    case 's': harness_succeed(h, id->text, "r"); break;
    case 'f': harness_fail(h, id->text, "no"); break;
    case 'c': harness_cancel(h, id->text); break;
    case 'r': harness_start(h, id->text); break;
    default: fail_msg("%c is no end", how);
    }
}

static void test_modes(void **state)
{
    /* The Wait over three futures must be over exactly when this many of @ends have come. */
    static const struct {
        const char *rest, *ends;
        size_t n_over;
    } cases[] = {
            {"", "sss", 3},
            {"return_when: RETURN_WHEN_ALL_COMPLETED", "sfc", 3},
            {"return_when: RETURN_WHEN_ALL_COMPLETED", "ccc", 3},
            {"return_when: RETURN_WHEN_FIRST_COMPLETED", "sss", 1},
            {"return_when: RETURN_WHEN_FIRST_COMPLETED", "fss", 1},
            {"return_when: RETURN_WHEN_FIRST_COMPLETED", "css", 1}, /* a cancelled one is done */
            {"return_when: RETURN_WHEN_FIRST_EXCEPTION", "fss", 1},
            {"return_when: RETURN_WHEN_FIRST_EXCEPTION", "sfs", 2},
            {"return_when: RETURN_WHEN_FIRST_EXCEPTION", "scf", 3}, /* ... and no exception */
            {"return_when: RETURN_WHEN_FIRST_EXCEPTION", "css", 3},
            {"return_when: RETURN_WHEN_FIRST_EXCEPTION", "ccc", 3},
            {"return_when: RETURN_WHEN_COUNT count: 1", "sss", 1},
            {"return_when: RETURN_WHEN_COUNT count: 2", "sfs", 2},
            {"return_when: RETURN_WHEN_COUNT count: 2", "ccs", 2},
            {"return_when: RETURN_WHEN_COUNT count: 3", "sss", 3},
            {"return_when: RETURN_WHEN_COUNT count: 4", "sss", 3}, /* or all */
            {"return_when: RETURN_WHEN_COUNT count: 4294967295", "sss", 3},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        /* with @n_before of the ends before the call, the rest while it waits */
        for (size_t n_before = 0; n_before <= 3; n_before++) {
            size_t n_over = MAX(cases[i].n_over, n_before);
            Futured__V1__WaitResponse *r;
            struct harness_id ids[3];
            struct loopback_call c;
            struct harness h;

            harness_init(&h, NULL);
            for (size_t k = 0; k < 3; k++)
                ids[k] = harness_submit(&h, "task { function: 'echo' }");
            for (size_t k = 0; k < n_before; k++)
                end(&h, &ids[k], cases[i].ends[k]);
            wait_for(&h, &c, ids, 3, cases[i].rest);
            for (size_t k = n_before; k < n_over; k++) {
                assert_false(c.is_done);
                end(&h, &ids[k], cases[i].ends[k]);
            }
            r = response(&h, &c);
            assert_false(r->timed_out);
            assert_int_equal(r->n_done, n_over);
            assert_int_equal(r->n_not_done, 3 - n_over);
            assert_int_equal(r->n_missing, 0);
            for (size_t k = 0; k < 3; k++) /* in the order of the request */
                assert_string_equal(k < n_over ? r->done[k]->id : r->not_done[k - n_over], ids[k].text);
            assert_int_equal(r->counts->pending, 3 - n_over);
            assert_int_equal(r->counts->succeeded + r->counts->failed + r->counts->cancelled, n_over);
            harness_free(r);
            loopback_call_deinit(&c);
            assert_int_equal(engine_stats(h.engine).n_edges, 0);
            harness_deinit(&h);
        }
    }
}

static void test_counts(void **state)
{
    static const char ends[] = "ssfcr";
    Futured__V1__WaitResponse *r;
    struct harness_id ids[6];
    struct loopback_call c;
    struct harness h;

    harness_init(&h, NULL);
    for (size_t i = 0; i < 6; i++) {
        ids[i] = harness_submit(&h, "task { function: '%s' }", i < 5 ? "echo" : "unserved");
        if (i < 5)
            end(&h, &ids[i], ends[i]);
    }
    wait_for(&h, &c, ids, 6, "timeout {}");
    r = response(&h, &c);
    assert_true(r->timed_out);
    assert_int_equal(r->counts->succeeded, 2);
    assert_int_equal(r->counts->failed, 1);
    assert_int_equal(r->counts->cancelled, 1);
    assert_int_equal(r->counts->running, 1);
    assert_int_equal(r->counts->pending, 1);
    harness_free(r);
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

static void test_duplicates(void **state)
{
    Futured__V1__WaitResponse *r;
    struct harness_id a, b;
    struct loopback_call c;
    struct harness h;

    harness_init(&h, NULL);
    a = harness_submit(&h, "task { function: 'echo' }");
    b = harness_submit(&h, "task { function: 'echo' }");
    harness_unary(&h, &c, "Wait",
                  "selector { ids: '%s' ids: '%s' ids: '%s' ids: '" NOBODY "' ids: '%s' ids: '" NOBODY
                  "' } return_when: RETURN_WHEN_COUNT count: 3",
                  a.text, b.text, a.text, a.text);
    assert_int_equal(engine_stats(h.engine).n_edges, 2);
    harness_succeed(&h, a.text, "r");
    assert_false(c.is_done); /* a once, the missing one once: two */
    harness_succeed(&h, b.text, "r");
    r = response(&h, &c);
    assert_int_equal(r->n_done, 2);
    assert_int_equal(r->n_missing, 1);
    assert_int_equal(r->counts->succeeded, 2);
    harness_free(r);
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

/* Unknown IDs count as done, in every mode. */
static void test_missing(void **state)
{
    static const struct {
        const char *rest;
        int is_over; /* one missing, one pending */
    } cases[] = {
            {"", 0},
            {"return_when: RETURN_WHEN_FIRST_COMPLETED", 1},
            {"return_when: RETURN_WHEN_FIRST_EXCEPTION", 0},
            {"return_when: RETURN_WHEN_COUNT count: 1", 1},
            {"return_when: RETURN_WHEN_COUNT count: 2", 0},
    };
    struct harness_id id;
    struct harness h;

    harness_init(&h, NULL);
    id = harness_submit(&h, "task { function: 'echo' }");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        Futured__V1__WaitResponse *r;
        struct loopback_call c;

        harness_unary(&h, &c, "Wait", "selector { ids: '" NOBODY "' ids: '%s' } %s", id.text, cases[i].rest);
        assert_int_equal(c.is_done, cases[i].is_over);
        if (!c.is_done) {
            leave(&h, &c);
            continue;
        }
        r = response(&h, &c);
        assert_int_equal(r->n_missing, 1);
        assert_string_equal(r->missing[0], NOBODY);
        assert_int_equal(r->n_not_done, 1);
        harness_free(r);
        loopback_call_deinit(&c);

        harness_unary(&h, &c, "Wait", "selector { ids: '" NOBODY "' } %s", cases[i].rest);
        r = response(&h, &c);
        assert_int_equal(r->n_missing, 1);
        assert_int_equal(r->counts->pending, 0);
        harness_free(r);
        loopback_call_deinit(&c);
    }
    harness_deinit(&h);
}

/* One that is deleted is missing; while it is waited for it cannot be. */
static void test_pins(void **state)
{
    const struct harness_options options = {.retention_ns = NS_PER_S};
    Futured__V1__WaitResponse *r;
    struct harness_id a, b;
    struct loopback_call c, d;
    struct harness h;

    harness_init(&h, &options);
    a = harness_submit(&h, "task { function: 'echo' }");
    b = harness_submit(&h, "task { function: 'echo' }");
    harness_unary(&h, &c, "Wait", "selector { ids: '%s' ids: '%s' }", a.text, b.text);
    harness_succeed(&h, a.text, "r");
    harness_unary(&h, &d, "Delete", "id: '%s'", a.text);
    harness_expect(&d, GRPC_FAILED_PRECONDITION, "PINNED", NULL);
    loopback_call_deinit(&d);
    harness_advance(&h, 10 * NS_PER_S); /* nor is it forgotten */
    assert_non_null(harness_find(&h, a.text));
    harness_succeed(&h, b.text, "r");
    r = response(&h, &c);
    assert_int_equal(r->n_done, 2);
    harness_free(r);
    loopback_call_deinit(&c);
    harness_settle(&h);
    assert_null(harness_find(&h, a.text));
    harness_deinit(&h);
}

static void test_timeouts(void **state)
{
    Futured__V1__WaitResponse *r;
    struct harness_id id;
    struct loopback_call c, later;
    struct harness h;

    harness_init(&h, NULL);
    id = harness_submit(&h, "task { function: 'echo' }");
    harness_unary(&h, &c, "Wait", "selector { ids: '%s' } timeout {}", id.text); /* zero: at once */
    r = response(&h, &c);
    assert_true(r->timed_out);
    assert_int_equal(r->n_not_done, 1);
    harness_free(r);
    loopback_call_deinit(&c);

    harness_unary(&h, &later, "Wait", "selector { ids: '%s' } timeout { seconds: 7 }", id.text);
    harness_unary(&h, &c, "Wait", "selector { ids: '%s' } timeout { seconds: 5 nanos: 1 }", id.text);
    assert_true(h.next == h.lo.now + 5 * NS_PER_S + 1); /* what app is told */
    harness_advance(&h, 5 * NS_PER_S);
    assert_false(c.is_done);
    harness_advance(&h, 1);
    r = response(&h, &c);
    assert_true(r->timed_out);
    assert_int_equal(r->n_not_done, 1);
    harness_free(r);
    loopback_call_deinit(&c);
    assert_false(later.is_done);
    harness_succeed(&h, id.text, "r"); /* in time */
    r = response(&h, &later);
    assert_false(r->timed_out);
    assert_int_equal(r->n_done, 1);
    harness_free(r);
    loopback_call_deinit(&later);
    harness_advance(&h, 10 * NS_PER_S);

    harness_unary(&h, &c, "Wait", "selector { ids: '%s' } timeout {}", id.text); /* over already */
    r = response(&h, &c);
    assert_false(r->timed_out);
    harness_free(r);
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

/* Many timeouts in any order; some whose client has gone. */
static void test_many_timeouts(void **state)
{
    enum { N = 50 };
    struct test_random rnd = {test_seed()};
    struct loopback_call c[N];
    int64_t due[N], now = 0;
    struct harness_id id;
    struct harness h;

    harness_init(&h, NULL);
    id = harness_submit(&h, "task { function: 'echo' }");
    for (int i = 0; i < N; i++) {
        due[i] = 1 + (int64_t)test_random_below(&rnd, 100);
        harness_unary(&h, &c[i], "Wait", "selector { ids: '%s' } timeout { nanos: %d }", id.text,
                      (int)due[i]);
        if (i % 5 == 0)
            grpc_client_call_cancel(c[i].call);
    }
    harness_settle(&h);
    while (now <= 100) {
        for (int i = 0; i < N; i++)
            assert_int_equal(c[i].is_done, i % 5 == 0 || due[i] <= now);
        harness_advance(&h, 1);
        now++;
    }
    for (int i = 0; i < N; i++)
        loopback_call_deinit(&c[i]);
    harness_deinit(&h);
}

static void test_deadline(void **state)
{
    struct harness_id id;
    struct loopback_call c;
    struct harness h;

    harness_init(&h, NULL);
    id = harness_submit(&h, "task { function: 'echo' }");
    loopback_call(&h.lo, &c, "/futured.v1.Futures/Wait", NS_PER_S);
    harness_send(&c, "Wait", "selector { ids: '%s' } timeout { seconds: 5 }", id.text);
    loopback_half_close(&c);
    harness_settle(&h);
    harness_advance(&h, 2 * NS_PER_S);
    assert_int_equal(c.status.code, GRPC_DEADLINE_EXCEEDED);
    assert_int_equal(engine_stats(h.engine).n_edges, 0);
    harness_advance(&h, 5 * NS_PER_S); /* its timeout went with it */
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

static void test_views(void **state)
{
    struct harness_id id;
    struct harness h;

    harness_init(&h, NULL);
    id = harness_submit(&h, "task { function: 'echo' argument: 'a' }");
    harness_succeed(&h, id.text, "r");
    for (int view = 0; view <= 4; view++) {
        Futured__V1__WaitResponse *r;
        struct loopback_call c;

        harness_unary(&h, &c, "Wait", "selector { ids: '%s' } view: %d", id.text, view);
        r = response(&h, &c);
        assert_int_equal(r->done[0]->task != NULL, view != 1);
        assert_int_equal(r->done[0]->result->content_case == FUTURED__V1__RESULT__CONTENT_DATA,
                         view == 1 || view == 4); /* unspecified is BASIC */
        harness_free(r);
        loopback_call_deinit(&c);
    }
    harness_deinit(&h);
}

/* --- groups */

static void test_group(void **state)
{
    Futured__V1__WaitResponse *r;
    struct harness_id ids[3];
    struct loopback_call c;
    struct harness h;

    harness_init(&h, NULL);
    harness_unary(&h, &c, "Wait", "selector { group: 'g' }"); /* nobody yet, and nobody expected */
    r = response(&h, &c);
    assert_int_equal(r->n_done + r->n_not_done, 0);
    harness_free(r);
    loopback_call_deinit(&c);

    for (int i = 0; i < 3; i++)
        ids[i] = harness_submit(&h, "task { function: 'echo' } group: '%s'", i < 2 ? "g" : "other");
    harness_unary(&h, &c, "Wait", "selector { group: 'g' }");
    harness_submit(&h,
                   "task { function: 'unserved' } group: 'g'"); /* taken once, at the call: not waited for */
    harness_succeed(&h, ids[1].text, "r");
    assert_false(c.is_done);
    harness_fail(&h, ids[0].text, "no");
    r = response(&h, &c);
    assert_int_equal(r->n_done, 2);
    assert_int_equal(r->n_not_done, 0);
    assert_int_equal(r->counts->succeeded, 1);
    assert_int_equal(r->counts->failed, 1);
    assert_int_equal(r->counts->pending, 0);
    harness_free(r);
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

static void test_expect(void **state)
{
    Futured__V1__WaitResponse *r;
    struct harness_id ids[4];
    struct loopback_call c;
    struct harness h;

    harness_init(&h, NULL);
    ids[0] = harness_submit(&h, "task { function: 'echo' } group: 'g'");
    harness_unary(&h, &c, "Wait", "selector { group: 'g' } expect: 3");
    harness_succeed(&h, ids[0].text, "r");
    assert_false(c.is_done);
    ids[1] = harness_submit(&h, "task { function: 'echo' } group: 'g'");
    harness_succeed(&h, ids[1].text, "r");
    assert_false(c.is_done); /* all of two are done, three are expected */
    ids[2] = harness_submit(&h, "task { function: 'echo' } group: 'g'");
    ids[3] = harness_submit(&h, "task { function: 'unserved' } group: 'g'"); /* one more than expected */
    assert_false(c.is_done);
    harness_succeed(&h, ids[2].text, "r");
    r = response(&h, &c);
    assert_int_equal(r->n_done, 3);
    assert_int_equal(r->counts->succeeded, 3);
    harness_free(r);
    loopback_call_deinit(&c);

    harness_unary(&h, &c, "Wait",
                  "selector { group: 'h' } expect: 1 timeout { seconds: 1 }"); /* nobody comes */
    assert_false(c.is_done);
    harness_advance(&h, NS_PER_S);
    r = response(&h, &c);
    assert_true(r->timed_out);
    harness_free(r);
    loopback_call_deinit(&c);
    assert_int_equal(engine_stats(h.engine).n_edges, 0);
    harness_deinit(&h);
}

/* A filter is taken once, at the call; what matches later is not waited for, what stops to match is. */
static void test_filter(void **state)
{
    Futured__V1__WaitResponse *r;
    struct harness_id ids[3];
    struct loopback_call c;
    struct harness h;

    harness_init(&h, NULL);
    harness_unary(&h, &c, "Wait", "selector { filter: 'tag = t' }"); /* nobody */
    r = response(&h, &c);
    assert_int_equal(r->counts->succeeded, 0);
    harness_free(r);
    loopback_call_deinit(&c);
    for (int i = 0; i < 3; i++)
        ids[i] = harness_submit(&h, "task { function: 'echo' } tag: '%s'", i < 2 ? "t" : "other");
    harness_unary(&h, &c, "Wait", "selector { filter: 'tag = t AND state = PENDING' }");
    harness_submit(&h, "task { function: 'unserved' } tag: 't'");
    harness_succeed(&h, ids[0].text, "r");
    assert_false(c.is_done);
    harness_fail(&h, ids[1].text, "broken");
    r = response(&h, &c);
    assert_int_equal(r->n_done, 2);
    assert_int_equal(r->counts->succeeded, 1);
    assert_int_equal(r->counts->failed, 1);
    assert_false(r->timed_out);
    harness_free(r);
    loopback_call_deinit(&c);
    harness_unary(&h, &c, "Wait", "selector { filter: '*' } return_when: RETURN_WHEN_FIRST_EXCEPTION");
    r = response(&h, &c);
    assert_int_equal(r->n_done, 2);
    assert_int_equal(r->n_not_done, 2);
    harness_free(r);
    loopback_call_deinit(&c);
    harness_unary(&h, &c, "Wait", "selector { filter: 'state = PENDING' } timeout {}");
    r = response(&h, &c);
    assert_true(r->timed_out);
    assert_int_equal(r->counts->pending, 2);
    harness_free(r);
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

/* A group has counts of all and lists up to a page. */
static void test_large_group(void **state)
{
    enum { N = LIMIT_PAGE_SIZE + 200 };
    Futured__V1__WaitResponse *r;
    struct harness_id id;
    struct loopback_call c;
    struct harness h;

    harness_init(&h, NULL);
    for (int i = 0; i < N; i++) {
        id = harness_submit(&h, "task { function: 'echo' } group: 'g'");
        if (i % 2)
            harness_cancel(&h, id.text);
    }
    harness_unary(&h, &c, "Wait", "selector { group: 'g' } timeout {} view: VIEW_RESULT");
    r = response(&h, &c);
    assert_int_equal(r->counts->cancelled, N / 2);
    assert_int_equal(r->counts->pending, N / 2);
    assert_int_equal(r->n_done, N / 2);
    assert_int_equal(r->n_done + r->n_not_done, LIMIT_PAGE_SIZE);
    harness_free(r);
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

/* --- large answers */

/* The rest of an answer that is too large for what was asked comes with less; each future is there. */
static void test_too_large(void **state)
{
    const struct harness_options options = {.max_message_bytes = 65536};
    Futured__V1__WaitResponse *r;
    struct harness_id ids[5];
    struct loopback_call c;
    size_t n_full = 0, n_omitted = 0;
    struct harness h;

    harness_init(&h, &options);
    for (size_t i = 0; i < 5; i++) {
        ids[i] = harness_submit(&h, "task { function: 'echo' argument: x20000 }");
        harness_succeed_bytes(&h, ids[i].text, 4000);
    }
    wait_for(&h, &c, ids, 5, "view: VIEW_FULL");
    r = response(&h, &c);
    assert_int_equal(r->n_done, 5);
    for (size_t i = 0; i < 5; i++) {
        int has_argument = r->done[i]->task->input_case == FUTURED__V1__TASK__INPUT_ARGUMENT;

        assert_string_equal(r->done[i]->id, ids[i].text);
        assert_int_equal(r->done[i]->omitted, !has_argument);
        n_full += has_argument ? 1 : 0;
        n_omitted += r->done[i]->omitted ? 1 : 0;
    }
    assert_int_equal(n_full, 2);
    assert_int_equal(n_omitted, 3);
    harness_free(r);
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

/* One that exceeds the message alone. */
static void test_one_too_large(void **state)
{
    const struct harness_options options = {.max_message_bytes = 65536};
    Futured__V1__WaitResponse *r;
    struct harness_id id;
    struct loopback_call c;
    struct harness h;

    harness_init(&h, &options);
    id = harness_submit(&h, "task { function: 'echo' argument: x40000 }");
    harness_succeed_bytes(&h, id.text, 40000);
    harness_unary(&h, &c, "Wait", "selector { ids: '%s' } view: VIEW_FULL", id.text);
    r = response(&h, &c);
    assert_int_equal(r->n_done, 1);
    assert_true(r->done[0]->omitted);
    assert_int_equal(r->done[0]->result->data.len, 40000);
    harness_free(r);
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

/* So many that not even BASIC has room for all: each is there with the least that can be said. */
static void test_most(void **state)
{
    enum { N = 500 };
    const struct harness_options options = {.max_message_bytes = 65536};
    static struct harness_id ids[N];
    Futured__V1__WaitResponse *r;
    struct loopback_call c;
    size_t n_least = 0;
    struct harness h;

    harness_init(&h, &options);
    for (size_t i = 0; i < N; i++) {
        ids[i] = harness_submit(&h, "task { function: 'echo' labels { key: 'k' value: x200 } }");
        if (i % 3 == 0)
            harness_succeed(&h, ids[i].text, "a result of some bytes");
    }
    wait_for(&h, &c, ids, N, "return_when: RETURN_WHEN_FIRST_COMPLETED");
    r = response(&h, &c);
    assert_int_equal(r->n_done + r->n_not_done, N);
    for (size_t i = 0; i < r->n_done; i++)
        n_least += r->done[i]->omitted && !r->done[i]->task;
    assert_true(n_least > 0 && n_least < r->n_done);
    harness_free(r);
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

/* More than even the least of each has room for: the lists end early, the counts are of all. */
static void test_more_than_fits(void **state)
{
    enum { N = 300 };
    const struct harness_options options = {.max_message_bytes = 8192};
    Futured__V1__WaitResponse *r;
    struct harness_id id;
    struct loopback_call c;
    struct harness h;

    harness_init(&h, &options);
    for (size_t i = 0; i < N; i++) {
        id = harness_submit(&h, "task { function: 'echo' } group: 'g'");
        harness_fail(&h, id.text, "an error with some words in it");
    }
    harness_unary(&h, &c, "Wait", "selector { group: 'g' } view: VIEW_FULL");
    r = response(&h, &c); /* which asserts that it fits */
    assert_int_equal(r->counts->failed, N);
    assert_in_range(r->n_done, 50, N - 1);
    harness_free(r);
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

/* --- refused */

static const struct harness_refusal bad_waits[] = {
        {"", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "selector"},
        {"selector {}", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "selector"},
        {"selector { ids: 'x' }", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "selector.ids"},
        {"selector { ids: '" NOBODY "' ids: '' }", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "selector.ids"},
        {"selector { ids: '" NOBODY "' group: 'g' }", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "selector"},
        {"selector { 10001 * ids: '" NOBODY "' }", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "selector.ids"},
        {"selector { group: x256 }", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "selector.group"},
        {"selector { filter: 'state' }", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "selector.filter"},
        {"selector { filter: '*' } expect: 1", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "expect"},
        {"selector { group: 'g' } selector { group: 'g' }", GRPC_INVALID_ARGUMENT, "INVALID_FIELD",
         "selector"},
        {"selector { group: 'g' } return_when: 5", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "return_when"},
        {"selector { group: 'g' } return_when: -1", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "return_when"},
        {"selector { group: 'g' } return_when: RETURN_WHEN_COUNT", GRPC_INVALID_ARGUMENT, "INVALID_FIELD",
         "count"},
        {"selector { group: 'g' } count: 1", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "count"},
        {"selector { group: 'g' } return_when: 4 @3: 4294967296", GRPC_INVALID_ARGUMENT, "INVALID_FIELD",
         "count"},
        {"selector { group: 'g' } expect: 4294967296", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "expect"},
        {"selector { ids: '" NOBODY "' } expect: 1", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "expect"},
        {"selector { group: 'g' } timeout { nanos: -1 }", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "timeout"},
        {"selector { group: 'g' } timeout { nanos: 1000000000 }", GRPC_INVALID_ARGUMENT, "INVALID_FIELD",
         "timeout"},
        {"selector { group: 'g' } view: 9", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "view"},
};

static void test_refused(void **state)
{
    struct harness h;

    harness_init(&h, NULL);
    harness_submit(&h, "task { function: 'echo' } group: 'g'");
    harness_refused(&h, "Wait", "", "", bad_waits, ARRAY_LEN(bad_waits));
    assert_int_equal(engine_stats(h.engine).n_edges, 0);
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
    for (int i = 0; i < 3; i++)
        ids[i] = harness_submit(&h, "task { function: 'echo' } group: 'g'");
    wait_for(&h, &c, ids, 3, "");
    harness_expect(&c, GRPC_RESOURCE_EXHAUSTED, "TOO_MANY_WAITERS", NULL);
    loopback_call_deinit(&c);
    harness_unary(&h, &c, "Wait", "selector { group: 'g' }");
    harness_expect(&c, GRPC_RESOURCE_EXHAUSTED, "TOO_MANY_WAITERS", NULL);
    loopback_call_deinit(&c);
    harness_unary(&h, &c, "Wait",
                  "selector { group: 'none' } expect: 4000000000"); /* and no memory is tried */
    harness_expect(&c, GRPC_RESOURCE_EXHAUSTED, "TOO_MANY_WAITERS", NULL);
    loopback_call_deinit(&c);
    wait_for(&h, &c, ids, 2, "");
    assert_false(c.is_done);
    leave(&h, &c);
    harness_deinit(&h);
}

/* Waits go on while the daemon drains, and end with it. */
static void test_shutdown(void **state)
{
    struct harness_id id;
    struct loopback_call c;
    struct harness h;

    harness_init(&h, NULL);
    id = harness_submit(&h, "task { function: 'echo' }");
    futures_drain(h.futures, 1);
    wait_for(&h, &c, &id, 1, "timeout { seconds: 5 }");
    assert_false(c.is_done);
    futures_shutdown(h.futures);
    harness_settle(&h);
    harness_expect(&c, GRPC_UNAVAILABLE, "STOPPING", NULL);
    loopback_call_deinit(&c);
    harness_advance(&h, 10 * NS_PER_S);
    harness_deinit(&h);
}

/* --- no memory */

static void ids_without_memory(struct harness *h, struct loopback_call *c)
{
    static struct harness_id ids[40];

    harness_init(h, NULL);
    for (size_t i = 0; i < ARRAY_LEN(ids); i++)
        ids[i] = harness_submit(h, "task { function: 'echo' argument: x100 }");
    harness_arm(h);
    wait_for(h, c, ids, ARRAY_LEN(ids), "return_when: RETURN_WHEN_FIRST_COMPLETED timeout { seconds: 5 }");
    if (!c->is_done)
        harness_succeed(h, ids[7].text, "r");
}

static void group_without_memory(struct harness *h, struct loopback_call *c)
{
    struct harness_id id;

    harness_init(h, NULL);
    id = harness_submit(h, "task { function: 'echo' } group: 'g'");
    harness_succeed(h, id.text, "r");
    harness_arm(h);
    harness_unary(h, c, "Wait", "selector { group: 'g' } expect: 30 timeout { seconds: 5 }");
    harness_advance(h, 6 * NS_PER_S);
}

static void test_no_memory(void **state)
{
    harness_fail_allocations(ids_without_memory, 8);
    harness_fail_allocations(group_without_memory, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_modes),          cmocka_unit_test(test_counts),
            cmocka_unit_test(test_duplicates),     cmocka_unit_test(test_missing),
            cmocka_unit_test(test_pins),           cmocka_unit_test(test_timeouts),
            cmocka_unit_test(test_many_timeouts),  cmocka_unit_test(test_deadline),
            cmocka_unit_test(test_views),          cmocka_unit_test(test_group),
            cmocka_unit_test(test_expect),         cmocka_unit_test(test_filter),
            cmocka_unit_test(test_large_group),    cmocka_unit_test(test_too_large),
            cmocka_unit_test(test_one_too_large),  cmocka_unit_test(test_most),
            cmocka_unit_test(test_more_than_fits), cmocka_unit_test(test_refused),
            cmocka_unit_test(test_full_edges),     cmocka_unit_test(test_shutdown),
            cmocka_unit_test(test_no_memory),
    };

    test_seed();
    return cmocka_run_group_tests_name("service/wait", tests, NULL, NULL);
}
