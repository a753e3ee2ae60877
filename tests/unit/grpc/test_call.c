// SPDX-License-Identifier: Apache-2.0
/*
 * Whole calls between our client and our server: every kind, bytes split everywhere, everything a handler may
 * do inside an event, what a client that reads slowly costs, and each allocation failing in turn.
 */
#include "pair.h"

#include <errno.h>

static struct world w; /* large, and one test runs at a time */

static struct script script_of(enum grpc_kind kind)
{
    switch (kind) {
    case GRPC_UNARY: return (struct script){.message = DO_ECHO | DO_FINISH};
    case GRPC_SERVER_STREAM: return (struct script){.message = DO_ECHO | DO_BIG | DO_FINISH, .big_bytes = 33};
    case GRPC_CLIENT_STREAM: return (struct script){.half_close = DO_BIG | DO_FINISH, .big_bytes = 10};
    default: return (struct script){.message = DO_ECHO, .half_close = DO_FINISH};
    }
}

/* One call of each kind with the requests it takes; then everything is checked. */
static void check_kind(enum grpc_kind kind, unsigned int n_messages, size_t len)
{
    struct asked a = {0};
    struct served *sv;
    uint32_t sum;

    w.service.script = script_of(kind);
    w.service.n_served = 0;
    if (kind == GRPC_UNARY || kind == GRPC_SERVER_STREAM)
        n_messages = 1;
    world_call(&w, &a, kind, 0);
    sum = asked_send(&a, n_messages, len);
    asked_close(&a);
    pair_pump(&w.pair);
    asked_expect(&a, GRPC_OK, "");
    sv = &w.service.served[0];
    assert_int_equal(w.service.n_served, 1);
    assert_int_equal(sv->n_done, 1);
    assert_int_equal(sv->end, GRPC_END_ANSWERED);
    assert_int_equal(sv->n_messages, n_messages);
    assert_int_equal(sv->sum, sum);
    assert_int_equal(sv->n_half_close, kind == GRPC_CLIENT_STREAM || kind == GRPC_BIDI);
    switch (kind) {
    case GRPC_UNARY:
    case GRPC_BIDI:
        assert_int_equal(a.n_messages, n_messages);
        assert_int_equal(a.sum, sum);
        break;
    case GRPC_SERVER_STREAM:
        assert_int_equal(a.n_messages, 2);
        assert_int_equal(a.n_bytes, len + 33);
        break;
    default:
        assert_int_equal(a.n_messages, 1);
        assert_int_equal(a.n_bytes, 10);
        break;
    }
}

static void test_kinds_in_every_chunk_size(void **state)
{
    for (size_t chunk = 1; chunk < 400; chunk += chunk < 80 ? 1 : 37) {
        world_init(&w, &(struct world_options){.chunk = chunk});
        for (int kind = GRPC_UNARY; kind <= GRPC_BIDI; kind++)
            for (size_t len = 0; len < 120; len += 17)
                check_kind((enum grpc_kind)kind, 4, len);
        world_deinit(&w);
    }
}

static void test_no_messages(void **state)
{
    struct asked a = {0};

    world_init(&w, NULL);
    check_kind(GRPC_CLIENT_STREAM, 0, 0);
    check_kind(GRPC_BIDI, 0, 0);
    w.service.script = (struct script){.message = DO_FINISH}; /* a stream of no replies */
    world_call(&w, &a, GRPC_SERVER_STREAM, 0);
    asked_send(&a, 1, 3);
    asked_close(&a);
    pair_pump(&w.pair);
    asked_expect(&a, GRPC_OK, "");
    assert_int_equal(a.n_messages, 0);
    world_deinit(&w);
}

/* Larger than every window, both ways, in odd pieces. */
static void test_large_messages(void **state)
{
    static const size_t lens[] = {16384, 65535, 65536, 300000, (size_t)4 << 20};

    world_init(&w, &(struct world_options){
                           .chunk = 10007, .stream_window_bytes = 65535, .client_window_bytes = 65535});
    for (int kind = GRPC_UNARY; kind <= GRPC_BIDI; kind++)
        for (size_t i = 0; i < ARRAY_LEN(lens); i++)
            check_kind((enum grpc_kind)kind, 3, lens[i]);
    assert_int_equal(h2_session_pending_bytes(w.pair.server), 0);
    assert_int_equal(h2_session_pending_bytes(w.pair.client), 0);
    world_deinit(&w);
}

