// SPDX-License-Identifier: Apache-2.0
/*
 * Messages out of DATA frames, on both sides. The input is the payload of one stream; its first bytes choose
 * the side, the kind of call, how payload and socket bytes are cut, how often the receiver pauses and how many
 * messages a turn may have. A reader of a few lines below says which messages are in there and how the call
 * must end; the real one must agree in every cutting.
 */
#include "base/mem.h"
#include "grpc/client.h"
#include "grpc/server.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CHOICES = 4, LIMIT = 600, PUMPS_MAX = 200000 };

struct choices {
    int is_client; /* our client reads replies; else our server reads requests */
    enum grpc_kind kind;
    int is_ended; /* the sender ends in order */
    unsigned int pause_every, budget, cut_payload, cut_socket;
};

/* What the payload says. */
struct expected {
    unsigned int n_messages;
    uint32_t sum;
    int is_broken; /* behind the last message: too large or compressed */
    enum grpc_code code;
    size_t n_rest; /* bytes behind the last message that are no message, when not broken */
};

struct run {
    struct choices choices;
    struct h2_session *client, *server;
    mono_ns_t now;
    /* what the reader under test saw */
    unsigned int n_messages;
    uint32_t sum;
    int is_paused, n_done;
    enum grpc_code code; /* our client: of on_done; our server: of the trailers */
    int has_code;
    struct grpc_call *call;
    struct grpc_client_call *client_call;
    struct h2_stream *raw; /* the sender's stream */
};

static struct run run;

static uint32_t sum_bytes(uint32_t sum, struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        sum = sum * 31 + s.p[i] + 1;
    return sum * 31 + (uint32_t)s.len;
}

static struct expected expect(struct span in)
{
    struct expected e = {0};

    while (in.len >= 5) {
        uint64_t length =
                (uint64_t)in.p[1] << 24 | (uint64_t)in.p[2] << 16 | (uint64_t)in.p[3] << 8 | in.p[4];

        if (in.p[0] || length > LIMIT) {
            e.is_broken = 1;
            e.code = in.p[0] ? GRPC_INTERNAL : GRPC_RESOURCE_EXHAUSTED;
            return e;
        }
        if (in.len - 5 < length)
            break;
        e.sum = sum_bytes(e.sum, (struct span){in.p + 5, (size_t)length});
        e.n_messages++;
        in.p += 5 + length;
        in.len -= 5 + (size_t)length;
    }
    e.n_rest = in.len;
    return e;
}

/* --- the reader under test */

static int saw_message(struct span message)
{
    ASSERT(!run.is_paused);
    run.n_messages++;
    run.sum = sum_bytes(run.sum, message);
    run.is_paused = run.choices.pause_every && run.n_messages % run.choices.pause_every == 0;
    return run.is_paused;
}

static void server_on_start(struct grpc_call *call)
{
    run.call = call;
}

static void server_on_message(struct grpc_call *call, struct span message)
{
    int is_single = run.choices.kind == GRPC_UNARY || run.choices.kind == GRPC_SERVER_STREAM;

    if (saw_message(message))
        grpc_call_pause(call, 1);
    if (is_single)
        grpc_call_finish(call);
}

static void server_on_half_close(struct grpc_call *call)
{
    ASSERT(!run.is_paused);
    grpc_call_finish(call);
}

static void server_on_done(struct grpc_call *call, enum grpc_end end)
{
    run.call = NULL;
    run.n_done++;
}

static const struct grpc_handler handler = {
        .on_start = server_on_start,
        .on_message = server_on_message,
        .on_half_close = server_on_half_close,
        .on_done = server_on_done,
};

static const struct grpc_method methods[] = {
        {"/f.F/0", GRPC_UNARY, &handler, NULL, 0},
        {"/f.F/1", GRPC_CLIENT_STREAM, &handler, NULL, 0},
        {"/f.F/2", GRPC_SERVER_STREAM, &handler, NULL, 0},
        {"/f.F/3", GRPC_BIDI, &handler, NULL, 0},
};

static void client_on_message(struct grpc_client_call *call, struct span message)
{
    if (saw_message(message))
        grpc_client_call_pause(call, 1);
}

static void client_on_done(struct grpc_client_call *call, const struct grpc_status *status)
{
    run.client_call = NULL;
    run.n_done++;
    run.has_code = 1;
    run.code = status->code;
}

static const struct grpc_client_handler client_handler = {.on_message = client_on_message,
                                                          .on_done = client_on_done};

