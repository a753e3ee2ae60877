// SPDX-License-Identifier: Apache-2.0
/*
 * The door: each command checks what it may refuse, makes all memory it needs, and only then changes anything. How a
 * change is counted and told is in turn.c, leases are in lease.c.
 */
#include "engine/engine.h"

#include "base/mem.h"
#include "engine/edge.h"
#include "engine/explain.h"
#include "engine/lease.h"
#include "engine/place.h"
#include "engine/state.h"
#include "engine/turn.h"

#include <errno.h>
#include <string.h>

/* Revisions of one start of the daemon are above those of the one before for as long as that makes less than 2^40
 * changes; what is read from the store raises the counter further. */
enum { REVISION_EPOCH_SHIFT = 40 };

struct engine_config engine_config_default(void)
{
    return (struct engine_config){
            .limits = LIMITS_DEFAULT,
            .epoch = 1,
            .ephemeral_retention_ns = 600 * NS_PER_S,
            .success_retention_ns = INT64_C(24) * 3600 * NS_PER_S,
            .failure_retention_ns = INT64_C(7) * 24 * 3600 * NS_PER_S,
    };
}

static int is_future(const void *item, const void *key)
{
    const struct future *f = item;

    return memcmp(&f->id, key, sizeof f->id) == 0;
}

static struct future *find(const struct engine *e, const struct id *id)
{
    return table_find(&e->table, table_hash_id(&e->table, id), is_future, id);
}

/* resend_is_active_fn */
static int is_active(const void *arg, const struct id *id)
{
    const struct future *f = find(arg, id);

    return f && !future_is_terminal(f);
}

int engine_new(struct engine **ret, const struct engine_config *config)
{
    struct engine *e = mem_zalloc(sizeof *e);

    if (!e)
        return -ENOMEM;
    e->config = *config;
    e->id_seed.k0 = hash_bytes(&config->seed, &config->random, sizeof config->random);
    e->id_seed.k1 = config->random;
    e->revision = (uint64_t)config->epoch << REVISION_EPOCH_SHIFT;
    e->commit_seq = 1;
    e->lazy_by = e->commit_by = e->told_by = CLOCK_NEVER;
    e->last_key = config->last_key;
    e->asked_ceiling = e->durable_ceiling = config->has_store ? config->last_key : UINT64_MAX;
    engine_set_limits(e, &config->limits);
    slab_init(&e->futures, sizeof(struct future));
    slab_init(&e->edges, sizeof(struct edge));
    slab_init(&e->leases, sizeof(struct lease));
    slab_init(&e->attempts, sizeof(struct attempt));
    slab_init(&e->outcomes, sizeof(struct outcome));
    slab_init(&e->rares, sizeof(struct future_rare));
    slab_init(&e->memberships, sizeof(struct membership));
    slab_init(&e->timings, sizeof(struct timing));
    table_init(&e->table, &config->seed);
    order_init(&e->order);
    scope_set_init(&e->scopes, &config->seed);
    function_set_init(&e->functions, &config->seed);
    group_set_init(&e->groups, &config->seed, &e->account);
    idem_set_init(&e->idems, &config->seed);
    resend_set_init(&e->resends, &config->seed, &e->account, is_active, e);
    sched_init(&e->sched, &config->seed, &e->account);
    retention_init(&e->retention);
    cache_init(&e->cache);
    arm_init(&e->arm);
    timing_set_init(&e->timing);
    e->opening = HEAP_INIT;
    slot_set_init(&e->slots, &config->seed);
    depend_set_init(&e->depends);
    list_init(&e->effects.answers);
    list_init(&e->effects.work);
    list_init(&e->effects.revokes);
    list_init(&e->effects.settings);
    e->effects.next = CLOCK_NEVER;
    *ret = e;
    return 0;
}

struct engine *engine_free(struct engine *e)
{
    struct order_place place;
    struct future *f;