static void test_many_at_once(void **state)
{
    static struct asked asked[500];
    struct test_random rnd = {test_seed()};

    world_init(&w, &(struct world_options){.chunk = 1009, .max_messages_per_recv = 7});
    w.service.script = (struct script){.message = DO_ECHO, .half_close = DO_FINISH};
    for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
        asked[i] = (struct asked){0};
        world_call(&w, &asked[i], GRPC_BIDI, 0);
    }
    for (unsigned int round = 0; round < 20; round++)
        for (size_t i = 0; i < ARRAY_LEN(asked); i++)
            asked_send(&asked[i], 1, test_random_below(&rnd, 60));
    for (size_t i = 0; i < ARRAY_LEN(asked); i++)
        asked_close(&asked[i]);
    pair_pump(&w.pair);
    for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
        asked_expect(&asked[i], GRPC_OK, "");
        assert_int_equal(asked[i].n_messages, 20);
    }
    world_deinit(&w);
}

/* --- what a handler may do, and where */

/* Everything that a handler can do, at each event of a bidi call; the call ends as it must, once. */
static void test_actions_inside_events(void **state)
{
    static const int actions[] = {0,
                                  DO_FINISH,
                                  DO_FAIL,
                                  DO_PAUSE_RESUME,
                                  DO_HEADERS,
                                  DO_UNDO,
                                  DO_ECHO,
                                  DO_FINISH | DO_FAIL,
                                  DO_FAIL | DO_FINISH | DO_ECHO | DO_BIG | DO_UNDO};

    for (size_t where = 0; where < 3; where++)
        for (size_t i = 0; i < ARRAY_LEN(actions); i++)
            for (size_t chunk = 0; chunk < 30; chunk += 7) {
                struct asked a = {0};
                int *at;

                world_init(&w, &(struct world_options){.chunk = chunk});
                w.service.script = (struct script){.half_close = DO_FINISH, .big_bytes = 5};
                at = where == 0   ? &w.service.script.start
                     : where == 1 ? &w.service.script.message
                                  : &w.service.script.half_close;
                *at |= actions[i];
                world_call(&w, &a, GRPC_BIDI, 0);
                asked_send(&a, 3, 20);
                asked_close(&a);
                pair_pump(&w.pair);
                assert_int_equal(a.n_done, 1);
                assert_int_equal(w.service.served[0].n_done, 1);
                assert_int_equal(w.service.served[0].end, GRPC_END_ANSWERED);
                if ((actions[i] & DO_FAIL) && !(actions[i] & DO_FINISH) && where < 2)
                    asked_expect(&a, GRPC_NOT_FOUND, "no such thing: 100%");
                world_deinit(&w);
            }
}

static void test_fail_with_details(void **state)
{
    static const int before[] = {0,       DO_ECHO,  DO_HEADERS,           DO_METADATA, DO_METADATA | DO_ECHO,
                                 DO_UNDO, DO_BEGIN, DO_BEGIN | DO_HEADERS};

    world_init(&w, NULL);
    for (size_t i = 0; i < ARRAY_LEN(before); i++) {
        struct asked a = {0};

        w.service.script = (struct script){.message = before[i] | DO_FAIL};
        world_call(&w, &a, GRPC_UNARY, 0);
        asked_send(&a, 1, 10);
        asked_close(&a);
        pair_pump(&w.pair);
        asked_expect(&a, GRPC_NOT_FOUND, "no such thing: 100%");
        assert_string_equal(a.status.reason, "NO_SUCH_THING");
        assert_int_equal(a.status.n_metadata, 1);
        assert_string_equal(a.status.metadata[0].value, "thing");
        assert_int_equal(a.n_messages, (before[i] & DO_ECHO) != 0);
        assert_string_equal(a.place, before[i] & DO_METADATA ? "here" : "");
    }
    world_deinit(&w);
}

/* A status of any size arrives, with as many of its details as go below what clients accept. */
static void test_fail_with_too_many_details(void **state)
{
    static const int codes[] = {GRPC_INVALID_ARGUMENT, GRPC_UNIMPLEMENTED};
    static char text[STATUS_MESSAGE_MAX_BYTES + 1];

    world_init(&w, NULL);
    memset(text, '\n', sizeof text - 1); /* three bytes each in the header */
    for (unsigned int n = 0; n <= STATUS_VIOLATIONS_MAX; n++)
        for (size_t c = 0; c < ARRAY_LEN(codes); c++) {
            struct asked a = {0};
            struct grpc_status st;

            w.service.script = (struct script){0};
            world_call(&w, &a, GRPC_BIDI, 0);
            pair_pump(&w.pair);
            status_set(&st, (enum grpc_code)codes[c], "R", "%s", text);
            for (unsigned int i = 0; i < n; i++) {
                status_add_violation(&st, text, "%s", text);
                status_add_metadata(&st, text, "%s", text);
            }
            status_set_retry(&st, 5);
            grpc_call_fail(w.service.served[w.service.n_served - 1].call, &st);
            pair_pump(&w.pair);
            assert_int_equal(a.n_done, 1);
            assert_int_equal(a.status.code, codes[c]);
            assert_string_equal(a.status.message, text);
            assert_string_equal(a.status.reason, "R");
            assert_int_equal(a.status.retry_delay_ms, 5);
            assert_true(a.status.n_violations <= n);
            if (n <= 1)
                assert_int_equal(a.status.n_metadata + a.status.n_violations, 2 * n);
        }
    world_deinit(&w);
}

