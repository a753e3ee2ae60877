// SPDX-License-Identifier: Apache-2.0
#include "engine/sched.h"

#include "base/mem.h"
#include "engine/future.h"
#include "engine/limits.h"

#include <errno.h>

void sched_init(struct sched *s, const struct hash_seed *seed, struct limits_account *account)
{
    *s = (struct sched){.seed = *seed, .account = account};
    list_init(&s->rotation);
}

void sched_ready_init(struct sched *s, struct ready *r)
{
    *r = (struct ready){.levels = HEAP_INIT};
    list_init(&r->rotation);
    map_init(&r->by_priority, &s->seed);
}

static int level_is_used(const struct level *l)
{
    return l->n_kept > 0 || !list_is_empty(&l->futures);
}

static void level_free(struct sched *s, struct level *l)
{
    ASSERT(!level_is_used(l) && !heap_has(&l->by_rank));
    map_remove(&l->ready->by_priority, &l->by_priority);
    if (l->ready->last == l)
        l->ready->last = NULL;
    limits_discharge(s->account, NULL, sizeof *l);
    mem_free(l);
}

void sched_ready_deinit(struct sched *s, struct ready *r)
{
    if (r->last)
        level_free(s, r->last);
    ASSERT(r->by_priority.n == 0 && r->n == 0);
    map_deinit(&r->by_priority);
    heap_deinit(&r->levels);
}

/* Free @level if nothing uses it and another was used after it. */
static void tidy(struct sched *s, struct level *level)
{
    if (!level_is_used(level) && level->ready->last != level)
        level_free(s, level);
}

static void use(struct sched *s, struct ready *r, struct level *level)
{
    struct level *last = r->last;

    r->last = level;
    if (last && last != level)
        tidy(s, last);
}

static int level_new(struct sched *s, struct ready *r, int32_t priority, struct level **ret)
{
    struct level *l;
    int e;

    e = heap_reserve(&r->levels, r->by_priority.n + 1);
    if (e < 0)
        return e;
    l = mem_zalloc(sizeof *l);
    if (!l)
        return -ENOMEM;
    l->ready = r;
    l->priority = priority;
    list_init(&l->futures);
    e = map_insert(&r->by_priority, &l->by_priority,
                   (struct span){(const uint8_t *)&l->priority, sizeof l->priority});
    ASSERT(e <= 0);
    if (e < 0) {
        mem_free(l);
        return e;
    }
    limits_charge(s->account, NULL, sizeof *l);
    *ret = l;
    return 0;
}

static struct level *find(const struct ready *r, int32_t priority)
{
    struct map_item *it;

    if (LIKELY(r->last && r->last->priority == priority))
        return r->last;
    it = map_find(&r->by_priority, (struct span){(const uint8_t *)&priority, sizeof priority});
    return it ? CONTAINER_OF(it, struct level, by_priority) : NULL;
}

int sched_level(struct sched *s, struct ready *r, int32_t priority, struct level **ret)
{
    struct level *level = find(r, priority);
    int e;

    if (!level && (e = level_new(s, r, priority, &level)) < 0)
        return e;
    level->n_kept++;
    *ret = level;
    return 0;
}

struct level *sched_kept(const struct ready *r, int32_t priority)
{
    struct level *level = find(r, priority);

    ASSERT(level && level->n_kept > 0);
    return level;
}

/* A task is about to come into @level, which was kept for it. */
static void enter(struct sched *s, struct level *level)
{
    struct ready *r = level->ready;

    ASSERT(level->n_kept > 0);
    level->n_kept--;
    if (list_is_empty(&level->futures)) {
        int e = heap_set(&r->levels, &level->by_rank, -(int64_t)level->priority);

        ASSERT(e == 0); /* level_new reserved the place */
    }
    if (r->n++ == 0)
        list_push_back(&s->rotation, &r->rotation);
}

/* A task has left @level. */
static void leave(struct level *level)
{
    struct ready *r = level->ready;

    if (list_is_empty(&level->futures))
        heap_del(&r->levels, &level->by_rank);
    if (--r->n == 0)
        list_del(&r->rotation);
}

void sched_push(struct sched *s, struct level *level, struct future *f)
{
    enter(s, level);
    list_push_back(&level->futures, &f->queue);
    use(s, level->ready, level);
}

void sched_return(struct sched *s, struct level *level, struct future *f)
{
    enter(s, level);
    list_push_front(&level->futures, &f->queue);
    use(s, level->ready, level);
}

void sched_done(struct sched *s, struct level *level)
{
    ASSERT(level->n_kept > 0);
    level->n_kept--;
    tidy(s, level);
}

void sched_remove(struct sched *s, struct ready *r, struct future *f)
{
    /* the only one of its level hangs between two links to the head */
    struct level *level =
            f->queue.prev == f->queue.next ? LIST_ENTRY(f->queue.prev, struct level, futures) : NULL;

    ASSERT(list_is_linked(&f->queue));
    list_del(&f->queue);
    if (level) {
        leave(level);
        tidy(s, level);
    } else {
        r->n--;
    }
}

struct future *sched_peek(const struct ready *r)
{
    struct heap_item *best = heap_min(&r->levels);
    const struct level *level = best ? CONTAINER_OF(best, struct level, by_rank) : NULL;

    return level ? LIST_ENTRY(list_first(&level->futures), struct future, queue) : NULL;
}

struct future *sched_pop(struct sched *s, struct ready *r, struct level **ret)
{
    struct heap_item *best = heap_min(&r->levels);
    struct level *level;
    struct future *f;

    if (!best)
        return NULL;
    level = CONTAINER_OF(best, struct level, by_rank);
    f = LIST_ENTRY(list_pop_front(&level->futures), struct future, queue);
    level->n_kept++;
    leave(level);
    use(s, r, level);
    *ret = level;
    return f;
}
