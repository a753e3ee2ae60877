// SPDX-License-Identifier: Apache-2.0
/* Watch of a group or a filter: snapshots, events, what leaves, cursors, slow readers, limits; and a seeded model of it all. */
#include "engine/restore.h"
#include "service/internal.h"
#include "tests/unit/service/harness.h"

#define SHORT (20 * NS_PER_MS) /* every feed has had its turn */

typedef Futured__V1__FutureEvent event_t;

enum {
    SNAPSHOT = FUTURED__V1__FUTURE_EVENT__EVENT_SNAPSHOT,
    STATE = FUTURED__V1__FUTURE_EVENT__EVENT_STATE,
    LABELS = FUTURED__V1__FUTURE_EVENT__EVENT_LABELS,
    LOST = FUTURED__V1__FUTURE_EVENT__EVENT_LOST,
    KEEPALIVE = FUTURED__V1__FUTURE_EVENT__EVENT_KEEPALIVE,
};

static event_t *event(const struct harness *h, const struct loopback_call *c, size_t i)
{
    return harness_message(h, c, i, &futured__v1__future_event__descriptor);
}

static const Futured__V1__Future *future_of(const event_t *e)
{
    switch ((int)e->event_case) {
    case SNAPSHOT: return e->snapshot;
    case STATE: return e->state;
    case LABELS: return e->labels;
    default: return NULL;
    }
}

static struct harness_id submit(struct harness *h, const char *group)
{
    return harness_submit(h, "task { function: 'echo' } group: '%s'", group);
}

static void annotate(struct harness *h, const char *id, const char *value)
{
    struct loopback_call c;

    harness_unary(h, &c, "Annotate", "id: '%s' set_labels { key: 'k' value: '%s' }", id, value);
    assert_int_equal(c.status.code, GRPC_OK);
    loopback_call_deinit(&c);
}

/* What the call has received from event *@i on is exactly this; NULL as id: none. */
struct expected {
    int kind;
    const char *id;
    int state;
    int has_cursor;
};
static void expect_events(struct harness *h, const struct loopback_call *c, size_t *i,
                          const struct expected *expected, size_t n)
{
    harness_advance(h, SHORT);
    if (c->n_messages != *i + n)
        fail_msg("%zu events, not %zu: %s", c->n_messages - *i, n, c->status.message);
    for (size_t k = 0; k < n; k++) {
        event_t *e = event(h, c, (*i)++);
        const Futured__V1__Future *f = future_of(e);

        assert_int_equal(e->event_case, expected[k].kind);
        assert_non_null(e->time);
        assert_int_equal(e->cursor != NULL, expected[k].has_cursor);
        assert_string_equal(e->id, expected[k].id ? expected[k].id : "");
        assert_int_equal(f != NULL, expected[k].id != NULL);
        if (f) {
            assert_string_equal(f->id, expected[k].id);
            assert_int_equal(f->state, expected[k].state);
        }
        harness_free(e);
    }
    assert_false(c->is_done);
}
#define EXPECT(h, c, i, ...)                           \
    do {                                               \
        const struct expected list[] = {__VA_ARGS__};  \
        expect_events(h, c, i, list, ARRAY_LEN(list)); \
    } while (0)
#define OPENED                \
    {                         \
        KEEPALIVE, NULL, 0, 1 \
    }
#define SHOWN(id, state)              \
    {                                 \
        SNAPSHOT, (id).text, state, 0 \
    }
#define CHANGED(id, state)         \
    {                              \
        STATE, (id).text, state, 1 \
    }
#define RELABELLED(id, state)       \
    {                               \
        LABELS, (id).text, state, 1 \
    }
static void expect_nothing(struct harness *h, const struct loopback_call *c, size_t i)
{
    expect_events(h, c, &i, NULL, 0);
}

static void leave(struct harness *h, struct loopback_call *c)
{
    grpc_client_call_cancel(c->call);
    harness_settle(h);
    assert_true(c->is_done);
    loopback_call_deinit(c);
}

static void cursor_of(const struct harness *h, const struct loopback_call *c, size_t i, uint64_t *epoch,
                      uint64_t *number)
{
    event_t *e = event(h, c, i);

    assert_non_null(e->cursor);
    *epoch = e->cursor->epoch;
    *number = e->cursor->event;
    harness_free(e);
}

/* ---- what comes */

