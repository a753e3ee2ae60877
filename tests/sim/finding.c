// SPDX-License-Identifier: Apache-2.0
/* Clients that look for futures: by their IDs, and in lists, in memory and on the disk. */
#include "base/mem.h"
#include "world.h"

#include <errno.h>
#include <string.h>

/* --- lists: who was there all along is seen exactly once, nobody twice */

static void lister_end(struct world *w, struct lister *l)
{
    for (int i = 0; i < w->model.n_futures; i++)
        if (l->was_there[i])
            ASSERT(l->seen[i]);
    l->is_used = 0;
}

static void event_list(struct world *w)
{
    struct lister *l = &w->listers[world_random(w, WORLD_LISTERS)];
    uint32_t budget = 1 + (uint32_t)world_random(w, 10);
    struct future *f;

    if (!l->is_used) {
        memset(l, 0, sizeof *l);
        l->is_used = 1;
        l->scope = (int)world_random(w, WORLD_SCOPES);
        l->is_desc = (int)world_random(w, 2);
        l->key = l->is_desc ? UINT64_MAX : 0;
        for (int i = 0; i < w->model.n_futures; i++)
            l->was_there[i] =
                    model_is_here(&w->model.futures[i]) && w->model.futures[i].scope / 2 == l->scope / 2;
    }
    for (int i = 0; i < w->model.n_futures; i++)
        if (!model_is_here(&w->model.futures[i]))
            l->was_there[i] = 0;
    while ((f = engine_next(w->e, w->scopes[l->scope], l->key, l->is_desc, &budget, &l->key))) {
        int i = model_find(&w->model, &f->id);

        ASSERT(i >= 0 && w->model.futures[i].scope / 2 == l->scope / 2 && !l->seen[i]);
        l->seen[i] = 1;
    }
    if (budget > 0)
        lister_end(w, l);
}

/* --- what only the disk may have */

static int is_durable(const struct model_future *f)
{
    return f->durability == DURABILITY_DURABLE;
}

/* What the loader says that keeps it from @i. */
static void check_unloaded(const struct world *w, int i, int result)
{
    const struct model_future *m = &w->model.futures[i];

    world_says(w, "  %d is not loaded: %d", i, result);
    if (result == FUTURES_E_NOT_FOUND)
        ASSERT(m->is_gone && (m->is_deleted || m->was_due || !m->is_stored));
    else if (result == FUTURES_E_FULL)
        ASSERT(engine_stats(w->e).n_futures >= w->config.limits.max_futures);
    else if (result == FUTURES_E_UNREADABLE)
        ASSERT(!w->is_calm);
    else
        ASSERT(result == -ENOMEM || result == FUTURES_E_BUSY);
}

/* @i has come into memory, or has been there. One that has been forgotten may come back when the clock was set back. */
void finding_loaded(struct world *w, int i)
{
    struct model_future *m = &w->model.futures[i];

    if (model_is_here(m))
        return;
    ASSERT(m->is_out && !m->is_deleted && m->expire_time > w->model.wall && world_find(w, i));
    world_says(w, "  %d is loaded", i);
    w->commit_seq[i] = 0;
    model_loaded(&w->model, i);
}

static void on_wish(struct futures_wish *wish, int result, struct future *f)
{
    struct world_wish *mine = CONTAINER_OF(wish, struct world_wish, wish);
    struct world *w = mine->world;
    int i = mine->i;

    mine->is_used = 0;
    world_failed(w);
    if (result != 0) {
        check_unloaded(w, i, result);
        return;
    }
    finding_loaded(w, i);
    world_check(w);
    shown_future(w, i);
    if (world_random(w, 4) == 0 && !world_refuses(w, &w->model.futures[i], 0))
        clients_annotate(w, i);
    if (world_random(w, 8) == 0 && !world_refuses(w, &w->model.futures[i], 0) && !w->is_calm)
        clients_delete(w, i);
}

void finding_get(struct world *w, int i)
{
    struct world_wish *mine = NULL;
    int r;

    if (model_is_here(&w->model.futures[i])) {
        shown_future(w, i);
        return;
    }
    for (int k = 0; k < WORLD_WISHES; k++)
        if (!w->wishes[k].is_used)
            mine = &w->wishes[k];
    if (!w->has_store || !mine)
        return;
    *mine = (struct world_wish){.world = w, .is_used = 1, .i = i};
    mine->wish.on_loaded = on_wish;
    list_init(&mine->wish.link);
    world_says(w, "somebody asks for %d", i);
    world_fail(w);
    r = w->load.load(w->load.context, &w->model.futures[i].id, &mine->wish);
    if (r != FUTURES_E_BUSY && world_done(w, r))
        return;
    world_failed(w);
    mine->is_used = 0;
}

static void event_get(struct world *w)
{
    int i = world_any(w, is_durable);

    if (i >= 0)
        finding_get(w, i);
}

