// SPDX-License-Identifier: Apache-2.0
/*
 * Streams: one allocation each (with the owner's object behind), pooled per session together with a few KiB of
 * output buffer, because a unary call lives for microseconds. After the end of a stream, which the owner above
 * may learn later than nghttp2 does, everything that would send becomes a no-op.
 */
#include "base/mem.h"
#include "h2/internal.h"

#include <errno.h>
#include <string.h>

/* --- life */

static size_t stream_bytes(const struct h2_session *s)
{
    return sizeof(struct h2_stream) + s->config.stream_user_bytes;
}

struct h2_stream *h2_stream_new(struct h2_session *s, int32_t id)
{
    struct list *l = list_pop_front(&s->spare);
    struct h2_stream *st = l ? LIST_ENTRY(l, struct h2_stream, link) : NULL;
    struct buf out = BUF_INIT;

    if (st) {
        s->n_spare--;
        out = st->out;
        if (mem_fail_here()) {
            buf_deinit(&out);
            st = mem_free(st);
        }
    } else {
        st = mem_alloc(stream_bytes(s));
    }
    if (!st) {
        h2_session_fail(s, -ENOMEM);
        return NULL;
    }
    memset(st, 0, stream_bytes(s));
    st->session = s;
    st->out = out;
    st->id = id;
    st->expects = s->role == H2_SERVER;
    list_init(&st->body_link);
    list_init(&st->write_link);
    list_push_back(&s->streams, &st->link);
    s->n_streams++;
    s->is_resting = 0;
    h2_stream_alive(st);
    return st;
}

static void stream_free(struct h2_stream *st)
{
    buf_deinit(&st->out);
    mem_free(st);
}

void h2_stream_free_spare(struct h2_session *s)
{
    for (struct list *l; (l = list_pop_front(&s->spare));)
        stream_free(LIST_ENTRY(l, struct h2_stream, link));
    s->n_spare = 0;
}

static void trailers_free(struct h2_stream *st)
{
    if (st->trailers && st->trailers != st->inline_trailers)
        mem_free(st->trailers);
    st->trailers = NULL;
    st->n_trailers = 0;
}

static void output_gone(struct h2_session *s, size_t n)
{
    s->pending_bytes -= n;
    s->shut_bytes = MIN(s->shut_bytes, s->pending_bytes);
}

/* What waits is dropped: nothing of this stream goes out any more. */
static void output_drop(struct h2_stream *st)
{
    output_gone(st->session, st->pending);
    st->pending = 0;
    buf_clear(&st->out);
    list_del(&st->write_link);
}

static void stream_credit(struct h2_session *s, size_t n)
{
    if (n && h2_session_is_open(s) && nghttp2_session_consume_connection(s->ng, n) != 0)
        h2_session_fail(s, -ENOMEM);
}

void h2_stream_close(struct h2_stream *st, uint32_t error)
{
    struct h2_session *s = st->session;

    if (!st->gone && !s->failed)
        nghttp2_session_set_stream_user_data(s->ng, st->id, NULL);
    st->gone = 1;
    if (s->last == st)
        s->last = NULL;
    if (s->block == st)
        s->block = NULL;
    output_drop(st);
    list_del(&st->link);
    list_del(&st->body_link);
    s->n_streams--;
    s->busy_at = s->now;
    if (st->announced && s->ops->on_close)
        s->ops->on_close(st, error);
    stream_credit(s, st->unconsumed);
    trailers_free(st);
    if (!POOL_KEEPS || s->n_spare == H2_SPARE_STREAMS) {
        stream_free(st);
        return;
    }
    buf_clear(&st->out);
    buf_shrink(&st->out, H2_SPARE_OUT_BYTES);
    list_push_front(&s->spare, &st->link);
    s->n_spare++;
}

void h2_stream_alive(struct h2_stream *st)
{
    struct h2_session *s = st->session;

    if (st->peer_ended || !st->expects) {
        list_del(&st->body_link);
        return;
    }
    if (list_is_linked(&st->body_link)) {
        if (s->inside && st->body_at == s->now)
            return;
        list_del(&st->body_link);
    }
    st->body_at = s->now;
    list_push_back(s->inside ? &s->body : &s->body_fresh, &st->body_link);
}

static void writing_restart(struct h2_stream *st)
{
    struct h2_session *s = st->session;

    list_del(&st->write_link);
    st->write_at = s->now;
    list_push_back(s->inside ? &s->writing : &s->writing_fresh, &st->write_link);
}

void h2_stream_progress(struct h2_stream *st, size_t n)
{
    buf_consume(&st->out, n);
    st->pending -= n;
    output_gone(st->session, n);
    if (st->pending || st->finishing)
        writing_restart(st);
    else
        list_del(&st->write_link);
    buf_shrink(&st->out, H2_STREAM_LOW_BYTES);
}

/* --- what the owner above sees */

struct h2_session *h2_stream_session(const struct h2_stream *s)
{
    return s->session;
}

void *h2_stream_user(struct h2_stream *s)
{
    return s->user;
}

