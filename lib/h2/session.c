// SPDX-License-Identifier: Apache-2.0
/*
 * A session: the frame around nghttp2 that makes rule 1 true. Input goes through in slices; after each slice
 * what was recorded goes up, so that between two slices the owner above has answered and may have ended
 * streams, or the session. The other files of this room are listed in internal.h.
 */
#include "base/mem.h"
#include "h2/internal.h"

#include <errno.h>
#include <string.h>

struct h2_config h2_config_server(void)
{
    return (struct h2_config){
            .max_streams = 2000,
            .stream_window_bytes = 256 * 1024,
            .connection_window_bytes = 2 * 1024 * 1024,
            .max_header_list_bytes = 16 * 1024,
            .preface_timeout_ns = 10 * NS_PER_S,
            .headers_timeout_ns = 10 * NS_PER_S,
            .body_timeout_ns = 60 * NS_PER_S,
            .idle_timeout_ns = 30 * 60 * NS_PER_S,
            .write_timeout_ns = 60 * NS_PER_S,
            .keepalive_ns = 2 * 60 * NS_PER_S,
            .keepalive_timeout_ns = 20 * NS_PER_S,
            .resets = {5000, 1000},
            .provoked = {200, 10},
            .pings = {100, 10},
            .settings = {100, 10},
            .priorities = {1000, 100},
            .window_updates = {1000, 100},
            .empty_data = {1000, 100},
    };
}

struct h2_config h2_config_client(void)
{
    return (struct h2_config){
            .stream_window_bytes = 1024 * 1024,
            .connection_window_bytes = 8 * 1024 * 1024,
            .max_header_list_bytes = 64 * 1024,
            .preface_timeout_ns = 20 * NS_PER_S,
            .headers_timeout_ns = 60 * NS_PER_S,
            .body_timeout_ns = 60 * NS_PER_S,
            .write_timeout_ns = 60 * NS_PER_S,
            .resets = {100000, 10000},
            .provoked = {1000, 100},
            .pings = {1000, 100},
            .settings = {1000, 100},
            .priorities = {1000, 100},
            .window_updates = {100000, 10000},
            .empty_data = {10000, 1000},
    };
}

/* --- birth and end */

