// SPDX-License-Identifier: Apache-2.0
#include "pair.h"

#include <errno.h>

static int only_records(struct peer *p, struct h2_stream *st, enum peer_event event)
{
    return 1;
}

/* --- bytes cut anywhere */

/* A client's side of a conversation: every kind of stream and frame that an honest one sends. */
static void conversation(struct buf *b)
{
    struct buf block = BUF_INIT;
    static uint8_t bytes[1500];

    raw_preface(b);
    raw_u32(b, NGHTTP2_WINDOW_UPDATE, 0, 100000);
    raw_request(b, 1, F_END_STREAM);
    raw_request(b, 3, 0);
    raw_frame(b, NGHTTP2_DATA, 0, 3, "first ", 6);
    raw_frame(b, NGHTTP2_SETTINGS, F_ACK, 0, "", 0);
    raw_request(b, 5, 0);
    raw_frame(b, NGHTTP2_PING, 0, 0, "12345678", 8);
    raw_frame(b, NGHTTP2_DATA, F_PADDED | F_END_STREAM, 3, "\3second\0\0\0", 10);
    raw_frame(b, NGHTTP2_DATA, 0, 5, bytes, sizeof bytes);
    raw_u32(b, NGHTTP2_WINDOW_UPDATE, 5, 1000);
    raw_request(b, 7, 0);
    raw_u32(b, NGHTTP2_RST_STREAM, 7, H2_CANCEL);
    raw_frame(b, NGHTTP2_DATA, F_END_STREAM, 5, "", 0);
    raw_request_block(&block);
    raw_field(&block, 0x40, "x-kept", "in the table", 12);
    raw_frame(b, NGHTTP2_HEADERS, 0, 9, buf_head(&block), 50);
    raw_frame(b, NGHTTP2_CONTINUATION, 0, 9, "", 0);
    raw_frame(b, NGHTTP2_CONTINUATION, F_END_HEADERS, 9, buf_head(&block) + 50, buf_len(&block) - 50);
    buf_clear(&block);
    raw_frame(b, NGHTTP2_DATA, 0, 9, "body", 4);
    raw_field(&block, 0, "checksum", "7", 1);
    raw_frame(b, NGHTTP2_HEADERS, F_END_HEADERS | F_END_STREAM, 9, buf_head(&block), buf_len(&block));
    raw_frame(b, 0xbe, 0, 0, "unknown", 7);
    raw_frame(b, NGHTTP2_GOAWAY, 0, 0, "\0\0\0\0\0\0\0\0bye", 11);
    buf_deinit(&block);
}

/* Feed @b to a new server in pieces of @step, the first of @first bytes; the log comes back. */
static struct buf log_of(struct buf *b, size_t first, size_t step)
{
    struct peer p;
    struct buf log;

    assert_int_equal(peer_new(&p, H2_SERVER, NULL, NS_PER_S), 0);
    for (size_t at = 0, take = first; at < buf_len(b); at += take, take = MIN(step, buf_len(b) - at))
        (void)!h2_session_recv(p.s, buf_head(b) + at, take, NS_PER_S);
    raw_drain(&p, NS_PER_S);
    peer_check(&p);
    assert_int_equal(h2_session_n_streams(p.s), 0);
    assert_true(h2_session_is_over(p.s));
    assert_string_equal(h2_session_end_reason(p.s), "peer_goaway");
    log = p.log;
    p.log = BUF_INIT;
    peer_free(&p);
    return log;
}

static void check_log(struct buf *b, struct buf *whole, size_t first, size_t step)
{
    struct buf log = log_of(b, first, step);

    assert_int_equal(buf_len(&log), buf_len(whole));
    assert_memory_equal(buf_head(&log), buf_head(whole), buf_len(whole));
    buf_deinit(&log);
}