static void test_group(void **state)
{
    struct harness_id a, b, other, late;
    struct loopback_call c;
    struct harness h;
    size_t i = 0;

    harness_init(&h, NULL);
    a = submit(&h, "g");
    other = submit(&h, "other");
    b = submit(&h, "g");
    harness_succeed(&h, a.text, "r");
    harness_unary(&h, &c, "Watch", "selector { group: 'g' }");
    EXPECT(&h, &c, &i, SHOWN(a, FUTURE_SUCCEEDED), SHOWN(b, FUTURE_PENDING), OPENED);
    harness_start(&h, other.text);
    harness_succeed(&h, other.text, "r");
    expect_nothing(&h, &c, i);
    harness_start(&h, b.text);
    EXPECT(&h, &c, &i, CHANGED(b, FUTURE_RUNNING));
    late = submit(&h, "g");
    annotate(&h, a.text, "v"); /* also of what has ended */
    EXPECT(&h, &c, &i, CHANGED(late, FUTURE_PENDING), RELABELLED(a, FUTURE_SUCCEEDED));
    harness_cancel(&h, late.text);
    harness_fail(&h, b.text, "no");
    EXPECT(&h, &c, &i, CHANGED(late, FUTURE_CANCELLED), CHANGED(b, FUTURE_FAILED));
    leave(&h, &c);
    harness_deinit(&h);
}

/* Nothing matches: at once it is known that this is all. */
static void test_empty(void **state)
{
    struct harness_id id;
    struct loopback_call c;
    struct harness h;
    size_t i = 0;

    harness_init(&h, NULL);
    submit(&h, "other");
    harness_unary(&h, &c, "Watch", "selector { group: 'g' }");
    EXPECT(&h, &c, &i, OPENED);
    id = submit(&h, "g");
    EXPECT(&h, &c, &i, CHANGED(id, FUTURE_PENDING));
    leave(&h, &c);
    harness_deinit(&h);
}

/* What happens within a turn of the feeds is one event; it shows the last state, in the order of those. */
static void test_merged(void **state)
{
    struct harness_id a, b;
    struct loopback_call c;
    struct harness h;
    size_t i = 0;

    harness_init(&h, NULL);
    harness_unary(&h, &c, "Watch", "selector { filter: '*' }");
    EXPECT(&h, &c, &i, OPENED);
    a = submit(&h, "");
    b = submit(&h, "");
    harness_start(&h, b.text);
    annotate(&h, b.text, "v");
    harness_start(&h, a.text);
    harness_succeed(&h, a.text, "r");
    EXPECT(&h, &c, &i, RELABELLED(b, FUTURE_RUNNING), CHANGED(a, FUTURE_SUCCEEDED));
    leave(&h, &c);
    harness_deinit(&h);
}

/* What stops matching by its state or its labels is shown once more, as it is then. */
static void test_leaves(void **state)
{
    struct harness_id a, b;
    struct loopback_call running, labelled, pending;
    struct harness h;
    size_t i = 0, k = 0, p = 0;

    harness_init(&h, NULL);
    a = submit(&h, "");
    b = submit(&h, "");
    harness_unary(&h, &running, "Watch", "selector { filter: 'state = RUNNING' }");
    harness_unary(&h, &labelled, "Watch", "selector { filter: 'labels.k = v' }");
    harness_unary(&h, &pending, "Watch", "selector { filter: 'state = PENDING' }");
    EXPECT(&h, &running, &i, OPENED);
    EXPECT(&h, &labelled, &k, OPENED);
    EXPECT(&h, &pending, &p, SHOWN(a, FUTURE_PENDING), SHOWN(b, FUTURE_PENDING), OPENED);
    harness_start(&h, a.text);
    EXPECT(&h, &running, &i, CHANGED(a, FUTURE_RUNNING));
    EXPECT(&h, &pending, &p, CHANGED(a, FUTURE_RUNNING));
    annotate(&h, a.text, "v");
    EXPECT(&h, &running, &i, RELABELLED(a, FUTURE_RUNNING));
    EXPECT(&h, &labelled, &k, RELABELLED(a, FUTURE_RUNNING));
    annotate(&h, a.text, "w");
    EXPECT(&h, &running, &i, RELABELLED(a, FUTURE_RUNNING));
    EXPECT(&h, &labelled, &k, RELABELLED(a, FUTURE_RUNNING));
    harness_succeed(&h, a.text, "r");
    EXPECT(&h, &running, &i, CHANGED(a, FUTURE_SUCCEEDED));
    annotate(&h, a.text, "x");
    expect_nothing(&h, &running, i);
    expect_nothing(&h, &labelled, k);
    harness_start(&h, b.text); /* both in one turn: it was RUNNING, and is not */
    harness_succeed(&h, b.text, "r");
    EXPECT(&h, &running, &i, CHANGED(b, FUTURE_SUCCEEDED));
    EXPECT(&h, &pending, &p, CHANGED(b, FUTURE_SUCCEEDED));
    expect_nothing(&h, &labelled, k);
    leave(&h, &running);
    leave(&h, &labelled);
    leave(&h, &pending);
    harness_deinit(&h);
}

