// SPDX-License-Identifier: Apache-2.0
/* What a worker says on its stream: outcomes, large ones in pieces, leases that are not its own, what it gives back, what it
 * is asked for; and what cuts it off. */
#include "dispatch/internal.h"
#include "tests/unit/dispatch/harness.h"

/* A worker with one task assigned. */
struct scene {
    struct harness h;
    struct child *w;
    struct future *f;
    struct item *item;
};

static void set_scene(struct scene *s)
{
    harness_init(&s->h);
    s->w = harness_spawn(&s->h, 5);
    harness_hello(s->w, "slots: 1", 3);
    s->f = harness_submit(&s->h, "function: 'echo' argument: 'x'");
    harness_settle(&s->h);
    s->item = harness_take(s->w);
}

static void set_running(struct scene *s)
{
    set_scene(s);
    worker_starts(s->w, s->item);
}

static void say_finish(struct scene *s, const char *outcome)
{
    worker_ends(s->w);
    worker_finishes(s->w, s->item, outcome);
    harness_settle(&s->h);
}

static void expect_text(struct span got, const char *expected)
{
    assert_int_equal(got.len, strlen(expected));
    if (got.len)
        assert_memory_equal(got.p, expected, got.len);
}

/* --- Finish */

static void test_result(void **state)
{
    const struct attempt *a;
    struct scene s;

    set_running(&s);
    s.h.wall += 5;
    say_finish(&s, "result { data: 'the result' content_type: 'text/plain' size_bytes: 10 } "
                   "usage { user_cpu { seconds: 1 } system_cpu { nanos: 5 } wall { seconds: 2 nanos: 7 } "
                   "max_rss_bytes: "
                   "4096 } exit_code: 0");
    assert_int_equal(s.f->state, FUTURE_SUCCEEDED);
    expect_text(SPAN_OF_BYTES(s.f->outcome->data), "the result");
    expect_text(SPAN_OF_BYTES(s.f->outcome->content_type), "text/plain");
    a = s.f->attempts;
    assert_true(a->start_time == s.h.wall - 5); /* the page's, not when we looked */
    assert_true(a->usage.user_cpu_ns == NS_PER_S);
    assert_true(a->usage.system_cpu_ns == 5);
    assert_true(a->usage.wall_ns == 2 * NS_PER_S + 7);
    assert_true(a->usage.max_rss_bytes == 4096);
    assert_true(a->has_exit_code && a->exit_code == 0);
    assert_false(a->has_signal);
    assert_int_equal(dispatch_n_leases(s.h.dispatch), 0);
    harness_deinit(&s.h);
}

static void test_least_result(void **state)
{
    const struct attempt *a;
    struct scene s;

    set_running(&s);
    say_finish(&s, "result {}");
    assert_int_equal(s.f->state, FUTURE_SUCCEEDED);
    assert_int_equal(s.f->outcome->data->len, 0);
    assert_null(s.f->outcome->content_type);
    a = s.f->attempts;
    assert_true(a->usage.user_cpu_ns < 0 && a->usage.system_cpu_ns < 0 && a->usage.max_rss_bytes < 0);
    assert_true(a->usage.wall_ns >= 0); /* as we saw it */
    assert_false(a->has_exit_code || a->has_signal);
    harness_deinit(&s.h);
}

/* Usage that cannot be was not said. */
static void test_odd_usage(void **state)
{
    struct scene s;

    set_running(&s);
    say_finish(&s, "result {} usage { wall { seconds: -5 } max_rss_bytes: 18446744073709551615 } exit_code: "
                   "-1 signal: 9");
    assert_int_equal(s.f->state, FUTURE_SUCCEEDED);
    assert_true(s.f->attempts->usage.wall_ns >= 0);
    assert_true(s.f->attempts->usage.max_rss_bytes < 0);
    assert_int_equal(s.f->attempts->exit_code, -1);
    assert_int_equal(s.f->attempts->signal, 9);
    harness_deinit(&s.h);
}

/* A start that nobody has told of is told by the finish. */
static void test_finish_without_start(void **state)
{
    struct scene s;

    set_scene(&s);
    harness_say(s.w, "finish { %s result {} }", harness_lease(s.item));
    harness_settle(&s.h);
    assert_int_equal(s.f->state, FUTURE_SUCCEEDED);
    assert_true(s.f->attempts->start_time == s.h.wall);
    harness_deinit(&s.h);
}

