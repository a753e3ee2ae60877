// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * All futures of the engine in the order of their IDs, for List: 8 bytes a future. IDs only rise, so a new one goes to
 * the end; only what comes back from the store goes anywhere. Futures lie in leaves of up to ORDER_LEAF pointers; a directory holds the leaves with their lowest key.
 * Both are arrays with free room at both ends: taking something out shifts the shorter side, so what goes out oldest
 * first shifts nothing. A leaf that fits together with a neighbour is merged into it.
 *
 * Append O(1). Seek O(log n). Remove O(log n) to find it, at most 2 KiB to shift; one leaf in some hundred removals
 * takes its entry out of the directory, which shifts 16 bytes for each leaf on the shorter side (300 KB at worst at 20
 * million futures, nothing at the ends). Insert as remove; a full leaf is split in two.
 */
#include "engine/future.h"

enum { ORDER_LEAF = 509 }; /* a leaf is 4 KiB with malloc's header */

struct order_leaf {
    uint32_t first, n;
    struct future *at[ORDER_LEAF];
};

struct order_entry {
    uint64_t
            key; /* of the leaf's first future when it began: no later one is below, no earlier leaf's is above */
    struct order_leaf *leaf;
};

struct order {
    struct order_entry *entries;
    uint32_t first, n, cap;
    uint64_t n_futures;
};

/* A place in the order; valid until the next change of it. */
struct order_place {
    uint32_t entry, at;
};

void order_init(struct order *o);
void order_deinit(struct order *o);

/* order_append: put @f at the end; its ID must be the highest. 0, -ENOMEM. */
MUST_CHECK int order_append(struct order *o, struct future *f);

/* order_insert: put @f, whose ID must not be in, where it belongs. 0, -ENOMEM. O(log n), and up to 2 KiB to shift. */
MUST_CHECK int order_insert(struct order *o, struct future *f);

/* order_remove: take @f out; it must be in. */
void order_remove(struct order *o, const struct future *f);

/* order_seek: the first future with a key > @key, or the last with a key < @key when @desc; NULL = none. *ret_place is
 * set when there is one. order_step: the one after *place (before it when @desc), NULL at the end. */
struct future *order_seek(const struct order *o, uint64_t key, int desc, struct order_place *ret_place);
struct future *order_step(const struct order *o, struct order_place *place, int desc);

/* order_check: walk everything, assert the order. For tests. */
void order_check(const struct order *o);
