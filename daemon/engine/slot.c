// SPDX-License-Identifier: Apache-2.0
#include "engine/slot.h"

#include "base/mem.h"
#include "engine/place.h"
#include "engine/state.h"

#include <errno.h>

struct name {
    const struct realm *realm;
    const struct function *function;
    struct span key;
};

void slot_set_init(struct slot_set *s, const struct hash_seed *seed)
{
    *s = (struct slot_set){.seed = *seed};
    table_init(&s->table, seed);
}

void slot_set_deinit(struct slot_set *s)
{
    ASSERT(s->table.n_items == 0);
    table_deinit(&s->table);
}

static int is_slot(const void *item, const void *name)
{
    const struct slot *s = item;
    const struct name *n = name;

    return s->realm == n->realm && s->function == n->function && span_eq(SPAN_OF_BYTES(s->key), n->key);
}

static uint64_t hash_name(const struct slot_set *s, const struct name *n)
{
    return hash_bytes(&s->seed, n->key.p, n->key.len) +
           (n->realm->by_name.hash + n->function->by_name.hash) * 0x9e3779b97f4a7c15U;
}

uint64_t slot_bytes(const struct slot *slot)
{
    return slot ? sizeof *slot + LIMITS_MALLOC_BYTES + LIMITS_INDEX_BYTES + sizeof(struct heap_item *) +
                           limits_bytes(slot->key)
                : 0;
}

static struct slot *slot_new(struct slot_set *set, const struct name *name)
{
    struct slot *s = mem_zalloc(sizeof *s);

    if (!s)
        return NULL;
    s->realm = name->realm;
    s->function = name->function;
    s->hash = hash_name(set, name);
    s->key = bytes_dup(name->key.p, name->key.len);
    if (!s->key || table_insert(&set->table, s->hash, s) < 0) {
        bytes_unref(s->key);
        return mem_free(s);
    }
    return s;
}

static void tidy(struct slot_set *set, struct slot *s)
{
    if (s->n_users > 0)
        return;
    ASSERT(!s->holder && !s->candidate && s->parked.n == 0);
    table_remove(&set->table, s->hash, s);
    heap_deinit(&s->parked);
    bytes_unref(s->key);
    mem_free(s);
}

int slot_use(struct engine *e, struct future *f, struct span key)
{
    struct name name = {f->scope->realm, f->function, key};
    struct slot *s = table_find(&e->slots.table, hash_name(&e->slots, &name), is_slot, &name);

    if (!s)
        s = slot_new(&e->slots, &name);
    if (!s)
        return -ENOMEM;
    if (s->n_users >= UINT32_MAX || heap_reserve(&s->parked, (uint32_t)s->n_users + 1) < 0) {
        tidy(&e->slots, s);
        return -ENOMEM;
    }
    s->n_users++;
    f->rare->slot = s;
    return 0;
}

void slot_drop(struct engine *e, struct future *f)
{
    struct slot *s = f->rare ? TAKE_PTR(f->rare->slot) : NULL;

    if (!s)
        return;
    ASSERT(s->holder != f && s->candidate != f && !heap_has(&f->rare->parked));
    s->n_users--;
    tidy(&e->slots, s);
}

void slot_park(struct engine *e, struct function *fn)
{
    struct future *f = sched_set_aside(&e->sched, &fn->ready);
    struct slot *s = f->rare->slot;
    int r = heap_set_tie(&s->parked, &f->rare->parked, -(int64_t)f->priority, id_key(&f->id));

    ASSERT(r == 0); /* slot_use has made room */
    if (s->candidate == f)
        s->candidate = NULL;
    list_push_back(&fn->parked, &f->queue);
    fn->n_waiting++;
    f->place = PLACE_PARKED;
}

static void unpark(struct slot *s, struct future *f)
{
    heap_del(&s->parked, &f->rare->parked);
    list_del(&f->queue);
    f->function->n_waiting--;
    f->place = PLACE_NONE;
}

/* Who goes to another place than the queue is no candidate. */
static void wake(struct engine *e, struct slot *s)
{
    while (!s->holder && !s->candidate && s->parked.n > 0) {
        struct future *f = CONTAINER_OF(heap_min(&s->parked), struct future_rare, parked)->future;

        unpark(s, f);
        place_put(e, f, 1);
        if (f->place == PLACE_READY)
            s->candidate = f;
    }
}

void slot_take(struct future *f)
{
    struct slot *s = f->rare->slot;

    ASSERT(!s->holder);
    s->holder = f;
    if (s->candidate == f)
        s->candidate = NULL;
}

void slot_give(struct engine *e, struct future *f)
{
    struct slot *s = f->rare->slot;

    ASSERT(s->holder == f);
    s->holder = NULL;
    wake(e, s);
}

void slot_leave(struct engine *e, struct future *f)
{
    struct slot *s = f->rare->slot;

    if (f->place == PLACE_PARKED)
        unpark(s, f);
    if (s->candidate == f)
        s->candidate = NULL;
    wake(e, s);
}
