// SPDX-License-Identifier: Apache-2.0
#include "engine/sched.h"

#include "base/mem.h"
#include "engine/engine.h"
#include "engine/limits.h"
#include "engine/scope.h"

#include <errno.h>

void sched_init(struct sched *s, const struct hash_seed *seed, struct limits_account *account)
{
    *s = (struct sched){.seed = *seed, .account = account};
    list_init(&s->rotation);
    table_init(&s->lanes, seed);
}

void sched_deinit(struct sched *s)
{
    ASSERT(s->lanes.n_items == 0);
    table_deinit(&s->lanes);
}

void sched_ready_init(struct sched *s, struct ready *r)
{
    *r = (struct ready){.levels = HEAP_INIT};
    list_init(&r->rotation);
    map_init(&r->by_priority, &s->seed);
}

uint64_t sched_level_bytes(void)
{
    return sizeof(struct level);
}

uint64_t sched_lane_bytes(void)
{
    return sizeof(struct lane) + LIMITS_MALLOC_BYTES + LIMITS_INDEX_BYTES;
}

/* ---- levels and lanes */

static struct span explicit_key(const struct future *f)
{
    return UNLIKELY(f->rare) ? SPAN_OF_BYTES(f->rare->fairness_key) : (struct span){0};
}

/* The hash is seeded, so nobody can make two keys share a lane on purpose. */
static uint64_t key_of(const struct sched *s, const struct future *f)
{
    struct span key = explicit_key(f);

    if (!key.len)
        key = SPAN_OF_BYTES(f->scope->principal);
    return hash_bytes(&s->seed, key.p, key.len) + f->scope->realm->by_name.hash * 0x9e3779b97f4a7c15U;
}

/* Without a look at the key itself; 0 where that would have to be looked at. */
static inline int is_known_of(const struct lane *lane, const struct future *f)
{
    return lane->scope == f->scope && lane->priority == f->priority && (!f->rare || !f->rare->fairness_key);
}

static inline int lane_is_used(const struct lane *lane)
{
    return lane->n > 0 || lane->n_kept > 0;
}

static void lane_init(struct lane *lane, struct level *level, const struct future *f, uint64_t key)
{
    *lane = (struct lane){
            .level = level,
            .scope = explicit_key(f).len ? NULL : f->scope,
            .key = key,
            .priority = f->priority,
    };
    list_init(&lane->futures);
    list_init(&lane->turn);
}

struct lane_name {
    const struct level *level;
    uint64_t key;
};

static int is_lane(const void *item, const void *name)
{
    const struct lane *lane = item;
    const struct lane_name *n = name;

    return lane->level == n->level && lane->key == n->key;
}

static struct lane *lane_find(const struct sched *s, struct level *level, uint64_t key)
{
    struct lane_name name = {level, key};

    if (level->first.key == key)
        return &level->first;
    return level->n_others ? table_find(&s->lanes, key + level->salt, is_lane, &name) : NULL;
}

static int lane_new(struct sched *s, struct level *level, const struct future *f, uint64_t key,
                    struct lane **ret)
{
    struct lane *lane;

    if (!lane_is_used(&level->first)) { /* nobody's any more */
        lane_init(&level->first, level, f, key);
        *ret = &level->first;
        return 0;
    }
    lane = mem_alloc(sizeof *lane);
    if (!lane)
        return -ENOMEM;
    lane_init(lane, level, f, key);
    if (table_insert(&s->lanes, key + level->salt, lane) < 0) {
        mem_free(lane);
        return -ENOMEM;
    }
    level->n_others++;
    limits_charge(s->account, NULL, sched_lane_bytes());
    *ret = lane;
    return 0;
}

static struct level *level_find(const struct ready *r, int32_t priority)
{
    struct map_item *it;

    if (r->last && r->last->level->priority == priority)
        return r->last->level;
    it = map_find(&r->by_priority, (struct span){(const uint8_t *)&priority, sizeof priority});
    return it ? CONTAINER_OF(it, struct level, by_priority) : NULL;
}

/* With @f's as its first lane. */
static int level_new(struct sched *s, struct ready *r, const struct future *f, uint64_t key,
                     struct lane **ret)
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
    l->priority = f->priority;
    l->salt = ++s->n_levels * 0xd1b54a32d192ed03U;
    list_init(&l->turns);
    lane_init(&l->first, l, f, key);
    e = map_insert(&r->by_priority, &l->by_priority,
                   (struct span){(const uint8_t *)&l->priority, sizeof l->priority});
    ASSERT(e <= 0);
    if (e < 0) {
        mem_free(l);
        return e;
    }
    limits_charge(s->account, NULL, sched_level_bytes());
    *ret = &l->first;
    return 0;
}