    if (!e)
        return NULL;
    ASSERT(e->n_holders == 0 && e->account.n_edges == 0 && list_is_empty(&e->effects.answers));
    arm_return(e, UINT64_MAX);
    while ((f = order_seek(&e->order, UINT64_MAX, 1, &place))) {
        if (f->state == FUTURE_PENDING)
            place_take(e, f);
        depend_untie(e, f);
        turn_forget(e, f);
    }
    timing_set_deinit(&e->timing);
    retention_deinit(&e->retention);
    heap_deinit(&e->opening);
    slot_set_deinit(&e->slots);
    group_set_deinit(&e->groups);
    idem_set_deinit(&e->idems);
    resend_set_deinit(&e->resends);
    function_set_deinit(&e->functions, &e->sched);
    sched_deinit(&e->sched);
    scope_set_deinit(&e->scopes);
    order_deinit(&e->order);
    table_deinit(&e->table);
    ASSERT(e->account.n_bytes == 0 && e->account.n_futures == 0);
    slab_deinit(&e->timings);
    slab_deinit(&e->memberships);
    slab_deinit(&e->rares);
    slab_deinit(&e->outcomes);
    slab_deinit(&e->attempts);
    slab_deinit(&e->leases);
    slab_deinit(&e->edges);
    slab_deinit(&e->futures);
    ring_deinit(&e->ring);
    mem_free(e->collected.at);
    mem_free(e->handed_out.at);
    mem_free(e->forgotten.at);
    return mem_free(e);
}

struct scope *engine_scope(struct engine *e, struct span namespace, struct span principal)
{
    return scope_get(&e->scopes, namespace, principal);
}

void engine_set_limits(struct engine *e, const struct limits *limits)
{
    e->config.limits = e->account.limits = *limits;
    e->account.limits.max_waiter_edges = MIN(limits->max_waiter_edges, (uint64_t)UINT32_MAX); /* n_pins */
}

int engine_configure(struct engine *e, struct function *f, const struct function_limits *limits)
{
    return gate_configure(e, f, limits);
}

int engine_pause(struct engine *e, struct function *f, const struct scope *by, struct span why)
{
    struct change *change = gate_change_new(e->wall, SPAN_OF_BYTES(by->principal), why);

    if (!change)
        return -ENOMEM;
    gate_pause(e, f, change);
    gate_store(e, f);
    return 0;
}

void engine_resume(struct engine *e, struct function *f)
{
    if (!f->gate.paused)
        return;
    gate_pause(e, f, NULL);
    gate_store(e, f);
}

void engine_hold(struct engine *e, int is_held)
{
    gate_hold(e, is_held);
}

int engine_limit(struct engine *e, struct function *f, const struct function_limits *limits,
                 unsigned int which, const struct scope *by, struct span why)
{
    struct change *change = which ? gate_change_new(e->wall, SPAN_OF_BYTES(by->principal), why) : NULL;

    if ((which && !change) || gate_limit(e, f, limits, which, change) < 0) {
        gate_change_free(change);
        return -ENOMEM;
    }
    gate_store(e, f);
    return 0;
}

const struct future *engine_oldest(const struct function *f)
{
    return explain_oldest(f);
}

void engine_begin(struct engine *e, mono_ns_t mono, wall_ns_t wall)
{
    e->mono = mono;
    e->wall = wall;
    turn_begin(e);
}

struct effects *engine_end(struct engine *e)
{
    turn_end(e);
    return &e->effects;
}

void engine_durable(struct engine *e, uint64_t commit_seq)
{
    ASSERT(commit_seq < e->commit_seq);
    e->durable_seq = MAX(e->durable_seq, commit_seq);
    arm_return(e, e->durable_seq);
}

uint64_t engine_durable_seq(const struct engine *e)
{
    return e->durable_seq;
}

void engine_taken(struct engine *e)
{
    turn_taken(e);
}

void engine_defer(struct engine *e)
{
    turn_defer(e);
}

int engine_fact_is_first(const struct future *f)
{
    return f->stored != STORED_DONE;
}

int engine_fact_is_new(const struct future *f)
{
    return f->stored == STORED_NOT;
}

void engine_key_ceiling(struct engine *e, uint64_t key)
{
    ASSERT(key <= e->asked_ceiling);
    e->durable_ceiling = MAX(e->durable_ceiling, key);
}