static void test_kinds(void **state)
{
    struct harness_id id;
    struct loopback_call states, labels, output;
    struct harness h;
    size_t s = 0, l = 0, o = 0;

    harness_init(&h, NULL);
    harness_unary(&h, &states, "Watch", "selector { filter: '*' } kinds: EVENT_KIND_STATE");
    harness_unary(&h, &labels, "Watch", "selector { filter: '*' } kinds: EVENT_KIND_LABELS");
    harness_unary(&h, &output, "Watch", "selector { filter: '*' } kinds: EVENT_KIND_OUTPUT");
    EXPECT(&h, &states, &s, OPENED);
    EXPECT(&h, &labels, &l, OPENED);
    EXPECT(&h, &output, &o, OPENED);
    id = submit(&h, "");
    harness_start(&h, id.text);
    annotate(&h, id.text, "a");
    annotate(&h, id.text, "b");
    /* the newest change is one of labels: each of the former may have been the last of its kind, and is shown as it is now */
    EXPECT(&h, &states, &s, CHANGED(id, FUTURE_RUNNING), CHANGED(id, FUTURE_RUNNING));
    EXPECT(&h, &labels, &l, RELABELLED(id, FUTURE_RUNNING));
    annotate(&h, id.text, "c");
    harness_lose(&h, id.text);
    harness_start(&h, id.text);
    harness_succeed(&h, id.text, "r");
    EXPECT(&h, &states, &s, CHANGED(id, FUTURE_SUCCEEDED));
    EXPECT(&h, &labels, &l, RELABELLED(id, FUTURE_SUCCEEDED));
    expect_nothing(&h, &output, o);
    leave(&h, &states);
    leave(&h, &labels);
    leave(&h, &output);
    harness_deinit(&h);
}

/* What was deleted before its event was looked at is not shown; that it is gone is none. */
static void test_deleted(void **state)
{
    struct harness_id a, b;
    struct loopback_call c, d;
    struct harness h;
    size_t i = 0;

    harness_init(&h, NULL);
    harness_unary(&h, &c, "Watch", "selector { filter: '*' }");
    EXPECT(&h, &c, &i, OPENED);
    a = submit(&h, "");
    b = submit(&h, "");
    harness_cancel(&h, a.text);
    harness_unary(&h, &d, "Delete", "id: '%s'", a.text);
    assert_int_equal(d.status.code, GRPC_OK); /* who follows all does not pin each */
    loopback_call_deinit(&d);
    EXPECT(&h, &c, &i, CHANGED(b, FUTURE_PENDING));
    harness_cancel(&h, b.text);
    EXPECT(&h, &c, &i, CHANGED(b, FUTURE_CANCELLED));
    harness_unary(&h, &d, "Delete", "id: '%s'", b.text);
    loopback_call_deinit(&d);
    expect_nothing(&h, &c, i);
    leave(&h, &c);
    harness_deinit(&h);
}

/* ---- cursors */

static void test_resume(void **state)
{
    struct harness_id a, b;
    struct loopback_call c, d;
    struct harness h;
    uint64_t epoch, number;
    size_t i = 0;

    harness_init(&h, NULL);
    a = submit(&h, "g");
    harness_unary(&h, &c, "Watch", "selector { group: 'g' }");
    EXPECT(&h, &c, &i, SHOWN(a, FUTURE_PENDING), OPENED);
    harness_start(&h, a.text);
    b = submit(&h, "g");
    EXPECT(&h, &c, &i, CHANGED(a, FUTURE_RUNNING), CHANGED(b, FUTURE_PENDING));
    cursor_of(&h, &c, i - 2, &epoch, &number); /* of the first of the two */
    leave(&h, &c);
    harness_succeed(&h, a.text, "r");
    i = 0;
    harness_unary(&h, &c, "Watch", "selector { group: 'g' } cursor { epoch: %" PRIu64 " event: %" PRIu64 " }",
                  epoch, number);
    EXPECT(&h, &c, &i, CHANGED(b, FUTURE_PENDING), CHANGED(a, FUTURE_SUCCEEDED));
    cursor_of(&h, &c, i - 1, &epoch, &number);
    leave(&h, &c);
    i = 0;
    harness_unary(&h, &c, "Watch", "selector { group: 'g' } cursor { epoch: %" PRIu64 " event: %" PRIu64 " }",
                  epoch, number);
    expect_nothing(&h, &c, i); /* nothing has happened: nothing is said */
    harness_unary(&h, &d, "Watch", "selector { group: 'g' } cursor { epoch: %" PRIu64 " event: %" PRIu64 " }",
                  epoch, number + 1);
    harness_expect(&d, GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "cursor.event");
    loopback_call_deinit(&d);
    leave(&h, &c);
    harness_deinit(&h);
}

