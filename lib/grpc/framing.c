// SPDX-License-Identifier: Apache-2.0
/*
 * Invariants:
 *  1. raw holds bytes of the stream in order, without a gap to the @in of the next call.
 *  2. framing_next never stores a byte behind a head that it has not checked, and stores at most the message
 *     that the head announces. What framing_hold stored is checked when framing_next comes to it: the holder
 *     bounds it (by the receive window, which it does not credit).
 *  3. lent > 0 only between a framing_next that returned a message out of raw and the next call here.
 */
#include "grpc/framing.h"

#include <errno.h>
#include <string.h>

void framing_pool_deinit(struct framing_pool *pool)
{
    while (pool->n)
        buf_deinit(&pool->bufs[--pool->n]);
}

void framing_init(struct framing *f, struct framing_pool *pool)
{
    *f = (struct framing){.pool = pool};
}

void framing_release(struct framing *f)
{
    struct framing_pool *pool = f->pool;

    f->lent = 0;
    if (!f->raw.data)
        return;
    if (f->raw.cap <= FRAMING_POOL_BUF_BYTES && pool->n < FRAMING_POOL_BUFS) {
        buf_clear(&f->raw);
        pool->bufs[pool->n++] = f->raw;
        f->raw = BUF_INIT;
    } else {
        buf_deinit(&f->raw);
    }
}

static int store(struct framing *f, const uint8_t *p, size_t n)
{
    if (!f->raw.data && f->pool->n)
        f->raw = f->pool->bufs[--f->pool->n];
    return buf_append(&f->raw, p, n);
}

static int check_head(struct framing *f, const uint8_t *head, size_t max_bytes)
{
    f->length = (uint32_t)head[1] << 24 | (uint32_t)head[2] << 16 | (uint32_t)head[3] << 8 | head[4];
    if (UNLIKELY(head[0] != 0))
        return FRAMING_E_COMPRESSED;
    if (UNLIKELY(f->length > max_bytes))
        return FRAMING_E_TOO_LARGE;
    return 0;
}

static void take_back(struct framing *f)
{
    buf_consume(&f->raw, f->lent);
    f->lent = 0;
}

/* Move bytes from @in until @want of them are stored, as far as it has them. */
static int fill(struct framing *f, struct span *in, size_t want)
{
    size_t have = buf_len(&f->raw), n;
    int r;

    if (have >= want)
        return 0;
    n = MIN(want - have, in->len);
    if (n == 0)
        return 0;
    r = store(f, in->p, n);
    if (r < 0)
        return r;
    in->p += n;
    in->len -= n;
    return 0;
}

static int next_stored(struct framing *f, struct span *in, size_t max_bytes, struct span *ret)
{
    size_t whole;
    int r;

    r = fill(f, in, FRAMING_HEAD_BYTES);
    if (r < 0)
        return r;
    if (buf_len(&f->raw) < FRAMING_HEAD_BYTES)
        return FRAMING_E_MORE;
    r = check_head(f, buf_head(&f->raw), max_bytes);
    if (r)
        return r;
    whole = (size_t)FRAMING_HEAD_BYTES + f->length;
    r = fill(f, in, whole);
    if (r < 0)
        return r;
    if (buf_len(&f->raw) < whole)
        return FRAMING_E_MORE;
    *ret = (struct span){buf_head(&f->raw) + FRAMING_HEAD_BYTES, f->length};
    f->lent = whole;
    return 0;
}

int framing_next(struct framing *f, struct span *in, size_t max_bytes, struct span *ret)
{
    size_t whole;
    int r;

    if (f->lent)
        take_back(f);
    if (UNLIKELY(buf_len(&f->raw)))
        return next_stored(f, in, max_bytes, ret);
    if (in->len >= FRAMING_HEAD_BYTES) {
        r = check_head(f, in->p, max_bytes);
        if (UNLIKELY(r))
            return r;
        whole = (size_t)FRAMING_HEAD_BYTES + f->length;
        if (LIKELY(in->len >= whole)) {
            *ret = (struct span){in->p + FRAMING_HEAD_BYTES, f->length};
            in->p += whole;
            in->len -= whole;
            return 0;
        }
    }
    r = framing_hold(f, *in);
    if (r < 0)
        return r;
    *in = (struct span){0};
    return FRAMING_E_MORE;
}

int framing_hold(struct framing *f, struct span in)
{
    if (f->lent)
        take_back(f);
    return in.len ? store(f, in.p, in.len) : 0;
}

int framing_gather(struct framing *f, struct span in, size_t max_bytes)
{
    uint8_t head[FRAMING_HEAD_BYTES];
    size_t have = framing_stored(f), n;
    int r;

    if (have + in.len >= FRAMING_HEAD_BYTES) {
        n = MIN(have, (size_t)FRAMING_HEAD_BYTES);
        if (n)
            memcpy(head, buf_head(&f->raw) + f->lent, n);
        if (n < FRAMING_HEAD_BYTES)
            memcpy(head + n, in.p, FRAMING_HEAD_BYTES - n);
        r = check_head(f, head, max_bytes);
        if (r)
            return r;
        if (have + in.len > (size_t)FRAMING_HEAD_BYTES + f->length)
            return FRAMING_E_EXTRA;
    }
    return framing_hold(f, in);
}