void engine_keep_since(struct engine *e, uint64_t seq)
{
    e->cache.keep_since = seq;
}

uint64_t engine_last_key(const struct engine *e)
{
    return e->last_key;
}

uint64_t engine_shown(struct engine *e, struct future *f)
{
    if (f->commit_seq == e->commit_seq)
        e->is_urgent = 1;
    if (f->fact)
        f->fact = FACT_NOW;
    return f->commit_seq;
}

uint64_t engine_shown_any(struct engine *e)
{
    e->is_urgent |= e->collected.n > 0;
    e->is_all |= e->collected.n > 0;
    return e->is_urgent ? e->commit_seq : e->commit_seq - 1;
}

uint64_t engine_deleted_seq(const struct engine *e)
{
    return e->last_delete_seq;
}

int engine_is_urgent(const struct engine *e)
{
    return e->is_urgent;
}

/* --- submit (submit.c) */

int engine_join(const struct engine *e, const struct engine_submit *in, struct future **ret)
{
    const struct id *id = in->request_id.len ? engine_find_request(e, in->scope, in->request_id) : NULL;
    struct future *f;

    *ret = id ? engine_find(e, in->scope, id) : NULL;
    if (*ret || !in->key.len)
        return 0;
    f = engine_find_key(e, in->scope, in->key);
    if (!f)
        return 0;
    *ret = f;
    if (!idem_is_same_task(f->rare->idem, in))
        return ENGINE_E_OTHER_TASK;
    if (in->key_policy == KEY_REJECT)
        return ENGINE_E_KEY_IN_USE;
    if ((in->key_policy == KEY_JOIN_WHILE_ACTIVE && future_is_terminal(f)) ||
        (in->key_policy == KEY_JOIN_UNLESS_FAILED &&
         (f->state == FUTURE_FAILED || f->state == FUTURE_CANCELLED)))
        *ret = NULL;
    return 0;
}

/* --- look */

struct future *engine_find_any(const struct engine *e, const struct id *id)
{
    return find(e, id);
}

struct future *engine_find_key(const struct engine *e, const struct scope *scope, struct span key)
{
    const struct idem *idem = idem_find(&e->idems, scope->realm, key);

    return idem ? idem->future : NULL;
}

int engine_key_may_be_stored(const struct engine *e, const struct scope *scope, struct span key)
{
    return e->config.has_store &&
           idem_may_be_stored(&e->idems, idem_stored_hash(SPAN_OF_BYTES(scope->namespace), key));
}

const struct id *engine_find_request(const struct engine *e, const struct scope *scope,
                                     struct span request_id)
{
    return resend_find(&e->resends, scope, request_id);
}

void engine_pin(struct engine *e, struct future *f)
{
    f->n_pins++;
    e->n_pins++;
}

void engine_unpin(struct engine *e, struct future *f)
{
    ASSERT(f->n_pins > 0 && e->n_pins > 0);
    e->n_pins--;
    if (--f->n_pins == 0 && future_is_terminal(f))
        retention_unpinned(&e->retention, f);
}

struct future *engine_find(const struct engine *e, const struct scope *scope, const struct id *id)
{
    struct future *f = find(e, id);

    return f && scope_may_see(scope, f->scope) ? f : NULL;
}

struct future *engine_next(const struct engine *e, const struct scope *scope, uint64_t key, int desc,
                           uint32_t *budget, uint64_t *ret_key)
{
    struct order_place place;
    struct future *f = order_seek(&e->order, key, desc, &place);

    *ret_key = key;
    for (; f && *budget > 0; f = order_step(&e->order, &place, desc)) {
        --*budget;
        *ret_key = id_key(&f->id);
        if (scope_may_see(scope, f->scope))
            return f;
    }
    return NULL;
}

struct future *engine_group_first(const struct engine *e, const struct scope *scope, struct span group)
{
    struct group *g = group_find(&e->groups, scope->realm, group);
    struct list *l = g ? list_first(&g->members) : NULL;

    return l ? LIST_ENTRY(l, struct membership, of_group)->future : NULL;
}

