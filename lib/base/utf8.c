// SPDX-License-Identifier: Apache-2.0
#include "base/utf8.h"

#include <string.h>

int utf8_is_valid(const uint8_t *p, size_t n)
{
    const uint8_t *end;

    if (n == 0) /* @p may be NULL then */
        return 1;
    end = p + n;
    while (p < end) {
        uint64_t word;
        uint8_t c, lo = 0x80, hi = 0xbf;
        int n_more;

        if (end - p >= 8) {
            memcpy(&word, p, 8);
            if (!(word & 0x8080808080808080U)) {
                p += 8;
                continue;
            }
        }
        c = *p++;
        if (c < 0x80)
            continue;
        if (c >= 0xc2 && c <= 0xdf) {
            n_more = 1;
        } else if (c >= 0xe0 && c <= 0xef) {
            n_more = 2;
            if (c == 0xe0)
                lo = 0xa0;
            else if (c == 0xed)
                hi = 0x9f;
        } else if (c >= 0xf0 && c <= 0xf4) {
            n_more = 3;
            if (c == 0xf0)
                lo = 0x90;
            else if (c == 0xf4)
                hi = 0x8f;
        } else {
            return 0;
        }
        if (end - p < n_more || *p < lo || *p > hi)
            return 0;
        for (int i = 1; i < n_more; i++)
            if ((p[i] & 0xc0) != 0x80)
                return 0;
        p += n_more;
    }
    return 1;
}

size_t utf8_cut(const uint8_t *p, size_t n, size_t max)
{
    if (n <= max)
        return n;
    for (n = max; n > 0 && (p[n] & 0xc0) == 0x80; n--)
        ;
    return n;
}