static __attribute__((noinline)) struct lane *find_another(const struct sched *s, const struct ready *r,
                                                           const struct future *f)
{
    struct level *level = level_find(r, f->priority);

    return level ? lane_find(s, level, key_of(s, f)) : NULL;
}

/* NULL: there is none. As a rule it is the one that was used last. */
static inline struct lane *find(const struct sched *s, const struct ready *r, const struct future *f)
{
    return LIKELY(r->last && is_known_of(r->last, f)) ? r->last : find_another(s, r, f);
}

int sched_keep(struct sched *s, struct ready *r, const struct future *f)
{
    struct lane *lane = find(s, r, f);
    struct level *level;
    int e = 0;

    if (!lane) {
        level = level_find(r, f->priority);
        e = level ? lane_new(s, level, f, key_of(s, f), &lane) : level_new(s, r, f, key_of(s, f), &lane);
    }
    if (e < 0)
        return e;
    lane->n_kept++;
    return 0;
}

static inline struct lane *kept(const struct sched *s, const struct ready *r, const struct future *f)
{
    struct lane *lane = find(s, r, f);

    ASSERT(lane && lane->n_kept > 0);
    return lane;
}

int sched_is_kept(const struct sched *s, const struct ready *r, const struct future *f)
{
    const struct lane *lane = find(s, r, f);

    return lane && lane->n_kept > 0;
}

static void level_free(struct sched *s, struct level *l)
{
    ASSERT(l->n == 0 && l->n_others == 0 && !heap_has(&l->by_rank));
    map_remove(&l->ready->by_priority, &l->by_priority);
    limits_discharge(s->account, NULL, sched_level_bytes());
    mem_free(l);
}

static __attribute__((noinline)) void lane_free(struct sched *s, struct lane *lane)
{
    struct level *level = lane->level;
    struct ready *r = level->ready;

    if (lane != &level->first) {
        table_remove(&s->lanes, lane->key + level->salt, lane);
        level->n_others--;
        limits_discharge(s->account, NULL, sched_lane_bytes());
        mem_free(lane);
    }
    if (level->n_others == 0 && !lane_is_used(&level->first) && r->last != &level->first)
        level_free(s, level);
}

/* Free @lane, and its level, if nothing uses it and another was used after it. */
static inline void tidy(struct sched *s, struct lane *lane)
{
    if (UNLIKELY(!lane_is_used(lane)) && lane->level->ready->last != lane)
        lane_free(s, lane);
}

void sched_ready_deinit(struct sched *s, struct ready *r)
{
    struct lane *last = TAKE_PTR(r->last);

    if (last)
        tidy(s, last);
    ASSERT(r->by_priority.n == 0 && r->n == 0);
    map_deinit(&r->by_priority);
    heap_deinit(&r->levels);
}

static void use(struct sched *s, struct ready *r, struct lane *lane)
{
    struct lane *last = r->last;

    r->last = lane;
    if (last && last != lane)
        tidy(s, last);
}

/* ---- coming and going */

/* A task is about to come into @lane, which was kept for it. */
static void enter(struct sched *s, struct lane *lane)
{
    struct level *level = lane->level;
    struct ready *r = level->ready;

    lane->n_kept--;
    if (lane->n++ == 0) {
        if (list_is_empty(&level->turns)) {
            int e = heap_set(&r->levels, &level->by_rank, -(int64_t)level->priority);

            ASSERT(e == 0); /* level_new reserved the place */
        }
        list_push_back(&level->turns, &lane->turn);
    }
    level->n++;
    if (r->n++ == 0 && !r->is_held)
        list_push_back(&s->rotation, &r->rotation);
}

/* A task has left @lane. */
static void leave(struct lane *lane)
{
    struct level *level = lane->level;
    struct ready *r = level->ready;

    if (--lane->n == 0) {
        list_del(&lane->turn);
        if (list_is_empty(&level->turns))
            heap_del(&r->levels, &level->by_rank);
    }
    level->n--;
    if (--r->n == 0)
        list_del(&r->rotation);
}

void sched_push(struct sched *s, struct ready *r, struct future *f)
{
    struct lane *lane = kept(s, r, f);

    enter(s, lane);
    list_push_back(&lane->futures, &f->queue);
    use(s, r, lane);
}

/* What is in front of it has come back before it, as a rule. */
void sched_return(struct sched *s, struct ready *r, struct future *f)
{
    struct lane *lane = kept(s, r, f);
    struct list *before = &lane->futures;
    uint64_t key = id_key(&f->id);

    enter(s, lane);
    for (int i = 0; i < SCHED_OLDER_MAX && before->next != &lane->futures; i++) {
        if (id_key(&LIST_ENTRY(before->next, struct future, queue)->id) >= key)
            break;
        before = before->next;
    }
    list_insert_between(&f->queue, before, before->next);
    use(s, r, lane);
}