struct future *engine_group_next(const struct future *f)
{
    struct list *l;

    if (!f->group)
        return NULL;
    l = f->group->of_group.next;
    return l == &f->group->group->members ? NULL : LIST_ENTRY(l, struct membership, of_group)->future;
}

uint64_t engine_group_size(const struct engine *e, const struct scope *scope, struct span group)
{
    struct group *g = group_find(&e->groups, scope->realm, group);

    return g ? g->n : 0;
}

/* --- change */

static struct cancel_request *cancel_new(struct engine *e, const struct scope *by, struct span reason,
                                         int64_t grace_ns)
{
    struct future_error error = {.code = 1 /* CANCELLED */, .reason = REASON_CANCELLED, .message = reason};
    struct cancel_request *cancel = mem_zalloc(sizeof *cancel);

    if (!cancel)
        return NULL;
    cancel->time = e->wall;
    cancel->grace_ns = grace_ns;
    cancel->principal = bytes_ref(by->principal);
    cancel->reason = reason.len ? bytes_dup(reason.p, reason.len) : NULL;
    cancel->outcome = turn_outcome(e);
    if (cancel->outcome)
        cancel->outcome->error = future_error_new(&error);
    if ((reason.len && !cancel->reason) || !cancel->outcome || !cancel->outcome->error)
        return turn_cancel_free(e, cancel);
    return cancel;
}

int engine_cancel(struct engine *e, struct future *f, const struct scope *by, struct span reason,
                  int64_t grace_ns)
{
    struct cancel_request *cancel;
    uint64_t bytes;

    grace_ns = grace_ns < 0 ? ENGINE_GRACE_NS : grace_ns;
    if (future_is_terminal(f))
        return 0;
    if (f->rare && f->rare->cancel_requested) {
        lease_stop(e, f->lease, STOP_CANCELLED, grace_ns);
        return 0;
    }
    if (turn_reserve(e) < 0 || !turn_rare(e, f))
        return -ENOMEM;
    cancel = cancel_new(e, by, reason, grace_ns);
    if (!cancel)
        return -ENOMEM;
    if (turn_promise(e, f) < 0) {
        turn_cancel_free(e, cancel);
        return -ENOMEM;
    }
    if (turn_reserve(e) < 0) {
        turn_promise_kept(e, f);
        turn_cancel_free(e, cancel);
        return -ENOMEM;
    }
    bytes = limits_rare(f->rare);
    f->rare->cancel_requested = cancel;
    limits_charge(&e->account, f->scope, limits_rare(f->rare) - bytes);
    if (f->lease) {
        lease_stop(e, f->lease, STOP_CANCELLED, grace_ns);
        turn_change(e, f);
    } else {
        place_take(e, f);
        lease_end(e, f);
    }
    return 0;
}

void engine_stay(struct engine *e)
{
    e->timing.may_abandon = 0;
}

int engine_annotate(struct engine *e, struct future *f, struct labels *labels, const uint64_t *if_revision)
{
    uint64_t was = limits_labels(f->labels), is = limits_labels(labels);

    if (if_revision && *if_revision != f->revision)
        return ENGINE_E_REVISION;
    if (is > was && e->account.n_bytes + (is - was) > e->config.limits.max_memory_bytes)
        return ENGINE_E_FULL_MEMORY;
    if (turn_reserve(e) < 0)
        return -ENOMEM;
    limits_discharge(&e->account, f->scope, was);
    limits_charge(&e->account, f->scope, is);
    cache_resize(e, f, was, is);
    turn_relabel(e, f, labels);
    return 0;
}

int engine_delete(struct engine *e, struct future *f)
{
    if (!future_is_terminal(f))
        return ENGINE_E_NOT_TERMINAL;
    if (f->n_pins > 0)
        return ENGINE_E_PINNED;
    return turn_delete(e, f);
}

/* --- wait */

