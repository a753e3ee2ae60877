// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * The memory of one nghttp2 session: size classes with free lists, because nghttp2 takes and gives back the
 * same few small sizes for every call. Bounded: at most POOL_KEEP_BYTES wait in the lists, the rest goes back
 * through base/mem.h, where every miss comes from (a hit still counts as an allocation for mem_fail_at).
 * All that is in use is in a list, because after a failed allocation nghttp2 cannot be trusted to free what it
 * holds: 1.52 frees a DATA item that it leaves attached to its stream when the queue cannot grow, and would
 * free it again with the session. Such a session's memory is taken back as a whole (mempool_reset).
 */
#include "base/list.h"

#include <stddef.h>

#include <nghttp2/nghttp2.h>

#if defined(__SANITIZE_ADDRESS__)
#define POOL_KEEPS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POOL_KEEPS 0
#endif
#endif
#ifndef POOL_KEEPS
#define POOL_KEEPS 1 /* 0: nothing is kept, so that a use after free stays visible */
#endif

enum { POOL_STEP_BYTES = 64, POOL_CLASSES = 16, POOL_KEEP_BYTES = 64 * 1024 };

struct mempool {
    nghttp2_mem mem; /* hand out @mem; its user data is the pool, so a pool never moves */
    struct list live;
    struct list spare[POOL_CLASSES];
    size_t live_bytes; /* in use, as asked for */
    size_t kept_bytes; /* in the free lists, headers included */
};

/* mempool_init: an empty pool. mempool_deinit: free what is kept; nothing may be in use any more. */
void mempool_init(struct mempool *p);
void mempool_deinit(struct mempool *p);

/* mempool_reset: free what is in use too; whoever holds it must not touch it any more. */
void mempool_reset(struct mempool *p);

/* mempool_trim: give back all that is kept, for a session that went idle. */
void mempool_trim(struct mempool *p);

/* mempool_alloc, mempool_realloc, mempool_free: as malloc, realloc, free. NULL: no memory. What nghttp2 calls. */
MUST_CHECK void *mempool_alloc(struct mempool *p, size_t n);
MUST_CHECK void *mempool_realloc(struct mempool *p, void *old, size_t n);
void mempool_free(struct mempool *p, void *at);
