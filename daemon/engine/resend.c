// SPDX-License-Identifier: Apache-2.0
#include "engine/resend.h"

#include "engine/limits.h"
#include "engine/scope.h"

#include <errno.h>

enum { ITEM_BYTES = sizeof(struct resend) + LIMITS_INDEX_BYTES };

void resend_set_init(struct resend_set *s, const struct hash_seed *seed, struct limits_account *account)
{
    *s = (struct resend_set){.seed = *seed, .check_seed = {~seed->k1, seed->k0}, .account = account};
    table_init(&s->table, seed);
    slab_init(&s->slab, sizeof(struct resend));
    list_init(&s->by_age);
}

static struct resend *first(const struct resend_set *s)
{
    return list_is_empty(&s->by_age) ? NULL : LIST_ENTRY(s->by_age.next, struct resend, by_age);
}

static void drop(struct resend_set *s, struct resend *r)
{
    table_remove(&s->table, r->hash, r);
    list_del(&r->by_age);
    slab_free(&s->slab, r);
    s->n--;
    limits_discharge(s->account, NULL, ITEM_BYTES);
}

void resend_set_deinit(struct resend_set *s)
{
    while (s->n > 0)
        drop(s, first(s));
    table_deinit(&s->table);
    slab_deinit(&s->slab);
}

static uint64_t hash_under(const struct hash_seed *seed, const struct scope *scope, struct span request_id)
{
    return hash_bytes(seed, request_id.p, request_id.len) + scope->by_name.hash * 0x9e3779b97f4a7c15U +
           scope->realm->by_name.hash * 0xc2b2ae3d27d4eb4fU;
}

static int is_same(const void *item, const void *key)
{
    const uint64_t *check = key;

    return ((const struct resend *)item)->check == *check;
}

const struct id *resend_find(const struct resend_set *s, const struct scope *scope, struct span request_id,
                             mono_ns_t now)
{
    uint64_t check;
    const struct resend *r;

    if (s->n == 0)
        return NULL;
    check = hash_under(&s->check_seed, scope, request_id);
    r = table_find(&s->table, hash_under(&s->seed, scope, request_id), is_same, &check);
    return r && r->until > now ? &r->id : NULL;
}

int resend_add(struct resend_set *s, const struct scope *scope, struct span request_id, const struct id *id,
               mono_ns_t until)
{
    struct resend *r = slab_alloc(&s->slab), *old;

    if (!r)
        return -ENOMEM;
    *r = (struct resend){
            .hash = hash_under(&s->seed, scope, request_id),
            .check = hash_under(&s->check_seed, scope, request_id),
            .id = *id,
            .until = until,
    };
    old = table_find(&s->table, r->hash, is_same, &r->check);
    if (table_insert(&s->table, r->hash, r) < 0) {
        slab_free(&s->slab, r);
        return -ENOMEM;
    }
    list_push_back(&s->by_age, &r->by_age);
    s->n++;
    limits_charge(s->account, NULL, ITEM_BYTES);
    if (old) /* it was too old */
        drop(s, old);
    if (s->n > RESEND_MAX)
        drop(s, first(s));
    return 0;
}

void resend_tidy(struct resend_set *s, mono_ns_t now, uint32_t max)
{
    struct resend *r;

    for (; max > 0 && (r = first(s)) && r->until <= now; max--)
        drop(s, r);
}

uint64_t resend_bytes(const struct resend_set *s)
{
    return (uint64_t)s->n * ITEM_BYTES;
}