struct h2_stream *h2_stream_of_user(void *user)
{
    return (struct h2_stream *)(void *)((unsigned char *)user - offsetof(struct h2_stream, user));
}

int32_t h2_stream_id(const struct h2_stream *s)
{
    return s->id;
}

struct buf *h2_stream_out(struct h2_stream *s)
{
    return &s->out;
}

size_t h2_stream_pending(const struct h2_stream *s)
{
    return s->pending;
}

int h2_stream_is_writable(const struct h2_stream *s)
{
    return !s->was_full;
}

static int is_mute(const struct h2_stream *st)
{
    return st->gone || st->is_reset || st->refused || !h2_session_is_open(st->session);
}

/* nghttp2 does not change what it is given, its structure only has no const. */
static uint8_t *unconst(const uint8_t *p)
{
    return (uint8_t *)(uintptr_t)p;
}

static void nv_fill(nghttp2_nv *nva, const struct h2_header *headers, size_t n, int is_static)
{
    uint8_t flags =
            is_static ? NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE : NGHTTP2_NV_FLAG_NONE;

    for (size_t i = 0; i < n; i++)
        nva[i] = (nghttp2_nv){unconst(headers[i].name.p), unconst(headers[i].value.p), headers[i].name.len,
                              headers[i].value.len, flags};
}

/* What a handler adds to a response (an ID) does not come again: a place in HPACK's table would cost both ends a search
 * with every block that follows, and push out what does. */
static void nv_mark_unique(nghttp2_nv *nva, size_t n)
{
    static const char *const common[] = {":", "content-type", "grpc-"}; /* what their names begin with */

    for (size_t i = 0; i < n; i++) {
        int is_common = 0;

        for (size_t k = 0; k < ARRAY_LEN(common); k++)
            is_common |= nva[i].namelen >= strlen(common[k]) &&
                         memcmp(nva[i].name, common[k], strlen(common[k])) == 0;
        if (!is_common)
            nva[i].flags |= NGHTTP2_NV_FLAG_NO_INDEX;
    }
}

int h2_stream_respond(struct h2_stream *s, const struct h2_header *headers, size_t n, int end, int is_static)
{
    nghttp2_data_provider provider = {.source.ptr = s, .read_callback = h2_record_read};
    nghttp2_nv nva[H2_HEADERS_MAX];

    ASSERT(n <= H2_HEADERS_MAX && s->session->role == H2_SERVER);
    if (is_mute(s))
        return 0;
    ASSERT(!s->responded && !(end && s->pending));
    nv_fill(nva, headers, n, is_static);
    if (!is_static)
        nv_mark_unique(nva, n);
    if (nghttp2_submit_response(s->session->ng, s->id, nva, n, end ? NULL : &provider) != 0)
        return h2_session_fail(s->session, -ENOMEM);
    s->responded = 1;
    s->finishing = !!end;
    h2_session_touch(s->session);
    return 0;
}

static void data_resume(struct h2_stream *st)
{
    static const nghttp2_extpri in_turn = {.urgency = NGHTTP2_EXTPRI_DEFAULT_URGENCY, .inc = 1};
    struct h2_session *s = st->session;

    if (s->role == H2_SERVER && !st->incremental && (st->deferred || st->pending > H2_SLICE_BYTES)) {
        /* more than one frame: take turns with the other streams (RFC 9218), instead of one after the other */
        st->incremental = 1;
        nghttp2_session_change_extpri_stream_priority(s->ng, st->id, &in_turn, 1);
    }
    if (st->deferred) {
        st->deferred = 0;
        if (nghttp2_session_resume_data(s->ng, st->id) == NGHTTP2_ERR_NOMEM)
            h2_session_fail(s, -ENOMEM);
    }
    h2_session_touch(s);
}

/* Out of line: each message comes to output_count, hardly one comes here. */
static __attribute__((noinline)) void look_above(struct h2_session *s)
{
    if (!h2_session_has_room(s, 0))
        s->above = 1;
}

static void output_count(struct h2_stream *st)
{
    struct h2_session *s = st->session;
    size_t grown = buf_len(&st->out) - st->pending;

    if (grown == 0)
        return;
    if (st->pending == 0)
        writing_restart(st);
    st->pending += grown;
    s->pending_bytes += grown;
    if (st->pending >= H2_STREAM_HIGH_BYTES)
        st->was_full = 1;
    if (UNLIKELY(s->pending_bytes > H2_OUTPUT_HIGH_BYTES))
        look_above(s);
}

void h2_stream_flush(struct h2_stream *s)
{
    ASSERT(buf_len(&s->out) >= s->pending);
    if (is_mute(s)) {
        output_drop(s);
        return;
    }
    ASSERT(!s->finishing);
    output_count(s);
    data_resume(s);
}