/* Of another start, or too old: `lost`, and everything anew. */
static void test_lost_cursor(void **state)
{
    struct harness_id a;
    struct loopback_call c;
    struct harness h;
    uint64_t epoch, number;
    size_t i = 0;
    event_t *e;

    harness_init(&h, NULL);
    futures_limit_watches(h.futures, &(struct futures_watches){4, 8, 0});
    a = submit(&h, "g");
    harness_unary(&h, &c, "Watch", "selector { group: 'g' } cursor { epoch: 1 event: 5 }");
    EXPECT(&h, &c, &i, {LOST, NULL, 0, 0}, SHOWN(a, FUTURE_PENDING), OPENED);
    e = event(&h, &c, 0);
    assert_int_equal(e->lost->events, 0); /* nobody knows */
    harness_free(e);
    cursor_of(&h, &c, i - 1, &epoch, &number);
    leave(&h, &c);
    for (int n = 0; n < 11; n++)
        annotate(&h, a.text, n % 2 ? "a" : "b");
    i = 0;
    harness_unary(&h, &c, "Watch", "selector { group: 'g' } cursor { epoch: %" PRIu64 " event: %" PRIu64 " }",
                  epoch, number);
    EXPECT(&h, &c, &i, {LOST, NULL, 0, 0}, SHOWN(a, FUTURE_PENDING), OPENED);
    e = event(&h, &c, 0);
    assert_int_equal(e->lost->events, 3); /* 11 and room for 8 */
    harness_free(e);
    leave(&h, &c);
    harness_deinit(&h);
}

/* ---- who does not read */

/* Merged as long as the ring reaches back; lost beyond. Nothing is held for it. */
static void test_unread(void **state)
{
    enum { N = 50 };
    struct harness_id ids[N];
    struct loopback_call c;
    struct harness h;
    size_t i, n_lost = 0, n_snapshots = 0, n_state = 0;
    uint64_t n_bytes;

    harness_init(&h, NULL);
    futures_limit_watches(h.futures, &(struct futures_watches){4, 4000, 0});
    for (i = 0; i < N; i++)
        ids[i] = harness_submit(&h, "task { function: 'echo' argument: x8000 }");
    harness_unary(&h, &c, "Watch", "selector { filter: '*' } view: VIEW_FULL");
    harness_advance(&h, SHORT);
    assert_int_equal(c.n_messages, N + 1);
    grpc_client_call_pause(c.call, 1);
    for (int round = 0; round < 10; round++) /* fewer changes than the ring has room for */
        for (i = 0; i < N; i++) {
            annotate(&h, ids[i].text, round % 2 ? "a" : "b");
            harness_advance(&h, SHORT);
        }
    n_bytes = h2_session_pending_bytes(grpc_conn_session(h.lo.conn));
    assert_true(n_bytes < H2_STREAM_HIGH_BYTES + 16384);
    grpc_client_call_pause(c.call, 0);
    harness_advance(&h, SHORT);
    harness_advance(&h, SHORT);
    assert_true(c.n_messages - (N + 1) < 5 * N); /* far fewer than there were changes */
    i = c.n_messages;
    grpc_client_call_pause(c.call, 1);
    for (int round = 0; round < 100; round++)
        for (size_t k = 0; k < N; k++)
            annotate(&h, ids[k].text, round % 2 ? "a" : "b");
    harness_succeed(&h, ids[0].text, "r");
    harness_advance(&h, SHORT);
    grpc_client_call_pause(c.call, 0);
    for (int k = 0; k < 10; k++)
        harness_advance(&h, SHORT);
    for (; i < c.n_messages; i++) {
        event_t *e = event(&h, &c, i);

        n_lost += (int)e->event_case == LOST;
        n_snapshots += (int)e->event_case == SNAPSHOT && n_lost > 0;
        n_state +=
                (int)e->event_case == SNAPSHOT && e->snapshot->state == FUTURED__V1__STATE__STATE_SUCCEEDED;
        harness_free(e);
    }
    assert_int_equal(n_lost, 1);
    assert_int_equal(n_snapshots, N);
    assert_int_equal(n_state, 1);
    leave(&h, &c);
    harness_deinit(&h);
}

