// SPDX-License-Identifier: Apache-2.0
/*
 * The invariants of engine.h, by a walk over everything. Numbers refer to those there.
 */
#include "engine/lease.h"
#include "engine/state.h"

/* What the walk counts. */
struct walk {
    uint64_t n_by_state[6], n_bytes, n_level_bytes, n_group_bytes, n_edges, n_leases, n_members, n_collected;
    uint64_t n_pins, n_finished_bytes, n_promised, n_lanes, n_keys;
};

static void check_timing(const struct future *f, const struct timing *t)
{
    int has_mono =
            f->place == PLACE_BACKOFF || (f->state == FUTURE_RUNNING && t->attempt_timeout_ns &&
                                          !f->lease->is_past_timeout && f->lease->stop != STOP_DEADLINE);

    ASSERT(t->future == f);
    ASSERT(heap_has(&t->mono) == (has_mono && t->mono.key != CLOCK_NEVER));
    if (future_is_terminal(f))
        ASSERT(!heap_has(&t->wall) && !list_is_linked(&t->abandoned) && !t->outcome);
    else if (f->place == PLACE_DELAYED || (t->deadline && !(f->lease && f->lease->is_past_deadline)))
        ASSERT(heap_has(&t->wall));
    ASSERT((f->place == PLACE_DELAYED) <= (t->not_before != 0 || t->deadline != 0) &&
           (f->place == PLACE_BACKOFF) <= (t->next_try != 0));
    ASSERT(!t->outcome || (f->lease && f->lease->stop >= STOP_DEADLINE));
}

/* While somebody is parked there is one who will wake him. */
static void check_slot(const struct future *f)
{
    const struct slot *s = f->rare->slot;

    ASSERT((f->place == PLACE_PARKED) == (s && heap_has(&f->rare->parked)));
    if (!s)
        return;
    ASSERT(!future_is_terminal(f) && s->function == f->function && s->n_users > 0);
    ASSERT((s->holder == f) == !!f->lease);
    if (s->candidate == f)
        ASSERT(f->place == PLACE_READY || f->place == PLACE_ARMED);
    if (f->place == PLACE_PARKED)
        ASSERT(s->holder || s->candidate);
}

static void check_rare(const struct future *f)
{
    const struct cancel_request *cancel = f->rare->cancel_requested;

    check_slot(f);
    ASSERT(f->rare->future == f);
    if (f->rare->timing)
        check_timing(f, f->rare->timing);
    if (f->rare->told)
        told_check(f);
    if (cancel)
        ASSERT((cancel->outcome == NULL) ==
               future_is_terminal(f)); /* ready to be used until there is an end */
}

/* Who is retried and who retries know each other for as long as both are there. */
static void check_retry(const struct engine *e, const struct future *f)
{
    const struct id *of = future_retry_of(f), *by = future_retried_by(f);
    const struct future *other = of ? engine_find(e, f->scope, of) : NULL;

    ASSERT(!of || id_compare(of, &f->id) < 0);
    ASSERT(!by ||
           (id_compare(&f->id, by) < 0 && (f->state == FUTURE_FAILED || f->state == FUTURE_CANCELLED)));
    if (other)
        ASSERT(future_retried_by(other) && id_compare(future_retried_by(other), &f->id) == 0);
    other = by ? engine_find(e, f->scope, by) : NULL;
    if (other)
        ASSERT(future_retry_of(other) && id_compare(future_retry_of(other), &f->id) == 0);
}

static void check_place(const struct future *f)
{
    int is_queued = list_is_linked(&f->queue), is_custom = f->rare && heap_has(&f->rare->expiry);

    ASSERT((f->place != PLACE_NONE) == (f->state == FUTURE_PENDING && !f->lease)); /* 2 */
    if (f->state == FUTURE_PENDING)
        ASSERT(is_queued ==
                       (f->place == PLACE_READY || f->place == PLACE_ARMED || f->place == PLACE_PARKED) &&
               !is_custom); /* 2 */
    else if (f->state == FUTURE_RUNNING)
        ASSERT(!is_queued && !is_custom && f->lease && f->lease->is_started); /* 2 */
    else
        ASSERT(!f->lease && is_queued + is_custom <= 1 &&
               (is_queued || is_custom || f->n_pins > 0)); /* 1, 5 */
    ASSERT(!f->outcome == !future_is_terminal(f));         /* 1 */
    if (f->outcome)
        ASSERT(!f->outcome->data == (f->state != FUTURE_SUCCEEDED) &&
               !f->outcome->error == !!f->outcome->data);
}