static void test_error(void **state)
{
    const struct future_error *e;
    struct scene s;

    set_running(&s);
    say_finish(&s, "error { code: ABORTED reason: 'MEMORY_LIMIT' type: 'T' message: 'm, é' traceback: 'at 1' "
                   "function_reason: 'MINE' retryable: true details { type_url: 'a/b' value: #00ff } details "
                   "{ type_url: "
                   "'c' } } signal: 9");
    assert_int_equal(s.f->state, FUTURE_FAILED);
    e = s.f->outcome->error;
    assert_int_equal(e->code, GRPC_ABORTED);
    assert_int_equal(e->reason, REASON_MEMORY_LIMIT);
    expect_text(e->type, "T");
    expect_text(e->message, "m, é");
    expect_text(e->traceback, "at 1");
    expect_text(e->function_reason, "MINE");
    assert_true(e->retryable);
    assert_true(span_eq(e->details, SPAN_LIT("\x42\x09\x0a\x03"
                                             "a/b"
                                             "\x12\x02\x00\xff\x42\x03\x0a\x01"
                                             "c")));
    assert_ptr_equal(s.f->attempts->error, e);
    assert_true(s.f->attempts->has_signal && s.f->attempts->signal == 9);
    harness_deinit(&s.h);
}

static void test_error_defaults(void **state)
{
    static const struct {
        const char *text;
        int code;
        enum future_reason reason;
    } cases[] = {
            {"error {}", GRPC_UNKNOWN, REASON_FUNCTION_ERROR},
            {"error { reason: 'OF_MY_OWN' }", GRPC_UNKNOWN, REASON_FUNCTION_ERROR},
            {"error { code: 17 }", GRPC_UNKNOWN, REASON_FUNCTION_ERROR},
            {"error { code: -1 }", GRPC_UNKNOWN, REASON_FUNCTION_ERROR},
            {"error { code: UNAUTHENTICATED reason: 'TIMEOUT' }", GRPC_UNAUTHENTICATED, REASON_TIMEOUT},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct scene s;

        set_running(&s);
        say_finish(&s, cases[i].text);
        assert_int_equal(s.f->state, FUTURE_FAILED);
        assert_int_equal(s.f->outcome->error->code, cases[i].code);
        assert_int_equal(s.f->outcome->error->reason, cases[i].reason);
        harness_deinit(&s.h);
    }
}

/* Long ones are shortened, at a character, so that the future can be shown. */
static void test_long_error(void **state)
{
    const struct future_error *e;
    struct buf text = BUF_INIT;
    struct scene s;

    set_running(&s);
    worker_ends(s.w);
    for (int i = 0; i < 40000; i++)
        text_put(&text, "字", 3);
    text_put(&text, "", 1);
    harness_say(s.w,
                "finish { %s error { type: '%s' message: '%s' traceback: '%s' function_reason: '%s' details "
                "{ type_url: "
                "'%s' } } }",
                harness_lease(s.item), (const char *)buf_head(&text), (const char *)buf_head(&text),
                (const char *)buf_head(&text), (const char *)buf_head(&text), (const char *)buf_head(&text));
    harness_settle(&s.h);
    assert_int_equal(s.f->state, FUTURE_FAILED);
    e = s.f->outcome->error;
    assert_int_equal(e->type.len, 255);
    assert_int_equal(e->function_reason.len, 255);
    assert_int_equal(e->message.len, 65535);
    assert_int_equal(e->traceback.len, 65535);
    assert_int_equal(e->details.len, 0);
    buf_deinit(&text);
    harness_deinit(&s.h);
}

/* A content type of more than 255 bytes is cut, at a character. */
static void test_long_content_type(void **state)
{
    struct buf text = BUF_INIT;
    struct scene s;

    set_running(&s);
    worker_ends(s.w);
    text_put(&text, "xx", 2);
    for (int i = 0; i < 100; i++)
        text_put(&text, "字", 3);
    text_put(&text, "", 1);
    harness_say(s.w, "finish { %s result { content_type: '%s' } }", harness_lease(s.item),
                (const char *)buf_head(&text));
    harness_settle(&s.h);
    assert_int_equal(s.f->state, FUTURE_SUCCEEDED);
    assert_int_equal(s.f->outcome->content_type->len, 254);
    buf_deinit(&text);
    harness_deinit(&s.h);
}

