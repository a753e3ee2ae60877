// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * A bump allocator for what lives and dies with one call: many small pieces, freed together. Chunks double up
 * to 64 KiB; a piece of more than half the next chunk gets a chunk of its own. The arena has a limit in
 * bytes, because a peer decides how much goes in; it can be used up to the end. Embedded in its owner; not
 * shared between threads.
 */
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct arena_chunk;

struct arena {
    struct arena_chunk *chunks; /* newest first; the first one is filled */
    uint8_t *at;                /* next free byte of the first chunk */
    uint8_t *end;
    size_t used_bytes;  /* sum of all chunks, headers included */
    size_t limit_bytes; /* of used_bytes; 0 = none */
};

/* arena_init: an empty arena; allocates nothing until the first piece. */
void arena_init(struct arena *a, size_t limit_bytes);

/* arena_deinit: free every piece. The arena is empty again and may be used again. */
void arena_deinit(struct arena *a);

/* arena_alloc: @n bytes (0 is allowed and not NULL), aligned for any type, not cleared.
 *   Owns:   the arena.
 *   Return: NULL when memory or the arena's limit is exhausted. */
MUST_CHECK void *arena_alloc(struct arena *a, size_t n);

/* arena_strndup: a NUL-terminated copy of @n bytes. As arena_alloc. */
MUST_CHECK char *arena_strndup(struct arena *a, const char *s, size_t n);