static void test_server_bytes_cut_at_every_boundary(void **state)
{
    struct buf b = BUF_INIT, whole;

    conversation(&b);
    whole = log_of(&b, buf_len(&b), 1);
    assert_true(buf_len(&whole) > 500);
    for (size_t first = 1; first < buf_len(&b); first++)
        check_log(&b, &whole, first, buf_len(&b));
    for (size_t step = 1; step < 30; step++)
        check_log(&b, &whole, step, step);
    buf_deinit(&whole);
    buf_deinit(&b);
}

static void client_scene(struct pair *pair)
{
    pair_open(pair, NULL, NULL);
    assert_non_null(pair_call(pair, ""));
    assert_non_null(pair_call(pair, "hello"));
    h2_stream_reset(pair_call(pair, "cancelled"), H2_CANCEL);
    assert_non_null(pair_call(pair, "a longer body"));
}

static void test_client_bytes_cut_at_every_boundary(void **state)
{
    struct buf answer = BUF_INIT;
    struct pair pair;
    char *whole = NULL;

    client_scene(&pair);
    pair_carry(&pair, &pair.client, &pair.server);
    h2_session_drain(pair.server.s);
    raw_drain(&pair.server, pair.now);
    assert_int_equal(buf_append(&answer, buf_head(&pair.server.out), buf_len(&pair.server.out)), 0);
    pair_free(&pair);
    for (size_t first = buf_len(&answer); first > 0; first--) {
        client_scene(&pair);
        raw_drain(&pair.client, pair.now);
        (void)!h2_session_recv(pair.client.s, buf_head(&answer), first, pair.now);
        if (first < buf_len(&answer))
            (void)!h2_session_recv(pair.client.s, buf_head(&answer) + first, buf_len(&answer) - first,
                                   pair.now);
        assert_int_equal(pair.client.n_close, 4);
        if (!whole)
            whole = mem_strndup(peer_text(&pair.client), buf_len(&pair.client.log));
        assert_log(&pair.client, whole);
        pair_free(&pair);
    }
    assert_non_null(strstr(whole, "trailers 7 grpc-status=0 body 13"));
    assert_non_null(strstr(whole, "goaway 0\n"));
    mem_free(whole);
    buf_deinit(&answer);
}

static void test_pair_with_cut_pipes(void **state)
{
    for (size_t cut = 1; cut < 40; cut += 3) {
        struct pair pair;

        assert_int_equal(pair_new(&pair, NULL, NULL), 0);
        pair.cut = cut;
        for (int i = 0; i < 20; i++)
            assert_non_null(pair_call(&pair, i & 1 ? "odd" : "even, and longer"));
        pair_run(&pair);
        assert_int_equal(pair.client.n_close, 20);
        assert_int_equal(pair.client.close_error, H2_NO_ERROR);
        pair_free(&pair);
    }
}

/* --- ends */

static void test_drain_lets_open_streams_end(void **state)
{
    struct pair pair;
    struct h2_stream *st;

    pair_open(&pair, NULL, NULL);
    pair.server.hook = only_records;
    assert_non_null(pair_call(&pair, NULL));
    pair_run(&pair);
    st = pair.server.latest;
    h2_session_drain(pair.server.s);
    assert_int_equal(pair.server.n_wake, 1);
    assert_non_null(pair_call(&pair, "crosses the notice on its way"));
    pair_run(&pair);
    assert_ptr_not_equal(pair.server.latest, st); /* and is taken */
    assert_non_null(strstr(peer_text(&pair.client), "goaway 0\ngoaway 0\n"));
    assert_int_equal(pair.client.n_close, 0);
    peer_answer(pair.server.latest);
    pair_run(&pair);
    assert_non_null(strstr(peer_text(&pair.client), "close 3 0\n"));
    assert_null(pair_call(&pair, "refused here"));
    assert_false(h2_session_is_over(pair.server.s));
    assert_string_equal(h2_session_end_reason(pair.server.s), "");
    h2_session_drain(pair.server.s); /* again: nothing */
    peer_answer(st);
    pair_run(&pair);
    assert_int_equal(pair.server.close_error, H2_NO_ERROR);
    assert_non_null(strstr(peer_text(&pair.client), "close 1 0\n"));
    assert_true(h2_session_is_over(pair.server.s));
    assert_true(h2_session_is_over(pair.client.s));
    assert_string_equal(h2_session_end_reason(pair.server.s), "drained");
    assert_string_equal(h2_session_end_reason(pair.client.s), "peer_goaway");
    pair_free(&pair);
}

