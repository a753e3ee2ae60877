// SPDX-License-Identifier: Apache-2.0
/* What is stamped leaves when its commit is durable: not before, in order, and the end of a call behind all of it. */
#include "grpc/hold.h"
#include "pair.h"

static struct world w;

static void test_marks_rise_and_merge(void **state)
{
    struct hold *h = hold_new(NULL, 3);
    size_t n;
    int is_reached;

    assert_non_null(h);
    assert_int_equal(buf_append(&h->out, "abcd", 4), 0);
    assert_int_equal(hold_mark(h), 0);
    assert_int_equal(buf_append(&h->out, "ef", 2), 0);
    assert_int_equal(hold_mark(h), 0); /* the same stamp: one mark */
    assert_int_equal(buf_len(&h->marks), sizeof(struct hold_mark));
    h->stamp = 7;
    assert_int_equal(buf_append(&h->out, "g", 1), 0);
    assert_int_equal(hold_mark(h), 0);
    assert_int_equal(hold_ready(h, 2, &n, &is_reached), 0);
    assert_int_equal(n, 0);
    assert_false(is_reached);
    assert_int_equal(hold_ready(h, 6, &n, &is_reached), 0);
    assert_int_equal(n, 6);
    assert_true(is_reached);
    buf_consume(&h->out, n);
    h->n_sent += n;
    assert_int_equal(hold_ready(h, 7, &n, &is_reached), 1);
    assert_int_equal(n, 1);
    assert_null(hold_free(h));
}

/* A call that the handler has not answered yet. */
static struct grpc_call *open_call(struct asked *a, enum grpc_kind kind)
{
    world_init(&w, NULL);
    w.service.script = (struct script){0};
    world_call(&w, a, kind, 0);
    asked_send(a, 1, 5);
    pair_pump(&w.pair);
    assert_int_equal(w.service.n_served, 1);
    return w.service.served[0].call;
}

static void test_reply_waits_for_its_commit(void **state)
{
    struct asked a = {0};
    struct grpc_call *call = open_call(&a, GRPC_UNARY);

    asked_close(&a);
    pair_pump(&w.pair);
    assert_int_equal(grpc_call_stamp(call, 5), 0);
    assert_int_equal(grpc_call_add_metadata(call, "x-place", SPAN_LIT("here")), 0);
    assert_int_equal(grpc_call_send_headers(call), 0);
    assert_int_equal(grpc_call_send(call, SPAN_LIT("hello")), 0);
    grpc_call_finish(call);
    pair_pump(&w.pair);
    grpc_server_release(w.server, 4);
    pair_pump(&w.pair);
    assert_int_equal(a.n_headers + a.n_messages + a.n_done, 0);
    grpc_server_release(w.server, 5);
    pair_pump(&w.pair);
    asked_expect(&a, GRPC_OK, "");
    assert_int_equal(a.n_messages, 1);
    assert_int_equal(a.n_bytes, 5);
    assert_string_equal(a.place, "here");
    assert_int_equal(w.service.served[0].end, GRPC_END_ANSWERED);
    world_deinit(&w);
}

/* What will never be durable is never said, whether the handler has said its end or not. */
static void test_abandoned(void **state)
{
    for (int finish = 0; finish < 2; finish++) {
        struct asked a = {0};
        struct grpc_call *call = open_call(&a, finish ? GRPC_UNARY : GRPC_BIDI);
        struct grpc_status st;

        status_set(&st, GRPC_UNAVAILABLE, "UNKNOWN_OUTCOME", "nobody knows");
        assert_int_equal(grpc_call_stamp(call, 5), 0);
        assert_int_equal(grpc_call_send(call, SPAN_LIT("hello")), 0);
        if (finish)
            grpc_call_finish(call);
        grpc_server_abandon(w.server, &st);
        pair_pump(&w.pair);
        asked_expect(&a, GRPC_UNAVAILABLE, "nobody knows");
        assert_int_equal(a.n_messages, 0);
        grpc_server_release(w.server, 9);
        grpc_server_abandon(w.server, &st);
        world_deinit(&w);
    }
}

static void test_error_waits_too(void **state)
{
    struct asked a = {0};
    struct grpc_call *call = open_call(&a, GRPC_UNARY);
    struct grpc_status st;

    asked_close(&a);
    pair_pump(&w.pair);
    assert_int_equal(grpc_call_stamp(call, 9), 0);
    grpc_call_fail(call, status_set(&st, GRPC_NOT_FOUND, "GONE", "deleted"));
    pair_pump(&w.pair);
    assert_int_equal(a.n_done, 0);
    grpc_server_release(w.server, 9);
    pair_pump(&w.pair);
    asked_expect(&a, GRPC_NOT_FOUND, "deleted");
    world_deinit(&w);
}