static void test_result_too_large(void **state)
{
    struct scene s;

    set_running(&s);
    worker_ends(s.w);
    worker_finishes(s.w, s.item, "result { data: x300000 size_bytes: 300000 }"); /* as much as there may be */
    harness_settle(&s.h);
    assert_int_equal(s.f->state, FUTURE_SUCCEEDED);
    harness_deinit(&s.h);

    set_running(&s);
    worker_ends(s.w);
    worker_finishes(s.w, s.item, "result { data: x300001 size_bytes: 300001 }");
    harness_settle(&s.h);
    assert_int_equal(s.f->state, FUTURE_FAILED);
    assert_int_equal(s.f->outcome->error->reason, REASON_RESULT_TOO_LARGE);
    assert_int_equal(s.f->outcome->error->code, GRPC_RESOURCE_EXHAUSTED);
    assert_non_null(memmem(s.f->outcome->error->message.p, s.f->outcome->error->message.len, "300001", 6));
    assert_false(s.w->call.is_done); /* the worker is fine */
    harness_deinit(&s.h);
}

/* Several in one message, in order. */
static void test_batch(void **state)
{
    struct future *f[3];
    struct child *w;
    struct harness h;
    char text[1024] = "";

    harness_init(&h);
    w = harness_spawn(&h, 5);
    harness_hello(w, "slots: 3", 3);
    for (int i = 0; i < 3; i++)
        f[i] = harness_submit(&h, "function: 'echo'");
    harness_settle(&h);
    for (int i = 0; i < 3; i++) {
        struct item *item = harness_take(w);

        worker_starts(w, item);
        worker_ends(w);
        snprintf(text + strlen(text), sizeof text - strlen(text), "finish { %s result { data: '%d' } } ",
                 harness_lease(item), i);
    }
    harness_say(w, "%s ready { credit: 3 }", text);
    harness_settle(&h);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(f[i]->state, FUTURE_SUCCEEDED);
        assert_int_equal(f[i]->outcome->data->data[0], '0' + i);
    }
    harness_deinit(&h);
}

/* --- large results */

/* Say a result of @n bytes in pieces of @piece. */
static void say_pieces(struct scene *s, size_t n, size_t piece)
{
    for (size_t at = 0; at < n; at += piece)
        harness_say(s->w, "payload { %s offset: %zu data: x%zu }", harness_lease(s->item), at,
                    MIN(piece, n - at));
}

static void test_pieces(void **state)
{
    static const size_t sizes[] = {1, 65536, 65537, 131072, 200001, 300000};

    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        char outcome[128];
        struct scene s;

        set_running(&s);
        snprintf(outcome, sizeof outcome, "result { content_type: 'a/b' size_bytes: %zu } chunked: true",
                 sizes[i]);
        say_pieces(&s, sizes[i], 65536);
        say_finish(&s, outcome);
        assert_int_equal(s.f->state, FUTURE_SUCCEEDED);
        assert_int_equal(s.f->outcome->data->len, sizes[i]);
        assert_int_equal(s.f->outcome->data->data[sizes[i] - 1], 'x');
        expect_text(SPAN_OF_BYTES(s.f->outcome->content_type), "a/b");
        harness_deinit(&s.h);
    }
}

/* From the beginning again: the pieces before are forgotten. */
static void test_pieces_again(void **state)
{
    struct scene s;

    set_running(&s);
    say_pieces(&s, 1000, 300);
    say_pieces(&s, 500, 300);
    say_finish(&s, "result { size_bytes: 500 } chunked: true");
    assert_int_equal(s.f->outcome->data->len, 500);
    harness_deinit(&s.h);
}

