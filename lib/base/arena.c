// SPDX-License-Identifier: Apache-2.0
#include "base/arena.h"

#include "base/mem.h"

#include <stdalign.h>
#include <string.h>

enum { CHUNK_MIN_BYTES = 1024, CHUNK_MAX_BYTES = 64 * 1024 };

struct arena_chunk {
    alignas(max_align_t) struct arena_chunk *next;
    size_t size_bytes;
};

void arena_init(struct arena *a, size_t limit_bytes)
{
    *a = (struct arena){.limit_bytes = limit_bytes};
}

void arena_deinit(struct arena *a)
{
    struct arena_chunk *c = a->chunks;

    while (c) {
        struct arena_chunk *next = c->next;

        mem_free(c);
        c = next;
    }
    arena_init(a, a->limit_bytes);
}

static struct arena_chunk *chunk_new(struct arena *a, size_t payload)
{
    size_t size = sizeof(struct arena_chunk) + payload;
    struct arena_chunk *c;

    if (payload > SIZE_MAX / 2)
        return NULL;
    if (a->limit_bytes && size > a->limit_bytes - MIN(a->used_bytes, a->limit_bytes))
        return NULL;
    c = mem_alloc(size);
    if (!c)
        return NULL;
    c->size_bytes = size;
    a->used_bytes += size;
    return c;
}

void *arena_alloc(struct arena *a, size_t n)
{
    struct arena_chunk *c;
    size_t payload;
    uint8_t *p;

    if (n > SIZE_MAX / 2)
        return NULL;
    n = (n + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    if (LIKELY(n <= (size_t)(a->end - a->at))) {
        p = a->at;
        a->at += n;
        return p;
    }
    payload = a->chunks ? MIN(a->chunks->size_bytes * 2, (size_t)CHUNK_MAX_BYTES) : CHUNK_MIN_BYTES;
    if (n > payload / 2 && a->chunks) {
        /* a chunk of its own, behind the one being filled */
        c = chunk_new(a, n);
        if (!c)
            return NULL;
        c->next = a->chunks->next;
        a->chunks->next = c;
        return c + 1;
    }
    c = chunk_new(a, MAX(payload, n));
    if (!c)
        return NULL;
    c->next = a->chunks;
    a->chunks = c;
    p = (uint8_t *)(c + 1);
    a->at = p + n;
    a->end = (uint8_t *)c + c->size_bytes;
    return p;
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
    char *copy = arena_alloc(a, n + 1);

    if (copy) {
        if (n)
            memcpy(copy, s, n);
        copy[n] = '\0';
    }
    return copy;
}
