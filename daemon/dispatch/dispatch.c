// SPDX-License-Identifier: Apache-2.0
#include "dispatch/dispatch.h"

#include "base/mem.h"
#include "dispatch/child.h"
#include "dispatch/claim.h"
#include "dispatch/internal.h"
#include "dispatch/report.h"
#include "dispatch/roster.h"
#include "dispatch/session.h"
#include "dispatch/steer.h"
#include "engine/right.h"

#include <errno.h>
#include <string.h>

static const struct grpc_method rows[] = {
        {"/futured.v1.Workers/Attach", GRPC_BIDI, &attach_handler, NULL, RIGHT_WORKER},
        {"/futured.v1.Workers/Claim", GRPC_UNARY, &claim_handler, NULL, RIGHT_WORKER},
        {"/futured.v1.Workers/Renew", GRPC_UNARY, &report_renew_handler, NULL, RIGHT_WORKER},
        {"/futured.v1.Workers/Finish", GRPC_UNARY, &report_finish_handler, NULL, RIGHT_WORKER},
        {"/futured.v1.Workers/ListWorkers", GRPC_UNARY, &roster_handler, NULL, RIGHT_ADMIN},
        {"/futured.v1.Workers/DrainWorker", GRPC_UNARY, &steer_drain_handler, NULL, RIGHT_ADMIN},
        {"/futured.v1.Workers/KillWorker", GRPC_UNARY, &steer_kill_handler, NULL, RIGHT_ADMIN},
};

int dispatch_new(struct dispatch **ret, struct engine *e, const struct dispatch_config *config)
{
    struct dispatch *d = mem_zalloc(sizeof *d);

    if (!d)
        return -ENOMEM;
    d->engine = e;
    d->config = *config;
    list_init(&d->workers);
    list_init(&d->claims);
    d->claims_at = CLOCK_NEVER;
    map_init(&d->sessions, &config->seed);
    d->n_methods = ARRAY_LEN(rows);
    _Static_assert(ARRAY_LEN(rows) <= ARRAY_LEN(d->methods), "room for every method");
    memcpy(d->methods, rows, sizeof rows);
    for (size_t i = 0; i < d->n_methods; i++)
        d->methods[i].context = d;
    *ret = d;
    return 0;
}

struct dispatch *dispatch_free(struct dispatch *d)
{
    if (!d)
        return NULL;
    while (!list_is_empty(&d->workers)) {
        struct worker *w = LIST_ENTRY(d->workers.next, struct worker, link);

        ASSERT(!w->call);
        worker_forget(w);
    }
    map_deinit(&d->sessions);
    return mem_free(d);
}

const struct grpc_method *dispatch_methods(const struct dispatch *d, size_t *ret_n)
{
    *ret_n = d->n_methods;
    return d->methods;
}

void dispatch_tell(const struct worker *w, const char *event, struct span who, struct span why)
{
    const struct dispatch_log *log = &w->dispatch->config.log;
    char id[32];

    worker_id(w, id);
    if (log->told)
        log->told(log->context, event, span_of_string(id), worker_name(w), who, why);
}

/* One round over all workers: how many tasks were sent. */
static uint32_t assign_to_all(struct dispatch *d, uint32_t max, int is_prefetch)
{
    uint32_t sent = 0;

    LIST_FOREACH (l, &d->workers) {
        if (!engine_has_work(d->engine))
            break;
        sent += assign_to(LIST_ENTRY(l, struct worker, link), max, is_prefetch);
    }
    return sent;
}

/* Two passes: first the slots of every worker and the Claims that wait, so that no task waits behind another while a worker is
 * idle; then, for functions known to be fast, what credit allows, in rounds so that the workers share it. When to look what
 * has begun. */
static mono_ns_t hand_out(struct dispatch *d)
{
    mono_ns_t next = CLOCK_NEVER;
    uint32_t sent = assign_to_all(d, DISPATCH_CLAIM_MAX, 0), more;

    claim_hand_out(d);
    do
        sent += more = assign_to_all(d, DISPATCH_ROUND, 1);
    while (more);
    if (sent)
        LIST_FOREACH (l, &d->workers)
            next = MIN(next, LIST_ENTRY(l, struct worker, link)->look_at);
    return next;
}

mono_ns_t dispatch_run(struct dispatch *d, struct effects *effects, mono_ns_t now)
{
    mono_ns_t next = CLOCK_NEVER;
    struct list *l;
    int is_work_new = !list_is_empty(&effects->work);

    while ((l = list_pop_front(&effects->revokes))) {
        struct lease *lease = LIST_ENTRY(l, struct lease, revoke);

        if (lease->stop != STOP_NOT)
            next = MIN(next, ladder_begin(lease->holder->user, lease, now));
        else
            attach_recall(lease->holder->user, lease);
    }
    while (list_pop_front(&effects->work))
        ;
    if ((is_work_new || d->is_room_new) && !d->is_draining)
        next = MIN(next, hand_out(d));
    d->is_room_new = 0;
    return next;
}