static void test_initial_metadata(void **state)
{
    static const int scripts[] = {DO_METADATA, DO_METADATA | DO_HEADERS};

    for (size_t i = 0; i < ARRAY_LEN(scripts); i++) {
        struct asked a = {0};

        world_init(&w, NULL);
        w.service.script = (struct script){.start = scripts[i], .message = DO_ECHO | DO_FINISH};
        world_call(&w, &a, GRPC_UNARY, 0);
        pair_pump(&w.pair);
        assert_int_equal(a.n_headers, scripts[i] & DO_HEADERS ? 2 : 0); /* before any message, when asked */
        asked_send(&a, 1, 10);
        asked_close(&a);
        pair_pump(&w.pair);
        asked_expect(&a, GRPC_OK, "");
        assert_int_equal(a.n_headers, 2);
        assert_string_equal(a.place, "here");
        assert_int_equal(a.n_raw, 3);
        assert_memory_equal(a.raw, "\x00\xff\x10", 3);
        world_deinit(&w);
    }
}

static void test_metadata_that_cannot_be_sent(void **state)
{
    struct asked a = {0};
    struct grpc_call *call;

    world_init(&w, NULL);
    world_call(&w, &a, GRPC_BIDI, 0);
    pair_pump(&w.pair);
    call = w.service.served[0].call;
    assert_int_equal(grpc_call_add_metadata(call, "x-a", SPAN_LIT("line\nfeed")), -EINVAL);
    assert_int_equal(grpc_call_add_metadata(call, "x-a", SPAN_LIT(" space")), -EINVAL);
    assert_int_equal(grpc_call_add_metadata(call, "x-a", SPAN_LIT("\xc3\xa4")), -EINVAL);
    assert_int_equal(grpc_call_add_metadata(call, "x-place", SPAN_LIT("in between")), 0);
    grpc_call_finish(call);
    pair_pump(&w.pair);
    asked_expect(&a, GRPC_OK, "");
    assert_string_equal(a.place, "in between");
    world_deinit(&w);
}

static void test_answers_that_come_later(void **state)
{
    struct asked a = {0}, b = {0};

    world_init(&w, NULL);
    world_call(&w, &a, GRPC_UNARY, 0);
    world_call(&w, &b, GRPC_UNARY, 0);
    asked_send(&a, 1, 1);
    asked_send(&b, 1, 1);
    asked_close(&a);
    asked_close(&b);
    pair_pump(&w.pair);
    assert_int_equal(w.service.n_messages, 2);
    assert_int_equal(grpc_call_send(w.service.served[1].call, SPAN_LIT("b")), 0); /* outside of any event */
    grpc_call_finish(w.service.served[1].call);
    pair_pump(&w.pair);
    asked_expect(&b, GRPC_OK, "");
    assert_int_equal(a.n_done, 0);
    grpc_call_fail_code(w.service.served[0].call, GRPC_ABORTED, "TEST", "no");
    pair_pump(&w.pair);
    asked_expect(&a, GRPC_ABORTED, "no");
    world_deinit(&w);
}

static void test_questions(void **state)
{
    struct asked a = {0};
    struct grpc_call *call;

    world_init(&w, NULL);
    world_call(&w, &a, GRPC_BIDI, 5 * NS_PER_S);
    pair_pump(&w.pair);
    call = w.service.served[0].call;
    assert_ptr_equal(grpc_call_method(call), &w.methods[GRPC_BIDI]);
    assert_ptr_equal(grpc_call_context(call), &w.service);
    assert_string_equal(grpc_call_peer(call)->address, "memory");
    assert_int_equal(grpc_call_peer(call)->worker_key, 7);
    assert_true(grpc_call_deadline(call) == w.pair.now + 5 * NS_PER_S);
    assert_true(grpc_call_now(call) == w.pair.now);
    assert_null(grpc_call_header(call, "content-type").p); /* only inside on_start */
    assert_true(grpc_call_is_writable(call));
    assert_int_equal(grpc_call_pending(call), 0);
    world_deinit(&w);
}

/* --- ends */

