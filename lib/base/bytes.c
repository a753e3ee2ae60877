// SPDX-License-Identifier: Apache-2.0
#include "base/bytes.h"

#include "base/mem.h"

#include <string.h>

struct bytes *bytes_new(size_t len)
{
    struct bytes *b;

    if (len > UINT32_MAX)
        return NULL;
    b = mem_alloc(sizeof *b + len);
    if (!b)
        return NULL;
    b->refs = 1;
    b->len = (uint32_t)len;
    return b;
}

struct bytes *bytes_dup(const void *p, size_t len)
{
    struct bytes *b = bytes_new(len);

    if (b && len)
        memcpy(b->data, p, len);
    return b;
}

struct bytes *bytes_unref(struct bytes *b)
{
    if (b) {
        ASSERT(b->refs > 0);
        if (--b->refs == 0)
            mem_free(b);
    }
    return NULL;
}

struct span span_of_string(const char *s)
{
    return (struct span){(const uint8_t *)s, strlen(s)};
}

int span_eq(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}
