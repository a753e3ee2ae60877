// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * What the tests of lib/h2 share: an owner that writes down its events, a pair of sessions joined by pipes on
 * virtual time, and frames made by hand for what no client of ours would send.
 *
 * The owner echoes: a server answers each request, at its end, with the body that came and the trailer
 * grpc-status: 0. What it does can be replaced by a hook, called before the default of each event; a hook that
 * returns 1 has done everything. The log has a line an event; a body is written with the event that ends it,
 * so the log does not depend on how the bytes were cut.
 */
#include "h2/internal.h"
#include "tests/support/testing.h"

struct peer;

struct note { /* behind each stream */
    struct buf body;
    uint64_t tag; /* for tests */
    int n_events, is_closed;
    int keeps; /* does not credit what it gets */
};

enum peer_event { ON_HEADERS, ON_DATA, ON_END, ON_WRITABLE, ON_CLOSE, ON_TICK, ON_GOAWAY, ON_ROOM };

struct peer {
    struct h2_session *s;
    struct buf out; /* its socket buffer */
    struct buf log;
    int (*hook)(struct peer *p, struct h2_stream *st, enum peer_event event);
    void *hook_user;
    struct h2_stream *latest; /* whose headers came last, or that was requested last */
    int n_headers, n_data, n_close, n_writable, n_room, n_wake, n_tick;
    uint32_t close_error; /* of the latest on_close */
    mono_ns_t next_tick;  /* what on_tick answers */
};

static const struct h2_header pair_response[] = {
        {SPAN_LIT(":status"), SPAN_LIT("200")},
        {SPAN_LIT("content-type"), SPAN_LIT("application/grpc")},
};
static const struct h2_header pair_trailers[] = {{SPAN_LIT("grpc-status"), SPAN_LIT("0")}};
static const struct h2_header pair_request[] = {
        {SPAN_LIT(":method"), SPAN_LIT("POST")}, {SPAN_LIT(":scheme"), SPAN_LIT("http")},
        {SPAN_LIT(":path"), SPAN_LIT("/a.B/C")}, {SPAN_LIT(":authority"), SPAN_LIT("host")},
        {SPAN_LIT("te"), SPAN_LIT("trailers")},  {SPAN_LIT("content-type"), SPAN_LIT("application/grpc")},
};

PRINTF_LIKE(2, 3) static inline void peer_log(struct peer *p, const char *format, ...)
{
    char line[512];
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    (void)!buf_append(&p->log, line, MIN((size_t)n, sizeof line - 1));
}

static inline void peer_log_body(struct peer *p, struct note *note)
{
    uint32_t sum = 2166136261U;

    for (size_t i = 0; i < buf_len(&note->body); i++)
        sum = (sum ^ buf_head(&note->body)[i]) * 16777619U;
    if (buf_len(&note->body))
        peer_log(p, " body %zu %08x", buf_len(&note->body), sum);
}

static inline struct peer *peer_of(struct h2_stream *st)
{
    return h2_session_user(h2_stream_session(st));
}

static inline struct note *note_of(struct h2_stream *st)
{
    struct note *note = h2_stream_user(st);

    assert_ptr_equal(h2_stream_of_user(note), st);
    return note;
}

static inline int peer_hooked(struct peer *p, struct h2_stream *st, enum peer_event event)
{
    if (st) {
        struct note *note = note_of(st);

        assert_false(note->is_closed);
        if (event != ON_CLOSE)
            assert_false(st->is_closing);
        note->n_events++;
    }
    return p->hook && p->hook(p, st, event);
}

static inline void peer_answer(struct h2_stream *st)
{
    struct note *note = note_of(st);

    if (st->responded) /* by a hook */
        return;
    (void)!h2_stream_respond(st, pair_response, ARRAY_LEN(pair_response), 0, 1);
    if (buf_len(&note->body))
        (void)!buf_append(h2_stream_out(st), buf_head(&note->body), buf_len(&note->body));
    (void)!h2_stream_finish(st, pair_trailers, ARRAY_LEN(pair_trailers), 1);
}