/* --- the sender: plain HTTP/2 */

static void raw_on_headers(struct h2_stream *s, const struct h2_header *headers, size_t n, int flags)
{
    run.raw = s;
    for (size_t i = 0; i < n; i++)
        if (span_eq(headers[i].name, SPAN_LIT("grpc-status"))) {
            run.has_code = 1;
            run.code = (enum grpc_code)atoi((const char *)headers[i].value.p);
        }
}

static void raw_on_data(struct h2_stream *s, struct span data)
{
    h2_stream_consume(s, data.len);
}

static void raw_on_end(struct h2_stream *s)
{
}

static void raw_on_close(struct h2_stream *s, uint32_t error)
{
    run.raw = NULL;
}

static const struct h2_ops raw_ops = {
        .on_headers = raw_on_headers,
        .on_data = raw_on_data,
        .on_end = raw_on_end,
        .on_close = raw_on_close,
};

/* --- the wire between them */

static size_t move(struct h2_session *from, struct h2_session *to)
{
    size_t cut = run.choices.cut_socket, n;
    struct buf bytes = BUF_INIT;

    ASSERT(h2_session_send(from, &bytes, 16384, run.now) == 0);
    n = buf_len(&bytes);
    if (n)
        h2_session_sent(from, n, run.now);
    while (buf_len(&bytes)) {
        size_t take = cut ? MIN(cut, buf_len(&bytes)) : buf_len(&bytes);
        uint8_t *piece = malloc(take);

        ASSERT(piece);
        memcpy(piece, buf_head(&bytes), take);
        ASSERT(h2_session_recv(to, piece, take, run.now) == 0);
        free(piece);
        buf_consume(&bytes, take);
    }
    buf_deinit(&bytes);
    return n;
}

static void resume(void)
{
    run.is_paused = 0;
    if (run.call)
        grpc_call_pause(run.call, 0);
    if (run.client_call)
        grpc_client_call_pause(run.client_call, 0);
}

static void pump(void)
{
    int is_busy;

    for (unsigned int i = 0; i < PUMPS_MAX; i++) {
        run.now++;
        is_busy = h2_session_tick(run.client, run.now) <= run.now;
        is_busy |= h2_session_tick(run.server, run.now) <= run.now;
        is_busy |= move(run.client, run.server) + move(run.server, run.client) > 0;
        if (is_busy)
            continue;
        if (!run.is_paused)
            return;
        resume();
    }
    ASSERT(0); /* it does not come to an end */
}

/* Write the payload in cuts, with the wire in between. */
static void send_payload(struct span in)
{
    size_t cut = run.choices.cut_payload ? run.choices.cut_payload : in.len;

    while (in.len && run.raw) {
        size_t take = MIN(cut, in.len);

        ASSERT(buf_append(h2_stream_out(run.raw), in.p, take) == 0);
        h2_stream_flush(run.raw);
        in.p += take;
        in.len -= take;
        if (in.len % 3 == 0)
            pump();
    }
}

static void run_server(struct span payload)
{
    static const char *const paths[] = {"/f.F/0", "/f.F/1", "/f.F/2", "/f.F/3"};
    const struct grpc_server_config config = {.max_message_bytes = LIMIT,
                                              .max_messages_per_recv = run.choices.budget};
    struct h2_config server_h2 = h2_config_server(), client_h2 = h2_config_client();
    const struct h2_header request[] = {
            {SPAN_LIT(":method"), SPAN_LIT("POST")},
            {SPAN_LIT(":scheme"), SPAN_LIT("http")},
            {SPAN_LIT(":path"), span_of_string(paths[run.choices.kind])},
            {SPAN_LIT(":authority"), SPAN_LIT("f")},
            {SPAN_LIT("content-type"), SPAN_LIT("application/grpc")},
    };
    const struct grpc_peer peer = {.address = "fuzz"};
    struct grpc_server *server;
    struct grpc_conn *conn;

    server_h2.stream_window_bytes = 1000;
    ASSERT(grpc_server_new(&server, &config) == 0 &&
           grpc_server_add(server, methods, ARRAY_LEN(methods)) == 0);
    ASSERT(grpc_conn_new(&conn, server, &server_h2, &peer, run.now) == 0);
    ASSERT(h2_session_new(&run.client, H2_CLIENT, &client_h2, &raw_ops, NULL, run.now) == 0);
    run.server = grpc_conn_session(conn);
    ASSERT(h2_session_request(run.client, request, ARRAY_LEN(request), 0, &run.raw) == 0);
    pump();
    send_payload(payload);
    if (run.raw && run.choices.is_ended)
        ASSERT(h2_stream_finish(run.raw, NULL, 0, 1) == 0);
    pump();
    ASSERT(h2_session_pending_bytes(run.server) == 0);
    run.client = h2_session_free(run.client);
    if (run.has_code)
        ASSERT(run.n_done == 1);
    grpc_conn_free(conn);
    grpc_server_free(server);
    ASSERT(run.n_done == 1);
}

