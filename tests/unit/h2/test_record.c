// SPDX-License-Identifier: Apache-2.0
#include "pair.h"

enum { LIMIT = 2000 };

static struct h2_config limited(void)
{
    struct h2_config c = h2_config_server();

    c.max_header_list_bytes = LIMIT;
    return c;
}

/* A request block whose list is @extra bytes longer than the plain one. */
static void padded_block(struct buf *block, size_t extra)
{
    char *value = mem_zalloc(extra + 1);

    raw_request_block(block);
    if (extra) {
        memset(value, 'v', extra);
        raw_field(block, 0, "pad", value, extra - 35); /* 32 a field, 3 for the name */
    }
    mem_free(value);
}

static size_t plain_list_bytes(void)
{
    size_t n = 0;

    for (size_t i = 0; i < ARRAY_LEN(pair_request); i++)
        n += pair_request[i].name.len + pair_request[i].value.len + 32;
    return n;
}

static void send_block(struct buf *b, uint32_t id, int flags, struct buf *block)
{
    raw_frame(b, NGHTTP2_HEADERS, F_END_HEADERS | flags, id, buf_head(block), buf_len(block));
    buf_deinit(block);
}

static void test_request_reaches_the_owner(void **state)
{
    struct buf b = BUF_INIT;
    struct peer p;

    raw_server(&p, NULL, &b, NS_PER_S);
    raw_request(&b, 1, 0);
    raw_frame(&b, NGHTTP2_DATA, 0, 1, "hel", 3);
    raw_frame(&b, NGHTTP2_DATA, F_PADDED | F_END_STREAM, 1, "\2lo\0\0", 5);
    assert_int_equal(raw_feed(&p, &b, NS_PER_S), 0);
    raw_drain(&p, NS_PER_S);
    assert_log(&p, "headers 1 :method=POST :scheme=http :path=/a.B/C :authority=host te=trailers "
                   "content-type=application/grpc\n"
                   "end 1 body 5 4f9f2cab\n"
                   "close 1 0\n");
    buf_deinit(&b);
    peer_free(&p);
}

static void test_trailers_of_a_request(void **state)
{
    struct buf b = BUF_INIT, block = BUF_INIT;
    struct peer p;

    raw_server(&p, NULL, &b, NS_PER_S);
    raw_request(&b, 1, 0);
    raw_field(&block, 0, "checksum", "7", 1);
    send_block(&b, 1, F_END_STREAM, &block);
    assert_int_equal(raw_feed(&p, &b, NS_PER_S), 0);
    raw_drain(&p, NS_PER_S);
    assert_non_null(strstr(peer_text(&p), "trailers 1 checksum=7 end\nclose 1 0\n"));
    /* many of them are no flood: each belongs to an open stream */
    for (uint32_t id = 3; id < 2003; id += 2) {
        raw_request(&b, id, 0);
        raw_field(&block, 0, "checksum", "7", 1);
        send_block(&b, id, F_END_STREAM, &block);
        assert_int_equal(raw_feed(&p, &b, NS_PER_S), 0);
        raw_drain(&p, NS_PER_S);
    }
    assert_int_equal(p.n_close, 1001);
    /* on a stream that is over they are unexpected */
    for (int i = 0; i < 201; i++) {
        raw_field(&block, 0, "checksum", "7", 1);
        send_block(&b, 1, F_END_STREAM, &block);
    }
    assert_int_equal(raw_feed(&p, &b, NS_PER_S), H2_E_OVER);
    assert_string_equal(h2_session_end_reason(p.s), "provoked_reset_flood");
    buf_deinit(&b);
    peer_free(&p);
}

static void test_list_of_the_exact_limit_is_let_in(void **state)
{
    struct h2_config c = limited();
    struct buf b = BUF_INIT, block = BUF_INIT;
    struct peer p;

    raw_server(&p, &c, &b, NS_PER_S);
    padded_block(&block, LIMIT - plain_list_bytes());
    send_block(&b, 1, F_END_STREAM, &block);
    assert_int_equal(raw_feed(&p, &b, NS_PER_S), 0);
    raw_drain(&p, NS_PER_S);
    assert_non_null(strstr(peer_text(&p), "pad=vvvv"));
    assert_non_null(strstr(peer_text(&p), "close 1 0\n"));
    buf_deinit(&b);
    peer_free(&p);
}

