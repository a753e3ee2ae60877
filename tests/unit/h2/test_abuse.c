// SPDX-License-Identifier: Apache-2.0
#include "h2/abuse.h"
#include "pair.h"

static struct h2_config few(void)
{
    struct h2_config c = h2_config_server();

    c.resets = c.provoked = c.pings = c.settings = c.priorities = c.window_updates = c.empty_data =
            (struct h2_rate){3, 2};
    return c;
}

static void start(struct abuse *a, enum h2_role role)
{
    struct h2_config c = few();

    h2_abuse_init(a, role, &c, NS_PER_S);
    a->magic_left = 0;
}

static const char *scan(struct abuse *a, struct buf *b, mono_ns_t now)
{
    const char *reason = h2_abuse_scan(a, buf_head(b), buf_len(b), now);

    buf_clear(b);
    return reason;
}

static void test_bucket_runs_dry_and_refills(void **state)
{
    struct abuse a;
    mono_ns_t now = NS_PER_S;

    start(&a, H2_SERVER);
    for (int i = 0; i < 3; i++)
        assert_null(h2_abuse_charge(&a, ABUSE_RESETS, now));
    assert_string_equal(h2_abuse_charge(&a, ABUSE_RESETS, now), "reset_flood");
    now += NS_PER_S / 2; /* one token */
    assert_null(h2_abuse_charge(&a, ABUSE_RESETS, now));
    assert_non_null(h2_abuse_charge(&a, ABUSE_RESETS, now));
    now += 1000 * NS_PER_S; /* never more than the burst */
    for (int i = 0; i < 3; i++)
        assert_null(h2_abuse_charge(&a, ABUSE_RESETS, now));
    assert_non_null(h2_abuse_charge(&a, ABUSE_RESETS, now));
    now = CLOCK_NEVER; /* no overflow */
    assert_null(h2_abuse_charge(&a, ABUSE_RESETS, now));
}

static void test_bucket_extremes(void **state)
{
    struct h2_config c = few();
    struct abuse a;

    c.resets = (struct h2_rate){0, 0};
    c.pings = (struct h2_rate){UINT32_MAX, UINT32_MAX};
    h2_abuse_init(&a, H2_SERVER, &c, 0);
    assert_non_null(h2_abuse_charge(&a, ABUSE_RESETS, 0));
    assert_non_null(h2_abuse_charge(&a, ABUSE_RESETS, CLOCK_NEVER));
    for (int i = 0; i < 1000; i++)
        assert_null(h2_abuse_charge(&a, ABUSE_PINGS, i));
}

struct frame_case {
    const char *reason;
    int type, flags;
    uint32_t id;
    const char *payload;
    size_t n;
};

/* Three of each are let through, the fourth is named. */
static void test_each_frame_type_has_its_bucket(void **state)
{
    static const struct frame_case cases[] = {
            {"reset_flood", NGHTTP2_RST_STREAM, 0, 1, "\0\0\0\x8", 4},
            {"ping_flood", NGHTTP2_PING, 0, 0, "12345678", 8},
            {"ping_flood", NGHTTP2_PING, F_ACK, 0, "12345678", 8},
            {"settings_flood", NGHTTP2_SETTINGS, 0, 0, "", 0},
            {"settings_flood", NGHTTP2_GOAWAY, F_ACK, 0, "\0\0\0\0\0\0\0\0", 8},
            {"priority_flood", NGHTTP2_PRIORITY, 0, 1, "\0\0\0\0\0", 5},
            {"priority_flood", NGHTTP2_PRIORITY_UPDATE, 0, 0, "\0\0\0\x1u=1", 7},
            {"priority_flood", 0xbe, 0, 7, "what", 4},
            {"window_update_flood", NGHTTP2_WINDOW_UPDATE, 0, 0, "\0\0\0\x1", 4},
            {"empty_data_flood", NGHTTP2_DATA, 0, 1, "", 0},
            {"empty_data_flood", NGHTTP2_DATA, F_PADDED, 1, "\x3\0\0\0", 4},
            {"empty_data_flood", NGHTTP2_DATA, F_PADDED, 1, "\0", 1},
            {"empty_data_flood", NGHTTP2_DATA, F_PADDED, 1, "\x9", 1}, /* nghttp2 will not like it */
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct frame_case *f = &cases[i];
        struct buf b = BUF_INIT;
        struct abuse a;

        start(&a, H2_SERVER);
        for (int k = 0; k < 3; k++)
            raw_frame(&b, f->type, f->flags, f->id, f->payload, f->n);
        assert_null(scan(&a, &b, NS_PER_S));
        raw_frame(&b, f->type, f->flags, f->id, f->payload, f->n);
        assert_string_equal(scan(&a, &b, NS_PER_S), f->reason);
        buf_deinit(&b);
    }
}