/* Snapshots stop where the client does, and go on there; what happens meanwhile to those that were sent comes as events. */
static void test_unread_snapshots(void **state)
{
    enum { N = 200 };
    struct harness_id ids[N];
    struct loopback_call c;
    struct harness h;
    size_t n_snapshots = 0, n_first = 0, n_last = 0;

    harness_init(&h, NULL);
    for (size_t i = 0; i < N; i++)
        ids[i] = harness_submit(&h, "task { function: 'echo' argument: x8000 } group: 'g'");
    harness_call(&h, &c, "Watch");
    grpc_client_call_pause(c.call, 1);
    harness_send(&c, "Watch", "selector { group: 'g' } view: VIEW_FULL");
    loopback_half_close(&c);
    harness_settle(&h);
    harness_start(&h, ids[0].text);
    harness_start(&h, ids[N - 1].text);
    harness_advance(&h, SHORT);
    grpc_client_call_pause(c.call, 0);
    for (int k = 0; k < 10; k++)
        harness_advance(&h, SHORT);
    for (size_t i = 0; i < c.n_messages; i++) {
        event_t *e = event(&h, &c, i);

        n_snapshots += (int)e->event_case == SNAPSHOT;
        n_first += (int)e->event_case == STATE && strcmp(e->id, ids[0].text) == 0 &&
                   e->state->state == FUTURED__V1__STATE__STATE_RUNNING;
        n_last += (int)e->event_case == SNAPSHOT && strcmp(e->id, ids[N - 1].text) == 0 &&
                  e->snapshot->state == FUTURED__V1__STATE__STATE_RUNNING;
        assert_int_equal((int)e->event_case == KEEPALIVE, i == c.n_messages - 1);
        harness_free(e);
    }
    assert_int_equal(n_snapshots, N);
    assert_int_equal(n_first, 1);
    assert_int_equal(n_last, 1);
    assert_int_equal(c.n_messages, N + 2);
    leave(&h, &c);
    harness_deinit(&h);
}

/* An event waits for the commit of what it shows, and asks for it. */
static void test_held_back(void **state)
{
    struct harness_id id;
    struct loopback_call c;
    struct harness h;
    size_t i = 0;

    harness_init(&h, NULL);
    futures_keep(h.futures, &(struct futures_loader){0});
    id = submit(&h, "g");
    harness_unary(&h, &c, "Watch", "selector { filter: 'state = PENDING OR state = RUNNING' }");
    EXPECT(&h, &c, &i, SHOWN(id, FUTURE_PENDING), OPENED);
    h.holds_back = 1;
    harness_start(&h, id.text);
    expect_nothing(&h, &c, i);
    grpc_server_release(h.server, harness_find(&h, id.text)->commit_seq - 1);
    expect_nothing(&h, &c, i);
    grpc_server_release(h.server, harness_find(&h, id.text)->commit_seq);
    EXPECT(&h, &c, &i, CHANGED(id, FUTURE_RUNNING));
    leave(&h, &c);
    harness_deinit(&h);
}

/* ---- what is on disk only */

struct shelf {
    struct futures_wish *wish;
    struct id asked;
    int refuse;
};

static int load(void *context, const struct id *id, struct futures_wish *wish)
{
    struct shelf *s = context;

    if (s->refuse)
        return s->refuse;
    assert_null(s->wish);
    s->wish = wish;
    s->asked = *id;
    list_init(&wish->link);
    return 0;
}

/* What the engine has let go comes back as it was. */
static struct future *restore(struct harness *h, const struct id *id, uint64_t revision)
{
    struct restored in = {.id = *id,
                          .state = FUTURE_CANCELLED,
                          .on_lost = ON_LOST_RETRY,
                          .revision = revision,
                          .submit_time = h->wall,
                          .retention_ns = -1,
                          .function = SPAN_LIT("echo"),
                          .group = SPAN_LIT("g"),
                          .end_time = h->wall,
                          .expire_time = h->wall + 3600 * NS_PER_S,
                          .task = bytes_dup("\n\4echo", 6),
                          .has_error = 1,
                          .error = {.code = 1, .reason = REASON_CANCELLED}};
    struct future *f = NULL;

    assert_int_equal(engine_restore(h->engine, &in, &f), 0);
    bytes_unref(in.task);
    return f;
}

