// SPDX-License-Identifier: Apache-2.0
#include "pair.h"

static int only_records(struct peer *p, struct h2_stream *st, enum peer_event event)
{
    return 1;
}

static void fill(struct h2_stream *st, size_t n)
{
    struct buf *out = h2_stream_out(st);

    assert_int_equal(buf_reserve(out, n), 0);
    memset(buf_tail(out), 'f', n);
    buf_commit(out, n);
    h2_stream_flush(st);
}

/* A pair whose server has one open request and answers by hand. */
static struct h2_stream *open_one(struct pair *pair, const struct h2_config *client,
                                  const struct h2_config *server)
{
    pair_open(pair, client, server);
    pair->server.hook = only_records;
    assert_non_null(pair_call(pair, NULL));
    pair_run(pair);
    assert_non_null(pair->server.latest);
    return pair->server.latest;
}

static void test_unary_call(void **state)
{
    struct pair pair;

    pair_open(&pair, NULL, NULL);
    assert_non_null(pair_call(&pair, "hello"));
    assert_int_equal(h2_session_n_streams(pair.client.s), 1);
    pair_run(&pair);
    assert_log(&pair.client, "headers 1 :status=200 content-type=application/grpc\n"
                             "trailers 1 grpc-status=0 body 5 4f9f2cab end\n"
                             "close 1 0\n");
    assert_int_equal(h2_session_n_streams(pair.client.s), 0);
    assert_int_equal(h2_session_n_streams(pair.server.s), 0);
    pair_free(&pair);
}

static void test_empty_bodies(void **state)
{
    struct pair pair;
    struct h2_stream *st;

    pair_open(&pair, NULL, NULL);
    assert_non_null(pair_call(&pair, "")); /* ends by an empty DATA frame */
    pair_run(&pair);
    assert_int_equal(h2_session_request(pair.client.s, pair_request, ARRAY_LEN(pair_request), 1, &st), 0);
    pair_run(&pair);
    assert_log(&pair.client, "headers 1 :status=200 content-type=application/grpc\n"
                             "trailers 1 grpc-status=0 end\n"
                             "close 1 0\n"
                             "headers 3 :status=200 content-type=application/grpc\n"
                             "trailers 3 grpc-status=0 end\n"
                             "close 3 0\n");
    pair_free(&pair);
}

static void test_trailers_only(void **state)
{
    static const struct h2_header answer[] = {{SPAN_LIT(":status"), SPAN_LIT("200")},
                                              {SPAN_LIT("grpc-status"), SPAN_LIT("12")}};
    struct pair pair;
    struct h2_stream *st = open_one(&pair, NULL, NULL);

    assert_int_equal(h2_stream_respond(st, answer, 2, 1, 1), 0);
    pair_run(&pair);
    /* the server was done before the client: RST_STREAM(NO_ERROR) */
    assert_log(&pair.client, "headers 1 :status=200 grpc-status=12 end\nclose 1 0\n");
    assert_non_null(strstr(peer_text(&pair.server), "close 1 0\n"));
    pair_free(&pair);
}

static void test_streaming_both_ways(void **state)
{
    struct pair pair;
    struct h2_stream *server = open_one(&pair, NULL, NULL), *client = pair.client.latest;

    assert_int_equal(h2_stream_respond(server, pair_response, 2, 0, 1), 0);
    pair_run(&pair);
    assert_log(&pair.client, "headers 1 :status=200 content-type=application/grpc\n");
    for (int i = 0; i < 50; i++) { /* deferred and resumed each time */
        assert_int_equal(buf_append(h2_stream_out(server), "abc", 3), 0);
        h2_stream_flush(server);
        assert_int_equal(buf_append(h2_stream_out(client), "de", 2), 0);
        h2_stream_flush(client);
        pair_run(&pair);
        assert_int_equal(buf_len(&note_of(client)->body), 3 * (i + 1));
        assert_int_equal(buf_len(&note_of(server)->body), 2 * (i + 1));
    }
    assert_int_equal(h2_stream_finish(client, NULL, 0, 0), 0);
    pair_run(&pair);
    assert_int_equal(h2_stream_finish(server, NULL, 0, 0), 0); /* plainly, without trailers */
    pair_run(&pair);
    assert_int_equal(pair.client.n_close + pair.server.n_close, 2);
    assert_int_equal(pair.client.close_error, H2_NO_ERROR);
    assert_int_equal(pair.server.close_error, H2_NO_ERROR);
    pair_free(&pair);
}