static void test_honest_frames_cost_nothing(void **state)
{
    struct buf b = BUF_INIT;
    struct abuse a;

    start(&a, H2_SERVER);
    for (uint32_t i = 0; i < 100; i++) {
        raw_request(&b, 2 * i + 1, 0);
        raw_frame(&b, NGHTTP2_DATA, 0, 2 * i + 1, "x", 1);
        raw_frame(&b, NGHTTP2_DATA, F_PADDED, 2 * i + 1, "\1x\0", 3);
        raw_frame(&b, NGHTTP2_DATA, F_END_STREAM, 2 * i + 1, "", 0);
        raw_frame(&b, NGHTTP2_SETTINGS, F_ACK, 0, "", 0);
        raw_frame(&b, NGHTTP2_PING, 0, 0, "12345678", 8); /* a bandwidth probe */
        raw_u32(&b, NGHTTP2_WINDOW_UPDATE, 0, 1000);      /* a stream opened, a window */
        raw_u32(&b, NGHTTP2_WINDOW_UPDATE, 2 * i + 1, 1000);
    }
    assert_null(scan(&a, &b, NS_PER_S));
    assert_null(h2_abuse_settle(&a, NS_PER_S));
    buf_deinit(&b);
}

/* As a client does it that streams requests one by one while answers come in large frames. */
static void test_its_data_explains_windows(void **state)
{
    struct buf b = BUF_INIT;
    struct abuse a;

    start(&a, H2_SERVER);
    for (uint32_t i = 0; i < 1000; i++) {
        raw_frame(&b, NGHTTP2_DATA, 0, 1, "x", 1);
        raw_u32(&b, NGHTTP2_WINDOW_UPDATE, 0, 1000);
        raw_u32(&b, NGHTTP2_WINDOW_UPDATE, 1, 1000);
        if (i % 100 == 0)
            assert_null(scan(&a, &b, NS_PER_S));
    }
    assert_null(scan(&a, &b, NS_PER_S));
    buf_deinit(&b);
}

static void test_our_data_explains_windows_and_pings(void **state)
{
    struct buf b = BUF_INIT;
    struct abuse a;

    start(&a, H2_SERVER);
    for (int i = 0; i < 10; i++)
        h2_abuse_sent_data(&a);
    for (int i = 0; i < 20 + 3; i++)
        raw_u32(&b, NGHTTP2_WINDOW_UPDATE, 1, 10);
    for (int i = 0; i < 10 + 3; i++)
        raw_frame(&b, NGHTTP2_PING, 0, 0, "12345678", 8);
    assert_null(scan(&a, &b, NS_PER_S));
    raw_frame(&b, NGHTTP2_PING, 0, 0, "12345678", 8);
    assert_string_equal(scan(&a, &b, NS_PER_S), "ping_flood");
    a.payload_left = 0; /* it stops at the frame that was too much */
    raw_u32(&b, NGHTTP2_WINDOW_UPDATE, 1, 10);
    assert_string_equal(scan(&a, &b, NS_PER_S), "window_update_flood");
    /* what is explained does not pile up for ever */
    for (int i = 0; i < 100000; i++)
        h2_abuse_sent_data(&a);
    assert_in_range(a.pings_explained, 1, ABUSE_PINGS_EXPLAINED_MAX);
    assert_in_range(a.windows_explained, 1, ABUSE_WINDOWS_EXPLAINED_MAX + 2);
    buf_deinit(&b);
}

