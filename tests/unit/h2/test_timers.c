// SPDX-License-Identifier: Apache-2.0
#include "pair.h"

static int only_records(struct peer *p, struct h2_stream *st, enum peer_event event)
{
    return 1;
}

static struct h2_config quiet(void)
{
    struct h2_config c = h2_config_server();

    c.preface_timeout_ns = c.headers_timeout_ns = c.body_timeout_ns = 0;
    c.idle_timeout_ns = c.write_timeout_ns = c.keepalive_ns = 0;
    return c;
}

static mono_ns_t s(int64_t seconds)
{
    return seconds * NS_PER_S;
}

static void check_ended(struct peer *p, mono_ns_t now, const char *reason, uint32_t error)
{
    struct span last = {0};

    buf_clear(&p->out);
    raw_drain(p, now);
    assert_string_equal(h2_session_end_reason(p->s), reason);
    assert_int_equal(raw_count(p, NGHTTP2_GOAWAY, 0, &last), 1);
    assert_int_equal(last.p[7], error);
    assert_true(h2_session_is_over(p->s));
    assert_int_equal(h2_session_recv(p->s, (const uint8_t *)"x", 1, now), H2_E_OVER);
}

static void test_preface(void **state)
{
    struct h2_config c = quiet();
    struct buf b = BUF_INIT;
    struct peer p;

    c.preface_timeout_ns = s(10);
    assert_int_equal(peer_new(&p, H2_SERVER, &c, s(100)), 0);
    raw_drain(&p, s(100));
    assert_int_equal(h2_session_tick(p.s, s(100)), s(110));
    assert_int_equal(h2_session_recv(p.s, (const uint8_t *)PREFACE, 24, s(105)), 0);
    assert_int_equal(h2_session_tick(p.s, s(110) - 1), s(110));
    assert_string_equal(h2_session_end_reason(p.s), "");
    h2_session_tick(p.s, s(110));
    check_ended(&p, s(110), "preface_timeout", H2_PROTOCOL_ERROR);
    peer_free(&p);

    assert_int_equal(peer_new(&p, H2_SERVER, &c, s(100)), 0);
    raw_preface(&b);
    assert_int_equal(raw_feed(&p, &b, s(109)), 0);
    h2_session_tick(p.s, s(1000));
    assert_string_equal(h2_session_end_reason(p.s), "");
    buf_deinit(&b);
    peer_free(&p);
}

static void test_headers(void **state)
{
    struct h2_config c = quiet();
    struct buf b = BUF_INIT;
    struct peer p;

    c.headers_timeout_ns = s(10);
    raw_server(&p, &c, &b, s(1));
    raw_frame(&b, NGHTTP2_HEADERS, 0, 1, "\x83", 1);
    assert_int_equal(raw_feed(&p, &b, s(5)), 0);
    assert_int_equal(h2_session_tick(p.s, s(5)), s(15));
    for (int i = 6; i < 15; i++) { /* a drop now and then does not help */
        raw_frame(&b, NGHTTP2_CONTINUATION, 0, 1, "\x86", 1);
        assert_int_equal(raw_feed(&p, &b, s(i)), 0);
        assert_int_equal(h2_session_tick(p.s, s(i)), s(15));
    }
    h2_session_tick(p.s, s(15));
    check_ended(&p, s(15), "headers_timeout", H2_ENHANCE_YOUR_CALM);
    assert_log(&p, "");
    buf_deinit(&b);
    peer_free(&p);
}