static inline void peer_on_headers(struct h2_stream *st, const struct h2_header *headers, size_t n, int flags)
{
    struct peer *p = peer_of(st);

    p->latest = st;
    p->n_headers++;
    peer_log(p, "%s %d", flags & H2_TRAILERS ? "trailers" : "headers", h2_stream_id(st));
    for (size_t i = 0; i < n; i++)
        peer_log(p, " %.*s=%.*s", (int)headers[i].name.len, (const char *)headers[i].name.p,
                 (int)headers[i].value.len, (const char *)headers[i].value.p);
    if (flags & H2_END)
        peer_log_body(p, note_of(st));
    peer_log(p, flags & H2_END ? " end\n" : "\n");
    if (peer_hooked(p, st, ON_HEADERS))
        return;
    if (flags & H2_END && st->session->role == H2_SERVER)
        peer_answer(st);
}

static inline void peer_on_data(struct h2_stream *st, struct span data)
{
    struct note *note = note_of(st);

    assert_true(data.len > 0);
    peer_of(st)->n_data++;
    (void)!buf_append(&note->body, data.p, data.len);
    if (peer_hooked(peer_of(st), st, ON_DATA))
        return;
    if (!note->keeps)
        h2_stream_consume(st, data.len);
}

static inline void peer_on_end(struct h2_stream *st)
{
    struct peer *p = peer_of(st);

    peer_log(p, "end %d", h2_stream_id(st));
    peer_log_body(p, note_of(st));
    peer_log(p, "\n");
    if (!peer_hooked(p, st, ON_END) && st->session->role == H2_SERVER)
        peer_answer(st);
}

static inline void peer_on_writable(struct h2_stream *st)
{
    peer_of(st)->n_writable++;
    peer_hooked(peer_of(st), st, ON_WRITABLE);
}

static inline void peer_on_close(struct h2_stream *st, uint32_t error)
{
    struct peer *p = peer_of(st);

    p->n_close++;
    p->close_error = error;
    peer_log(p, "close %d %u\n", h2_stream_id(st), error);
    peer_hooked(p, st, ON_CLOSE);
    note_of(st)->is_closed = 1;
    buf_deinit(&note_of(st)->body);
    if (p->latest == st)
        p->latest = NULL;
}

static inline mono_ns_t peer_on_tick(void *user, mono_ns_t now)
{
    struct peer *p = user;

    p->n_tick++;
    peer_hooked(p, NULL, ON_TICK);
    return p->next_tick;
}

static inline void peer_on_goaway(void *user, uint32_t error)
{
    struct peer *p = user;

    peer_log(p, "goaway %u\n", error);
    peer_hooked(p, NULL, ON_GOAWAY);
}

static inline void peer_on_room(void *user)
{
    struct peer *p = user;

    p->n_room++;
    peer_hooked(p, NULL, ON_ROOM);
}

static inline void peer_on_wake(void *arg)
{
    ((struct peer *)arg)->n_wake++;
}

static const struct h2_ops peer_ops = {
        .on_headers = peer_on_headers,
        .on_data = peer_on_data,
        .on_end = peer_on_end,
        .on_writable = peer_on_writable,
        .on_close = peer_on_close,
        .on_tick = peer_on_tick,
        .on_goaway = peer_on_goaway,
        .on_room = peer_on_room,
};

/* peer_new: 0 or what h2_session_new said; then there is nothing to free. */
static inline int peer_new(struct peer *p, enum h2_role role, const struct h2_config *config, mono_ns_t now)
{
    struct h2_config c = config ? *config : role == H2_SERVER ? h2_config_server() : h2_config_client();
    int r;

    *p = (struct peer){.next_tick = CLOCK_NEVER};
    c.stream_user_bytes = sizeof(struct note);
    r = h2_session_new(&p->s, role, &c, &peer_ops, p, now);
    if (r == 0)
        h2_session_on_wake(p->s, peer_on_wake, p);
    return r;
}

static inline void peer_free(struct peer *p)
{
    p->hook = NULL;
    p->s = h2_session_free(p->s);
    buf_deinit(&p->out);
    buf_deinit(&p->log);
}

static inline const char *peer_text(struct peer *p)
{
    (void)!buf_append(&p->log, "", 1);
    p->log.end--;
    return (const char *)buf_head(&p->log);
}

#define assert_log(p, text) assert_string_equal(peer_text(p), text)