/* @result: what the store answers. */
static void check_evicted(int result)
{
    struct shelf shelf = {0};
    struct harness_id id, next;
    struct loopback_call c;
    struct harness h;
    size_t i = 0;
    uint64_t revision;
    struct future *f;

    harness_init(&h, NULL);
    harness_unary(&h, &c, "Watch", "selector { filter: 'group = g state != SUCCEEDED' }");
    EXPECT(&h, &c, &i, OPENED);
    futures_keep(h.futures, &(struct futures_loader){.load = load, .context = &shelf});
    id = submit(&h, "g");
    harness_cancel(&h, id.text);
    next = submit(&h, "g");
    f = harness_find(&h, id.text);
    revision = f->revision;
    assert_int_equal(engine_delete(h.engine, f), 0); /* as if it had left memory */
    shelf.refuse = FUTURES_E_BUSY;
    harness_advance(&h, SHORT);
    shelf.refuse = 0;
    expect_nothing(&h, &c, i); /* the other one waits behind it */
    assert_non_null(shelf.wish);
    f = result ? NULL : restore(&h, &shelf.asked, revision);
    shelf.wish->on_loaded(TAKE_PTR(shelf.wish), result, f);
    if (result == 0)
        EXPECT(&h, &c, &i, CHANGED(id, FUTURE_CANCELLED), CHANGED(next, FUTURE_PENDING));
    harness_advance(&h, SHORT);
    while (result == FUTURES_E_NOT_FOUND && shelf.wish) /* for each of its events */
        shelf.wish->on_loaded(TAKE_PTR(shelf.wish), result, NULL);
    if (result == FUTURES_E_NOT_FOUND)
        EXPECT(&h, &c, &i, CHANGED(next, FUTURE_PENDING));
    if (result == FUTURES_E_DATA_LOSS) {
        harness_settle(&h);
        assert_true(c.is_done);
        assert_int_equal(c.status.code, GRPC_DATA_LOSS);
        loopback_call_deinit(&c);
    } else {
        leave(&h, &c);
    }
    harness_deinit(&h);
}

static void test_evicted(void **state)
{
    check_evicted(0);
    check_evicted(FUTURES_E_NOT_FOUND);
    check_evicted(FUTURES_E_DATA_LOSS);
}

/* ---- limits, ends */

static void test_limit(void **state)
{
    struct loopback_call calls[3], bad;
    struct harness h;

    harness_init(&h, NULL);
    futures_limit_watches(h.futures, &(struct futures_watches){2, 16, 0});
    harness_unary(&h, &calls[0], "Watch", "selector { group: 'g' }");
    harness_unary(&h, &calls[1], "Watch", "selector { filter: '*' }");
    harness_unary(&h, &calls[2], "Watch", "selector { group: 'g' }");
    harness_expect(&calls[2], GRPC_RESOURCE_EXHAUSTED, "TOO_MANY_WATCHES", NULL);
    assert_string_equal(calls[2].status.quota_subject, "limits.filter_watches");
    loopback_call_deinit(&calls[2]);
    harness_unary(&h, &bad, "Watch", "selector { filter: 'state' }");
    harness_expect(&bad, GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "selector.filter");
    loopback_call_deinit(&bad);
    leave(&h, &calls[0]);
    harness_unary(&h, &calls[0], "Watch", "selector { group: 'g' }");
    assert_false(calls[0].is_done);
    leave(&h, &calls[0]);
    leave(&h, &calls[1]);
    harness_deinit(&h);
}

static void test_shutdown(void **state)
{
    struct loopback_call c;
    struct harness h;

    harness_init(&h, NULL);
    harness_unary(&h, &c, "Watch", "selector { filter: '*' }");
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
    harness_unary(h, c, "Watch", "selector { filter: 'labels.k = v OR state != FAILED' } view: VIEW_FULL");
    harness_start(h, id.text);
    harness_advance(h, SHORT);
    harness_succeed(h, id.text, "r");
    harness_advance(h, SHORT);
    if (!c->is_done && !h2_session_is_over(grpc_conn_session(h->lo.conn))) { /* so it goes on */
        grpc_client_call_cancel(c->call);
        harness_settle(h);
        c->status.code = GRPC_OK;
    }
}

static void test_no_memory(void **state)
{
    harness_fail_allocations(without_memory, 5);
}

/* ---- the model */

enum { N_FUTURES = 40, N_WATCHERS = 6, RING = 64 };