static void test_trailers_are_copied_unless_static(void **state)
{
    for (int is_static = 0; is_static <= 1; is_static++) {
        struct pair pair;
        struct h2_stream *st = open_one(&pair, NULL, NULL);
        char name[] = "grpc-message", value[] = "why";
        struct h2_header trailers[] = {pair_trailers[0],
                                       {span_of_string(name), span_of_string(value)},
                                       {SPAN_LIT("empty"), {NULL, 0}}};

        assert_int_equal(h2_stream_respond(st, pair_response, 2, 0, 0), 0);
        fill(st, 10);
        assert_int_equal(h2_stream_finish(st, trailers, 3, is_static), 0);
        if (!is_static)
            memset(name, 'X', sizeof name - 1);
        pair_run(&pair);
        assert_non_null(
                strstr(peer_text(&pair.client), "trailers 1 grpc-status=0 grpc-message=why empty= body 10"));
        pair_free(&pair);
    }
}

static void test_response_headers_are_copied(void **state)
{
    struct pair pair;
    struct h2_stream *st = open_one(&pair, NULL, NULL);
    char value[] = "200";
    struct h2_header answer = {SPAN_LIT(":status"), span_of_string(value)};

    assert_int_equal(h2_stream_respond(st, &answer, 1, 1, 0), 0);
    memset(value, 'X', 3);
    pair_run(&pair);
    assert_non_null(strstr(peer_text(&pair.client), ":status=200"));
    pair_free(&pair);
}

static void test_output_waits_for_the_response(void **state)
{
    struct pair pair;
    struct h2_stream *st = open_one(&pair, NULL, NULL);

    fill(st, 10);
    pair_run(&pair);
    assert_int_equal(h2_stream_pending(st), 10);
    assert_int_equal(h2_stream_respond(st, pair_response, 2, 0, 1), 0);
    pair_run(&pair);
    assert_int_equal(h2_stream_pending(st), 0);
    assert_int_equal(buf_len(&note_of(pair.client.latest)->body), 10);
    pair_free(&pair);
}

static void test_what_is_not_flushed_stays(void **state)
{
    struct pair pair;
    struct h2_stream *st = open_one(&pair, NULL, NULL);
    struct buf *out = h2_stream_out(st);

    assert_int_equal(h2_stream_respond(st, pair_response, 2, 0, 1), 0);
    fill(st, 10);
    assert_int_equal(buf_append(out, "begun", 5), 0);
    pair_run(&pair);
    assert_int_equal(buf_len(out), 5);
    assert_memory_equal(buf_head(out), "begun", 5);
    out->end -= 5; /* undone */
    h2_stream_flush(st);
    assert_int_equal(h2_session_pending_bytes(pair.server.s), 0);
    assert_int_equal(buf_append(out, "!", 1), 0);
    assert_int_equal(h2_stream_finish(st, pair_trailers, 1, 1), 0); /* flushes */
    pair_run(&pair);
    assert_non_null(strstr(peer_text(&pair.client), "body 11"));
    pair_free(&pair);
}

static void test_marks_of_one_stream(void **state)
{
    struct h2_config client = h2_config_client();
    struct h2_stream *st, *cl;
    struct pair pair;
    size_t got;

    client.stream_window_bytes = 16 * 1024;
    st = open_one(&pair, &client, NULL);
    cl = pair.client.latest;
    note_of(cl)->keeps = 1;
    assert_int_equal(h2_stream_respond(st, pair_response, 2, 0, 1), 0);
    fill(st, H2_STREAM_HIGH_BYTES - 1);
    assert_true(h2_stream_is_writable(st));
    fill(st, 1);
    assert_false(h2_stream_is_writable(st));
    pair_run(&pair);
    assert_int_equal(h2_stream_pending(st), H2_STREAM_HIGH_BYTES - 16 * 1024); /* the window */
    for (;;) {
        got = buf_len(&note_of(cl)->body);
        assert_int_equal(h2_stream_pending(st), H2_STREAM_HIGH_BYTES - got);
        assert_int_equal(h2_stream_is_writable(st), h2_stream_pending(st) <= H2_STREAM_LOW_BYTES);
        assert_int_equal(pair.server.n_writable, h2_stream_is_writable(st));
        if (cl->unconsumed == 0)
            break;
        h2_stream_consume(cl, cl->unconsumed);
        pair_run(&pair);
    }
    assert_int_equal(got, H2_STREAM_HIGH_BYTES);
    assert_int_equal(pair.server.n_writable, 1);
    pair_free(&pair);
}