/* The sums that rule 4 and the marks stand on; asked after every step of the random tests. */
static inline void peer_check(struct peer *p)
{
    size_t pending = 0;
    uint32_t n = 0;

    LIST_FOREACH (l, &p->s->streams) {
        struct h2_stream *st = LIST_ENTRY(l, struct h2_stream, link);

        n++;
        pending += st->pending;
        assert_true(st->pending <= buf_len(&st->out));
        assert_int_equal(h2_stream_pending(st), st->pending);
        if (st->pending)
            assert_true(list_is_linked(&st->write_link));
    }
    LIST_FOREACH (l, &p->s->closing)
        n++;
    assert_int_equal(h2_session_pending_bytes(p->s), pending);
    assert_true(p->s->shut_bytes <= pending);
    assert_int_equal(h2_session_n_streams(p->s), n);
}

/* --- the pair */

struct pair {
    struct peer client, server;
    mono_ns_t now;
    size_t cut; /* bytes handed to recv at a time; 0 = all */
    int r;      /* the first result of send or recv that was neither 0 nor H2_E_OVER */
};

/* peer_carry: one send of @from into one or more recv of @to. Returns whether anything went. */
static inline int pair_carry(struct pair *pair, struct peer *from, struct peer *to)
{
    size_t n;
    int r = 0;

    if (!h2_session_wants_write(from->s))
        return 0;
    r = h2_session_send(from->s, &from->out, 64 * 1024, pair->now);
    if (r < 0) {
        pair->r = pair->r ? pair->r : r;
        return 0;
    }
    n = buf_len(&from->out);
    h2_session_sent(from->s, n, pair->now);
    while (n && r >= 0) {
        size_t take = pair->cut ? MIN(pair->cut, n) : n;

        r = h2_session_recv(to->s, buf_head(&from->out), take, pair->now);
        buf_consume(&from->out, take);
        n -= take;
    }
    buf_clear(&from->out);
    if (r < 0)
        pair->r = pair->r ? pair->r : r;
    return 1;
}

/* pair_run: until both have nothing more to say. */
static inline void pair_run(struct pair *pair)
{
    for (int turns = 0;
         pair_carry(pair, &pair->client, &pair->server) | pair_carry(pair, &pair->server, &pair->client);
         turns++) {
        if (pair->r < 0)
            return;
        assert_true(turns < 100000);
    }
}

static inline int pair_new(struct pair *pair, const struct h2_config *client, const struct h2_config *server)
{
    *pair = (struct pair){.now = NS_PER_S};
    pair->r = peer_new(&pair->client, H2_CLIENT, client, pair->now);
    if (pair->r)
        return pair->r;
    pair->r = peer_new(&pair->server, H2_SERVER, server, pair->now);
    if (pair->r)
        peer_free(&pair->client);
    return pair->r;
}

static inline void pair_free(struct pair *pair)
{
    peer_free(&pair->client);
    peer_free(&pair->server);
}

/* pair_open: two sessions that have exchanged SETTINGS. */
static inline void pair_open(struct pair *pair, const struct h2_config *client,
                             const struct h2_config *server)
{
    assert_int_equal(pair_new(pair, client, server), 0);
    pair_run(pair);
}

/* pair_call: open a request; @body NULL leaves it open, else it is sent and ended. NULL: refused, or no memory. */
static inline struct h2_stream *pair_call(struct pair *pair, const char *body)
{
    struct h2_stream *st = NULL;

    if (h2_session_request(pair->client.s, pair_request, ARRAY_LEN(pair_request), 0, &st) != 0)
        return NULL;
    pair->client.latest = st;
    if (body) {
        if (buf_append(h2_stream_out(st), body, strlen(body)) < 0)
            h2_stream_reset(st, H2_CANCEL);
        (void)!h2_stream_finish(st, NULL, 0, 0);
    }
    return st;
}

/* --- frames by hand */

enum { F_END_STREAM = 1, F_ACK = 1, F_END_HEADERS = 4, F_PADDED = 8 };

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

static inline void raw_head(struct buf *b, size_t n, int type, int flags, uint32_t id)
{
    const uint8_t head[9] = {(uint8_t)(n >> 16),  (uint8_t)(n >> 8),  (uint8_t)n,
                             (uint8_t)type,       (uint8_t)flags,     (uint8_t)(id >> 24),
                             (uint8_t)(id >> 16), (uint8_t)(id >> 8), (uint8_t)id};

    assert_int_equal(buf_append(b, head, sizeof head), 0);
}

static inline void raw_frame(struct buf *b, int type, int flags, uint32_t id, const void *p, size_t n)
{
    raw_head(b, n, type, flags, id);
    assert_int_equal(buf_append(b, p, n), 0);
}

