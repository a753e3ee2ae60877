// SPDX-License-Identifier: Apache-2.0
/*
 * The client against a server that answers anything: what each answer means as a status, what is refused, and
 * that on_done comes once, whatever happens.
 */
#include "pair.h"
#include "raw.h"

static struct world w;
static struct raw raw;
static struct asked asked;

/* Our client with a raw server; one call is open and has arrived there. */
static void start(const struct world_options *o)
{
    static const struct world_options none;

    assert_int_equal(world_try(&w, o ? o : &none), 0);
    w.conn = grpc_conn_free(w.conn);
    raw_init(&raw, H2_SERVER, w.pair.now);
    w.pair.server = raw.session;
    pair_pump(&w.pair);
    assert_false(w.pair.is_over);
}

static void stop(void)
{
    w.client = grpc_client_free(w.client);
    raw.session = h2_session_free(raw.session);
    world_deinit(&w);
}

static void call(int64_t timeout_ns)
{
    raw_clear(&raw);
    asked = (struct asked){0};
    world_call(&w, &asked, GRPC_BIDI, timeout_ns);
    pair_pump(&w.pair);
    assert_non_null(raw.stream);
}

/* Answer with these headers; @end: nothing follows. */
static void respond(const char *const *lines, size_t n, int end)
{
    struct h2_header headers[16];

    raw_parse(lines, n, headers);
    assert_int_equal(h2_stream_respond(raw.stream, headers, n, end, 0), 0);
}

static void respond_ok(void)
{
    static const char *const lines[] = {":status: 200", "content-type: application/grpc"};

    respond(lines, 2, 0);
}

static void finish(const char *const *lines, size_t n)
{
    struct h2_header headers[16];

    raw_parse(lines, n, headers);
    assert_int_equal(h2_stream_finish(raw.stream, headers, n, 0), 0);
}

/* --- the request */

static void test_request_headers(void **state)
{
    struct asked first = {0};
    const struct h2_header md[] = {{SPAN_LIT("x-text"), SPAN_LIT("abc")},
                                   {SPAN_LIT("x-data-bin"), SPAN_LIT("\x00\x01")},
                                   {SPAN_LIT("x-more-bin"), SPAN_LIT("foo")}};
    const struct grpc_client_call_options options = {
            .timeout_ns = 1500 * NS_PER_MS, .metadata = md, .n_metadata = 3};

    start(NULL);
    raw_clear(&raw);
    assert_int_equal(world_try_call(&w, &first, GRPC_UNARY, &options), 0);
    pair_pump(&w.pair);
    assert_string_equal(raw_header(&raw, ":method"), "POST");
    assert_string_equal(raw_header(&raw, ":scheme"), "http");
    assert_string_equal(raw_header(&raw, ":path"), "/t.T/Unary");
    assert_string_equal(raw_header(&raw, ":authority"), "test");
    assert_string_equal(raw_header(&raw, "te"), "trailers");
    assert_string_equal(raw_header(&raw, "content-type"), "application/grpc");
    assert_string_equal(raw_header(&raw, "grpc-timeout"), "1500000u");
    assert_string_equal(raw_header(&raw, "x-text"), "abc");
    assert_string_equal(raw_header(&raw, "x-data-bin"), "AAE");
    assert_string_equal(raw_header(&raw, "x-more-bin"), "Zm9v");
    assert_int_equal(raw.n_end, 0);
    call(0);
    assert_null(raw_header(&raw, "grpc-timeout"));
    assert_null(raw_header(&raw, "x-text"));
    stop();
}

/* --- what an answer means */