/* Who answers the PING has read the notice: it is behind it, and not before it. */
static void test_drain_asks_behind_its_notice(void **state)
{
    struct buf out = BUF_INIT;
    struct pair pair;
    const uint8_t *p;

    pair_open(&pair, NULL, NULL);
    pair_run(&pair);
    h2_session_drain(pair.server.s);
    assert_int_equal(h2_session_send(pair.server.s, &out, 4096, pair.now), 0);
    p = buf_head(&out);
    assert_int_equal(buf_len(&out), 9 + 8 + 9 + 8);
    assert_int_equal(p[3], NGHTTP2_GOAWAY);
    assert_memory_equal(p + 9, "\x7f\xff\xff\xff\0\0\0\0", 8); /* of any stream, and no error */
    assert_int_equal(p[9 + 8 + 3], NGHTTP2_PING);
    buf_deinit(&out);
    pair_free(&pair);
}

static void test_client_drains(void **state)
{
    struct pair pair;

    pair_open(&pair, NULL, NULL);
    assert_non_null(pair_call(&pair, "one"));
    h2_session_drain(pair.client.s);
    assert_null(pair_call(&pair, "two"));
    pair_run(&pair);
    assert_int_equal(pair.client.n_close, 1);
    assert_int_equal(pair.client.close_error, H2_NO_ERROR);
    assert_true(h2_session_is_over(pair.client.s));
    assert_true(h2_session_is_over(pair.server.s));
    pair_free(&pair);
}

static void test_abort(void **state)
{
    struct pair pair;

    pair_open(&pair, NULL, NULL);
    pair.server.hook = only_records;
    for (int i = 0; i < 5; i++)
        assert_non_null(pair_call(&pair, i & 1 ? "x" : NULL));
    pair_run(&pair);
    h2_session_abort(pair.server.s, H2_INTERNAL_ERROR, "a_reason");
    assert_int_equal(pair.server.n_close, 5); /* at once: outside of any event */
    assert_int_equal(pair.server.close_error, H2_INTERNAL_ERROR);
    h2_session_abort(pair.server.s, H2_NO_ERROR, "another_reason");
    assert_string_equal(h2_session_end_reason(pair.server.s), "a_reason");
    assert_true(h2_session_wants_write(pair.server.s));
    assert_false(h2_session_wants_read(pair.server.s));
    pair_run(&pair);
    assert_true(h2_session_is_over(pair.server.s));
    assert_non_null(strstr(peer_text(&pair.client), "goaway 2\n"));
    pair_free(&pair);
}

static void test_free_ends_every_stream(void **state)
{
    struct pair pair;

    pair_open(&pair, NULL, NULL);
    pair.server.hook = only_records;
    for (int i = 0; i < 5; i++)
        assert_non_null(pair_call(&pair, "x"));
    pair_run(&pair);
    pair.server.s = h2_session_free(pair.server.s);
    assert_int_equal(pair.server.n_close, 5);
    assert_int_equal(pair.server.close_error, H2_CANCEL);
    assert_null(h2_session_free(NULL));
    pair_free(&pair);
}