/* The invariants of depend.h. */
static void check_depend(const struct future *f)
{
    const struct depend *d = f->rare->depend;
    uint32_t n_open = 0;

    for (uint32_t i = 0; i < d->n; i++) {
        const struct depend_edge *edge = &d->at[i];

        ASSERT(edge->depend == d && d->future == f);
        ASSERT(list_is_linked(&edge->of_upstream) ==
               (edge->upstream && edge->state == 0 && !future_is_terminal(f)));
        ASSERT(!edge->upstream || (!future_is_terminal(f) && edge->upstream->n_pins > 0 &&
                                   (edge->state == 0 || d->passes_results)));
        n_open += edge->state == 0 && !future_is_terminal(f);
    }
    ASSERT(n_open == d->n_open);
}

static void check_upstream(const struct engine *e, const struct future *f)
{
    const struct upstream *u = f->rare->upstream;

    ASSERT(u->future == f);
    LIST_FOREACH (l, &u->dependents)
        ASSERT(LIST_ENTRY(l, struct depend_edge, of_upstream)->upstream == f);
    ASSERT(list_is_empty(&u->dependents) || list_is_linked(&u->ended) == future_is_terminal(f));
}

static void check_lease(const struct future *f, struct walk *w)
{
    const struct lease *lease = f->lease;

    if (!lease)
        return;
    ASSERT(lease->future == f && lease->attempt == f->n_claims && lease->holder->n_leases > 0); /* 3 */
    ASSERT(list_is_linked(&lease->of_holder));
    ASSERT((f->state == FUTURE_RUNNING) == !!lease->is_started);
    if (lease->is_started)
        ASSERT(f->attempts && f->attempts->number == lease->attempt && f->attempts->end_time == 0);
    w->n_leases++;
}

static void check_future(const struct engine *e, const struct future *f, struct walk *w)
{
    uint32_t n_edges = 0;

    check_place(f);
    if (!future_is_terminal(f) && f->place != PLACE_READY)
        ASSERT(sched_is_kept(&e->sched, &f->function->ready, f));
    check_lease(f, w);
    if (f->rare) {
        check_rare(f);
        check_retry(e, f);
    }
    ASSERT((f->place == PLACE_BLOCKED) == (f->state == FUTURE_PENDING && depend_is_open(f)));
    if (f->rare && f->rare->depend)
        check_depend(f);
    if (f->rare && f->rare->upstream)
        check_upstream(e, f);
    if (f->rare && f->rare->idem) {
        ASSERT(f->rare->idem->is_held && f->rare->idem->future == f);
        ASSERT(idem_find(&e->idems, f->scope->realm, future_key(f)) == f->rare->idem);
        w->n_keys++;
    }
    for (const struct edge *edge = f->edges; edge; edge = edge->next) {
        ASSERT(edge->future == f && *edge->pprev == edge);
        n_edges++;
    }
    ASSERT(f->n_pins >= n_edges);
    w->n_pins += f->n_pins - n_edges;
    if (f->outcome && list_is_linked(&f->outcome->by_end)) {
        ASSERT(f->outcome->future == f && f->durability == DURABILITY_DURABLE);
        w->n_finished_bytes += limits_future(f);
    }
    if (f->attempts && !(f->lease && f->lease->is_started))
        ASSERT(f->attempts->end_time != 0);
    if (f->group) {
        ASSERT(f->group->future == f && f->group->group->n_named >= f->group->group->n);
        if (list_is_linked(&f->group->of_group))
            w->n_members++;
    }
    ASSERT(f->durability == DURABILITY_DURABLE || !f->fact);
    ASSERT(f->commit_seq <= e->commit_seq && f->revision <= e->revision &&
           f->n_claims >= (f->attempts ? f->attempts->number : 0));
    ASSERT(f->fact != FACT_LAZY || e->lazy_by != CLOCK_NEVER);
    w->n_collected += f->fact != FACT_NONE;
    w->n_promised += f->durability == DURABILITY_DURABLE && f->rare && f->rare->cancel_requested &&
                     f->rare->cancel_requested->outcome;
    w->n_promised += f->durability == DURABILITY_DURABLE && future_timing(f) && future_timing(f)->outcome;
    w->n_edges += n_edges;
    w->n_by_state[f->state]++;
    w->n_bytes += limits_future(f);
}

