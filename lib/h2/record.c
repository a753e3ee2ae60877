// SPDX-License-Identifier: Apache-2.0
/*
 * nghttp2's callbacks. They write down what happened and return: no event goes up from here, no stream is
 * given back. Payload is remembered as a pointer into the input, header fields as references to nghttp2's own
 * strings. What a callback may do to nghttp2 is to submit a frame, which nghttp2 allows.
 *
 * A failed allocation in here fails the session (-ENOMEM): there is no way to forget one event and stay right.
 */
#include "base/mem.h"
#include "h2/internal.h"

#include <errno.h>
#include <string.h>

/* --- the record */

static struct event *event_push(struct h2_session *s, enum event_kind kind, struct h2_stream *st)
{
    struct event *e;

    if (UNLIKELY(s->n_events == s->cap_events)) {
        uint32_t cap = MAX(s->cap_events * 2, (uint32_t)32);

        e = mem_realloc(s->events, cap * sizeof *e);
        if (!e) {
            h2_session_fail(s, -ENOMEM);
            return NULL;
        }
        s->events = e;
        s->cap_events = cap;
    }
    e = &s->events[s->n_events++];
    *e = (struct event){.stream = st, .kind = (uint8_t)kind};
    return e;
}

int h2_record_writable(struct h2_stream *st)
{
    return event_push(st->session, EV_WRITABLE, st) ? 0 : -ENOMEM;
}

static int fields_grow(struct h2_session *s)
{
    uint32_t cap = MAX(s->cap_fields * 2, (uint32_t)64);
    struct h2_header *fields = mem_realloc(s->fields, cap * sizeof *fields);
    struct field_ref *refs;

    if (!fields)
        return h2_session_fail(s, -ENOMEM);
    s->fields = fields;
    refs = mem_realloc(s->refs, cap * sizeof *refs);
    if (!refs)
        return h2_session_fail(s, -ENOMEM);
    s->refs = refs;
    s->cap_fields = cap;
    return 0;
}

static void fields_drop(struct h2_session *s, uint32_t first, uint32_t end)
{
    for (uint32_t i = first; i < end; i++) {
        nghttp2_rcbuf_decref(s->refs[i].name);
        nghttp2_rcbuf_decref(s->refs[i].value);
    }
}

void h2_record_clear(struct h2_session *s)
{
    uint32_t left = s->n_fields - s->block_first; /* of a block that is not whole yet */

    fields_drop(s, 0, s->block_first);
    if (left && s->block_first) {
        memmove(s->fields, s->fields + s->block_first, left * sizeof *s->fields);
        memmove(s->refs, s->refs + s->block_first, left * sizeof *s->refs);
    }
    s->n_fields = left;
    s->block_first = 0;
    s->n_events = 0;
    if (s->cap_events > H2_EVENTS_KEEP) {
        s->events = mem_free(s->events);
        s->cap_events = 0;
    }
    if (s->cap_fields > H2_FIELDS_KEEP && left == 0) {
        s->fields = mem_free(s->fields);
        s->refs = mem_free(s->refs);
        s->cap_fields = 0;
    }
}

void h2_record_free(struct h2_session *s)
{
    fields_drop(s, 0, s->n_fields);
    s->n_fields = s->n_events = s->block_first = 0;
    s->events = mem_free(s->events);
    s->fields = mem_free(s->fields);
    s->refs = mem_free(s->refs);
    s->cap_events = s->cap_fields = 0;
}

static struct h2_stream *stream_of(struct h2_session *s, int32_t id)
{
    struct h2_stream *st = s->last;

    if (st && st->id == id)
        return st;
    st = nghttp2_session_get_stream_user_data(s->ng, id);
    if (st)
        s->last = st;
    return st;
}

/* --- header blocks */

static void block_close(struct h2_session *s)
{
    s->block = NULL;
    s->block_first = s->n_fields;
}

