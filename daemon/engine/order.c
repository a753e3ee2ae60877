// SPDX-License-Identifier: Apache-2.0
#include "engine/order.h"

#include "base/mem.h"

#include <errno.h>
#include <string.h>

enum {
    ORDER_MIN_ENTRIES = 16,
    ORDER_MERGE = ORDER_LEAF * 2 / 3, /* two leaves with no more than this become one */
};

void order_init(struct order *o)
{
    *o = (struct order){0};
}

void order_deinit(struct order *o)
{
    for (uint32_t i = 0; i < o->n; i++)
        mem_free(o->entries[o->first + i].leaf);
    mem_free(o->entries);
    *o = (struct order){0};
}

static struct order_entry *entry(const struct order *o, uint32_t i)
{
    return &o->entries[o->first + i];
}

static struct future *leaf_get(const struct order_leaf *l, uint32_t i)
{
    return l->at[l->first + i];
}

/* Room for one more entry at the end of the directory: slide to the front where half of it is free, else grow. */
static int directory_reserve(struct order *o)
{
    struct order_entry *entries;
    uint32_t cap;

    if (o->first + o->n < o->cap)
        return 0;
    if (o->cap > 0 && o->n <= o->cap / 2) {
        memmove(o->entries, entry(o, 0), o->n * sizeof *o->entries);
        o->first = 0;
        return 0;
    }
    if (o->cap > UINT32_MAX / 2)
        return -ENOMEM;
    cap = o->cap ? o->cap * 2 : ORDER_MIN_ENTRIES;
    entries = mem_realloc(o->entries, cap * sizeof *entries);
    if (!entries)
        return -ENOMEM;
    o->entries = entries;
    o->cap = cap;
    return 0;
}

/* A new, empty leaf as entry @i of the directory. */
static struct order_leaf *leaf_new(struct order *o, uint32_t i, uint64_t key)
{
    struct order_leaf *leaf;

    if (directory_reserve(o) < 0)
        return NULL;
    leaf = mem_alloc(sizeof *leaf);
    if (!leaf)
        return NULL;
    leaf->first = leaf->n = 0;
    memmove(entry(o, i) + 1, entry(o, i), (o->n - i) * sizeof *o->entries);
    o->n++;
    *entry(o, i) = (struct order_entry){.key = key, .leaf = leaf};
    return leaf;
}

int order_append(struct order *o, struct future *f)
{
    struct order_leaf *leaf = o->n ? entry(o, o->n - 1)->leaf : NULL;
    uint64_t key = id_key(&f->id);

    ASSERT(!leaf || key > id_key(&leaf_get(leaf, leaf->n - 1)->id));
    if (!leaf || leaf->first + leaf->n == ORDER_LEAF)
        leaf = leaf_new(o, o->n, key);
    if (!leaf)
        return -ENOMEM;
    leaf->at[leaf->first + leaf->n++] = f;
    o->n_futures++;
    return 0;
}

