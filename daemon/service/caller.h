// SPDX-License-Identifier: Apache-2.0
#pragma once
/* Who calls, as the engine knows it; a small cache spares two look-ups and an allocation a call. */
#include "engine/engine.h"
#include "grpc/server.h"
#include "service/identity.h"

enum { CALLER_CACHE_SLOTS = 64 };

struct caller {
    struct grpc_peer peer;      /* whom this slot is about */
    const struct identity *who; /* NULL: there are no principals */
    struct scope *scope;        /* NULL = an empty slot */
    struct bytes *address;      /* the submitter's text in every future of this peer */
};

struct caller_cache {
    struct engine *engine;
    struct hash_seed seed;
    struct caller slots[CALLER_CACHE_SLOTS];
};

void caller_cache_init(struct caller_cache *cache, struct engine *e, const struct hash_seed *seed);
void caller_cache_deinit(struct caller_cache *cache);

/* caller_name: of whoever calls; "": nobody is known. Borrowed from the call. */
struct span caller_name(const struct grpc_call *call);
/* caller_of: valid until the next caller_of. NULL: no memory. */
const struct caller *caller_of(struct caller_cache *cache, const struct grpc_call *call);
