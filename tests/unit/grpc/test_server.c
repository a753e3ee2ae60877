// SPDX-License-Identifier: Apache-2.0
/*
 * The server against a peer that says anything: what it refuses and how, in which words; limits of messages,
 * of a connection and of a turn; deadlines; the table of methods.
 */
#include "pair.h"
#include "raw.h"

static struct world w;
static struct raw raw;

/* The world with a raw client in place of ours. */
static void start(const struct world_options *o)
{
    static const struct world_options none;

    assert_int_equal(world_try(&w, o ? o : &none), 0);
    w.client = grpc_client_free(w.client);
    raw_init(&raw, H2_CLIENT, w.pair.now);
    w.pair.client = raw.session;
    pair_pump(&w.pair);
    assert_false(w.pair.is_over);
}

static void stop(void)
{
    raw.session = h2_session_free(raw.session);
    world_deinit(&w);
}

enum { REQUEST_LINES = 6 };

/* Open a stream with the usual headers, of which those with the names of @lines are replaced; a line that ends
 * in ": " takes its header out. */
static void request(const char *path, const char *const *lines, size_t n_lines, int end)
{
    char path_line[4096];
    const char *all[REQUEST_LINES + 8] = {
            ":method: POST",    ":scheme: http", path_line,
            ":authority: test", "te: trailers",  "content-type: application/grpc",
    };
    struct h2_header headers[ARRAY_LEN(all)];
    size_t n = REQUEST_LINES, n_out = 0;

    snprintf(path_line, sizeof path_line, ":path: %s", path);
    for (size_t i = 0; i < n_lines; i++) {
        size_t name = (size_t)(strstr(lines[i], ": ") - lines[i]) + 2, k = 0;

        while (k < n && strncmp(all[k], lines[i], name) != 0)
            k++;
        all[k] = lines[i];
        n = MAX(n, k + 1);
    }
    for (size_t i = 0; i < n; i++)
        if (strstr(all[i], ": ")[2])
            all[n_out++] = all[i];
    raw_clear(&raw);
    raw_parse(all, n_out, headers);
    assert_int_equal(h2_session_request(raw.session, headers, n_out, end, &raw.stream), 0);
}

static void end_request(void)
{
    assert_int_equal(h2_stream_finish(raw.stream, NULL, 0, 1), 0);
}

/* A frame of gRPC: flag, length, as many bytes of payload. */
static void write_frame(uint8_t flag, uint32_t length, size_t n_payload)
{
    const uint8_t head[] = {flag, (uint8_t)(length >> 24), (uint8_t)(length >> 16), (uint8_t)(length >> 8),
                            (uint8_t)length};
    uint8_t *payload = calloc(1, n_payload + 1);

    raw_write(&raw, head, sizeof head);
    raw_write(&raw, payload, n_payload);
    free(payload);
}

static void expect_status(int code, const char *words)
{
    const char *status = raw_header(&raw, "grpc-status"), *message = raw_header(&raw, "grpc-message");

    if (!status || atoi(status) != code || (words[0] && (!message || !strstr(message, words))))
        fail_msg("grpc-status %s \"%s\", expected %d \"%s\"", status ? status : "-", message ? message : "-",
                 code, words);
    assert_string_equal(raw_header(&raw, ":status"), "200");
    assert_string_equal(raw_header(&raw, "content-type"), "application/grpc");
    assert_int_equal(raw.n_close, 1);
}

static void expect_http(const char *status)
{
    assert_string_equal(raw_header(&raw, ":status"), status);
    assert_null(raw_header(&raw, "grpc-status"));
    assert_null(raw_header(&raw, "content-type"));
    assert_int_equal(raw.n_close, 1);
    assert_int_equal(w.service.n_served, 0);
}

/* --- what is refused by its headers */

static void test_not_grpc(void **state)
{
    static const char *const types[] = {"content-type: ", "content-type: text/plain",
                                        "content-type: application/json",
                                        "content-type: application/grpc-web"};
    static const char *const methods[] = {":method: GET", ":method: PUT", ":method: HEAD"};

    start(NULL);
    for (int end = 0; end < 2; end++) {
        for (size_t i = 0; i < ARRAY_LEN(types); i++) {
            request(kind_paths[0], &types[i], 1, end);
            pair_pump(&w.pair);
            expect_http("415");
        }
        for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
            request(kind_paths[0], &methods[i], 1, end);
            pair_pump(&w.pair);
            expect_http("405");
        }
    }
    stop();
}

