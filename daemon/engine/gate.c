// SPDX-License-Identifier: Apache-2.0
/*
 * rate is kept as the time by which all starts have been earned: each start moves it on by an interval, and one more is
 * allowed while it is no more than a second (less an interval) ahead. So there is nothing to count up as time goes by.
 *
 * A start that did not come to be gives back its interval. But when it was claimed long ago that has been earned since, and others
 * have started in its stead. So the time is moved back no further than to where it would be if all that has really begun,
 * and all that is still reserved as from now, were all there is.
 */
#include "engine/gate.h"

#include "base/mem.h"
#include "engine/state.h"
#include "engine/turn.h"

#include <errno.h>

void gate_init(struct gate *g)
{
    *g = (struct gate){0};
    list_init(&g->new_setting);
}

void gate_deinit(struct gate *g)
{
    ASSERT(g->n_claimed == 0 && !heap_has(&g->opens));
    gate_change_free(g->paused);
    gate_change_free(g->limits_set);
}

struct change *gate_change_new(wall_ns_t time, struct span who, struct span why)
{
    struct change *c = mem_zalloc(sizeof *c);

    if (!c)
        return NULL;
    c->time = time;
    c->who = bytes_dup(who.p, who.len);
    c->why = why.len ? bytes_dup(why.p, why.len) : NULL;
    return c->who && (c->why || !why.len) ? c : gate_change_free(c);
}

struct change *gate_change_free(struct change *c)
{
    if (c) {
        bytes_unref(c->who);
        bytes_unref(c->why);
        mem_free(c);
    }
    return NULL;
}

/* When one more may start. */
static mono_ns_t earned(const struct gate *g)
{
    return g->earned_at - MAX(NS_PER_S - g->interval_ns, (int64_t)0);
}

/* Open or closed, by what holds now. */
static void judge(struct engine *e, struct function *fn)
{
    struct gate *g = &fn->gate;
    uint8_t closed = g->paused || e->functions.is_held ? GATE_PAUSED : 0;

    if (g->limits.max_running && g->n_claimed >= g->limits.max_running)
        closed |= GATE_FULL;
    heap_del(&e->opening, &g->opens);
    if (g->interval_ns && earned(g) > e->mono) {
        ASSERT(heap_set(&e->opening, &g->opens, earned(g)) ==
               0); /* there is room for every function with a rate */
        closed |= GATE_RATE;
    }
    if (!closed && g->closed && fn->ready.n > 0)
        turn_work(e, fn);
    g->closed = closed;
    if (closed)
        sched_hold(&fn->ready);
    else
        sched_allow(&e->sched, &fn->ready);
}

void gate_claimed_limited(struct engine *e, struct function *fn, int is_start)
{
    struct gate *g = &fn->gate;

    if (is_start && g->interval_ns)
        g->earned_at = clock_add(MAX(g->earned_at, e->mono), g->interval_ns);
    judge(e, fn);
}

void gate_begun_limited(struct engine *e, struct function *fn)
{
    struct gate *g = &fn->gate;

    if (g->interval_ns)
        g->begun_at = clock_add(MAX(g->begun_at, e->mono), g->interval_ns);
}

static void give_back(const struct engine *e, const struct function *fn, struct gate *g)
{
    int64_t reserved;

    if (!__builtin_mul_overflow((int64_t)fn->n_reserved, g->interval_ns, &reserved))
        g->earned_at = MIN(g->earned_at, clock_add(MAX(g->begun_at, e->mono), reserved));
}

void gate_ended_limited(struct engine *e, struct function *fn, int is_unrun)
{
    if (is_unrun && fn->gate.interval_ns)
        give_back(e, fn, &fn->gate);
    judge(e, fn);
}

void gate_tick(struct engine *e)
{
    struct heap_item *it;

    while ((it = heap_min(&e->opening)) && it->key <= e->mono)
        judge(e, CONTAINER_OF(it, struct function, gate.opens));
}

mono_ns_t gate_next(const struct engine *e)
{
    struct heap_item *it = heap_min(&e->opening);

    return it ? it->key : CLOCK_NEVER;
}

static int64_t interval_of(double rate)
{
    double ns = rate > 0 ? (double)NS_PER_S / rate : 0;

    if (rate <= 0)
        return 0;
    return ns >= (double)(CLOCK_NEVER / 4) ? CLOCK_NEVER / 4 : MAX((int64_t)(ns + 0.5), (int64_t)1);
}

/* Those that hold, from @configured and @set. 0, -ENOMEM (nothing changed). */
static int combine(struct engine *e, struct function *fn, const struct function_limits *configured,
                   const struct function_limits *set, unsigned int which)
{
    struct gate *g = &fn->gate;
    struct function_limits limits = *configured;

    if (which & FUNCTION_MAX_RUNNING)
        limits.max_running = set->max_running;
    if (which & FUNCTION_MAX_PENDING)
        limits.max_pending = set->max_pending;
    if (which & FUNCTION_RATE)
        limits.rate = set->rate;
    if (limits.rate > 0 && heap_reserve(&e->opening, e->functions.n) < 0)
        return -ENOMEM;
    g->limits = limits;
    if (g->interval_ns != interval_of(limits.rate)) {
        g->interval_ns = interval_of(limits.rate);
        g->earned_at = MIN(g->earned_at, clock_add(e->mono, g->interval_ns)); /* a slow past is no debt */
        g->begun_at = MIN(g->begun_at, g->earned_at);
    }
    g->is_limited = limits.max_running > 0 || limits.rate > 0;
    judge(e, fn);
    return 0;
}

void gate_pause(struct engine *e, struct function *fn, struct change *change)
{
    gate_change_free(fn->gate.paused);
    fn->gate.paused = change;
    judge(e, fn);
}

void gate_hold(struct engine *e, int is_held)
{
    if (e->functions.is_held == is_held)
        return;
    e->functions.is_held = is_held;
    for (uint32_t i = 0; i < e->functions.n; i++)
        judge(e, e->functions.at[i]);
}

int gate_limit(struct engine *e, struct function *fn, const struct function_limits *limits,
               unsigned int which, struct change *change)
{
    struct gate *g = &fn->gate;
    unsigned int all = which ? g->which | which : 0;
    struct function_limits set = g->set;

    if (which & FUNCTION_MAX_RUNNING)
        set.max_running = limits->max_running;
    if (which & FUNCTION_MAX_PENDING)
        set.max_pending = limits->max_pending;
    if (which & FUNCTION_RATE)
        set.rate = limits->rate;
    if (combine(e, fn, &g->configured, &set, all) < 0)
        return -ENOMEM;
    g->set = set;
    g->which = (uint8_t)all;
    gate_change_free(g->limits_set);
    g->limits_set = change;
    return 0;
}

int gate_configure(struct engine *e, struct function *fn, const struct function_limits *limits)
{
    struct gate *g = &fn->gate;

    if (combine(e, fn, limits, &g->set, g->which) < 0)
        return -ENOMEM;
    g->configured = *limits;
    return 0;
}

void gate_store(struct engine *e, struct function *fn)
{
    if (e->config.has_store && !list_is_linked(&fn->gate.new_setting))
        list_push_back(&e->effects.settings, &fn->gate.new_setting);
    e->is_urgent = 1;
}
