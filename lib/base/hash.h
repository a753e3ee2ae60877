// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Seeded hashing for tables whose keys a peer chooses: SipHash-1-3 (Aumasson and Bernstein, "SipHash: a fast
 * short-input PRF", 2012, with one compression and three finalisation rounds as hash tables use it).
 */
#include <stddef.h>
#include <stdint.h>

struct hash_seed {
    uint64_t k0, k1;
};

/* hash_bytes: 64 well-mixed bits of the @n bytes at @p under @seed. Any thread. */
uint64_t hash_bytes(const struct hash_seed *seed, const void *p, size_t n);