static void test_content_types_that_are_grpc(void **state)
{
    static const char *const types[] = {"content-type: application/grpc+proto",
                                        "content-type: application/grpc;charset=utf-8",
                                        "content-type: application/grpc+json"};

    start(NULL);
    w.service.script.message = DO_ECHO | DO_FINISH;
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        request(kind_paths[0], &types[i], 1, 0);
        write_frame(0, 3, 3);
        end_request();
        pair_pump(&w.pair);
        expect_status(GRPC_OK, "");
        assert_int_equal(raw.n_bytes, 8);
        assert_false(raw.was_trailers_only);
    }
    stop();
}

static void test_te_is_not_asked_for(void **state)
{
    static const char *const no_te = "te: ";

    start(NULL);
    w.service.script.message = DO_ECHO | DO_FINISH;
    request(kind_paths[0], &no_te, 1, 0);
    write_frame(0, 0, 0);
    end_request();
    pair_pump(&w.pair);
    expect_status(GRPC_OK, "");
    stop();
}

static void test_unknown_methods(void **state)
{
    static const struct {
        const char *path, *words;
    } cases[] = {
            {"/t.T/Nope", "unknown method /t.T/Nope"},
            {"/t.T/", "unknown method /t.T/"},
            {"/t.T/Unary/", "unknown method /t.T/Unary/"},
            {"/t.U/Unary", "unknown service: /t.U/Unary"},
            {"/t.T", "unknown service: /t.T"},
            {"/", "unknown service: /"},
            {"//", "unknown service: //"},
            {"/t.T/None", "method /t.T/None is not implemented"},
            {"/t.T/Un%61ry",
             "unknown method /t.T/Un%25"}, /* no decoding; the text is encoded for the header */
    };

    start(NULL);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        request(cases[i].path, NULL, 0, 0);
        write_frame(0, 3, 3);
        pair_pump(&w.pair);
        expect_status(GRPC_UNIMPLEMENTED, cases[i].words);
        assert_true(raw.was_trailers_only);
        assert_int_equal(w.service.n_served, 0);
    }
    stop();
}

static void test_a_very_long_path(void **state)
{
    char path[4000];

    start(NULL);
    memset(path, 'x', sizeof path - 1);
    path[0] = '/';
    path[sizeof path - 1] = '\0';
    request(path, NULL, 0, 1);
    pair_pump(&w.pair);
    expect_status(GRPC_UNIMPLEMENTED, "unknown service: /xxx");
    assert_true(strlen(raw_header(&raw, "grpc-message")) < 400);
    stop();
}

static void test_encodings(void **state)
{
    static const char *const gzip = "grpc-encoding: gzip", *const identity = "grpc-encoding: identity";

    start(NULL);
    w.service.script.message = DO_ECHO | DO_FINISH;
    request(kind_paths[0], &gzip, 1, 0);
    pair_pump(&w.pair);
    expect_status(GRPC_UNIMPLEMENTED, "grpc-encoding \"gzip\"");
    assert_string_equal(raw_header(&raw, "grpc-accept-encoding"), "identity");
    assert_int_equal(w.service.n_served, 0);
    request(kind_paths[0], &identity, 1, 0);
    write_frame(0, 1, 1);
    end_request();
    pair_pump(&w.pair);
    expect_status(GRPC_OK, "");
    stop();
}

static void test_malformed_timeouts(void **state)
{
    static const char *const lines[] = {"grpc-timeout: 5", "grpc-timeout: S", "grpc-timeout: 1x",
                                        "grpc-timeout: -1S", "grpc-timeout: 123456789S"};
    static const char *const zero = "grpc-timeout: 0m";

    start(NULL);
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        request(kind_paths[0], &lines[i], 1, 0);
        pair_pump(&w.pair);
        expect_status(GRPC_INTERNAL, "malformed grpc-timeout");
        assert_int_equal(w.service.n_served, 0);
    }
    request(kind_paths[0], &zero, 1, 0);
    pair_pump(&w.pair);
    expect_status(GRPC_DEADLINE_EXCEEDED, "");
    assert_int_equal(w.service.n_served, 0);
    stop();
}

