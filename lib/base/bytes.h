// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * An immutable, reference-counted byte string: a task exactly as it came, a result, a name that many records
 * share. Written once between bytes_new and the first sharing, never after. The count is not atomic:
 * references are taken and dropped on the thread that owns the engine; another thread may read while that one
 * keeps a reference.
 */
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct bytes {
    uint32_t refs;
    uint32_t len;
    uint8_t data[];
};

/* bytes_new: @len (< 4 GiB) uninitialised bytes with one reference. NULL: no memory. */
MUST_CHECK struct bytes *bytes_new(size_t len);

/* bytes_dup: a copy of @len bytes with one reference. NULL: no memory. */
MUST_CHECK struct bytes *bytes_dup(const void *p, size_t len);

static inline struct bytes *bytes_ref(struct bytes *b)
{
    if (b)
        b->refs++;
    return b;
}

/* bytes_unref: drop one reference, free with the last. NULL is allowed. Returns NULL. */
struct bytes *bytes_unref(struct bytes *b);

/* A borrowed view of bytes that somebody else owns. */
struct span {
    const uint8_t *p;
    size_t len;
};

#define SPAN_OF_BYTES(b) ((b) ? (struct span){(b)->data, (b)->len} : (struct span){0})
#define SPAN_LIT(lit)    ((struct span){(const uint8_t *)("" lit), sizeof(lit) - 1})

/* span_of_string: the characters of @s without its NUL. span_eq: same length, same bytes. */
struct span span_of_string(const char *s);
MUST_CHECK int span_eq(struct span a, struct span b);
