// SPDX-License-Identifier: Apache-2.0
#include "engine/resend.h"

#include "engine/limits.h"
#include "engine/scope.h"

#include <errno.h>

enum {
    ITEM_BYTES = sizeof(struct resend) + LIMITS_INDEX_BYTES,
    LOOKS_PER_ADD =
            4, /* where there are too many: however few have ended, these become no more than a third of all */
};

void resend_set_init(struct resend_set *s, const struct hash_seed *seed, struct limits_account *account,
                     resend_is_active_fn *is_active, const void *is_active_arg)
{
    *s = (struct resend_set){.seed = *seed,
                             .check_seed = {~seed->k1, seed->k0},
                             .account = account,
                             .is_active = is_active,
                             .is_active_arg = is_active_arg};
    table_init(&s->table, seed);
    slab_init(&s->slab, sizeof(struct resend));
    list_init(&s->by_look);
}

static struct resend *first(const struct resend_set *s)
{
    return list_is_empty(&s->by_look) ? NULL : LIST_ENTRY(s->by_look.next, struct resend, by_look);
}

static void drop(struct resend_set *s, struct resend *r)
{
    table_remove(&s->table, r->hash, r);
    list_del(&r->by_look);
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

const struct id *resend_find(const struct resend_set *s, const struct scope *scope, struct span request_id)
{
    uint64_t check;
    const struct resend *r;

    if (s->n == 0)
        return NULL;
    check = hash_under(&s->check_seed, scope, request_id);
    r = table_find(&s->table, hash_under(&s->seed, scope, request_id), is_same, &check);
    return r ? &r->id : NULL;
}

static int is_active(const struct resend_set *s, const struct resend *r)
{
    return !r->has_ended && s->is_active(s->is_active_arg, &r->id);
}

static void look_again(struct resend_set *s, struct resend *r, mono_ns_t at)
{
    r->look_at = at;
    list_del(&r->by_look);
    list_push_back(&s->by_look, &r->by_look);
}

static void make_room(struct resend_set *s, mono_ns_t now)
{
    for (int i = 0; i < LOOKS_PER_ADD; i++) {
        struct resend *r = first(s);

        if (!is_active(s, r)) {
            drop(s, r);
            return;
        }
        look_again(s, r, clock_add(now, RESEND_LOOK_NS));
    }
}

static int add(struct resend_set *s, const struct scope *scope, struct span request_id, const struct id *id,
               mono_ns_t look_at, int has_ended)
{
    struct resend *r = slab_alloc(&s->slab), *old;

    if (!r)
        return -ENOMEM;
    *r = (struct resend){
            .hash = hash_under(&s->seed, scope, request_id),
            .check = hash_under(&s->check_seed, scope, request_id),
            .id = *id,
            .look_at = look_at,
            .has_ended = has_ended,
    };
    old = table_find(&s->table, r->hash, is_same, &r->check);
    if (table_insert(&s->table, r->hash, r) < 0) {
        slab_free(&s->slab, r);
        return -ENOMEM;
    }
    list_push_back(&s->by_look, &r->by_look);
    s->n++;
    limits_charge(s->account, NULL, ITEM_BYTES);
    if (old)
        drop(s, old);
    return 0;
}

int resend_add(struct resend_set *s, const struct scope *scope, struct span request_id, const struct id *id,
               mono_ns_t now)
{
    int r = add(s, scope, request_id, id, clock_add(now, RESEND_LOOK_NS), 0);

    if (r == 0 && s->n > RESEND_MAX)
        make_room(s, now);
    return r;
}

int resend_add_ended(struct resend_set *s, const struct scope *scope, struct span request_id,
                     const struct id *id, mono_ns_t until)
{
    return add(s, scope, request_id, id, until, 1);
}

void resend_tidy(struct resend_set *s, mono_ns_t now, uint32_t max)
{
    struct resend *r;

    for (; max > 0 && (r = first(s)) && r->look_at <= now; max--) {
        if (is_active(s, r)) {
            look_again(s, r, clock_add(now, RESEND_LOOK_NS));
        } else if (!r->has_ended) {
            r->has_ended = 1;
            look_again(s, r, clock_add(r->look_at, RESEND_LOOK_NS));
        } else {
            drop(s, r);
        }
    }
}

uint64_t resend_bytes(const struct resend_set *s)
{
    return (uint64_t)s->n * ITEM_BYTES;
}