/* --- what is refused by its messages */

/* Which call is broken by what; unary and server-streaming ones before the handler sees a message. */
static void test_broken_requests(void **state)
{
    static const struct {
        int kind, code;
        const char *words;
        unsigned int n_frames; /* good ones of 4 bytes before */
        int flag, length, n_payload, is_ended;
    } cases[] = {
            {GRPC_UNARY, GRPC_INTERNAL, "ends without a message", 0, -1, 0, 0, 1},
            {GRPC_SERVER_STREAM, GRPC_INTERNAL, "ends without a message", 0, -1, 0, 0, 1},
            {GRPC_UNARY, GRPC_INTERNAL, "ends inside a message", 0, 0, 10, 9, 1},
            {GRPC_BIDI, GRPC_INTERNAL, "ends inside a message", 2, 0, 10, 9, 1},
            {GRPC_CLIENT_STREAM, GRPC_INTERNAL, "ends inside a message", 0, 0, 1, 0, 1},
            {GRPC_UNARY, GRPC_INTERNAL, "a second message", 2, -1, 0, 0, 1},
            {GRPC_SERVER_STREAM, GRPC_INTERNAL, "a second message", 1, 0, 100, 0, 0},
            {GRPC_UNARY, GRPC_INTERNAL, "compressed flag", 0, 1, 5, 5, 1},
            {GRPC_BIDI, GRPC_INTERNAL, "compressed flag", 3, 1, 5, 5, 0},
            {GRPC_UNARY, GRPC_RESOURCE_EXHAUSTED, "a message of 1001 bytes exceeds the limit of 1000 bytes",
             0, 0, 1001, 0, 0},
            {GRPC_BIDI, GRPC_RESOURCE_EXHAUSTED, "a message of 1001 bytes exceeds the limit of 1000 bytes", 2,
             0, 1001, 500, 0},
            {GRPC_UNARY, GRPC_RESOURCE_EXHAUSTED, "a message of 2147483647 bytes", 0, 0, INT32_MAX, 10, 1},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (size_t chunk = 0; chunk < 14; chunk += 13) {
            int is_single = cases[i].kind == GRPC_UNARY || cases[i].kind == GRPC_SERVER_STREAM;

            start(&(struct world_options){.max_message_bytes = 1000, .chunk = chunk});
            request(kind_paths[cases[i].kind], NULL, 0, 0);
            for (unsigned int k = 0; k < cases[i].n_frames; k++)
                write_frame(0, 4, 4);
            if (cases[i].flag >= 0)
                write_frame((uint8_t)cases[i].flag, (uint32_t)cases[i].length, (size_t)cases[i].n_payload);
            if (cases[i].is_ended)
                end_request();
            pair_pump(&w.pair);
            expect_status(cases[i].code, cases[i].words);
            assert_true(raw.was_trailers_only);
            assert_int_equal(w.service.n_messages, is_single ? 0 : cases[i].n_frames);
            assert_int_equal(w.service.served[0].n_done, 1);
            assert_int_equal(w.service.served[0].end, GRPC_END_ANSWERED);
            stop();
        }
}

static void test_end_by_headers(void **state)
{
    start(NULL);
    w.service.script = (struct script){.half_close = DO_FINISH};
    request(kind_paths[GRPC_UNARY], NULL, 0, 1);
    pair_pump(&w.pair);
    expect_status(GRPC_INTERNAL, "ends without a message");
    request(kind_paths[GRPC_CLIENT_STREAM], NULL, 0, 1);
    pair_pump(&w.pair);
    expect_status(GRPC_OK, "");
    assert_int_equal(w.service.served[1].n_half_close, 1);
    stop();
}

/* A request may end with trailers, which mean nothing: here made by hand, because our client sends none. */
static void test_end_by_trailers(void **state)
{
    static const uint8_t trailers[] = {0, 0, 5, 1, 5, 0, 0, 0, 1, 0, 1, 'x', 1, 'y'};

    start(NULL);
    w.service.script = (struct script){.message = DO_ECHO, .half_close = DO_FINISH};
    request(kind_paths[GRPC_BIDI], NULL, 0, 0);
    write_frame(0, 3, 3);
    pair_pump(&w.pair);
    pair_feed(&w.pair, w.pair.server, trailers, sizeof trailers);
    assert_int_equal(w.service.served[0].n_half_close, 1);
    pair_pump(&w.pair);
    assert_string_equal(raw_header(&raw, "grpc-status"), "0");
    assert_int_equal(w.service.served[0].end, GRPC_END_ANSWERED);
    stop();
}

/* The details of a message over the limit, for programs. */
static void test_too_large_in_numbers(void **state)
{
    struct asked a = {0};

    world_init(&w, &(struct world_options){.max_message_bytes = 1000});
    world_call(&w, &a, GRPC_UNARY, 0);
    asked_send(&a, 1, 2000);
    asked_close(&a);
    pair_pump(&w.pair);
    asked_expect(&a, GRPC_RESOURCE_EXHAUSTED, "2000 bytes exceeds the limit of 1000");
    assert_string_equal(a.status.reason, "MESSAGE_TOO_LARGE");
    assert_string_equal(a.status.metadata[0].value, "2000");
    assert_string_equal(a.status.metadata[1].value, "1000");
    world_deinit(&w);
}

/* What comes for a call that was refused is dropped and credited: the connection goes on. */
static void test_data_behind_the_end(void **state)
{
    struct asked a = {0};

    world_init(&w, &(struct world_options){.max_message_bytes = 1000, .stream_window_bytes = 65535});
    for (unsigned int i = 0; i < 100; i++) {
        world_call(&w, &a, GRPC_CLIENT_STREAM, 0);
        asked_send(&a, 1, 60000);
        pair_pump(&w.pair);
        asked_expect(&a, GRPC_RESOURCE_EXHAUSTED, "60000");
        a = (struct asked){0};
    }
    w.service.script = (struct script){.message = DO_ECHO | DO_FINISH};
    world_call(&w, &a, GRPC_UNARY, 0);
    asked_send(&a, 1, 1000);
    asked_close(&a);
    pair_pump(&w.pair);
    asked_expect(&a, GRPC_OK, "");
    world_deinit(&w);
}

/* --- limits of a connection and of a turn */

static void test_incomplete_requests_have_a_limit(void **state)
{
    static struct h2_stream *streams[20];
    size_t n_open = 0;

    start(&(struct world_options){.max_message_bytes = 100000, .max_stored_bytes = 500000});
    w.service.script = (struct script){.message = DO_ECHO | DO_FINISH, .half_close = DO_FINISH};
    for (size_t i = 0; i < ARRAY_LEN(streams); i++) { /* each one byte short of a message */
        request(kind_paths[i % 2 ? GRPC_UNARY : GRPC_BIDI], NULL, 0, 0);
        write_frame(0, 90001, 90000);
        pair_pump(&w.pair);
        if (!raw.stream) {
            expect_status(GRPC_RESOURCE_EXHAUSTED,
                          "incomplete requests of this connection exceed 500000 bytes");
            continue;
        }
        streams[n_open++] = raw.stream;
    }
    assert_int_equal(n_open, 5);
    assert_int_equal(w.service.n_messages, 0);
    for (size_t i = 0; i < n_open; i++) { /* what is complete makes room */
        raw.stream = streams[i];
        raw_write(&raw, "x", 1);
        end_request();
        pair_pump(&w.pair);
        assert_int_equal(w.service.n_messages, i + 1);
    }
    request(kind_paths[0], NULL, 0, 0);
    write_frame(0, 90001, 90001);
    end_request();
    pair_pump(&w.pair);
    expect_status(GRPC_OK, "");
    stop();
}

static void test_budget_of_a_turn(void **state)
{
    struct asked a = {0}, b = {0};
    struct buf bytes = BUF_INIT;

    world_init(&w, &(struct world_options){.max_messages_per_recv = 20});
    w.service.script = (struct script){.half_close = DO_FINISH};
    world_call(&w, &a, GRPC_CLIENT_STREAM, 0);
    world_call(&w, &b, GRPC_CLIENT_STREAM, 0);
    asked_send(&a, 100, 10);
    asked_send(&b, 3, 10);
    asked_close(&a);
    asked_close(&b);
    assert_int_equal(h2_session_send(w.pair.client, &bytes, 1 << 20, w.pair.now), 0);
    h2_session_sent(w.pair.client, buf_len(&bytes), w.pair.now);
    w.pair.now++;
    pair_feed(&w.pair, w.pair.server, buf_head(&bytes), buf_len(&bytes));
    buf_deinit(&bytes);
    assert_int_equal(w.service.n_messages, 20);
    for (unsigned int turn = 2; turn <= 6; turn++) {
        mono_ns_t next = h2_session_tick(w.pair.server, ++w.pair.now);

        assert_int_equal(w.service.n_messages, MIN(turn * 20, 103U));
        assert_int_equal(grpc_server_n_messages(w.server), w.service.n_messages);
        if (turn < 6)
            assert_true(next <= w.pair.now);                 /* it wants to go on at once */
        assert_int_equal(w.service.served[1].n_messages, 3); /* the other one has had its turn */
    }
    assert_true(h2_session_tick(w.pair.server, w.pair.now) > w.pair.now);
    pair_pump(&w.pair);
    asked_expect(&a, GRPC_OK, "");
    asked_expect(&b, GRPC_OK, "");
    world_deinit(&w);
}

/* What the client has to say reaches the server, and nothing else happens. */
static void feed_server(void)
{
    struct buf bytes = BUF_INIT;

    assert_int_equal(h2_session_send(w.pair.client, &bytes, 1 << 20, w.pair.now), 0);
    h2_session_sent(w.pair.client, buf_len(&bytes), w.pair.now);
    w.pair.now++;
    pair_feed(&w.pair, w.pair.server, buf_head(&bytes), buf_len(&bytes));
    buf_deinit(&bytes);
}

/* What is whole and waits for its turn is bounded by the window, which it uses up, and by nothing else. */
static void test_what_waits_for_its_turn_is_not_incomplete(void **state)
{
    struct asked a = {0};

    world_init(&w, &(struct world_options){
                           .max_messages_per_recv = 2, .max_message_bytes = 100, .max_stored_bytes = 400});
    w.service.script = (struct script){.half_close = DO_FINISH};
    world_call(&w, &a, GRPC_CLIENT_STREAM, 0);
    asked_send(&a, 60, 10);
    asked_close(&a);
    feed_server();
    assert_int_equal(w.service.n_messages, 2);
    pair_pump(&w.pair);
    assert_int_equal(w.service.n_messages, 60);
    asked_expect(&a, GRPC_OK, "");
    world_deinit(&w);
}

static void test_budget_of_unary_calls(void **state)
{
    static struct asked asked[50];

    world_init(&w, &(struct world_options){.max_messages_per_recv = 10});
    w.service.script = (struct script){.message = DO_ECHO | DO_FINISH};
    for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
        asked[i] = (struct asked){0};
        world_call(&w, &asked[i], GRPC_UNARY, 0);
        asked_send(&asked[i], 1, 10);
        asked_close(&asked[i]);
        if (i == 39)
            feed_server();
    }
    assert_int_equal(w.service.n_messages, 10);
    feed_server(); /* a new turn, but who came before goes first */
    assert_int_equal(w.service.n_served, 50);
    assert_int_equal(w.service.n_messages, 10);
    for (unsigned int turn = 2; turn <= 5; turn++) {
        h2_session_tick(w.pair.server, ++w.pair.now);
        assert_int_equal(w.service.n_messages, turn * 10);
        for (unsigned int i = 0; i < 50; i++)
            assert_int_equal(w.service.served[i].n_messages, i < turn * 10);
    }
    pair_pump(&w.pair);
    for (size_t i = 0; i < ARRAY_LEN(asked); i++)
        asked_expect(&asked[i], GRPC_OK, "");
    world_deinit(&w);
}

