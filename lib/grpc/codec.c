// SPDX-License-Identifier: Apache-2.0
#include "grpc/codec.h"

#include "base/clock.h"
#include "base/utf8.h"

#include <string.h>

/* Duration and Timestamp have the same fields: seconds = 1 (int64), nanos = 2 (int32). */
static int read_time(struct span message, int is_duration, int64_t *ret_ns)
{
    struct wire_reader r = wire_reader(message);
    int64_t seconds = 0, nanos = 0, ns;
    struct wire_field f;
    int e;

    while ((e = wire_next(&r, &f)) == 0) {
        if (f.number > 2)
            continue;
        if (f.type != WIRE_VARINT)
            return CODEC_E_TYPE;
        if (f.number == 1)
            seconds = (int64_t)f.value;
        else
            nanos = (int32_t)f.value;
    }
    if (e != WIRE_E_END)
        return CODEC_E_MALFORMED;
    if (nanos <= -NS_PER_S || nanos >= NS_PER_S || (!is_duration && nanos < 0))
        return CODEC_E_RANGE;
    if (is_duration && ((seconds > 0 && nanos < 0) || (seconds < 0 && nanos > 0)))
        return CODEC_E_RANGE;
    if (__builtin_mul_overflow(seconds, NS_PER_S, &ns) || __builtin_add_overflow(ns, nanos, &ns))
        return CODEC_E_RANGE;
    *ret_ns = ns;
    return 0;
}

static enum wire_type wire_type_of(enum codec_type type)
{
    switch (type) {
    case CODEC_UINT:
    case CODEC_NUMBER:
    case CODEC_INT:
    case CODEC_SINT: return WIRE_VARINT;
    case CODEC_DOUBLE: return WIRE_FIXED64;
    default: return WIRE_BYTES;
    }
}

static int store_bytes(const struct wire_field *f, struct codec_bytes *to)
{
    if (to->is_set)
        return CODEC_E_TWICE;
    *to = (struct codec_bytes){.data = f->bytes, .field = f->raw, .is_set = 1};
    return 0;
}

static int store_time(const struct wire_field *f, int is_duration, struct codec_time *to)
{
    int e = to->is_set ? CODEC_E_TWICE : read_time(f->bytes, is_duration, &to->ns);

    if (e == 0)
        to->is_set = 1;
    return e;
}

static int store(const struct codec_row *row, const struct wire_field *f, void *ret)
{
    void *to = (char *)ret + row->offset;

    if (f->type != wire_type_of(row->type))
        return CODEC_E_TYPE;
    switch (row->type) {
    case CODEC_NONE: return 0;
    case CODEC_UINT: *(uint64_t *)to = f->value; return 0;
    case CODEC_NUMBER: *(struct codec_number *)to = (struct codec_number){f->value, 1}; return 0;
    case CODEC_INT: *(int64_t *)to = (int64_t)f->value; return 0;
    case CODEC_SINT: *(int64_t *)to = (int64_t)(f->value >> 1) ^ -(int64_t)(f->value & 1); return 0;
    case CODEC_DOUBLE: memcpy(to, &f->value, sizeof(double)); return 0;
    case CODEC_STRING:
        *(struct span *)to = f->bytes;
        return utf8_is_valid(f->bytes.p, f->bytes.len) ? 0 : CODEC_E_UTF8;
    case CODEC_BYTES:
    case CODEC_MESSAGE: return store_bytes(f, to);
    case CODEC_DURATION: return store_time(f, 1, to);
    case CODEC_TIMESTAMP: return store_time(f, 0, to);
    case CODEC_REPEATED_STRING:
        ++*(uint32_t *)to;
        return utf8_is_valid(f->bytes.p, f->bytes.len) ? 0 : CODEC_E_UTF8;
    case CODEC_REPEATED_MESSAGE: ++*(uint32_t *)to; return 0;
    }
    return 0;
}

int codec_read(const struct codec_table *table, struct span message, void *ret, const char **ret_field)
{
    struct wire_reader r = wire_reader(message);
    struct wire_field f;
    int e;

    while ((e = wire_next(&r, &f)) == 0) {
        if (f.number >= table->n_rows || table->rows[f.number].type == CODEC_NONE)
            continue;
        e = store(&table->rows[f.number], &f, ret);
        if (e) {
            *ret_field = table->rows[f.number].name;
            return e;
        }
    }
    if (e == WIRE_E_END)
        return 0;
    *ret_field = "";
    return CODEC_E_MALFORMED;
}

const char *codec_error_text(int error)
{
    switch (error) {
    case CODEC_E_TYPE: return "has the wrong wire type";
    case CODEC_E_UTF8: return "is not valid UTF-8";
    case CODEC_E_RANGE: return "is out of range";
    case CODEC_E_TWICE: return "is given twice";
    default: return "is not a valid protobuf message";
    }
}

int codec_each(struct wire_reader *r, uint32_t number, struct span *ret)
{
    struct wire_field f;

    while (wire_next(r, &f) == 0)
        if (f.number == number && f.type == WIRE_BYTES) {
            *ret = f.bytes;
            return 1;
        }
    return 0;
}