static inline void raw_u32(struct buf *b, int type, uint32_t id, uint32_t value)
{
    const uint8_t p[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8),
                          (uint8_t)value};

    raw_frame(b, type, 0, id, p, 4);
}

static inline void raw_int(struct buf *b, uint8_t first, unsigned int prefix, size_t v)
{
    uint8_t bytes[12];
    size_t n = 0, max = (1U << prefix) - 1;

    if (v < max) {
        bytes[n++] = (uint8_t)(first | v);
    } else {
        bytes[n++] = (uint8_t)(first | max);
        for (v -= max; v >= 128; v >>= 7)
            bytes[n++] = (uint8_t)(v | 128);
        bytes[n++] = (uint8_t)v;
    }
    assert_int_equal(buf_append(b, bytes, n), 0);
}

/* raw_field: one literal header field; @first is 0x40 to enter it into the table, 0 not to. */
static inline void raw_field(struct buf *b, uint8_t first, const char *name, const void *value, size_t n)
{
    assert_int_equal(buf_append(b, &first, 1), 0);
    raw_int(b, 0, 7, strlen(name));
    assert_int_equal(buf_append(b, name, strlen(name)), 0);
    raw_int(b, 0, 7, n);
    assert_int_equal(buf_append(b, value, n), 0);
}

static inline void raw_request_block(struct buf *b)
{
    for (size_t i = 0; i < ARRAY_LEN(pair_request); i++)
        raw_field(b, 0, (const char *)pair_request[i].name.p, pair_request[i].value.p,
                  pair_request[i].value.len);
}

static inline void raw_request(struct buf *b, uint32_t id, int flags)
{
    struct buf block = BUF_INIT;

    raw_request_block(&block);
    raw_frame(b, NGHTTP2_HEADERS, F_END_HEADERS | flags, id, buf_head(&block), buf_len(&block));
    buf_deinit(&block);
}

static inline void raw_preface(struct buf *b)
{
    assert_int_equal(buf_append(b, PREFACE, 24), 0);
    raw_frame(b, NGHTTP2_SETTINGS, 0, 0, "", 0);
}

/* raw_feed: hand @b to @p and empty it. What recv said. */
static inline int raw_feed(struct peer *p, struct buf *b, mono_ns_t now)
{
    int r = h2_session_recv(p->s, buf_head(b), buf_len(b), now);

    buf_clear(b);
    return r;
}

/* raw_drain: take all output of @p into its buffer, as if it were sent. */
static inline void raw_drain(struct peer *p, mono_ns_t now)
{
    while (h2_session_wants_write(p->s)) {
        size_t before = buf_len(&p->out);

        assert_int_equal(h2_session_send(p->s, &p->out, before + 64 * 1024, now), 0);
        h2_session_sent(p->s, buf_len(&p->out) - before, now);
    }
}

/* raw_count: frames of @type (and @id, 0 = any) in the output of @p; *@ret_last: the last one's payload. */
static inline int raw_count(const struct peer *p, int type, uint32_t id, struct span *ret_last)
{
    const uint8_t *at = buf_head(&p->out), *end = buf_tail(&p->out);
    int n = 0;

    if (p->s->role == H2_CLIENT && at < end && *at == 'P')
        at += 24;
    while (end - at >= 9) {
        size_t len = (size_t)at[0] << 16 | (size_t)at[1] << 8 | at[2];
        uint32_t of = (uint32_t)at[5] << 24 | (uint32_t)at[6] << 16 | (uint32_t)at[7] << 8 | at[8];

        if (at[3] == type && (id == 0 || id == of)) {
            n++;
            if (ret_last)
                *ret_last = (struct span){at + 9, len};
        }
        at += 9 + len;
    }
    assert_ptr_equal(at, end);
    return n;
}

/* raw_server: a server that has had the preface, its own SETTINGS taken out of the way. */
static inline void raw_server(struct peer *p, const struct h2_config *config, struct buf *b, mono_ns_t now)
{
    assert_int_equal(peer_new(p, H2_SERVER, config, now), 0);
    raw_preface(b);
    assert_int_equal(raw_feed(p, b, now), 0);
    raw_drain(p, now);
    buf_clear(&p->out);
    raw_frame(b, NGHTTP2_SETTINGS, F_ACK, 0, "", 0);
    assert_int_equal(raw_feed(p, b, now), 0);
}
