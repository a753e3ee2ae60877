// SPDX-License-Identifier: Apache-2.0
#include "store/crc32c.h"

#include <string.h>

#define SHIFT1(c) (((c) >> 1) ^ (((c)&1) ? 0x82f63b78U : 0))
#define SHIFT4(c) SHIFT1(SHIFT1(SHIFT1(SHIFT1(c))))

/* What four bits that are shifted out leave behind. */
static const uint32_t nibbles[16] = {
        SHIFT4(0U), SHIFT4(1U), SHIFT4(2U),  SHIFT4(3U),  SHIFT4(4U),  SHIFT4(5U),  SHIFT4(6U),  SHIFT4(7U),
        SHIFT4(8U), SHIFT4(9U), SHIFT4(10U), SHIFT4(11U), SHIFT4(12U), SHIFT4(13U), SHIFT4(14U), SHIFT4(15U),
};

uint32_t crc32c_portable(uint32_t crc, const void *p, size_t n)
{
    const uint8_t *at = p;

    crc = ~crc;
    for (; n > 0; n--) {
        crc ^= *at++;
        crc = crc >> 4 ^ nibbles[crc & 15];
        crc = crc >> 4 ^ nibbles[crc & 15];
    }
    return ~crc;
}

#ifdef __x86_64__
#include <nmmintrin.h>

__attribute__((target("sse4.2"))) static uint32_t by_processor(uint32_t crc, const uint8_t *at, size_t n)
{
    uint64_t c = ~crc;

    for (; n >= 8; n -= 8, at += 8) {
        uint64_t word;

        memcpy(&word, at, 8);
        c = _mm_crc32_u64(c, word);
    }
    for (; n > 0; n--)
        c = _mm_crc32_u8((uint32_t)c, *at++);
    return ~(uint32_t)c;
}

uint32_t crc32c(uint32_t crc, const void *p, size_t n)
{
    return __builtin_cpu_supports("sse4.2") ? by_processor(crc, p, n) : crc32c_portable(crc, p, n);
}
#else
uint32_t crc32c(uint32_t crc, const void *p, size_t n)
{
    return crc32c_portable(crc, p, n);
}
#endif