static void test_ping_acks_are_owed(void **state)
{
    struct buf b = BUF_INIT;
    struct abuse a;

    start(&a, H2_CLIENT);
    a.acks_owed = 5;
    for (int i = 0; i < 5 + 3; i++)
        raw_frame(&b, NGHTTP2_PING, F_ACK, 0, "12345678", 8);
    assert_null(scan(&a, &b, NS_PER_S));
    raw_frame(&b, NGHTTP2_PING, F_ACK, 0, "12345678", 8);
    assert_string_equal(scan(&a, &b, NS_PER_S), "ping_flood");
    buf_deinit(&b);
}

static void test_header_block_has_a_beginning_and_an_end(void **state)
{
    struct buf b = BUF_INIT;
    struct abuse a;

    start(&a, H2_SERVER);
    assert_int_equal(h2_abuse_block_since(&a), CLOCK_NEVER);
    raw_frame(&b, NGHTTP2_HEADERS, 0, 1, "abc", 3);
    assert_null(scan(&a, &b, 5 * NS_PER_S));
    assert_int_equal(h2_abuse_block_since(&a), 5 * NS_PER_S);
    raw_frame(&b, NGHTTP2_CONTINUATION, 0, 1, "", 0);
    assert_null(scan(&a, &b, 6 * NS_PER_S));
    assert_int_equal(h2_abuse_block_since(&a), 5 * NS_PER_S);
    raw_head(&b, 2, NGHTTP2_CONTINUATION, F_END_HEADERS, 1);
    assert_null(scan(&a, &b, 7 * NS_PER_S));
    assert_int_equal(h2_abuse_block_since(&a), 5 * NS_PER_S); /* its payload is still to come */
    assert_null(h2_abuse_scan(&a, (const uint8_t *)"ab", 2, 8 * NS_PER_S));
    assert_int_equal(h2_abuse_block_since(&a), CLOCK_NEVER);
    raw_frame(&b, NGHTTP2_HEADERS, F_END_HEADERS, 3, "", 0);
    assert_null(scan(&a, &b, 9 * NS_PER_S));
    assert_int_equal(h2_abuse_block_since(&a), CLOCK_NEVER);
    buf_deinit(&b);
}

static void test_continuations_are_bounded(void **state)
{
    struct buf b = BUF_INIT;
    struct abuse a;

    start(&a, H2_SERVER);
    for (int block = 0; block < 2; block++) {
        raw_frame(&b, NGHTTP2_HEADERS, 0, 1, "", 0);
        for (int i = 0; i < ABUSE_CONTINUATIONS_MAX; i++)
            raw_frame(&b, NGHTTP2_CONTINUATION, 0, 1, "", 0);
        assert_null(scan(&a, &b, NS_PER_S));
    }
    raw_frame(&b, NGHTTP2_CONTINUATION, F_END_HEADERS, 1, "", 0);
    assert_string_equal(scan(&a, &b, NS_PER_S), "continuation_flood");
    buf_deinit(&b);
}

static void test_headers_on_old_streams_need_an_explanation(void **state)
{
    struct buf b = BUF_INIT;
    struct abuse a;

    start(&a, H2_SERVER);
    raw_request(&b, 7, 0);
    for (int i = 0; i < 4; i++)
        raw_request(&b, 5, 0);
    assert_null(scan(&a, &b, NS_PER_S));
    a.headers_unexplained--; /* what record.c does for trailers */
    assert_null(h2_abuse_settle(&a, NS_PER_S));
    raw_request(&b, 7, 0);
    assert_null(scan(&a, &b, NS_PER_S));
    assert_string_equal(h2_abuse_settle(&a, NS_PER_S), "provoked_reset_flood");
    buf_deinit(&b);
}