/* Pieces under a lease that is not current are nothing; the Finish behind them is refused. */
static void test_stale_pieces(void **state)
{
    struct scene s;

    set_scene(&s);
    harness_say(s.w, "release { %s }", harness_lease(s.item));
    harness_settle(&s.h);
    say_pieces(&s, 1000, 300);
    harness_say(s.w, "finish { %s result { size_bytes: 1000 } chunked: true }", harness_lease(s.item));
    harness_settle(&s.h);
    assert_false(s.w->call.is_done);
    assert_int_equal(s.w->n_refused, 1);
    harness_deinit(&s.h);
}

/* --- leases that do not count */

static void test_stale(void **state)
{
    struct engine_stats stats;
    struct scene s;
    struct item wrong;

    set_running(&s);
    stats = engine_stats(s.h.engine);
    wrong = *s.item;
    wrong.attempt++;
    harness_say(s.w, "finish { %s result {} }", harness_lease(&wrong)); /* another attempt */
    wrong = *s.item;
    wrong.epoch--;
    harness_say(s.w, "finish { %s result {} }", harness_lease(&wrong)); /* of before a restart */
    wrong.epoch = UINT64_MAX - 1;
    harness_say(s.w, "finish { %s result {} }", harness_lease(&wrong));
    wrong.epoch = (UINT64_C(1) << 32) + s.item->epoch; /* not cut to 32 bits */
    harness_say(s.w, "finish { %s result {} }", harness_lease(&wrong));
    wrong = *s.item;
    wrong.id.b[15] ^= 1;
    harness_say(s.w, "finish { %s result {} }", harness_lease(&wrong)); /* nobody's */
    harness_settle(&s.h);
    assert_int_equal(s.w->n_refused, 5);
    assert_string_equal(s.w->told_reason, "STALE_LEASE");
    assert_memory_equal(s.w->told->id.data, wrong.id.b, ID_BYTES);
    assert_true(engine_stats(s.h.engine).n_stale_finishes >= stats.n_stale_finishes + 3);
    assert_false(future_is_terminal(s.f));
    say_finish(&s, "result { data: 'right' }");
    assert_int_equal(s.f->state, FUTURE_SUCCEEDED);
    harness_say(s.w, "finish { %s result { data: 'again' } }",
                harness_lease(s.item)); /* the first one counts */
    harness_settle(&s.h);
    assert_int_equal(s.w->n_refused, 6);
    expect_text(SPAN_OF_BYTES(s.f->outcome->data), "right");
    assert_false(s.w->call.is_done);
    harness_deinit(&s.h);
}

/* Another worker's. */
static void test_not_its_own(void **state)
{
    struct child *thief;
    struct scene s;

    set_running(&s);
    thief = harness_spawn(&s.h, 6);
    harness_hello(thief, "slots: 1", 1);
    harness_say(thief, "finish { %s result {} } release { %s } returned { %s } started { %s }",
                harness_lease(s.item), harness_lease(s.item), harness_lease(s.item), harness_lease(s.item));
    harness_settle(&s.h);
    assert_int_equal(thief->n_refused, 1);
    assert_false(thief->call.is_done);
    assert_non_null(s.f->lease);
    say_finish(&s, "result {}");
    assert_int_equal(s.f->state, FUTURE_SUCCEEDED);
    harness_deinit(&s.h);
}

/* Who is wrong without end and does not read what we say is cut off, and costs no more than a stream's room. */
static void test_flood(void **state)
{
    struct scene s;
    struct item wrong;

    set_running(&s);
    grpc_client_call_pause(s.w->call.call, 1);
    wrong = *s.item;
    wrong.attempt = 99;
    for (int i = 0; i < 60000 && !s.w->call.is_done; i++) {
        harness_say(s.w, "finish { %s result {} }", harness_lease(&wrong));
        if (i % 1000 == 0) {
            harness_turn(&s.h);
            assert_true(h2_session_pending_bytes(grpc_conn_session(s.w->lo.conn)) <
                        H2_STREAM_HIGH_BYTES + 4096);
        }
    }
    grpc_client_call_pause(s.w->call.call, 0);
    harness_settle(&s.h);
    harness_expect_cut(s.w, GRPC_INVALID_ARGUMENT, "rules");
    harness_advance(&s.h, 2 * NS_PER_S);
    assert_int_equal(s.w->n_kills, 1);
    harness_die(s.w, 9, 1);
    harness_settle(&s.h);
    assert_int_equal(s.f->state, FUTURE_PENDING);
    harness_deinit(&s.h);
}

