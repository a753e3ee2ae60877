// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Writing protobuf messages forward, in one pass, to the end of a buffer. A nested message is opened with a
 * guess of its size; closing it fills in the real length and moves the payload only when the guess was in
 * another class of varint length. A failed allocation is remembered: write on, then look at writer_failed
 * once. proto3's rule holds: scalars of value 0 and empty strings are left out, unless the name says
 * `_always`.
 */
#include "base/clock.h"
#include "grpc/wire.h"

struct writer {
    struct buf *out;
    int failed; /* 0, or -ENOMEM: what is in the buffer is then not a message */
};

static inline struct writer writer_to(struct buf *out)
{
    return (struct writer){.out = out};
}

void writer_uint(struct writer *w, uint32_t number, uint64_t v);
void writer_uint_always(struct writer *w, uint32_t number, uint64_t v);
/* writer_int: int32 and int64 (negative ones take ten bytes). writer_sint: sint32 and sint64 (zigzag). */
void writer_int_always(struct writer *w, uint32_t number, int64_t v);
void writer_sint(struct writer *w, uint32_t number, int64_t v);
void writer_double(struct writer *w, uint32_t number, double v);
void writer_double_always(struct writer *w, uint32_t number, double v);
void writer_bytes(struct writer *w, uint32_t number, struct span v);
void writer_bytes_always(struct writer *w, uint32_t number, struct span v);
void writer_text(struct writer *w, uint32_t number, const char *text);
/* writer_timestamp: left out when 0. writer_duration: always written. */
void writer_timestamp(struct writer *w, uint32_t number, wall_ns_t t);
void writer_duration(struct writer *w, uint32_t number, int64_t ns);
/* writer_raw: whole fields, tags included, spliced in unchanged. */
void writer_raw(struct writer *w, struct span fields);

/* writer_begin, writer_end: a nested message around what is written between. @size_hint: about how many
 * bytes. */
struct writer_mark {
    size_t payload_at; /* offset from the buffer's head */
    uint32_t len_bytes;
};
struct writer_mark writer_begin(struct writer *w, uint32_t number, size_t size_hint);
void writer_end(struct writer *w, struct writer_mark mark);