static void test_trailers_only(void **state)
{
    static const struct {
        const char *lines[6];
        enum grpc_code code;
        const char *words;
    } cases[] = {
            {{":status: 200", "content-type: application/grpc", "grpc-status: 5", "grpc-message: a%20b%25"},
             GRPC_NOT_FOUND,
             "a b%"},
            {{":status: 200", "content-type: application/grpc", "grpc-status: 0"}, GRPC_OK, ""},
            {{":status: 200", "grpc-status: 16"}, GRPC_UNAUTHENTICATED, ""},
            {{":status: 200", "content-type: application/grpc"}, GRPC_UNKNOWN, "no grpc-status"},
            {{":status: 200", "grpc-status: x"}, GRPC_UNKNOWN, "no number"},
            {{":status: 200", "grpc-status: "}, GRPC_UNKNOWN, "no number"},
            {{":status: 200", "grpc-status: 99"}, GRPC_UNKNOWN, ""},
            {{":status: 200", "grpc-status: 99999999999"}, GRPC_UNKNOWN, ""},
            {{":status: 400", "grpc-status: 13", "grpc-message: m"}, GRPC_INTERNAL, "m"},
            {{":status: 400"}, GRPC_INTERNAL, "HTTP status 400"},
            {{":status: 401"}, GRPC_UNAUTHENTICATED, "HTTP status 401"},
            {{":status: 403"}, GRPC_PERMISSION_DENIED, "HTTP status 403"},
            {{":status: 404"}, GRPC_UNIMPLEMENTED, "HTTP status 404"},
            {{":status: 415"}, GRPC_UNKNOWN, "HTTP status 415"},
            {{":status: 429"}, GRPC_UNAVAILABLE, "HTTP status 429"},
            {{":status: 502"}, GRPC_UNAVAILABLE, "HTTP status 502"},
            {{":status: 503"}, GRPC_UNAVAILABLE, "HTTP status 503"},
            {{":status: 504"}, GRPC_UNAVAILABLE, "HTTP status 504"},
            {{":status: 500"}, GRPC_UNKNOWN, "HTTP status 500"},
    };

    start(NULL);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t n = 0;

        while (n < ARRAY_LEN(cases[i].lines) && cases[i].lines[n])
            n++;
        call(0);
        respond(cases[i].lines, n, 1);
        pair_pump(&w.pair);
        asked_expect(&asked, cases[i].code, cases[i].words);
        assert_int_equal(asked.n_headers, 0);
        assert_int_equal(raw.n_close, 1); /* our side has ended too */
    }
    stop();
}

static void test_headers_that_are_no_answer(void **state)
{
    static const struct {
        const char *lines[4];
        enum grpc_code code;
        const char *words;
    } cases[] = {
            {{":status: 200", "content-type: text/html"}, GRPC_UNKNOWN, "not gRPC"},
            {{":status: 200"}, GRPC_UNKNOWN, "not gRPC"},
            {{":status: 503", "content-type: text/html"}, GRPC_UNAVAILABLE, "HTTP status 503"},
            {{":status: 200", "content-type: application/grpc", "grpc-encoding: gzip"},
             GRPC_INTERNAL,
             "encoding"},
            {{":status: 200", "content-type: application/grpc", "x-raw-bin: a=b"}, GRPC_INTERNAL, "base64"},
    };

    start(NULL);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t n = 0;

        while (n < ARRAY_LEN(cases[i].lines) && cases[i].lines[n])
            n++;
        call(0);
        respond(cases[i].lines, n, 0);
        raw_write(&raw, "<html>", 6);
        pair_pump(&w.pair);
        asked_expect(&asked, cases[i].code, cases[i].words);
        assert_int_equal(asked.n_messages, 0);
        assert_int_equal(raw.error, H2_CANCEL); /* the rest is not wanted */
    }
    stop();
}

