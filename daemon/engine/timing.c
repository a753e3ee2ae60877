// SPDX-License-Identifier: Apache-2.0
#include "engine/timing.h"

#include "base/mem.h"
#include "engine/lease.h"
#include "engine/place.h"
#include "engine/state.h"
#include "engine/turn.h"

#include <errno.h>

void timing_set_init(struct timing_set *s)
{
    *s = (struct timing_set){.wall = HEAP_INIT, .mono = HEAP_INIT, .may_abandon = 1, .again_at = CLOCK_NEVER};
    list_init(&s->abandoned);
}

void timing_set_deinit(struct timing_set *s)
{
    ASSERT(s->n == 0 && s->wall.n == 0 && s->mono.n == 0 && list_is_empty(&s->abandoned));
    heap_deinit(&s->wall);
    heap_deinit(&s->mono);
}

int timing_new(struct engine *e, struct future *f)
{
    struct timing *t;

    ASSERT(f->rare && !f->rare->timing);
    if (heap_reserve(&e->timing.wall, e->timing.n + 1) < 0 ||
        heap_reserve(&e->timing.mono, e->timing.n + 1) < 0)
        return -ENOMEM;
    t = slab_alloc(&e->timings);
    if (!t)
        return -ENOMEM;
    *t = (struct timing){.future = f};
    list_init(&t->abandoned);
    f->rare->timing = t;
    e->timing.n++;
    return 0;
}

void timing_free(struct engine *e, struct timing *t)
{
    if (!t)
        return;
    ASSERT(!t->outcome);
    heap_del(&e->timing.wall, &t->wall);
    heap_del(&e->timing.mono, &t->mono);
    list_del(&t->abandoned);
    mem_free(t->retry);
    slab_free(&e->timings, t);
    e->timing.n--;
}

static void set(struct heap *h, struct heap_item *item, int64_t key)
{
    int r = 0;

    if (key == CLOCK_NEVER)
        heap_del(h, item);
    else
        r = heap_set(h, item, key);
    ASSERT(r == 0); /* timing_new made room */
}

/* The next thing by wall time. */
static wall_ns_t wall_of(const struct future *f, const struct timing *t)
{
    wall_ns_t at = f->place == PLACE_DELAYED ? t->not_before : CLOCK_NEVER;

    if (t->deadline && !(f->lease && f->lease->is_past_deadline))
        at = MIN(at, t->deadline);
    return at;
}

static mono_ns_t mono_of(const struct future *f, const struct timing *t)
{
    if (f->place == PLACE_BACKOFF)
        return t->next_try_mono;
    if (f->state == FUTURE_RUNNING && t->attempt_timeout_ns && f->lease && !f->lease->is_past_timeout &&
        f->lease->stop != STOP_DEADLINE)
        return clock_add(f->lease->started_at, t->attempt_timeout_ns);
    return CLOCK_NEVER;
}

void timing_set_timers(struct engine *e, struct future *f)
{
    struct timing *t = f->rare->timing;

    if (future_is_terminal(f)) {
        heap_del(&e->timing.wall, &t->wall);
        heap_del(&e->timing.mono, &t->mono);
        list_del(&t->abandoned);
        return;
    }
    set(&e->timing.wall, &t->wall, wall_of(f, t));
    set(&e->timing.mono, &t->mono, mono_of(f, t));
}

/* --- what is due */

static struct outcome *deadline_outcome(struct engine *e)
{
    struct future_error error = {
            .code = 4, /* DEADLINE_EXCEEDED */
            .reason = REASON_DEADLINE_EXCEEDED,
            .message = SPAN_LIT("the deadline has passed"),
    };
    struct outcome *o = turn_outcome(e);

    if (o)
        o->error = future_error_new(&error);
    return o && !o->error ? turn_outcome_free(e, o) : o;
}

/* Its attempt, or its worker who has not begun yet, is told; whatever it answers, no more is waited for. What is being
 * cancelled stays so, but has no more time for it than others have. */
static int end_leased(struct engine *e, struct future *f, struct timing *t)
{
    struct outcome *outcome;

    if (f->lease->stop != STOP_CANCELLED) {
        outcome = deadline_outcome(e);
        if (!outcome || turn_promise(e, f) < 0) {
            turn_outcome_free(e, outcome);
            return -ENOMEM;
        }
        t->outcome = outcome;
        limits_charge(&e->account, f->scope, limits_outcome(outcome));
    }
    f->lease->is_past_deadline = 1;
    lease_stop(e, f->lease, STOP_DEADLINE, ENGINE_GRACE_NS);
    timing_update(e, f);
    return 0;
}

static int end_pending(struct engine *e, struct future *f)
{
    struct outcome *outcome;

    if (turn_reserve(e) < 0)
        return -ENOMEM;
    outcome = deadline_outcome(e);
    if (!outcome)
        return -ENOMEM;
    place_take(e, f);
    turn_settle(e, f, FUTURE_FAILED, outcome);
    return 0;
}

