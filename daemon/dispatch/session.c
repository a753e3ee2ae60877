// SPDX-License-Identifier: Apache-2.0
#include "dispatch/session.h"

#include "base/mem.h"
#include "dispatch/claim.h"
#include "dispatch/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* Whoever was late is we: a moment for what has been said meanwhile to be read. */
#define LATE_NS NS_PER_S

struct worker *session_find(const struct dispatch *d, struct span token)
{
    struct map_item *it = map_find(&d->sessions, token);

    return it ? CONTAINER_OF(it, struct remote, by_token)->worker : NULL;
}

static int too_many(struct grpc_status *st)
{
    status_set_retry(status_set(st, GRPC_RESOURCE_EXHAUSTED, "TOO_MANY_WORKERS",
                                "there are %d workers from elsewhere already; try again when one has gone",
                                SESSION_MAX),
                     10000);
    status_set_quota(st, "workers", "workers that are not of the daemon's pool");
    return WORKER_E_BAD;
}

static int other_kind(struct grpc_status *st)
{
    status_set(st, GRPC_FAILED_PRECONDITION, "SESSION_IN_USE",
               "hello.session_token is that of a worker that %s; each needs one of its own",
               "takes work in another way, by Attach or by Claim");
    status_set_precondition(st, "SESSION", "hello.session_token");
    return WORKER_E_BAD;
}

static struct worker *new_session(struct dispatch *d, struct grpc_call *call, struct span token,
                                  enum worker_kind kind)
{
    struct remote *remote = mem_zalloc(sizeof *remote);
    struct worker *w = remote ? worker_new(d, kind, grpc_call_now(call)) : NULL;

    if (!w) {
        mem_free(remote);
        return NULL;
    }
    w->remote = remote;
    remote->worker = w;
    remote->ttl_ns = d->config.lease_ttl_ns;
    remote->lease_at = CLOCK_NEVER;
    list_init(&remote->claims);
    memcpy(remote->token, token.p, token.len);
    if (map_insert(&d->sessions, &remote->by_token,
                   (struct span){(const uint8_t *)remote->token, token.len}) != 0) {
        remote->by_token.key = (struct span){0};
        worker_forget(w);
        return NULL;
    }
    return w;
}

int session_open(struct dispatch *d, struct grpc_call *call, const struct hello *hello, enum worker_kind kind,
                 struct worker **ret, struct grpc_status *st)
{
    uint64_t hash = hash_bytes(&d->config.seed, hello->message.p, hello->message.len);
    struct worker *w = session_find(d, hello->session_token);

    if (w && w->kind != kind)
        return other_kind(st);
    if (!w && d->sessions.n >= SESSION_MAX)
        return too_many(st);
    if (!w && !(w = new_session(d, call, hello->session_token, kind))) {
        worker_no_memory(st);
        return WORKER_E_BAD;
    }
    session_heard(w, grpc_call_now(call));
    w->remote->peer = *grpc_call_peer(call);
    if (w->is_ready && hash == w->remote->hello_hash) {
        *ret = w;
        return 0;
    }
    w->remote->hello_hash = 0;
    if (worker_describe(w, hello, st)) {
        if (!w->is_ready)
            worker_forget(w);
        return WORKER_E_BAD;
    }
    w->remote->hello_hash = hash;
    *ret = w;
    return 0;
}

void session_heard(struct worker *w, mono_ns_t now)
{
    w->heard_at = now;
    w->remote->lost_at = clock_add(now, w->remote->ttl_ns);
    w->remote->is_late = 0;
}

static void end_call(struct grpc_call *call, const struct grpc_status *st)
{
    grpc_call_set_user(call, NULL);
    if (st)
        grpc_call_fail(call, st);
    else
        grpc_call_finish(call);
}

/* Its token is free for another session. */
static void unlist(struct worker *w)
{
    struct remote *remote = w->remote;

    if (remote->by_token.key.len)
        map_remove(&w->dispatch->sessions, &remote->by_token);
    remote->by_token.key = (struct span){0};
}

