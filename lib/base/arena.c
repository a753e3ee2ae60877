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

static size_t round_down(size_t n)
{
    return n & ~(alignof(max_align_t) - 1);
}

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

/* What the limit still allows as one more chunk's payload. */
static size_t payload_left(const struct arena *a)
{
    size_t left = a->limit_bytes - a->used_bytes;

    if (!a->limit_bytes)
        return SIZE_MAX / 2;
    return left > sizeof(struct arena_chunk) ? round_down(left - sizeof(struct arena_chunk)) : 0;
}

static struct arena_chunk *chunk_new(struct arena *a, size_t payload)
{
    size_t size = sizeof(struct arena_chunk) + payload;
    struct arena_chunk *c = mem_alloc(size);

    if (!c)
        return NULL;
    c->size_bytes = size;
    a->used_bytes += size;
    return c;
}

void *arena_alloc(struct arena *a, size_t n)
{
    struct arena_chunk *c;
    size_t payload, left;
    uint8_t *p;

    if (n > SIZE_MAX / 4)
        return NULL;
    n = round_down(MAX(n, (size_t)1) + alignof(max_align_t) - 1); /* nothing is a piece too, and not NULL */
    if (LIKELY(n <= (size_t)(a->end - a->at))) {
        p = a->at;
        a->at += n;
        return p;
    }
    left = payload_left(a);
    if (n > left)
        return NULL;
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
    /* the last chunk is cut to the limit, which can so be used up to the end */
    c = chunk_new(a, MIN(MAX(payload, n), left));
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
    char *copy = n < SIZE_MAX ? arena_alloc(a, n + 1) : NULL;

    if (copy) {
        if (n)
            memcpy(copy, s, n);
        copy[n] = '\0';
    }
    return copy;
}