static void test_client_cancels_at_each_point(void **state)
{
    static const int events[] = {'h', 'm', 0};

    for (size_t i = 0; i < ARRAY_LEN(events); i++)
        for (size_t chunk = 0; chunk < 20; chunk += 9) {
            struct asked a = {.cancel_at = events[i]};
            struct served *sv = &w.service.served[0];

            world_init(&w, &(struct world_options){.chunk = chunk});
            w.service.script = (struct script){.start = DO_METADATA | DO_HEADERS, .message = DO_ECHO};
            world_call(&w, &a, GRPC_BIDI, 0);
            asked_send(&a, 2, 10);
            pair_pump(&w.pair);
            if (events[i]) {
                assert_int_equal(a.n_messages, events[i] == 'm'); /* and none behind it */
            } else {
                assert_int_equal(a.n_messages, 2);
                grpc_client_call_cancel(a.call);
                assert_int_equal(a.n_done, 0); /* not from inside */
                pair_pump(&w.pair);
            }
            asked_expect(&a, GRPC_CANCELLED, "cancelled");
            assert_int_equal(sv->n_done, 1);
            assert_int_equal(sv->end, GRPC_END_CANCELLED);
            world_deinit(&w);
        }
}

/* Cancelled before a byte of it was sent: the server never hears of it, or hears the end as well. */
static void test_cancel_at_once(void **state)
{
    struct asked a = {0}, b = {0};

    world_init(&w, NULL);
    w.service.script = (struct script){.message = DO_ECHO | DO_FINISH};
    world_call(&w, &a, GRPC_UNARY, 0);
    grpc_client_call_cancel(a.call);
    grpc_client_call_cancel(a.call);
    pair_pump(&w.pair);
    asked_expect(&a, GRPC_CANCELLED, "");
    for (size_t i = 0; i < w.service.n_served; i++)
        assert_int_equal(w.service.served[i].end, GRPC_END_CANCELLED);
    world_call(&w, &b, GRPC_UNARY, 0); /* and the connection goes on */
    asked_send(&b, 1, 1);
    asked_close(&b);
    pair_pump(&w.pair);
    asked_expect(&b, GRPC_OK, "");
    world_deinit(&w);
}

static void test_server_ends_before_the_client(void **state)
{
    struct asked a = {0};

    world_init(&w, &(struct world_options){.stream_window_bytes = 65535});
    w.service.script = (struct script){.message = DO_FINISH};
    world_call(&w, &a, GRPC_CLIENT_STREAM, 0);
    asked_send(&a, 30, 10000); /* more than the window: some of it is never sent */
    pair_pump(&w.pair);
    asked_expect(&a, GRPC_OK, "");
    assert_int_equal(w.service.served[0].n_messages, 1);
    assert_int_equal(w.service.served[0].end, GRPC_END_ANSWERED);
    check_kind(GRPC_CLIENT_STREAM, 300, 10000); /* what was dropped was credited to the connection */
    world_deinit(&w);
}

static void test_connection_lost(void **state)
{
    for (int who = 0; who < 2; who++) {
        struct asked a = {0}, b = {0};

        world_init(&w, NULL);
        world_call(&w, &a, GRPC_BIDI, 0);
        world_call(&w, &b, GRPC_UNARY, NS_PER_S);
        pair_pump(&w.pair);
        if (who)
            w.conn = grpc_conn_free(w.conn);
        w.client = grpc_client_free(w.client);
        asked_expect(&a, GRPC_UNAVAILABLE, "");
        asked_expect(&b, GRPC_UNAVAILABLE, "");
        w.conn = grpc_conn_free(w.conn);
        for (size_t i = 0; i < 2; i++) {
            assert_int_equal(w.service.served[i].n_done, 1);
            assert_int_equal(w.service.served[i].end, GRPC_END_LOST);
        }
        world_deinit(&w);
    }
}

static void test_session_aborted_inside_an_event(void **state)
{
    for (size_t where = 0; where < 3; where++) {
        struct asked a = {0}, b = {0};

        world_init(&w, NULL);
        world_call(&w, &b, GRPC_BIDI, 0);
        pair_pump(&w.pair);
        w.service.script.start = where == 0 ? DO_ABORT : 0;
        w.service.script.message = where == 1 ? DO_ECHO | DO_ABORT | DO_FINISH : 0;
        w.service.script.half_close = where == 2 ? DO_ABORT | DO_FAIL : 0;
        world_call(&w, &a, GRPC_BIDI, 0);
        asked_send(&a, 2, 10);
        asked_close(&a);
        pair_pump(&w.pair);
        for (size_t i = 0; i < 2; i++) {
            assert_int_equal(w.service.served[i].n_done, 1);
            assert_int_equal(w.service.served[i].end, GRPC_END_LOST);
        }
        w.pair.is_over = 0;
        pair_move(&w.pair, w.pair.server, w.pair.client); /* the GOAWAY */
        w.client = grpc_client_free(w.client);
        assert_int_equal(a.n_done, 1);
        assert_int_equal(a.status.code, GRPC_UNAVAILABLE);
        assert_int_equal(b.status.code, GRPC_UNAVAILABLE);
        world_deinit(&w);
    }
}

