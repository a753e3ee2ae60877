// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * A growable byte queue: append at the end, consume at the front. One contiguous piece, so a reader gets a
 * pointer. Consuming everything resets it for free; space at the front is reclaimed by moving when the end is
 * reached.
 */
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct buf {
    uint8_t *data;
    size_t start; /* first byte not consumed */
    size_t end;   /* behind the last byte */
    size_t cap;
};

#define BUF_INIT ((struct buf){0})

/* buf_deinit: free the memory; the buffer is empty and may be used again. */
void buf_deinit(struct buf *b);

/* buf_reserve: make room for @n more bytes behind the end.
 *   Return: 0, -ENOMEM (nothing changed). Pointers into the buffer become stale. */
MUST_CHECK int buf_reserve(struct buf *b, size_t n);

/* buf_append: copy @n bytes (not the buffer's own) to the end. 0, -ENOMEM (nothing changed). */
MUST_CHECK int buf_append(struct buf *b, const void *p, size_t n);

/* buf_shrink: give memory back when the buffer is empty and holds more than @keep_bytes. */
void buf_shrink(struct buf *b, size_t keep_bytes);

static inline size_t buf_len(const struct buf *b)
{
    return b->end - b->start;
}

/* buf_head: the first unconsumed byte; buf_tail: where the next appended byte goes (after buf_reserve). Both
 * are NULL while there is no memory: C knows no sum of NULL and 0. */
static inline uint8_t *buf_head(const struct buf *b)
{
    return b->data ? b->data + b->start : NULL;
}

static inline uint8_t *buf_tail(const struct buf *b)
{
    return b->data ? b->data + b->end : NULL;
}

/* buf_commit: @n bytes were written at buf_tail. buf_consume: drop @n bytes at the front. */
static inline void buf_commit(struct buf *b, size_t n)
{
    ASSERT(n <= b->cap - b->end);
    b->end += n;
}

static inline void buf_consume(struct buf *b, size_t n)
{
    ASSERT(n <= buf_len(b));
    b->start += n;
    if (b->start == b->end)
        b->start = b->end = 0;
}

/* buf_clear: consume everything, keep the memory. */
static inline void buf_clear(struct buf *b)
{
    b->start = b->end = 0;
}
