// SPDX-License-Identifier: Apache-2.0
#include "grpc/wire.h"

#include <string.h>

enum { VARINT_MORE = 0x80, TAG_TYPE_BITS = 3 };

static const uint8_t *get_long_varint(const uint8_t *at, const uint8_t *end, unsigned int max_bytes,
                                      uint64_t *ret)
{
    uint64_t v = 0;

    for (unsigned int i = 0; i < max_bytes && at < end; i++) {
        uint8_t c = *at++;

        v |= (uint64_t)(c & 0x7f) << (7 * i);
        if (!(c & VARINT_MORE)) {
            *ret = v;
            return at;
        }
    }
    return NULL;
}

/* Read a varint of at most @max_bytes; excess bits of the last byte are dropped, as every decoder does. Nearly all have one
 * byte. NULL: cut off or too long. */
static inline const uint8_t *get_varint(const uint8_t *at, const uint8_t *end, unsigned int max_bytes,
                                        uint64_t *ret)
{
    if (LIKELY(at < end && !(*at & VARINT_MORE))) {
        *ret = *at;
        return at + 1;
    }
    return get_long_varint(at, end, max_bytes, ret);
}

/* Little-endian, at any alignment. */
static uint64_t get_fixed(const uint8_t *at, unsigned int n_bytes)
{
    uint64_t v = 0;

    for (unsigned int i = 0; i < n_bytes; i++)
        v |= (uint64_t)at[i] << (8 * i);
    return v;
}

int wire_next(struct wire_reader *r, struct wire_field *ret)
{
    const uint8_t *at = r->at, *end = r->end;
    uint64_t tag, value = 0, n = 0;
    struct span bytes = {0};

    if (at == end)
        return WIRE_E_END;
    at = get_varint(at, end, WIRE_TAG_MAX, &tag);
    if (!at || tag > UINT32_MAX || tag >> TAG_TYPE_BITS == 0)
        return WIRE_E_MALFORMED;
    switch (tag & 7) {
    case WIRE_VARINT:
        at = get_varint(at, end, WIRE_VARINT_MAX, &value);
        if (!at)
            return WIRE_E_MALFORMED;
        break;
    case WIRE_BYTES:
        at = get_varint(at, end, WIRE_VARINT_MAX, &n);
        if (!at || n > (size_t)(end - at))
            return WIRE_E_MALFORMED;
        bytes = (struct span){at, (size_t)n};
        at += n;
        break;
    case WIRE_FIXED32:
    case WIRE_FIXED64:
        n = (tag & 7) == WIRE_FIXED32 ? 4 : 8;
        if (n > (size_t)(end - at))
            return WIRE_E_MALFORMED;
        value = get_fixed(at, (unsigned int)n);
        at += n;
        break;
    default: return WIRE_E_MALFORMED;
    }
    ret->number = (uint32_t)(tag >> TAG_TYPE_BITS);
    ret->type = (enum wire_type)(tag & 7);
    ret->value = value;
    ret->bytes = bytes;
    ret->raw = (struct span){r->at, (size_t)(at - r->at)};
    r->at = at;
    return 0;
}

int wire_get_varint(struct wire_reader *r, uint64_t *ret)
{
    const uint8_t *at;

    if (r->at == r->end)
        return WIRE_E_END;
    at = get_varint(r->at, r->end, WIRE_VARINT_MAX, ret);
    if (!at)
        return WIRE_E_MALFORMED;
    r->at = at;
    return 0;
}

size_t wire_varint_len(uint64_t v)
{
    unsigned int bits = 64 - (unsigned int)__builtin_clzll(v | 1);

    return (bits + 6) / 7;
}

uint8_t *wire_put_varint(uint8_t *to, uint64_t v)
{
    while (v >= VARINT_MORE) {
        *to++ = (uint8_t)(v | VARINT_MORE);
        v >>= 7;
    }
    *to++ = (uint8_t)v;
    return to;
}

static uint8_t *put_tag(uint8_t *to, uint32_t number, enum wire_type type)
{
    return wire_put_varint(to, (uint64_t)number << TAG_TYPE_BITS | type);
}

static size_t tag_len(uint32_t number)
{
    return wire_varint_len((uint64_t)number << TAG_TYPE_BITS);
}

uint8_t *wire_put_uint(uint8_t *to, uint32_t number, uint64_t v)
{
    return wire_put_varint(put_tag(to, number, WIRE_VARINT), v);
}

uint8_t *wire_put_len(uint8_t *to, uint32_t number, size_t n)
{
    return wire_put_varint(put_tag(to, number, WIRE_BYTES), n);
}

uint8_t *wire_put_bytes(uint8_t *to, uint32_t number, const void *p, size_t n)
{
    to = wire_put_len(to, number, n);
    if (n)
        memcpy(to, p, n);
    return to + n;
}

size_t wire_len_field(uint32_t number, size_t n)
{
    return tag_len(number) + wire_varint_len(n) + n;
}

size_t wire_uint_field(uint32_t number, uint64_t v)
{
    return tag_len(number) + wire_varint_len(v);
}
