// SPDX-License-Identifier: Apache-2.0
#pragma once
/* The values of the rooms that the services do not see: workers, connections, the store; for System.GetStats. */
#include <stdint.h>

struct conn_set;
struct dispatch;
struct metrics;
struct persist;
struct workers;

struct stats_sources {
    const struct conn_set *conns;
    const struct dispatch *dispatch;
    const struct workers *workers;
    struct persist *persist; /* NULL: no store */
};

/* stats_measure: tell @m everything. Returns how many workers are attached. */
uint32_t stats_measure(const struct stats_sources *from, struct metrics *m);
