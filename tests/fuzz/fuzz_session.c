// SPDX-License-Identifier: Apache-2.0
/*
 * One session against a peer made of the input. The first four bytes choose the role, the configuration, how
 * the rest is cut and how the owner above behaves; the rest is what the peer sends. The owner echoes, resets,
 * opens, drains and aborts from inside events and from outside, by a generator seeded by the input; the sums
 * of the session are checked after every piece. One allocation may fail on the way.
 */
#include "base/mem.h"
#include "h2/internal.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEAD_BYTES = 4, NOTE_MARK = 0x5a };

struct owner {
    struct h2_session *s;
    uint32_t random;
    uint32_t mood; /* odds of doing something unusual; 0 = never */
    uint32_t n_open;
};

struct note {
    uint8_t mark, is_closed;
    uint64_t owed; /* received, not credited */
};

static uint32_t next(struct owner *o, uint32_t below)
{
    o->random = o->random * 1664525 + 1013904223;
    return (o->random >> 8) % below;
}

static const struct h2_header request[] = {
        {SPAN_LIT(":method"), SPAN_LIT("POST")},
        {SPAN_LIT(":scheme"), SPAN_LIT("http")},
        {SPAN_LIT(":path"), SPAN_LIT("/a.B/C")},
};
static const struct h2_header response[] = {{SPAN_LIT(":status"), SPAN_LIT("200")}};
static const struct h2_header trailers[] = {
        {SPAN_LIT("grpc-status"), SPAN_LIT("0")},
        {SPAN_LIT("grpc-message"), SPAN_LIT("fine")},
        {SPAN_LIT("x"), SPAN_LIT("y")},
};

static struct owner *owner_of(struct h2_stream *st)
{
    return h2_session_user(h2_stream_session(st));
}

static void append(struct h2_stream *st, size_t n)
{
    struct buf *out = h2_stream_out(st);

    if (n == 0 || st->finishing || buf_reserve(out, n) < 0)
        return;
    memset(buf_tail(out), 'e', n);
    buf_commit(out, n);
    h2_stream_flush(st);
}

static void open_one(struct owner *o)
{
    struct h2_stream *st;

    if (o->s->role != H2_CLIENT || o->n_open > 200 ||
        h2_session_request(o->s, request, ARRAY_LEN(request), next(o, 4) == 0, &st) != 0)
        return;
    o->n_open++;
    ((struct note *)h2_stream_user(st))->mark = NOTE_MARK;
    if (!st->finishing)
        append(st, next(o, 3000));
}

static void finish(struct owner *o, struct h2_stream *st)
{
    int is_server = o->s->role == H2_SERVER;

    if (st->finishing)
        return;
    if (is_server && !st->responded &&
        h2_stream_respond(st, response, ARRAY_LEN(response), next(o, 4) == 0 && st->pending == 0, 1) < 0)
        return;
    if (!st->finishing && (st->responded || !is_server))
        (void)!h2_stream_finish(st, trailers, is_server ? next(o, ARRAY_LEN(trailers) + 1) : 0,
                                (int)next(o, 2));
}

static void act(struct owner *o, struct h2_stream *st)
{
    struct note *note = st ? h2_stream_user(st) : NULL;

    if (!o->mood || next(o, 256) >= o->mood)
        return;
    switch (next(o, 12)) {
    case 0:
        if (st)
            h2_stream_reset(st, next(o, 14));
        return;
    case 1: h2_session_wake(o->s); return;
    case 2: open_one(o); return;
    case 3:
        if (next(o, 8) == 0)
            h2_session_drain(o->s);
        return;
    case 4:
        if (next(o, 16) == 0)
            h2_session_abort(o->s, next(o, 14), "fuzz");
        return;
    case 5:
        if (st)
            h2_stream_expect_body(st, (int)next(o, 2));
        return;
    case 6:
        if (st)
            append(st, next(o, 400000));
        return;
    case 7:
        if (st)
            finish(o, st);
        return;
    default:
        if (note && note->owed) {
            uint64_t n = 1 + next(o, (uint32_t)note->owed);

            note->owed -= n;
            h2_stream_consume(st, n);
        }
    }
}

static struct note *note_of(struct h2_stream *st)
{
    struct note *note = h2_stream_user(st);

    ASSERT(note->mark == NOTE_MARK && !note->is_closed);
    return note;
}

static void on_headers(struct h2_stream *st, const struct h2_header *headers, size_t n, int flags)
{
    struct owner *o = owner_of(st);
    struct note *note = h2_stream_user(st);
    size_t bytes = 0;

    ASSERT(n <= H2_HEADERS_MAX);
    for (size_t i = 0; i < n; i++) {
        bytes += headers[i].name.len + headers[i].value.len + 32;
        for (size_t k = 0; k < headers[i].value.len; k++)
            bytes += headers[i].value.p[k] == 0xff && headers[i].name.p[0] == 0; /* touch them */
    }
    ASSERT(bytes <= o->s->config.max_header_list_bytes);
    if (o->s->role == H2_SERVER && !(flags & H2_TRAILERS)) {
        ASSERT(note->mark == 0);
        note->mark = NOTE_MARK;
        o->n_open++;
    }
    ASSERT(note->mark == NOTE_MARK);
    act(o, st);
    if (flags & H2_END)
        finish(o, st);
}

