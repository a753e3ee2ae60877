// SPDX-License-Identifier: Apache-2.0
#pragma once
/* Why a future, or the queue of a function, is not moving. Bounded work (SCHED_LOOK_MAX), and nothing changes. */
#include "engine/engine.h"

enum explain_limit { EXPLAIN_NO_LIMIT, EXPLAIN_MAX_RUNNING, EXPLAIN_RATE, EXPLAIN_CONCURRENCY_KEY };

struct explanation {
    enum pending_reason reason;
    enum explain_limit limit; /* what holds it, where the reason is LIMITED */
    int has_position, is_estimate;
    uint64_t position;            /* futures of its function that are claimed before it, as things stand */
    const struct future *blocker; /* whose end it waits for: the holder of its concurrency key; NULL = none */
    wall_ns_t next_start;         /* not before; 0 = not known */
};

/* What holds @f; the queue of @fn, by the one that is next in it. */
void explain_future(struct engine *e, const struct future *f, struct explanation *ret);
void explain_function(struct engine *e, const struct function *fn, struct explanation *ret);

/* explain_oldest: engine_oldest. */
const struct future *explain_oldest(const struct function *fn);
