// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Which futures expire in which hour, as the table expiry holds it: for each commit and each hour one row with the
 * packed keys of what it finished. A row says only where to look; whether a future has expired is in its own record,
 * because that may have moved. Pure.
 *
 * Packed: keys in rising order, each as the distance from the one before (from 0 for the first), as little-endian
 * base-128 varints.
 */
#include "base/buf.h"
#include "base/bytes.h"
#include "base/clock.h"

enum { EXPIRY_ROW_KEYS = 512 };

struct expiry_entry {
    int64_t hour;
    uint64_t k;
};

struct expiry {
    struct expiry_entry *at;
    uint32_t n, cap;
};

/* expiry_hour: the bucket of what expires at @t. expiry_due: when that bucket is over, CLOCK_NEVER = never. */
int64_t expiry_hour(wall_ns_t t);
wall_ns_t expiry_due(int64_t hour);

/* expiry_add: one more. 0, -ENOMEM. expiry_deinit: free the memory. */
MUST_CHECK int expiry_add(struct expiry *e, uint64_t k, wall_ns_t t);
void expiry_deinit(struct expiry *e);

/* expiry_sort: by hour, then key. expiry_row: of the sorted entries from *at on, the keys of one row appended to
 * @keys, its hour, and *at behind them. 0; EXPIRY_E_END (nothing left); -ENOMEM. */
enum expiry_error { EXPIRY_E_END = 1, EXPIRY_E_DAMAGED };
void expiry_sort(struct expiry *e);
MUST_CHECK int expiry_row(const struct expiry *e, uint32_t *at, struct buf *keys, int64_t *ret_hour);

/* expiry_unpack: the keys of a row into @keys; *ret_n of them. 0; EXPIRY_E_DAMAGED (what expiry_row never writes). */
MUST_CHECK int expiry_unpack(struct span packed, uint64_t keys[static EXPIRY_ROW_KEYS], uint32_t *ret_n);