static void test_body(void **state)
{
    struct h2_config c = quiet();
    struct buf b = BUF_INIT;
    struct h2_stream *first;
    struct peer p;

    c.body_timeout_ns = s(60);
    raw_server(&p, &c, &b, s(1));
    p.hook = only_records;
    raw_request(&b, 1, 0);
    assert_int_equal(raw_feed(&p, &b, s(10)), 0);
    first = p.latest;
    raw_request(&b, 3, 0);
    raw_request(&b, 5, F_END_STREAM); /* owes nothing */
    assert_int_equal(raw_feed(&p, &b, s(20)), 0);
    assert_int_equal(h2_session_tick(p.s, s(20)), s(70));
    raw_head(&b, 1000, NGHTTP2_DATA, 0, 1); /* a part of a frame is a sign of life */
    assert_int_equal(buf_append(&b, "some", 4), 0);
    assert_int_equal(raw_feed(&p, &b, s(50)), 0);
    assert_int_equal(h2_session_tick(p.s, s(50)), s(80));
    assert_int_equal(p.n_close, 0);
    assert_int_equal(h2_session_tick(p.s, s(80)), s(110));
    assert_non_null(strstr(peer_text(&p), "close 3 8\n"));
    assert_int_equal(p.n_close, 1);
    /* the owner does not wait any more, then again */
    h2_stream_expect_body(first, 0);
    assert_int_equal(h2_session_tick(p.s, s(200)), CLOCK_NEVER);
    assert_int_equal(p.n_close, 1);
    h2_stream_expect_body(first, 1);
    assert_int_equal(h2_session_tick(p.s, s(500)), s(560));
    assert_int_equal(p.n_close, 1);
    h2_session_tick(p.s, s(560));
    assert_int_equal(p.n_close, 2);
    raw_drain(&p, s(560));
    assert_int_equal(raw_count(&p, NGHTTP2_RST_STREAM, 1, NULL), 1);
    assert_string_equal(h2_session_end_reason(p.s), "");
    buf_deinit(&b);
    peer_free(&p);
}

static void test_window_that_stays_shut(void **state)
{
    struct h2_config server = quiet(), client = h2_config_client();
    struct h2_stream *a, *b;
    struct pair pair;
    static uint8_t bytes[30000];

    client.stream_window_bytes = 10000;
    server.write_timeout_ns = s(60);
    pair_open(&pair, &client, &server);
    pair.server.hook = pair.client.hook = only_records;
    assert_non_null(pair_call(&pair, NULL));
    pair_run(&pair);
    a = pair.server.latest;
    assert_non_null(pair_call(&pair, NULL));
    pair_run(&pair);
    b = pair.server.latest;
    pair.now = s(10);
    for (int i = 0; i < 2; i++) { /* outside of any event, long after the last one */
        struct h2_stream *st = i ? b : a;

        assert_int_equal(h2_stream_respond(st, pair_response, 2, 0, 1), 0);
        assert_int_equal(buf_append(h2_stream_out(st), bytes, sizeof bytes), 0);
        h2_stream_flush(st);
    }
    pair.now = s(1000);
    pair_run(&pair);
    assert_int_equal(h2_session_tick(pair.server.s, s(1000)), s(1060));
    /* one of them gets on, by a little */
    h2_stream_consume(pair.client.latest, 6000);
    pair.now = s(1030);
    pair_run(&pair);
    assert_int_equal(h2_stream_pending(b), 14000);
    assert_int_equal(h2_session_tick(pair.server.s, s(1060)), s(1090));
    assert_log(&pair.server, "headers 1 :method=POST :scheme=http :path=/a.B/C :authority=host te=trailers "
                             "content-type=application/grpc\n"
                             "headers 3 :method=POST :scheme=http :path=/a.B/C :authority=host te=trailers "
                             "content-type=application/grpc\n"
                             "close 1 11\n");
    h2_session_tick(pair.server.s, s(1090));
    assert_int_equal(pair.server.n_close, 2);
    assert_int_equal(h2_session_pending_bytes(pair.server.s), 0);
    assert_string_equal(h2_session_end_reason(pair.server.s), "");
    pair_free(&pair);
}

