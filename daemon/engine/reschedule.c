// SPDX-License-Identifier: Apache-2.0
/* Another priority, other times: first everything is checked and made, then it holds. */
#include "engine/place.h"
#include "engine/state.h"
#include "engine/turn.h"

#include <errno.h>

/* What the clock is to say afterwards. 0; ENGINE_E_TIMES. */
static int check_times(const struct engine *e, const struct future *f, const struct engine_reschedule *in)
{
    const struct timing *t = future_timing(f);
    wall_ns_t not_before = in->has_not_before ? in->not_before : t ? t->not_before : 0;
    wall_ns_t deadline = in->has_deadline ? in->deadline : t ? t->deadline : 0;

    return deadline && not_before > e->wall && deadline < not_before ? ENGINE_E_TIMES : 0;
}

/* It gets a rare part, and of that what it will need. */
static int make(struct engine *e, struct future *f, const struct engine_reschedule *in)
{
    if (turn_reserve(e) < 0 ||
        ((in->has_not_before || in->has_deadline || in->has_retention) && !turn_rare(e, f)))
        return -ENOMEM;
    if ((in->has_not_before || in->has_deadline) && !future_timing(f)) {
        if (timing_new(e, f) < 0)
            return -ENOMEM;
        limits_charge(&e->account, f->scope, limits_timing(f->rare->timing));
    }
    if (in->has_retention && f->rare->retention_ns < 0 && !f->rare->is_custom) {
        if (retention_reserve(&e->retention) < 0)
            return -ENOMEM;
        f->rare->is_custom = 1;
    }
    return 0;
}

/* From the level of its old priority, queue or not, to that of the new one. 0, -ENOMEM. */
static int set_priority(struct engine *e, struct future *f, int32_t priority)
{
    int32_t was = f->priority;
    int r, is_ready = f->place == PLACE_READY || f->place == PLACE_PARKED;

    if (priority == was)
        return 0;
    f->priority = priority;
    r = place_keep(e, f);
    f->priority = was;
    if (r < 0)
        return r;
    if (is_ready)
        place_take(e, f);
    else
        place_drop(e, f);
    f->priority = priority;
    if (is_ready)
        place_put(e, f, 0);
    return 0;
}

static void set_times(struct engine *e, struct future *f, const struct engine_reschedule *in)
{
    struct timing *t = future_timing(f);

    if (in->has_not_before) {
        t->not_before = in->not_before;
        t->next_try = 0;
    }
    if (in->has_deadline)
        t->deadline = in->deadline;
    timing_update(e, f);
    place_again(e, f);
    if (in->has_not_before && in->not_before > e->wall && f->lease && !f->lease->is_started)
        turn_revoke(e, f->lease);
}

static void set_retention(struct engine *e, struct future *f, int64_t retention_ns)
{
    if (f->outcome)
        retention_remove(&e->retention, f);
    f->rare->retention_ns = retention_ns;
    if (f->outcome) {
        f->outcome->expire_time = clock_add(f->outcome->end_time, retention_ns);
        retention_add(&e->retention, f);
    }
}

int engine_reschedule(struct engine *e, struct future *f, const struct engine_reschedule *in)
{
    int r = check_times(e, f, in);

    if (in->if_revision && *in->if_revision != f->revision)
        return ENGINE_E_REVISION;
    if (future_is_terminal(f) && (in->has_priority || in->has_not_before || in->has_deadline))
        return ENGINE_E_TERMINAL;
    if (r == 0)
        r = make(e, f, in);
    if (r == 0 && in->has_priority)
        r = set_priority(e, f, in->priority);
    if (r != 0)
        return r;
    if (in->has_not_before || in->has_deadline)
        set_times(e, f, in);
    if (in->has_retention)
        set_retention(e, f, in->retention_ns);
    turn_change(e, f);
    return 0;
}