/* The scanner's state may not depend on how the bytes were cut. */
static void test_bytes_cut_at_every_boundary(void **state)
{
    struct buf b = BUF_INIT;
    struct abuse whole, cut;
    struct h2_config c = few();

    raw_preface(&b);
    raw_request(&b, 1, 0);
    raw_frame(&b, NGHTTP2_DATA, F_PADDED, 1, "\2hello\0\0", 8);
    raw_frame(&b, NGHTTP2_DATA, F_PADDED, 1, "\3\0\0\0", 4);
    raw_frame(&b, NGHTTP2_HEADERS, 0, 3, "xyz", 3);
    raw_frame(&b, NGHTTP2_CONTINUATION, 0, 3, "", 0);
    raw_frame(&b, NGHTTP2_CONTINUATION, F_END_HEADERS, 3, "12", 2);
    raw_u32(&b, NGHTTP2_RST_STREAM, 3, H2_CANCEL);
    raw_frame(&b, NGHTTP2_PING, 0, 0, "12345678", 8);
    raw_frame(&b, NGHTTP2_HEADERS, 0, 5, "abcdef", 6);
    for (size_t n = 0; n <= buf_len(&b); n++)
        for (size_t step = 1; step <= 11; step += 5) {
            h2_abuse_init(&whole, H2_SERVER, &c, NS_PER_S);
            h2_abuse_init(&cut, H2_SERVER, &c, NS_PER_S);
            assert_null(h2_abuse_scan(&whole, buf_head(&b), n, NS_PER_S));
            for (size_t at = 0; at < n; at += step)
                assert_null(h2_abuse_scan(&cut, buf_head(&b) + at, MIN(step, n - at), NS_PER_S));
            memset(whole.head, 0, sizeof whole.head); /* left over from the last partial head */
            memset(cut.head, 0, sizeof cut.head);
            assert_memory_equal(&whole, &cut, sizeof whole);
        }
    buf_deinit(&b);
}

/* --- a whole session: each flood ends with its name, and an honest client does not */

static int only_records(struct peer *p, struct h2_stream *st, enum peer_event event)
{
    return 1;
}

static void flood(struct peer *p, struct buf *b, void (*one)(struct buf *b, uint32_t i), const char *reason)
{
    struct span last = {0};
    uint32_t i = 0;

    raw_server(p, NULL, b, NS_PER_S);
    p->hook = only_records;
    raw_request(b, 1, 0);
    while (i < 100000 && raw_feed(p, b, NS_PER_S) == 0) {
        raw_drain(p, NS_PER_S);
        buf_clear(&p->out);
        if (*h2_session_end_reason(p->s))
            break;
        for (int k = 0; k < 50; k++)
            one(b, i++);
    }
    assert_string_equal(h2_session_end_reason(p->s), reason);
    assert_true(i >= 100); /* not at the first ones */
    if (h2_session_wants_write(p->s)) {
        raw_drain(p, NS_PER_S);
        assert_int_equal(raw_count(p, NGHTTP2_GOAWAY, 0, &last), 1);
        assert_int_equal(last.p[7], H2_ENHANCE_YOUR_CALM);
    }
    assert_true(h2_session_is_over(p->s));
    assert_int_equal(h2_session_n_streams(p->s), 0);
    buf_deinit(b);
    peer_free(p);
}

static void one_reset(struct buf *b, uint32_t i)
{
    raw_request(b, 2 * i + 3, 0);
    raw_u32(b, NGHTTP2_RST_STREAM, 2 * i + 3, H2_CANCEL);
}