static void test_trailers(void **state)
{
    static const struct {
        const char *lines[4];
        enum grpc_code code;
        const char *words;
    } cases[] = {
            {{"grpc-status: 0"}, GRPC_OK, ""},
            {{"grpc-status: 10", "grpc-message: %E2%82%AC %zz", "x-else: y"},
             GRPC_ABORTED,
             "\xe2\x82\xac %zz"},
            {{"grpc-status: 10", "grpc-message: %ff"}, GRPC_ABORTED, "?"},
            {{"x-else: y"}, GRPC_UNKNOWN, "no grpc-status"},
    };

    start(NULL);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t n = 0;

        while (n < ARRAY_LEN(cases[i].lines) && cases[i].lines[n])
            n++;
        call(0);
        respond_ok();
        raw_write(&raw, "\0\0\0\0\3abc", 8);
        finish(cases[i].lines, n);
        pair_pump(&w.pair);
        asked_expect(&asked, cases[i].code, cases[i].words);
        assert_int_equal(asked.n_messages, 1);
    }
    stop();
}

/* Details: taken when they can be read; code and text are those of the trailers. */
static void test_details(void **state)
{
    static const char *const damaged[] = {"grpc-status: 9", "grpc-message: m",
                                          "grpc-status-details-bin: CAkS"};
    static const char *const no_base64[] = {"grpc-status: 9", "grpc-message: m",
                                            "grpc-status-details-bin: ???"};
    /* Status{code: 5, message: "other", details: [Any{"type.googleapis.com/google.rpc.ErrorInfo", {reason: "R"}}]} */
    static const char details[] =
            "grpc-status-details-bin: "
            "CAUSBW90aGVyGi8KKHR5cGUuZ29vZ2xlYXBpcy5jb20vZ29vZ2xlLnJwYy5FcnJvckluZm8SAwoBUg==";
    static const char *const good[] = {"grpc-status: 9", "grpc-message: m", details};
    const char *const *cases[] = {good, damaged, no_base64};

    start(NULL);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        call(0);
        respond_ok();
        finish(cases[i], 3);
        pair_pump(&w.pair);
        asked_expect(&asked, GRPC_FAILED_PRECONDITION, "m");
        assert_string_equal(asked.status.message, "m");
        assert_string_equal(asked.status.reason, i == 0 ? "R" : "");
    }
    stop();
}

static void test_end_without_trailers(void **state)
{
    start(NULL);
    call(0);
    respond_ok();
    raw_write(&raw, "\0\0\0\0\3abc", 8);
    finish(NULL, 0);
    pair_pump(&w.pair);
    asked_expect(&asked, GRPC_INTERNAL, "without a status");
    assert_int_equal(asked.n_messages, 1);
    stop();
}

static void test_replies_that_are_refused(void **state)
{
    static const char *const ok = "grpc-status: 0";
    static const struct {
        const char *bytes;
        size_t n;
        int is_ended;
        enum grpc_code code;
        const char *words;
    } cases[] = {
            {"\1\0\0\0\1x", 6, 0, GRPC_INTERNAL, "compressed"},
            {"\0\0\0\3\xe9", 5, 0, GRPC_RESOURCE_EXHAUSTED,
             "a reply of 1001 bytes exceeds the limit of 1000 bytes"},
            {"\0\0\0\0\3ab", 7, 1, GRPC_INTERNAL, "inside a message"},
    };

    start(&(struct world_options){.client_max_message_bytes = 1000});
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        call(0);
        respond_ok();
        raw_write(&raw, "\0\0\0\0\1a", 6);
        raw_write(&raw, cases[i].bytes, cases[i].n);
        if (cases[i].is_ended)
            finish(&ok, 1);
        pair_pump(&w.pair);
        asked_expect(&asked, cases[i].code, cases[i].words);
        assert_int_equal(asked.n_messages, 1);
    }
    stop();
}

