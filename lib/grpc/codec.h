// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Reading protobuf messages by table into structs whose strings are spans of the input: no allocation, every
 * string checked for UTF-8, every wrong field named. One row describes one field; a row's place is its field
 * number, so decoding a field is one index. Repeated fields are counted and walked again by their reader
 * (codec_each).
 *
 * What protobuf allows and we refuse, because bytes are spliced through unchanged: a singular message or
 * bytes field given twice. Unknown fields are skipped, as protobuf asks.
 */
#include "grpc/wire.h"

enum codec_type {
    CODEC_NONE,             /* a hole in the table: the field is skipped */
    CODEC_UINT,             /* uint32, uint64, bool, enum -> uint64_t */
    CODEC_NUMBER,           /* the same, and int32 and int64, where presence matters -> struct codec_number */
    CODEC_INT,              /* int32, int64 -> int64_t */
    CODEC_SINT,             /* sint32, sint64 (zigzag) -> int64_t */
    CODEC_DOUBLE,           /* -> double */
    CODEC_STRING,           /* -> struct span, UTF-8 */
    CODEC_BYTES,            /* -> struct codec_bytes */
    CODEC_MESSAGE,          /* -> struct codec_bytes: undecoded */
    CODEC_DURATION,         /* google.protobuf.Duration -> struct codec_time, in range or an error */
    CODEC_TIMESTAMP,        /* google.protobuf.Timestamp -> struct codec_time since 1970 */
    CODEC_REPEATED_STRING,  /* -> uint32_t, the count; each checked for UTF-8 */
    CODEC_REPEATED_MESSAGE, /* -> uint32_t, the count */
};

/* A length-delimited field whose presence matters; `field` is the whole field, tag included. */
struct codec_bytes {
    struct span data, field;
    int is_set;
};

struct codec_number {
    uint64_t value; /* int32 and int64: as their two's complement */
    int is_set;
};

struct codec_time {
    int64_t ns;
    int is_set;
};

struct codec_row {
    enum codec_type type;
    uint32_t offset; /* of the member in the struct */
    const char *name;
};

#define CODEC_ROW(number, kind, type_, member) \
    [number] = {.type = (kind), .offset = offsetof(type_, member), .name = #member}

struct codec_table {
    const struct codec_row *rows; /* indexed by field number; row 0 is unused */
    uint32_t n_rows;
};

#define CODEC_TABLE(rows_) ((struct codec_table){(rows_), ARRAY_LEN(rows_)})

/* codec_read: decode @message into @ret, which the caller has zeroed.
 *   Return: 0; CODEC_E_MALFORMED (not protobuf); CODEC_E_TYPE (wrong wire type); CODEC_E_UTF8; CODEC_E_RANGE
 * (a duration or timestamp beyond what its type or 292 years allow); CODEC_E_TWICE. *ret_field names the
 * field ("" where @message itself is malformed). */
enum { CODEC_E_MALFORMED = 1, CODEC_E_TYPE, CODEC_E_UTF8, CODEC_E_RANGE, CODEC_E_TWICE };
MUST_CHECK int codec_read(const struct codec_table *table, struct span message, void *ret,
                          const char **ret_field);

/* codec_error_text: what a CODEC_E_ result means, for a message to the caller. */
const char *codec_error_text(int error);

/* codec_each: the next payload of repeated field @number; start with wire_reader(message), which codec_read
 * has found well-formed. 1 = *ret is one, 0 = no more. */
int codec_each(struct wire_reader *r, uint32_t number, struct span *ret);