static const struct question {
    const char *request;
    int is_group, state, label; /* what it asks for; 0: not so */
    int is_exact;               /* of the newest revision: both kinds are asked for */
} questions[N_WATCHERS] = {
        {"selector { filter: '*' }", 0, 0, 0, 1},
        {"selector { group: 'g' }", 1, 0, 0, 1},
        {"selector { filter: 'state = RUNNING' }", 0, FUTURE_RUNNING, 0, 1},
        {"selector { filter: 'labels.k = a' }", 0, 0, 'a', 1},
        {"selector { filter: 'group = g AND state = PENDING AND labels.k = a' }", 1, FUTURE_PENDING, 'a', 1},
        {"selector { filter: '*' } kinds: EVENT_KIND_STATE", 0, 0, 0, 0},
};

/* What a client knows of a future. */
struct known {
    int is_shown, is_match;
    uint64_t revision;
    int state;
};

struct client {
    const struct question *question;
    struct loopback_call call;
    size_t n_read; /* of its messages */
    int is_paused, is_opening;
    uint64_t epoch, number; /* its newest cursor; 0 = none */
    struct known known[N_FUTURES];
};

struct model {
    struct harness h;
    struct test_random rnd;
    struct harness_id ids[N_FUTURES];
    int is_member[N_FUTURES];
    uint32_t n;
    struct client clients[N_WATCHERS];
    size_t n_lost, n_resumed;
};

static int is_match(const struct question *q, int is_member, int state, char label)
{
    return (!q->is_group || is_member) && (!q->state || q->state == state) &&
           (!q->label || q->label == label);
}

static char label_of(const Futured__V1__Future *f)
{
    return f->n_labels ? f->labels[0]->value[0] : 0;
}

/* A client takes what has come. */
static void read_events(struct model *m, struct client *c)
{
    for (; c->n_read < c->call.n_messages; c->n_read++) {
        event_t *e = event(&m->h, &c->call, c->n_read);
        const Futured__V1__Future *f = future_of(e);

        assert_true(!e->cursor || e->cursor->event >= c->number || c->is_opening);
        if (e->cursor) {
            c->epoch = e->cursor->epoch;
            c->number = e->cursor->event;
        }
        if ((int)e->event_case == LOST) {
            memset(c->known, 0,
                   sizeof c->known); /* everything anew; of what is not shown again nothing is known */
            c->is_opening = 1;
            c->number = 0;
            m->n_lost++;
        }
        if ((int)e->event_case == KEEPALIVE)
            c->is_opening = 0;
        for (uint32_t i = 0; f && i < m->n; i++) {
            struct known *k = &c->known[i];

            if (strcmp(m->ids[i].text, f->id) != 0)
                continue;
            assert_true(f->revision >= k->revision); /* never back */
            k->is_match =
                    is_match(c->question, f->group && strcmp(f->group, "g") == 0, (int)f->state, label_of(f));
            if ((int)e->event_case == SNAPSHOT)
                assert_true(k->is_match);
            k->is_shown = 1;
            k->revision = f->revision;
            k->state = (int)f->state;
        }
        harness_free(e);
    }
}

static void watch(struct model *m, struct client *c)
{
    harness_call(&m->h, &c->call, "Watch");
    if (c->number) {
        harness_send(&c->call, "Watch", "%s cursor { epoch: %" PRIu64 " event: %" PRIu64 " }",
                     c->question->request, c->epoch, c->number);
        m->n_resumed++;
    } else {
        harness_send(&c->call, "Watch", "%s", c->question->request);
        memset(c->known, 0, sizeof c->known);
        c->is_opening = 1;
    }
    loopback_half_close(&c->call);
    c->n_read = 0;
    c->is_paused = 0;
    harness_settle(&m->h);
}

static void move_future(struct model *m)
{
    uint32_t i = (uint32_t)test_random_below(&m->rnd, N_FUTURES);
    struct future *f;
    struct loopback_call c;

    if (i >= m->n) {
        if (m->n == N_FUTURES)
            return;
        i = m->n++;
        m->is_member[i] = (int)test_random_below(&m->rnd, 2);
        m->ids[i] = harness_submit(&m->h, "task { function: 'echo' argument: x2000 } group: '%s'",
                                   m->is_member[i] ? "g" : "");
        return;
    }
    f = harness_find(&m->h, m->ids[i].text);
    if (!f)
        return;
    switch (test_random_below(&m->rnd, 6)) {
    case 0:
    case 1: annotate(&m->h, m->ids[i].text, test_random_below(&m->rnd, 2) ? "a" : "b"); break;
    case 2:
        if (f->state == FUTURE_PENDING)
            harness_start(&m->h, m->ids[i].text);
        break;
    case 3:
        if (f->state == FUTURE_RUNNING)
            harness_lose(&m->h, m->ids[i].text);
        break;
    case 4:
        if (!future_is_terminal(f) && test_random_below(&m->rnd, 4) == 0)
            harness_succeed(&m->h, m->ids[i].text, "r");
        break;
    default:
        if (future_is_terminal(f) && test_random_below(&m->rnd, 8) == 0) {
            harness_unary(&m->h, &c, "Delete", "id: '%s'", m->ids[i].text);
            loopback_call_deinit(&c);
        }
    }
}

