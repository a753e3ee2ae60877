// SPDX-License-Identifier: Apache-2.0
/*
 * The way out: what a handler says becomes header blocks, messages and trailers of its stream.
 *
 *   begin .. end      5 bytes of head and the payload, straight into the stream's output buffer: the one copy
 *   finish, fail      trailers; trailers-only when nothing was sent before
 *   stamp             from here on all of this goes into the call's hold, until grpc_server_release lets it out
 *
 * Invariants:
 *  1. The header block goes out once: with the first message, with send_headers, or as trailers-only.
 *  2. After call_end nothing reaches the stream: what a handler still writes goes into the connection's sink,
 *     because it cannot know yet (on_done comes later).
 *  3. The way of an OK reply allocates nothing and copies no header: both blocks are static.
 *  4. Trailers stay below TRAILERS_MAX_BYTES, which every stock client accepts; details are dropped one by one
 *     until they do.
 */
#include "grpc/call.h"

#include "base/mem.h"
#include "grpc/metadata.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define HEADER(n, v)                 \
    {                                \
        SPAN_CONST(n), SPAN_CONST(v) \
    }
#define SPAN_CONST(lit)                            \
    {                                              \
        (const uint8_t *)("" lit), sizeof(lit) - 1 \
    }

enum {
    TRAILERS_MAX_BYTES = 7 * 1024, /* several stock clients refuse more than 8 KiB */
    TRAILERS_FIXED_BYTES = 256,    /* what :status, content-type, grpc-status and the names cost of that */
    TRAILERS_N = 4,
};

static const struct h2_header response_headers[] = {
        HEADER(":status", "200"),
        HEADER("content-type", "application/grpc"),
};
static const struct h2_header trailers_ok[] = {HEADER("grpc-status", "0")};
static const struct h2_header trailers_only_ok[] = {
        HEADER(":status", "200"),
        HEADER("content-type", "application/grpc"),
        HEADER("grpc-status", "0"),
};

void *grpc_call_context(const struct grpc_call *call)
{
    return call->method->context;
}

const struct grpc_method *grpc_call_method(const struct grpc_call *call)
{
    return call->method;
}

const struct grpc_peer *grpc_call_peer(const struct grpc_call *call)
{
    return &call->conn->peer;
}

mono_ns_t grpc_call_now(const struct grpc_call *call)
{
    return h2_session_now(call->conn->session);
}

mono_ns_t grpc_call_deadline(const struct grpc_call *call)
{
    return heap_has(&call->deadline) ? call->deadline.key : CLOCK_NEVER;
}

const void *grpc_call_who(const struct grpc_call *call)
{
    return call->who;
}

void grpc_call_set_who(struct grpc_call *call, const void *who, uint64_t proof)
{
    call->who = who;
    call->proof = proof;
}

void grpc_call_drain(struct grpc_call *call)
{
    h2_session_drain(call->conn->session);
}

void *grpc_call_user(const struct grpc_call *call)
{
    return call->user;
}

void grpc_call_set_user(struct grpc_call *call, void *user)
{
    call->user = user;
}

struct span grpc_call_header(const struct grpc_call *call, const char *name)
{
    const struct grpc_conn *conn = call->conn;
    struct span wanted = span_of_string(name);

    for (size_t i = 0; i < conn->n_headers; i++)
        if (span_eq(conn->headers[i].name, wanted))
            return conn->headers[i].value;
    return (struct span){0};
}

void call_credit(struct grpc_call *call, size_t held)
{
    size_t n = call->uncredited - MIN(call->uncredited, held);

    if (n == 0)
        return;
    call->uncredited -= n;
    h2_stream_consume(call->stream, n);
}

void call_count(struct grpc_call *call)
{
    size_t n = framing_stored(&call->framing);

    n -= MIN(n, call->uncredited); /* the window bounds that */
    call->conn->stored_bytes += n - call->stored;
    call->stored = n;
}

void call_end(struct grpc_call *call)
{
    call->is_over = 1;
    heap_del(&call->conn->deadlines, &call->deadline);
    list_del(&call->link);
    list_del(&call->wanting);
    if (!call->is_delivering) { /* else call_read does it: a message may lie in there */
        framing_release(&call->framing);
        call_count(call);
        call_credit(call, 0);
    }
}

/* Where memory failed: the peer learns it by the reset, the handler by on_done. */
static void break_off(struct grpc_call *call)
{
    call->is_broken = 1;
    call_end(call);
    call_drop_hold(call);
    h2_stream_reset(call->stream, H2_INTERNAL_ERROR);
}

/* --- initial metadata */

void call_free_metadata(struct grpc_call *call)
{
    struct call_metadata *md = TAKE_PTR(call->metadata);

    if (!md)
        return;
    while (md->n)
        mem_free(md->items[--md->n].value);
    mem_free(md);
}