static int answers_anyway(struct peer *p, struct h2_stream *st, enum peer_event event)
{
    if (event == ON_HEADERS) {
        p->hook = NULL;
        peer_answer(st); /* must do no harm */
        h2_stream_flush(st);
    }
    return event == ON_HEADERS;
}

static void check_431(struct peer *p, struct buf *b, int had_end)
{
    struct span last = {0};

    assert_int_equal(raw_feed(p, b, NS_PER_S), 0);
    raw_drain(p, NS_PER_S);
    assert_log(p, had_end ? "headers 1 end\nclose 1 0\n" : "headers 1\nclose 1 0\n");
    assert_int_equal(p->n_data, 0);
    assert_int_equal(raw_count(p, NGHTTP2_HEADERS, 1, &last), 1);
    assert_int_equal(last.len, 5); /* a literal value behind the indexed name :status */
    assert_memory_equal(last.p + 2, "431", 3);
    assert_int_equal(raw_count(p, NGHTTP2_RST_STREAM, 1, NULL), !had_end);
    assert_true(h2_session_wants_read(p->s));
}

static void test_list_beyond_the_limit_is_answered_431(void **state)
{
    struct h2_config c = limited();

    for (int had_end = 0; had_end <= 1; had_end++) {
        struct buf b = BUF_INIT, block = BUF_INIT;
        struct peer p;

        raw_server(&p, &c, &b, NS_PER_S);
        p.hook = answers_anyway;
        padded_block(&block, LIMIT - plain_list_bytes() + 1);
        send_block(&b, 1, had_end ? F_END_STREAM : 0, &block);
        if (!had_end)
            raw_frame(&b, NGHTTP2_DATA, 0, 1, "body", 4);
        check_431(&p, &b, had_end);
        buf_deinit(&b);
        peer_free(&p);
    }
}

static void test_too_many_fields_are_answered_431(void **state)
{
    struct buf b = BUF_INIT, block = BUF_INIT;
    struct peer p;

    raw_server(&p, NULL, &b, NS_PER_S);
    raw_request_block(&block);
    for (int i = (int)ARRAY_LEN(pair_request); i < H2_HEADERS_MAX; i++)
        raw_field(&block, 0, "a", "b", 1);
    send_block(&b, 1, F_END_STREAM, &block);
    assert_int_equal(raw_feed(&p, &b, NS_PER_S), 0);
    raw_drain(&p, NS_PER_S);
    assert_non_null(strstr(peer_text(&p), " a=b a=b a=b"));
    assert_int_equal(p.n_close, 1);
    peer_free(&p);

    raw_server(&p, NULL, &b, NS_PER_S);
    raw_request_block(&block);
    for (int i = (int)ARRAY_LEN(pair_request); i < H2_HEADERS_MAX + 1; i++)
        raw_field(&block, 0, "a", "b", 1);
    send_block(&b, 1, F_END_STREAM, &block);
    check_431(&p, &b, 1);
    buf_deinit(&b);
    peer_free(&p);
}