static void run_client(struct span payload)
{
    static const struct h2_header response[] = {{SPAN_LIT(":status"), SPAN_LIT("200")},
                                                {SPAN_LIT("content-type"), SPAN_LIT("application/grpc")}};
    static const struct h2_header trailers[] = {{SPAN_LIT("grpc-status"), SPAN_LIT("0")}};
    const struct grpc_client_config config = {.authority = "f", .max_message_bytes = LIMIT};
    struct h2_config server_h2 = h2_config_server(), client_h2 = h2_config_client();
    struct grpc_client *client;

    client_h2.stream_window_bytes = 1000;
    ASSERT(grpc_client_new(&client, &config, &client_h2, run.now) == 0);
    ASSERT(h2_session_new(&run.server, H2_SERVER, &server_h2, &raw_ops, NULL, run.now) == 0);
    run.client = grpc_client_session(client);
    ASSERT(grpc_client_call_new(&run.client_call, client, "/f.F/3", NULL, &client_handler, NULL, run.now) ==
           0);
    pump();
    ASSERT(run.raw && h2_stream_respond(run.raw, response, ARRAY_LEN(response), 0, 1) == 0);
    send_payload(payload);
    if (run.raw && run.choices.is_ended)
        ASSERT(h2_stream_finish(run.raw, trailers, ARRAY_LEN(trailers), 1) == 0);
    pump();
    run.server = h2_session_free(run.server);
    grpc_client_free(client);
    ASSERT(run.n_done == 1);
    if (!run.choices.is_ended && run.code == GRPC_UNAVAILABLE)
        run.has_code = 0; /* it was open to the end */
}

/* A call that takes one message knows about a second one only by its first byte, and hands over nothing then. */
static void check_single(const struct expected *e, size_t n_first)
{
    if (run.n_messages) {
        ASSERT(run.choices.is_ended && run.n_messages == 1 && run.has_code && run.code == GRPC_OK);
        ASSERT(e->n_messages == 1 && e->n_rest == 0 && !e->is_broken);
        return;
    }
    ASSERT(!run.choices.is_ended || (run.has_code && run.code != GRPC_OK));
    if (run.has_code && run.code == GRPC_RESOURCE_EXHAUSTED)
        ASSERT(e->n_messages == 0 && e->is_broken);
    else if (run.has_code)
        ASSERT(run.code == GRPC_INTERNAL);
    else
        ASSERT(n_first == 0 || (e->n_messages <= 1 && !e->is_broken));
}

static void check_stream(const struct expected *e)
{
    ASSERT(run.n_messages == e->n_messages && run.sum == e->sum);
    if (e->is_broken)
        ASSERT(run.has_code && run.code == e->code);
    else if (!run.choices.is_ended)
        ASSERT(!run.has_code);
    else
        ASSERT(run.has_code && run.code == (e->n_rest ? GRPC_INTERNAL : GRPC_OK));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned int pauses[] = {0, 1, 2, 5}, budgets[] = {0, 1, 2, 7};
    struct expected e;
    struct span payload;

    if (size < CHOICES)
        return 0;
    payload = (struct span){data + CHOICES, MIN(size - CHOICES, (size_t)8192)};
    run = (struct run){.now = NS_PER_S};
    run.choices = (struct choices){.is_client = data[0] & 1,
                                   .kind = (enum grpc_kind)(data[0] >> 1 & 3),
                                   .is_ended = data[0] >> 3 & 1,
                                   .pause_every = pauses[data[1] & 3],
                                   .budget = budgets[data[1] >> 2 & 3],
                                   .cut_payload = data[2],
                                   .cut_socket = data[3]};
    e = expect(payload);
    if (run.choices.is_client) {
        run_client(payload);
        check_stream(&e);
        return 0;
    }
    run_server(payload);
    if (run.choices.kind == GRPC_UNARY || run.choices.kind == GRPC_SERVER_STREAM)
        check_single(&e, payload.len);
    else
        check_stream(&e);
    return 0;
}