static int is_printable(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.p[i] < ' ' || s.p[i] > '~')
            return 0;
    return s.len == 0 || (s.p[0] != ' ' && s.p[s.len - 1] != ' ');
}

static char *metadata_value(const char *name, struct span value)
{
    char *text;
    size_t n;

    if (!metadata_is_binary(span_of_string(name)))
        return mem_strndup((const char *)value.p, value.len);
    n = metadata_base64_len(value.len);
    text = mem_alloc(n + 1);
    if (!text)
        return NULL;
    metadata_base64_encode(value.p, value.len, text);
    text[n] = '\0';
    return text;
}

int grpc_call_add_metadata(struct grpc_call *call, const char *name, struct span value)
{
    char *text;

    if (call->is_over)
        return 0;
    ASSERT(!call->has_headers);
    if (!metadata_is_binary(span_of_string(name)) && !is_printable(value))
        return -EINVAL;
    if (!call->metadata) {
        call->metadata = mem_zalloc(sizeof *call->metadata);
        if (!call->metadata)
            return -ENOMEM;
    }
    ASSERT(call->metadata->n < CALL_METADATA_MAX);
    text = metadata_value(name, value);
    if (!text)
        return -ENOMEM;
    call->metadata->items[call->metadata->n].name = name;
    call->metadata->items[call->metadata->n++].value = text;
    return 0;
}

static int submit_headers(struct grpc_call *call)
{
    struct h2_header headers[ARRAY_LEN(response_headers) + CALL_METADATA_MAX];
    struct call_metadata *md = call->metadata;
    size_t n = ARRAY_LEN(response_headers);
    int r;

    if (LIKELY(!md)) {
        r = h2_stream_respond(call->stream, response_headers, n, 0, 1);
        call->has_headers = r == 0;
        return r;
    }
    memcpy(headers, response_headers, sizeof response_headers);
    for (uint32_t i = 0; i < md->n; i++)
        headers[n++] =
                (struct h2_header){span_of_string(md->items[i].name), span_of_string(md->items[i].value)};
    r = h2_stream_respond(call->stream, headers, n, 0, 0);
    if (r < 0)
        return r;
    call->has_headers = 1;
    call_free_metadata(call);
    return 0;
}

int grpc_call_send_headers(struct grpc_call *call)
{
    if (call->is_over || call->has_headers)
        return 0;
    return LIKELY(!call->hold) ? submit_headers(call) : hold_mark(call->hold);
}

/* --- messages */

int grpc_call_is_writable(struct grpc_call *call)
{
    struct grpc_conn *conn = call->conn;

    if (call->is_over)
        return 1;
    if (!h2_stream_is_writable(call->stream) ||
        (call->hold && buf_len(&call->hold->out) > H2_STREAM_HIGH_BYTES))
        return 0;
    if (LIKELY(call_has_room(conn)))
        return 1;
    if (!list_is_linked(&call->wanting))
        list_push_back(&conn->wanting, &call->wanting);
    return 0;
}

size_t grpc_call_pending(const struct grpc_call *call)
{
    if (call->is_over)
        return 0;
    return h2_stream_pending(call->stream) + (call->hold ? buf_len(&call->hold->out) : 0);
}

int call_has_room(const struct grpc_conn *conn)
{
    return h2_session_has_room(conn->session, conn->held_bytes);
}

static struct buf *out_of(struct grpc_call *call)
{
    if (UNLIKELY(call->is_over))
        return &call->conn->sink;
    return LIKELY(!call->hold) ? h2_stream_out(call->stream) : &call->hold->out;
}

struct buf *grpc_call_begin(struct grpc_call *call)
{
    struct buf *out = out_of(call);

    ASSERT(!call->has_begun);
    if (UNLIKELY(buf_reserve(out, FRAMING_HEAD_BYTES) < 0))
        return NULL;
    call->begun_at = buf_len(out);
    buf_commit(out, FRAMING_HEAD_BYTES);
    call->has_begun = 1;
    return out;
}

void grpc_call_undo(struct grpc_call *call)
{
    struct buf *out = out_of(call);

    ASSERT(call->has_begun);
    call->has_begun = 0;
    if (call->is_over)
        buf_deinit(out);
    else
        out->end = out->start + call->begun_at;
}

void grpc_call_end(struct grpc_call *call)
{
    struct buf *out = out_of(call);

    ASSERT(call->has_begun);
    if (UNLIKELY(call->is_over)) {
        grpc_call_undo(call);
        return;
    }
    framing_put_head(buf_head(out) + call->begun_at, buf_len(out) - call->begun_at - FRAMING_HEAD_BYTES);
    if (UNLIKELY(call->hold)) {
        call->has_begun = 0;
        call->conn->held_bytes += buf_len(out) - call->begun_at;
        if (hold_mark(call->hold) < 0)
            break_off(call);
        return;
    }
    if (!call->has_headers && submit_headers(call) < 0) {
        grpc_call_undo(call);
        break_off(call);
        return;
    }
    call->has_begun = 0;
    h2_stream_flush(call->stream);
}

