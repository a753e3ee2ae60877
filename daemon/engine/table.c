// SPDX-License-Identifier: Apache-2.0
/*
 * Invariants, per array:
 *  1. items lie in ascending order of hash (equal hashes side by side);
 *  2. between an item's home, or `start` where that is later, and its slot there is no free slot;
 *  3. no item lies before its home, nor before `start`.
 * From 1 and 2: a search walks from the home to the first larger hash or free slot. A removal shifts what follows one
 * slot back up to the first item at home: there are no tombstones. Resizing takes the items of `main` from its front;
 * each goes behind everything in `next`, where its home is.
 *
 * Load: growing, by half, starts at 0.53. An insert or a removal moves 4 slots as a rule; growing is done at a load of
 * 0.79 then, and the next one begins at once, so that the load of both arrays together stays near 0.53. Shrinking starts
 * below 0.27, to 0.4. What starts late, after a lack of memory or one resizing upon another, moves as many more slots as
 * it needs to be done in time (pace), at most TABLE_STEP_MAX. If there is no memory for long, resizing waits and the
 * array fills; at 7/8 an insert fails.
 *
 * The hash of an ID is that of its key without the last two bits, followed by these: four IDs made one after the other
 * are neighbours. Futures are made, run and forgotten about in the order of their IDs, and in a table of hundreds of
 * megabytes what costs is the first touch of a page (measured, 10 million: 670 ns a submission without runs, 470 with).
 * Runs make sequences of used slots longer: a search looks at 6 slots on average instead of 2, mostly in one or two
 * cache lines; an insert walks 20 to the next free slot.
 *
 * Can a peer steer IDs into one place? Keys are made here, from our clock and a counter; where a run of them goes is
 * decided by two multiplications with the secret seed. A peer can make IDs more or less often, but neither choose nor
 * foresee their places, and looking up made-up IDs changes nothing. Names of groups, which peers do choose, are hashed
 * by hash_bytes.
 */
#include "engine/table.h"

#include "base/mem.h"

#include <errno.h>
#include <string.h>

enum {
    RUN_SHIFT = 2, /* 4 consecutive IDs are neighbours: a cache line */
    RUN_MASK = (1 << RUN_SHIFT) - 1,
    SEGMENT_SHIFT = 12,
    SPARE_SEGMENTS =
            2, /* behind the last home: 4096 slots and more, many times what order and load can displace */
};
_Static_assert(1 << SEGMENT_SHIFT == TABLE_SEGMENT_SLOTS, "shift and size");

__extension__ typedef unsigned __int128 uint128;

void table_init(struct table *t, const struct hash_seed *seed)
{
    *t = (struct table){.seed = *seed};
}

static void segment_drop(struct table *t, struct table_array *a, uint64_t i)
{
    struct table_slot **segment = &a->segments[i >> SEGMENT_SHIFT];

    if (*segment) {
        *segment = mem_free(*segment);
        t->n_slots -= TABLE_SEGMENT_SLOTS;
    }
}

static void array_free(struct table *t, struct table_array *a)
{
    for (uint64_t i = a->start >> SEGMENT_SHIFT; i < a->n_segments; i++)
        segment_drop(t, a, i << SEGMENT_SHIFT);
    mem_free(a->segments);
    *a = (struct table_array){0};
}

void table_deinit(struct table *t)
{
    array_free(t, &t->main);
    array_free(t, &t->next);
}

static inline uint64_t fold(uint64_t a, uint64_t b)
{
    uint128 m = (uint128)a * b;

    return (uint64_t)m ^ (uint64_t)(m >> 64);
}

uint64_t table_hash_id(const struct table *t, const struct id *id)
{
    uint64_t key = id_key(id), run = key >> RUN_SHIFT;

    run = fold(run ^ t->seed.k0, t->seed.k1 ^ 0x9e3779b97f4a7c15U);
    run = fold(run ^ t->seed.k1, t->seed.k0 ^ 0xd1b54a32d192ed03U);
    return (run & ~(uint64_t)RUN_MASK) | (key & RUN_MASK);
}

