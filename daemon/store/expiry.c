// SPDX-License-Identifier: Apache-2.0
#include "store/expiry.h"

#include "base/mem.h"
#include "store/varint.h"

#include <errno.h>
#include <stdlib.h>

enum { ENTRIES_MIN = 256 };

#define NS_PER_HOUR (3600 * NS_PER_S)

int64_t expiry_hour(wall_ns_t t)
{
    return MAX(t, (wall_ns_t)0) / NS_PER_HOUR;
}

wall_ns_t expiry_due(int64_t hour)
{
    wall_ns_t t;

    return __builtin_mul_overflow(hour + 1, NS_PER_HOUR, &t) ? CLOCK_NEVER : t;
}

int expiry_add(struct expiry *e, uint64_t k, wall_ns_t t)
{
    if (e->n == e->cap) {
        uint32_t cap = MAX(e->cap * 2, (uint32_t)ENTRIES_MIN);
        struct expiry_entry *at = mem_realloc(e->at, cap * sizeof *at);

        if (!at)
            return -ENOMEM;
        e->at = at;
        e->cap = cap;
    }
    e->at[e->n++] = (struct expiry_entry){expiry_hour(t), k};
    return 0;
}

void expiry_deinit(struct expiry *e)
{
    mem_free(e->at);
    *e = (struct expiry){0};
}

static int compare(const void *a, const void *b)
{
    const struct expiry_entry *x = a, *y = b;

    if (x->hour != y->hour)
        return x->hour < y->hour ? -1 : 1;
    return (x->k > y->k) - (x->k < y->k);
}

void expiry_sort(struct expiry *e)
{
    if (e->n > 1)
        qsort(e->at, e->n, sizeof *e->at, compare);
}

int expiry_row(const struct expiry *e, uint32_t *at, struct buf *keys, int64_t *ret_hour)
{
    uint32_t first = *at, i;
    uint64_t last = 0;
    uint8_t *to;

    if (first >= e->n)
        return EXPIRY_E_END;
    if (buf_reserve(keys, EXPIRY_ROW_KEYS * VARINT_BYTES) < 0)
        return -ENOMEM;
    to = buf_tail(keys);
    for (i = first; i < e->n && i - first < EXPIRY_ROW_KEYS && e->at[i].hour == e->at[first].hour; i++) {
        to = varint_put(to, e->at[i].k - last);
        last = e->at[i].k;
    }
    buf_commit(keys, (size_t)(to - buf_tail(keys)));
    *at = i;
    *ret_hour = e->at[first].hour;
    return 0;
}

int expiry_unpack(struct span packed, uint64_t keys[static EXPIRY_ROW_KEYS], uint32_t *ret_n)
{
    const uint8_t *at = packed.p, *end = packed.len ? packed.p + packed.len : packed.p;
    uint64_t v, last = 0;
    uint32_t n = 0;

    while (at < end) {
        at = varint_get(at, end, &v);
        if (!at || n == EXPIRY_ROW_KEYS || __builtin_add_overflow(last, v, &last))
            return EXPIRY_E_DAMAGED;
        keys[n++] = last;
    }
    *ret_n = n;
    return 0;
}
