// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Finished futures that the store has: how many bytes of them stay in memory. Beyond that the oldest leave it, not to be
 * forgotten but to be read again when somebody asks. Those that are pinned, or not yet durable, stay.
 */
#include "engine/future.h"

struct engine;

struct cache {
    struct list finished; /* of struct outcome.by_end: what may leave, next one first */
    uint64_t n_bytes;     /* of them all */
    uint64_t keep_since;  /* what changed with a later commit stays; UINT64_MAX = may go */
    int is_behind;        /* there is more to do at once */
};

void cache_init(struct cache *c);

/* cache_add: @f is finished now, or has come back. cache_remove: it is about to leave memory for whatever reason.
 * cache_resize: it is charged for @is bytes instead of @was of something. Each may be told of futures that do not count. */
void cache_add(struct engine *e, struct future *f);
void cache_remove(struct engine *e, struct future *f);
void cache_resize(struct engine *e, struct future *f, uint64_t was, uint64_t is);

/* cache_evict: let go what is too much, at most STATE_EVICT_PER_TURN. */
void cache_evict(struct engine *e);