static int trailers_copy(struct h2_stream *st, const struct h2_header *trailers, size_t n, int is_static)
{
    size_t bytes = n * sizeof *st->trailers;
    uint8_t *to;

    if (is_static && n <= H2_TRAILERS_INLINE) {
        st->trailers = st->inline_trailers;
        nv_fill(st->trailers, trailers, n, 1);
        st->n_trailers = (uint32_t)n;
        return 0;
    }
    for (size_t i = 0; i < n && !is_static; i++)
        bytes += trailers[i].name.len + trailers[i].value.len;
    st->trailers = mem_alloc(bytes);
    if (!st->trailers)
        return -ENOMEM;
    st->n_trailers = (uint32_t)n;
    nv_fill(st->trailers, trailers, n, is_static);
    to = (uint8_t *)(st->trailers + n);
    for (size_t i = 0; i < n && !is_static; i++) {
        nghttp2_nv *nv = &st->trailers[i];

        if (nv->namelen)
            memcpy(to, nv->name, nv->namelen);
        nv->name = to;
        to += nv->namelen;
        if (nv->valuelen)
            memcpy(to, nv->value, nv->valuelen);
        nv->value = to;
        to += nv->valuelen;
    }
    return 0;
}

int h2_stream_finish(struct h2_stream *s, const struct h2_header *trailers, size_t n, int is_static)
{
    ASSERT(n <= H2_HEADERS_MAX && (n == 0 || s->session->role == H2_SERVER));
    if (is_mute(s))
        return 0;
    ASSERT(s->responded && !s->finishing);
    if (n && trailers_copy(s, trailers, n, is_static) < 0)
        return -ENOMEM;
    output_count(s);
    s->finishing = 1;
    if (!s->pending)
        writing_restart(s); /* a shut window holds back even an empty last DATA frame */
    data_resume(s);
    return s->session->failed;
}

/* The stream is over for us: on_close comes with the next settle, whatever nghttp2 still has to do for it. */
static void stream_closing(struct h2_stream *st, uint32_t error)
{
    st->is_reset = st->is_closing = 1;
    st->error = error;
    output_drop(st);
    list_del(&st->body_link);
    list_del(&st->link);
    list_push_back(&st->session->closing, &st->link);
}

void h2_stream_reset(struct h2_stream *s, uint32_t error)
{
    struct h2_session *session = s->session;

    if (s->gone || s->is_reset || !h2_session_is_open(session))
        return;
    if (nghttp2_submit_rst_stream(session->ng, NGHTTP2_FLAG_NONE, s->id, error) != 0)
        h2_session_fail(session, -ENOMEM);
    stream_closing(s, error == H2_NO_ERROR ? H2_CANCEL : error);
    h2_session_touch(session);
}

void h2_stream_refuse(struct h2_stream *st)
{
    static const struct h2_header answer = {SPAN_LIT(":status"), SPAN_LIT("431")};

    if (h2_stream_respond(st, &answer, 1, 1, 1) == 0)
        st->refused = 1;
}

void h2_stream_consume(struct h2_stream *s, size_t n)
{
    struct h2_session *session = s->session;

    ASSERT(n <= s->unconsumed);
    s->unconsumed -= n;
    if (!h2_session_is_open(session))
        return;
    /* no more is to come for a stream whose peer has ended, so only the connection needs the credit */
    if ((s->peer_ended || s->gone ? nghttp2_session_consume_connection(session->ng, n)
                                  : nghttp2_session_consume(session->ng, s->id, n)) != 0)
        h2_session_fail(session, -ENOMEM);
    if (!session->inside && nghttp2_session_want_write(session->ng))
        h2_session_touch(session);
}

void h2_stream_expect_body(struct h2_stream *s, int expects)
{
    s->expects = !!expects;
    if (s->gone || s->is_reset)
        return;
    h2_stream_alive(s);
    h2_session_touch(s->session);
}

int h2_session_request(struct h2_session *s, const struct h2_header *headers, size_t n, int end,
                       struct h2_stream **ret)
{
    nghttp2_data_provider provider = {.read_callback = h2_record_read};
    nghttp2_nv nva[H2_HEADERS_MAX];
    struct h2_stream *st;
    int32_t id;

    ASSERT(n <= H2_HEADERS_MAX && s->role == H2_CLIENT);
    if (s->failed)
        return s->failed;
    if (s->ended || s->draining || !nghttp2_session_check_request_allowed(s->ng) ||
        nghttp2_session_get_outbound_queue_size(s->ng) > H2_CONTROL_FRAMES_MAX ||
        s->n_streams >= nghttp2_session_get_remote_settings(s->ng, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS))
        return H2_E_REFUSED;
    st = h2_stream_new(s, 0);
    if (!st)
        return s->failed;
    provider.source.ptr = st;
    nv_fill(nva, headers, n, 0);
    id = nghttp2_submit_request(s->ng, NULL, nva, n, end ? NULL : &provider, st);
    if (id < 0) {
        st->gone = 1;
        h2_stream_close(st, H2_REFUSED_STREAM);
        return id == NGHTTP2_ERR_NOMEM ? h2_session_fail(s, -ENOMEM) : H2_E_REFUSED;
    }
    st->id = id;
    st->announced = st->responded = 1;
    st->finishing = !!end;
    h2_session_touch(s);
    *ret = st;
    return 0;
}
