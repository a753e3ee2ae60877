// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * How many workers the pool is to have, between a least and a most number: more while work waits, at most twice as many at a
 * time and only once those that were asked for are there; fewer when for a whole span not all were needed at any time, then
 * as many as were. Decides, and does nothing.
 * Thread: any, one at a time.
 */
#include "base/clock.h"

#include <stdint.h>

struct size_limits {
    uint32_t min, max; /* min <= max */
    int64_t idle_ns;   /* the span */
};

struct size {
    struct size_limits limits;
    uint32_t wanted;
    uint32_t peak;              /* most that were needed at a time since the span began */
    mono_ns_t until;            /* the span ends; CLOCK_NEVER: none runs, there are no more than the least */
    uint64_t n_grown, n_shrunk; /* workers more, workers fewer, ever */
};

/* size_set: from now on within @limits; all zeros is the state before the first call, which begins with the least. */
void size_set(struct size *s, const struct size_limits *limits);

/* size_look: work for @needed workers is there, and (@is_complete) all that were wanted are at work. Returns when it is to be
 * called at the latest; wanted says what holds. */
mono_ns_t size_look(struct size *s, uint64_t needed, int is_complete, mono_ns_t now);