/* One long entry of the dynamic table, named again and again by one byte each. */
static void test_table_reference_bomb_is_cut_off(void **state)
{
    struct h2_config c = h2_config_server();
    struct buf b = BUF_INIT, block = BUF_INIT;
    static const uint8_t again[8000] = {[0 ... 7999] = 0x80 | 62};
    char value[4000];
    struct peer p;

    memset(value, 'x', sizeof value);
    raw_server(&p, &c, &b, NS_PER_S);
    raw_request_block(&block);
    raw_field(&block, 0x40, "bomb", value, sizeof value);
    assert_int_equal(buf_append(&block, again, sizeof again), 0);
    send_block(&b, 1, F_END_STREAM, &block);
    assert_int_equal(raw_feed(&p, &b, NS_PER_S), 0);
    assert_true(p.s->block_bytes <= 5 * c.max_header_list_bytes); /* not 32 MB */
    raw_drain(&p, NS_PER_S);
    assert_log(&p, ""); /* the owner never saw the stream */
    assert_int_equal(raw_count(&p, NGHTTP2_RST_STREAM, 1, NULL), 1);
    assert_int_equal(h2_session_n_streams(p.s), 0);
    raw_request(&b, 3, F_END_STREAM); /* the table is still in step */
    assert_int_equal(raw_feed(&p, &b, NS_PER_S), 0);
    assert_int_equal(p.n_headers, 1);
    /* and it counts as provoked */
    for (uint32_t id = 5; id < 5 + 2 * 200; id += 2) {
        raw_request_block(&block);
        assert_int_equal(buf_append(&block, again, 100), 0);
        send_block(&b, id, F_END_STREAM, &block);
    }
    assert_int_equal(raw_feed(&p, &b, NS_PER_S), 0);
    raw_drain(&p, NS_PER_S);
    assert_string_equal(h2_session_end_reason(p.s), "provoked_reset_flood");
    buf_deinit(&b);
    peer_free(&p);
}

static void test_block_over_many_slices_and_frames(void **state)
{
    struct buf b = BUF_INIT, block = BUF_INIT;
    char value[9000];
    struct peer p;
    size_t at;

    memset(value, 'y', sizeof value);
    raw_server(&p, NULL, &b, NS_PER_S);
    raw_request_block(&block);
    raw_field(&block, 0, "long", value, sizeof value);
    raw_field(&block, 0, "last", "1", 1);
    raw_frame(&b, NGHTTP2_HEADERS, F_END_STREAM, 1, buf_head(&block), 100);
    for (at = 100; buf_len(&block) - at > 1000; at += 1000)
        raw_frame(&b, NGHTTP2_CONTINUATION, 0, 1, buf_head(&block) + at, 1000);
    raw_frame(&b, NGHTTP2_CONTINUATION, F_END_HEADERS, 1, buf_head(&block) + at, buf_len(&block) - at);
    /* byte by byte: fields wait over many turns, and nghttp2's own count of CONTINUATIONs is not fooled */
    for (size_t i = 0; i < buf_len(&b); i++)
        assert_int_equal(h2_session_recv(p.s, buf_head(&b) + i, 1, NS_PER_S), 0);
    assert_int_equal(p.n_headers, 1);
    assert_non_null(strstr(peer_text(&p), "te=trailers"));
    assert_int_equal(p.s->n_fields, 0);
    buf_deinit(&block);
    buf_deinit(&b);
    peer_free(&p);
}

static void test_block_given_up_leaves_nothing(void **state)
{
    struct buf b = BUF_INIT, block = BUF_INIT;
    struct peer p;

    raw_server(&p, NULL, &b, NS_PER_S);
    raw_field(&block, 0, ":method", "POST", 4);
    raw_field(&block, 0, "Upper", "x", 1); /* malformed */
    raw_field(&block, 0, ":path", "/", 1);
    send_block(&b, 1, F_END_STREAM, &block);
    raw_request(&b, 3, F_END_STREAM);
    assert_int_equal(raw_feed(&p, &b, NS_PER_S), 0);
    raw_drain(&p, NS_PER_S);
    assert_log(&p, "headers 3 :method=POST :scheme=http :path=/a.B/C :authority=host te=trailers "
                   "content-type=application/grpc end\n"
                   "close 3 0\n");
    assert_int_equal(raw_count(&p, NGHTTP2_RST_STREAM, 1, NULL), 1);
    assert_int_equal(h2_session_n_streams(p.s), 0);
    buf_deinit(&b);
    peer_free(&p);
}

static int never_answers(struct peer *p, struct h2_stream *st, enum peer_event event)
{
    return event == ON_HEADERS || event == ON_END;
}