/* The last, empty DATA frame of a request waits for the window too. */
static void test_end_behind_a_shut_window(void **state)
{
    struct h2_config server = quiet(), client = h2_config_client();
    struct h2_stream *st;
    struct pair pair;
    static uint8_t bytes[10000];

    server.stream_window_bytes = sizeof bytes;
    client.write_timeout_ns = s(60);
    pair_open(&pair, &client, &server);
    pair.server.hook = only_records;
    st = pair_call(&pair, NULL);
    assert_int_equal(buf_append(h2_stream_out(st), bytes, sizeof bytes), 0);
    h2_stream_flush(st);
    pair_run(&pair);
    assert_int_equal(h2_stream_pending(st), 0);
    assert_int_equal(h2_stream_finish(st, NULL, 0, 0), 0);
    pair.now = s(100);
    pair_run(&pair);
    h2_session_tick(pair.client.s, s(100));
    assert_int_equal(pair.client.n_close, 0);
    h2_session_tick(pair.client.s, s(160));
    assert_int_equal(pair.client.n_close, 1);
    pair_free(&pair);
}

static void test_socket_that_takes_nothing(void **state)
{
    struct h2_config c = quiet();
    struct buf b = BUF_INIT;
    struct peer p;
    size_t n;

    c.write_timeout_ns = s(60);
    raw_server(&p, &c, &b, s(1));
    raw_request(&b, 1, F_END_STREAM);
    assert_int_equal(raw_feed(&p, &b, s(10)), 0);
    assert_int_equal(h2_session_send(p.s, &p.out, 65536, s(10)), 0);
    n = buf_len(&p.out);
    assert_true(n > 10);
    assert_int_equal(h2_session_tick(p.s, s(10)), s(20)); /* the rest after the last stream */
    assert_int_equal(h2_session_tick(p.s, s(20)), s(70));
    h2_session_sent(p.s, 1, s(50)); /* some progress */
    h2_session_sent(p.s, 0, s(55)); /* none */
    assert_int_equal(h2_session_tick(p.s, s(70)), s(110));
    assert_false(h2_session_is_dead(p.s));
    assert_int_equal(h2_session_tick(p.s, s(110)), CLOCK_NEVER);
    assert_true(h2_session_is_dead(p.s));
    assert_true(h2_session_is_over(p.s));
    assert_string_equal(h2_session_end_reason(p.s), "write_timeout");
    buf_deinit(&b);
    peer_free(&p);
}

static void test_idle(void **state)
{
    struct h2_config c = quiet();
    struct buf b = BUF_INIT;
    struct peer p;

    c.idle_timeout_ns = s(100);
    raw_server(&p, &c, &b, s(1));
    p.hook = only_records;
    raw_request(&b, 1, F_END_STREAM);
    assert_int_equal(raw_feed(&p, &b, s(50)), 0);
    h2_session_tick(p.s, s(1000)); /* a stream is open: not idle */
    assert_string_equal(h2_session_end_reason(p.s), "");
    peer_answer(p.latest);
    raw_drain(&p, s(1000));
    assert_int_equal(p.n_close, 1);
    h2_session_tick(p.s, s(1099));
    assert_false(h2_session_wants_write(p.s));
    raw_frame(&b, NGHTTP2_PING, 0, 0, "12345678", 8);
    assert_int_equal(raw_feed(&p, &b, s(1099)), 0);
    raw_drain(&p, s(1099));
    h2_session_tick(p.s, s(1198));
    assert_false(h2_session_wants_write(p.s));
    assert_int_equal(h2_session_tick(p.s, s(1199)), s(1200)); /* gives notice, and nobody answers */
    raw_drain(&p, s(1199));
    assert_false(h2_session_is_over(p.s));
    h2_session_tick(p.s, s(1200));
    check_ended(&p, s(1200), "idle_timeout", H2_NO_ERROR);
    buf_deinit(&b);
    peer_free(&p);
}