static void move_client(struct model *m)
{
    struct client *c = &m->clients[test_random_below(&m->rnd, N_WATCHERS)];

    switch (test_random_below(&m->rnd, 8)) {
    case 0: /* the connection breaks: what was not read is not known */
        if (!c->is_paused)
            read_events(m, c);
        grpc_client_call_cancel(c->call.call);
        harness_settle(&m->h);
        loopback_call_deinit(&c->call);
        watch(m, c);
        break;
    case 1:
        c->is_paused = 1;
        grpc_client_call_pause(c->call.call, 1);
        break;
    case 2:
    case 3:
        c->is_paused = 0;
        grpc_client_call_pause(c->call.call, 0);
        break;
    default:
        if (!c->is_paused)
            read_events(m, c);
    }
}

/* Everything has come: each client knows how each future is. */
static void check_client(struct model *m, struct client *c)
{
    c->is_paused = 0;
    grpc_client_call_pause(c->call.call, 0);
    for (int i = 0; i < 20; i++)
        harness_advance(&m->h, SHORT);
    read_events(m, c);
    assert_false(c->is_opening);
    for (uint32_t i = 0; i < m->n; i++) {
        const struct future *f = harness_find(&m->h, m->ids[i].text);
        const struct known *k = &c->known[i];
        char label;

        if (!f)
            continue;
        label = f->labels ? (char)f->labels->at[0].value.p[0] : 0;
        if (is_match(c->question, m->is_member[i], f->state, label)) {
            if (!k->is_shown || k->state != f->state || (c->question->is_exact && k->revision != f->revision))
                fail_msg("%s: future %u in state %d is not known", c->question->request, i, f->state);
        } else if (k->is_shown && k->is_match) {
            fail_msg("%s: that future %u matches no more is not known", c->question->request, i);
        }
    }
}

static void test_model(void **state)
{
    static struct model m;
    size_t n_lost = 0, n_resumed = 0;

    for (uint64_t round = 0; round < 40; round++) {
        memset(&m, 0, sizeof m);
        m.rnd.state = test_seed() + round;
        harness_init(&m.h, NULL);
        futures_limit_watches(m.h.futures, &(struct futures_watches){N_WATCHERS, RING, 0});
        for (size_t i = 0; i < N_WATCHERS; i++) {
            m.clients[i].question = &questions[i];
            watch(&m, &m.clients[i]);
        }
        for (int step = 0; step < 600; step++) {
            if (test_random_below(&m.rnd, 3))
                move_future(&m);
            else
                move_client(&m);
            harness_advance(&m.h, (int64_t)test_random_below(&m.rnd, 4) * 4 * NS_PER_MS);
        }
        for (size_t i = 0; i < N_WATCHERS; i++) {
            check_client(&m, &m.clients[i]);
            leave(&m.h, &m.clients[i].call);
        }
        n_lost += m.n_lost;
        n_resumed += m.n_resumed;
        harness_deinit(&m.h);
    }
    print_message("    %zu lost, %zu resumed\n", n_lost, n_resumed);
    assert_true(n_lost > 10 && n_resumed > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_group),     cmocka_unit_test(test_empty),
            cmocka_unit_test(test_merged),    cmocka_unit_test(test_leaves),
            cmocka_unit_test(test_kinds),     cmocka_unit_test(test_deleted),
            cmocka_unit_test(test_resume),    cmocka_unit_test(test_lost_cursor),
            cmocka_unit_test(test_unread),    cmocka_unit_test(test_unread_snapshots),
            cmocka_unit_test(test_held_back), cmocka_unit_test(test_evicted),
            cmocka_unit_test(test_limit),     cmocka_unit_test(test_shutdown),
            cmocka_unit_test(test_no_memory), cmocka_unit_test(test_model),
    };

    return cmocka_run_group_tests_name("service/feed", tests, NULL, NULL);
}