/* The wall clock has come to what @t waits for. 0, -ENOMEM. */
static int on_wall(struct engine *e, struct timing *t)
{
    struct future *f = t->future;

    if (t->deadline && t->deadline <= e->wall)
        return f->lease ? end_leased(e, f, t) : end_pending(e, f);
    ASSERT(f->place == PLACE_DELAYED);
    place_again(e, f);
    return 0;
}

static void on_mono(struct engine *e, struct timing *t)
{
    struct future *f = t->future;

    if (f->place == PLACE_BACKOFF) {
        t->next_try = 0;
        place_again(e, f);
    } else {
        f->lease->is_past_timeout = 1;
        lease_stop(e, f->lease, STOP_TIMEOUT, ENGINE_GRACE_NS);
        timing_update(e, f);
    }
}

/* Nobody waits for it any more. 0, -ENOMEM. */
static int on_abandoned(struct engine *e, struct timing *t)
{
    int r = engine_cancel(e, t->future, t->future->scope, SPAN_LIT("nobody waits for it any more"), -1);

    if (r == 0)
        list_del(&t->abandoned);
    return r;
}

void timing_run(struct engine *e)
{
    struct timing_set *s = &e->timing;
    struct heap_item *it;
    struct list *l;
    uint32_t n = 0;
    int r = 0;

    while (r == 0 && (l = list_first(&s->abandoned)) && n++ < TIMING_PER_TURN)
        r = on_abandoned(e, LIST_ENTRY(l, struct timing, abandoned));
    while ((it = heap_min(&s->mono)) && it->key <= e->mono && n++ < TIMING_PER_TURN)
        on_mono(e, CONTAINER_OF(it, struct timing, mono));
    while (r == 0 && (it = heap_min(&s->wall)) && it->key <= e->wall && n++ < TIMING_PER_TURN)
        r = on_wall(e, CONTAINER_OF(it, struct timing, wall));
    s->again_at = r < 0 ? clock_add(e->mono, TIMING_AGAIN_NS) : n > TIMING_PER_TURN ? e->mono : CLOCK_NEVER;
}

mono_ns_t timing_next(const struct engine *e)
{
    const struct timing_set *s = &e->timing;
    const struct heap_item *mono = heap_min(&s->mono), *wall = heap_min(&s->wall);
    mono_ns_t next = mono ? mono->key : CLOCK_NEVER;
    int64_t left = TIMING_WALL_LOOK_NS;

    if (s->again_at != CLOCK_NEVER)
        return s->again_at;
    if (!list_is_empty(&s->abandoned))
        return e->mono;
    if (wall && wall->key < clock_add(e->wall, left))
        left = MAX(wall->key - e->wall, INT64_C(0));
    return wall ? MIN(next, clock_add(e->mono, left)) : next;
}

void timing_alone(struct engine *e, struct future *f)
{
    struct timing *t = future_timing(f);

    if (t && t->is_cancelled_alone && e->timing.may_abandon && !list_is_linked(&t->abandoned))
        list_push_back(&e->timing.abandoned, &t->abandoned);
}

/* --- retries */

static int is_listed(const struct retry_policy *p, struct span type)
{
    for (uint32_t i = 0; type.len && i < p->n_types; i++)
        if (span_eq(p->types[i], type))
            return 1;
    return 0;
}

int timing_may_retry(const struct engine *e, const struct future *f, const struct future_error *error)
{
    const struct timing *t = future_timing(f);

    return t && t->retry && t->n_counted + 1 < t->retry->max_attempts && error->retryable &&
           !is_listed(t->retry, error->type) && !is_listed(t->retry, error->function_reason) &&
           !(t->deadline && t->deadline <= e->wall);
}

/* After the n-th attempt min(max_backoff, initial_backoff * multiplier^(n-1)), and up to jitter of itself more or less.
 * The random number is a hash of the future and the attempt. */
static int64_t pause_of(const struct engine *e, const struct future *f, const struct timing *t)
{
    struct {
        struct id id;
        uint64_t n;
    } seed = {f->id, t->n_counted};
    double pause = (double)t->retry->initial_backoff_ns, max = (double)t->retry->max_backoff_ns;
    double random = (double)(hash_bytes(&e->id_seed, &seed, sizeof seed) >> 11) * 0x1p-52 - 1; /* -1 to 1 */

    for (uint32_t i = 1; i < t->n_counted && pause < max; i++)
        pause *= t->retry->multiplier;
    pause = MIN(pause, max);
    pause += pause * t->retry->jitter * random;
    return pause < 0x1p62 ? (int64_t)pause : INT64_C(1) << 62;
}

void timing_pause(struct engine *e, struct future *f)
{
    struct timing *t = future_timing(f);
    int64_t pause;

    t->n_counted++;
    pause = pause_of(e, f, t);
    if (pause <= 0)
        return;
    t->next_try = clock_add(e->wall, pause);
    t->next_try_mono = clock_add(e->mono, pause);
}