static void test_leave(void **state)
{
    struct h2_config c = quiet();
    struct buf b = BUF_INIT;
    struct span last = {0};
    struct peer p;

    raw_server(&p, &c, &b, s(1));
    p.hook = only_records;
    h2_session_drain(p.s);
    assert_int_equal(h2_session_tick(p.s, s(500)),
                     s(501)); /* the time begins now, whenever drain was called */
    raw_drain(&p, s(500));
    assert_int_equal(raw_count(&p, NGHTTP2_GOAWAY, 0, &last), 1);
    assert_memory_equal(last.p, "\x7f\xff\xff\xff\0\0\0\0", 8);
    assert_int_equal(raw_count(&p, NGHTTP2_PING, 0, &last), 1);
    raw_frame(&b, NGHTTP2_PING, F_ACK, 0, "another!", 8);
    raw_request(&b, 1, F_END_STREAM); /* was on its way */
    assert_int_equal(raw_feed(&p, &b, s(500)), 0);
    assert_non_null(p.latest);
    buf_clear(&p.out);
    assert_int_equal(h2_session_tick(p.s, s(501) - 1), s(501));
    raw_drain(&p, s(501) - 1);
    assert_int_equal(raw_count(&p, NGHTTP2_GOAWAY, 0, &last), 0);
    h2_session_tick(p.s, s(501)); /* no answer */
    raw_drain(&p, s(501));
    assert_int_equal(raw_count(&p, NGHTTP2_GOAWAY, 0, &last), 1);
    assert_memory_equal(last.p, "\0\0\0\1\0\0\0\0", 8);
    assert_false(h2_session_is_over(p.s));
    peer_answer(p.latest);
    raw_drain(&p, s(501));
    assert_true(h2_session_is_over(p.s));
    assert_string_equal(h2_session_end_reason(p.s), "drained");
    buf_deinit(&b);
    peer_free(&p);
}

static void test_keepalive(void **state)
{
    struct h2_config c = quiet();
    struct buf b = BUF_INIT;
    struct span last = {0};
    struct peer p;

    c.keepalive_ns = s(30);
    c.keepalive_timeout_ns = s(10);
    raw_server(&p, &c, &b, s(1));
    h2_session_tick(p.s, s(30));
    assert_false(h2_session_wants_write(p.s));
    assert_int_equal(h2_session_tick(p.s, s(31)), s(41));
    raw_drain(&p, s(31));
    assert_int_equal(raw_count(&p, NGHTTP2_PING, 0, &last), 1);
    raw_frame(&b, NGHTTP2_PING, F_ACK, 0, last.p, 8);
    assert_int_equal(raw_feed(&p, &b, s(40)), 0);
    assert_int_equal(h2_session_tick(p.s, s(41)), s(70));
    h2_session_tick(p.s, s(70));
    raw_drain(&p, s(70));
    assert_int_equal(raw_count(&p, NGHTTP2_PING, 0, NULL), 2);
    assert_string_equal(h2_session_end_reason(p.s), "");
    h2_session_tick(p.s, s(80));
    check_ended(&p, s(80), "keepalive_timeout", H2_NO_ERROR);
    buf_deinit(&b);
    peer_free(&p);
}

/* 10,000 honest answers to our PINGs are no flood. */
static void test_keepalive_for_a_long_time(void **state)
{
    struct h2_config config = h2_config_server(), client = h2_config_client();
    struct pair pair;

    client.pings = (struct h2_rate){1000, 1000};
    config.idle_timeout_ns = 0;
    config.keepalive_ns = NS_PER_MS;
    config.keepalive_timeout_ns = NS_PER_MS;
    pair_open(&pair, &client, &config);
    for (int i = 0; i < 10000; i++) {
        pair.now += NS_PER_MS;
        h2_session_tick(pair.server.s, pair.now);
        pair_run(&pair);
    }
    assert_string_equal(h2_session_end_reason(pair.server.s), "");
    pair_free(&pair);
}

