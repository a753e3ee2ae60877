// SPDX-License-Identifier: Apache-2.0
#include "grpc/hold.h"

#include "base/mem.h"

#include <errno.h>

struct hold *hold_new(struct grpc_call *call, uint64_t stamp)
{
    struct hold *h = mem_zalloc(sizeof *h);

    if (!h)
        return NULL;
    list_init(&h->link);
    h->call = call;
    h->stamp = stamp;
    return h;
}

struct hold *hold_free(struct hold *h)
{
    if (!h)
        return NULL;
    list_del(&h->link);
    buf_deinit(&h->out);
    buf_deinit(&h->marks);
    mem_free(h->status);
    return mem_free(h);
}

static struct hold_mark *marks_of(const struct hold *h, size_t *ret_n)
{
    *ret_n = buf_len(&h->marks) / sizeof(struct hold_mark);
    return (struct hold_mark *)(void *)buf_head(&h->marks);
}

int hold_mark(struct hold *h)
{
    struct hold_mark mark = {.seq = h->stamp, .end = h->n_sent + buf_len(&h->out)};
    struct hold_mark *marks;
    size_t n;

    marks = marks_of(h, &n);
    if (n && marks[n - 1].seq == mark.seq) {
        marks[n - 1].end = mark.end;
        return 0;
    }
    return buf_append(&h->marks, &mark, sizeof mark);
}

int hold_ready(struct hold *h, uint64_t seq, size_t *ret_bytes, int *ret_is_reached)
{
    size_t n, i = 0, end = h->n_sent;
    const struct hold_mark *marks = marks_of(h, &n);

    while (i < n && marks[i].seq <= seq)
        end = marks[i++].end;
    *ret_bytes = end - h->n_sent;
    *ret_is_reached = i > 0;
    buf_consume(&h->marks, i * sizeof(struct hold_mark));
    return i == n;
}
