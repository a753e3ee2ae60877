// SPDX-License-Identifier: Apache-2.0
#include "base/hash.h"

#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "words are read as they lie in memory");

struct sip {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotl(uint64_t x, unsigned int n)
{
    return (x << n) | (x >> (64 - n));
}

static inline void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v1 = rotl(s->v1, 13) ^ s->v0;
    s->v0 = rotl(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = rotl(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = rotl(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = rotl(s->v1, 17) ^ s->v2;
    s->v2 = rotl(s->v2, 32);
}

uint64_t hash_bytes(const struct hash_seed *seed, const void *p, size_t n)
{
    struct sip s = {
            .v0 = seed->k0 ^ 0x736f6d6570736575U,
            .v1 = seed->k1 ^ 0x646f72616e646f6dU,
            .v2 = seed->k0 ^ 0x6c7967656e657261U,
            .v3 = seed->k1 ^ 0x7465646279746573U,
    };
    const uint8_t *at = p;
    uint64_t last = (uint64_t)n << 56, m;

    for (; n >= 8; n -= 8, at += 8) {
        memcpy(&m, at, 8);
        s.v3 ^= m;
        sip_round(&s);
        s.v0 ^= m;
    }
    for (size_t i = 0; i < n; i++)
        last |= (uint64_t)at[i] << (8 * i);
    s.v3 ^= last;
    sip_round(&s);
    s.v0 ^= last;
    s.v2 ^= 0xff;
    sip_round(&s);
    sip_round(&s);
    sip_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
