// SPDX-License-Identifier: Apache-2.0
#include "engine/scope.h"

#include "base/mem.h"

void scope_set_init(struct scope_set *s, const struct hash_seed *seed)
{
    *s = (struct scope_set){0};
    map_init(&s->realms, seed);
}

static void scope_free(struct scope *scope)
{
    bytes_unref(scope->principal);
    mem_free(scope);
}

static void realm_free(struct realm *realm)
{
    for (struct map_item *it; (it = map_next(&realm->scopes, NULL));) {
        map_remove(&realm->scopes, it);
        scope_free(CONTAINER_OF(it, struct scope, by_name));
    }
    map_deinit(&realm->scopes);
    bytes_unref(realm->namespace);
    mem_free(realm);
}

void scope_set_deinit(struct scope_set *s)
{
    for (struct map_item *it; (it = map_next(&s->realms, NULL));) {
        map_remove(&s->realms, it);
        realm_free(CONTAINER_OF(it, struct realm, by_name));
    }
    map_deinit(&s->realms);
}

/* A realm outlives a failure to make its first scope: the next call for it finds it. */
static struct realm *realm_get(struct scope_set *s, struct span namespace)
{
    struct map_item *it = map_find(&s->realms, namespace);
    struct realm *realm;

    if (it)
        return CONTAINER_OF(it, struct realm, by_name);
    realm = mem_zalloc(sizeof *realm);
    if (!realm)
        return NULL;
    map_init(&realm->scopes, &s->realms.seed);
    realm->namespace = bytes_dup(namespace.p, namespace.len);
    if (!realm->namespace || map_insert(&s->realms, &realm->by_name, SPAN_OF_BYTES(realm->namespace)) != 0) {
        realm_free(realm);
        return NULL;
    }
    return realm;
}

struct scope *scope_get(struct scope_set *s, struct span namespace, struct span principal)
{
    struct realm *realm;
    struct map_item *it;
    struct scope *scope;

    if (s->n >= SCOPE_MAX && !map_find(&s->realms, namespace))
        return NULL;
    realm = realm_get(s, namespace);
    if (!realm)
        return NULL;
    it = map_find(&realm->scopes, principal);
    if (it)
        return CONTAINER_OF(it, struct scope, by_name);
    if (s->n >= SCOPE_MAX)
        return NULL;
    scope = mem_zalloc(sizeof *scope);
    if (!scope)
        return NULL;
    scope->realm = realm;
    scope->namespace = realm->namespace;
    scope->principal = bytes_dup(principal.p, principal.len);
    if (!scope->principal ||
        map_insert(&realm->scopes, &scope->by_name, SPAN_OF_BYTES(scope->principal)) != 0) {
        scope_free(scope);
        return NULL;
    }
    s->n++;
    return scope;
}