void sched_done(struct sched *s, struct ready *r, const struct future *f)
{
    struct lane *lane = kept(s, r, f);

    lane->n_kept--;
    tidy(s, lane);
}

void sched_remove(struct sched *s, struct ready *r, struct future *f)
{
    struct lane *lane = find(s, r, f);

    ASSERT(lane && lane->n > 0 && list_is_linked(&f->queue));
    list_del(&f->queue);
    leave(lane);
    tidy(s, lane);
}

/* The lane whose turn it is. NULL: there are no tasks. */
static struct lane *next_lane(const struct ready *r)
{
    struct heap_item *best = heap_min(&r->levels);
    struct level *level = best ? CONTAINER_OF(best, struct level, by_rank) : NULL;

    return level ? LIST_ENTRY(level->turns.next, struct lane, turn) : NULL;
}

struct future *sched_peek(const struct ready *r)
{
    struct lane *lane = next_lane(r);

    return lane ? LIST_ENTRY(lane->futures.next, struct future, queue) : NULL;
}

static struct future *take(struct sched *s, struct ready *r, int is_turn)
{
    struct lane *lane = next_lane(r);
    struct future *f;

    if (!lane)
        return NULL;
    f = LIST_ENTRY(list_pop_front(&lane->futures), struct future, queue);
    lane->n_kept++;
    leave(lane);
    if (is_turn && lane->turn.next != lane->turn.prev) { /* not the only one */
        list_del(&lane->turn);
        list_push_back(&lane->level->turns, &lane->turn);
    }
    use(s, r, lane);
    return f;
}

struct future *sched_pop(struct sched *s, struct ready *r)
{
    return take(s, r, 1);
}

struct future *sched_set_aside(struct sched *s, struct ready *r)
{
    return take(s, r, 0);
}

void sched_hold(struct ready *r)
{
    r->is_held = 1;
    list_del(&r->rotation);
}

void sched_allow(struct sched *s, struct ready *r)
{
    if (r->is_held && r->n > 0)
        list_push_back(&s->rotation, &r->rotation);
    r->is_held = 0;
}

/* ---- what can be told */

/* How many of @lane are before @f; beyond SCHED_LOOK_MAX by the times of their submission, as if they had come evenly. */
static int place_in(const struct lane *lane, const struct future *f, uint64_t *ret)
{
    const struct future *first = LIST_ENTRY(lane->futures.next, struct future, queue);
    const struct future *last = LIST_ENTRY(lane->futures.prev, struct future, queue);
    double all = (double)(last->submit_time - first->submit_time);
    uint64_t n = 0;

    LIST_FOREACH (l, &lane->futures) {
        if (l == &f->queue) {
            *ret = n;
            return 1;
        }
        if (++n > SCHED_LOOK_MAX)
            break;
    }
    if (all > 0 && f->submit_time >= first->submit_time && f->submit_time <= last->submit_time)
        n = MAX(n, (uint64_t)((double)(f->submit_time - first->submit_time) / all * (double)(lane->n - 1)));
    *ret = n;
    return 0;
}

int sched_position(struct sched *s, const struct ready *r, const struct future *f, uint64_t *ret)
{
    const struct lane *own = find(s, r, f);
    int is_exact, is_before = 1;
    uint64_t place, ahead, n = 0;

    ASSERT(own && own->n > 0);
    is_exact = place_in(own, f, &place);
    ahead = place;
    MAP_FOREACH (it, &r->by_priority) {
        const struct level *level = CONTAINER_OF(it, struct level, by_priority);

        if (level->priority > f->priority)
            ahead += level->n;
        if (++n > SCHED_LOOK_MAX)
            break;
    }
    is_exact &= n <= SCHED_LOOK_MAX;
    n = 0;
    LIST_FOREACH (l, &own->level->turns) {
        const struct lane *lane = LIST_ENTRY(l, struct lane, turn);

        if (lane == own)
            is_before = 0; /* those behind it are served once less before @f */
        else
            ahead += MIN(lane->n, place + (uint64_t)is_before);
        if (++n > SCHED_LOOK_MAX)
            break;
    }
    *ret = ahead;
    return is_exact && n <= SCHED_LOOK_MAX;
}

const struct future *sched_oldest(const struct ready *r)
{
    const struct future *oldest = NULL;
    uint64_t n = 0;

    for (uint32_t i = 0; i < r->levels.n; i++) {
        const struct level *level = CONTAINER_OF(r->levels.items[i], struct level, by_rank);

        LIST_FOREACH (l, &level->turns) {
            const struct lane *lane = LIST_ENTRY(l, struct lane, turn);
            const struct future *f = LIST_ENTRY(lane->futures.next, struct future, queue);

            if (!oldest || id_key(&f->id) < id_key(&oldest->id))
                oldest = f;
            if (++n >= SCHED_LOOK_MAX)
                return oldest;
        }
    }
    return oldest;
}
