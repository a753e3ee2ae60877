// SPDX-License-Identifier: Apache-2.0
#include "base/map.h"

#include "base/mem.h"

#include <errno.h>

enum { MAP_MIN_BUCKETS = 16 };

void map_init(struct map *m, const struct hash_seed *seed)
{
    *m = (struct map){.seed = *seed};
}

void map_deinit(struct map *m)
{
    mem_free(m->buckets);
    m->buckets = NULL;
    m->n = m->n_buckets = 0;
}

static struct map_item **bucket(const struct map *m, uint64_t hash)
{
    return &m->buckets[hash & (m->n_buckets - 1)];
}

static int grow(struct map *m)
{
    uint32_t n = m->n_buckets ? m->n_buckets * 2 : MAP_MIN_BUCKETS;
    struct map bigger = *m;

    bigger.buckets = mem_zalloc(n * sizeof(struct map_item *));
    if (!bigger.buckets)
        return -ENOMEM;
    bigger.n_buckets = n;
    for (uint32_t i = 0; i < m->n_buckets; i++) {
        struct map_item *it = m->buckets[i];

        while (it) {
            struct map_item *next = it->next, **to = bucket(&bigger, it->hash);

            it->next = *to;
            *to = it;
            it = next;
        }
    }
    mem_free(m->buckets);
    *m = bigger;
    return 0;
}

struct map_item *map_find(const struct map *m, struct span key)
{
    uint64_t hash;

    if (!m->n)
        return NULL;
    hash = hash_bytes(&m->seed, key.p, key.len);
    for (struct map_item *it = *bucket(m, hash); it; it = it->next)
        if (it->hash == hash && span_eq(it->key, key))
            return it;
    return NULL;
}

int map_insert(struct map *m, struct map_item *item, struct span key)
{
    struct map_item **to;

    if (map_find(m, key))
        return MAP_E_EXISTS;
    if (m->n >= m->n_buckets) {
        int r = grow(m);

        if (r < 0)
            return r;
    }
    item->key = key;
    item->hash = hash_bytes(&m->seed, key.p, key.len);
    to = bucket(m, item->hash);
    item->next = *to;
    *to = item;
    m->n++;
    return 0;
}

void map_remove(struct map *m, struct map_item *item)
{
    struct map_item **at;

    ASSERT(m->n > 0);
    at = bucket(m, item->hash);
    while (*at != item) {
        ASSERT(*at);
        at = &(*at)->next;
    }
    *at = item->next;
    item->next = NULL;
    m->n--;
}

struct map_item *map_next(const struct map *m, const struct map_item *item)
{
    uint32_t i = 0;

    if (item) {
        if (item->next)
            return item->next;
        i = (uint32_t)(item->hash & (m->n_buckets - 1)) + 1;
    }
    for (; i < m->n_buckets; i++)
        if (m->buckets[i])
            return m->buckets[i];
    return NULL;
}