static int refills(struct peer *p, struct h2_stream *st, enum peer_event event)
{
    if (event == ON_WRITABLE && note_of(st)->tag-- > 0)
        fill(st, H2_STREAM_HIGH_BYTES);
    return 1;
}

static void test_refilling_inside_on_writable(void **state)
{
    struct pair pair;
    struct h2_stream *st = open_one(&pair, NULL, NULL), *cl = pair.client.latest;

    pair.server.hook = refills;
    note_of(st)->tag = 20;
    assert_int_equal(h2_stream_respond(st, pair_response, 2, 0, 1), 0);
    fill(st, H2_STREAM_HIGH_BYTES);
    pair_run(&pair);
    assert_int_equal(buf_len(&note_of(cl)->body), 21 * (size_t)H2_STREAM_HIGH_BYTES);
    assert_int_equal(pair.server.n_writable, 21);
    peer_check(&pair.server);
    pair_free(&pair);
}

static void test_room_of_the_session(void **state)
{
    struct h2_config client = h2_config_client();
    struct h2_stream *st[10];
    struct pair pair;

    client.stream_window_bytes = client.connection_window_bytes = 65535;
    pair_open(&pair, &client, NULL);
    pair.server.hook = only_records;
    for (int i = 0; i < 10; i++) {
        note_of(pair_call(&pair, NULL))->keeps = 1;
        pair_run(&pair);
        st[i] = pair.server.latest;
        assert_int_equal(h2_stream_respond(st[i], pair_response, 2, 0, 1), 0);
        fill(st[i], 200 * 1024);
    }
    assert_true(h2_session_pending_bytes(pair.server.s) > H2_OUTPUT_HIGH_BYTES);
    pair_run(&pair); /* as far as the windows go */
    assert_int_equal(pair.server.n_room, 0);
    for (int i = 0; i < 7; i++)
        h2_stream_reset(st[i], H2_CANCEL);
    assert_int_equal(pair.server.n_room, 0); /* never from h2_stream_* */
    h2_session_tick(pair.server.s, pair.now);
    assert_int_equal(pair.server.n_room, 0);
    h2_stream_reset(st[7], H2_CANCEL);
    h2_session_tick(pair.server.s, pair.now);
    assert_int_equal(pair.server.n_room, 1);
    pair_run(&pair);
    h2_session_tick(pair.server.s, pair.now);
    assert_int_equal(pair.server.n_room, 1); /* once each time it was above */
    fill(st[8], H2_OUTPUT_HIGH_BYTES);
    h2_stream_reset(st[8], H2_CANCEL);
    h2_session_tick(pair.server.s, pair.now);
    assert_int_equal(pair.server.n_room, 2);
    peer_check(&pair.server);
    pair_free(&pair);
}

/* The client sends more than the windows hold and the server credits late. */
static void test_receive_windows(void **state)
{
    struct h2_config server = h2_config_server();
    struct h2_stream *st, *cl;
    struct pair pair;

    server.stream_window_bytes = 20000;
    server.connection_window_bytes = 65535;
    st = open_one(&pair, NULL, &server);
    cl = pair.client.latest;
    fill(cl, 100000);
    assert_int_equal(h2_stream_finish(cl, NULL, 0, 0), 0);
    pair_run(&pair);
    assert_int_equal(buf_len(&note_of(st)->body), 20000);
    h2_stream_consume(st, 5000); /* less than half a window: no WINDOW_UPDATE yet */
    assert_false(h2_session_wants_write(pair.server.s));
    while (buf_len(&note_of(st)->body) < 100000) {
        assert_true(st->unconsumed > 0);
        h2_stream_consume(st, st->unconsumed);
        pair_run(&pair);
    }
    assert_non_null(strstr(peer_text(&pair.server), "end 1 body 100000"));
    pair_free(&pair);
}

