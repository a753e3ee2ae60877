// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * The protobuf wire format by hand, for the few messages where it pays (a profile of a streamed call: two
 * thirds in the generic decoder) and where bytes are spliced through unchanged. Encoding: protobuf.dev
 * "Encoding"; everything else uses the generated code. Reading never allocates: strings are spans of the
 * input.
 */
#include "base/buf.h"
#include "base/bytes.h"

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

/* One field as read: exactly one of value (varint, fixed) and bytes is set, by type. */
struct wire_field {
    uint32_t number;
    enum wire_type type;
    uint64_t value;
    struct span bytes;
    struct span raw; /* tag and all, for splicing */
};

struct wire_reader {
    const uint8_t *at, *end;
};

static inline struct wire_reader wire_reader(struct span s)
{
    return (struct wire_reader){s.p, s.p ? s.p + s.len : NULL}; /* C knows no sum of NULL and 0 */
}

/* wire_next: read one field.
 *   Return: 0; WIRE_E_END (no more); WIRE_E_MALFORMED (cut off, varint over 10 bytes, field number 0 or over
 * 2^29-1, a group). Groups were never used by proto3. */
enum { WIRE_E_END = 1, WIRE_E_MALFORMED = 2 };
MUST_CHECK int wire_next(struct wire_reader *r, struct wire_field *ret);

/* wire_get_varint: read one varint of a packed field. 0; WIRE_E_END; WIRE_E_MALFORMED. */
MUST_CHECK int wire_get_varint(struct wire_reader *r, uint64_t *ret);

/* Lengths and writers. Writers put at @to and return the byte behind; the caller has made room: at most
 * WIRE_TAG_MAX + WIRE_VARINT_MAX + payload a field. Scalars of value 0 and empty strings are written too: the
 * caller leaves out what proto3 leaves out. */
enum { WIRE_TAG_MAX = 5, WIRE_VARINT_MAX = 10 };
size_t wire_varint_len(uint64_t v);
uint8_t *wire_put_varint(uint8_t *to, uint64_t v);
uint8_t *wire_put_uint(uint8_t *to, uint32_t number, uint64_t v);
uint8_t *wire_put_bytes(uint8_t *to, uint32_t number, const void *p, size_t n);
/* wire_put_len: tag and length of a nested message of @n bytes that the caller writes next. */
uint8_t *wire_put_len(uint8_t *to, uint32_t number, size_t n);
/* wire_len_field: bytes of a length-delimited field with @n bytes of payload, tag included. */
size_t wire_len_field(uint32_t number, size_t n);
size_t wire_uint_field(uint32_t number, uint64_t v);