static void test_protocol_errors_have_their_names(void **state)
{
    static const struct {
        const char *reason;
        int type, flags;
        uint32_t id;
        const char *payload;
        size_t n;
    } cases[] = {
            {"protocol_error", NGHTTP2_DATA, 0, 0, "x", 1},
            {"protocol_error", NGHTTP2_CONTINUATION, 0, 1, "", 0},
            {"protocol_error", NGHTTP2_WINDOW_UPDATE, 0, 0, "\0\0\0\0", 4},
            {"flow_control_error", NGHTTP2_WINDOW_UPDATE, 0, 0, "\x7f\xff\xff\xff", 4},
            {"frame_size_error", NGHTTP2_PING, 0, 0, "1234567", 7},
            {"compression_error", NGHTTP2_HEADERS, F_END_HEADERS, 5, "\xff\xff\xff\xff\xff\xff\xff\xff", 8},
            {"protocol_error", NGHTTP2_HEADERS, F_END_HEADERS, 1, "", 0}, /* half-closed */
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf b = BUF_INIT;
        struct peer p;

        raw_server(&p, NULL, &b, NS_PER_S);
        p.hook = only_records;
        raw_request(&b, 1, F_END_STREAM);
        raw_frame(&b, cases[i].type, cases[i].flags, cases[i].id, cases[i].payload, cases[i].n);
        (void)!raw_feed(&p, &b, NS_PER_S);
        raw_drain(&p, NS_PER_S);
        assert_string_equal(h2_session_end_reason(p.s), cases[i].reason);
        assert_true(h2_session_is_over(p.s));
        assert_int_equal(p.n_close, 1);
        assert_true(p.close_error != H2_NO_ERROR);
        assert_int_equal(raw_count(&p, NGHTTP2_GOAWAY, 0, NULL), 1);
        assert_int_equal(h2_session_recv(p.s, (const uint8_t *)"x", 1, NS_PER_S), H2_E_OVER);
        buf_deinit(&b);
        peer_free(&p);
    }
}

static void test_no_http2_at_all(void **state)
{
    struct peer p;

    assert_int_equal(peer_new(&p, H2_SERVER, NULL, NS_PER_S), 0);
    assert_int_equal(h2_session_recv(p.s, (const uint8_t *)"GET / HTTP/1.1\r\n\r\n", 18, NS_PER_S),
                     H2_E_OVER);
    assert_string_equal(h2_session_end_reason(p.s), "bad_preface");
    raw_drain(&p, NS_PER_S);
    assert_true(h2_session_is_over(p.s));
    peer_free(&p);

    assert_int_equal(peer_new(&p, H2_CLIENT, NULL, NS_PER_S), 0);
    (void)!h2_session_recv(p.s, (const uint8_t *)"HTTP/1.1 400 Bad Request\r\n\r\n", 28, NS_PER_S);
    raw_drain(&p, NS_PER_S);
    assert_true(h2_session_is_over(p.s));
    assert_string_equal(h2_session_end_reason(p.s), "protocol_error");
    peer_free(&p);
}

/* --- what the owner above may do inside events */

struct plan {
    enum peer_event at;
    int action, done;
};

enum { ACT_RESET, ACT_RESET_OTHERS, ACT_FINISH, ACT_ABORT, ACT_DRAIN, ACT_OPEN, N_ACTIONS };

static void reset_others(struct peer *p, struct h2_stream *but)
{
    LIST_FOREACH_SAFE (l, &p->s->streams)
        if (LIST_ENTRY(l, struct h2_stream, link) != but)
            h2_stream_reset(LIST_ENTRY(l, struct h2_stream, link), H2_CANCEL);
}