static void test_linger(void **state)
{
    struct h2_config c = quiet();
    struct buf b = BUF_INIT;
    struct peer p;

    raw_server(&p, &c, &b, s(1));
    h2_session_abort(p.s, H2_NO_ERROR, "because");
    assert_int_equal(h2_session_send(p.s, &p.out, 65536, s(2)), 0);
    assert_true(h2_session_is_over(p.s));
    assert_int_equal(h2_session_tick(p.s, s(3)), s(1) + H2_LINGER_NS);
    assert_false(h2_session_is_dead(p.s));
    h2_session_tick(p.s, s(1) + H2_LINGER_NS);
    assert_true(h2_session_is_dead(p.s));
    assert_string_equal(h2_session_end_reason(p.s), "because");
    buf_deinit(&b);
    peer_free(&p);
}

static void test_rest_gives_spare_memory_back(void **state)
{
    struct h2_config c = quiet();
    struct pair pair;

    pair_open(&pair, NULL, &c);
    for (int i = 0; i < 50; i++)
        assert_non_null(pair_call(&pair, "hello"));
    pair_run(&pair);
    assert_int_equal(h2_session_n_streams(pair.server.s), 0);
    if (POOL_KEEPS)
        assert_true(pair.server.s->n_spare > 1);
    assert_int_equal(h2_session_tick(pair.server.s, pair.now), pair.now + H2_REST_NS);
    assert_int_equal(h2_session_tick(pair.server.s, pair.now + H2_REST_NS), CLOCK_NEVER);
    assert_int_equal(pair.server.s->n_spare, 0);
    assert_int_equal(pair.server.s->pool.kept_bytes, 0);
    pair.now += s(60);
    assert_non_null(pair_call(&pair, "hello"));
    pair_run(&pair);
    assert_int_equal(h2_session_tick(pair.server.s, pair.now), pair.now + H2_REST_NS);
    pair_free(&pair);
}

static void test_ticks_of_the_owner(void **state)
{
    struct h2_config c = quiet();
    struct peer p;

    assert_int_equal(peer_new(&p, H2_SERVER, &c, s(1)), 0);
    p.next_tick = s(50);
    assert_int_equal(h2_session_tick(p.s, s(1)), s(11)); /* rest */
    assert_int_equal(p.n_tick, 1);
    assert_int_equal(h2_session_tick(p.s, s(20)), s(50));
    assert_int_equal(p.n_tick, 1);
    p.next_tick = CLOCK_NEVER;
    assert_int_equal(h2_session_tick(p.s, s(50)), CLOCK_NEVER);
    assert_int_equal(p.n_tick, 2);
    assert_int_equal(p.n_wake, 0);
    h2_session_wake(p.s);
    assert_int_equal(p.n_wake, 1);
    assert_int_equal(h2_session_now(p.s), s(50));
    p.next_tick = s(90);
    assert_int_equal(h2_session_tick(p.s, s(60)), s(90));
    assert_int_equal(p.n_tick, 3);
    assert_int_equal(h2_session_now(p.s), s(60));
    peer_free(&p);
}

static int wakes(struct peer *p, struct h2_stream *st, enum peer_event event)
{
    if (event == ON_TICK && p->n_tick < 3)
        h2_session_wake(p->s);
    return 1;
}

static void test_wake_inside_on_tick(void **state)
{
    struct h2_config c = quiet();
    struct peer p;

    assert_int_equal(peer_new(&p, H2_SERVER, &c, s(1)), 0);
    p.hook = wakes;
    assert_int_equal(h2_session_tick(p.s, s(1)), s(1));
    assert_int_equal(h2_session_tick(p.s, s(2)), s(2));
    assert_int_equal(h2_session_tick(p.s, s(3)), s(11));
    assert_int_equal(p.n_tick, 3);
    /* on_tick does not come any more once the session has ended, so a wake must not ask for it for ever */
    h2_session_abort(p.s, H2_NO_ERROR, "over");
    h2_session_wake(p.s);
    assert_int_equal(h2_session_tick(p.s, s(4)), s(3) + H2_LINGER_NS);
    assert_int_equal(p.n_tick, 3);
    peer_free(&p);
}

static int resets_all(struct peer *p, struct h2_stream *st, enum peer_event event)
{
    if (event == ON_TICK && p->latest)
        h2_stream_reset(p->latest, H2_ENHANCE_YOUR_CALM);
    return 1;
}

