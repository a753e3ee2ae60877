// SPDX-License-Identifier: Apache-2.0
#pragma once
/* Numbers as the files of the store hold them: little-endian base 128, the highest bit of a byte says that more follow.
 * There is one way to write each: the last byte is 0 only in the number 0. */
#include <stddef.h>
#include <stdint.h>

enum { VARINT_BYTES = 10 };

/* varint_put: write @v at @to, which has room for VARINT_BYTES; behind it. */
static inline uint8_t *varint_put(uint8_t *to, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        *to++ = (uint8_t)(v | 0x80);
    *to++ = (uint8_t)v;
    return to;
}

/* varint_get: the number at @at, which ends at @end at the latest; behind it, or NULL: there is none. */
static inline const uint8_t *varint_get(const uint8_t *at, const uint8_t *end, uint64_t *ret_v)
{
    uint64_t v = 0;

    for (uint32_t shift = 0; shift < 70 && at < end; shift += 7) {
        uint8_t byte = *at++;

        if ((shift == 63 && byte > 1) || (shift > 0 && byte == 0))
            return NULL;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *ret_v = v;
            return at;
        }
    }
    return NULL;
}