static void test_resets(void **state)
{
    static const struct {
        uint32_t error;
        enum grpc_code code;
    } cases[] = {
            {H2_NO_ERROR, GRPC_INTERNAL},
            {H2_PROTOCOL_ERROR, GRPC_INTERNAL},
            {H2_INTERNAL_ERROR, GRPC_INTERNAL},
            {H2_FLOW_CONTROL_ERROR, GRPC_INTERNAL},
            {H2_REFUSED_STREAM, GRPC_UNAVAILABLE},
            {H2_CANCEL, GRPC_CANCELLED},
            {H2_ENHANCE_YOUR_CALM, GRPC_RESOURCE_EXHAUSTED},
            {H2_INADEQUATE_SECURITY, GRPC_PERMISSION_DENIED},
            {0xd, GRPC_INTERNAL},
            {0x4711, GRPC_INTERNAL},
    };

    start(NULL);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (int after = 0; after < 2; after++) {
            call(0);
            if (after)
                respond_ok();
            pair_pump(&w.pair);
            h2_stream_reset(raw.stream, cases[i].error);
            pair_pump(&w.pair);
            asked_expect(&asked, cases[i].code, "");
        }
    stop();
}

/* The server gives up by its own clock a moment after ours has struck. */
static void test_reset_at_the_deadline(void **state)
{
    start(NULL);
    call(NS_PER_S);
    h2_stream_reset(raw.stream, H2_CANCEL);
    w.pair.now += NS_PER_S;
    pair_move(&w.pair, w.pair.server, w.pair.client); /* the reset is seen before the timer */
    asked_expect(&asked, GRPC_DEADLINE_EXCEEDED, "");
    stop();
}

static void test_deadline_without_an_answer(void **state)
{
    start(NULL);
    call(NS_PER_S);
    pair_sleep(&w.pair, NS_PER_S - 1);
    assert_int_equal(asked.n_done, 0);
    assert_true(h2_session_tick(w.pair.client, w.pair.now) <= w.pair.now + 1);
    pair_sleep(&w.pair, 1);
    asked_expect(&asked, GRPC_DEADLINE_EXCEEDED, "deadline");
    assert_int_equal(raw.error, H2_CANCEL);
    stop();
}

/* A call that is paused with replies in hand and its OK behind them is past its deadline's reach. */
static void test_deadline_of_a_paused_end(void **state)
{
    static const char *const ok = "grpc-status: 0";

    start(NULL);
    call(NS_PER_S);
    grpc_client_call_pause(asked.call, 1);
    respond_ok();
    raw_write(&raw, "\0\0\0\0\1a", 6);
    finish(&ok, 1);
    pair_pump(&w.pair);
    pair_sleep(&w.pair, 5 * NS_PER_S);
    assert_int_equal(asked.n_done, 0);
    grpc_client_call_pause(asked.call, 0);
    pair_pump(&w.pair);
    asked_expect(&asked, GRPC_OK, "");
    assert_int_equal(asked.n_messages, 1);
    stop();
}

static void test_goaway(void **state)
{
    struct asked late = {0};

    start(NULL);
    call(0);
    h2_session_drain(raw.session);
    pair_pump(&w.pair);
    assert_int_equal(asked.n_done, 0); /* what is open goes on */
    assert_int_equal(world_try_call(&w, &late, GRPC_UNARY, NULL), H2_E_REFUSED);
    assert_int_equal(late.n_done, 0);
    respond_ok();
    finish((const char *const[]){"grpc-status: 0"}, 1);
    pair_pump(&w.pair);
    asked_expect(&asked, GRPC_OK, "");
    stop();
}

static void test_server_aborts(void **state)
{
    start(NULL);
    call(0);
    h2_session_abort(raw.session, H2_INTERNAL_ERROR, "test");
    pair_pump(&w.pair);
    w.client = grpc_client_free(w.client); /* what its owner does with a session that is over */
    asked_expect(&asked, GRPC_UNAVAILABLE, "");
    stop();
}

