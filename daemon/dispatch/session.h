// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Workers from elsewhere: whoever brings a session token. Nobody watches their processes, so a session lives by their word:
 * by Attach it ends, and its leases are lost, when nothing was heard for lease_ttl, whether the stream is there or not; by
 * Claim each lease has its own time (lease.user_at), and a session that holds nothing is forgotten like that.
 *
 * A lease that is lost was started, as far as anybody knows, only if the worker has told so; one that must not run twice
 * (on_lost FAIL) counts as started all the same.
 */
#include "dispatch/worker.h"

enum {
    SESSION_MAX = 1000,         /* workers from elsewhere */
    SESSION_LEASES_MAX = 10000, /* of one that claims */
};

struct remote {
    struct worker *worker;
    struct map_item by_token; /* in dispatch.sessions, unless it is over */
    uint64_t hello_hash;      /* of the last Hello */
    int64_t ttl_ns;
    mono_ns_t lost_at;  /* without a further word */
    mono_ns_t lease_at; /* a lease of a Claim is to be looked at then at the latest; CLOCK_NEVER */
    int is_late;        /* it was given a moment more, since it was we who were late */
    struct list claims; /* of struct claim.of_worker: its calls of Claim that are not over */
    uint32_t n_claims;
    struct grpc_peer peer;
    char token[HELLO_TOKEN_MAX_BYTES];
};

/* session_find: by its token, or NULL. */
struct worker *session_find(const struct dispatch *d, struct span token);

/* session_open: the worker of @hello, made where there is none of its token, as @call says who it is. What it serves is what
 * @hello says.
 *   Return: 0; WORKER_E_BAD (@st says why). */
MUST_CHECK int session_open(struct dispatch *d, struct grpc_call *call, const struct hello *hello,
                            enum worker_kind kind, struct worker **ret, struct grpc_status *st);

/* session_heartbeat_ns: how often one should say something whose leases live so long without. */
static inline int64_t session_heartbeat_ns(int64_t ttl_ns)
{
    return ttl_ns / 10 * 3;
}

/* session_heard: it has said something. */
void session_heard(struct worker *w, mono_ns_t now);

/* session_cut: it is over: @st, NULL = OK, ends its calls, and what it holds is lost. @w is freed, now or when there is memory
 * to settle its leases. */
void session_cut(struct worker *w, const struct grpc_status *st);

/* session_lose: the worker of @lease is gone, or will not end it. session_assume: what must not run twice counts as started from
 * now on. 0, -ENOMEM (as before). */
MUST_CHECK int session_assume(struct worker *w, struct lease *lease);
MUST_CHECK int session_lose(struct worker *w, struct lease *lease);
/* session_overdue: it should have ended the attempt by now: the lease is taken from it. 0, -ENOMEM. */
MUST_CHECK int session_overdue(struct worker *w, struct lease *lease);

/* session_tick: what its silence makes due. Returns when it wants to be called next. @w may be freed. */
mono_ns_t session_tick(struct worker *w, mono_ns_t now);

/* session_free: the part of @w that is a session's. */
void session_free(struct worker *w);