static int on_begin_headers(nghttp2_session *ng, const nghttp2_frame *frame, void *user)
{
    struct h2_session *s = user;

    fields_drop(s, s->block_first, s->n_fields); /* of a block that was given up, or dropped */
    s->n_fields = s->block_first;
    s->block_n = s->block_bytes = 0;
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        s->block = h2_stream_new(s, frame->hd.stream_id);
        if (!s->block)
            return NGHTTP2_ERR_CALLBACK_FAILURE;
        nghttp2_session_set_stream_user_data(ng, frame->hd.stream_id, s->block);
        s->last = s->block;
        return 0;
    }
    if (s->role == H2_SERVER)
        s->abuse.headers_unexplained--; /* trailers of an open stream are no surprise */
    s->block = stream_of(s, frame->hd.stream_id);
    return 0;
}

static int block_is_too_big(const struct h2_session *s, uint32_t times)
{
    return s->block_n > H2_HEADERS_MAX * times || s->block_bytes / times > s->config.max_header_list_bytes;
}

/* Above the limit fields are only counted, so that the request can be answered 431; far above it decoding
 * stops, because a few bytes that name a long entry of the table again and again would cost too much. */
static int on_header(nghttp2_session *ng, const nghttp2_frame *frame, nghttp2_rcbuf *name,
                     nghttp2_rcbuf *value, uint8_t flags, void *user)
{
    struct h2_session *s = user;
    nghttp2_vec n, v;

    if (!s->block)
        return 0;
    n = nghttp2_rcbuf_get_buf(name);
    v = nghttp2_rcbuf_get_buf(value);
    s->block_n++;
    s->block_bytes += (uint32_t)(n.len + v.len) + 32; /* one field is at most 64 KiB: nghttp2's own limit */
    if (UNLIKELY(block_is_too_big(s, 1)))
        return block_is_too_big(s, 4) ? NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE : 0;
    if (UNLIKELY(s->n_fields == s->cap_fields) && fields_grow(s) < 0)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    nghttp2_rcbuf_incref(name);
    nghttp2_rcbuf_incref(value);
    s->refs[s->n_fields] = (struct field_ref){name, value};
    s->fields[s->n_fields++] = (struct h2_header){{n.base, n.len}, {v.base, v.len}};
    return 0;
}

static int is_informational(const struct h2_session *s)
{
    const struct h2_header *status = &s->fields[s->block_first];

    return s->n_fields > s->block_first && status->name.len == 7 &&
           memcmp(status->name.p, ":status", 7) == 0 && status->value.len == 3 && status->value.p[0] == '1';
}

static int on_headers_frame(struct h2_session *s, const nghttp2_frame *frame)
{
    struct h2_stream *st = s->block;
    int flags = frame->hd.flags & NGHTTP2_FLAG_END_STREAM ? H2_END : 0;
    struct event *e;

    if (!st || (s->role == H2_CLIENT && !st->got_final && is_informational(s)))
        return 0;
    if (st->got_final)
        flags |= H2_TRAILERS;
    st->got_final = 1;
    if (block_is_too_big(s, 1))
        flags |= EVENT_TOO_BIG;
    if (flags & H2_END)
        st->peer_ended = 1;
    e = event_push(s, EV_HEADERS, st);
    if (!e)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    e->flags = (uint8_t)flags;
    e->first = s->block_first;
    e->n = s->n_fields - s->block_first;
    block_close(s);
    h2_stream_alive(st);
    return 0;
}

/* --- the other frames */

static int on_data_chunk(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *p, size_t n,
                         void *user)
{
    struct h2_session *s = user;
    struct h2_stream *st = stream_of(s, id);
    struct event *e;

    if (!st) {
        s->orphan_bytes += n;
        return 0;
    }
    st->unconsumed += n;
    h2_stream_alive(st);
    e = event_push(s, EV_DATA, st);
    if (!e)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    e->data = (struct span){p, n};
    return 0;
}

static int on_data_frame(struct h2_session *s, const nghttp2_frame *frame)
{
    struct h2_stream *st = stream_of(s, frame->hd.stream_id);

    if (!st)
        return 0;
    if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) {
        st->peer_ended = 1;
        if (!event_push(s, EV_END, st))
            return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    h2_stream_alive(st);
    return 0;
}