/* Of what was on disk when it was asked for, and still is, all of the stretch is in memory. */
static void check_stretch(struct world *w, const struct world_stretch *s)
{
    const struct futures_stretch *st = &s->stretch;

    for (int i = 0; i < w->model.n_futures; i++) {
        const struct model_future *m = &w->model.futures[i];
        uint64_t key = id_key(&m->id);
        int is_in = st->is_desc ? key < st->key && (st->is_end || key >= st->last)
                                : key > st->key && (st->is_end || key <= st->last);

        if (s->was_kept[i] && is_in && m->scope / 2 == s->scope / 2 && !m->is_gone)
            ASSERT(model_is_here(m));
    }
}

static void on_stretch(struct futures_stretch *stretch, int result)
{
    struct world_stretch *s = CONTAINER_OF(stretch, struct world_stretch, stretch);
    struct world *w = s->world;

    world_failed(w);
    world_says(w, "a stretch of %u: %d", stretch->n, result);
    s->is_loaded = 1;
    for (uint32_t k = 0; k < stretch->n; k++) {
        int i = w->model.n_futures - 1;

        while (memcmp(&w->model.futures[i].id, &stretch->found[k].id, sizeof(struct id)) != 0)
            i--;
        finding_loaded(w, i);
        w->model.futures[i].n_pins++;
        ASSERT(w->model.futures[i].scope / 2 == s->scope / 2);
    }
    if (result == 0)
        check_stretch(w, s);
    else
        ASSERT(result == -ENOMEM || result == FUTURES_E_BUSY || result == FUTURES_E_FULL ||
               (result == FUTURES_E_UNREADABLE && !w->is_calm));
}

void finding_drop(struct world *w, struct world_stretch *s)
{
    if (!s->is_used)
        return;
    if (s->stretch.handle)
        w->load.forget_stretch(w->load.context, &s->stretch);
    for (uint32_t k = 0; s->is_loaded && k < s->stretch.n; k++) {
        int i = model_find(&w->model, &s->stretch.found[k].id);

        ASSERT(i >= 0);
        engine_unpin(w->e, s->stretch.found[k].future);
        w->model.futures[i].n_pins--;
    }
    s->is_used = 0;
}

static int is_ended(const struct model_future *f)
{
    return model_is_here(f) && model_is_terminal(f);
}

/* The disk has been read, and before anybody hears of it some of that is not true any more. */
static void change_what_is_read(struct world *w)
{
    if (world_random(w, 2))
        return;
    for (uint64_t k = 0; k < w->machine.n_threads; k++)
        machine_step(&w->machine, k);
    for (uint64_t n = world_random(w, 4); n > 0; n--) {
        int i = world_any(w, is_ended);

        if (i >= 0 && !world_refuses(w, &w->model.futures[i], 0))
            clients_annotate(w, i);
        world_check(w);
    }
    for (uint64_t n = w->is_draining ? 0 : world_random(w, 4); n > 0;
         n--) { /* which may even get to the disk */
        world_turn(w, 0, 0);
        world_check(w);
        trouble_commit(w);
    }
}

/* A client lists what has finished; or has seen enough of it. */
static void event_stretch(struct world *w)
{
    struct world_stretch *s = &w->stretches[world_random(w, WORLD_STRETCHES)];
    int i = world_any(w, is_durable), r;

    if (s->is_used) {
        finding_drop(w, s);
        return;
    }
    *s = (struct world_stretch){.world = w, .is_used = 1, .scope = (int)world_random(w, WORLD_SCOPES)};
    s->stretch.namespace = s->scope / 2 ? SPAN_LIT("prod") : SPAN_LIT("");
    s->stretch.is_desc = (int)world_random(w, 2);
    s->stretch.now = engine_wall(w->e);
    s->stretch.limit = FUTURES_STRETCH_MAX;
    s->stretch.wants_futures = 1;
    s->stretch.on_loaded = on_stretch;
    s->stretch.key = s->stretch.is_desc ? UINT64_MAX : 0;
    if (i >= 0 && world_random(w, 2))
        s->stretch.key = id_key(&w->model.futures[i].id);
    for (int k = 0; k < w->model.n_futures; k++)
        s->was_kept[k] = w->model.kept[k].is_stored && model_is_terminal(&w->model.kept[k]);
    world_says(w, "somebody asks for a stretch%s", s->stretch.is_desc ? ", newest first" : "");
    world_fail(w);
    r = w->load.load_stretch(w->load.context, &s->stretch);
    if (r != FUTURES_E_BUSY && world_done(w, r)) {
        change_what_is_read(w);
        return;
    }
    world_failed(w);
    s->is_used = 0;
}

const struct world_event finding_events[] = {
        {"list", event_list, 0, 1, 0},
        {"get", event_get, 0, 1, 0},
        {"stretch", event_stretch, 1, 1, 0},
        {NULL, NULL, 0, 0, 0},
};