static void test_reset_with_no_error_is_no_orderly_end(void **state)
{
    struct buf b = BUF_INIT;
    struct pair pair;
    struct peer p;

    raw_server(&p, NULL, &b, NS_PER_S);
    p.hook = never_answers;
    raw_request(&b, 1, F_END_STREAM);
    raw_u32(&b, NGHTTP2_RST_STREAM, 1, H2_NO_ERROR);
    assert_int_equal(raw_feed(&p, &b, NS_PER_S), 0);
    assert_non_null(strstr(peer_text(&p), "close 1 8\n"));
    peer_free(&p);

    pair_open(&pair, NULL, NULL);
    pair.server.hook = never_answers;
    assert_non_null(pair_call(&pair, "x"));
    pair_run(&pair);
    raw_u32(&b, NGHTTP2_RST_STREAM, 1, H2_NO_ERROR);
    assert_int_equal(raw_feed(&pair.client, &b, NS_PER_S), 0);
    assert_log(&pair.client, "close 1 2\n");
    buf_deinit(&b);
    pair_free(&pair);
}

static void client_gets(struct pair *pair, struct buf *b)
{
    pair_open(pair, NULL, NULL);
    pair->server.hook = never_answers;
    assert_non_null(pair_call(pair, "x"));
    pair_run(pair);
    assert_int_equal(raw_feed(&pair->client, b, pair->now), 0);
    raw_drain(&pair->client, pair->now);
}

static void test_informational_responses_are_dropped(void **state)
{
    struct buf b = BUF_INIT, block = BUF_INIT;
    struct pair pair;

    raw_field(&block, 0, ":status", "103", 3);
    raw_field(&block, 0, "link", "x", 1);
    send_block(&b, 1, 0, &block);
    raw_field(&block, 0, ":status", "200", 3);
    send_block(&b, 1, 0, &block);
    raw_frame(&b, NGHTTP2_DATA, 0, 1, "hello", 5);
    raw_field(&block, 0, "grpc-status", "0", 1);
    send_block(&b, 1, F_END_STREAM, &block);
    client_gets(&pair, &b);
    assert_log(&pair.client, "headers 1 :status=200\n"
                             "trailers 1 grpc-status=0 body 5 4f9f2cab end\n"
                             "close 1 0\n");
    buf_deinit(&b);
    pair_free(&pair);
}

static void test_too_large_response_resets_its_stream(void **state)
{
    struct buf b = BUF_INIT, block = BUF_INIT;
    char value[16000];
    struct pair pair;

    memset(value, 'z', sizeof value);
    raw_field(&block, 0, ":status", "200", 3);
    for (int i = 0; i < 4; i++)
        raw_field(&block, 0x40, "big", value, 3900);
    for (int i = 0; i < 20; i++)
        assert_int_equal(buf_append(&block, "\xbe", 1), 0);
    raw_frame(&b, NGHTTP2_HEADERS, 0, 1, buf_head(&block), 15000);
    raw_frame(&b, NGHTTP2_CONTINUATION, F_END_HEADERS, 1, buf_head(&block) + 15000, buf_len(&block) - 15000);
    buf_deinit(&block);
    client_gets(&pair, &b);
    assert_log(&pair.client, "close 1 11\n");
    assert_true(h2_session_wants_read(pair.client.s));
    buf_deinit(&b);
    pair_free(&pair);
}

