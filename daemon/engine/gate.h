// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * What keeps the tasks of a function from being claimed: a pause, of it or of all (engine_hold), max_running, rate. While any
 * of them does, its gate is closed: it is held out of the rotation (sched.h), its tasks in their places, and nobody looks at it
 * until something changes or its time comes.
 *
 * max_running counts what has been claimed: tasks that are reserved, about to be (arm.h), or run. So what workers have
 * been given in advance never exceeds it. rate counts starts, at most one second's worth of them (or one) at once: a
 * claim takes its share, and gives it back if it is released unrun, but for what has let others start meanwhile.
 */
#include "base/bytes.h"
#include "base/clock.h"
#include "base/heap.h"
#include "base/list.h"

struct engine;
struct function;
struct scope;

/* 0 = no limit. */
struct function_limits {
    uint32_t max_running;
    uint64_t max_pending; /* see engine_submit */
    double rate;          /* per second */
};

/* Which of them are set. */
enum { FUNCTION_MAX_RUNNING = 1, FUNCTION_MAX_PENDING = 2, FUNCTION_RATE = 4 };

/* Who set something, when and why. */
struct change {
    wall_ns_t time;
    struct bytes *who, *why; /* why may be NULL */
};

enum gate_reason { GATE_PAUSED = 1, GATE_FULL = 2, GATE_RATE = 4 }; /* bits of struct gate.closed */

struct gate {
    uint8_t closed;     /* enum gate_reason; 0 = open */
    uint8_t is_limited; /* max_running or rate holds */
    uint8_t which;      /* of limits_set */
    uint64_t n_claimed; /* of its tasks */
    struct function_limits limits, configured,
            set;                        /* those that hold: set ones, else those of the configuration */
    struct change *paused, *limits_set; /* NULL = it is not, they are not */
    int64_t interval_ns;                /* of rate; 0 = none */
    mono_ns_t earned_at;     /* when all that has been claimed has been earned, at one each interval_ns */
    mono_ns_t begun_at;      /* the same of what has really begun */
    struct heap_item opens;  /* in engine.opening while GATE_RATE */
    struct list new_setting; /* in effects.settings: pause, limits or defaults are to be stored */
};

void gate_init(struct gate *g);
void gate_deinit(struct gate *g);

/* gate_claimed: one more of @fn, whose gate is @g, has been claimed (@is_start: under a lease). gate_begun: one of these really
 * runs. gate_ended: one that was claimed is not any more; @is_unrun: it was a start that did not come to be. */
void gate_claimed_limited(struct engine *e, struct function *fn, int is_start);
void gate_begun_limited(struct engine *e, struct function *fn);
void gate_ended_limited(struct engine *e, struct function *fn, int is_unrun);

static inline void gate_claimed(struct engine *e, struct function *fn, struct gate *g, int is_start)
{
    g->n_claimed++;
    if (UNLIKELY(g->is_limited))
        gate_claimed_limited(e, fn, is_start);
}

static inline void gate_begun(struct engine *e, struct function *fn, const struct gate *g)
{
    if (UNLIKELY(g->is_limited))
        gate_begun_limited(e, fn);
}

static inline void gate_ended(struct engine *e, struct function *fn, struct gate *g, int is_unrun)
{
    ASSERT(g->n_claimed > 0);
    g->n_claimed--;
    if (UNLIKELY(g->is_limited))
        gate_ended_limited(e, fn, is_unrun);
}

/* gate_tick: open those whose time has come. gate_next: when the next one's does. */
void gate_tick(struct engine *e);
mono_ns_t gate_next(const struct engine *e);

/* gate_opens_at: when a gate with GATE_RATE opens. */
static inline mono_ns_t gate_opens_at(const struct gate *g)
{
    return g->opens.key;
}

/* The functions of engine.h and restore.h of like names; see there. @change is taken on 0; NULL = end of the pause. */
MUST_CHECK struct change *gate_change_new(wall_ns_t time, struct span who, struct span why);
struct change *gate_change_free(struct change *c);
void gate_pause(struct engine *e, struct function *fn, struct change *change);
void gate_hold(struct engine *e, int is_held);
MUST_CHECK int gate_limit(struct engine *e, struct function *fn, const struct function_limits *limits,
                          unsigned int which, struct change *change);
MUST_CHECK int gate_configure(struct engine *e, struct function *fn, const struct function_limits *limits);

/* gate_store: pause, limits and defaults of @fn must become durable, with the turn's commit. */
void gate_store(struct engine *e, struct function *fn);