/* What a dead stream never credited must not close the connection's window for others. */
static void test_bytes_of_a_closed_stream_are_credited(void **state)
{
    struct h2_config server = h2_config_server();
    struct pair pair;

    server.connection_window_bytes = 65535;
    server.stream_window_bytes = 65535;
    pair_open(&pair, NULL, &server);
    pair.server.hook = only_records;
    for (int i = 0; i < 20; i++) {
        struct h2_stream *cl = pair_call(&pair, NULL);

        assert_non_null(cl);
        fill(cl, 30000);
        pair_run(&pair);
        assert_int_equal(buf_len(&note_of(pair.server.latest)->body), 30000); /* uncredited */
        if (i & 1)
            h2_stream_reset(cl, H2_CANCEL);
        else
            h2_stream_reset(pair.server.latest, H2_CANCEL);
        pair_run(&pair);
    }
    assert_int_equal(pair.server.n_close, 20);
    pair_free(&pair);
}

static void test_early_end_resets_with_no_error(void **state)
{
    struct pair pair;
    struct h2_stream *st = open_one(&pair, NULL, NULL);

    fill(pair.client.latest, 10);
    assert_int_equal(h2_stream_respond(st, pair_response, 2, 0, 1), 0);
    fill(st, 3);
    assert_int_equal(h2_stream_finish(st, pair_trailers, 1, 1), 0);
    pair_run(&pair);
    assert_non_null(strstr(peer_text(&pair.client), "trailers 1 grpc-status=0 body 3"));
    assert_non_null(strstr(peer_text(&pair.client), "close 1 0\n"));
    assert_non_null(strstr(peer_text(&pair.server), "close 1 0\n"));
    assert_int_equal(pair.client.n_close + pair.server.n_close, 2);
    pair_free(&pair);
}

enum { N_POINTS = 8 };

/* A streaming call up to @point; returns 0 when it is already over there. */
static int run_to(struct pair *pair, int point)
{
    pair_open(pair, NULL, NULL);
    pair->server.hook = only_records;
    if (!pair_call(pair, NULL) || point == 0)
        return 1;
    pair_run(pair);
    if (point == 1)
        return 1;
    fill(pair->client.latest, 100);
    if (point == 2)
        return 1;
    pair_run(pair);
    (void)!h2_stream_respond(pair->server.latest, pair_response, 2, 0, 1);
    if (point == 3)
        return 1;
    pair_run(pair);
    fill(pair->server.latest, 100);
    if (point == 4)
        return 1;
    pair_run(pair);
    (void)!h2_stream_finish(pair->client.latest, NULL, 0, 0);
    if (point == 5)
        return 1;
    pair_run(pair);
    (void)!h2_stream_finish(pair->server.latest, pair_trailers, 1, 1);
    if (point == 6)
        return 1;
    pair_run(pair);
    return 0;
}

static void test_reset_from_both_sides_at_each_point(void **state)
{
    for (int by_server = 0; by_server <= 1; by_server++)
        for (int point = 0; point < N_POINTS; point++) {
            struct pair pair;
            int is_open = run_to(&pair, point);
            struct peer *p = by_server ? &pair.server : &pair.client;
            struct h2_stream *st = p->latest;

            if (is_open && !st) { /* the request has not come to the server */
                pair_free(&pair);
                continue;
            }
            if (is_open) {
                int before = p->n_close;

                h2_stream_reset(st, H2_ENHANCE_YOUR_CALM);
                h2_stream_reset(st, H2_CANCEL); /* the first one counts */
                assert_int_equal(p->n_close, before);
                assert_int_equal(h2_session_tick(p->s, pair.now) > 0, 1);
                assert_int_equal(p->n_close, before + 1);
                assert_int_equal(p->close_error, H2_ENHANCE_YOUR_CALM);
            }
            pair_run(&pair);
            assert_int_equal(pair.client.n_close, 1);
            assert_int_equal(pair.server.n_close, pair.server.n_headers > 0);
            if (is_open && !by_server && pair.server.n_headers)
                assert_int_equal(pair.server.close_error, H2_ENHANCE_YOUR_CALM);
            peer_check(&pair.client);
            peer_check(&pair.server);
            assert_non_null(pair_call(&pair, "more")); /* both sessions go on */
            pair.server.hook = NULL;
            pair_run(&pair);
            assert_int_equal(pair.client.n_close, 2);
            assert_int_equal(pair.client.close_error, H2_NO_ERROR);
            pair_free(&pair);
        }
}

