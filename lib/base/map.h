// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * A seeded hash map from byte-string keys to objects that embed a map_item: names of functions, method paths,
 * groups. Chained; the bucket array doubles at load 1. Small and rarely growing maps only: one rehash moves
 * all. (Futures live in the engine's own table, which grows in steps.)
 */
#include "base/bytes.h"
#include "base/hash.h"

struct map_item {
    struct map_item *next;
    uint64_t hash;
    struct span key; /* points into the object that embeds the item; must not change while it is in the map */
};

struct map {
    struct map_item **buckets;
    uint32_t n, n_buckets; /* n_buckets is 0 or a power of two */
    struct hash_seed seed;
};

/* map_init: an empty map; allocates nothing until the first item. */
void map_init(struct map *m, const struct hash_seed *seed);

/* map_deinit: free the buckets; the items stay their owners'. */
void map_deinit(struct map *m);

/* map_insert: put @item in under @key.
 *   Owns:   the caller keeps the item and the key's bytes.
 *   Return: 0; MAP_E_EXISTS (an item with this key is in); -ENOMEM. */
enum { MAP_E_EXISTS = 1 };
MUST_CHECK int map_insert(struct map *m, struct map_item *item, struct span key);

/* map_find: the item under @key, or NULL. O(1). */
struct map_item *map_find(const struct map *m, struct span key);

/* map_remove: take @item out; it must be in. O(1). */
void map_remove(struct map *m, struct map_item *item);

/* map_next: iterate in no order: NULL starts, NULL ends. The map must not change meanwhile. */
struct map_item *map_next(const struct map *m, const struct map_item *item);

#define MAP_FOREACH(it, m) for (struct map_item *it = map_next(m, NULL); it; it = map_next(m, it))