/* --- given back */

static void test_given_back(void **state)
{
    for (int i = 0; i < 2; i++) {
        struct child *other;
        struct scene s;

        set_scene(&s);
        harness_submit(&s.h, "function: 'echo' argument: 'later'");
        if (i == 0)
            harness_say(s.w, "release { %s reason: 'not today' }", harness_lease(s.item));
        else
            harness_say(s.w, "returned { %s }", harness_lease(s.item));
        harness_settle(&s.h);
        assert_null(s.f->attempts); /* without an attempt */
        /* back at the head of the queue: its worker has credit, so it comes again before the other */
        assert_memory_equal(&harness_take(s.w)->id, &s.f->id, sizeof(struct id));
        other = harness_spawn(&s.h, 6);
        harness_hello(other, "slots: 1", 1);
        assert_int_equal(harness_n_open(other), 1);
        harness_deinit(&s.h);
    }
}

/* What has begun cannot be given back: by what the page says, or by what it said itself. */
static void test_given_back_too_late(void **state)
{
    for (int i = 0; i < 4; i++) {
        struct scene s;

        set_running(&s);
        if (i & 1) {
            harness_say(s.w, "started { %s }", harness_lease(s.item));
            harness_settle(&s.h);
            assert_int_equal(s.f->state, FUTURE_RUNNING);
        }
        harness_say(s.w, i & 2 ? "release { %s }" : "returned { %s }", harness_lease(s.item));
        harness_settle(&s.h);
        harness_expect_cut(s.w, GRPC_INVALID_ARGUMENT, "rules");
        assert_non_null(s.f->lease); /* until the process has died */
        harness_die(s.w, 9, 1);
        harness_settle(&s.h);
        assert_int_equal(s.f->state, FUTURE_PENDING);
        harness_deinit(&s.h);
    }
}

/* --- Started, Recall, CancelAttempt */

/* A worker whose task takes long says so: it is RUNNING, and what is behind it is asked back, once. */
static void test_started(void **state)
{
    struct future *f[4];
    struct child *w, *other;
    struct item *items[4];
    struct harness h;

    harness_init(&h);
    engine_function_add(h.engine, SPAN_LIT("echo"), (struct span){0})->mean_run_ns = 1000;
    w = harness_spawn(&h, 5);
    harness_hello(w, "slots: 1", 4);
    for (int i = 0; i < 4; i++)
        f[i] = harness_submit(&h, "function: 'echo'");
    harness_settle(&h);
    for (int i = 0; i < 4; i++)
        items[i] = harness_take(w);
    worker_starts(w, items[0]);
    for (int i = 0; i < 3; i++) {
        harness_say(w, "started { %s }", harness_lease(items[0]));
        harness_settle(&h);
    }
    assert_int_equal(f[0]->state, FUTURE_RUNNING);
    assert_int_equal(f[1]->state, FUTURE_PENDING);
    assert_int_equal(w->n_recalls, 3);
    assert_int_equal(w->n_cancels, 0);
    harness_say(w, "returned { %s } returned { %s } returned { %s }", harness_lease(items[1]),
                harness_lease(items[2]), harness_lease(items[3]));
    other = harness_spawn(&h, 6);
    harness_hello(other, "slots: 3", 3);
    for (int i = 1; i < 4; i++) {
        struct item *item = harness_take(other); /* in whatever order they were returned, each once */

        assert_true(memcmp(&item->id, &f[1]->id, sizeof item->id) == 0 ||
                    memcmp(&item->id, &f[2]->id, sizeof item->id) == 0 ||
                    memcmp(&item->id, &f[3]->id, sizeof item->id) == 0);
    }
    harness_deinit(&h);
}

/* It says so, but its page does not. */
static void test_started_by_no_page(void **state)
{
    struct scene s;

    set_scene(&s);
    harness_say(s.w, "started { %s }", harness_lease(s.item));
    harness_settle(&s.h);
    harness_expect_cut(s.w, GRPC_INVALID_ARGUMENT, "rules");
    harness_deinit(&s.h);
}