static void test_a_stream_that_is_over_is_mute(void **state)
{
    struct pair pair;
    struct h2_stream *st = open_one(&pair, NULL, NULL);

    fill(pair.client.latest, 10);
    pair_run(&pair);
    h2_stream_reset(st, H2_CANCEL);
    assert_int_equal(h2_stream_respond(st, pair_response, 2, 0, 1), 0);
    fill(st, 100);
    assert_int_equal(h2_stream_pending(st), 0);
    assert_int_equal(buf_len(h2_stream_out(st)), 0);
    assert_int_equal(h2_stream_finish(st, pair_trailers, 1, 0), 0);
    h2_stream_consume(st, 10);
    h2_stream_expect_body(st, 1);
    assert_int_equal(h2_session_pending_bytes(pair.server.s), 0);
    pair_run(&pair);
    assert_log(&pair.client, "close 1 8\n");
    pair_free(&pair);
}

static void test_user_object_is_fresh_each_time(void **state)
{
    struct pair pair;

    pair_open(&pair, NULL, NULL);
    for (int i = 0; i < 200; i++) {
        struct h2_stream *st = pair_call(&pair, "x");
        struct note *note = note_of(st);

        assert_int_equal((uintptr_t)note % _Alignof(max_align_t), 0);
        assert_int_equal(note->tag, 0);
        assert_int_equal(note->is_closed, 0);
        assert_null(note->body.data);
        note->tag = 99;
        pair_run(&pair);
    }
    assert_int_equal(pair.client.n_close, 200);
    assert_in_range(pair.client.s->n_spare, POOL_KEEPS, POOL_KEEPS ? H2_SPARE_STREAMS : 0);
    pair_free(&pair);
}

static void test_spare_streams_are_bounded(void **state)
{
    struct pair pair;
    size_t kept = 0;

    pair_open(&pair, NULL, NULL);
    for (int i = 0; i < 90; i++)
        fill(pair_call(&pair, NULL), 20000);
    for (int i = 0; i < 90; i++)
        h2_stream_reset(LIST_ENTRY(list_first(&pair.client.s->streams), struct h2_stream, link), H2_CANCEL);
    h2_session_tick(pair.client.s, pair.now);
    assert_int_equal(pair.client.n_close, 90);
    assert_true(pair.client.s->n_spare <= H2_SPARE_STREAMS);
    LIST_FOREACH (l, &pair.client.s->spare)
        kept += LIST_ENTRY(l, struct h2_stream, link)->out.cap;
    assert_true(kept <= (size_t)H2_SPARE_STREAMS * H2_SPARE_OUT_BYTES);
    pair_free(&pair);
}

static void test_drained_output_gives_its_memory_back(void **state)
{
    struct pair pair;
    struct h2_stream *st = open_one(&pair, NULL, NULL);

    assert_int_equal(h2_stream_respond(st, pair_response, 2, 0, 1), 0);
    fill(st, 1000 * 1000);
    pair_run(&pair);
    assert_int_equal(h2_stream_pending(st), 0);
    assert_true(h2_stream_out(st)->cap <= H2_STREAM_LOW_BYTES);
    pair_free(&pair);
}

static void test_requests_keep_to_the_servers_limit(void **state)
{
    struct h2_config server = h2_config_server();
    struct h2_stream *st;
    struct pair pair;
    int n = 0;

    server.max_streams = 7;
    assert_int_equal(pair_new(&pair, NULL, &server), 0);
    pair.server.hook = only_records;
    while (pair_call(&pair, NULL))
        n++;
    assert_int_equal(n, 100); /* until the server has spoken */
    pair_run(&pair);
    assert_int_equal(pair.server.n_headers, 7);
    /* those that went out before its SETTINGS were refused, with nothing done for them */
    assert_int_equal(h2_session_n_streams(pair.client.s), 7);
    assert_int_equal(pair.client.n_close, 93);
    assert_int_equal(pair.client.close_error, H2_REFUSED_STREAM);
    assert_int_equal(h2_session_request(pair.client.s, pair_request, ARRAY_LEN(pair_request), 0, &st),
                     H2_E_REFUSED);
    h2_stream_reset(LIST_ENTRY(list_first(&pair.client.s->streams), struct h2_stream, link), H2_CANCEL);
    pair_run(&pair);
    assert_non_null(pair_call(&pair, NULL));
    assert_null(pair_call(&pair, NULL));
    pair_run(&pair);
    assert_int_equal(pair.server.n_headers, 8);
    pair_free(&pair);
}

