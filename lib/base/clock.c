// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"

#include "base/err.h"

#include <limits.h>
#include <time.h>

static int64_t read_clock(clockid_t id)
{
    struct timespec ts;

    ASSERT(clock_gettime(id, &ts) == 0);
    return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

mono_ns_t clock_mono(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

wall_ns_t clock_wall(void)
{
    return read_clock(CLOCK_REALTIME);
}

int clock_poll_ms(mono_ns_t until)
{
    mono_ns_t left;

    if (until == CLOCK_NEVER)
        return -1;
    left = until - clock_mono();
    return left <= 0 ? 0 : (int)MIN(left / NS_PER_MS + 1, (mono_ns_t)INT_MAX);
}