static inline uint64_t home(const struct table_array *a, uint64_t hash)
{
    return (uint64_t)(((uint128)hash * a->n_homes) >> 64);
}

static inline uint64_t array_end(const struct table_array *a)
{
    return (uint64_t)a->n_segments << SEGMENT_SHIFT;
}

/* The slot at @i; a segment that does not exist is full of free ones. */
static inline struct table_slot slot_get(const struct table_array *a, uint64_t i)
{
    const struct table_slot *segment = a->segments[i >> SEGMENT_SHIFT];

    return segment ? segment[i & (TABLE_SEGMENT_SLOTS - 1)] : (struct table_slot){0};
}

static inline void slot_set(struct table_array *a, uint64_t i, struct table_slot s)
{
    a->segments[i >> SEGMENT_SHIFT][i & (TABLE_SEGMENT_SLOTS - 1)] = s;
}

/* Where a search for @hash starts. */
static inline uint64_t first_slot(const struct table_array *a, uint64_t hash)
{
    uint64_t h = home(a, hash);

    return h > a->start ? h : a->start;
}

static int array_init(struct table_array *a, uint64_t n_homes)
{
    uint64_t n = (n_homes + TABLE_SEGMENT_SLOTS - 1) / TABLE_SEGMENT_SLOTS + SPARE_SEGMENTS;

    if (n > UINT32_MAX)
        return -ENOMEM;
    a->segments = mem_zalloc(n * sizeof *a->segments);
    if (!a->segments)
        return -ENOMEM;
    a->n_segments = (uint32_t)n;
    a->n_homes = n_homes;
    a->start = a->end = a->n_items = 0;
    return 0;
}

/* Make sure that the slot at @i can be written. */
static int segment_need(struct table *t, struct table_array *a, uint64_t i)
{
    struct table_slot **segment = &a->segments[i >> SEGMENT_SHIFT];

    if (LIKELY(*segment))
        return 0;
    *segment = mem_zalloc(TABLE_SEGMENT_SLOTS * sizeof **segment);
    if (!*segment)
        return -ENOMEM;
    t->n_slots += TABLE_SEGMENT_SLOTS;
    return 0;
}

/* The first slot at or after @at that is free or holds a hash > @hash. */
static uint64_t skip(const struct table_array *a, uint64_t at, uint64_t hash)
{
    for (;; at = (at | (TABLE_SEGMENT_SLOTS - 1)) + 1) {
        const struct table_slot *segment = at < array_end(a) ? a->segments[at >> SEGMENT_SHIFT] : NULL;

        if (!segment)
            return at;
        for (uint64_t i = at & (TABLE_SEGMENT_SLOTS - 1); i < TABLE_SEGMENT_SLOTS; i++)
            if (!segment[i].item || segment[i].hash > hash)
                return (at & ~(uint64_t)(TABLE_SEGMENT_SLOTS - 1)) + i;
    }
}

/* Move the items of the slots from @at to @end - 1 up by one; the slot at @end is free. */
static void shift_up(struct table_array *a, uint64_t at, uint64_t end)
{
    struct table_slot *segment = a->segments[at >> SEGMENT_SHIFT];
    uint64_t i = at & (TABLE_SEGMENT_SLOTS - 1);

    if (LIKELY(at >> SEGMENT_SHIFT == end >> SEGMENT_SHIFT)) {
        memmove(&segment[i + 1], &segment[i], (end - at) * sizeof *segment);
        return;
    }
    for (; end > at; end--)
        slot_set(a, end, slot_get(a, end - 1));
}

/* Put @s in its place and shift what is larger, up to the next free slot. 0, -ENOMEM (unchanged). */
static int array_insert(struct table *t, struct table_array *a, struct table_slot s)
{
    uint64_t at = skip(a, first_slot(a, s.hash), s.hash), free_at = skip(a, at, UINT64_MAX);

    if (free_at >= array_end(a) || segment_need(t, a, free_at) < 0)
        return -ENOMEM;
    shift_up(a, at, free_at);
    slot_set(a, at, s);
    a->n_items++;
    return 0;
}