int engine_wait(struct engine *e, struct waiter *w, struct future *f, struct bytes *tag, uint32_t cookie)
{
    struct edge *edge;
    int r = limits_edges_take(&e->account, 1);

    if (r != 0)
        return r;
    edge = edge_new(e);
    if (!edge) {
        limits_edges_give(&e->account, 1);
        return -ENOMEM;
    }
    edge_tie(e, edge, w, f, tag, cookie);
    return 0;
}

int engine_may_wait(const struct engine *e)
{
    return e->account.n_edges < e->account.limits.max_waiter_edges ? 0 : ENGINE_E_FULL_EDGES;
}

/* Fill w->spare with @n more edges, which have been counted. On failure the caller drops them all. */
static int spare_make(struct engine *e, struct waiter *w, uint64_t n)
{
    for (; n > 0; n--) {
        struct edge *edge = edge_new(e);

        if (!edge) {
            limits_edges_give(&e->account, n);
            return -ENOMEM;
        }
        edge->next = w->spare;
        w->spare = edge;
    }
    return 0;
}

int engine_wait_group(struct engine *e, struct waiter *w, const struct scope *scope, struct span group,
                      uint32_t expect)
{
    struct group *g = group_find(&e->groups, scope->realm, group);
    uint64_t n = MAX(g ? g->n : 0, (uint64_t)expect);
    int r;

    ASSERT(!w->spare && !list_is_linked(&w->expecting) && !scope->is_confined);
    r = limits_edges_take(&e->account, n);
    if (r != 0)
        return r;
    if (spare_make(e, w, n) < 0 || (n > 0 && !g && group_get(&e->groups, scope->realm, group, &g) < 0)) {
        edge_spare_drop(e, w);
        return -ENOMEM;
    }
    w->expect = expect;
    w->scope = scope;
    if (!g)
        return 0;
    if (g->n < expect) {
        w->group = g;
        list_push_back(&g->expecting, &w->expecting);
    }
    LIST_FOREACH (l, &g->members) {
        struct edge *edge = w->spare;

        w->spare = edge->next;
        edge_tie(e, edge, w, LIST_ENTRY(l, struct membership, of_group)->future, NULL, 0);
    }
    return 0;
}

int engine_wait_joiners(struct engine *e, struct waiter *w, const struct scope *scope, struct span group,
                        uint32_t n)
{
    struct group *g;
    int r = n > 0 ? limits_edges_take(&e->account, n) : 0;

    ASSERT(!w->spare && !list_is_linked(&w->expecting));
    if (r != 0 || n == 0)
        return r;
    if (spare_make(e, w, n) < 0 || group_get(&e->groups, scope->realm, group, &g) < 0) {
        edge_spare_drop(e, w);
        return -ENOMEM;
    }
    w->expect = n;
    w->scope = scope;
    w->group = g;
    list_push_back(&g->expecting, &w->expecting);
    return 0;
}

static void drop_joined(struct engine *e, struct waiter *w)
{
    struct list *lists[] = {&w->done, &w->pending};

    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        LIST_FOREACH_SAFE (l, lists[i]) {
            struct edge *edge = LIST_ENTRY(l, struct edge, of_waiter);

            if (edge->cookie == EDGE_JOINED)
                edge_drop(e, edge);
        }
}

void engine_wait_settle(struct engine *e, struct waiter *w, uint32_t n)
{
    uint32_t n_spare = 0, n_joined;

    for (const struct edge *edge = w->spare; edge; edge = edge->next)
        n_spare++;
    n_joined = w->expect - n_spare;
    if (n == 0)
        drop_joined(e, w);
    for (uint32_t keep = n - MIN(n, n_joined); n_spare > keep; n_spare--) {
        struct edge *edge = w->spare;

        w->spare = edge->next;
        slab_free(&e->edges, edge);
        limits_edges_give(&e->account, 1);
    }
    if (!w->spare && list_is_linked(&w->expecting)) {
        list_del(&w->expecting);
        group_tidy(&e->groups, w->group);
    }
}

void engine_unwait(struct engine *e, struct edge *edge)
{
    edge_drop(e, edge);
}