static void test_cancelled_before_it_was_sent(void **state)
{
    struct pair pair;

    pair_open(&pair, NULL, NULL);
    for (int i = 0; i < 20; i++) {
        struct h2_stream *a = pair_call(&pair, "a"), *b = pair_call(&pair, "b"), *c = pair_call(&pair, "c");

        assert_true(a && b && c);
        h2_stream_reset(b, H2_CANCEL);
        if (i & 1)
            h2_session_tick(pair.client.s, pair.now); /* on_close before nghttp2 has seen the request off */
        pair_run(&pair);
    }
    assert_int_equal(pair.client.n_close, 60);
    assert_int_equal(pair.server.n_headers, 40);
    peer_check(&pair.client);
    pair_free(&pair);
}

static void test_queue_of_requests_is_bounded(void **state)
{
    struct pair pair;
    int n = 0;

    pair_open(&pair, NULL, NULL);
    /* the socket takes nothing and the owner opens and cancels */
    for (struct h2_stream *st; (st = pair_call(&pair, "x")); n++) {
        h2_stream_reset(st, H2_CANCEL);
        h2_session_tick(pair.client.s, pair.now);
        assert_true(n < 100000);
    }
    assert_in_range(n, 1000, H2_CONTROL_FRAMES_MAX + 1);
    pair_run(&pair);
    assert_non_null(pair_call(&pair, "x"));
    pair_free(&pair);
}

/* Two answers of many frames share the connection instead of going one after the other. */
static void test_streams_take_turns(void **state)
{
    struct h2_config client = h2_config_client();
    struct h2_stream *st[2], *cl[2];
    struct pair pair;

    client.stream_window_bytes = client.connection_window_bytes = 10 * 1000 * 1000;
    pair_open(&pair, &client, NULL);
    pair.server.hook = only_records;
    for (int i = 0; i < 2; i++) {
        cl[i] = pair_call(&pair, NULL);
        pair_run(&pair);
        st[i] = pair.server.latest;
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(h2_stream_respond(st[i], pair_response, 2, 0, 1), 0);
        fill(st[i], 1000 * 1000);
    }
    for (int turn = 0; turn < 8; turn++) { /* 64 KiB each */
        size_t a, b;

        assert_true(pair_carry(&pair, &pair.server, &pair.client));
        a = buf_len(&note_of(cl[0])->body);
        b = buf_len(&note_of(cl[1])->body);
        assert_true(MAX(a, b) - MIN(a, b) <= 2 * 16384);
    }
    pair_free(&pair);
}

static void test_too_large_trailers_end_the_stream(void **state)
{
    struct pair pair;
    struct h2_stream *st = open_one(&pair, NULL, NULL);
    static uint8_t big[70000];
    struct h2_header trailer = {SPAN_LIT("grpc-message"), {big, sizeof big}};

    memset(big, 'm', sizeof big);
    assert_int_equal(h2_stream_respond(st, pair_response, 2, 0, 1), 0);
    assert_int_equal(h2_stream_finish(st, &trailer, 1, 0), 0);
    pair_run(&pair);
    assert_int_equal(pair.server.n_close, 1);
    assert_int_equal(pair.server.close_error, H2_INTERNAL_ERROR);
    assert_int_equal(pair.client.close_error, H2_INTERNAL_ERROR);
    assert_string_equal(h2_session_end_reason(pair.server.s), "");
    pair_free(&pair);
}

/* Random owners on both ends: every sum of the session holds after each step, and all streams end. */
static void random_step(struct pair *pair, struct test_random *r, struct peer *p)
{
    struct list *l = list_first(&p->s->streams);
    struct h2_stream *st;

    for (uint64_t skip = test_random_below(r, 8); l && skip && l->next != &p->s->streams; skip--)
        l = l->next;
    if (!l)
        return;
    st = LIST_ENTRY(l, struct h2_stream, link);
    switch (test_random_below(r, 10)) {
    case 0: h2_stream_reset(st, H2_CANCEL); break;
    case 1:
        if (st->session->role == H2_SERVER && !st->responded)
            assert_int_equal(h2_stream_respond(st, pair_response, 2, 0, (int)test_random_below(r, 2)), 0);
        break;
    case 2:
        if (st->responded && !st->finishing)
            assert_int_equal(h2_stream_finish(st, pair_trailers, st->session->role == H2_SERVER, 1), 0);
        break;
    case 3: h2_stream_expect_body(st, (int)test_random_below(r, 2)); break;
    case 4:
    case 5:
    case 6:
        if (st->unconsumed)
            h2_stream_consume(st, 1 + test_random_below(r, st->unconsumed));
        break;
    default:
        if (!st->finishing)
            fill(st, 1 + test_random_below(r, test_random_below(r, 10) ? 3000 : 300000));
        break;
    }
}

