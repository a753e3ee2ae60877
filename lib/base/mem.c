// SPDX-License-Identifier: Apache-2.0
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* Allocations left until the planned failure, 0 when none is planned. Written by tests only, before threads.
 */
static uint64_t fail_countdown;

void mem_fail_at(uint64_t nth)
{
    fail_countdown = nth;
}

int mem_fail_pending(void)
{
    return fail_countdown != 0;
}

int mem_fail_here(void)
{
    if (LIKELY(fail_countdown == 0))
        return 0;
    return --fail_countdown == 0;
}

void *mem_alloc(size_t n)
{
    ASSERT(n > 0);
    return mem_fail_here() ? NULL : malloc(n);
}

void *mem_zalloc(size_t n)
{
    ASSERT(n > 0);
    return mem_fail_here() ? NULL : calloc(1, n);
}

void *mem_realloc(void *p, size_t n)
{
    ASSERT(n > 0);
    return mem_fail_here() ? NULL : realloc(p, n);
}

void *mem_dup(const void *p, size_t n)
{
    void *copy = mem_alloc(n);

    if (copy)
        memcpy(copy, p, n);
    return copy;
}

void *mem_alloc_aligned(size_t align, size_t n)
{
    void *p;

    ASSERT(n > 0 && align >= sizeof p && (align & (align - 1)) == 0);
    return mem_fail_here() || posix_memalign(&p, align, n) != 0 ? NULL : p;
}

char *mem_strndup(const char *s, size_t n)
{
    char *copy = mem_alloc(n + 1);

    if (copy) {
        if (n)
            memcpy(copy, s, n);
        copy[n] = '\0';
    }
    return copy;
}

void *mem_free(void *p)
{
    free(p);
    return NULL;
}
