// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * A call that waits for futures: the engine's waiter, the call it belongs to, and what to do when there is news. Embedded
 * in the state of each method that waits; waiter.user points here.
 */
#include "engine/engine.h"
#include "grpc/server.h"

struct waiting {
    struct waiter waiter;
    struct list link; /* in futures.waitings */
    struct grpc_call *call;
    void (*on_news)(struct waiting *w);
};

/* waiting_init: enters @all. waiting_deinit: drops every edge and leaves it. */
void waiting_init(struct waiting *w, struct list *all, enum waiter_mode mode, uint32_t wanted,
                  struct grpc_call *call, void (*on_news)(struct waiting *w));
void waiting_deinit(struct waiting *w, struct engine *e);

/* waiting_pace: take no more requests from a client that leaves more unread than it may, in bytes written or in finished
 * futures that wait for it; go on once it has read. To be called after each change of either. */
void waiting_pace(struct waiting *w);