int grpc_call_send(struct grpc_call *call, struct span message)
{
    struct buf *out = out_of(call);
    int r;

    if (UNLIKELY(call->is_over))
        return 0;
    r = buf_reserve(out, FRAMING_HEAD_BYTES + message.len);
    if (UNLIKELY(r < 0))
        return r;
    out = grpc_call_begin(call);
    if (message.len)
        memcpy(buf_tail(out), message.p, message.len);
    buf_commit(out, message.len);
    grpc_call_end(call);
    return 0;
}

/* --- the status */

static int submit_ok(struct grpc_call *call)
{
    struct h2_stream *s = call->stream;
    int r = 0;

    if (UNLIKELY(!call->has_headers) && call->metadata)
        r = submit_headers(call);
    if (LIKELY(call->has_headers))
        r = h2_stream_finish(s, trailers_ok, ARRAY_LEN(trailers_ok), 1);
    else if (r == 0)
        r = h2_stream_respond(s, trailers_only_ok, ARRAY_LEN(trailers_only_ok), 1, 1);
    return r;
}

/* The call's end goes behind what is held; @status NULL = OK. */
static int hold_end(struct grpc_call *call, const struct grpc_status *status)
{
    struct hold *h = call->hold;

    if (status) {
        h->status = mem_dup(status, sizeof *status);
        if (!h->status)
            return -ENOMEM;
    }
    h->is_finished = 1;
    return hold_mark(h);
}

void grpc_call_finish(struct grpc_call *call)
{
    int r;

    if (UNLIKELY(call->is_over))
        return;
    ASSERT(!call->has_begun);
    r = LIKELY(!call->hold) ? submit_ok(call) : hold_end(call, NULL);
    if (UNLIKELY(r < 0))
        break_off(call);
    else
        call_end(call);
}

/* google.rpc.Status into conn->details, of at most @max_bytes: violations and metadata give way first, the
 * whole of it then. */
static int encode_details(struct grpc_conn *conn, const struct grpc_status *st, size_t max_bytes)
{
    struct grpc_status less;
    int r;

    buf_clear(&conn->details);
    r = status_encode(st, &conn->details);
    if (r < 0 || LIKELY(buf_len(&conn->details) <= max_bytes))
        return r;
    less = *st;
    while (buf_len(&conn->details) > max_bytes) {
        buf_clear(&conn->details);
        if (less.n_violations)
            less.n_violations--;
        else if (less.n_metadata)
            less.n_metadata--;
        else
            return 0;
        r = status_encode(&less, &conn->details);
        if (r < 0)
            return r;
    }
    return 0;
}

/* The trailers of @st into @to; texts are in conn->text. */
static int build_trailers(struct grpc_conn *conn, const struct grpc_status *st, struct h2_header *to,
                          size_t *ret_n)
{
    size_t n = 0, n_message = strlen(st->message), n_details = 0,
           room = TRAILERS_MAX_BYTES - TRAILERS_FIXED_BYTES;
    char *text;
    int r;

    buf_clear(&conn->text);
    r = buf_reserve(&conn->text, 4 + 3 * n_message + TRAILERS_MAX_BYTES);
    if (r < 0)
        return r;
    text = (char *)buf_tail(&conn->text);
    to[n].name = SPAN_LIT("grpc-status");
    to[n].value.p = (const uint8_t *)text;
    to[n++].value.len = (size_t)snprintf(text, 4, "%u", (unsigned int)st->code % 100);
    text += 4;
    if (n_message) {
        n_message = metadata_percent_encode(st->message, n_message, text);
        to[n++] = (struct h2_header){SPAN_LIT("grpc-message"), {(const uint8_t *)text, n_message}};
        text += n_message;
    }
    if (st->reason[0]) {
        r = encode_details(conn, st, (room - n_message) / 4 * 3);
        if (r < 0)
            return r;
        n_details = buf_len(&conn->details);
    }
    if (n_details) {
        metadata_base64_encode(buf_head(&conn->details), n_details, text);
        to[n++] = (struct h2_header){SPAN_LIT("grpc-status-details-bin"),
                                     {(const uint8_t *)text, metadata_base64_len(n_details)}};
    }
    *ret_n = n;
    return 0;
}