/* More calls than the server takes: refused at once, nothing is done for them. */
static void test_too_many_streams(void **state)
{
    static struct asked calls[10];
    size_t n = 0;

    world_init(&w, &(struct world_options){.max_streams = 4});
    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        int r;

        calls[n] = (struct asked){0};
        r = world_try_call(&w, &calls[n], GRPC_BIDI, NULL);
        assert_int_equal(r, n < 4 ? 0 : H2_E_REFUSED);
        n += r == 0;
    }
    pair_pump(&w.pair);
    grpc_client_call_cancel(calls[0].call);
    pair_pump(&w.pair);
    world_call(&w, &calls[5], GRPC_BIDI, 0);
    world_deinit(&w);
    for (size_t i = 1; i < 4; i++)
        asked_expect(&calls[i], GRPC_UNAVAILABLE, "");
}

/* What is written to a call that has ended goes nowhere and is no fault. */
static void test_writing_too_late(void **state)
{
    struct grpc_client_call *c;
    struct buf *out;

    start(NULL);
    call(0);
    c = asked.call;
    assert_int_equal(grpc_client_call_half_close(c), 0);
    assert_int_equal(grpc_client_call_half_close(c), 0);
    out = grpc_client_call_begin(c);
    assert_non_null(out);
    assert_int_equal(buf_append(out, "x", 1), 0);
    grpc_client_call_end(c);
    assert_int_equal(grpc_client_call_send(c, SPAN_LIT("x")), 0);
    assert_true(grpc_client_call_is_writable(c));
    pair_pump(&w.pair);
    assert_int_equal(raw.n_bytes, 0);
    assert_int_equal(raw.n_end, 1);
    stop();
}

static void test_begin_and_undo(void **state)
{
    struct buf *out;

    start(NULL);
    call(0);
    for (int i = 0; i < 2; i++) {
        out = grpc_client_call_begin(asked.call);
        assert_non_null(out);
        assert_int_equal(buf_append(out, "abc", 3), 0);
        if (i == 0)
            grpc_client_call_undo(asked.call);
        else
            grpc_client_call_end(asked.call);
    }
    out = grpc_client_call_begin(asked.call);
    assert_non_null(out);
    pair_pump(&w.pair);
    assert_int_equal(raw.n_bytes, 8);
    grpc_client_call_cancel(asked.call); /* takes back what was begun */
    pair_pump(&w.pair);
    asked_expect(&asked, GRPC_CANCELLED, "");
    assert_int_equal(raw.n_bytes, 8);
    stop();
}

/* Calls are started, cancelled and paused from inside the end of others. */
static struct asked chain[6];
static size_t n_chain;

static void chain_on_done(struct grpc_client_call *c, const struct grpc_status *status)
{
    struct asked *a = grpc_client_call_user(c);
    static const struct grpc_client_handler handler = {.on_message = asked_on_message,
                                                       .on_done = chain_on_done};

    a->n_done++;
    a->status = *status;
    if (chain[5].call) {
        grpc_client_call_pause(chain[5].call, 1);
        grpc_client_call_pause(chain[5].call, 0);
        grpc_client_call_cancel(chain[5].call);
        chain[5].call = NULL;
    }
    if (n_chain < 5) {
        struct asked *next = &chain[n_chain];

        if (grpc_client_call_new(&next->call, w.client, kind_paths[GRPC_UNARY], NULL, &handler, next,
                                 w.pair.now) != 0)
            return; /* the client is being freed */
        n_chain++;
        asked_send(next, 1, 5);
        asked_close(next);
    }
}

static void test_calls_from_inside_the_end(void **state)
{
    static const struct grpc_client_handler handler = {.on_message = asked_on_message,
                                                       .on_done = chain_on_done};

    for (int is_lost = 0; is_lost < 2; is_lost++) {
        world_init(&w, NULL);
        w.service.script = (struct script){.message = DO_ECHO | DO_FINISH};
        memset(chain, 0, sizeof chain);
        n_chain = 1;
        world_call(&w, &chain[5], GRPC_BIDI, 0);
        assert_int_equal(grpc_client_call_new(&chain[0].call, w.client, kind_paths[GRPC_UNARY], NULL,
                                              &handler, &chain[0], w.pair.now),
                         0);
        if (!is_lost) {
            asked_send(&chain[0], 1, 5);
            asked_close(&chain[0]);
            pair_pump(&w.pair);
            assert_int_equal(n_chain, 5);
        }
        world_deinit(&w);
        for (size_t i = 0; i < n_chain; i++)
            assert_int_equal(chain[i].status.code, is_lost ? GRPC_UNAVAILABLE : GRPC_OK);
        assert_int_equal(chain[5].n_done, 1);
    }
}