/* Half-close behind what is held back, a pause in between, an end in between. */
static void test_backlog_that_ends(void **state)
{
    static const int at_message[] = {0, DO_FAIL, DO_PAUSE, DO_FINISH};

    for (size_t i = 0; i < ARRAY_LEN(at_message); i++) {
        struct asked a = {0};

        world_init(&w, &(struct world_options){.max_messages_per_recv = 2, .chunk = 29});
        w.service.script = (struct script){.message = at_message[i], .half_close = DO_FINISH};
        world_call(&w, &a, GRPC_CLIENT_STREAM, 0);
        asked_send(&a, 9, 10);
        asked_close(&a);
        pair_pump(&w.pair);
        for (unsigned int k = 1; at_message[i] == DO_PAUSE && k < 10; k++) {
            assert_int_equal(w.service.n_messages, k);
            grpc_call_pause(w.service.served[0].call, 0);
            pair_pump(&w.pair);
        }
        asked_expect(&a, at_message[i] == DO_FAIL ? GRPC_NOT_FOUND : GRPC_OK, "");
        assert_int_equal(w.service.n_messages, at_message[i] & (DO_FAIL | DO_FINISH) ? 1 : 9);
        world_deinit(&w);
    }
}

/* --- deadlines */

static void test_deadlines(void **state)
{
    static const int64_t after_ms[] = {300, 100, 200, 0}; /* 0: none */
    struct asked asked[ARRAY_LEN(after_ms)];
    mono_ns_t t0;

    world_init(&w, NULL);
    t0 = w.pair.now;
    for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
        asked[i] = (struct asked){0};
        world_call(&w, &asked[i], (enum grpc_kind)i, after_ms[i] * NS_PER_MS);
        asked_send(&asked[i], 1, 10);
        if (i % 2 == 0)
            asked_close(&asked[i]);
    }
    pair_pump(&w.pair);
    for (unsigned int ms = 1; ms <= 400; ms++) {
        mono_ns_t next;

        /* the server alone: it keeps the time itself, and says when it wants to be called */
        w.pair.now = t0 + (mono_ns_t)ms * NS_PER_MS;
        next = h2_session_tick(w.pair.server, w.pair.now);
        for (size_t i = 0; i < 3; i++)
            if (ms < after_ms[i])
                assert_true(next <= t0 + after_ms[i] * NS_PER_MS);
        pair_move(&w.pair, w.pair.server, w.pair.client);
        for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
            assert_int_equal(asked[i].n_done, after_ms[i] && ms >= after_ms[i]);
            assert_int_equal(w.service.served[i].n_done, asked[i].n_done);
        }
    }
    for (size_t i = 0; i < 3; i++) {
        asked_expect(&asked[i], GRPC_DEADLINE_EXCEEDED, "deadline");
        assert_int_equal(w.service.served[i].end, GRPC_END_DEADLINE);
    }
    world_deinit(&w);
}