/* A cancelled lease: the worker is told, whether it has begun or not; unbegun it gives back, and that is the end. */
static void test_cancel(void **state)
{
    struct scene s;

    set_scene(&s);
    assert_int_equal(engine_cancel(s.h.engine, s.f, s.h.scope, SPAN_LIT("not needed"), -1), 0);
    harness_settle(&s.h);
    assert_int_equal(s.w->n_cancels, 1);
    assert_string_equal(s.w->told_reason, "not needed");
    assert_true(s.w->told_grace_ns == 5 * NS_PER_S);
    assert_memory_equal(s.w->told->id.data, s.f->id.b, ID_BYTES);
    assert_int_equal(s.f->state, FUTURE_PENDING);
    harness_say(s.w, "returned { %s }", harness_lease(s.item));
    harness_settle(&s.h);
    assert_int_equal(s.f->state, FUTURE_CANCELLED);
    harness_deinit(&s.h);

    set_running(&s);
    harness_say(s.w, "started { %s }", harness_lease(s.item));
    assert_int_equal(engine_cancel(s.h.engine, s.f, s.h.scope, (struct span){0}, -1), 0);
    harness_settle(&s.h);
    assert_int_equal(s.w->n_cancels, 1);
    say_finish(&s, "error { reason: 'CANCELLED' code: CANCELLED }");
    assert_int_equal(s.f->state, FUTURE_CANCELLED);
    harness_deinit(&s.h);

    set_running(&s); /* it finished first: what really happened is recorded */
    assert_int_equal(engine_cancel(s.h.engine, s.f, s.h.scope, (struct span){0}, -1), 0);
    say_finish(&s, "result { data: 'first' }");
    assert_int_equal(s.f->state, FUTURE_SUCCEEDED);
    harness_deinit(&s.h);
}

/* --- what cuts a worker off */