/* The client is freed while two calls are paused behind the end of their streams: the end of one cancels the
 * other and wants a new one. */
static struct asked orphans[2], unborn;

static void orphan_on_done(struct grpc_client_call *c, const struct grpc_status *status)
{
    static const struct grpc_client_handler handler = {.on_message = asked_on_message,
                                                       .on_done = orphan_on_done};
    struct asked *a = grpc_client_call_user(c), *other = a == &orphans[0] ? &orphans[1] : &orphans[0];

    a->n_done++;
    a->status = *status;
    a->call = NULL;
    if (other->call)
        grpc_client_call_cancel(other->call);
    assert_int_equal(
            grpc_client_call_new(&unborn.call, w.client, kind_paths[0], NULL, &handler, &unborn, w.pair.now),
            H2_E_REFUSED);
}

static void test_orphans(void **state)
{
    static const struct grpc_client_handler handler = {.on_message = asked_on_message,
                                                       .on_done = orphan_on_done};

    world_init(&w, NULL);
    w.service.script = (struct script){.message = DO_ECHO, .half_close = DO_FINISH};
    for (size_t i = 0; i < 2; i++) {
        orphans[i] = (struct asked){0};
        assert_int_equal(grpc_client_call_new(&orphans[i].call, w.client, kind_paths[GRPC_BIDI], NULL,
                                              &handler, &orphans[i], w.pair.now),
                         0);
        grpc_client_call_pause(orphans[i].call, 1);
        asked_send(&orphans[i], 2, 10);
        asked_close(&orphans[i]);
    }
    pair_pump(&w.pair);
    assert_int_equal(orphans[0].n_done + orphans[1].n_done, 0);
    assert_int_equal(h2_session_n_streams(w.pair.client), 0);
    world_deinit(&w);
    assert_int_equal(orphans[0].n_done, 1);
    assert_int_equal(orphans[1].n_done, 1);
    assert_int_equal(orphans[0].status.code, GRPC_UNAVAILABLE);
    assert_int_equal(orphans[1].status.code, GRPC_CANCELLED);
}

static void test_no_memory_for_a_client(void **state)
{
    const struct grpc_client_config config = {.authority = "test", .max_message_bytes = 1};
    const struct h2_config h2 = h2_config_client();

    FAIL_EACH_ALLOCATION(nth)
    {
        struct grpc_client *client = NULL;
        int r = grpc_client_new(&client, &config, &h2, 0);

        assert_int_equal(r < 0, test_allocation_failed());
        grpc_client_free(client);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_request_headers),
            cmocka_unit_test(test_trailers_only),
            cmocka_unit_test(test_headers_that_are_no_answer),
            cmocka_unit_test(test_trailers),
            cmocka_unit_test(test_details),
            cmocka_unit_test(test_end_without_trailers),
            cmocka_unit_test(test_replies_that_are_refused),
            cmocka_unit_test(test_resets),
            cmocka_unit_test(test_reset_at_the_deadline),
            cmocka_unit_test(test_deadline_without_an_answer),
            cmocka_unit_test(test_deadline_of_a_paused_end),
            cmocka_unit_test(test_goaway),
            cmocka_unit_test(test_server_aborts),
            cmocka_unit_test(test_too_many_streams),
            cmocka_unit_test(test_writing_too_late),
            cmocka_unit_test(test_begin_and_undo),
            cmocka_unit_test(test_calls_from_inside_the_end),
            cmocka_unit_test(test_orphans),
            cmocka_unit_test(test_no_memory_for_a_client),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
