// SPDX-License-Identifier: Apache-2.0
#include "service/caller.h"

#include <string.h>

void caller_cache_init(struct caller_cache *cache, struct engine *e, const struct hash_seed *seed)
{
    *cache = (struct caller_cache){.engine = e, .seed = *seed};
}

void caller_cache_deinit(struct caller_cache *cache)
{
    for (size_t i = 0; i < CALLER_CACHE_SLOTS; i++)
        bytes_unref(cache->slots[i].address);
}

struct span caller_name(const struct grpc_call *call)
{
    const struct identity *who = grpc_call_who(call);

    return who ? who->name : span_of_string(grpc_call_peer(call)->principal);
}

const struct caller *caller_of(struct caller_cache *cache, const struct grpc_call *call)
{
    const struct grpc_peer *peer = grpc_call_peer(call);
    const struct identity *who = grpc_call_who(call);
    size_t n = strlen(peer->address);
    struct caller *c = &cache->slots[hash_bytes(&cache->seed, peer->address, n) % CALLER_CACHE_SLOTS];
    struct bytes *address;
    struct scope *scope;

    if (LIKELY(c->scope && c->who == who && strcmp(c->peer.address, peer->address) == 0 &&
               strcmp(c->peer.principal, peer->principal) == 0))
        return c;
    scope = who ? who->scope : engine_scope(cache->engine, (struct span){0}, span_of_string(peer->principal));
    address = bytes_dup(peer->address, n);
    if (!scope || !address) {
        bytes_unref(address);
        return NULL;
    }
    bytes_unref(c->address);
    *c = (struct caller){.peer = *peer, .who = who, .scope = scope, .address = address};
    return c;
}
