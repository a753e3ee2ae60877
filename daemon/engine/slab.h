// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * A pool of objects of one size: futures, edges, leases. Objects lie side by side in chunks of 32 KiB that are aligned
 * to their size, so that an object costs no header and finds its chunk by its address. A chunk without objects goes
 * back to malloc, but for one, kept so that a pool that breathes around a boundary does not thrash.
 * Owned and used by one thread. Objects are not cleared.
 */
#include "base/list.h"

#include <stdint.h>

/* Aligned chunks lie back to back in malloc's heap: the 16 bytes are its header. With twice the size each chunk would
 * be a mapping of its own, of which a process may have 65530. */
enum { SLAB_ALIGN = 32 * 1024, SLAB_CHUNK_BYTES = SLAB_ALIGN - 16 };

struct slab {
    struct list partial; /* of struct slab_chunk: with room, the next one to fill first */
    uint32_t object_bytes, n_per_chunk;
    uint32_t n_chunks, n_empty; /* n_empty of them hold no object: 0 or 1 */
    uint64_t n_objects;
};

/* slab_init: @object_bytes is rounded up to a multiple of 8. Allocates nothing. */
void slab_init(struct slab *s, size_t object_bytes);

/* slab_deinit: every object must have been freed. */
void slab_deinit(struct slab *s);

/* slab_alloc: one object, not cleared, aligned to 8. Owns: the caller; slab_free. NULL: no memory. O(1). */
MUST_CHECK void *slab_alloc(struct slab *s);

/* slab_free: @object must be of @s; NULL is allowed. Returns NULL. O(1). */
void *slab_free(struct slab *s, void *object);