void session_cut(struct worker *w, const struct grpc_status *st)
{
    if (w->call)
        end_call(w->call, st);
    w->call = NULL;
    worker_drop_credit(w);
    w->is_dead = 1;
    claim_drop_all(w, st);
    unlist(w);
    (void)!worker_bury(w); /* or the tick does */
}

static int must_not_run_twice(const struct lease *lease)
{
    return lease->future->on_lost == ON_LOST_FAIL;
}

int session_assume(struct worker *w, struct lease *lease)
{
    struct engine *e = w->dispatch->engine;

    return !lease->is_started && must_not_run_twice(lease) ? engine_start(e, lease, engine_wall(e)) : 0;
}

int session_lose(struct worker *w, struct lease *lease)
{
    int r = session_assume(w, lease);

    return r < 0 ? r : engine_lose(w->dispatch->engine, lease);
}

int session_overdue(struct worker *w, struct lease *lease)
{
    struct future_error error = {.code = GRPC_INTERNAL,
                                 .reason = REASON_CRASHED,
                                 .retryable = 1,
                                 .message = SPAN_LIT("its worker has not ended it in time")};
    struct finish finish = {.usage = {-1, -1, -1, -1}};
    int r;

    if (!lease->is_started && !must_not_run_twice(lease)) {
        engine_release(w->dispatch->engine, lease);
        return 0;
    }
    finish.error = future_error_new(&error);
    if (!finish.error)
        return -ENOMEM;
    r = engine_finish(w->dispatch->engine, lease, &finish);
    if (r < 0)
        future_error_unref(finish.error);
    return r;
}

/* Those of a worker that claims, each by its own time. */
static mono_ns_t lose_expired(struct worker *w, mono_ns_t now)
{
    mono_ns_t next = CLOCK_NEVER;

    if (LIKELY(w->remote->lease_at > now))
        return w->remote->lease_at;
    for (struct list *l = w->holder->leases.prev, *prev = l->prev; l != &w->holder->leases;
         l = prev, prev = l->prev) {
        struct lease *lease = LIST_ENTRY(l, struct lease, of_holder);

        if (lease->user_at > now)
            next = MIN(next, lease->user_at);
        else if (session_lose(w, lease) < 0)
            next = MIN(next, clock_add(now, DISPATCH_RETRY_NS));
    }
    w->remote->lease_at = next;
    return next;
}

static void silent(struct worker *w)
{
    struct grpc_status st;

    status_set_retry(
            status_set(&st, GRPC_UNAVAILABLE, "WORKER_SILENT",
                       "nothing was heard of the worker for %" PRId64
                       " ms, and what it held is lost; say hello again, and something every %" PRId64 " ms",
                       w->remote->ttl_ns / NS_PER_MS, session_heartbeat_ns(w->remote->ttl_ns) / NS_PER_MS),
            1000);
    dispatch_tell(w, "worker_lost", (struct span){0}, SPAN_LIT("nothing was heard of it"));
    session_cut(w, &st);
}

static mono_ns_t tick_silence(struct worker *w, mono_ns_t now)
{
    struct remote *remote = w->remote;

    if (now < remote->lost_at)
        return remote->lost_at;
    if (w->kind == WORKER_UNARY) {
        if (w->holder->n_leases || remote->n_claims)
            return CLOCK_NEVER; /* their ends come here again */
        session_cut(w, NULL);
        return CLOCK_NEVER;
    }
    if (!remote->is_late && now - remote->lost_at > LATE_NS) {
        remote->is_late = 1;
        remote->lost_at = clock_add(now, LATE_NS);
        return remote->lost_at;
    }
    silent(w);
    return CLOCK_NEVER;
}

mono_ns_t session_tick(struct worker *w, mono_ns_t now)
{
    mono_ns_t leases = lose_expired(w, now), silence;

    if (w->is_draining && w->kind == WORKER_STREAM && w->call && w->holder->n_leases == 0) {
        session_cut(w, NULL);
        return CLOCK_NEVER;
    }
    silence = tick_silence(w, now);
    return MIN(leases, silence);
}

void session_free(struct worker *w)
{
    if (!w->remote)
        return;
    ASSERT(list_is_empty(&w->remote->claims));
    unlist(w);
    w->remote = mem_free(w->remote);
}