static int submit_status(struct grpc_call *call, const struct grpc_status *st)
{
    struct h2_header headers[ARRAY_LEN(response_headers) + TRAILERS_N];
    size_t n_fixed = ARRAY_LEN(response_headers), n;
    int r = 0;

    if (!call->has_headers && call->metadata)
        r = submit_headers(call);
    if (r < 0)
        return r;
    memcpy(headers, response_headers, sizeof response_headers);
    r = build_trailers(call->conn, st, headers + n_fixed, &n);
    if (r < 0)
        return r;
    if (call->has_headers)
        return h2_stream_finish(call->stream, headers + n_fixed, n, 0);
    n += n_fixed;
    if (st->code == GRPC_UNIMPLEMENTED) /* what an unknown grpc-encoding is to be answered with */
        headers[n++] = (struct h2_header)HEADER("grpc-accept-encoding", "identity");
    return h2_stream_respond(call->stream, headers, n, 1, 0);
}

void grpc_call_fail(struct grpc_call *call, const struct grpc_status *status)
{
    ASSERT(status->code != GRPC_OK);
    if (call->is_over)
        return;
    if (call->has_begun)
        grpc_call_undo(call);
    call->code = (uint8_t)status->code;
    if ((LIKELY(!call->hold) ? submit_status(call, status) : hold_end(call, status)) < 0)
        break_off(call);
    else
        call_end(call);
}

void grpc_call_fail_code(struct grpc_call *call, enum grpc_code code, const char *reason, const char *message)
{
    call_fail(call, code, reason, "%s", message);
}

void call_fail(struct grpc_call *call, enum grpc_code code, const char *reason, const char *format, ...)
{
    char message[STATUS_MESSAGE_MAX_BYTES + 8];
    struct grpc_status st;
    va_list args;

    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    grpc_call_fail(call, status_set(&st, code, reason, "%s", message));
}

void grpc_call_pause(struct grpc_call *call, int paused)
{
    int was = call->is_paused;

    if (!call_is_streaming(call))
        return;
    call->is_paused = paused != 0;
    if (was && !paused && !call->is_over && !call->is_delivering)
        server_resume(call);
}

/* --- what waits to be durable */

int grpc_call_stamp(struct grpc_call *call, uint64_t seq)
{
    struct hold_gate *gate = call->conn->gate;

    if (call->is_over)
        return 0;
    if (LIKELY(!call->hold)) {
        if (seq <= gate->durable_seq)
            return 0;
        ASSERT(!call->has_begun); /* its message would be half in one buffer, half in another */
        call->hold = hold_new(call, seq);
        if (!call->hold)
            return -ENOMEM;
        list_push_back(&gate->held, &call->hold->link);
    }
    call->hold->stamp = MAX(call->hold->stamp, seq);
    return 0;
}

/* @n bytes are not held any more. The session knows nothing of them, so its on_room does not come for the room they
 * left. */
static void unhold(struct grpc_conn *conn, size_t n)
{
    conn->held_bytes -= n;
    if (n && !(list_is_empty(&conn->wanting) && list_is_empty(&conn->waiting)) && call_has_room(conn))
        h2_session_wake(conn->session);
}

void call_drop_hold(struct grpc_call *call)
{
    struct hold *h = call->hold;
    size_t n;

    if (!h)
        return;
    n = buf_len(&h->out);
    call->hold = hold_free(h);
    unhold(call->conn, n);
}

/* The end that was held back. What it says was right when it was said. */
static void end_held(struct grpc_call *call, const struct hold *h)
{
    int r = 0;

    if (h->status)
        r = submit_status(call, h->status);
    else
        r = submit_ok(call);
    if (r < 0)
        break_off(call);
}

void call_abandon(struct grpc_call *call, const struct grpc_status *status)
{
    int had_end = call->is_over;

    call_drop_hold(call);
    if (!had_end)
        grpc_call_fail(call, status);
    else if (submit_status(call, status) < 0)
        break_off(call);
}

void call_release(struct grpc_call *call, uint64_t seq)
{
    struct hold *h = call->hold;
    int is_reached, is_all, was_full = buf_len(&h->out) > H2_STREAM_HIGH_BYTES;
    size_t n;

    /* nothing said under the stamp yet: what will be said waits for it, or once it is durable for nothing */
    is_all = hold_ready(h, seq, &n, &is_reached) && (h->is_finished || h->stamp <= seq);
    if (!is_reached) {
        if (is_all)
            call_drop_hold(call);
        return;
    }
    if ((!call->has_headers && (n > 0 || !h->is_finished) && submit_headers(call) < 0) ||
        buf_append(h2_stream_out(call->stream), buf_head(&h->out), n) < 0) {
        call_drop_hold(call);
        break_off(call);
        return;
    }
    buf_consume(&h->out, n);
    h->n_sent += n;
    if (n > 0)
        h2_stream_flush(call->stream);
    unhold(call->conn, n);
    if (is_all) {
        call->hold = NULL;
        if (h->is_finished)
            end_held(call, h);
        hold_free(h);
    }
    if (was_full && !call->is_over && call->method->handler->on_writable)
        call->method->handler->on_writable(call);
}
