// SPDX-License-Identifier: Apache-2.0
/*
 * A chunk is a header and the bytes asked for, rounded up to its class. Class c holds up to
 * (c + 1) * POOL_STEP_BYTES; anything larger has no class and never waits in a list.
 */
#include "h2/mempool.h"

#include "base/mem.h"

#include <stdalign.h>
#include <stdint.h>
#include <string.h>

enum { NO_CLASS = POOL_CLASSES };

struct chunk {
    alignas(max_align_t) struct list link; /* in live or in the free list of its class */
    size_t n;                              /* as asked for */
    size_t class;
    unsigned char bytes[];
};

static size_t class_of(size_t n)
{
    return n <= POOL_STEP_BYTES                 ? 0
           : n > POOL_CLASSES * POOL_STEP_BYTES ? NO_CLASS
                                                : (n - 1) / POOL_STEP_BYTES;
}

static size_t class_bytes(size_t class)
{
    return sizeof(struct chunk) + (class + 1) * POOL_STEP_BYTES;
}

void *mempool_alloc(struct mempool *p, size_t n)
{
    size_t class = class_of(n);
    struct list *l = class == NO_CLASS ? NULL : list_first(&p->spare[class]);
    struct chunk *c;

    if (l) {
        if (mem_fail_here())
            return NULL;
        list_del(l);
        c = LIST_ENTRY(l, struct chunk, link);
        p->kept_bytes -= class_bytes(class);
    } else {
        if (n > SIZE_MAX - sizeof *c)
            return NULL;
        c = mem_alloc(class == NO_CLASS ? sizeof *c + n : class_bytes(class));
        if (!c)
            return NULL;
    }
    c->n = n;
    c->class = class;
    list_push_front(&p->live, &c->link);
    p->live_bytes += n;
    return c->bytes;
}

static struct chunk *chunk_of(void *at)
{
    return (struct chunk *)(void *)((unsigned char *)at - offsetof(struct chunk, bytes));
}

void mempool_free(struct mempool *p, void *at)
{
    struct chunk *c;
    size_t class;

    if (!at)
        return;
    c = chunk_of(at);
    class = c->class;
    ASSERT(class <= NO_CLASS && p->live_bytes >= c->n);
    p->live_bytes -= c->n;
    list_del(&c->link);
    if (!POOL_KEEPS || class == NO_CLASS || p->kept_bytes + class_bytes(class) > POOL_KEEP_BYTES) {
        mem_free(c);
        return;
    }
    list_push_front(&p->spare[class], &c->link);
    p->kept_bytes += class_bytes(class);
}

void *mempool_realloc(struct mempool *p, void *old, size_t n)
{
    struct chunk *c;
    void *fresh;

    if (!old)
        return mempool_alloc(p, n);
    c = chunk_of(old);
    if (c->class != NO_CLASS && class_of(n) == c->class) {
        p->live_bytes += n - c->n;
        c->n = n;
        return old;
    }
    fresh = mempool_alloc(p, n);
    if (!fresh)
        return NULL;
    memcpy(fresh, old, MIN(n, c->n));
    mempool_free(p, old);
    return fresh;
}

static void free_all(struct list *chunks)
{
    for (struct list *l; (l = list_pop_front(chunks));)
        mem_free(LIST_ENTRY(l, struct chunk, link));
}

void mempool_trim(struct mempool *p)
{
    for (size_t i = 0; i < POOL_CLASSES; i++)
        free_all(&p->spare[i]);
    p->kept_bytes = 0;
}

void mempool_reset(struct mempool *p)
{
    free_all(&p->live);
    p->live_bytes = 0;
}

/* --- what nghttp2 calls; its sizes may be 0 */

static void *mem_malloc_cb(size_t n, void *user)
{
    return mempool_alloc(user, n);
}

static void mem_free_cb(void *at, void *user)
{
    mempool_free(user, at);
}

static void *mem_calloc_cb(size_t count, size_t each, void *user)
{
    size_t n;
    void *at;

    if (__builtin_mul_overflow(count, each, &n))
        return NULL;
    at = mempool_alloc(user, n);
    if (at)
        memset(at, 0, n);
    return at;
}

static void *mem_realloc_cb(void *old, size_t n, void *user)
{
    return mempool_realloc(user, old, n);
}

void mempool_init(struct mempool *p)
{
    *p = (struct mempool){.mem = {p, mem_malloc_cb, mem_free_cb, mem_calloc_cb, mem_realloc_cb}};
    list_init(&p->live);
    for (size_t i = 0; i < POOL_CLASSES; i++)
        list_init(&p->spare[i]);
}

void mempool_deinit(struct mempool *p)
{
    ASSERT(p->live_bytes == 0);
    mempool_trim(p);
}
