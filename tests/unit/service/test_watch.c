// SPDX-License-Identifier: Apache-2.0
/* Watch: the snapshot, each kind of change, what is merged while nobody reads, and the end. */
#include "tests/unit/service/harness.h"

#define NOBODY "01890a5d-ac96-774b-bcce-b302099a8057"

typedef Futured__V1__FutureEvent event_t;

enum {
    SNAPSHOT = FUTURED__V1__FUTURE_EVENT__EVENT_SNAPSHOT,
    STATE = FUTURED__V1__FUTURE_EVENT__EVENT_STATE,
    LABELS = FUTURED__V1__FUTURE_EVENT__EVENT_LABELS,
};

static event_t *event(const struct harness *h, const struct loopback_call *c, size_t i)
{
    return harness_message(h, c, i, &futured__v1__future_event__descriptor);
}

/* The @i-th event is of @kind and shows the future in @state. */
static void expect_event(const struct harness *h, const struct loopback_call *c, size_t i, const char *id,
                         int kind, int state)
{
    event_t *e = event(h, c, i);
    const Futured__V1__Future *f = kind == SNAPSHOT ? e->snapshot : kind == STATE ? e->state : e->labels;

    assert_string_equal(e->id, id);
    assert_non_null(e->time);
    assert_null(e->cursor); /* only over a group or a filter */
    assert_int_equal(e->event_case, kind);
    assert_string_equal(f->id, id);
    assert_int_equal(f->state, state);
    harness_free(e);
}

static void annotate(struct harness *h, const char *id, const char *value)
{
    struct loopback_call c;

    harness_unary(h, &c, "Annotate", "id: '%s' set_labels { key: 'k' value: '%s' }", id, value);
    assert_int_equal(c.status.code, GRPC_OK);
    loopback_call_deinit(&c);
}

static void leave(struct harness *h, struct loopback_call *c)
{
    grpc_client_call_cancel(c->call);
    harness_settle(h);
    assert_true(c->is_done);
    loopback_call_deinit(c);
    assert_int_equal(engine_stats(h->engine).n_edges, 0);
}

static void expect_end(const struct loopback_call *c, size_t n_events)
{
    assert_int_equal(c->n_messages, n_events);
    assert_true(c->is_done);
    assert_int_equal(c->status.code, GRPC_OK);
}

