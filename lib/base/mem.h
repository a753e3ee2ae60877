// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * The allocator seam: all heap memory of our own code passes here, so that a test can fail each allocation in
 * turn (mem_fail_at) and see that nothing leaks and nothing aborts.
 */
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

/* mem_alloc, mem_zalloc, mem_realloc, mem_dup: as malloc, calloc(1, n), realloc, memdup.
 *   Owns:   the caller, who frees with mem_free. @n must not be 0.
 *   Return: NULL when there is no memory (or a test said so).
 *   Thread: any. */
MUST_CHECK __attribute__((malloc, alloc_size(1))) void *mem_alloc(size_t n);
MUST_CHECK __attribute__((malloc, alloc_size(1))) void *mem_zalloc(size_t n);
MUST_CHECK __attribute__((alloc_size(2))) void *mem_realloc(void *p, size_t n);
MUST_CHECK void *mem_dup(const void *p, size_t n);

/* mem_alloc_aligned: @n bytes at a multiple of @align (a power of two, at least a pointer's size). As mem_alloc. */
MUST_CHECK __attribute__((malloc, alloc_align(1), alloc_size(2))) void *mem_alloc_aligned(size_t align,
                                                                                          size_t n);

/* mem_strndup: a NUL-terminated copy of the @n bytes at @s. As mem_alloc. */
MUST_CHECK char *mem_strndup(const char *s, size_t n);

/* mem_free: free(@p); returns NULL so that an owner can forget in one line. */
void *mem_free(void *p);

/* mem_fail_at: make the @nth allocation from now (1 = the next) of the process fail, once; 0 turns it off.
 * mem_fail_pending: whether the planned failure has not happened yet. For tests, single thread. */
void mem_fail_at(uint64_t nth);
MUST_CHECK int mem_fail_pending(void);

/* mem_fail_here: count one allocation that another allocator makes (nghttp2's, protobuf-c's); true = fail it.
 */
MUST_CHECK int mem_fail_here(void);
