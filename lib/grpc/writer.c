// SPDX-License-Identifier: Apache-2.0
#include "grpc/writer.h"

#include <string.h>

/* Room for @n bytes at the end, or NULL with the failure noted. */
static uint8_t *room(struct writer *w, size_t n)
{
    if (UNLIKELY(w->failed))
        return NULL;
    if (UNLIKELY(w->out->cap - w->out->end < n)) {
        w->failed = buf_reserve(w->out, n);
        if (w->failed < 0)
            return NULL;
    }
    return buf_tail(w->out);
}

static void wrote(struct writer *w, const uint8_t *end)
{
    buf_commit(w->out, (size_t)(end - buf_tail(w->out)));
}

void writer_uint_always(struct writer *w, uint32_t number, uint64_t v)
{
    uint8_t *to = room(w, WIRE_TAG_MAX + WIRE_VARINT_MAX);

    if (to)
        wrote(w, wire_put_uint(to, number, v));
}

void writer_uint(struct writer *w, uint32_t number, uint64_t v)
{
    if (v)
        writer_uint_always(w, number, v);
}

void writer_int_always(struct writer *w, uint32_t number, int64_t v)
{
    writer_uint_always(w, number, (uint64_t)v);
}

void writer_sint(struct writer *w, uint32_t number, int64_t v)
{
    writer_uint(w, number, ((uint64_t)v << 1) ^ (uint64_t)(v >> 63));
}

void writer_double_always(struct writer *w, uint32_t number, double v)
{
    uint8_t *to = room(w, WIRE_TAG_MAX + sizeof(uint64_t));
    uint64_t bits;

    if (!to)
        return;
    memcpy(&bits, &v, sizeof bits);
    to = wire_put_varint(to, (uint64_t)number << 3 | WIRE_FIXED64);
    for (size_t i = 0; i < sizeof bits; i++)
        *to++ = (uint8_t)(bits >> 8 * i);
    wrote(w, to);
}

void writer_double(struct writer *w, uint32_t number, double v)
{
    if (v != 0)
        writer_double_always(w, number, v);
}

void writer_bytes_always(struct writer *w, uint32_t number, struct span v)
{
    uint8_t *to = room(w, WIRE_TAG_MAX + WIRE_VARINT_MAX + v.len);

    if (to)
        wrote(w, wire_put_bytes(to, number, v.p, v.len));
}

void writer_bytes(struct writer *w, uint32_t number, struct span v)
{
    if (v.len)
        writer_bytes_always(w, number, v);
}

void writer_text(struct writer *w, uint32_t number, const char *text)
{
    writer_bytes(w, number, span_of_string(text));
}

static void put_time(struct writer *w, uint32_t number, int64_t seconds, int64_t nanos)
{
    struct writer_mark m = writer_begin(w, number, 16);

    writer_uint(w, 1, (uint64_t)seconds);
    writer_uint(w, 2, (uint64_t)nanos);
    writer_end(w, m);
}

void writer_timestamp(struct writer *w, uint32_t number, wall_ns_t t)
{
    int64_t seconds = t / NS_PER_S, nanos = t % NS_PER_S;

    if (!t)
        return;
    if (nanos < 0) { /* a timestamp's nanos count forward, also before 1970 */
        seconds--;
        nanos += NS_PER_S;
    }
    put_time(w, number, seconds, nanos);
}

void writer_duration(struct writer *w, uint32_t number, int64_t ns)
{
    put_time(w, number, ns / NS_PER_S, ns % NS_PER_S);
}

void writer_raw(struct writer *w, struct span fields)
{
    uint8_t *to = fields.len ? room(w, fields.len) : NULL;

    if (to) {
        memcpy(to, fields.p, fields.len);
        wrote(w, to + fields.len);
    }
}

struct writer_mark writer_begin(struct writer *w, uint32_t number, size_t size_hint)
{
    uint32_t len_bytes = (uint32_t)wire_varint_len(size_hint);
    uint8_t *to = room(w, WIRE_TAG_MAX + WIRE_VARINT_MAX);

    if (to) {
        to = wire_put_varint(to, (uint64_t)number << 3 | WIRE_BYTES);
        wrote(w, to + len_bytes);
    }
    return (struct writer_mark){.payload_at = buf_len(w->out), .len_bytes = len_bytes};
}

void writer_end(struct writer *w, struct writer_mark mark)
{
    size_t n;
    uint32_t len_bytes;
    uint8_t *payload;

    if (UNLIKELY(w->failed))
        return;
    n = buf_len(w->out) - mark.payload_at;
    len_bytes = (uint32_t)wire_varint_len(n);
    if (len_bytes > mark.len_bytes && !room(w, len_bytes - mark.len_bytes))
        return;
    payload = buf_head(w->out) + mark.payload_at;
    if (UNLIKELY(len_bytes != mark.len_bytes)) {
        memmove(payload - mark.len_bytes + len_bytes, payload, n);
        w->out->end = w->out->end - mark.len_bytes + len_bytes;
    }
    wire_put_varint(payload - mark.len_bytes, n);
}