static void test_life(void **state)
{
    struct harness_id id;
    struct loopback_call c;
    struct harness h;

    harness_init(&h, NULL);
    id = harness_submit(&h, "task { function: 'echo' }");
    harness_unary(&h, &c, "Watch", "selector { ids: '%s' }", id.text);
    assert_int_equal(c.n_messages, 1);
    expect_event(&h, &c, 0, id.text, SNAPSHOT, FUTURE_PENDING);
    harness_claim(&h, id.text); /* reserved: nothing to see */
    assert_int_equal(c.n_messages, 1);
    harness_start(&h, id.text);
    assert_int_equal(c.n_messages, 2);
    expect_event(&h, &c, 1, id.text, STATE, FUTURE_RUNNING);
    harness_lose(&h, id.text);
    assert_int_equal(c.n_messages, 3);
    expect_event(&h, &c, 2, id.text, STATE, FUTURE_PENDING);
    harness_start(&h, id.text);
    expect_event(&h, &c, 3, id.text, STATE, FUTURE_RUNNING);
    annotate(&h, id.text, "v");
    assert_int_equal(c.n_messages, 5);
    expect_event(&h, &c, 4, id.text, LABELS, FUTURE_RUNNING);
    assert_int_equal(engine_cancel(h.engine, harness_find(&h, id.text), harness_find(&h, id.text)->scope,
                                   SPAN_LIT("why"), -1),
                     0);
    harness_settle(&h);
    assert_int_equal(c.n_messages, 6); /* a cancel that was asked for is news */
    expect_event(&h, &c, 5, id.text, STATE, FUTURE_RUNNING);
    assert_false(c.is_done);
    harness_succeed(&h, id.text, "all the same");
    expect_event(&h, &c, 6, id.text, STATE, FUTURE_SUCCEEDED);
    expect_end(&c, 7);
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

/* What is neither labels nor state counts as the latter. */
static void test_rescheduled(void **state)
{
    struct harness_id id;
    struct loopback_call c, r;
    struct harness h;

    harness_init(&h, NULL);
    id = harness_submit(&h, "task { function: 'echo' }");
    harness_unary(&h, &c, "Watch", "selector { ids: '%s' }", id.text);
    harness_unary(&h, &r, "Reschedule", "id: '%s' priority: 2", id.text);
    assert_int_equal(r.status.code, GRPC_OK);
    loopback_call_deinit(&r);
    assert_int_equal(c.n_messages, 2);
    expect_event(&h, &c, 1, id.text, STATE, FUTURE_PENDING);
    leave(&h, &c);
    harness_deinit(&h);
}

/* Several: a snapshot of each in the order in which they were named, each to its end, the call to that of the last. */
static void test_several(void **state)
{
    struct harness_id ids[4];
    struct loopback_call c, d;
    struct harness h;

    harness_init(&h, NULL);
    for (int i = 0; i < 4; i++)
        ids[i] = harness_submit(&h, "task { function: 'echo' }");
    harness_succeed(&h, ids[2].text, "r");
    harness_unary(&h, &c, "Watch", "selector { ids: '%s' ids: '%s' ids: '%s' ids: '%s' }", ids[1].text,
                  ids[2].text, ids[0].text, ids[1].text); /* one of them twice */
    assert_int_equal(c.n_messages, 3);
    expect_event(&h, &c, 0, ids[1].text, SNAPSHOT, FUTURE_PENDING);
    expect_event(&h, &c, 1, ids[2].text, SNAPSHOT, FUTURE_SUCCEEDED);
    expect_event(&h, &c, 2, ids[0].text, SNAPSHOT, FUTURE_PENDING);
    assert_int_equal(engine_stats(h.engine).n_edges, 2); /* what has ended is let go */
    harness_unary(&h, &d, "Delete", "id: '%s'", ids[2].text);
    assert_int_equal(d.status.code, GRPC_OK);
    loopback_call_deinit(&d);
    harness_start(&h, ids[0].text);
    harness_cancel(&h, ids[1].text);
    annotate(&h, ids[1].text, "v");
    harness_succeed(&h, ids[3].text, "not watched");
    assert_int_equal(c.n_messages, 5);
    expect_event(&h, &c, 3, ids[0].text, STATE, FUTURE_RUNNING);
    expect_event(&h, &c, 4, ids[1].text, STATE, FUTURE_CANCELLED);
    assert_false(c.is_done);
    harness_fail(&h, ids[0].text, "no");
    expect_event(&h, &c, 5, ids[0].text, STATE, FUTURE_FAILED);
    expect_end(&c, 6);
    loopback_call_deinit(&c);
    assert_int_equal(engine_stats(h.engine).n_edges, 0);
    harness_unary(&h, &c, "Watch", "selector { ids: '%s' ids: '" NOBODY "' ids: '%s' }", ids[0].text,
                  ids[1].text);
    harness_expect(&c, GRPC_NOT_FOUND, "NO_SUCH_FUTURE", NULL);
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

/* More snapshots than the client takes at once; what happens meanwhile is not forgotten. */
static void test_several_unread(void **state)
{
    enum { N = 300 };
    static char request[N * (ID_TEXT_LEN + 10) + 100];
    struct harness_id ids[N];
    struct loopback_call c;
    struct harness h;
    size_t n = 0, n_ended = 0;

    harness_init(&h, NULL);
    n += (size_t)snprintf(request, sizeof request, "view: VIEW_FULL selector {");
    for (size_t i = 0; i < N; i++) {
        ids[i] = harness_submit(&h, "task { function: 'echo' argument: x3000 }");
        n += (size_t)snprintf(request + n, sizeof request - n, " ids: '%s'", ids[i].text);
    }
    snprintf(request + n, sizeof request - n, " }");
    harness_call(&h, &c, "Watch");
    grpc_client_call_pause(c.call, 1);
    harness_send(&c, "Watch", "%s", request);
    loopback_half_close(&c);
    harness_settle(&h);
    for (size_t i = 0; i < N; i++)
        harness_cancel(&h, ids[i].text);
    grpc_client_call_pause(c.call, 0);
    harness_settle(&h);
    expect_end(&c, c.n_messages);
    for (size_t i = 0; i < c.n_messages; i++) {
        event_t *e = event(&h, &c, i);

        n_ended += (e->event_case == FUTURED__V1__FUTURE_EVENT__EVENT_SNAPSHOT ? e->snapshot : e->state)
                           ->state == FUTURED__V1__STATE__STATE_CANCELLED;
        harness_free(e);
    }
    assert_int_equal(n_ended, N); /* each end once */
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

static void test_terminal(void **state)
{
    struct harness_id id;
    struct loopback_call c;
    struct harness h;

    harness_init(&h, NULL);
    id = harness_submit(&h, "task { function: 'echo' }");
    harness_fail(&h, id.text, "no");
    harness_unary(&h, &c, "Watch", "selector { ids: '%s' }", id.text);
    expect_event(&h, &c, 0, id.text, SNAPSHOT, FUTURE_FAILED);
    expect_end(&c, 1);
    loopback_call_deinit(&c);
    assert_int_equal(engine_stats(h.engine).n_edges, 0);
    harness_deinit(&h);
}

/* No snapshot of what the caller has seen; the next change comes. */
static void test_after_revision(void **state)
{
    struct harness_id id;
    struct loopback_call c;
    struct harness h;
    uint64_t revision;

    harness_init(&h, NULL);
    id = harness_submit(&h, "task { function: 'echo' }");
    annotate(&h, id.text, "a");
    revision = harness_find(&h, id.text)->revision;
    harness_unary(&h, &c, "Watch", "selector { ids: '%s' } after_revision: %" PRIu64, id.text, revision - 1);
    assert_int_equal(c.n_messages, 1);
    expect_event(&h, &c, 0, id.text, SNAPSHOT, FUTURE_PENDING);
    leave(&h, &c);

    harness_unary(&h, &c, "Watch", "selector { ids: '%s' } after_revision: %" PRIu64, id.text, revision);
    assert_int_equal(c.n_messages, 0);
    annotate(&h, id.text, "b");
    expect_event(&h, &c, 0, id.text, LABELS, FUTURE_PENDING);
    harness_start(&h, id.text);
    expect_event(&h, &c, 1, id.text, STATE, FUTURE_RUNNING);
    leave(&h, &c);

    harness_succeed(&h, id.text, "r");
    harness_unary(&h, &c, "Watch", "selector { ids: '%s' } after_revision: %" PRIu64, id.text,
                  harness_find(&h, id.text)->revision);
    expect_end(&c, 0); /* terminal, and seen: nothing more will come */
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

/* The events of one life under @kinds, however these are written. */
static void check_kinds(const char *kinds, const int *expected, size_t n)
{
    struct harness_id id;
    struct loopback_call c;
    struct harness h;

    harness_init(&h, NULL);
    id = harness_submit(&h, "task { function: 'echo' }");
    harness_unary(&h, &c, "Watch", "selector { ids: '%s' } %s", id.text, kinds);
    harness_start(&h, id.text);
    annotate(&h, id.text, "a");
    annotate(&h, id.text, "b");
    harness_succeed(&h, id.text, "r");
    expect_end(&c, n);
    for (size_t i = 0; i < n; i++) {
        event_t *e = event(&h, &c, i);

        assert_int_equal(e->event_case, expected[i]);
        harness_free(e);
    }
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

static void test_kinds(void **state)
{
    static const int all[] = {SNAPSHOT, STATE, LABELS, LABELS, STATE},
                     only_state[] = {SNAPSHOT, STATE, STATE}, only_labels[] = {SNAPSHOT, LABELS, LABELS},
                     none[] = {SNAPSHOT};

    check_kinds("", all, ARRAY_LEN(all));
    check_kinds("kinds: EVENT_KIND_STATE kinds: EVENT_KIND_LABELS", all, ARRAY_LEN(all));
    check_kinds("@4: #0105", all, ARRAY_LEN(all)); /* packed, as clients write it */
    check_kinds("@4: #05 kinds: EVENT_KIND_STATE @4: #", all, ARRAY_LEN(all));
    check_kinds("kinds: EVENT_KIND_STATE", only_state, ARRAY_LEN(only_state));
    check_kinds("@4: #0101", only_state, ARRAY_LEN(only_state));
    check_kinds("@4: #8100", only_state, ARRAY_LEN(only_state)); /* a long varint */
    check_kinds("kinds: EVENT_KIND_LABELS", only_labels, ARRAY_LEN(only_labels));
    check_kinds("@4: #020304", none, ARRAY_LEN(none));
}

/* Both changed before anybody could be told: who asked for labels only is told of these. */
static void test_merged_kinds(void **state)
{
    struct label label = {SPAN_LIT("k"), SPAN_LIT("v")};
    struct harness_id id;
    struct loopback_call only_labels, all;
    struct harness h;
    struct lease *lease;

    harness_init(&h, NULL);
    id = harness_submit(&h, "task { function: 'echo' }");
    harness_unary(&h, &only_labels, "Watch", "selector { ids: '%s' } kinds: EVENT_KIND_LABELS", id.text);
    harness_unary(&h, &all, "Watch", "selector { ids: '%s' }", id.text);
    lease = harness_claim(&h, id.text);
    assert_int_equal(engine_start(h.engine, lease, h.wall), 0);
    assert_int_equal(engine_annotate(h.engine, harness_find(&h, id.text), labels_new(&label, 1), NULL), 0);
    harness_settle(&h);
    assert_int_equal(only_labels.n_messages, 2);
    expect_event(&h, &only_labels, 1, id.text, LABELS, FUTURE_RUNNING);
    assert_int_equal(all.n_messages, 2);
    expect_event(&h, &all, 1, id.text, STATE, FUTURE_RUNNING);
    grpc_client_call_cancel(all.call);
    leave(&h, &only_labels);
    loopback_call_deinit(&all);
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
        struct loopback_call c;
        event_t *e;

        harness_unary(&h, &c, "Watch", "selector { ids: '%s' } view: %d", id.text, view);
        e = event(&h, &c, 0);
        assert_int_equal(e->snapshot->task != NULL, view != 1);
        assert_int_equal(e->snapshot->result->content_case == FUTURED__V1__RESULT__CONTENT_DATA,
                         view == 1 || view == 4);
        harness_free(e);
        loopback_call_deinit(&c);
    }
    harness_deinit(&h);
}

/* A client that does not read: states between are merged, the last one never is. */
static void test_unread(void **state)
{
    struct harness_id id;
    struct loopback_call c;
    struct harness h;
    size_t n_changes = 3000;

    harness_init(&h, NULL);
    id = harness_submit(&h, "task { function: 'echo' argument: x3000 }");
    harness_unary(&h, &c, "Watch", "selector { ids: '%s' } view: VIEW_FULL", id.text);
    grpc_client_call_pause(c.call, 1);
    for (size_t i = 0; i < n_changes; i++) {
        char value[16];

        snprintf(value, sizeof value, "v%zu", i);
        annotate(&h, id.text, value);
    }
    assert_true(h2_session_pending_bytes(grpc_conn_session(h.lo.conn)) < H2_STREAM_HIGH_BYTES + 8192);
    harness_succeed(&h, id.text, "r");
    grpc_client_call_pause(c.call, 0);
    harness_settle(&h);
    assert_true(c.n_messages < n_changes);
    expect_end(&c, c.n_messages);
    expect_event(&h, &c, c.n_messages - 1, id.text, STATE, FUTURE_SUCCEEDED);
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

static void test_too_large(void **state)
{
    const struct harness_options options = {.max_message_bytes = 65536};
    struct harness_id id;
    struct loopback_call c;
    struct harness h;
    event_t *e;

    harness_init(&h, &options);
    id = harness_submit(&h, "task { function: 'echo' argument: x40000 }");
    harness_succeed_bytes(&h, id.text, 40000);
    harness_unary(&h, &c, "Watch", "selector { ids: '%s' } view: VIEW_FULL", id.text);
    e = event(&h, &c, 0);
    assert_true(e->snapshot->omitted);
    assert_int_equal(e->snapshot->result->data.len, 40000);
    harness_free(e);
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

/* A watched future is neither deleted nor forgotten. */
static void test_pins(void **state)
{
    const struct harness_options options = {.retention_ns = NS_PER_S};
    struct harness_id id;
    struct loopback_call c, d;
    struct harness h;

    harness_init(&h, &options);
    id = harness_submit(&h, "task { function: 'echo' argument: x300000 }");
    harness_unary(&h, &c, "Watch", "selector { ids: '%s' } view: VIEW_FULL", id.text);
    for (int i = 0; i < 8; i++) { /* fill its window, so that it does not end */
        grpc_client_call_pause(c.call, 1);
        annotate(&h, id.text, i % 2 ? "a" : "b");
    }
    harness_succeed(&h, id.text, "r");
    assert_false(c.is_done);
    harness_unary(&h, &d, "Delete", "id: '%s'", id.text);
    harness_expect(&d, GRPC_FAILED_PRECONDITION, "PINNED", NULL);
    loopback_call_deinit(&d);
    harness_advance(&h, 10 * NS_PER_S);
    assert_non_null(harness_find(&h, id.text));
    leave(&h, &c);
    harness_settle(&h);
    assert_null(harness_find(&h, id.text));
    harness_deinit(&h);
}

static const struct harness_refusal bad_watches[] = {
        {"", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "selector"},
        {"selector { ids: 'x' }", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "selector.ids"},
        {"selector { 2 * ids: '" NOBODY "' }", GRPC_NOT_FOUND, "NO_SUCH_FUTURE", NULL},
        {"selector { group: 'g' } after_revision: 1", GRPC_INVALID_ARGUMENT, "INVALID_FIELD",
         "after_revision"},
        {"selector { ids: '" NOBODY "' group: 'g' }", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "selector"},
        {"selector { ids: '" NOBODY "' } cursor {}", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "cursor"},
        {"selector { ids: '" NOBODY "' } kinds: 0", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "kinds"},
        {"selector { ids: '" NOBODY "' } kinds: 6", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "kinds"},
        {"selector { ids: '" NOBODY "' } kinds: -1", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "kinds"},
        {"selector { ids: '" NOBODY "' } @4: #0106", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "kinds"},
        {"selector { ids: '" NOBODY "' } @4: #0180", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "kinds"},
        {"selector { ids: '" NOBODY "' } @2: 'x'", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "after_revision"},
        {"selector { ids: '" NOBODY "' } view: 5", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "view"},
        {"selector { ids: '" NOBODY "' }", GRPC_NOT_FOUND, "NO_SUCH_FUTURE", NULL},
};

static void test_refused(void **state)
{
    struct loopback_call c;
    struct harness h;

    harness_init(&h, NULL);
    harness_refused(&h, "Watch", "", "", bad_watches, ARRAY_LEN(bad_watches));
    harness_call(&h, &c, "Watch"); /* kinds as a fixed32 */
    loopback_send(&c, "\x25\x01\x00\x00\x00\x0a\x03\x12\x01g", 10);
    loopback_half_close(&c);
    harness_settle(&h);
    harness_expect(&c, GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "kinds");
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

static void test_full_edges(void **state)
{
    struct harness_options options = {.limits = LIMITS_DEFAULT};
    struct harness_id id;
    struct loopback_call a, b;
    struct harness h;

    options.limits.max_waiter_edges = 1;
    harness_init(&h, &options);
    id = harness_submit(&h, "task { function: 'echo' }");
    harness_unary(&h, &a, "Watch", "selector { ids: '%s' }", id.text);
    harness_unary(&h, &b, "Watch", "selector { ids: '%s' }", id.text);
    harness_expect(&b, GRPC_RESOURCE_EXHAUSTED, "TOO_MANY_WAITERS", NULL);
    loopback_call_deinit(&b);
    leave(&h, &a);
    harness_deinit(&h);
}

static void test_shutdown(void **state)
{
    struct harness_id id;
    struct loopback_call c;
    struct harness h;

    harness_init(&h, NULL);
    id = harness_submit(&h, "task { function: 'echo' }");
    harness_unary(&h, &c, "Watch", "selector { ids: '%s' }", id.text);
    futures_shutdown(h.futures);
    harness_settle(&h);
    assert_true(c.is_done);
    assert_int_equal(c.status.code, GRPC_UNAVAILABLE);
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

static void without_memory(struct harness *h, struct loopback_call *c)
{
    struct harness_id id;

    harness_init(h, NULL);
    id = harness_submit(h, "task { function: 'echo' argument: x5000 }");
    harness_arm(h);
    harness_unary(h, c, "Watch", "selector { ids: '%s' } view: VIEW_FULL", id.text);
    harness_start(h, id.text);
    harness_succeed(h, id.text, "r");
}

static void test_no_memory(void **state)
{
    harness_fail_allocations(without_memory, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_life),      cmocka_unit_test(test_rescheduled),
            cmocka_unit_test(test_several),   cmocka_unit_test(test_several_unread),
            cmocka_unit_test(test_terminal),  cmocka_unit_test(test_after_revision),
            cmocka_unit_test(test_kinds),     cmocka_unit_test(test_merged_kinds),
            cmocka_unit_test(test_views),     cmocka_unit_test(test_unread),
            cmocka_unit_test(test_too_large), cmocka_unit_test(test_pins),
            cmocka_unit_test(test_refused),   cmocka_unit_test(test_full_edges),
            cmocka_unit_test(test_shutdown),  cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests_name("service/watch", tests, NULL, NULL);
}