static int acts(struct peer *p, struct h2_stream *st, enum peer_event event)
{
    static const struct h2_header answer[] = {{SPAN_LIT(":status"), SPAN_LIT("204")}};
    struct plan *plan = p->hook_user;
    struct h2_stream *fresh;

    if (event != plan->at)
        return 0;
    plan->done++;
    switch (plan->action) {
    case ACT_RESET:
        if (st)
            h2_stream_reset(st, H2_ENHANCE_YOUR_CALM);
        return 0;
    case ACT_RESET_OTHERS: reset_others(p, st); return 0;
    case ACT_ABORT: h2_session_abort(p->s, H2_INTERNAL_ERROR, "inside"); return 0;
    case ACT_DRAIN: h2_session_drain(p->s); return 0;
    case ACT_OPEN:
        if (p->s->role == H2_CLIENT && plan->done < 20)
            (void)!h2_session_request(p->s, pair_request, ARRAY_LEN(pair_request), 1, &fresh);
        return 0;
    default:
        if (st && !st->finishing && p->s->role == H2_SERVER) {
            (void)!h2_stream_respond(st, answer, 1, 1, 1);
            return event != ON_DATA;
        }
        if (st && !st->finishing)
            (void)!h2_stream_finish(st, NULL, 0, 0);
        return 0;
    }
}

static void test_actions_inside_events(void **state)
{
    int n_done = 0;

    for (int by_server = 0; by_server <= 1; by_server++)
        for (int action = 0; action < N_ACTIONS; action++)
            for (int at = ON_HEADERS; at <= ON_GOAWAY; at++)
                for (size_t cut = 0; cut <= 100; cut += 100) {
                    struct plan plan = {.at = (enum peer_event)at, .action = action};
                    struct peer *p;
                    struct pair pair;

                    pair_open(&pair, NULL, NULL);
                    p = by_server ? &pair.server : &pair.client;
                    p->hook = acts;
                    p->hook_user = &plan;
                    pair.cut = cut;
                    for (int i = 0; i < 6; i++)
                        if (!pair_call(&pair, i % 3 == 0 ? NULL : i % 3 == 1 ? "x" : "some more"))
                            break;
                    for (int i = 0; i < 3; i++) {
                        pair_run(&pair);
                        h2_session_tick(pair.client.s, pair.now);
                        h2_session_tick(pair.server.s, pair.now);
                    }
                    h2_session_drain(by_server ? pair.client.s : pair.server.s);
                    pair_run(&pair);
                    peer_check(&pair.client);
                    peer_check(&pair.server);
                    assert_int_equal(pair.r, 0);
                    n_done += plan.done > 0;
                    if (action == ACT_ABORT && plan.done) {
                        assert_string_equal(h2_session_end_reason(p->s), "inside");
                        assert_true(h2_session_is_over(p->s));
                        assert_int_equal(h2_session_n_streams(p->s), 0);
                    }
                    p->hook = NULL;
                    pair_free(&pair);
                }
    assert_true(n_done > 2 * N_ACTIONS * 5); /* most of them did happen */
}

static int aborts_at_first_close(struct peer *p, struct h2_stream *st, enum peer_event event)
{
    if (event == ON_CLOSE && p->n_close == 1)
        h2_session_abort(p->s, H2_INTERNAL_ERROR, "inside");
    return 0;
}

/* Two streams close in order in one send; the owner aborts in the event of the first. */
static void test_orderly_close_survives_an_abort(void **state)
{
    struct pair pair;

    pair_open(&pair, NULL, NULL);
    pair.server.hook = aborts_at_first_close;
    assert_non_null(pair_call(&pair, "x"));
    assert_non_null(pair_call(&pair, "y"));
    pair_carry(&pair, &pair.client, &pair.server);
    pair_carry(&pair, &pair.server, &pair.client);
    assert_int_equal(pair.server.n_close, 2);
    assert_int_equal(pair.server.close_error, H2_NO_ERROR);
    pair_free(&pair);
}

/* --- memory */

static int is_careful(struct peer *p, struct h2_stream *st, enum peer_event event)
{
    if (event == ON_WRITABLE || event == ON_CLOSE)
        return 1;
    return 0;
}