static void test_sums_hold_for_random_owners(void **state)
{
    struct test_random r = {test_seed()};
    struct h2_config client = h2_config_client(), server = h2_config_server();
    struct pair pair;

    client.stream_window_bytes = server.stream_window_bytes = 30000;
    client.connection_window_bytes = server.connection_window_bytes = 70000;
    server.max_streams = 50;
    pair_open(&pair, &client, &server);
    pair.server.hook = pair.client.hook = only_records;
    for (int step = 0; step < 30000; step++) {
        pair.now += (mono_ns_t)test_random_below(&r, 100) * NS_PER_MS;
        pair.cut = test_random_below(&r, 3) ? 0 : 1 + test_random_below(&r, 5000);
        switch (test_random_below(&r, 6)) {
        case 0: pair_call(&pair, test_random_below(&r, 2) ? NULL : "body"); break;
        case 1: pair_carry(&pair, &pair.client, &pair.server); break;
        case 2: pair_carry(&pair, &pair.server, &pair.client); break;
        case 3: h2_session_tick(test_random_below(&r, 2) ? pair.client.s : pair.server.s, pair.now); break;
        default: random_step(&pair, &r, test_random_below(&r, 2) ? &pair.client : &pair.server); break;
        }
        assert_int_equal(pair.r, 0);
        peer_check(&pair.client);
        peer_check(&pair.server);
        assert_string_equal(h2_session_end_reason(pair.server.s), "");
    }
    assert_true(pair.server.n_headers > 1000);
    for (int i = 0; i < 2; i++) {
        struct peer *p = i ? &pair.client : &pair.server;

        LIST_FOREACH_SAFE (l, &p->s->streams)
            h2_stream_reset(LIST_ENTRY(l, struct h2_stream, link), H2_CANCEL);
    }
    pair_run(&pair);
    assert_int_equal(h2_session_n_streams(pair.client.s), 0);
    assert_int_equal(h2_session_n_streams(pair.server.s), 0);
    assert_int_equal(pair.server.n_headers >= pair.server.n_close, 1);
    assert_int_equal(pair.server.s->pending_bytes, 0);
    /* and the windows are whole again: a call of their full size goes through */
    pair.server.hook = pair.client.hook = NULL;
    pair.cut = 0;
    fill(pair_call(&pair, NULL), 200000);
    assert_int_equal(h2_stream_finish(pair.client.latest, NULL, 0, 0), 0);
    pair_run(&pair);
    assert_non_null(strstr(peer_text(&pair.client), "body 200000"));
    pair_free(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_unary_call),
            cmocka_unit_test(test_empty_bodies),
            cmocka_unit_test(test_trailers_only),
            cmocka_unit_test(test_streaming_both_ways),
            cmocka_unit_test(test_trailers_are_copied_unless_static),
            cmocka_unit_test(test_response_headers_are_copied),
            cmocka_unit_test(test_output_waits_for_the_response),
            cmocka_unit_test(test_what_is_not_flushed_stays),
            cmocka_unit_test(test_marks_of_one_stream),
            cmocka_unit_test(test_refilling_inside_on_writable),
            cmocka_unit_test(test_room_of_the_session),
            cmocka_unit_test(test_receive_windows),
            cmocka_unit_test(test_bytes_of_a_closed_stream_are_credited),
            cmocka_unit_test(test_early_end_resets_with_no_error),
            cmocka_unit_test(test_reset_from_both_sides_at_each_point),
            cmocka_unit_test(test_a_stream_that_is_over_is_mute),
            cmocka_unit_test(test_user_object_is_fresh_each_time),
            cmocka_unit_test(test_spare_streams_are_bounded),
            cmocka_unit_test(test_drained_output_gives_its_memory_back),
            cmocka_unit_test(test_requests_keep_to_the_servers_limit),
            cmocka_unit_test(test_cancelled_before_it_was_sent),
            cmocka_unit_test(test_queue_of_requests_is_bounded),
            cmocka_unit_test(test_streams_take_turns),
            cmocka_unit_test(test_too_large_trailers_end_the_stream),
            cmocka_unit_test(test_sums_hold_for_random_owners),
    };

    test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
