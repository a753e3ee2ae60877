// SPDX-License-Identifier: Apache-2.0
#include "base/id.h"

#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "words are swapped to the order of the text");

struct id id_make(uint64_t key, uint64_t random)
{
    uint64_t head = __builtin_bswap64(key >> 12 << 16 | UINT64_C(0x7000) | (key & 0xfff));
    uint64_t tail = __builtin_bswap64(UINT64_C(1) << 63 | (random & (UINT64_MAX >> 2)));
    struct id id;

    memcpy(id.b, &head, sizeof head);
    memcpy(id.b + 8, &tail, sizeof tail);
    return id;
}

uint64_t id_next_key(uint64_t last, wall_ns_t now)
{
    uint64_t fresh = now > 0 ? ((uint64_t)(now / NS_PER_MS) & 0xffffffffffffU) << 12 : 0;

    return fresh > last ? fresh : last + 1;
}

/* The 8 hexadecimal digits of @v as the bytes of a word: a nibble a byte, then 10 and more get the distance of the letters from the digits.
 * All bytes at once, as none of them carries into the next. */
static uint64_t hex_word(uint32_t v)
{
    uint64_t x = __builtin_bswap64(v) >> 32, letters;

    x = ((x & 0xffff0000) << 16) | (x & 0xffff);
    x = ((x & UINT64_C(0x0000ff000000ff00)) << 8) | (x & UINT64_C(0x000000ff000000ff));
    x = ((x & UINT64_C(0x000f000f000f000f)) << 8) | (x >> 4 & UINT64_C(0x000f000f000f000f));
    letters = (x + UINT64_C(0x0606060606060606)) >> 4 & UINT64_C(0x0101010101010101);
    return x + UINT64_C(0x3030303030303030) + letters * ('a' - '0' - 10);
}

void id_format(const struct id *id, char text[static ID_TEXT_LEN + 1])
{
    uint32_t words[4];
    uint64_t hex[4];

    memcpy(words, id->b, sizeof words);
    for (int i = 0; i < 4; i++)
        hex[i] = hex_word(__builtin_bswap32(words[i]));
    memcpy(text, &hex[0], 8);
    text[8] = '-';
    memcpy(text + 9, &hex[1], 4);
    text[13] = '-';
    memcpy(text + 14, (char *)&hex[1] + 4, 4);
    text[18] = '-';
    memcpy(text + 19, &hex[2], 4);
    text[23] = '-';
    memcpy(text + 24, (char *)&hex[2] + 4, 4);
    memcpy(text + 28, &hex[3], 8);
    text[ID_TEXT_LEN] = '\0';
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int id_parse(const char *text, size_t len, struct id *ret_id)
{
    struct id id;
    size_t at = 0;

    if (len != ID_TEXT_LEN)
        return ID_E_SYNTAX;
    for (int i = 0; i < ID_BYTES; i++) {
        int hi, lo;

        if ((i == 4 || i == 6 || i == 8 || i == 10) && text[at++] != '-')
            return ID_E_SYNTAX;
        hi = hex_digit(text[at++]);
        lo = hex_digit(text[at++]);
        if (hi < 0 || lo < 0)
            return ID_E_SYNTAX;
        id.b[i] = (uint8_t)(hi << 4 | lo);
    }
    if (id.b[6] >> 4 != 7 || id.b[8] >> 6 != 2)
        return ID_E_SYNTAX;
    *ret_id = id;
    return 0;
}

int id_compare(const struct id *a, const struct id *b)
{
    return memcmp(a->b, b->b, ID_BYTES);
}
