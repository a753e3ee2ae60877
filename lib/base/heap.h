// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * A binary min-heap of timers whose items know their place, so that any one can be moved or removed in O(log
 * n). Items are embedded in their owners and ordered by (key, tie): equal keys keep the order of insertion.
 */
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct heap_item {
    int64_t key;
    uint64_t tie;
    uint32_t place; /* index + 1 in the heap; 0 = in no heap */
};

struct heap {
    struct heap_item **items;
    uint32_t n, cap;
    uint64_t next_tie;
};

#define HEAP_INIT ((struct heap){0})

/* heap_deinit: take all items out (they must still be alive) and free the memory. Usable again. */
void heap_deinit(struct heap *h);

/* heap_reserve: make sure that @n items in all fit, so that heap_set cannot fail up to there. 0, -ENOMEM. */
MUST_CHECK int heap_reserve(struct heap *h, uint32_t n);

/* heap_set: put @item into @h with @key, behind those of equal key; or, when it is in already, move it (which
 *   cannot fail; with the key that it has, it keeps its turn).
 *   Owns:   the caller keeps @item, which must not move in memory while it is in; new ones have place 0.
 *   Return: 0, -ENOMEM (@item unchanged). O(log n). */
MUST_CHECK int heap_set(struct heap *h, struct heap_item *item, int64_t key);

/* heap_set_tie: the same, among those of equal key at the place that @tie gives it; @item must not be in, and all of @h must
 * come so. */
MUST_CHECK int heap_set_tie(struct heap *h, struct heap_item *item, int64_t key, uint64_t tie);

/* heap_del: take @item out, if it is in. O(log n). */
void heap_del(struct heap *h, struct heap_item *item);

static inline int heap_has(const struct heap_item *item)
{
    return item->place != 0;
}

/* heap_min: the item with the smallest key, NULL when empty. */
static inline struct heap_item *heap_min(const struct heap *h)
{
    return h->n ? h->items[0] : NULL;
}