static void test_breakers(void **state)
{
    static const struct {
        const char *text; /* %s is the current lease */
        enum grpc_code code;
        const char *what;
    } cases[] = {
            {"@1: 5", GRPC_INVALID_ARGUMENT, "malformed"},
            {"2 * ready {}", GRPC_INVALID_ARGUMENT, "malformed"},
            {"@7: 5", GRPC_INVALID_ARGUMENT, "malformed"},
            {"hello { slots: 1 functions { name: 'f' } }", GRPC_INVALID_ARGUMENT, "twice"},
            {"ready { @1: 'x' }", GRPC_INVALID_ARGUMENT, "rules"},
            {"ready { @1: 18446744073709551615 }", GRPC_INVALID_ARGUMENT, "rules"},
            {"ready { by_function { function: 'nobody' credit: 1 } }", GRPC_INVALID_ARGUMENT, "rules"},
            {"ready { by_function { function: 'echo' credit: 65537 } }", GRPC_INVALID_ARGUMENT, "rules"},
            {"ready { by_function { @1: 5 } }", GRPC_INVALID_ARGUMENT, "rules"},
            {"finish { @1: 5 }", GRPC_INVALID_ARGUMENT, "rules"},
            {"finish { %s }", GRPC_INVALID_ARGUMENT, "rules"},
            {"finish { %s result {} error {} }", GRPC_INVALID_ARGUMENT, "rules"},
            {"finish { %s result { @1: 5 } }", GRPC_INVALID_ARGUMENT, "rules"},
            {"finish { %s result { content_type: #ff } }", GRPC_INVALID_ARGUMENT, "rules"},
            {"finish { %s error { @2: 5 } }", GRPC_INVALID_ARGUMENT, "rules"},
            {"finish { %s error { message: #ff } }", GRPC_INVALID_ARGUMENT, "rules"},
            {"finish { %s result {} chunked: true }", GRPC_INVALID_ARGUMENT, "rules"}, /* no piece came */
            {"payload { %s data: 'abc' } finish { %s result { size_bytes: 2 } chunked: true }",
             GRPC_INVALID_ARGUMENT, "rules"},
            {"payload { %s part: 1 data: 'abc' }", GRPC_INVALID_ARGUMENT, "rules"},
            {"payload { %s offset: 1 data: 'abc' }", GRPC_INVALID_ARGUMENT, "rules"},
            {"payload { %s data: 'abc' } payload { %s offset: 2 data: 'abc' }", GRPC_INVALID_ARGUMENT,
             "rules"},
            {"payload { %s }", GRPC_INVALID_ARGUMENT, "rules"},
            {"payload { %s data: x65537 }", GRPC_INVALID_ARGUMENT, "rules"},
            {"payload { @1: 5 }", GRPC_INVALID_ARGUMENT, "rules"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[1024] = "";
        struct scene s;

        print_message("    %s\n", cases[i].text);
        set_running(&s);
        worker_ends(s.w);
        for (const char *at = cases[i].text; *at; at++)
            if (strncmp(at, "%s", 2) == 0)
                strcat(text, harness_lease(s.item)), at++;
            else
                strncat(text, at, 1);
        harness_say(s.w, "%s", text);
        harness_settle(&s.h);
        harness_expect_cut(s.w, cases[i].code, cases[i].what);
        assert_int_equal(s.w->n_kills, 0); /* it has a moment to end by itself ... */
        harness_advance(&s.h, DISPATCH_EXIT_GRACE_NS);
        assert_int_equal(s.w->n_kills, 1); /* ... and is killed */
        harness_die(s.w, 9, 1);
        harness_settle(&s.h);
        assert_int_equal(s.f->state, FUTURE_PENDING); /* its task is somebody else's */
        harness_deinit(&s.h);
    }
}

/* Pieces beyond what a result may have. */
static void test_too_many_pieces(void **state)
{
    struct scene s;

    set_running(&s);
    say_pieces(&s, HARNESS_MAX_RESULT + 1, 65536);
    harness_settle(&s.h);
    harness_expect_cut(s.w, GRPC_INVALID_ARGUMENT, "rules");
    harness_deinit(&s.h);
}

static void test_no_hello(void **state)
{
    struct child *w;
    struct harness h;

    harness_init(&h);
    w = harness_spawn(&h, 5);
    harness_say(w, "ready { credit: 1 }");
    harness_settle(&h);
    harness_expect_cut(w, GRPC_FAILED_PRECONDITION, "hello");
    harness_deinit(&h);
}

/* Progress, output and log of what runs are kept; a heartbeat is read over. */
static void test_told(void **state)
{
    const struct told_chunk *c;
    struct scene s;

    set_running(&s);
    harness_say(
            s.w,
            "progress { %s progress { completed: 1 } } progress { %s progress { completed: 2 total: 9 } } "
            "output { %s data: 'o' stream: STREAM_STDOUT } log { %s data: 'l' } heartbeat {}",
            harness_lease(s.item), harness_lease(s.item), harness_lease(s.item), harness_lease(s.item));
    harness_settle(&s.h);
    assert_false(s.w->call.is_done);
    assert_int_equal(told_progress(s.f)->completed, 2);
    assert_int_equal(told_progress(s.f)->total, 9);
    c = future_told(s.f)->first;
    assert_int_equal(c->kind, TOLD_OUTPUT);
    assert_int_equal(c->stream, TOLD_FROM_STDOUT);
    assert_int_equal(c->next->kind, TOLD_LOG);
    assert_int_equal(c->next->stream, TOLD_FROM_LOG);
    assert_int_equal(c->next->data->data[0], 'l');
    say_finish(&s, "result {}");
    assert_int_equal(s.f->state, FUTURE_SUCCEEDED);
    harness_deinit(&s.h);
}

/* Who says what cannot be is cut off; what was kept before stays. */
static void test_told_wrong(void **state)
{
    static const char *const lies[] = {
            "output { %s offset: 1 data: 'x' }",
            "log { %s offset: 7 data: 'x' }",
            "log { data: 'x' }",
            "progress { progress { completed: 1 } }",
    };

    for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
        const char *at = strstr(lies[i], "%s");
        char text[256];
        struct scene s;

        set_running(&s);
        snprintf(text, sizeof text, "%.*s%s%s", at ? (int)(at - lies[i]) : (int)strlen(lies[i]), lies[i],
                 at ? harness_lease(s.item) : "", at ? at + 2 : "");
        harness_say(s.w, "log { %s data: 'before' }", harness_lease(s.item));
        harness_say(s.w, "%s", text);
        harness_settle(&s.h);
        harness_expect_cut(s.w, GRPC_INVALID_ARGUMENT,
                           strncmp(lies[i], "out", 3) == 0   ? "output"
                           : strncmp(lies[i], "log", 3) == 0 ? "log"
                                                             : "progress");
        assert_int_equal(future_told(s.f)->n_bytes[TOLD_LOG], 6);
        harness_deinit(&s.h);
    }
}