/* The answer is held up when the deadline comes: what waits is dropped, the handler hears why. */
static void test_deadline_behind_output(void **state)
{
    struct asked a = {.pause_after = 1};

    world_init(&w, &(struct world_options){.client_window_bytes = 65535});
    w.service.script = (struct script){.message = DO_ECHO | DO_BIG, .big_bytes = 500000};
    world_call(&w, &a, GRPC_SERVER_STREAM, NS_PER_S);
    asked_send(&a, 1, 10);
    asked_close(&a);
    pair_pump(&w.pair);
    assert_int_equal(w.service.served[0].n_done, 0);
    assert_true(h2_session_pending_bytes(w.pair.server) > 400000);
    w.pair.now += 2 * NS_PER_S;
    h2_session_tick(w.pair.server, w.pair.now);
    assert_int_equal(h2_session_pending_bytes(w.pair.server), 0);
    assert_int_equal(w.service.served[0].end, GRPC_END_DEADLINE);
    pair_pump(&w.pair);
    asked_expect(&a, GRPC_DEADLINE_EXCEEDED, "");
    world_deinit(&w);
}

static void test_deadline_in_a_finished_call(void **state)
{
    struct asked a = {0};

    world_init(&w, NULL);
    w.service.script = (struct script){.message = DO_ECHO | DO_FINISH};
    world_call(&w, &a, GRPC_UNARY, NS_PER_S);
    asked_send(&a, 1, 10);
    asked_close(&a);
    pair_pump(&w.pair);
    asked_expect(&a, GRPC_OK, "");
    pair_sleep(&w.pair, 10 * NS_PER_S);
    assert_int_equal(w.service.served[0].end, GRPC_END_ANSWERED);
    world_deinit(&w);
}