/* --- back-pressure */

/* A client that does not read gets no more started than the bound and one reply, and then all of them. */
static void check_deaf_client(uint32_t max_messages_per_recv)
{
    static struct asked asked[200];
    const size_t big = 300000;

    world_init(&w, &(struct world_options){.max_messages_per_recv = max_messages_per_recv});
    w.service.script = (struct script){.message = DO_BIG | DO_FINISH, .big_bytes = big};
    w.pair.is_deaf = 1;
    for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
        asked[i] = (struct asked){0};
        if (world_try_call(&w, &asked[i], i % 2 ? GRPC_UNARY : GRPC_SERVER_STREAM, NULL) != 0)
            fail_msg("call %zu refused", i);
        asked_send(&asked[i], 1, 100);
        asked_close(&asked[i]);
        pair_pump(&w.pair);
        assert_true(h2_session_pending_bytes(w.pair.server) <= H2_OUTPUT_HIGH_BYTES + big + 5);
    }
    assert_true(w.service.n_messages < 6);
    w.pair.is_deaf = 0;
    pair_pump(&w.pair);
    for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
        asked_expect(&asked[i], GRPC_OK, "");
        assert_int_equal(asked[i].n_bytes, big);
    }
    world_deinit(&w);
}

static void test_deaf_client_costs_a_bound(void **state)
{
    check_deaf_client(0);
    check_deaf_client(1);
}

/* Streams with room of their own ask while the session has none: each is told later, in the order of asking,
 * and not more of them than there is room for. */
static void test_wanting_to_write(void **state)
{
    static struct asked asked[30];
    const size_t big = 200000;
    unsigned int n_written = 0;

    world_init(&w, NULL);
    w.service.script = (struct script){.writable = DO_BIG | DO_FINISH, .big_bytes = big};
    for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
        asked[i] = (struct asked){0};
        world_call(&w, &asked[i], GRPC_BIDI, 0);
    }
    pair_pump(&w.pair);
    w.pair.is_deaf = 1;
    for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
        struct grpc_call *call = w.service.served[i].call;

        if (grpc_call_is_writable(call)) {
            service_send_big(call, big);
            grpc_call_finish(call);
            n_written++;
        }
        (void)!grpc_call_is_writable(call); /* asked twice is told once */
    }
    assert_int_equal(n_written, H2_OUTPUT_HIGH_BYTES / big + 1);
    grpc_client_call_cancel(asked[20].call); /* who is gone is not told */
    pair_pump(&w.pair);
    w.pair.is_deaf = 0;
    while (asked[29].n_done == 0) {
        size_t n = pair_move(&w.pair, w.pair.server, w.pair.client) +
                   pair_move(&w.pair, w.pair.client, w.pair.server);

        assert_true(n > 0);
        assert_true(h2_session_pending_bytes(w.pair.server) <= H2_OUTPUT_HIGH_BYTES + big + 5);
    }
    pair_pump(&w.pair);
    for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
        asked_expect(&asked[i], i == 20 ? GRPC_CANCELLED : GRPC_OK, "");
        assert_int_equal(w.service.served[i].n_writable, i >= n_written && i != 20);
    }
    world_deinit(&w);
}

/* As much as each of @n streams takes whose client reads one message and no more. */
static void fill_unread(struct asked *asked, size_t n, size_t big)
{
    for (size_t i = 0; i < n; i++) {
        struct served *sv = &w.service.served[w.service.n_served];

        asked[i] = (struct asked){.pause_after = 1};
        world_call(&w, &asked[i], GRPC_BIDI, 0);
        pair_pump(&w.pair);
        while (grpc_call_is_writable(sv->call)) {
            service_send_big(sv->call, big);
            pair_pump(&w.pair);
        }
    }
}

/* What a client leaves unread holds up neither its other streams nor its other calls, and has a bound of its own. */
static void test_unread_streams_hold_up_no_others(void **state)
{
    static struct asked unread[100], read[2];
    const size_t big = 60000;

    world_init(&w, &(struct world_options){.client_window_bytes = 65535});
    fill_unread(unread, 12, big);
    assert_true(h2_session_pending_bytes(w.pair.server) > 2 * (size_t)H2_OUTPUT_HIGH_BYTES);

    w.service.script = (struct script){.message = DO_BIG, .half_close = DO_FINISH, .big_bytes = 200000};
    for (unsigned int i = 0; i < 2; i++) {
        if (i == 1)
            w.service.script.message |= DO_FINISH;
        read[i] = (struct asked){0};
        world_call(&w, &read[i], i ? GRPC_UNARY : GRPC_BIDI, 0);
        asked_send(&read[i], i ? 1 : 40, 10);
        asked_close(&read[i]);
        pair_pump(&w.pair);
        asked_expect(&read[i], GRPC_OK, "");
        assert_int_equal(read[i].n_bytes, (i ? 1 : 40) * 200000);
    }

    fill_unread(unread + 12, ARRAY_LEN(unread) - 12, big);
    assert_in_range(h2_session_pending_bytes(w.pair.server), H2_OUTPUT_MAX_BYTES,
                    H2_OUTPUT_MAX_BYTES + big + 5);
    world_deinit(&w);
}

