// SPDX-License-Identifier: Apache-2.0
#include "base/heap.h"

#include "base/mem.h"

#include <errno.h>

enum { HEAP_MIN_ITEMS = 16 };

void heap_deinit(struct heap *h)
{
    for (uint32_t i = 0; i < h->n; i++)
        h->items[i]->place = 0;
    mem_free(h->items);
    *h = HEAP_INIT;
}

int heap_reserve(struct heap *h, uint32_t n)
{
    struct heap_item **items;
    uint32_t cap = MAX(h->cap, (uint32_t)HEAP_MIN_ITEMS);

    if (n <= h->cap)
        return 0;
    while (cap < n) {
        if (cap > UINT32_MAX / 2)
            return -ENOMEM;
        cap *= 2;
    }
    items = mem_realloc(h->items, cap * sizeof *items);
    if (!items)
        return -ENOMEM;
    h->items = items;
    h->cap = cap;
    return 0;
}

static int before(const struct heap_item *a, const struct heap_item *b)
{
    return a->key < b->key || (a->key == b->key && a->tie < b->tie);
}

static void put(struct heap *h, uint32_t i, struct heap_item *item)
{
    h->items[i] = item;
    item->place = i + 1;
}

static void sift_up(struct heap *h, uint32_t i, struct heap_item *item)
{
    while (i > 0) {
        uint32_t parent = (i - 1) / 2;

        if (!before(item, h->items[parent]))
            break;
        put(h, i, h->items[parent]);
        i = parent;
    }
    put(h, i, item);
}

static void sift_down(struct heap *h, uint32_t i, struct heap_item *item)
{
    for (;;) {
        uint32_t child = 2 * i + 1;

        if (child >= h->n)
            break;
        if (child + 1 < h->n && before(h->items[child + 1], h->items[child]))
            child++;
        if (!before(h->items[child], item))
            break;
        put(h, i, h->items[child]);
        i = child;
    }
    put(h, i, item);
}

/* Whether @item is in this heap and not in another one. */
static int is_at_its_place(const struct heap *h, const struct heap_item *item)
{
    return item->place <= h->n && h->items[item->place - 1] == item;
}

int heap_set(struct heap *h, struct heap_item *item, int64_t key)
{
    if (!item->place) {
        int r = heap_reserve(h, h->n + 1);

        if (r < 0)
            return r;
        h->n++;
        item->place = h->n;
    } else {
        ASSERT(is_at_its_place(h, item));
        if (item->key == key)
            return 0;
    }
    item->key = key;
    item->tie = h->next_tie++;
    sift_up(h, item->place - 1, item);
    sift_down(h, item->place - 1, item);
    return 0;
}

int heap_set_tie(struct heap *h, struct heap_item *item, int64_t key, uint64_t tie)
{
    ASSERT(!item->place);
    h->next_tie = tie;
    return heap_set(h, item, key);
}

void heap_del(struct heap *h, struct heap_item *item)
{
    struct heap_item *last;
    uint32_t i;

    if (!item->place)
        return;
    ASSERT(is_at_its_place(h, item));
    i = item->place - 1;
    item->place = 0;
    last = h->items[--h->n];
    if (last == item)
        return;
    put(h, i, last);
    sift_up(h, i, last);
    sift_down(h, last->place - 1, last);
}