/* Put @s, whose hash none in @a exceeds, behind all others. From the home of the one appended last to `end` no slot is
 * free, unless something was removed. 0, -ENOMEM (unchanged). */
static int array_append(struct table *t, struct table_array *a, struct table_slot s)
{
    uint64_t at = home(a, s.hash);

    at = skip(a, MAX(at, a->end), UINT64_MAX);
    if (at >= array_end(a) || segment_need(t, a, at) < 0)
        return -ENOMEM;
    slot_set(a, at, s);
    a->end = at + 1;
    a->n_items++;
    return 0;
}

static uint64_t capacity(const struct table_array *a)
{
    return a->n_homes / 8 * 7;
}

/* Above it an array must grow, below it it may shrink. */
static uint64_t load_high(const struct table_array *a)
{
    return a->n_homes / 15 * 8;
}

static uint64_t load_low(const struct table_array *a)
{
    return a->n_homes / 15 * 4;
}

/* How many slots to move now, so that resizing is done before the new array is due for the next: before it is loaded
 * high should only inserts follow, well before it is loaded low should only removals follow. */
static uint64_t pace(const struct table *t)
{
    uint64_t left = t->main.start < t->main.n_homes ? t->main.n_homes - t->main.start : t->main.n_items;
    uint64_t high = MIN(capacity(&t->main), load_high(&t->next)), low = load_low(&t->next) / 2,
             n = t->n_items, room;

    room = n > low && n < high ? MIN(n - low, high - n) : 0;
    if (LIKELY(left <= room * TABLE_STEP))
        return TABLE_STEP;
    return MIN(left / (room + 1) + 1, (uint64_t)TABLE_STEP_MAX);
}

/* Move the items of the next slots of main, which has items. Stops early where there is no memory. */
static void step(struct table *t)
{
    uint64_t at = t->main.start, end = MIN(at + pace(t), (at | (TABLE_SEGMENT_SLOTS - 1)) + 1);
    struct table_slot *from = t->main.segments[at >> SEGMENT_SHIFT];
    uint32_t n_moved = 0;

    if (!from)
        at = end = (at | (TABLE_SEGMENT_SLOTS - 1)) + 1;
    for (; at < end; at++) {
        struct table_slot *s = &from[at & (TABLE_SEGMENT_SLOTS - 1)];

        if (!s->item)
            continue;
        if (array_append(t, &t->next, *s) < 0)
            break;
        t->boundary = s->hash;
        *s = (struct table_slot){0};
        n_moved++;
    }
    if ((at & (TABLE_SEGMENT_SLOTS - 1)) == 0 && at > t->main.start)
        segment_drop(t, &t->main, at - 1);
    t->main.start = at;
    t->main.n_items -= n_moved;
    ASSERT(n_moved <= TABLE_STEP_MAX);
    t->n_moved += n_moved;
    t->n_moved_max = MAX(t->n_moved_max, n_moved);
    if (t->main.n_items == 0) {
        array_free(t, &t->main);
        t->main = t->next;
        t->next = (struct table_array){0};
        t->boundary = 0;
    }
}

static int is_resizing(const struct table *t)
{
    return t->next.n_homes != 0;
}

/* Start to resize where the load asks for it; go on where it has been started. A start that fails is tried again. */
static void resize(struct table *t)
{
    uint64_t n = t->main.n_homes, to = 0;

    if (!is_resizing(t)) {
        if (t->n_items > load_high(&t->main))
            to = n / 2 * 3;
        else if (t->n_items < load_low(&t->main) && n > TABLE_MIN_SLOTS)
            to = MAX(t->n_items / 2 * 5, (uint64_t)TABLE_MIN_SLOTS);
        if (to == 0 || array_init(&t->next, to) < 0)
            return;
    }
    step(t);
}

/* Which array a new item with @hash belongs in. */
static struct table_array *array_of(struct table *t, uint64_t hash)
{
    return is_resizing(t) && hash < t->boundary ? &t->next : &t->main;
}