static void on_data(struct h2_stream *st, struct span data)
{
    struct owner *o = owner_of(st);
    struct note *note = note_of(st);

    note->owed += data.len;
    if (!st->finishing && buf_append(h2_stream_out(st), data.p, data.len) == 0)
        h2_stream_flush(st);
    if (!o->mood) {
        note->owed -= data.len;
        h2_stream_consume(st, data.len);
    }
    act(o, st);
}

static void on_end(struct h2_stream *st)
{
    note_of(st);
    act(owner_of(st), st);
    finish(owner_of(st), st);
}

static void on_writable(struct h2_stream *st)
{
    note_of(st);
    act(owner_of(st), st);
}

static void on_close(struct h2_stream *st, uint32_t error)
{
    struct owner *o = owner_of(st);
    struct note *note = note_of(st);

    note->is_closed = 1;
    o->n_open--;
    act(o, NULL);
}

static mono_ns_t on_tick(void *user, mono_ns_t now)
{
    act(user, NULL);
    return CLOCK_NEVER;
}

static void on_goaway(void *user, uint32_t error)
{
    act(user, NULL);
}

static void on_room(void *user)
{
    act(user, NULL);
}

static const struct h2_ops ops = {on_headers, on_data, on_end,    on_writable,
                                  on_close,   on_tick, on_goaway, on_room};

static void check(const struct owner *o)
{
    size_t pending = 0;
    uint32_t n = 0;

    LIST_FOREACH (l, &o->s->streams) {
        const struct h2_stream *st = LIST_ENTRY(l, struct h2_stream, link);

        ASSERT(st->pending <= buf_len(&st->out));
        pending += st->pending;
        n++;
    }
    LIST_FOREACH (l, &o->s->closing)
        n++;
    ASSERT(pending == h2_session_pending_bytes(o->s) && n == h2_session_n_streams(o->s));
    ASSERT(o->s->shut_bytes <= pending);
    ASSERT(o->n_open <= n);
}

static struct h2_config config_of(uint8_t bits, enum h2_role role)
{
    struct h2_config c = role == H2_SERVER ? h2_config_server() : h2_config_client();

    if (bits & 2)
        c.max_streams = 3;
    if (bits & 4)
        c.stream_window_bytes = c.connection_window_bytes = 1000;
    if (bits & 8)
        c.max_header_list_bytes = 300;
    if (bits & 16)
        c.resets = c.provoked = c.pings = c.settings = c.priorities = c.window_updates = c.empty_data =
                (struct h2_rate){5, 1};
    if (bits & 32)
        c.keepalive_ns = NS_PER_S;
    c.stream_user_bytes = sizeof(struct note);
    return c;
}

/* What every peer starts with, so that the input may begin behind it. */
static void greet(struct owner *o, mono_ns_t now)
{
    static const char magic[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    static const uint8_t settings[9] = {0, 0, 0, 4}, ack[9] = {0, 0, 0, 4, 1};

    if (o->s->role == H2_SERVER)
        (void)!h2_session_recv(o->s, (const uint8_t *)magic, 24, now);
    (void)!h2_session_recv(o->s, settings, sizeof settings, now);
    (void)!h2_session_recv(o->s, ack, sizeof ack, now);
}

static void take_output(struct owner *o, struct buf *out, mono_ns_t now)
{
    if (!h2_session_wants_write(o->s))
        return;
    (void)!h2_session_send(o->s, out, 1 + next(o, 70000), now);
    h2_session_sent(o->s, buf_len(out), now);
    buf_clear(out);
}

static void run(struct owner *o, const uint8_t *data, size_t size)
{
    struct buf out = BUF_INIT;
    mono_ns_t now = NS_PER_S;

    take_output(o, &out, now);
    if (data[0] & 64)
        greet(o, now);
    for (int i = 0; i < 3; i++)
        open_one(o);
    for (size_t at = HEAD_BYTES; at < size;) {
        size_t take = MIN(size - at, data[2] ? 1 + (size_t)next(o, data[2] * 8U) : size);

        take_output(o, &out, now);
        (void)!h2_session_recv(o->s, data + at, take, now);
        check(o);
        at += take;
        now += (mono_ns_t)next(o, 2000) * data[3] * 100 * NS_PER_US;
        if (next(o, 4) == 0)
            (void)!h2_session_tick(o->s, now);
        if (!list_is_empty(&o->s->streams))
            act(o, LIST_ENTRY(list_first(&o->s->streams), struct h2_stream, link));
        check(o);
    }
    for (int i = 0; i < 50 && h2_session_wants_write(o->s); i++)
        take_output(o, &out, now);
    (void)!h2_session_tick(o->s, now);
    check(o);
    buf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum h2_role role;
    struct h2_config c;
    struct owner o = {0};

    if (size < HEAD_BYTES)
        return 0;
    role = data[0] & 1 ? H2_CLIENT : H2_SERVER;
    c = config_of(data[0], role);
    o.mood = data[1];
    o.random = (uint32_t)data[1] << 16 | (uint32_t)data[2] << 8 | data[3];
    mem_fail_at(data[0] & 128 ? 1 + (uint64_t)data[3] + data[2] : 0);
    if (h2_session_new(&o.s, role, &c, &ops, &o, NS_PER_S) == 0) {
        run(&o, data, size);
        h2_session_free(o.s);
    }
    mem_fail_at(0);
    ASSERT(o.n_open == 0);
    return 0;
}
