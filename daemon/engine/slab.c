// SPDX-License-Identifier: Apache-2.0
/*
 * Free objects of a chunk are chained through their first word; what was never used yet is handed out in address order
 * behind that chain, so that a fresh chunk is touched page by page as it fills.
 * Each allocation counts as one for mem_fail_at, whether it needs a new chunk or not: a test that fails each
 * allocation in turn sees each object. The address sanitizer sees free objects as poisoned.
 */
#include "engine/slab.h"

#include "base/mem.h"

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
void __asan_poison_memory_region(void const volatile *p, size_t n);
void __asan_unpoison_memory_region(void const volatile *p, size_t n);
#define POISON(p, n)   __asan_poison_memory_region(p, n)
#define UNPOISON(p, n) __asan_unpoison_memory_region(p, n)
#else
#define POISON(p, n)   ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#endif

struct free_object {
    struct free_object *next;
};

struct slab_chunk {
    struct list partial; /* unlinked when full */
    struct slab *slab;
    struct free_object *free;
    uint32_t n_used;  /* objects in use */
    uint32_t n_fresh; /* objects at the end that were never in use */
};

void slab_init(struct slab *s, size_t object_bytes)
{
    *s = (struct slab){.object_bytes = (uint32_t)((object_bytes + 7) & ~(size_t)7)};
    ASSERT(s->object_bytes >= sizeof(struct free_object));
    s->n_per_chunk = (uint32_t)((SLAB_CHUNK_BYTES - sizeof(struct slab_chunk)) / s->object_bytes);
    ASSERT(s->n_per_chunk > 0);
    list_init(&s->partial);
}

static void chunk_free(struct slab *s, struct slab_chunk *c)
{
    list_del(&c->partial);
    UNPOISON(c, SLAB_CHUNK_BYTES);
    mem_free(c);
    s->n_chunks--;
}

void slab_deinit(struct slab *s)
{
    ASSERT(s->n_objects == 0);
    while (!list_is_empty(&s->partial))
        chunk_free(s, LIST_ENTRY(list_first(&s->partial), struct slab_chunk, partial));
    ASSERT(s->n_chunks == 0);
}

static struct slab_chunk *chunk_new(struct slab *s)
{
    struct slab_chunk *c = mem_alloc_aligned(SLAB_ALIGN, SLAB_CHUNK_BYTES);

    if (!c)
        return NULL;
    *c = (struct slab_chunk){.slab = s, .n_fresh = s->n_per_chunk};
    list_init(&c->partial);
    list_push_front(&s->partial, &c->partial);
    POISON(c + 1, SLAB_CHUNK_BYTES - sizeof *c);
    s->n_chunks++;
    s->n_empty++;
    return c;
}

void *slab_alloc(struct slab *s)
{
    struct slab_chunk *c;
    void *object;

    if (UNLIKELY(mem_fail_here()))
        return NULL;
    if (LIKELY(!list_is_empty(&s->partial)))
        c = LIST_ENTRY(s->partial.next, struct slab_chunk, partial);
    else if (!(c = chunk_new(s)))
        return NULL;
    if (c->free) {
        object = c->free;
        UNPOISON(object, s->object_bytes);
        c->free = c->free->next;
    } else {
        object = (uint8_t *)(c + 1) + (size_t)(s->n_per_chunk - c->n_fresh--) * s->object_bytes;
        UNPOISON(object, s->object_bytes);
    }
    if (c->n_used++ == 0)
        s->n_empty--;
    if (c->n_used == s->n_per_chunk)
        list_del(&c->partial);
    s->n_objects++;
    return object;
}

void *slab_free(struct slab *s, void *object)
{
    struct slab_chunk *c;
    struct free_object *f = object;

    if (!object)
        return NULL;
    c = (struct slab_chunk *)(void *)((uint8_t *)object - ((uintptr_t)object & (SLAB_ALIGN - 1)));
    ASSERT(c->slab == s && c->n_used > 0);
    f->next = c->free;
    c->free = f;
    POISON(object, s->object_bytes);
    s->n_objects--;
    if (c->n_used-- == s->n_per_chunk)
        list_push_front(&s->partial, &c->partial);
    if (c->n_used == 0 && ++s->n_empty > 1) {
        s->n_empty--;
        chunk_free(s, c);
    }
    return NULL;
}
