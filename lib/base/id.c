// SPDX-License-Identifier: Apache-2.0
#include "base/id.h"

#include <string.h>

uint64_t id_key(const struct id *id)
{
    uint64_t k = 0;

    for (int i = 0; i < 6; i++)
        k = k << 8 | id->b[i];
    return k << 12 | (uint64_t)(id->b[6] & 0x0f) << 8 | id->b[7];
}

struct id id_make(uint64_t key, uint64_t random)
{
    uint64_t ms = key >> 12;
    struct id id;

    for (int i = 0; i < 6; i++)
        id.b[i] = (uint8_t)(ms >> (8 * (5 - i)));
    id.b[6] = (uint8_t)(0x70 | ((key >> 8) & 0x0f));
    id.b[7] = (uint8_t)key;
    for (int i = 0; i < 8; i++)
        id.b[8 + i] = (uint8_t)(random >> (8 * (7 - i)));
    id.b[8] = (uint8_t)(0x80 | (id.b[8] & 0x3f));
    return id;
}

uint64_t id_next_key(uint64_t last, wall_ns_t now)
{
    uint64_t fresh = now > 0 ? ((uint64_t)(now / NS_PER_MS) & 0xffffffffffffU) << 12 : 0;

    return fresh > last ? fresh : last + 1;
}

void id_format(const struct id *id, char text[static ID_TEXT_LEN + 1])
{
    static const char hex[] = "0123456789abcdef";
    char *at = text;

    for (int i = 0; i < ID_BYTES; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *at++ = '-';
        *at++ = hex[id->b[i] >> 4];
        *at++ = hex[id->b[i] & 0x0f];
    }
    *at = '\0';
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