static void check_lane(const struct function *fn, const struct lane *lane)
{
    uint64_t n = 0;

    LIST_FOREACH (l, &lane->futures) {
        const struct future *f = LIST_ENTRY(l, struct future, queue);

        ASSERT(f->function == fn && f->place == PLACE_READY && f->priority == lane->level->priority);
        n++;
    }
    ASSERT(n == lane->n && list_is_linked(&lane->turn) == (n > 0));
}

/* Lanes that are only kept cannot be walked, but for the first one. Adds to *n_kept. */
static void check_level(const struct function *fn, const struct level *level, uint64_t *n_kept)
{
    uint64_t n = 0, n_lanes = 0;
    int is_first_seen = 0;

    LIST_FOREACH (l, &level->turns) {
        const struct lane *lane = LIST_ENTRY(l, struct lane, turn);

        ASSERT(lane->level == level && lane->n > 0);
        check_lane(fn, lane);
        n += lane->n;
        *n_kept += lane->n_kept;
        is_first_seen |= lane == &level->first;
        n_lanes += lane != &level->first;
    }
    ASSERT(is_first_seen == (level->first.n > 0) && n_lanes <= level->n_others);
    ASSERT(n == level->n && heap_has(&level->by_rank) == (n > 0));
    if (!is_first_seen)
        *n_kept += level->first.n_kept;
    ASSERT(n > 0 || level->n_others > 0 || level->first.n_kept > 0 || fn->ready.last == &level->first);
}

static void check_gate(const struct function *fn, int is_held)
{
    const struct gate *g = &fn->gate;
    int is_full = g->limits.max_running && g->n_claimed >= g->limits.max_running;

    ASSERT(g->n_claimed == fn->n_reserved + fn->n_running && !g->closed == !fn->ready.is_held);
    ASSERT(!(g->closed & GATE_PAUSED) == !(g->paused || is_held) && !(g->closed & GATE_FULL) == !is_full);
    ASSERT(!(g->closed & GATE_RATE) == !heap_has(&g->opens));
}

/* The ready tasks of one function against its counts (4). */
static void check_function(const struct function *fn, int is_held, struct walk *w)
{
    uint64_t n = 0, n_kept = 0, n_others = 0, n_away = fn->n_reserved + fn->n_waiting + fn->n_running;

    MAP_FOREACH (it, &fn->ready.by_priority) {
        const struct level *level = CONTAINER_OF(it, struct level, by_priority);

        check_level(fn, level, &n_kept);
        n += level->n;
        n_others += level->n_others;
    }
    ASSERT(n == fn->ready.n && list_is_linked(&fn->ready.rotation) == (n > 0 && !fn->ready.is_held));
    check_gate(fn, is_held);
    ASSERT(fn->n_pending == n + fn->n_reserved + fn->n_waiting);
    ASSERT(n_others ? n_kept <= n_away : n_kept == n_away);
    w->n_lanes += n_others;
    w->n_level_bytes += fn->ready.by_priority.n * sched_level_bytes() + n_others * sched_lane_bytes();
}

static void check_functions(const struct engine *e, struct walk *w)
{
    uint64_t n_pending = 0, n_running = 0, n_leases = 0;

    for (uint32_t i = 0; i < e->functions.n; i++) {
        const struct function *fn = e->functions.at[i];

        ASSERT(fn->index == i);
        check_function(fn, e->functions.is_held, w);
        n_pending += fn->n_pending;
        n_running += fn->n_running;
        n_leases += fn->n_reserved + fn->n_running;
    }
    ASSERT(n_pending == w->n_by_state[FUTURE_PENDING] && n_running == w->n_by_state[FUTURE_RUNNING]);
    ASSERT(w->n_lanes == e->sched.lanes.n_items);
    ASSERT(n_leases == w->n_leases + e->arm.n && w->n_leases == e->leases.n_objects);
}