/* What a status may cost in headers: stock clients refuse more than 8 KiB, counted as RFC 9113 does. */
static void test_trailers_stay_small(void **state)
{
    static char text[STATUS_MESSAGE_MAX_BYTES + 1];
    struct grpc_status st;

    start(NULL);
    memset(text, '\n', sizeof text - 1); /* three bytes each in the header */
    for (unsigned int n = 0; n <= STATUS_VIOLATIONS_MAX; n++) {
        size_t n_bytes = 0;

        request(kind_paths[GRPC_BIDI], NULL, 0, 0);
        pair_pump(&w.pair);
        status_set(&st, GRPC_UNIMPLEMENTED, text, "%s", text);
        status_set_resource(&st, text, text);
        status_set_quota(&st, text, text);
        status_set_precondition(&st, text, text);
        for (unsigned int i = 0; i < n; i++)
            status_add_metadata(status_add_violation(&st, text, "%s", text), text, "%s", text);
        grpc_call_fail(w.service.served[n].call, &st);
        pair_pump(&w.pair);
        expect_status(GRPC_UNIMPLEMENTED, "%0A%0A");
        assert_non_null(raw_header(&raw, "grpc-status-details-bin"));
        for (size_t i = 0; i < raw.n_fields; i++)
            n_bytes += strlen(raw.headers[i].name) + strlen(raw.headers[i].value) + 32;
        assert_true(n_bytes < 8192 - 512);
    }
    stop();
}

