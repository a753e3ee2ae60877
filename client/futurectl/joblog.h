// SPDX-License-Identifier: Apache-2.0
#pragma once
/* A line for each item of a map that has ended, in the columns of GNU parallel's --joblog. */
#include "base/bytes.h"
#include "base/clock.h"

#include <stdio.h>

#include <futured/client.h>

struct joblog_entry {
    uint64_t seq;
    const struct futured_future *future; /* NULL: it was never accepted */
    uint64_t n_sent;                     /* bytes of the argument */
    const char *function;
    struct span item;
    wall_ns_t now; /* stands in for a start that there is not */
};

/* joblog_head: the names of the columns. */
void joblog_head(FILE *to);

/* joblog_put: one line. Host is the worker, Starttime and JobRuntime are those of the last attempt, Exitval is 0 of what has
 * succeeded, else what the attempt's process said, -1 of what was stopped, 1 of anything else. */
void joblog_put(FILE *to, const struct joblog_entry *e);
