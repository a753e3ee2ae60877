// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * What the clocks do to futures. By wall time, which may be set: not_before makes a future ready, deadline ends it. By
 * monotonic time: the pause after a failed attempt ends, a running attempt has used up its attempt_timeout. A future that
 * has any of it has a struct timing with one timer for each clock, set to what comes next.
 *
 * What runs when its time is up is told to end (lease_stop) and ends when its attempt has; what does not run ends at once.
 * What cannot be done for want of memory is tried again: the timer stays.
 *
 * Memory: the heaps have room for the timers of every struct timing there is, so setting one cannot fail.
 */
#include "base/heap.h"
#include "engine/future.h"

struct engine;

enum { TIMING_PER_TURN = 1000 }; /* timers that one turn serves */

/* Between two looks at the wall clock, which may have been set, while something waits for it. */
#define TIMING_WALL_LOOK_NS NS_PER_S

/* Until what failed for want of memory is tried again. */
#define TIMING_AGAIN_NS (10 * NS_PER_MS)

struct timing_set {
    struct heap wall, mono; /* of struct timing.wall, .mono */
    struct list abandoned;  /* of struct timing.abandoned */
    uint32_t n;             /* of struct timing */
    mono_ns_t again_at;     /* there is more to do then; CLOCK_NEVER */
    int may_abandon;        /* 0: who leaves now is driven out by our own end */
};

void timing_set_init(struct timing_set *s);
void timing_set_deinit(struct timing_set *s);

/* timing_new: for @f, which has a rare part and none yet; nothing is set. 0, -ENOMEM. The caller charges it.
 * timing_free: NULL is allowed. */
MUST_CHECK int timing_new(struct engine *e, struct future *f);
void timing_free(struct engine *e, struct timing *t);

/* timing_update: state, place, lease or times of @f have changed: set its timers. */
void timing_set_timers(struct engine *e, struct future *f);
static inline void timing_update(struct engine *e, struct future *f)
{
    if (UNLIKELY(f->rare && f->rare->timing))
        timing_set_timers(e, f);
}

/* timing_run: do what is due. timing_next: when there will be more; CLOCK_NEVER. */
void timing_run(struct engine *e);
mono_ns_t timing_next(const struct engine *e);

/* timing_alone: the last waiter of @f, which is not terminal, has gone. */
void timing_alone(struct engine *e, struct future *f);

/* timing_may_retry: whether another attempt follows one of @f that ends with @error, which counts. */
MUST_CHECK int timing_may_retry(const struct engine *e, const struct future *f,
                                const struct future_error *error);

/* timing_pause: that attempt has ended: the pause begins. */
void timing_pause(struct engine *e, struct future *f);