/* Calls that wait for room end like others: by their deadline, by cancel, with their connection. */
static void test_ends_while_waiting(void **state)
{
    static struct asked asked[40];
    size_t n_late = 0, n_ok = 0;

    world_init(&w, NULL);
    w.service.script = (struct script){.message = DO_BIG | DO_FINISH, .big_bytes = 400000};
    w.pair.is_deaf = 1;
    for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
        asked[i] = (struct asked){0};
        world_call(&w, &asked[i], GRPC_UNARY, i % 3 == 0 ? NS_PER_S : 0);
        asked_send(&asked[i], 1, 100);
        asked_close(&asked[i]);
    }
    pair_pump(&w.pair);
    assert_true(w.service.n_messages < 6);
    grpc_client_call_cancel(asked[10].call);
    pair_sleep(&w.pair, 2 * NS_PER_S);
    w.pair.is_deaf = 0;
    pair_pump(&w.pair);
    for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
        assert_int_equal(asked[i].n_done, 1);
        n_late += asked[i].status.code == GRPC_DEADLINE_EXCEEDED;
        n_ok += asked[i].status.code == GRPC_OK;
    }
    assert_int_equal(asked[10].status.code, GRPC_CANCELLED);
    assert_int_equal(n_late, 14);
    assert_int_equal(n_ok, ARRAY_LEN(asked) - n_late - 1);
    world_deinit(&w);
}

static void test_paused_stream_closes_the_window(void **state)
{
    struct asked a = {0};
    uint32_t sum;

    world_init(&w, &(struct world_options){.stream_window_bytes = 65535, .chunk = 4001});
    w.service.script = (struct script){.start = DO_PAUSE, .half_close = DO_FINISH};
    world_call(&w, &a, GRPC_CLIENT_STREAM, 0);
    sum = asked_send(&a, 100, 3000);
    asked_close(&a);
    pair_pump(&w.pair);
    assert_int_equal(w.service.n_messages, 0);
    assert_true(h2_session_pending_bytes(w.pair.client) >= 100 * 3005 - 65535); /* it stays over there */
    w.service.script.message = DO_PAUSE; /* from now on one at a time */
    for (unsigned int i = 1; i <= 100; i++) {
        grpc_call_pause(w.service.served[0].call, 0);
        assert_int_equal(w.service.n_messages, i - 1); /* not from inside */
        pair_pump(&w.pair);
        assert_int_equal(w.service.n_messages, i);
        assert_int_equal(w.service.served[0].n_half_close, 0);
        assert_true(h2_session_pending_bytes(w.pair.client) + 65535 + 3005 >= (size_t)(100 - i) * 3005);
    }
    grpc_call_pause(w.service.served[0].call, 0);
    pair_pump(&w.pair);
    assert_int_equal(w.service.served[0].sum, sum);
    asked_expect(&a, GRPC_OK, "");
    world_deinit(&w);
}

/* Half-close is told once, however often the call pauses behind it; other kinds know no pause. */
static void test_pauses_without_effect(void **state)
{
    struct asked a = {0}, b = {0};

    world_init(&w, NULL);
    w.service.script = (struct script){.start = DO_PAUSE_RESUME, .half_close = DO_PAUSE_RESUME};
    world_call(&w, &a, GRPC_BIDI, 0);
    asked_send(&a, 2, 10);
    asked_close(&a);
    pair_pump(&w.pair);
    for (int i = 0; i < 3; i++) {
        grpc_call_pause(w.service.served[0].call, 1);
        grpc_call_pause(w.service.served[0].call, 0);
        pair_pump(&w.pair);
    }
    assert_int_equal(w.service.served[0].n_half_close, 1);
    grpc_call_finish(w.service.served[0].call);
    w.service.script = (struct script){.start = DO_PAUSE, .message = DO_ECHO | DO_FINISH};
    world_call(&w, &b, GRPC_UNARY, 0);
    asked_send(&b, 1, 10);
    pair_pump(&w.pair);
    grpc_call_pause(w.service.served[1].call, 0);
    pair_pump(&w.pair);
    assert_int_equal(w.service.served[1].n_messages, 0);
    asked_close(&b);
    pair_pump(&w.pair);
    asked_expect(&a, GRPC_OK, "");
    asked_expect(&b, GRPC_OK, "");
    world_deinit(&w);
}

