// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Messages out of a byte stream (gRPC over HTTP/2, "Length-Prefixed-Message"): one byte compressed flag, four
 * bytes big-endian length, the message. The length is checked before a byte of the message is stored. A
 * message that lies whole in the piece just received is handed over as a span of it; only what is cut between
 * pieces, or held back, is copied.
 */
#include "base/buf.h"
#include "base/bytes.h"

enum { FRAMING_HEAD_BYTES = 5 };

/* Buffers that were used and are kept for the next message: one pool a connection, so that a connection in
 * steady state allocates nothing. */
enum { FRAMING_POOL_BUFS = 16, FRAMING_POOL_BUF_BYTES = 64 * 1024 };

struct framing_pool {
    struct buf bufs[FRAMING_POOL_BUFS];
    uint32_t n;
};

struct framing {
    struct framing_pool *pool;
    struct buf raw;  /* received, in order, not handed over yet */
    size_t lent;     /* at the front of raw: where the last message stands that framing_next returned */
    uint32_t length; /* of the message whose head was seen last; for the text of an error */
};

/* framing_pool_deinit: after every framing that uses it was released. */
void framing_pool_deinit(struct framing_pool *pool);

void framing_init(struct framing *f, struct framing_pool *pool);

/* framing_release: forget all that is stored; the memory goes to the pool, or is freed when it is large. @f
 * may be used again. */
void framing_release(struct framing *f);

enum {
    FRAMING_E_MORE = 1,   /* no whole message yet */
    FRAMING_E_TOO_LARGE,  /* the head announces more than the limit: framing.length */
    FRAMING_E_COMPRESSED, /* the head has the compressed flag, and no encoding was negotiated */
    FRAMING_E_EXTRA,      /* framing_gather: a byte behind the one message */
};

/* framing_next: the next message from what is stored, then from @in, which is advanced.
 *   Owns:   *ret is borrowed until the next call here, or of what @in points into.
 *   Return: 0; FRAMING_E_MORE (all of @in is used up, a part of a message stored); FRAMING_E_TOO_LARGE and
 *           FRAMING_E_COMPRESSED (the stream is broken); -ENOMEM (nothing stored). */
MUST_CHECK int framing_next(struct framing *f, struct span *in, size_t max_bytes, struct span *ret);

/* framing_hold: store @in behind what is stored, without looking. 0, -ENOMEM (nothing stored). */
MUST_CHECK int framing_hold(struct framing *f, struct span in);

/* framing_gather: store @in, which may hold no more than one message together with what is stored.
 *   Return: 0; FRAMING_E_EXTRA, FRAMING_E_TOO_LARGE, FRAMING_E_COMPRESSED, -ENOMEM (nothing stored). */
MUST_CHECK int framing_gather(struct framing *f, struct span in, size_t max_bytes);

/* framing_stored: bytes received and not handed over; what is lent counts as handed over. */
static inline size_t framing_stored(const struct framing *f)
{
    return buf_len(&f->raw) - f->lent;
}

/* framing_put_head: the head of an uncompressed message of @n bytes. */
static inline void framing_put_head(uint8_t head[static FRAMING_HEAD_BYTES], size_t n)
{
    ASSERT(n <= UINT32_MAX);
    head[0] = 0;
    head[1] = (uint8_t)(n >> 24);
    head[2] = (uint8_t)(n >> 16);
    head[3] = (uint8_t)(n >> 8);
    head[4] = (uint8_t)n;
}
