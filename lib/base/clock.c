// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"

#include "base/err.h"

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