int dispatch_worker_died(struct dispatch *d, uint64_t child, int wait_status, int asked)
{
    const struct dispatch_pool *pool = &d->config.pool;
    uint32_t n_dying = 0;
    int has_culprit = 0, has_attached = 0, has_crashed;

    LIST_FOREACH (l, &d->workers) {
        struct worker *w = LIST_ENTRY(l, struct worker, link);
        const struct runpage *page = child_has(child, w) ? pool->page(pool->context, w->key) : NULL;

        if (!page)
            continue;
        /* without memory for the copy nothing counts as started: what it ran goes back, as lost without fault would */
        w->last_page = mem_dup(page, sizeof *page);
        w->is_culprit |= runpage_is_blamed(page);
        has_culprit |= w->is_culprit;
        n_dying += runpage_is_running(page) ? 1 : 0;
        has_attached = 1;
    }
    has_crashed = !asked && (wait_status || n_dying || !has_attached);
    d->n_crashed += has_crashed ? 1 : 0;
    LIST_FOREACH_SAFE (l, &d->workers) {
        struct worker *w = LIST_ENTRY(l, struct worker, link);

        if (!child_has(child, w))
            continue;
        w->is_dead = 1;
        w->wait_status = wait_status;
        w->is_asked = asked;
        w->is_victim = has_culprit && !w->is_culprit;
        w->n_dying = has_culprit ? 1 : n_dying;
        w->is_heard = 1; /* give its stream one whole turn */
        if (!w->call)
            (void)!worker_bury(w); /* or at the next tick */
    }
    return has_crashed;
}

static const struct future *running_of(const struct worker *w, const struct runpage *page)
{
    uint64_t next = w->next_start;
    wall_ns_t at;

    LIST_FOREACH (l, &w->holder->leases) {
        const struct lease *lease = LIST_ENTRY(l, struct lease, of_holder);

        if (runpage_find(page, id_key(&lease->future->id), lease->attempt, &next, &at) == RUNPAGE_RUNNING)
            return lease->future;
    }
    return NULL;
}

const struct future *dispatch_running(const struct dispatch *d, uint64_t child)
{
    const struct dispatch_pool *pool = &d->config.pool;
    const struct future *found = NULL;
    uint32_t n = 0;

    LIST_FOREACH (l, &d->workers) {
        const struct worker *w = LIST_ENTRY(l, struct worker, link);
        const struct runpage *page = child_has(child, w) ? pool->page(pool->context, w->key) : NULL;
        const struct future *f = page && w->holder ? running_of(w, page) : NULL;

        if (f && (w->is_culprit || runpage_is_blamed(page)))
            return f;
        if (f) {
            found = f;
            n++;
        }
    }
    return n == 1 ? found : NULL;
}

int dispatch_retire(struct dispatch *d, uint64_t child, mono_ns_t now)
{
    struct worker *any = NULL;

    LIST_FOREACH (l, &d->workers) {
        struct worker *w = LIST_ENTRY(l, struct worker, link);

        if (!child_has(child, w) || w->is_dead)
            continue;
        any = w;
        if (w->holder) /* so that a function which the others do not have counts as one that nobody serves */
            engine_holder_serve_none(d->engine, w->holder);
    }
    if (any)
        steer_drain(any, now, SPAN_LIT("another takes its place"), 0);
    return any != NULL;
}

uint32_t dispatch_held(const struct dispatch *d, uint64_t child)
{
    uint32_t n = 0;

    LIST_FOREACH (l, &d->workers) {
        const struct worker *w = LIST_ENTRY(l, struct worker, link);

        n += w->holder && child_has(child, w) ? w->holder->n_leases : 0;
    }
    return n;
}

uint64_t dispatch_needed(const struct dispatch *d, uint64_t enough)
{
    const struct function *f = NULL;
    uint64_t n = 0, slots = 1;

    LIST_FOREACH (l, &d->workers) {
        const struct worker *w = LIST_ENTRY(l, struct worker, link);

        if (!worker_is_pool(w) || !w->holder || w->is_draining)
            continue;
        n += w->holder->n_leases;
        slots = MAX(slots, (uint64_t)w->slots);
    }
    while (!d->is_draining && n / slots <= enough && (f = engine_work_next(d->engine, f)))
        if (f->kinds & (WORKER_KIND_PLUGIN | WORKER_KIND_COMMAND))
            n += engine_n_startable(f);
    return (n + slots - 1) / slots;
}

void dispatch_set_lease_ttl(struct dispatch *d, int64_t ttl_ns)
{
    d->config.lease_ttl_ns = ttl_ns;
}

/* When it wants to be looked at again. */
static mono_ns_t tick_living(struct worker *w, mono_ns_t now)
{
    const struct dispatch_pool *pool = &w->dispatch->config.pool;

    if (UNLIKELY(w->is_draining && !w->is_stopped && w->holder && w->holder->n_leases == 0 &&
                 dispatch_held(w->dispatch, dispatch_child(w->key)) == 0)) {
        w->is_stopped = 1;
        pool->stop(pool->context, dispatch_child(w->key));
    }
    if (w->call || w->kill_at > now)
        return w->call ? CLOCK_NEVER : w->kill_at;
    w->kill_at = CLOCK_NEVER;
    child_kill(w, "it outlives its stream");
    return CLOCK_NEVER;
}