/* How many entries have a key <= @key. */
static uint32_t entries_up_to(const struct order *o, uint64_t key)
{
    uint32_t low = 0, high = o->n;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;

        if (entry(o, mid)->key <= key)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* How many futures of @l have a key < @key. What goes out is mostly the oldest, so the front is tried first. */
static uint32_t futures_below(const struct order_leaf *l, uint64_t key)
{
    uint32_t low = 0, high = l->n;

    if (id_key(&leaf_get(l, 0)->id) >= key)
        return 0;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;

        if (id_key(&leaf_get(l, mid)->id) < key)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* The upper half of leaf @i, which is full, to a leaf of its own. -ENOMEM. */
static int split(struct order *o, uint32_t i)
{
    struct order_leaf *from = entry(o, i)->leaf, *to;
    uint32_t keep = from->n / 2, n = from->n - keep;

    to = leaf_new(o, i + 1, id_key(&leaf_get(from, keep)->id));
    if (!to)
        return -ENOMEM;
    memcpy(to->at, &from->at[from->first + keep], n * sizeof *to->at);
    to->n = n;
    from->n = keep;
    return 0;
}

/* Put @f into @leaf, which is not full, as its @at-th; the shorter side shifts, if it has room. */
static void leaf_put(struct order_leaf *leaf, uint32_t at, struct future *f)
{
    struct future **begin = &leaf->at[leaf->first];
    int has_tail = leaf->first + leaf->n < ORDER_LEAF;

    if (leaf->first > 0 && (at < leaf->n / 2 || !has_tail)) {
        memmove(begin - 1, begin, at * sizeof *begin);
        leaf->first--;
    } else {
        memmove(begin + at + 1, begin + at, (leaf->n - at) * sizeof *begin);
    }
    leaf->at[leaf->first + at] = f;
    leaf->n++;
}

int order_insert(struct order *o, struct future *f)
{
    uint64_t key = id_key(&f->id);
    uint32_t i = entries_up_to(o, key), at;
    const struct order_leaf *leaf;

    if (i == o->n &&
        (i == 0 || id_key(&leaf_get(entry(o, i - 1)->leaf, entry(o, i - 1)->leaf->n - 1)->id) < key))
        return order_append(o, f);
    i -= i > 0;
    if (entry(o, i)->leaf->n == ORDER_LEAF) {
        if (split(o, i) < 0)
            return -ENOMEM;
        i += entry(o, i + 1)->key <= key;
    }
    leaf = entry(o, i)->leaf;
    at = futures_below(leaf, key);
    ASSERT(at == leaf->n || id_key(&leaf_get(leaf, at)->id) != key);
    leaf_put(entry(o, i)->leaf, at, f);
    entry(o, i)->key = MIN(entry(o, i)->key, key);
    o->n_futures++;
    return 0;
}

/* Take item @i out of @n items of @bytes each at @first; the shorter side shifts. Returns the new first item. */
static uint32_t array_take(void *items, size_t bytes, uint32_t first, uint32_t n, uint32_t i)
{
    uint8_t *at = (uint8_t *)items + first * bytes;

    if (i < n / 2) {
        memmove(at + bytes, at, i * bytes);
        return first + 1;
    }
    memmove(at + i * bytes, at + (i + 1) * bytes, (n - i - 1) * bytes);
    return first;
}

static void entry_drop(struct order *o, uint32_t i)
{
    mem_free(entry(o, i)->leaf);
    o->first = array_take(o->entries, sizeof *o->entries, o->first, o->n, i);
    o->n--;
    if (o->n == 0)
        o->first = 0;
}

/* Append the futures of leaf @i + 1 to leaf @i, if both fit well into one. */
static int merge(struct order *o, uint32_t i)
{
    struct order_leaf *to, *from;

    if (i + 1 >= o->n)
        return 0;
    to = entry(o, i)->leaf;
    from = entry(o, i + 1)->leaf;
    if (to->n + from->n > ORDER_MERGE)
        return 0;
    memmove(to->at, &to->at[to->first], to->n * sizeof *to->at);
    memcpy(&to->at[to->n], &from->at[from->first], from->n * sizeof *to->at);
    to->first = 0;
    to->n += from->n;
    entry_drop(o, i + 1);
    return 1;
}

void order_remove(struct order *o, const struct future *f)
{
    uint64_t key = id_key(&f->id);
    uint32_t i = entries_up_to(o, key), at;
    struct order_leaf *leaf;

    ASSERT(i > 0);
    leaf = entry(o, --i)->leaf;
    at = futures_below(leaf, key);
    ASSERT(at < leaf->n && leaf_get(leaf, at) == f);
    leaf->first = array_take(leaf->at, sizeof *leaf->at, leaf->first, leaf->n, at);
    leaf->n--;
    o->n_futures--;
    if (leaf->n == 0)
        entry_drop(o, i);
    else if (leaf->n <= ORDER_MERGE && !merge(o, i) && i > 0)
        (void)merge(o, i - 1);
}

struct future *order_step(const struct order *o, struct order_place *place, int desc)
{
    if (desc) {
        if (place->at == 0) {
            if (place->entry == 0)
                return NULL;
            place->entry--;
            place->at = entry(o, place->entry)->leaf->n;
        }
        place->at--;
    } else if (++place->at == entry(o, place->entry)->leaf->n) {
        if (place->entry + 1 == o->n)
            return NULL;
        place->entry++;
        place->at = 0;
    }
    return leaf_get(entry(o, place->entry)->leaf, place->at);
}

struct future *order_seek(const struct order *o, uint64_t key, int desc, struct order_place *ret_place)
{
    struct order_place place = {0};
    struct order_leaf *leaf;
    uint32_t i;

    if (o->n == 0 || (!desc && key == UINT64_MAX))
        return NULL;
    /* all keys of the leaves before place.entry are too low, all of those after it too high (or high enough) */
    i = entries_up_to(o, desc ? key : key + 1);
    place.entry = i ? i - 1 : 0;
    leaf = entry(o, place.entry)->leaf;
    place.at = futures_below(leaf, desc ? key : key + 1);
    *ret_place = place;
    if (desc || place.at == leaf->n) {
        /* one too far, or just behind this leaf */
        if (!desc)
            ret_place->at--;
        return order_step(o, ret_place, desc);
    }
    return leaf_get(leaf, place.at);
}

void order_check(const struct order *o)
{
    uint64_t n = 0, last = 0;

    ASSERT(o->first + o->n <= o->cap);
    for (uint32_t i = 0; i < o->n; i++) {
        const struct order_leaf *leaf = entry(o, i)->leaf;

        ASSERT(leaf->n > 0 && leaf->first + leaf->n <= ORDER_LEAF);
        ASSERT(i == 0 || entry(o, i)->key > last);
        for (uint32_t j = 0; j < leaf->n; j++) {
            uint64_t key = id_key(&leaf_get(leaf, j)->id);

            ASSERT(key >= entry(o, i)->key && (n == 0 || key > last));
            last = key;
            n++;
        }
    }
    ASSERT(n == o->n_futures);
}
