// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * futured.v1.Futures on top of the engine. One struct futures serves all connections.
 *
 *   futures.c  the table of methods, and the short ones: Get, Cancel, Annotate, Delete
 *   submit.c   Submit, SubmitStream; accepting one request, for run.c too
 *   run.c      Run, RunStream
 *   wait.c     Wait        as_completed.c  AsCompleted        watch.c  Watch        list.c  List
 *
 * A method that must wait embeds a struct waiter in its call's state; the engine lists it among the turn's answers, and
 * futures_answer gives it back to its method, which pulls what is ready as far as the client reads.
 */
#include "engine/engine.h"
#include "grpc/server.h"

struct futures;

/* futures_new: 0, -ENOMEM. @e is borrowed. @max_message_bytes bounds every reply; @seed its tables. Free after the
 * connections. */
MUST_CHECK int futures_new(struct futures **ret, struct engine *e, size_t max_message_bytes,
                           const struct hash_seed *seed);
struct futures *futures_free(struct futures *s);

/* futures_methods: the rows for grpc_server_add; they live as long as @s. */
const struct grpc_method *futures_methods(const struct futures *s, size_t *ret_n);

/* futures_answer: deliver one waiter of effects.answers (already taken out of the list). */
void futures_answer(struct waiter *w);

/* futures_tick: end the Waits whose timeout has come, tell the IDs of Runs that last. Returns when it wants to be called next. */
mono_ns_t futures_tick(struct futures *s, mono_ns_t now);

/* futures_keep: there is a store: DURABLE is accepted, and the default. */
void futures_keep(struct futures *s);

/* futures_refuse: what the store's state keeps from being accepted, or changed, from now on. */
enum futures_refusal {
    FUTURES_ACCEPT,
    FUTURES_STALLED, /* the store cannot write at the moment */
    FUTURES_BEHIND,  /* too much waits for it */
    FUTURES_SPACE,   /* there is little room on the disk */
    FUTURES_BROKEN,  /* it will not write any more */
};
void futures_refuse(struct futures *s, enum futures_refusal why);

/* futures_drain: from now on nothing is accepted: UNAVAILABLE with RetryInfo. Reads go on. */
void futures_drain(struct futures *s);

/* futures_shutdown: end every call that waits with UNAVAILABLE: nothing more will finish. */
void futures_shutdown(struct futures *s);