/* --- the table */

static void test_table(void **state)
{
    static const struct grpc_method first[] = {{.path = "/a.A/One"}, {.path = "/a.A/Two"}};
    static const struct grpc_method second[] = {{.path = "/b.B/One"}, {.path = "/a.A/Two"}};
    static const struct grpc_method third[] = {{.path = "/b.B/One"}};
    const struct grpc_server_config config = {.max_message_bytes = 1};
    const struct grpc_method *m = NULL;
    struct grpc_server *server;

    assert_int_equal(grpc_server_new(&server, &config), 0);
    assert_null(grpc_server_next_method(server, NULL));
    assert_int_equal(grpc_server_add(server, first, 2), 0);
    assert_int_equal(grpc_server_add(server, second, 2), GRPC_E_EXISTS);
    assert_false(grpc_server_has_service(server, SPAN_LIT("b.B"))); /* nothing of it was added */
    assert_int_equal(grpc_server_add(server, first, 0), 0);
    assert_int_equal(grpc_server_add(server, third, 1), 0);
    assert_true(grpc_server_has_service(server, SPAN_LIT("a.A")));
    assert_true(grpc_server_has_service(server, SPAN_LIT("b.B")));
    assert_true(grpc_server_has_service(server, SPAN_LIT("")));
    assert_false(grpc_server_has_service(server, SPAN_LIT("a")));
    assert_false(grpc_server_has_service(server, SPAN_LIT("a.A/One")));
    assert_false(grpc_server_has_service(server, SPAN_LIT("a.AA")));
    assert_ptr_equal(m = grpc_server_next_method(server, m), &first[0]);
    assert_ptr_equal(m = grpc_server_next_method(server, m), &first[1]);
    assert_ptr_equal(m = grpc_server_next_method(server, m), &third[0]);
    assert_null(grpc_server_next_method(server, m));
    grpc_server_free(server);
    assert_null(grpc_server_free(NULL));
    assert_null(grpc_conn_free(NULL));
}

static const struct grpc_counts *counts_of(const char *path)
{
    const struct grpc_counts *c;

    for (size_t i = 0; (c = grpc_server_counts(w.server, i)); i++)
        if (strcmp(c->path, path) == 0)
            return c;
    fail_msg("no counts of %s", path);
    return NULL;
}