/* DATA for a stream that the owner has reset is not lost for the connection's window. */
static void test_late_data_is_credited(void **state)
{
    struct h2_config c = h2_config_server();
    static const uint8_t block[16000];
    struct buf b = BUF_INIT;
    struct span last;
    struct peer p;
    struct h2_stream *st;

    c.connection_window_bytes = 65535;
    raw_server(&p, &c, &b, NS_PER_S);
    p.hook = never_answers;
    raw_request(&b, 1, 0);
    raw_head(&b, sizeof block, NGHTTP2_DATA, 0, 1);
    assert_int_equal(buf_append(&b, block, 10), 0);
    assert_int_equal(raw_feed(&p, &b, NS_PER_S), 0);
    st = p.latest;
    assert_non_null(st);
    h2_stream_reset(st, H2_CANCEL);
    h2_session_tick(p.s, NS_PER_S);
    assert_int_equal(p.n_close, 1);
    /* the rest of the frame at hand, and more frames for the stream that is gone */
    assert_int_equal(buf_append(&b, block, sizeof block - 10), 0);
    for (int i = 0; i < 8; i++) {
        raw_frame(&b, NGHTTP2_DATA, 0, 1, block, sizeof block);
        assert_int_equal(raw_feed(&p, &b, NS_PER_S), 0);
        raw_drain(&p, NS_PER_S);
    }
    assert_true(h2_session_wants_read(p.s));
    assert_true(raw_count(&p, NGHTTP2_WINDOW_UPDATE, 0, &last) >= 3);
    buf_deinit(&b);
    peer_free(&p);
}

static void test_reset_in_the_middle_of_trailers(void **state)
{
    struct buf b = BUF_INIT, block = BUF_INIT;
    struct peer p;

    raw_server(&p, NULL, &b, NS_PER_S);
    p.hook = never_answers;
    raw_request(&b, 1, 0);
    raw_field(&block, 0, "checksum", "7", 1);
    raw_field(&block, 0, "more", "8", 1);
    raw_head(&b, buf_len(&block), NGHTTP2_HEADERS, F_END_HEADERS | F_END_STREAM, 1);
    assert_int_equal(buf_append(&b, buf_head(&block), buf_len(&block) - 3), 0);
    assert_int_equal(raw_feed(&p, &b, NS_PER_S), 0);
    assert_ptr_equal(p.s->block, p.latest);
    assert_int_equal(p.s->n_fields, 1);
    h2_stream_reset(p.latest, H2_CANCEL);
    h2_session_tick(p.s, NS_PER_S);
    assert_null(p.s->block);
    assert_int_equal(buf_append(&b, buf_tail(&block) - 3, 3), 0);
    raw_request(&b, 3, F_END_STREAM);
    assert_int_equal(raw_feed(&p, &b, NS_PER_S), 0);
    assert_int_equal(p.n_headers, 2);
    buf_deinit(&block);
    buf_deinit(&b);
    peer_free(&p);
}

static void test_record_shrinks_again(void **state)
{
    struct buf b = BUF_INIT;
    struct peer p;

    raw_server(&p, NULL, &b, NS_PER_S);
    for (uint32_t id = 1; id < 400; id += 2)
        raw_request(&b, id, 0);
    for (int i = 0; i < 1500; i++)
        raw_frame(&b, NGHTTP2_DATA, 0, 399, "x", 1);
    assert_int_equal(raw_feed(&p, &b, NS_PER_S), 0);
    assert_in_range(p.s->cap_events, 0, H2_EVENTS_KEEP);
    assert_in_range(p.s->cap_fields, 0, H2_FIELDS_KEEP);
    assert_int_equal(p.n_headers, 200);
    buf_deinit(&b);
    peer_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_request_reaches_the_owner),
            cmocka_unit_test(test_trailers_of_a_request),
            cmocka_unit_test(test_list_of_the_exact_limit_is_let_in),
            cmocka_unit_test(test_list_beyond_the_limit_is_answered_431),
            cmocka_unit_test(test_too_many_fields_are_answered_431),
            cmocka_unit_test(test_table_reference_bomb_is_cut_off),
            cmocka_unit_test(test_block_over_many_slices_and_frames),
            cmocka_unit_test(test_block_given_up_leaves_nothing),
            cmocka_unit_test(test_reset_with_no_error_is_no_orderly_end),
            cmocka_unit_test(test_informational_responses_are_dropped),
            cmocka_unit_test(test_too_large_response_resets_its_stream),
            cmocka_unit_test(test_late_data_is_credited),
            cmocka_unit_test(test_reset_in_the_middle_of_trailers),
            cmocka_unit_test(test_record_shrinks_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