static void one_provoked(struct buf *b, uint32_t i)
{
    raw_request(b, 2 * i + 3, 0);
    raw_u32(b, NGHTTP2_WINDOW_UPDATE, 2 * i + 3, 0x7fffffff); /* overflows the stream's window */
}

static void one_malformed(struct buf *b, uint32_t i)
{
    struct buf block = BUF_INIT;

    raw_field(&block, 0, "connection", "close", 5);
    raw_frame(b, NGHTTP2_HEADERS, F_END_HEADERS, 2 * i + 3, buf_head(&block), buf_len(&block));
    buf_deinit(&block);
}

static void one_wrong_length(struct buf *b, uint32_t i)
{
    struct buf block = BUF_INIT;

    raw_request_block(&block);
    raw_field(&block, 0, "content-length", "3", 1);
    raw_frame(b, NGHTTP2_HEADERS, F_END_HEADERS, 2 * i + 3, buf_head(&block), buf_len(&block));
    raw_frame(b, NGHTTP2_DATA, F_END_STREAM, 2 * i + 3, "12", 2);
    buf_deinit(&block);
}

static void one_ping(struct buf *b, uint32_t i)
{
    raw_frame(b, NGHTTP2_PING, 0, 0, "12345678", 8);
}

static void one_settings(struct buf *b, uint32_t i)
{
    raw_frame(b, NGHTTP2_SETTINGS, 0, 0, "\0\x4\0\0\xff\xff", 6);
}

static void one_priority(struct buf *b, uint32_t i)
{
    raw_frame(b, NGHTTP2_PRIORITY, 0, 2 * i + 3, "\0\0\0\x1\x10", 5);
}

static void one_unknown(struct buf *b, uint32_t i)
{
    raw_frame(b, 0xf0, 0, 0, "", 0);
}

static void one_window(struct buf *b, uint32_t i)
{
    raw_u32(b, NGHTTP2_WINDOW_UPDATE, 0, 1);
}

static void one_empty_data(struct buf *b, uint32_t i)
{
    raw_frame(b, NGHTTP2_DATA, 0, 1, "", 0);
}

static void one_empty_continuation(struct buf *b, uint32_t i)
{
    if (i % 50 == 0)
        raw_frame(b, NGHTTP2_HEADERS, i < 100 ? F_END_HEADERS : 0, 1, "", 0);
    else if (i > 100)
        raw_frame(b, NGHTTP2_CONTINUATION, 0, 1, "", 0);
}

static void one_closed_stream_headers(struct buf *b, uint32_t i)
{
    if (i == 0)
        raw_u32(b, NGHTTP2_RST_STREAM, 1, H2_CANCEL);
    raw_frame(b, NGHTTP2_HEADERS, F_END_HEADERS, 1, "\x83", 1);
}

static void test_floods_are_ended_and_named(void **state)
{
    struct buf b = BUF_INIT;
    struct peer p;

    flood(&p, &b, one_reset, "reset_flood");
    flood(&p, &b, one_provoked, "provoked_reset_flood");
    flood(&p, &b, one_malformed, "provoked_reset_flood");
    flood(&p, &b, one_wrong_length, "provoked_reset_flood");
    flood(&p, &b, one_closed_stream_headers, "provoked_reset_flood");
    flood(&p, &b, one_ping, "ping_flood");
    flood(&p, &b, one_settings, "settings_flood");
    flood(&p, &b, one_priority, "priority_flood");
    flood(&p, &b, one_unknown, "priority_flood");
    flood(&p, &b, one_window, "window_update_flood");
    flood(&p, &b, one_empty_data, "empty_data_flood");
    flood(&p, &b, one_empty_continuation, "continuation_flood");
}