static void test_each_allocation_may_fail(void **state)
{
    FAIL_EACH_ALLOCATION(nth)
    {
        struct pair pair;
        int r = pair_new(&pair, NULL, NULL);

        if (r < 0) {
            assert_int_equal(r, -ENOMEM);
            assert_true(test_allocation_failed());
            continue;
        }
        pair.client.hook = pair.server.hook = is_careful;
        pair_run(&pair);
        for (int i = 0; i < 4; i++) {
            struct h2_stream *st = pair_call(&pair, i == 3 ? NULL : i & 1 ? "" : "hello");

            if (i == 2 && st)
                h2_stream_reset(st, H2_CANCEL);
            pair_carry(&pair, &pair.client, &pair.server);
        }
        pair_run(&pair);
        h2_session_tick(pair.client.s, pair.now + 2 * 60 * NS_PER_S);
        h2_session_tick(pair.server.s, pair.now + 2 * 60 * NS_PER_S);
        h2_session_drain(pair.server.s);
        pair_run(&pair);
        if (pair.r < 0) {
            assert_int_equal(pair.r, -ENOMEM);
            assert_true(test_allocation_failed());
            assert_true(h2_session_is_dead(pair.client.s) || h2_session_is_dead(pair.server.s));
        } else if (!test_allocation_failed()) {
            assert_int_equal(pair.client.n_close, 4);
        }
        peer_check(&pair.client);
        peer_check(&pair.server);
        pair_free(&pair);
    }
}

/* The rarer ways: copied trailers, credits, a drain, an abort, a late answer and a reset by the server. */
static void test_each_allocation_of_rarer_ways_may_fail(void **state)
{
    FAIL_EACH_ALLOCATION(nth)
    {
        static const struct h2_header long_trailers[] = {{SPAN_LIT("grpc-status"), SPAN_LIT("0")},
                                                         {SPAN_LIT("a"), SPAN_LIT("b")},
                                                         {SPAN_LIT("c"), SPAN_LIT("d")}};
        static uint8_t bytes[70000];
        struct pair pair;
        struct h2_stream *st[3] = {NULL};
        int is_whole = 1;

        if (pair_new(&pair, NULL, NULL) < 0)
            continue;
        pair.server.hook = only_records;
        pair_run(&pair);
        for (int i = 0; i < 3; i++) {
            struct h2_stream *cl = pair_call(&pair, NULL);

            if (cl && buf_append(h2_stream_out(cl), bytes, sizeof bytes) == 0)
                h2_stream_flush(cl);
            pair.server.latest = NULL;
            pair_run(&pair);
            st[i] = pair.server.latest;
            if (st[i])
                h2_stream_consume(st[i], st[i]->unconsumed);
        }
        if (st[0] && pair.server.n_close == 0) {
            is_whole &= h2_stream_respond(st[0], pair_response, 2, 0, 0) == 0;
            is_whole &= buf_append(h2_stream_out(st[0]), bytes, sizeof bytes) == 0;
            h2_stream_flush(st[0]);
            if (st[0]->responded)
                is_whole &= h2_stream_finish(st[0], long_trailers, 3, 0) == 0;
        }
        if (st[1] && pair.server.n_close == 0)
            h2_stream_reset(st[1], H2_CANCEL);
        pair_run(&pair);
        h2_session_drain(pair.server.s);
        pair_run(&pair);
        h2_session_abort(pair.server.s, H2_INTERNAL_ERROR, "enough");
        pair_run(&pair);
        assert_true((is_whole && pair.r == 0) || test_allocation_failed());
        assert_int_equal(h2_session_n_streams(pair.server.s), 0);
        peer_check(&pair.client);
        pair_free(&pair);
    }
}

static void test_memory_is_accounted(void **state)
{
    struct pair pair;
    size_t before, during;

    pair_open(&pair, NULL, NULL);
    pair.server.hook = only_records;
    before = h2_session_memory_bytes(pair.server.s);
    for (int i = 0; i < 100; i++)
        assert_non_null(pair_call(&pair, NULL));
    pair_run(&pair);
    during = h2_session_memory_bytes(pair.server.s);
    assert_true(during >= before + 100 * sizeof(struct h2_stream));
    for (struct list *l; (l = list_first(&pair.client.s->streams));)
        h2_stream_reset(LIST_ENTRY(l, struct h2_stream, link), H2_CANCEL);
    pair_run(&pair);
    h2_session_tick(pair.server.s, pair.now + 60 * NS_PER_S);
    assert_true(h2_session_memory_bytes(pair.server.s) < before + 16 * 1024);
    pair_free(&pair);
}