static void test_stream_leaves_in_order(void **state)
{
    struct asked a = {0};
    struct grpc_call *call = open_call(&a, GRPC_BIDI);

    assert_int_equal(grpc_call_send(call, SPAN_LIT("0")), 0);
    for (uint64_t seq = 1; seq <= 3; seq++) {
        assert_int_equal(grpc_call_stamp(call, seq), 0);
        assert_int_equal(grpc_call_send(call, SPAN_LIT("1")), 0);
        assert_int_equal(grpc_call_send(call, SPAN_LIT("2")), 0);
    }
    assert_int_equal(grpc_call_stamp(call, 1), 0); /* what is said later is shown later */
    assert_int_equal(grpc_call_send(call, SPAN_LIT("3")), 0);
    for (uint64_t seq = 0; seq <= 3; seq++) {
        static const unsigned int seen[] = {1, 3, 5, 8};

        grpc_server_release(w.server, seq);
        pair_pump(&w.pair);
        assert_int_equal(a.n_messages, seen[seq]);
    }
    /* nothing waits any more: the direct way again */
    assert_int_equal(grpc_call_stamp(call, 3), 0);
    assert_int_equal(grpc_call_send(call, SPAN_LIT("4")), 0);
    pair_pump(&w.pair);
    assert_int_equal(a.n_messages, 9);
    grpc_call_finish(call);
    pair_pump(&w.pair);
    asked_expect(&a, GRPC_OK, "");
    world_deinit(&w);
}

/* The stamp comes first and what is said under it after the commit, or before it but after that of an earlier stamp. */
static void test_what_is_said_late(void **state)
{
    struct asked a = {0};
    struct grpc_call *call = open_call(&a, GRPC_BIDI);

    assert_int_equal(grpc_call_stamp(call, 5), 0);
    grpc_server_release(w.server, 5);
    assert_int_equal(grpc_call_add_metadata(call, "x-place", SPAN_LIT("here")), 0);
    assert_int_equal(grpc_call_send_headers(call), 0);
    pair_pump(&w.pair);
    assert_int_equal(a.n_headers, 1);
    assert_int_equal(grpc_call_stamp(call, 6), 0);
    assert_int_equal(grpc_call_send(call, SPAN_LIT("6")), 0);
    assert_int_equal(grpc_call_stamp(call, 7), 0);
    grpc_server_release(w.server, 6);
    assert_int_equal(grpc_call_send(call, SPAN_LIT("7")), 0);
    pair_pump(&w.pair);
    assert_int_equal(a.n_messages, 1);
    grpc_server_release(w.server, 7);
    pair_pump(&w.pair);
    assert_int_equal(a.n_messages, 2);
    grpc_call_finish(call);
    pair_pump(&w.pair);
    asked_expect(&a, GRPC_OK, "");
    world_deinit(&w);
}

static void test_held_bytes_push_back(void **state)
{
    struct asked a = {0};
    struct grpc_call *call = open_call(&a, GRPC_BIDI);

    assert_int_equal(grpc_call_stamp(call, 1), 0);
    service_send_big(call, H2_STREAM_HIGH_BYTES + 1);
    assert_false(grpc_call_is_writable(call));
    assert_true(grpc_call_pending(call) > H2_STREAM_HIGH_BYTES);
    grpc_server_release(w.server, 1);
    assert_int_equal(w.service.served[0].n_writable, 1);
    pair_pump(&w.pair);
    assert_int_equal(a.n_bytes, H2_STREAM_HIGH_BYTES + 1);
    grpc_call_finish(call);
    pair_pump(&w.pair);
    world_deinit(&w);
}

/* What is held counts as output; where it goes in portions that the session never has too much of, or is dropped, those
 * that wait for room are told all the same. */
static void test_room_left_by_what_was_held(void **state)
{
    static struct asked held[6], a;
    struct served *sv = w.service.served;

    for (int by_drop = 0; by_drop < 2; by_drop++) {
        open_call(&held[0], GRPC_BIDI);
        for (size_t i = 1; i < ARRAY_LEN(held); i++) {
            held[i] = (struct asked){0};
            world_call(&w, &held[i], GRPC_BIDI, 0);
        }
        a = (struct asked){0};
        world_call(&w, &a, GRPC_BIDI, 0);
        pair_pump(&w.pair);
        for (size_t i = 0; i < ARRAY_LEN(held); i++) {
            assert_int_equal(grpc_call_stamp(sv[i].call, i + 1), 0);
            service_send_big(sv[i].call, H2_STREAM_HIGH_BYTES - 100);
        }
        assert_false(grpc_call_is_writable(sv[6].call));
        for (size_t i = 0; i < ARRAY_LEN(held); i++) {
            if (by_drop)
                grpc_client_call_cancel(held[i].call);
            else
                grpc_server_release(w.server, i + 1);
            pair_pump(&w.pair);
        }
        assert_int_equal(sv[6].n_writable, 1);
        assert_true(grpc_call_is_writable(sv[6].call));
        world_deinit(&w);
    }
}

static void test_client_gone_while_held(void **state)
{
    struct asked a = {0};
    struct grpc_call *call = open_call(&a, GRPC_UNARY);

    assert_int_equal(grpc_call_stamp(call, 5), 0);
    assert_int_equal(grpc_call_send(call, SPAN_LIT("hello")), 0);
    grpc_call_finish(call);
    grpc_client_call_cancel(a.call);
    pair_pump(&w.pair);
    assert_int_equal(w.service.served[0].n_done, 1);
    grpc_server_release(w.server, 5);
    pair_pump(&w.pair);
    world_deinit(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_marks_rise_and_merge),
            cmocka_unit_test(test_reply_waits_for_its_commit),
            cmocka_unit_test(test_abandoned),
            cmocka_unit_test(test_error_waits_too),
            cmocka_unit_test(test_stream_leaves_in_order),
            cmocka_unit_test(test_held_bytes_push_back),
            cmocka_unit_test(test_room_left_by_what_was_held),
            cmocka_unit_test(test_client_gone_while_held),
            cmocka_unit_test(test_what_is_said_late),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