/* As many as fit a read are one turn, and nothing of ours goes out in it. */
static void test_floods_within_a_turn(void **state)
{
    void (*const floods[])(struct buf * b, uint32_t i) = {one_provoked, one_malformed};
    struct buf b = BUF_INIT;
    struct peer p;

    for (size_t i = 0; i < ARRAY_LEN(floods); i++) {
        raw_server(&p, NULL, &b, NS_PER_S);
        p.hook = only_records;
        for (uint32_t k = 0; k < 5000; k++)
            floods[i](&b, k);
        assert_int_equal(raw_feed(&p, &b, NS_PER_S), H2_E_OVER);
        assert_string_equal(h2_session_end_reason(p.s), "provoked_reset_flood");
        buf_deinit(&b);
        peer_free(&p);
    }
}

/* A peer that sends and never reads: what we would answer is bounded. */
static void test_peer_that_never_reads(void **state)
{
    struct h2_config c = h2_config_server();
    struct buf b = BUF_INIT;
    struct peer p;

    c.pings = c.resets = (struct h2_rate){1000000, 0};
    raw_server(&p, &c, &b, NS_PER_S);
    for (int i = 0; i < 100000 && raw_feed(&p, &b, NS_PER_S) == 0; i++)
        one_ping(&b, 0);
    assert_string_equal(h2_session_end_reason(p.s), "ack_flood");
    assert_true(nghttp2_session_get_outbound_queue_size(p.s->ng) <= 1002);
    peer_free(&p);

    /* answers to streams that were reset meanwhile */
    buf_clear(&b);
    raw_server(&p, &c, &b, NS_PER_S);
    for (uint32_t i = 0; i < 100000 && raw_feed(&p, &b, NS_PER_S) == 0; i++) {
        raw_request(&b, 2 * i + 1, F_END_STREAM);
        if (i)
            raw_u32(&b, NGHTTP2_RST_STREAM, 2 * i - 1, H2_CANCEL);
    }
    assert_string_equal(h2_session_end_reason(p.s), "output_flood");
    assert_true(h2_session_memory_bytes(p.s) < 16 * 1024 * 1024);
    buf_deinit(&b);
    peer_free(&p);
}

static void test_honest_client_cancels_in_bursts(void **state)
{
    struct pair pair;

    pair_open(&pair, NULL, NULL);
    pair.server.hook = only_records;
    for (int burst = 0; burst < 3; burst++) {
        for (int i = 0; i < 1500; i++)
            assert_non_null(pair_call(&pair, "x"));
        pair_run(&pair);
        assert_int_equal(h2_session_n_streams(pair.server.s), 1500);
        for (struct list *l; (l = list_first(&pair.client.s->streams));)
            h2_stream_reset(LIST_ENTRY(l, struct h2_stream, link), H2_CANCEL);
        pair_run(&pair);
        assert_int_equal(h2_session_n_streams(pair.server.s), 0);
    }
    /* and opens and cancels in one go */
    for (int i = 0; i < 500; i++) {
        struct h2_stream *st = pair_call(&pair, "x");

        pair_carry(&pair, &pair.client, &pair.server);
        h2_stream_reset(st, H2_CANCEL);
    }
    pair_run(&pair);
    assert_string_equal(h2_session_end_reason(pair.server.s), "");
    pair.server.hook = NULL;
    assert_non_null(pair_call(&pair, "x"));
    pair_run(&pair);
    assert_int_equal(pair.client.close_error, H2_NO_ERROR);
    pair_free(&pair);
}