void engine_waiter_drop(struct engine *e, struct waiter *w)
{
    while (!list_is_empty(&w->pending))
        edge_drop(e, LIST_ENTRY(list_first(&w->pending), struct edge, of_waiter));
    while (!list_is_empty(&w->done))
        edge_drop(e, LIST_ENTRY(list_first(&w->done), struct edge, of_waiter));
    edge_spare_drop(e, w);
    if (list_is_linked(&w->expecting)) {
        list_del(&w->expecting);
        group_tidy(&e->groups, w->group);
    }
    list_del(&w->answer);
}

/* --- work */

int engine_claim(struct engine *e, struct holder *h, int64_t max_run_ns, uint32_t max,
                 struct lease **ret_leases)
{
    return lease_claim(e, h, max_run_ns, max, ret_leases);
}

int engine_has_work(const struct engine *e)
{
    return !list_is_empty(&e->sched.rotation);
}

const struct function *engine_work_next(const struct engine *e, const struct function *f)
{
    struct list *l = f ? f->ready.rotation.next : e->sched.rotation.next;

    return l == &e->sched.rotation ? NULL : LIST_ENTRY(l, struct function, ready.rotation);
}

uint64_t engine_n_startable(const struct function *f)
{
    uint32_t max = f->gate.limits.max_running;

    if (!max)
        return f->ready.n;
    return f->gate.n_claimed < max ? MIN((uint64_t)f->ready.n, max - f->gate.n_claimed) : 0;
}

struct lease *engine_lease_find(struct engine *e, const struct holder *h, const struct id *id,
                                uint32_t attempt, uint32_t epoch)
{
    struct future *f = epoch == e->config.epoch ? find(e, id) : NULL;

    if (f && f->lease && f->lease->holder == h && f->lease->attempt == attempt)
        return f->lease;
    e->n_stale_finishes++;
    return NULL;
}

int engine_start(struct engine *e, struct lease *lease, wall_ns_t at)
{
    return lease_start(e, lease, at);
}

int engine_finish(struct engine *e, struct lease *lease, struct finish *finish)
{
    return lease_finish(e, lease, finish);
}

void engine_unclaim(struct engine *e, struct lease *lease)
{
    struct holder *h = lease->holder;

    if (lease->is_of_own) {
        h->shares[lease->future->function->index].own++;
        h->own++;
    } else {
        h->common++;
    }
    engine_release(e, lease);
}

void engine_release(struct engine *e, struct lease *lease)
{
    lease_release(e, lease);
}

int engine_lose(struct engine *e, struct lease *lease)
{
    return lease_lose(e, lease, LOST_WORKER);
}

int engine_lose_by_end(struct engine *e, struct lease *lease)
{
    return lease_lose(e, lease, LOST_BY_END);
}

int engine_lose_beside(struct engine *e, struct lease *lease, int was_killed)
{
    return lease_lose(e, lease, was_killed ? LOST_FOR_ANOTHER : LOST_BY_ANOTHER);
}

int engine_tell(struct engine *e, struct lease *lease, const struct told_piece *piece)
{
    return told_add(e, lease, piece);
}

int engine_progress(struct engine *e, struct lease *lease, const struct told_progress *progress,
                    struct span message)
{
    return told_set_progress(e, lease, progress, message);
}

struct engine_stats engine_stats(const struct engine *e)
{
    struct engine_stats s = {
            .n_futures = e->account.n_futures,
            .n_bytes = e->account.n_bytes,
            .n_edges = e->account.n_edges,
            .n_stale_finishes = e->n_stale_finishes,
            .n_accepted = e->n_accepted,
            .n_forgotten = e->n_forgotten,
            .n_restored = e->n_restored,
            .n_evicted = e->n_evicted,
            .n_finished_bytes = e->cache.n_bytes,
            .table_slots = e->table.n_slots,
            .table_max_moved = e->table.n_moved_max,
            .table_moved = e->table.n_moved,
    };

    memcpy(s.n_by_state, e->n_by_state, sizeof s.n_by_state);
    return s;
}

uint64_t engine_epoch(const struct engine *e)
{
    return e->config.epoch;
}

wall_ns_t engine_wall(const struct engine *e)
{
    return e->wall;
}