static void test_stream_ended_inside_on_tick(void **state)
{
    struct h2_config c = quiet();
    struct buf b = BUF_INIT;
    struct peer p;

    raw_server(&p, &c, &b, s(1));
    p.hook = resets_all;
    raw_request(&b, 1, 0);
    assert_int_equal(raw_feed(&p, &b, s(1)), 0);
    assert_int_equal(h2_session_tick(p.s, s(1)), s(11));
    assert_non_null(strstr(peer_text(&p), "close 1 11\n"));
    buf_deinit(&b);
    peer_free(&p);
}

static void test_wants_a_tick_for_what_was_ended_outside(void **state)
{
    struct h2_config c = quiet();
    struct buf b = BUF_INIT;
    struct peer p;

    raw_server(&p, &c, &b, s(1));
    p.hook = only_records;
    raw_request(&b, 1, 0);
    assert_int_equal(raw_feed(&p, &b, s(1)), 0);
    assert_int_equal(p.n_wake, 0);
    h2_stream_reset(p.latest, H2_CANCEL);
    assert_int_equal(p.n_wake, 1);
    assert_int_equal(p.n_close, 0);
    h2_session_tick(p.s, s(2));
    assert_int_equal(p.n_close, 1);
    buf_deinit(&b);
    peer_free(&p);
}

/* A tick must not walk over streams that are not due: the lists stay in the order of expiry. */
static void test_lists_are_in_order_of_expiry(void **state)
{
    struct test_random r = {test_seed()};
    struct h2_config c = quiet();
    struct buf b = BUF_INIT;
    struct peer p;
    mono_ns_t now = s(1);

    c.body_timeout_ns = s(60);
    raw_server(&p, &c, &b, now);
    p.hook = only_records;
    for (int step = 0; step < 3000; step++) {
        uint32_t id = 2 * (uint32_t)step + 1,
                 old = 2 * (uint32_t)test_random_below(&r, (uint64_t)step + 1) + 1;
        mono_ns_t last = 0, next;

        now += (mono_ns_t)test_random_below(&r, 200) * NS_PER_MS;
        raw_request(&b, id, 0);
        raw_frame(&b, NGHTTP2_DATA, 0, old, "x", 1);
        assert_int_equal(raw_feed(&p, &b, now), 0);
        if (p.latest && test_random_below(&r, 4) == 0) {
            h2_stream_expect_body(p.latest, 0);
            h2_stream_expect_body(p.latest, 1);
        }
        next = h2_session_tick(p.s, now);
        LIST_FOREACH (l, &p.s->body) {
            mono_ns_t at = LIST_ENTRY(l, struct h2_stream, body_link)->body_at;

            assert_true(at >= last && at > now - s(60));
            last = at;
        }
        assert_true(next > now);
        raw_drain(&p, now);
        buf_clear(&p.out);
    }
    assert_true(p.n_close > 1000);
    buf_deinit(&b);
    peer_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_preface),
            cmocka_unit_test(test_headers),
            cmocka_unit_test(test_body),
            cmocka_unit_test(test_window_that_stays_shut),
            cmocka_unit_test(test_end_behind_a_shut_window),
            cmocka_unit_test(test_socket_that_takes_nothing),
            cmocka_unit_test(test_idle),
            cmocka_unit_test(test_leave),
            cmocka_unit_test(test_keepalive),
            cmocka_unit_test(test_keepalive_for_a_long_time),
            cmocka_unit_test(test_linger),
            cmocka_unit_test(test_rest_gives_spare_memory_back),
            cmocka_unit_test(test_ticks_of_the_owner),
            cmocka_unit_test(test_wake_inside_on_tick),
            cmocka_unit_test(test_stream_ended_inside_on_tick),
            cmocka_unit_test(test_wants_a_tick_for_what_was_ended_outside),
            cmocka_unit_test(test_lists_are_in_order_of_expiry),
    };

    test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