/* A stock client beside its calls: a PING for each DATA frame that it gets, and two WINDOW_UPDATEs. */
static void test_honest_client_probes_its_bandwidth(void **state)
{
    struct buf b = BUF_INIT;
    struct peer p;
    static uint8_t bytes[100 * 1024];

    raw_server(&p, NULL, &b, NS_PER_S);
    p.hook = only_records;
    raw_request(&b, 1, 0);
    assert_int_equal(raw_feed(&p, &b, NS_PER_S), 0);
    assert_int_equal(h2_stream_respond(p.latest, pair_response, 2, 0, 1), 0);
    for (int i = 0; i < 1000; i++) {
        int n_data;

        assert_int_equal(buf_append(h2_stream_out(p.latest), bytes, 50000), 0);
        h2_stream_flush(p.latest);
        raw_drain(&p, NS_PER_S);
        n_data = raw_count(&p, NGHTTP2_DATA, 1, NULL);
        buf_clear(&p.out);
        for (int k = 0; k < n_data; k++) {
            raw_frame(&b, NGHTTP2_PING, 0, 0, "12345678", 8);
            raw_u32(&b, NGHTTP2_WINDOW_UPDATE, 0, 50000 / (uint32_t)n_data + 1);
            raw_u32(&b, NGHTTP2_WINDOW_UPDATE, 1, 50000 / (uint32_t)n_data + 1);
        }
        assert_int_equal(raw_feed(&p, &b, NS_PER_S), 0);
    }
    assert_string_equal(h2_session_end_reason(p.s), "");
    buf_deinit(&b);
    peer_free(&p);
}

static void test_streams_beyond_the_limit(void **state)
{
    struct h2_config c = h2_config_server();
    struct buf b = BUF_INIT;
    struct peer p;

    c.max_streams = 10;
    /* before our SETTINGS are acknowledged: refused, one by one, and counted beside the resets */
    assert_int_equal(peer_new(&p, H2_SERVER, &c, NS_PER_S), 0);
    p.hook = only_records;
    raw_preface(&b);
    for (uint32_t i = 0; i < 200; i++)
        raw_request(&b, 2 * i + 1, 0);
    assert_int_equal(raw_feed(&p, &b, NS_PER_S), 0);
    raw_drain(&p, NS_PER_S);
    assert_int_equal(p.n_headers, 10);
    assert_int_equal(raw_count(&p, NGHTTP2_RST_STREAM, 0, NULL), 190);
    assert_int_equal(h2_session_n_streams(p.s), 10);
    for (uint32_t i = 200; i < 10000; i++)
        raw_request(&b, 2 * i + 1, 0);
    assert_int_equal(raw_feed(&p, &b, NS_PER_S), H2_E_OVER);
    assert_string_equal(h2_session_end_reason(p.s), "reset_flood");
    peer_free(&p);

    /* afterwards: the peer knows better */
    buf_clear(&b);
    raw_server(&p, &c, &b, NS_PER_S);
    p.hook = only_records;
    for (uint32_t i = 0; i < 11; i++)
        raw_request(&b, 2 * i + 1, 0);
    (void)!raw_feed(&p, &b, NS_PER_S);
    raw_drain(&p, NS_PER_S);
    assert_int_equal(p.n_headers, 10);
    assert_string_equal(h2_session_end_reason(p.s), "protocol_error");
    buf_deinit(&b);
    peer_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_bucket_runs_dry_and_refills),
            cmocka_unit_test(test_bucket_extremes),
            cmocka_unit_test(test_each_frame_type_has_its_bucket),
            cmocka_unit_test(test_honest_frames_cost_nothing),
            cmocka_unit_test(test_its_data_explains_windows),
            cmocka_unit_test(test_our_data_explains_windows_and_pings),
            cmocka_unit_test(test_ping_acks_are_owed),
            cmocka_unit_test(test_header_block_has_a_beginning_and_an_end),
            cmocka_unit_test(test_continuations_are_bounded),
            cmocka_unit_test(test_headers_on_old_streams_need_an_explanation),
            cmocka_unit_test(test_bytes_cut_at_every_boundary),
            cmocka_unit_test(test_floods_are_ended_and_named),
            cmocka_unit_test(test_floods_within_a_turn),
            cmocka_unit_test(test_peer_that_never_reads),
            cmocka_unit_test(test_honest_client_cancels_in_bursts),
            cmocka_unit_test(test_honest_client_probes_its_bandwidth),
            cmocka_unit_test(test_streams_beyond_the_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