int table_insert(struct table *t, uint64_t hash, void *item)
{
    struct table_array *a;

    ASSERT(item);
    if (UNLIKELY(t->main.n_homes == 0) && array_init(&t->main, TABLE_MIN_SLOTS) < 0)
        return -ENOMEM;
    resize(t);
    a = array_of(t, hash);
    if (UNLIKELY(t->n_items >= capacity(a)) ||
        array_insert(t, a, (struct table_slot){.hash = hash, .item = item}) < 0)
        return -ENOMEM;
    t->n_items++;
    return 0;
}

static void *array_find(const struct table_array *a, uint64_t hash, table_is_fn is, const void *key)
{
    uint64_t end = array_end(a);
    struct table_slot s;

    for (uint64_t at = first_slot(a, hash); at < end && (s = slot_get(a, at)).item && s.hash <= hash; at++)
        if (s.hash == hash && is(s.item, key))
            return s.item;
    return NULL;
}

void *table_find(const struct table *t, uint64_t hash, table_is_fn is, const void *key)
{
    void *item = NULL;

    if (is_resizing(t) && hash <= t->boundary)
        item = array_find(&t->next, hash, is, key);
    if (!item && t->main.n_homes && hash >= t->boundary)
        item = array_find(&t->main, hash, is, key);
    return item;
}

/* Take @item out and shift what follows back towards its home. 0 = it is not here. */
static int array_remove(struct table_array *a, uint64_t hash, const void *item)
{
    uint64_t at = first_slot(a, hash), end = array_end(a);
    struct table_slot s;

    for (;; at++) {
        if (at >= end || !(s = slot_get(a, at)).item || s.hash > hash)
            return 0;
        if (s.item == item)
            break;
    }
    for (; at + 1 < end && (s = slot_get(a, at + 1)).item && first_slot(a, s.hash) <= at; at++)
        slot_set(a, at, s);
    slot_set(a, at, (struct table_slot){0});
    a->n_items--;
    a->end = 0;
    return 1;
}

void table_remove(struct table *t, uint64_t hash, const void *item)
{
    int is_out = 0;

    if (is_resizing(t) && hash <= t->boundary)
        is_out = array_remove(&t->next, hash, item);
    if (!is_out && hash >= t->boundary)
        is_out = array_remove(&t->main, hash, item);
    ASSERT(is_out);
    t->n_items--;
    resize(t);
}

void table_prefetch(const struct table *t, uint64_t hash)
{
    const struct table_array *a = is_resizing(t) && hash < t->boundary ? &t->next : &t->main;
    const struct table_slot *segment;
    uint64_t at;

    if (!a->n_homes)
        return;
    at = first_slot(a, hash);
    segment = a->segments[at >> SEGMENT_SHIFT];
    if (segment)
        __builtin_prefetch(&segment[at & (TABLE_SEGMENT_SLOTS - 1)], 1);
}

static void slot_check(const struct table_array *a, uint64_t at, uint64_t last)
{
    struct table_slot s = slot_get(a, at);
    uint64_t first = first_slot(a, s.hash);

    ASSERT(at >= first && s.hash >= last);
    for (uint64_t before = first; before < at; before++)
        ASSERT(slot_get(a, before).item);
}

static uint64_t array_check(const struct table_array *a, uint64_t low, uint64_t high)
{
    uint64_t n = 0, last = low;

    for (uint32_t i = 0; i < a->n_segments; i++) {
        const struct table_slot *segment = a->segments[i];

        for (uint64_t k = 0; segment && k < TABLE_SEGMENT_SLOTS; k++) {
            if (!segment[k].item)
                continue;
            slot_check(a, ((uint64_t)i << SEGMENT_SHIFT) + k, last);
            last = segment[k].hash;
            n++;
        }
    }
    ASSERT(n == a->n_items && last <= high);
    return n;
}

void table_check(const struct table *t)
{
    uint64_t n = array_check(&t->main, t->boundary, UINT64_MAX) + array_check(&t->next, 0, t->boundary);

    ASSERT(n == t->n_items);
    ASSERT(t->n_moved_max <= TABLE_STEP_MAX);
}