/* A worker that half-closes has said all it will. */
static void test_half_close(void **state)
{
    struct scene s;

    set_scene(&s);
    loopback_half_close(&s.w->call);
    harness_settle(&s.h);
    assert_true(s.w->call.is_done);
    assert_int_equal(s.w->call.status.code, GRPC_OK);
    harness_die(s.w, 0, 0);
    harness_settle(&s.h);
    assert_int_equal(s.f->state, FUTURE_PENDING);
    assert_null(s.f->lease);
    harness_deinit(&s.h);
}

/* --- no memory */

static void finish_without_memory(struct harness *h)
{
    struct child *w;
    struct future *f;
    struct item *item;

    harness_init(h);
    w = harness_spawn(h, 5);
    harness_hello(w, "slots: 1", 1);
    f = harness_submit(h, "function: 'echo'");
    harness_settle(h);
    item = harness_take(w);
    worker_starts(w, item);
    worker_ends(w);
    harness_arm(h);
    harness_say(w, "payload { %s data: x3000 }", harness_lease(item));
    worker_finishes(w, item, "result { content_type: 'a/b' size_bytes: 3000 } chunked: true");
    harness_settle(h);
    h->fail_nth = 0;
    if (f->state != FUTURE_SUCCEEDED) { /* then the worker has been cut off, and the task is not lost */
        assert_true(h->has_failed);
        harness_hang_up(w);
        harness_die(w, 9, 1);
        harness_settle(h);
        assert_int_equal(f->state, FUTURE_PENDING);
    }
}

static void fail_without_memory(struct harness *h)
{
    struct child *w;
    struct item *item;

    harness_init(h);
    w = harness_spawn(h, 5);
    harness_hello(w, "slots: 1", 1);
    harness_submit(h, "function: 'echo'");
    harness_settle(h);
    item = harness_take(w);
    worker_starts(w, item);
    worker_ends(w);
    harness_arm(h);
    harness_say(w, "started { %s }", harness_lease(item));
    worker_finishes(w, item, "error { message: 'no' details { type_url: 'a' } }");
    harness_settle(h);
    h->fail_nth = 0;
    harness_hang_up(w);
    harness_die(w, 9, 1);
    harness_settle(h);
}

static void test_no_memory(void **state)
{
    harness_fail_allocations(finish_without_memory, 3);
    harness_fail_allocations(fail_without_memory, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_result),
            cmocka_unit_test(test_least_result),
            cmocka_unit_test(test_odd_usage),
            cmocka_unit_test(test_finish_without_start),
            cmocka_unit_test(test_error),
            cmocka_unit_test(test_error_defaults),
            cmocka_unit_test(test_long_error),
            cmocka_unit_test(test_long_content_type),
            cmocka_unit_test(test_result_too_large),
            cmocka_unit_test(test_batch),
            cmocka_unit_test(test_pieces),
            cmocka_unit_test(test_pieces_again),
            cmocka_unit_test(test_stale_pieces),
            cmocka_unit_test(test_stale),
            cmocka_unit_test(test_not_its_own),
            cmocka_unit_test(test_flood),
            cmocka_unit_test(test_given_back),
            cmocka_unit_test(test_given_back_too_late),
            cmocka_unit_test(test_started),
            cmocka_unit_test(test_started_by_no_page),
            cmocka_unit_test(test_cancel),
            cmocka_unit_test(test_breakers),
            cmocka_unit_test(test_too_many_pieces),
            cmocka_unit_test(test_no_hello),
            cmocka_unit_test(test_told),
            cmocka_unit_test(test_told_wrong),
            cmocka_unit_test(test_half_close),
            cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests_name("dispatch/attach", tests, NULL, NULL);
}