static void test_client_pauses(void **state)
{
    struct asked a = {.pause_after = 1}, b = {.pause_after = 2};

    world_init(&w, &(struct world_options){.client_window_bytes = 65535, .chunk = 4001});
    w.service.script = (struct script){.message = DO_ECHO, .half_close = DO_FINISH};
    world_call(&w, &a, GRPC_BIDI, 0);
    asked_send(&a, 100, 3000);
    asked_close(&a);
    world_call(&w, &b, GRPC_BIDI, 0); /* small: its stream ends while it is paused */
    asked_send(&b, 5, 10);
    asked_close(&b);
    pair_pump(&w.pair);
    assert_int_equal(a.n_messages, 1);
    assert_true(h2_session_pending_bytes(w.pair.server) >= 100 * 3005 - 65535 - 3005);
    assert_int_equal(b.n_messages, 2);
    assert_int_equal(b.n_done, 0);
    b.pause_after = 4;
    grpc_client_call_pause(b.call, 0);
    assert_int_equal(b.n_messages, 2); /* not from inside */
    pair_pump(&w.pair);
    assert_int_equal(b.n_messages, 4);
    assert_int_equal(b.n_done, 0);
    for (int i = 2; i < 60; i++) { /* one by one: no more is let in than was handed over */
        a.pause_after = i;
        grpc_client_call_pause(a.call, 0);
        pair_pump(&w.pair);
        assert_int_equal(a.n_messages, i);
        assert_true(h2_session_pending_bytes(w.pair.server) + 65535 + 3005 >= (100 - (size_t)i) * 3005);
    }
    grpc_client_call_pause(b.call, 0);
    grpc_client_call_pause(a.call, 0);
    pair_pump(&w.pair);
    assert_int_equal(b.n_messages, 5);
    asked_expect(&b, GRPC_OK, "");
    assert_int_equal(a.n_messages, 100);
    asked_expect(&a, GRPC_OK, "");
    world_deinit(&w);
}

/* So many held replies that they take more than one tick, behind the end of the stream. */
static void test_many_held_replies(void **state)
{
    struct asked a = {.pause_after = 1};

    world_init(&w, NULL);
    w.service.script = (struct script){.message = DO_ECHO, .half_close = DO_FINISH};
    world_call(&w, &a, GRPC_BIDI, 0);
    asked_send(&a, 5000, 3);
    asked_close(&a);
    pair_pump(&w.pair);
    assert_int_equal(h2_session_n_streams(w.pair.client), 0);
    assert_int_equal(a.n_messages, 1);
    grpc_client_call_pause(a.call, 0);
    h2_session_tick(w.pair.client, w.pair.now);
    assert_true(a.n_messages > 1 && a.n_messages < 5000);
    pair_pump(&w.pair);
    assert_int_equal(a.n_messages, 5000);
    asked_expect(&a, GRPC_OK, "");
    world_deinit(&w);
}

/* A paused call whose stream is gone still ends once: by cancel, or with its client. */
static void test_paused_behind_the_end(void **state)
{
    for (int how = 0; how < 2; how++) {
        struct asked a = {.pause_after = 1};

        world_init(&w, NULL);
        w.service.script = (struct script){.message = DO_ECHO, .half_close = DO_FINISH};
        world_call(&w, &a, GRPC_BIDI, 0);
        asked_send(&a, 3, 10);
        asked_close(&a);
        pair_pump(&w.pair);
        assert_int_equal(a.n_done, 0);
        assert_int_equal(w.service.served[0].n_done, 1);
        if (how == 0) {
            grpc_client_call_cancel(a.call);
            assert_int_equal(a.n_done, 0);
            pair_pump(&w.pair);
            asked_expect(&a, GRPC_CANCELLED, "");
        } else {
            w.client = grpc_client_free(w.client);
            asked_expect(&a, GRPC_UNAVAILABLE, "");
        }
        assert_int_equal(a.n_messages, 1);
        world_deinit(&w);
    }
}

