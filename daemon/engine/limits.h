// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Who owes how much memory. Every future is charged, to its scope and to the engine, with its record and everything
 * that hangs off it; groups and priority levels are charged to the engine alone. The limits decide before a task is
 * accepted; what an accepted task then needs (its attempts, its result) is charged but never refused.
 */
#include "base/limit.h"
#include "engine/future.h"

struct engine_submit;
struct scope;

enum {
    LIMITS_MALLOC_BYTES = 16, /* what malloc adds to a block on average: header and rounding */
    LIMITS_INDEX_BYTES = 38,  /* a future's share of the table (16 / 0.53) and of the order */
};

struct limits_account {
    struct limits limits;
    uint64_t n_futures, n_bytes, n_edges;
};

/* limits_bytes and the next: what one part of a future is charged with; 0 for NULL. What several share (an error, a
 * content type) each is charged with; what all of a connection share (peer, worker's name) nobody. */
uint64_t limits_bytes(const struct bytes *b);
uint64_t limits_error(const struct future_error *error);
uint64_t limits_attempt(const struct attempt *attempt);
uint64_t limits_outcome(const struct outcome *outcome);
uint64_t limits_labels(const struct labels *labels);
uint64_t limits_timing(const struct timing *timing);
uint64_t limits_rare(const struct future_rare *rare);

/* limits_future: the whole of @f: what all charges for it must add up to. */
uint64_t limits_future(const struct future *f);

/* limits_admit: may a future of @bytes be accepted? 0; ENGINE_E_FULL_FUTURES, ENGINE_E_FULL_MEMORY. */
MUST_CHECK int limits_admit(const struct limits_account *a, uint64_t bytes);

/* limits_charge, limits_discharge: @scope may be NULL: the engine alone. Taking off more than is there aborts. */
void limits_charge(struct limits_account *a, struct scope *scope, uint64_t bytes);
void limits_discharge(struct limits_account *a, struct scope *scope, uint64_t bytes);

/* limits_edges_take: count @n more edges. 0; ENGINE_E_FULL_EDGES. limits_edges_give: count them off again. */
MUST_CHECK int limits_edges_take(struct limits_account *a, uint64_t n);
void limits_edges_give(struct limits_account *a, uint64_t n);