static int on_frame_recv(nghttp2_session *ng, const nghttp2_frame *frame, void *user)
{
    struct h2_session *s = user;
    struct event *e;

    switch (frame->hd.type) {
    case NGHTTP2_DATA: return on_data_frame(s, frame);
    case NGHTTP2_HEADERS: return on_headers_frame(s, frame);
    case NGHTTP2_SETTINGS: s->preface_at = CLOCK_NEVER; return 0;
    case NGHTTP2_PING:
        if (frame->hd.flags & NGHTTP2_FLAG_ACK)
            h2_session_on_pong(s, frame->ping.opaque_data);
        return 0;
    case NGHTTP2_GOAWAY:
        e = event_push(s, EV_GOAWAY, NULL);
        if (!e)
            return NGHTTP2_ERR_CALLBACK_FAILURE;
        e->n = frame->goaway.error_code;
        return 0;
    default: return 0;
    }
}

/* nghttp2 resets the stream. One that was not let in has no struct h2_stream: its refusal counts beside the resets that the peer
 * could have sent instead. What is not seen here is counted when its RST_STREAM goes out, which is not before the turn ends. */
static int on_invalid_frame(nghttp2_session *ng, const nghttp2_frame *frame, int error, void *user)
{
    struct h2_session *s = user;
    struct h2_stream *st = stream_of(s, frame->hd.stream_id);
    enum abuse_kind kind = error == NGHTTP2_ERR_REFUSED_STREAM ? ABUSE_RESETS : ABUSE_PROVOKED;

    if (kind == ABUSE_PROVOKED && (!st || st->is_reset))
        return 0;
    if (st)
        st->is_reset = 1;
    if (!s->flood)
        s->flood = h2_abuse_charge(&s->abuse, kind, s->now);
    return 0;
}

static int on_stream_close(nghttp2_session *ng, int32_t id, uint32_t error, void *user)
{
    struct h2_session *s = user;
    struct h2_stream *st = stream_of(s, id);
    struct event *e;

    if (!st)
        return 0;
    st->gone = 1;
    s->last = NULL;
    /* the peer may say NO_ERROR in the middle: then it is not the orderly end that NO_ERROR stands for */
    if (error == NGHTTP2_NO_ERROR && !(s->role == H2_SERVER ? st->ended : st->peer_ended))
        error = s->role == H2_SERVER ? H2_CANCEL : H2_INTERNAL_ERROR;
    if (s->block == st)
        s->block = NULL;
    e = event_push(s, EV_CLOSE, st);
    if (!e)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    e->n = error;
    return 0;
}

/* --- sending */

ssize_t h2_record_read(nghttp2_session *ng, int32_t id, uint8_t *to, size_t n, uint32_t *flags,
                       nghttp2_data_source *source, void *user)
{
    struct h2_stream *st = source->ptr;
    size_t take = MIN(st->pending, n);

    if (take == 0 && !st->finishing) {
        st->deferred = 1;
        return NGHTTP2_ERR_DEFERRED;
    }
    if (st->finishing && take == st->pending) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (st->n_trailers) {
            if (nghttp2_submit_trailer(ng, id, st->trailers, st->n_trailers) != 0) {
                h2_session_fail(st->session, -ENOMEM);
                return NGHTTP2_ERR_CALLBACK_FAILURE;
            }
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        }
    }
    if (take)
        *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    return (ssize_t)take;
}

