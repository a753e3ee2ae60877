// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Claim: work for who cannot hold a stream; what is told of it comes by Renew and Finish (report.h). A Claim waits in dispatch.claims until there is work for it or
 * its time is over. What its answer carries is delivered, and so (without `reserve`) started, when the answer has left for the
 * client in whole; where it has not, it goes back as if nobody had claimed it.
 */
#include "dispatch/session.h"

#define CLAIM_WAIT_MAX_NS (60 * NS_PER_S)
#define CLAIM_TTL_NS      (30 * NS_PER_S) /* unless it says otherwise */
#define CLAIM_TTL_MIN_NS  NS_PER_S
#define CLAIM_TTL_MAX_NS  (3600 * NS_PER_S)

enum {
    CLAIM_ITEMS_MAX = 1000,
    CLAIM_ENTRIES_MAX = 10000, /* of each kind in a Renew or Finish */
    CLAIM_CALLS_MAX = 64,      /* of one worker at a time */
};

struct claim {
    struct list link;      /* in dispatch.claims while it waits */
    struct list of_worker; /* in remote.claims */
    struct grpc_call *call;
    struct worker *worker; /* NULL: its session is over */
    uint32_t max_items;
    int is_reserve;
    int64_t ttl_ns;
    mono_ns_t until;
};

/* claim_handler: of the method's row, whose context is the dispatch. */
extern const struct grpc_handler claim_handler;

/* claim_read: decode the request of a unary call; -1: it is malformed, and the call has been ended. claim_session: the worker
 * that claims with @token, which is heard of by this; NULL: there is none, and the call has been ended. */
MUST_CHECK int claim_read(struct grpc_call *call, const struct codec_table *table, struct span message,
                          void *ret);
MUST_CHECK struct worker *claim_session(struct grpc_call *call, struct span token);

/* claim_hand_out: give work to the Claims that wait. claim_tick: d->claims_at has
 * come: end those whose time is over; when to come again. */
void claim_hand_out(struct dispatch *d);
mono_ns_t claim_tick(struct dispatch *d, mono_ns_t now);

/* claim_drain: nothing is handed out any more: Claims that wait are sent away. */
void claim_drain(struct dispatch *d);

/* claim_drop_all: the session of @w is over: @st, NULL = OK with nothing, ends its Claims. */
void claim_drop_all(struct worker *w, const struct grpc_status *st);

/* claim_room: how many more tasks the Claims of @w that wait would take. */
uint64_t claim_room(const struct worker *w);
