// SPDX-License-Identifier: Apache-2.0
/*
 * The timeouts. Each kind has one length per session, so streams that wait for the same kind stand in a list
 * in the order in which they started to wait: the first one is the next to expire, and a tick costs what
 * expired. A length of 0 turns a timeout off.
 *
 *   preface    no SETTINGS since the start                         -> session over
 *   headers    a header block that does not end                    -> session over
 *   body       a stream that is owed a frame                       -> stream reset
 *   write      a stream whose window stays shut                    -> stream reset
 *              bytes handed out that the socket does not take      -> session dead
 *   idle       no stream and no byte                               -> drained
 *   leave      a notice that we leave and no answer to it          -> no further stream
 *   keepalive  a PING without any answer                           -> session over
 *   rest       no stream: spare memory goes back
 *   linger     the last bytes of a session that is over            -> session dead
 */
#include "h2/internal.h"

#include <errno.h>

static mono_ns_t due(mono_ns_t since, int64_t length)
{
    return length > 0 && since != CLOCK_NEVER ? clock_add(since, length) : CLOCK_NEVER;
}

static struct h2_stream *first_body(const struct h2_session *s)
{
    struct list *l = list_first(&s->body);

    return l ? LIST_ENTRY(l, struct h2_stream, body_link) : NULL;
}

static struct h2_stream *first_writing(const struct h2_session *s)
{
    struct list *l = list_first(&s->writing);

    return l ? LIST_ENTRY(l, struct h2_stream, write_link) : NULL;
}

void h2_timers_init(struct h2_session *s)
{
    list_init(&s->body);
    list_init(&s->body_fresh);
    list_init(&s->writing);
    list_init(&s->writing_fresh);
    s->preface_at = due(s->now, s->config.preface_timeout_ns);
    s->received_at = s->busy_at = s->now;
    s->ping_at = CLOCK_NEVER;
    s->owner_at = s->ops->on_tick ? s->now : CLOCK_NEVER;
}

void h2_timers_stamp(struct h2_session *s)
{
    LIST_FOREACH (l, &s->body_fresh)
        LIST_ENTRY(l, struct h2_stream, body_link)->body_at = s->now;
    list_splice_back(&s->body, &s->body_fresh);
    LIST_FOREACH (l, &s->writing_fresh)
        LIST_ENTRY(l, struct h2_stream, write_link)->write_at = s->now;
    list_splice_back(&s->writing, &s->writing_fresh);
}

/* --- of streams */

static void tick_streams(struct h2_session *s)
{
    struct h2_stream *st;

    while ((st = first_body(s)) && due(st->body_at, s->config.body_timeout_ns) <= s->now) {
        list_del(&st->body_link);
        h2_stream_reset(st, H2_CANCEL);
    }
    while ((st = first_writing(s)) && due(st->write_at, s->config.write_timeout_ns) <= s->now) {
        list_del(&st->write_link);
        /* a gRPC client reads this code as RESOURCE_EXHAUSTED; trailers would have to wait behind the data */
        h2_stream_reset(st, H2_ENHANCE_YOUR_CALM);
    }
}

/* --- of the session */

static mono_ns_t socket_due(const struct h2_session *s)
{
    if (s->ended)
        return due(s->ended_at, H2_LINGER_NS);
    return s->handed_bytes ? due(s->handed_at, s->config.write_timeout_ns) : CLOCK_NEVER;
}

static mono_ns_t idle_due(const struct h2_session *s)
{
    return s->n_streams || s->draining ? CLOCK_NEVER : due(s->busy_at, s->config.idle_timeout_ns);
}

/* The notice may have been given outside of any turn, so its time begins with the first tick. */
static mono_ns_t leave_due(const struct h2_session *s)
{
    if (!s->is_leaving)
        return CLOCK_NEVER;
    return s->leave_at ? s->leave_at : s->now;
}

static void tick_leave(struct h2_session *s)
{
    if (s->is_leaving && !s->leave_at)
        s->leave_at = clock_add(s->now, H2_LEAVE_NS);
    else if (leave_due(s) <= s->now)
        h2_session_leave_off(s);
}

static mono_ns_t rest_due(const struct h2_session *s)
{
    return s->n_streams || s->is_resting ? CLOCK_NEVER : due(s->busy_at, H2_REST_NS);
}

static mono_ns_t keepalive_due(const struct h2_session *s)
{
    if (s->config.keepalive_ns <= 0)
        return CLOCK_NEVER;
    if (s->ping_at != CLOCK_NEVER)
        return due(s->ping_at, s->config.keepalive_timeout_ns);
    return due(s->received_at, s->config.keepalive_ns);
}

static void tick_keepalive(struct h2_session *s)
{
    if (keepalive_due(s) > s->now)
        return;
    if (s->ping_at != CLOCK_NEVER) {
        h2_session_end(s, H2_NO_ERROR, "keepalive_timeout");
        return;
    }
    s->ping_at = s->now;
    s->abuse.acks_owed++;
    if (nghttp2_submit_ping(s->ng, NGHTTP2_FLAG_NONE, NULL) != 0)
        h2_session_fail(s, -ENOMEM);
}

static void tick_session(struct h2_session *s)
{
    if (socket_due(s) <= s->now) {
        h2_session_end(s, H2_CANCEL, "write_timeout"); /* when it has not ended for another reason */
        s->is_dead = 1;
        return;
    }
    if (!h2_session_is_open(s))
        return;
    if (s->preface_at <= s->now)
        h2_session_end(s, H2_PROTOCOL_ERROR, "preface_timeout");
    else if (due(h2_abuse_block_since(&s->abuse), s->config.headers_timeout_ns) <= s->now)
        h2_session_end(s, H2_ENHANCE_YOUR_CALM, "headers_timeout");
    else if (idle_due(s) <= s->now)
        h2_session_drain_for(s, "idle_timeout");
    if (h2_session_is_open(s))
        tick_leave(s);
    if (h2_session_is_open(s))
        tick_keepalive(s);
    if (h2_session_is_open(s))
        tick_streams(s);
    if (rest_due(s) <= s->now) {
        s->is_resting = 1;
        h2_stream_free_spare(s);
        mempool_trim(&s->pool);
    }
}

static mono_ns_t next_tick(const struct h2_session *s)
{
    const struct h2_stream *body = first_body(s), *writing = first_writing(s);
    mono_ns_t next = socket_due(s);

    if (s->is_dead || s->failed)
        return CLOCK_NEVER;
    if (s->ended) /* on_tick does not come any more */
        return next;
    if (s->owner_woken)
        return s->now;
    next = MIN(next, s->owner_at);
    next = MIN(next, s->preface_at);
    next = MIN(next, due(h2_abuse_block_since(&s->abuse), s->config.headers_timeout_ns));
    next = MIN(next, idle_due(s));
    next = MIN(next, leave_due(s));
    next = MIN(next, rest_due(s));
    next = MIN(next, keepalive_due(s));
    if (body)
        next = MIN(next, due(body->body_at, s->config.body_timeout_ns));
    if (writing)
        next = MIN(next, due(writing->write_at, s->config.write_timeout_ns));
    return next;
}

mono_ns_t h2_session_tick(struct h2_session *s, mono_ns_t now)
{
    h2_session_enter(s, now);
    tick_session(s);
    if (s->ops->on_tick && h2_session_is_open(s) && (s->owner_woken || s->owner_at <= now)) {
        s->owner_woken = 0;
        s->owner_at = s->ops->on_tick(s->user, now);
    }
    h2_session_settle(s);
    h2_session_leave(s);
    return next_tick(s);
}