/* A call is counted by its method and by the code that its client has seen. */
static void test_counts(void **state)
{
    static const enum grpc_code codes[] = {GRPC_OK, GRPC_NOT_FOUND, GRPC_CANCELLED, GRPC_DEADLINE_EXCEEDED,
                                           GRPC_UNAVAILABLE};
    static const int at_message[] = {DO_ECHO | DO_FINISH, DO_FAIL, 0, 0, 0};
    struct asked a = {0};

    world_init(&w, NULL);
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        w.service.script = (struct script){.message = at_message[i]};
        world_call(&w, &a, GRPC_UNARY, codes[i] == GRPC_DEADLINE_EXCEEDED ? NS_PER_S : 0);
        asked_send(&a, 1, 10);
        asked_close(&a);
        pair_pump(&w.pair);
        assert_int_equal(counts_of("/t.T/Unary")->n_begun, i + 1);
        if (codes[i] == GRPC_CANCELLED)
            grpc_client_call_cancel(a.call);
        if (codes[i] == GRPC_UNAVAILABLE)
            w.conn = grpc_conn_free(w.conn);
        else
            pair_sleep(&w.pair, 2 * NS_PER_S);
        for (size_t k = 0; k < ARRAY_LEN(codes); k++)
            assert_int_equal(counts_of("/t.T/Unary")->n_ended[codes[k]], k <= i);
    }
    assert_int_equal(counts_of("/t.T/Bidi")->n_begun, 0);
    assert_int_equal(counts_of("")->n_begun, 0);
    world_deinit(&w);

    start(NULL);
    request("/t.T/Unheard", NULL, 0, 1);
    pair_pump(&w.pair);
    request("/t.T/None", NULL, 0, 1);
    pair_pump(&w.pair);
    request("/t.T/Unary", (const char *const[]){":method: GET"}, 1, 1); /* not gRPC: not a call */
    pair_pump(&w.pair);
    assert_int_equal(counts_of("")->n_ended[GRPC_UNIMPLEMENTED], 1);
    assert_int_equal(counts_of("/t.T/None")->n_ended[GRPC_UNIMPLEMENTED], 1);
    assert_int_equal(counts_of("/t.T/Unary")->n_begun, 0);
    stop();
}

static void test_table_without_memory(void **state)
{
    static const struct grpc_method rows[] = {{.path = "/a.A/One"}, {.path = "/a.A/Two"}};
    const struct grpc_server_config config = {.max_message_bytes = 1};

    FAIL_EACH_ALLOCATION(nth)
    {
        struct grpc_server *server = NULL;
        int r = grpc_server_new(&server, &config);

        if (r == 0) {
            r = grpc_server_add(server, rows, 2);
            assert_int_equal(grpc_server_next_method(server, NULL) != NULL, r == 0);
        }
        assert_int_equal(r < 0, test_allocation_failed());
        grpc_server_free(server);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_not_grpc),
            cmocka_unit_test(test_content_types_that_are_grpc),
            cmocka_unit_test(test_te_is_not_asked_for),
            cmocka_unit_test(test_unknown_methods),
            cmocka_unit_test(test_a_very_long_path),
            cmocka_unit_test(test_encodings),
            cmocka_unit_test(test_malformed_timeouts),
            cmocka_unit_test(test_broken_requests),
            cmocka_unit_test(test_end_by_headers),
            cmocka_unit_test(test_end_by_trailers),
            cmocka_unit_test(test_too_large_in_numbers),
            cmocka_unit_test(test_data_behind_the_end),
            cmocka_unit_test(test_incomplete_requests_have_a_limit),
            cmocka_unit_test(test_budget_of_a_turn),
            cmocka_unit_test(test_what_waits_for_its_turn_is_not_incomplete),
            cmocka_unit_test(test_budget_of_unary_calls),
            cmocka_unit_test(test_backlog_that_ends),
            cmocka_unit_test(test_deadlines),
            cmocka_unit_test(test_deadline_behind_output),
            cmocka_unit_test(test_deadline_in_a_finished_call),
            cmocka_unit_test(test_trailers_stay_small),
            cmocka_unit_test(test_table),
            cmocka_unit_test(test_counts),
            cmocka_unit_test(test_table_without_memory),
    };

    test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