/* Each group is walked from its first member. */
static void check_group(const struct group *g, struct walk *w)
{
    uint64_t n = 0, last = 0;

    LIST_FOREACH (l, &g->members) {
        const struct membership *m = LIST_ENTRY(l, struct membership, of_group);

        ASSERT(m->group == g && id_key(&m->future->id) > last);
        last = id_key(&m->future->id);
        n++;
    }
    ASSERT(n == g->n);
    LIST_FOREACH (l, &g->expecting) {
        const struct waiter *waiter = LIST_ENTRY(l, struct waiter, expecting);
        uint64_t n_spare = 0;

        for (const struct edge *edge = waiter->spare; edge; edge = edge->next)
            n_spare++;
        ASSERT(waiter->group == g && n_spare > 0 && n_spare <= waiter->expect);
    }
    w->n_members -= n;
}

static void check_scopes(const struct engine *e, const struct walk *w)
{
    uint64_t n_live = 0, n_bytes = 0;

    MAP_FOREACH (realm, &e->scopes.realms) {
        const struct realm *r = CONTAINER_OF(realm, struct realm, by_name);

        MAP_FOREACH (it, &r->scopes) {
            const struct scope *scope = CONTAINER_OF(it, struct scope, by_name);

            n_live += scope->n_live;
            n_bytes += scope->n_bytes;
        }
    }
    ASSERT(n_live == w->n_by_state[FUTURE_PENDING] + w->n_by_state[FUTURE_RUNNING]);
    ASSERT(n_bytes == w->n_bytes);
}

static void check_ring(const struct engine *e)
{
    const struct ring *r = &e->ring;
    uint64_t revision = 0;
    size_t bytes = 0;

    ASSERT(r->base <= r->head && r->head - r->base <= r->size);
    for (uint64_t n = r->base + 1; n <= r->head; n++) {
        const struct ring_event *event = ring_at(r, n);
        const struct future *f = engine_find_any(e, &event->id);

        if (event->kind == RING_PROGRESS)
            continue;
        ASSERT(event->revision > revision && event->revision <= e->revision);
        ASSERT(!f || f->revision >= event->revision);
        revision = event->revision;
        bytes += event->labels_before ? event->labels_before->bytes : 0;
    }
    ASSERT(bytes == r->labels_bytes && bytes <= RING_LABELS_BYTES);
}

void engine_check(const struct engine *e)
{
    engine_check_most(e);
    table_check(&e->table);
    table_check(&e->groups.table);
    table_check(&e->idems.table);
    table_check(&e->resends.table);
    table_check(&e->sched.lanes);
}

void engine_check_most(const struct engine *e)
{
    struct walk w = {0};
    struct order_place place;
    uint64_t n = 0;

    order_check(&e->order);
    check_ring(e);
    for (const struct future *f = order_seek(&e->order, 0, 0, &place); f;
         f = order_step(&e->order, &place, 0)) {
        check_future(e, f, &w);
        ASSERT(engine_find(e, f->scope, &f->id) == f);
        if (f->group && f->group->of_group.prev == &f->group->group->members) {
            check_group(f->group->group, &w);
            w.n_group_bytes += group_bytes(f->group->group);
        }
        n++;
    }
    ASSERT(n == e->account.n_futures && n == e->table.n_items && n == e->futures.n_objects);
    ASSERT(w.n_members == 0);
    check_functions(e, &w);
    check_scopes(e, &w);
    for (int i = 0; i < 6; i++)
        ASSERT(w.n_by_state[i] == e->n_by_state[i]);
    ASSERT(e->n_accepted + e->n_restored == n + e->n_forgotten + e->n_evicted);
    ASSERT(w.n_pins == e->n_pins && w.n_finished_bytes == e->cache.n_bytes);
    ASSERT(e->account.n_edges == e->edges.n_objects && w.n_edges <= e->edges.n_objects);
    ASSERT(w.n_collected == e->collected.n);
    ASSERT(e->timing.n == e->timings.n_objects && e->timing.wall.n <= e->timing.n &&
           e->timing.mono.n <= e->timing.n);
    ASSERT(w.n_promised == e->n_promised && e->collected.n + e->n_promised <= e->collected.cap);
    ASSERT(w.n_group_bytes <= e->groups.n_bytes); /* those without a member have no way to be walked */
    ASSERT(w.n_keys == e->idems.table.n_items && e->resends.n == e->resends.slab.n_objects);
    ASSERT(w.n_bytes + w.n_level_bytes + e->groups.n_bytes + resend_bytes(&e->resends) == e->account.n_bytes);
}
