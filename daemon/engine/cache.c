// SPDX-License-Identifier: Apache-2.0
#include "engine/cache.h"

#include "engine/state.h"
#include "engine/turn.h"

void cache_init(struct cache *c)
{
    *c = (struct cache){.keep_since = UINT64_MAX};
    list_init(&c->finished);
}

void cache_add(struct engine *e, struct future *f)
{
    if (!e->config.has_store || f->durability != DURABILITY_DURABLE)
        return;
    f->outcome->future = f;
    list_push_back(&e->cache.finished, &f->outcome->by_end);
    e->cache.n_bytes += limits_future(f);
}

void cache_remove(struct engine *e, struct future *f)
{
    if (!f->outcome || !list_is_linked(&f->outcome->by_end))
        return;
    list_del(&f->outcome->by_end);
    e->cache.n_bytes -= limits_future(f);
}

void cache_resize(struct engine *e, struct future *f, uint64_t was, uint64_t is)
{
    if (f->outcome && list_is_linked(&f->outcome->by_end))
        e->cache.n_bytes = e->cache.n_bytes - was + is;
}

/* What cannot go now is asked again after all the others; nothing is looked at twice in a turn. */
void cache_evict(struct engine *e)
{
    struct cache *c = &e->cache;
    uint32_t n = 0, n_gone = 0;
    const struct list *first_kept = NULL;

    while (c->n_bytes > e->config.max_finished_bytes && n < STATE_EVICT_PER_TURN) {
        struct list *l = list_first(&c->finished);
        struct future *f;

        if (!l || l == first_kept)
            break;
        n++;
        f = LIST_ENTRY(l, struct outcome, by_end)->future;
        if (f->n_pins == 0 && !f->fact && f->commit_seq <= MIN(e->durable_seq, c->keep_since)) {
            if (f->rare && f->rare->idem)
                idem_note_stored(&e->idems, idem_stored_hash(future_namespace(f), future_key(f)));
            turn_forget(e, f);
            e->n_forgotten--;
            n_gone++;
            continue;
        }
        first_kept = first_kept ? first_kept : l;
        list_del(l);
        list_push_back(&c->finished, l);
    }
    e->n_evicted += n_gone;
    c->is_behind = n_gone > 0 && n == STATE_EVICT_PER_TURN && c->n_bytes > e->config.max_finished_bytes;
}