static void test_writable(void **state)
{
    struct asked a = {0};
    struct grpc_call *call;
    unsigned int n_sent = 0;

    world_init(&w, &(struct world_options){.client_window_bytes = 65535});
    world_call(&w, &a, GRPC_BIDI, 0);
    pair_pump(&w.pair);
    grpc_client_call_pause(a.call, 1);
    call = w.service.served[0].call;
    while (grpc_call_is_writable(call)) {
        service_send_big(call, 10000);
        n_sent++;
        pair_pump(&w.pair);
        assert_true(n_sent < 100);
    }
    assert_true(grpc_call_pending(call) >= H2_STREAM_HIGH_BYTES);
    assert_int_equal(w.service.served[0].n_writable, 0);
    grpc_client_call_pause(a.call, 0);
    pair_pump(&w.pair);
    assert_int_equal(w.service.served[0].n_writable, 1);
    assert_true(grpc_call_is_writable(call));
    assert_int_equal(a.n_messages, n_sent);
    while (grpc_client_call_is_writable(a.call)) /* and the other way round */
        asked_send(&a, 1, 10000);
    pair_pump(&w.pair);
    assert_int_equal(a.n_writable, 1);
    assert_true(grpc_client_call_is_writable(a.call));
    world_deinit(&w);
}

/* --- memory */

/* One whole conversation; whatever fails in between, every call ends and nothing leaks. */
static int converse(int with_failures)
{
    static struct asked asked[4];
    int is_up = world_try(&w, &(struct world_options){.chunk = 50}) == 0, n_ok = 0;

    if (is_up) {
        w.service.script = (struct script){.start = DO_METADATA, .message = DO_ECHO, .half_close = DO_FINISH};
        for (int kind = 0; kind < 4; kind++) {
            struct asked *a = &asked[kind];
            struct grpc_client_call_options options = {.timeout_ns = NS_PER_S};
            struct h2_header md = {SPAN_LIT("x-a-bin"), SPAN_LIT("abcdef")};

            options.metadata = &md;
            options.n_metadata = 1;
            *a = (struct asked){0};
            if (world_try_call(&w, a, (enum grpc_kind)kind, &options) != 0)
                continue;
            if (grpc_client_call_send(a->call, SPAN_LIT("hello")) < 0 ||
                grpc_client_call_half_close(a->call) < 0)
                grpc_client_call_cancel(a->call);
        }
        pair_pump(&w.pair);
        /* unary and server-streaming calls wait for an answer */
        for (size_t i = 0; i < w.service.n_served; i++) {
            struct grpc_call *call = w.service.served[i].call;
            struct grpc_status st;

            if (!call || grpc_call_method(call)->kind == GRPC_CLIENT_STREAM ||
                grpc_call_method(call)->kind == GRPC_BIDI)
                continue;
            status_set(&st, GRPC_ABORTED, "LATER", "later");
            grpc_call_fail(call, &st);
        }
        w.pair.is_over = 0;
        pair_pump(&w.pair);
    }
    w.conn = grpc_conn_free(w.conn);
    w.client = grpc_client_free(w.client);
    for (int kind = 0; kind < 4 && is_up; kind++) {
        assert_true(asked[kind].n_done == 1 || (with_failures && !asked[kind].call));
        n_ok += asked[kind].n_done && asked[kind].status.code == GRPC_OK;
    }
    world_deinit(&w);
    return n_ok;
}

static void test_each_allocation_failing(void **state)
{
    assert_int_equal(converse(0), 2);
    FAIL_EACH_ALLOCATION(nth)
    {
        int n_ok = converse(1);

        if (!test_allocation_failed())
            assert_int_equal(n_ok, 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_kinds_in_every_chunk_size),
            cmocka_unit_test(test_no_messages),
            cmocka_unit_test(test_large_messages),
            cmocka_unit_test(test_many_at_once),
            cmocka_unit_test(test_actions_inside_events),
            cmocka_unit_test(test_fail_with_details),
            cmocka_unit_test(test_fail_with_too_many_details),
            cmocka_unit_test(test_initial_metadata),
            cmocka_unit_test(test_metadata_that_cannot_be_sent),
            cmocka_unit_test(test_answers_that_come_later),
            cmocka_unit_test(test_questions),
            cmocka_unit_test(test_client_cancels_at_each_point),
            cmocka_unit_test(test_cancel_at_once),
            cmocka_unit_test(test_server_ends_before_the_client),
            cmocka_unit_test(test_connection_lost),
            cmocka_unit_test(test_session_aborted_inside_an_event),
            cmocka_unit_test(test_deaf_client_costs_a_bound),
            cmocka_unit_test(test_wanting_to_write),
            cmocka_unit_test(test_unread_streams_hold_up_no_others),
            cmocka_unit_test(test_ends_while_waiting),
            cmocka_unit_test(test_paused_stream_closes_the_window),
            cmocka_unit_test(test_pauses_without_effect),
            cmocka_unit_test(test_client_pauses),
            cmocka_unit_test(test_many_held_replies),
            cmocka_unit_test(test_paused_behind_the_end),
            cmocka_unit_test(test_writable),
            cmocka_unit_test(test_each_allocation_failing),
    };

    test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
