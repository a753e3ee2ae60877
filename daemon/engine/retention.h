// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * When finished futures are forgotten. Each has its expire_time, in wall time; almost all of them stand in lines, first
 * in, first out, and each line is in order of expire_time: a future goes to the end of the first line whose last one
 * expires no later. With a clock that runs forward that makes one line for each length of retention, and no search and
 * no memory. A clock that was set back opens one more line until the old ones have run out. Should it be set back more
 * often than there are lines, the last line's order breaks: some are then kept too long, never too short.
 *
 * Who asked for a retention of its own, or has come back from the store, is in a heap instead, so that times in arbitrary
 * order cannot use up the lines.
 *
 * A future that is due but pinned leaves its line. When the last pin goes it stands in `put_off`, which is looked
 * through first.
 */
#include "engine/future.h"

enum { RETENTION_LINES = 16 };

struct retention {
    struct list lines[RETENTION_LINES]; /* of struct future.queue */
    uint32_t n_lines;    /* from here on they are empty; nearly always that is all but one or two */
    struct list put_off; /* likewise */
    struct heap custom;  /* of struct future_rare.expiry */
    uint32_t n_custom;   /* futures alive with a retention of their own, terminal or not */
};

void retention_init(struct retention *r);
void retention_deinit(struct retention *r);

/* retention_reserve: one more future will need the heap, so that retention_add cannot fail. 0, -ENOMEM.
 * retention_unreserve: it is gone. */
MUST_CHECK int retention_reserve(struct retention *r);
void retention_unreserve(struct retention *r);

/* retention_add: @f is terminal now and has its expire_time. */
void retention_add(struct retention *r, struct future *f);

/* retention_remove: @f is about to be forgotten; take it out of wherever it stands. */
void retention_remove(struct retention *r, struct future *f);

/* retention_unpinned: the last pin of @f, which is terminal, has gone. */
void retention_unpinned(struct retention *r, struct future *f);

/* retention_due: the next future to forget at @now: due, not pinned, not a fact of this turn; it stays where it
 * stands, for the caller to forget. Counts *budget down for each one it looks at; NULL: none, or no budget. */
struct future *retention_due(struct retention *r, wall_ns_t now, uint32_t *budget);

/* retention_next: the time of the next expiry, CLOCK_NEVER if none. */
wall_ns_t retention_next(const struct retention *r);