static int settings_submit(struct h2_session *s)
{
    const struct h2_config *c = &s->config;
    nghttp2_settings_entry iv[] = {
            {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, c->stream_window_bytes},
            {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, c->max_header_list_bytes},
            {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
            {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, s->role == H2_SERVER ? c->max_streams : 0},
            {NGHTTP2_SETTINGS_ENABLE_PUSH, 0}, /* a client's to say */
    };
    size_t n = s->role == H2_SERVER ? ARRAY_LEN(iv) - 1 : ARRAY_LEN(iv);

    if (nghttp2_submit_settings(s->ng, NGHTTP2_FLAG_NONE, iv, n) != 0)
        return -ENOMEM;
    return nghttp2_session_set_local_window_size(s->ng, NGHTTP2_FLAG_NONE, 0,
                                                 (int32_t)c->connection_window_bytes) == 0
                   ? 0
                   : -ENOMEM;
}

static int ng_new(struct h2_session *s)
{
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *option = NULL;
    int r;

    if (h2_record_callbacks(&callbacks) < 0)
        return -ENOMEM;
    if (mem_fail_here() || nghttp2_option_new(&option) != 0) {
        nghttp2_session_callbacks_del(callbacks);
        return -ENOMEM;
    }
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_no_closed_streams(option, 1);
    nghttp2_option_set_max_outbound_ack(option, 1000);
#ifdef H2_HAS_RESET_RATE_LIMIT
    /* ours is the one that rules; nghttp2's default would end honest clients that cancel */
    nghttp2_option_set_stream_reset_rate_limit(option, UINT64_C(10) * s->config.resets.burst + 1000,
                                               UINT64_C(10) * s->config.resets.per_second + 1000);
#endif
#ifdef H2_HAS_MAX_CONTINUATIONS
    /* nghttp2 counts each read that ends inside a CONTINUATION's nine bytes as one more: leave that room */
    nghttp2_option_set_max_continuations(option, (ABUSE_CONTINUATIONS_MAX + 1) * 10);
#endif
    r = (s->role == H2_SERVER ? nghttp2_session_server_new3
                              : nghttp2_session_client_new3)(&s->ng, callbacks, s, option, &s->pool.mem);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    return r == 0 ? settings_submit(s) : -ENOMEM;
}

int h2_session_new(struct h2_session **ret, enum h2_role role, const struct h2_config *config,
                   const struct h2_ops *ops, void *user, mono_ns_t now)
{
    struct h2_session *s = mem_zalloc(sizeof *s);

    ASSERT(config->stream_window_bytes <= INT32_MAX && config->connection_window_bytes <= INT32_MAX);
    if (!s)
        return -ENOMEM;
    s->role = role;
    s->config = *config;
    s->ops = ops;
    s->user = user;
    s->now = now;
    list_init(&s->streams);
    list_init(&s->closing);
    list_init(&s->spare);
    mempool_init(&s->pool);
    h2_abuse_init(&s->abuse, role, config, now);
    h2_timers_init(s);
    if (ng_new(s) < 0) {
        s->failed = -ENOMEM;
        h2_session_free(s);
        return -ENOMEM;
    }
    *ret = s;
    return 0;
}

/* Every stream ends with @error. The owner above may end others from inside on_close. */
static void close_all(struct h2_session *s, uint32_t error)
{
    for (;;) {
        struct list *l = list_first(&s->closing);

        if (!l)
            l = list_first(&s->streams);
        if (!l)
            return;
        h2_stream_close(LIST_ENTRY(l, struct h2_stream, link), error);
    }
}

struct h2_session *h2_session_free(struct h2_session *s)
{
    if (!s)
        return NULL;
    ASSERT(!s->inside);
    s->inside = 1;
    s->ended = 1;
    close_all(s, H2_CANCEL);
    h2_record_free(s);
    if (s->failed)
        mempool_reset(&s->pool);
    else
        nghttp2_session_del(s->ng);
    h2_stream_free_spare(s);
    mempool_deinit(&s->pool);
    return mem_free(s);
}

int h2_session_fail(struct h2_session *s, int r)
{
    if (!s->failed) {
        s->failed = r;
        if (!s->end_reason)
            s->end_reason = "no_memory";
    }
    return s->failed;
}

void h2_session_end(struct h2_session *s, uint32_t error, const char *reason)
{
    if (!h2_session_is_open(s))
        return;
    s->ended = 1;
    s->ended_at = s->now;
    s->end_error = error == H2_NO_ERROR ? H2_CANCEL : error;
    s->end_reason = reason;
    if (nghttp2_session_terminate_session(s->ng, error) != 0)
        h2_session_fail(s, -ENOMEM);
}

void h2_session_flooded(struct h2_session *s, const char *reason)
{
    if (UNLIKELY(reason != NULL))
        h2_session_end(s, H2_ENHANCE_YOUR_CALM, reason);
}

/* A request may cross a GOAWAY on its way. So a server says it twice (RFC 9113, section 6.8): first that it is about to
 * leave, with the highest number that there is and a PING behind it; a peer that has answered the PING has read that and
 * begins nothing more, so what it began is here, and the second GOAWAY names the last of it. */
static const uint8_t leave_ping[8] = {'l', 'e', 'a', 'v', 'i', 'n', 'g', 0};

void h2_session_leave_off(struct h2_session *s)
{
    s->is_leaving = 0;
    if (nghttp2_submit_goaway(s->ng, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(s->ng),
                              NGHTTP2_NO_ERROR, NULL, 0) != 0)
        h2_session_fail(s, -ENOMEM);
}

void h2_session_on_pong(struct h2_session *s, const uint8_t *payload)
{
    if (s->is_leaving && memcmp(payload, leave_ping, sizeof leave_ping) == 0)
        h2_session_leave_off(s);
}

void h2_session_drain_for(struct h2_session *s, const char *reason)
{
    if (!h2_session_is_open(s) || s->draining)
        return;
    s->draining = 1;
    s->drain_reason = reason;
    if (s->role == H2_CLIENT) {
        h2_session_leave_off(s);
        return;
    }
    s->is_leaving = 1;
    s->leave_at = 0;
    if (nghttp2_submit_shutdown_notice(s->ng) != 0)
        h2_session_fail(s, -ENOMEM);
}

int h2_session_on_notice(struct h2_session *s)
{
    s->abuse.acks_owed++;
    return nghttp2_submit_ping(s->ng, NGHTTP2_FLAG_NONE, leave_ping) == 0 ? 0 : -ENOMEM;
}

void h2_session_drain(struct h2_session *s)
{
    h2_session_drain_for(s, "drained");
    h2_session_touch(s);
}

void h2_session_abort(struct h2_session *s, uint32_t error, const char *reason)
{
    h2_session_end(s, error, reason);
    if (!s->inside) {
        h2_session_enter(s, s->now);
        h2_session_settle(s);
        h2_session_leave(s);
    }
    h2_session_touch(s);
}

/* --- events */

void h2_session_enter(struct h2_session *s, mono_ns_t now)
{
    ASSERT(!s->inside);
    s->inside = 1;
    s->now = now;
    if (!list_is_empty(&s->body_fresh) || !list_is_empty(&s->writing_fresh))
        h2_timers_stamp(s);
}

void h2_session_leave(struct h2_session *s)
{
    s->inside = 0;
}

static void dispatch_headers(struct h2_session *s, const struct event *e)
{
    struct h2_stream *st = e->stream;
    int flags = e->flags & (H2_END | H2_TRAILERS);

    if (LIKELY(!(e->flags & EVENT_TOO_BIG))) {
        st->announced = 1;
        s->ops->on_headers(st, s->fields + e->first, e->n, flags);
    } else if (s->role == H2_SERVER && !(flags & H2_TRAILERS)) {
        h2_stream_refuse(st);
        st->announced = 1;
        s->ops->on_headers(st, NULL, 0, flags);
    } else {
        h2_stream_reset(st, H2_ENHANCE_YOUR_CALM);
    }
}

static void dispatch(struct h2_session *s, const struct event *e)
{
    struct h2_stream *st = e->stream;

    if (e->kind == EV_CLOSE) {
        h2_stream_close(st, st->is_closing ? st->error : e->n);
        return;
    }
    if (e->kind == EV_GOAWAY) {
        if (s->ops->on_goaway)
            s->ops->on_goaway(s->user, e->n);
        return;
    }
    if (st->is_closing)
        return;
    switch (e->kind) {
    case EV_HEADERS: dispatch_headers(s, e); break;
    case EV_DATA:
        if (st->refused)
            h2_stream_consume(st, e->data.len);
        else
            s->ops->on_data(st, e->data);
        break;
    case EV_END:
        if (!st->refused)
            s->ops->on_end(st);
        break;
    default:
        if (s->ops->on_writable)
            s->ops->on_writable(st);
        break;
    }
}

/* What the owner above has ended meanwhile, and everything when the session has ended. Each on_close may end more. */
static void close_ended(struct h2_session *s)
{
    for (struct list *l; (l = list_first(&s->closing));) {
        struct h2_stream *st = LIST_ENTRY(l, struct h2_stream, link);

        h2_stream_close(st, st->error);
    }
    if (!h2_session_is_open(s))
        close_all(s, s->failed ? H2_INTERNAL_ERROR : s->end_error);
}

/* Whether there is room again, and not only for the next reply. */
static int has_come_down(struct h2_session *s)
{
    /* nothing to send, and the connection's window is open: what waits is behind the windows of its streams */
    if (h2_session_is_open(s) && !nghttp2_session_want_write(s->ng) &&
        nghttp2_session_get_remote_window_size(s->ng) > 0)
        s->shut_bytes = s->pending_bytes;
    return h2_session_has_room(s, H2_OUTPUT_HIGH_BYTES / 2);
}

void h2_session_settle(struct h2_session *s)
{
    for (uint32_t i = 0; i < s->n_events; i++) {
        const struct event *e = &s->events[i];

        if (h2_session_is_open(s) || e->kind == EV_CLOSE)
            dispatch(s, e);
    }
    close_ended(s);
    if (s->n_events || s->block_first)
        h2_record_clear(s);
    if (s->above && has_come_down(s)) {
        s->above = 0;
        if (s->ops->on_room && h2_session_is_open(s))
            s->ops->on_room(s->user);
        close_ended(s);
    }
}

void h2_session_touch(struct h2_session *s)
{
    if (!s->inside && s->wake)
        s->wake(s->wake_arg);
}

/* --- bytes in */

static void recv_error(struct h2_session *s, ssize_t r)
{
    if (s->failed)
        return;
    switch (r) {
    case NGHTTP2_ERR_BAD_CLIENT_MAGIC: h2_session_end(s, H2_PROTOCOL_ERROR, "bad_preface"); break;
    case NGHTTP2_ERR_FLOODED: h2_session_end(s, H2_ENHANCE_YOUR_CALM, "ack_flood"); break;
    case NGHTTP2_ERR_NOMEM:
    case NGHTTP2_ERR_CALLBACK_FAILURE: h2_session_fail(s, -ENOMEM); break;
    default: h2_session_end(s, H2_ENHANCE_YOUR_CALM, "continuation_flood"); break;
    }
}

static void recv_slice(struct h2_session *s, const uint8_t *p, size_t n)
{
    ssize_t r;

    h2_session_flooded(s, h2_abuse_scan(&s->abuse, p, n, s->now));
    if (!h2_session_is_open(s))
        return;
    r = nghttp2_session_mem_recv(s->ng, p, n);
    if (UNLIKELY(r < 0))
        recv_error(s, r);
    if (UNLIKELY(s->abuse.headers_unexplained > 0))
        h2_session_flooded(s, h2_abuse_settle(&s->abuse, s->now));
    h2_session_flooded(s, s->flood);
    if (s->orphan_bytes && h2_session_is_open(s)) {
        if (nghttp2_session_consume_connection(s->ng, s->orphan_bytes) != 0)
            h2_session_fail(s, -ENOMEM);
        s->orphan_bytes = 0;
    }
}

int h2_session_recv(struct h2_session *s, const uint8_t *p, size_t n, mono_ns_t now)
{
    h2_session_enter(s, now);
    if (n) {
        s->received_at = s->busy_at = now;
        s->ping_at = CLOCK_NEVER;
    }
    while (n && h2_session_is_open(s)) {
        size_t take = MIN(n, (size_t)H2_SLICE_BYTES);

        recv_slice(s, p, take);
        h2_session_settle(s);
        if (!s->failed && nghttp2_session_get_outbound_queue_size(s->ng) >
                                  H2_CONTROL_FRAMES_MAX + (size_t)4 * s->n_streams) {
            h2_session_flooded(s, "output_flood");
            h2_session_settle(s);
        }
        p += take;
        n -= take;
    }
    h2_session_leave(s);
    return s->failed ? s->failed : h2_session_wants_read(s) ? 0 : H2_E_OVER;
}

/* --- bytes out */

int h2_session_send(struct h2_session *s, struct buf *out, size_t limit, mono_ns_t now)
{
    size_t before = buf_len(out);
    const uint8_t *p;

    h2_session_enter(s, now);
    s->out = out;
    s->out_limit = limit;
    while (!s->failed && buf_len(out) < limit) {
        ssize_t n = nghttp2_session_mem_send(s->ng, &p);

        if (n > 0 && buf_append(out, p, (size_t)n) < 0)
            n = NGHTTP2_ERR_NOMEM;
        if (n < 0)
            h2_session_fail(s, -ENOMEM);
        if (n == 0 && !s->paused)
            break;
        s->paused = 0;
    }
    s->out = NULL;
    if (s->handed_bytes == 0)
        s->handed_at = now;
    s->handed_bytes += buf_len(out) - before;
    h2_session_flooded(s, s->flood);
    h2_session_settle(s);
    h2_session_leave(s);
    return s->failed;
}

void h2_session_sent(struct h2_session *s, size_t n, mono_ns_t now)
{
    ASSERT(n <= s->handed_bytes);
    s->handed_bytes -= n;
    s->now = now;
    if (n)
        s->handed_at = now;
}

/* --- questions */

void h2_session_on_wake(struct h2_session *s, void (*wake)(void *arg), void *arg)
{
    s->wake = wake;
    s->wake_arg = arg;
}

void h2_session_wake(struct h2_session *s)
{
    s->owner_woken = 1;
    if (s->wake)
        s->wake(s->wake_arg);
}

mono_ns_t h2_session_now(const struct h2_session *s)
{
    return s->now;
}

int h2_session_wants_read(const struct h2_session *s)
{
    return h2_session_is_open(s) && nghttp2_session_want_read(s->ng);
}

int h2_session_wants_write(const struct h2_session *s)
{
    return !s->failed && !s->is_dead && nghttp2_session_want_write(s->ng);
}

int h2_session_is_over(const struct h2_session *s)
{
    return !h2_session_wants_read(s) && !h2_session_wants_write(s);
}

int h2_session_is_dead(const struct h2_session *s)
{
    return s->is_dead || s->failed;
}

const char *h2_session_end_reason(const struct h2_session *s)
{
    if (s->end_reason)
        return s->end_reason;
    if (!h2_session_is_over(s))
        return "";
    return s->drain_reason ? s->drain_reason : "peer_goaway";
}

void *h2_session_user(const struct h2_session *s)
{
    return s->user;
}

uint32_t h2_session_n_streams(const struct h2_session *s)
{
    return s->n_streams;
}

size_t h2_session_pending_bytes(const struct h2_session *s)
{
    return s->pending_bytes;
}

int h2_session_has_room(const struct h2_session *s, size_t held)
{
    size_t all = s->pending_bytes + held;

    return LIKELY(all <= H2_OUTPUT_HIGH_BYTES) ||
           (all <= H2_OUTPUT_MAX_BYTES && all - s->shut_bytes <= H2_OUTPUT_HIGH_BYTES);
}

size_t h2_session_memory_bytes(const struct h2_session *s)
{
    return sizeof *s + s->pool.live_bytes + s->pool.kept_bytes + s->cap_events * sizeof *s->events +
           s->cap_fields * (sizeof *s->fields + sizeof *s->refs) +
           (s->n_streams + s->n_spare) * (sizeof(struct h2_stream) + s->config.stream_user_bytes) +
           s->pending_bytes;
}