/* --- the rest */

static void test_wake_comes_only_from_outside(void **state)
{
    struct pair pair;

    pair_open(&pair, NULL, NULL);
    assert_int_equal(pair.client.n_wake + pair.server.n_wake, 0);
    assert_non_null(pair_call(&pair, "x"));
    assert_true(pair.client.n_wake > 0);
    pair_run(&pair);
    assert_int_equal(pair.server.n_wake, 0); /* it answered inside events */
    h2_session_wake(pair.server.s);
    assert_int_equal(pair.server.n_wake, 1);
    assert_ptr_equal(h2_session_user(pair.server.s), &pair.server);
    pair_free(&pair);
}

static void test_send_keeps_to_its_limit(void **state)
{
    struct pair pair;
    struct h2_stream *st;
    static uint8_t bytes[200000];
    size_t total = 0;

    pair_open(&pair, NULL, NULL);
    pair.server.hook = only_records;
    assert_non_null(pair_call(&pair, NULL));
    pair_run(&pair);
    st = pair.server.latest;
    assert_int_equal(h2_stream_respond(st, pair_response, 2, 0, 1), 0);
    assert_int_equal(buf_append(h2_stream_out(st), bytes, sizeof bytes), 0);
    h2_stream_flush(st);
    while (h2_session_wants_write(pair.server.s)) {
        buf_clear(&pair.server.out);
        assert_int_equal(h2_session_send(pair.server.s, &pair.server.out, 20000, pair.now), 0);
        assert_in_range(buf_len(&pair.server.out), 1, 20000 + 16384 + 9);
        total += buf_len(&pair.server.out);
        h2_session_sent(pair.server.s, buf_len(&pair.server.out), pair.now);
    }
    assert_in_range(total, sizeof bytes, sizeof bytes + 1000);
    pair_free(&pair);
}

static void test_config_of_each_role(void **state)
{
    struct h2_config server = h2_config_server(), client = h2_config_client();

    assert_true(server.max_streams >= 1500);
    assert_true(server.resets.burst >= 3000);
    assert_true(client.max_streams == 0); /* nothing is pushed to us */
    assert_true(server.preface_timeout_ns > 0 && server.headers_timeout_ns > 0 &&
                server.idle_timeout_ns > 0 && server.write_timeout_ns > 0);
    assert_true(server.connection_window_bytes >= server.stream_window_bytes);
    assert_true(client.connection_window_bytes >= client.stream_window_bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_server_bytes_cut_at_every_boundary),
            cmocka_unit_test(test_client_bytes_cut_at_every_boundary),
            cmocka_unit_test(test_pair_with_cut_pipes),
            cmocka_unit_test(test_drain_lets_open_streams_end),
            cmocka_unit_test(test_drain_asks_behind_its_notice),
            cmocka_unit_test(test_client_drains),
            cmocka_unit_test(test_abort),
            cmocka_unit_test(test_free_ends_every_stream),
            cmocka_unit_test(test_protocol_errors_have_their_names),
            cmocka_unit_test(test_no_http2_at_all),
            cmocka_unit_test(test_actions_inside_events),
            cmocka_unit_test(test_orderly_close_survives_an_abort),
            cmocka_unit_test(test_each_allocation_may_fail),
            cmocka_unit_test(test_each_allocation_of_rarer_ways_may_fail),
            cmocka_unit_test(test_memory_is_accounted),
            cmocka_unit_test(test_wake_comes_only_from_outside),
            cmocka_unit_test(test_send_keeps_to_its_limit),
            cmocka_unit_test(test_config_of_each_role),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
