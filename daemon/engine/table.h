// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * The hash table of futures (by ID) and of groups (by name): made for tens of millions of items without a pause.
 *
 *  - A slot is 16 bytes, {hash, item}. Growing never touches an item.
 *  - Home of a hash in an array of n slots is hash * n / 2^64: the order of homes is the order of hashes, for any n.
 *    Collisions go to the next free slot, kept in order too (linear probing, "robin hood"). So the whole array is one
 *    sequence sorted by hash with gaps, and resizing is copying it front to back.
 *  - Hence it can grow by half, not by doubling, and do so all the time: each insert and each removal moves the
 *    next TABLE_STEP slots, in need some more. Hashes below `boundary` are in the new array, those above it in the old
 *    one, equal ones in either.
 *  - An array is a list of segments of 64 KiB, allocated in front of the boundary and freed behind it. Memory is
 *    proportional to the number of items at every moment; there is no second table, no large allocation, no large free.
 *  - It shrinks the same way.
 *
 * Two items with one hash are told apart by the caller's function. Nothing iterates.
 */
#include "base/hash.h"
#include "base/id.h"

enum {
    TABLE_STEP = 4,             /* slots that one insert or removal moves while it resizes */
    TABLE_STEP_MAX = 64,        /* ... when that must be done sooner */
    TABLE_SEGMENT_SLOTS = 4096, /* 64 KiB */
    TABLE_MIN_SLOTS = 4096,
};

struct table_slot {
    uint64_t hash;
    void *item; /* NULL = free */
};

struct table_array {
    struct table_slot **segments; /* NULL = all free */
    uint32_t n_segments;
    uint64_t n_homes; /* slots that are home of some hash; a few more follow them; 0 = no array */
    uint64_t start;   /* slots before it are free, for good */
    uint64_t end;     /* behind the item appended last; 0 = look for it */
    uint64_t n_items;
};

struct table {
    struct hash_seed seed;
    struct table_array main;   /* everything, or while resizing what has not moved: hashes >= boundary */
    struct table_array next;   /* hashes <= boundary; without homes while it does not resize */
    uint64_t boundary;         /* hash of the item moved last */
    uint64_t n_items, n_slots; /* n_slots: of the segments that exist */
    uint64_t n_moved;          /* in all */
    uint32_t n_moved_max;      /* by one insert or removal */
};

/* table_init: empty; allocates nothing. table_deinit: the items are their owners'. */
void table_init(struct table *t, const struct hash_seed *seed);
void table_deinit(struct table *t);

/* table_hash_id: the hash of an ID, seeded; consecutive IDs are neighbours. See table.c. */
uint64_t table_hash_id(const struct table *t, const struct id *id);

/* table_prefetch: the slot of @hash will be needed in some hundred nanoseconds. */
void table_prefetch(const struct table *t, uint64_t hash);

/* table_insert: put @item in under @hash; it must not be in.
 *   Owns:   the caller keeps the item, which must stay until it is removed.
 *   Return: 0, -ENOMEM (nothing changed but, maybe, what had to move anyway). O(1). */
MUST_CHECK int table_insert(struct table *t, uint64_t hash, void *item);

/* table_find: the item under @hash for which @is(item, @key), or NULL. O(1). */
typedef int (*table_is_fn)(const void *item, const void *key);
void *table_find(const struct table *t, uint64_t hash, table_is_fn is, const void *key);

/* table_remove: take @item out; it must be in under @hash. O(1). */
void table_remove(struct table *t, uint64_t hash, const void *item);

/* table_check: walk everything, assert the order. For tests. */
void table_check(const struct table *t);