/* One copy: from the stream's buffer behind the frame header into the output. */
static int on_send_data(nghttp2_session *ng, nghttp2_frame *frame, const uint8_t *head, size_t n,
                        nghttp2_data_source *source, void *user)
{
    enum { HEAD_BYTES = 9 };
    struct h2_session *s = user;
    struct h2_stream *st = source->ptr;
    uint8_t *to;

    if (buf_reserve(s->out, HEAD_BYTES + n) < 0) {
        h2_session_fail(s, -ENOMEM);
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    to = buf_tail(s->out);
    memcpy(to, head, HEAD_BYTES);
    memcpy(to + HEAD_BYTES, buf_head(&st->out), n);
    buf_commit(s->out, HEAD_BYTES + n);
    h2_stream_progress(st, n);
    s->last = st;
    if (st->was_full && st->pending <= H2_STREAM_LOW_BYTES) {
        st->was_full = 0;
        if (h2_record_writable(st) < 0)
            return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    if (buf_len(s->out) < s->out_limit)
        return 0;
    s->paused = 1;
    return NGHTTP2_ERR_PAUSE;
}

/* Our side has ended. A server that is done before the peer is says so (RFC 9113 section 8.1). */
static int end_sent(struct h2_session *s, int32_t id)
{
    struct h2_stream *st = stream_of(s, id);

    if (!st)
        return 0;
    st->ended = 1;
    list_del(&st->write_link);
    if (s->role != H2_SERVER || st->peer_ended || st->is_reset)
        return 0;
    st->is_reset = 1;
    return nghttp2_submit_rst_stream(s->ng, NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR) == 0
                   ? 0
                   : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int goaway_sent(struct h2_session *s, uint32_t error)
{
    if (s->ended)
        return 0;
    if (error == NGHTTP2_NO_ERROR)
        return s->is_leaving && h2_session_on_notice(s) < 0 ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
    /* nghttp2's own decision: the peer broke the protocol */
    h2_session_end(s, error,
                   error == NGHTTP2_COMPRESSION_ERROR    ? "compression_error"
                   : error == NGHTTP2_FLOW_CONTROL_ERROR ? "flow_control_error"
                   : error == NGHTTP2_FRAME_SIZE_ERROR   ? "frame_size_error"
                   : error == NGHTTP2_INTERNAL_ERROR     ? "internal_error"
                                                         : "protocol_error");
    return 0;
}

static int on_frame_send(nghttp2_session *ng, const nghttp2_frame *frame, void *user)
{
    struct h2_session *s = user;
    struct h2_stream *st;

    switch (frame->hd.type) {
    case NGHTTP2_DATA: h2_abuse_sent_data(&s->abuse); __attribute__((fallthrough));
    case NGHTTP2_HEADERS:
        return frame->hd.flags & NGHTTP2_FLAG_END_STREAM ? end_sent(s, frame->hd.stream_id) : 0;
    case NGHTTP2_RST_STREAM:
        st = stream_of(s, frame->hd.stream_id);
        if (st && !st->is_reset && !s->flood)
            s->flood = h2_abuse_charge(&s->abuse, ABUSE_PROVOKED, s->now);
        return 0;
    case NGHTTP2_GOAWAY: return goaway_sent(s, frame->goaway.error_code);
    default: return 0;
    }
}

/* A header block that cannot be packed (too large): without this its stream would wait for ever. */
static int on_frame_not_send(nghttp2_session *ng, const nghttp2_frame *frame, int error, void *user)
{
    struct h2_session *s = user;
    struct h2_stream *st;

    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat == NGHTTP2_HCAT_REQUEST)
        return 0;
    st = stream_of(s, frame->hd.stream_id);
    if (!st || st->is_reset)
        return 0;
    st->is_reset = 1;
    return nghttp2_submit_rst_stream(ng, NGHTTP2_FLAG_NONE, st->id, NGHTTP2_INTERNAL_ERROR) == 0
                   ? 0
                   : NGHTTP2_ERR_CALLBACK_FAILURE;
}

int h2_record_callbacks(nghttp2_session_callbacks **ret)
{
    nghttp2_session_callbacks *c;

    if (mem_fail_here() || nghttp2_session_callbacks_new(&c) != 0)
        return -ENOMEM;
    nghttp2_session_callbacks_set_on_begin_headers_callback(c, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback2(c, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data_chunk);
    nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame_recv);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(c, on_invalid_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(c, on_stream_close);
    nghttp2_session_callbacks_set_send_data_callback(c, on_send_data);
    nghttp2_session_callbacks_set_on_frame_send_callback(c, on_frame_send);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(c, on_frame_not_send);
    *ret = c;
    return 0;
}