/* Its stream had a whole turn to be read. Who holds it open now is a grandchild; the end of the call buries @w. */
static mono_ns_t tick_dead(struct worker *w, mono_ns_t now)
{
    struct grpc_status st;

    if (!w->call)
        return worker_bury(w) < 0 ? clock_add(now, DISPATCH_RETRY_NS) : CLOCK_NEVER;
    if (w->is_heard) {
        w->is_heard = 0;
        return now;
    }
    grpc_call_fail(w->call,
                   status_set(&st, GRPC_UNAVAILABLE, "WORKER_ENDED", "the process of this worker is dead"));
    return CLOCK_NEVER;
}

/* The same of one that is not dead. @w may be freed. */
static mono_ns_t tick(struct worker *w, mono_ns_t now)
{
    mono_ns_t at, end_at = w->end_at;

    if (UNLIKELY(now >= w->end_at)) {
        w->end_at = CLOCK_NEVER;
        dispatch_tell(w, "worker_drain_over", (struct span){0}, SPAN_LIT("it runs something still"));
        steer_kill(w, "its drain takes too long");
        return now; /* it may be gone */
    }
    at = end_at;
    if (w->holder) {
        at = MIN(at, UNLIKELY(w->ladder_at <= now) ? ladder_tick(w, now) : w->ladder_at);
        at = MIN(at, UNLIKELY(w->look_at <= now) ? worker_look(w, now) : w->look_at);
    }
    return MIN(at, worker_is_pool(w) ? tick_living(w, now) : session_tick(w, now));
}

mono_ns_t dispatch_tick(struct dispatch *d, mono_ns_t now)
{
    mono_ns_t next = UNLIKELY(d->claims_at <= now) ? claim_tick(d, now) : d->claims_at;

    LIST_FOREACH_SAFE (l, &d->workers) {
        struct worker *w = LIST_ENTRY(l, struct worker, link);
        mono_ns_t at = w->is_dead ? tick_dead(w, now) : tick(w, now);

        next = MIN(next, at);
    }
    return next;
}

void dispatch_drain(struct dispatch *d)
{
    d->is_draining = 1;
    engine_hold(d->engine, 1);
    claim_drain(d);
    LIST_FOREACH (l, &d->workers)
        worker_recall_unstarted(LIST_ENTRY(l, struct worker, link), NULL);
}

void dispatch_resume(struct dispatch *d)
{
    d->is_draining = 0;
    engine_hold(d->engine, 0);
    d->is_room_new = 1;
}

void dispatch_leave(struct dispatch *d, int64_t timeout_ns)
{
    LIST_FOREACH (l, &d->workers) {
        struct worker *w = LIST_ENTRY(l, struct worker, link);

        if (worker_is_pool(w))
            continue;
        w->is_draining = 1;
        attach_drain(w, SPAN_LIT("the daemon ends"), timeout_ns);
    }
}

uint64_t dispatch_n_leases(const struct dispatch *d)
{
    uint64_t n = 0;

    LIST_FOREACH (l, &d->workers) {
        const struct worker *w = LIST_ENTRY(l, struct worker, link);

        n += w->holder ? w->holder->n_leases : 0;
    }
    return n;
}

static uint64_t room_for(const struct worker *w, const struct function *fn, int is_ahead)
{
    uint64_t n = MAX(assign_room(w, 0), is_ahead ? assign_room(w, 1) : 0U);

    n = MIN(n, (uint64_t)w->credit + holder_own(w->holder, fn)) + claim_room(w);
    return MIN(n, (uint64_t)holder_room(w->holder, fn));
}

uint64_t dispatch_credit(const struct dispatch *d, const struct function *fn)
{
    int is_ahead =
            d->config.prefetch || (fn->mean_run_ns >= 0 && fn->mean_run_ns < DISPATCH_PREFETCH_MAX_RUN_NS);
    uint64_t n = 0;

    if (d->is_draining)
        return 0;
    LIST_FOREACH (l, &d->workers) {
        const struct worker *w = LIST_ENTRY(l, struct worker, link);

        if (w->holder && holder_serves(w->holder, fn))
            n += room_for(w, fn, is_ahead);
    }
    return n;
}

uint32_t dispatch_n_ready(const struct dispatch *d)
{
    return d->n_ready;
}

struct dispatch_stats dispatch_stats(const struct dispatch *d)
{
    struct dispatch_stats s = {
            .n_workers = d->n_workers,
            .n_ready = d->n_ready,
            .n_leases = dispatch_n_leases(d),
            .n_attached = d->n_attached,
            .n_crashed = d->n_crashed,
            .n_finished = d->n_finished,
            .n_refused = d->n_refused,
    };

    LIST_FOREACH (l, &d->workers) {
        const struct worker *w = LIST_ENTRY(l, struct worker, link);

        s.n_credit += worker_credit(w);
        s.n_finished += w->n_finished;
        s.n_refused += w->n_refused;
    }
    return s;
}
