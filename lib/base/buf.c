// SPDX-License-Identifier: Apache-2.0
#include "base/buf.h"

#include "base/mem.h"

#include <errno.h>
#include <string.h>

enum { BUF_MIN_BYTES = 256 };

void buf_deinit(struct buf *b)
{
    mem_free(b->data);
    *b = BUF_INIT;
}

int buf_reserve(struct buf *b, size_t n)
{
    size_t len = buf_len(b), want, cap;
    uint8_t *data;

    if (LIKELY(n <= b->cap - b->end))
        return 0;
    if (n > SIZE_MAX / 4 || len > SIZE_MAX / 4)
        return -ENOMEM;
    want = len + n;
    /* Move to the front only when that frees at least half, else double: moving then costs a constant for
     * each byte that passes through, also in a queue that stays nearly full. */
    if (want <= b->cap && b->start >= b->cap / 2) {
        memmove(b->data, b->data + b->start, len);
        b->start = 0;
        b->end = len;
        return 0;
    }
    cap = MAX(b->cap * 2, (size_t)BUF_MIN_BYTES);
    while (cap < want)
        cap *= 2;
    data = mem_alloc(cap);
    if (!data)
        return -ENOMEM;
    if (len)
        memcpy(data, b->data + b->start, len);
    mem_free(b->data);
    *b = (struct buf){.data = data, .start = 0, .end = len, .cap = cap};
    return 0;
}

int buf_append(struct buf *b, const void *p, size_t n)
{
    int r = buf_reserve(b, n);

    if (r < 0)
        return r;
    if (n)
        memcpy(b->data + b->end, p, n);
    b->end += n;
    return 0;
}

void buf_shrink(struct buf *b, size_t keep_bytes)
{
    if (buf_len(b) == 0 && b->cap > keep_bytes)
        buf_deinit(b);
}
