// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Two kinds of time that never mix. Monotonic: timeouts, back-off, leases; it does not survive a restart.
 * Wall: what a person reads and what is stored. Both in nanoseconds; the engine gets them as arguments and
 * never asks.
 */
#include <stdint.h>

#include <sys/time.h>

typedef int64_t mono_ns_t; /* CLOCK_MONOTONIC */
typedef int64_t wall_ns_t; /* since 1970-01-01T00:00:00Z, without leap seconds */

#define NS_PER_US   INT64_C(1000)
#define NS_PER_MS   INT64_C(1000000)
#define NS_PER_S    INT64_C(1000000000)
#define CLOCK_NEVER INT64_MAX /* a deadline that does not come */

mono_ns_t clock_mono(void);
wall_ns_t clock_wall(void);

/* clock_add: @t + @span, CLOCK_NEVER instead of an overflow. @span must not be negative. */
static inline int64_t clock_add(int64_t t, int64_t span)
{
    int64_t sum;

    return __builtin_add_overflow(t, span, &sum) ? CLOCK_NEVER : sum;
}

/* clock_of: what getrusage and its like count. */
static inline int64_t clock_of(struct timeval t)
{
    return (int64_t)t.tv_sec * NS_PER_S + (int64_t)t.tv_usec * NS_PER_US;
}

/* clock_poll_ms: how long poll(2) may wait until @until: rounded up, so that it is not too early; -1 for CLOCK_NEVER. */
int clock_poll_ms(mono_ns_t until);
