// SPDX-License-Identifier: Apache-2.0
#include "engine/turn.h"

#include "base/mem.h"
#include "engine/edge.h"
#include "engine/state.h"

#include <errno.h>

enum { FACTS_MIN = 64, FACTS_KEEP = 4096 };

static int facts_reserve(struct fact_list *l, size_t n)
{
    struct future **at;
    size_t cap = MAX(l->cap, (size_t)FACTS_MIN);

    if (LIKELY(n <= l->cap))
        return 0;
    while (cap < n)
        cap *= 2;
    at = mem_realloc(l->at, cap * sizeof(struct future *));
    if (!at)
        return -ENOMEM;
    l->at = at;
    l->cap = cap;
    return 0;
}

int turn_reserve(struct engine *e)
{
    return turn_reserve_some(e, 1);
}

int turn_reserve_some(struct engine *e, uint32_t n)
{
    return facts_reserve(&e->collected, e->collected.n + e->n_promised + n);
}

int turn_promise(struct engine *e, const struct future *f)
{
    int r = 0;

    if (f->durability == DURABILITY_DURABLE) {
        r = facts_reserve(&e->collected, e->collected.n + e->n_promised + 1);
        if (r == 0)
            e->n_promised++;
    }
    return r;
}

void turn_promise_kept(struct engine *e, const struct future *f)
{
    if (f->durability == DURABILITY_DURABLE) {
        ASSERT(e->n_promised > 0);
        e->n_promised--;
    }
}

static inline void note_fact(struct engine *e, struct future *f, int is_lazy)
{
    if (f->durability != DURABILITY_DURABLE)
        return;
    is_lazy &= e->config.has_store;
    f->commit_seq = e->commit_seq;
    if (!is_lazy)
        e->is_urgent = 1;
    else if (e->lazy_by == CLOCK_NEVER)
        e->lazy_by = clock_add(e->mono, STATE_LAZY_NS);
    if (f->fact == FACT_NONE) {
        ASSERT(e->collected.n < e->collected.cap);
        e->collected.at[e->collected.n++] = f;
    }
    f->fact = (uint8_t)MAX(f->fact, is_lazy ? FACT_LAZY : FACT_NOW);
}

/* Revision and fact; nobody is told yet. */
static void note(struct engine *e, struct future *f, int is_lazy)
{
    f->revision = ++e->revision;
    note_fact(e, f, is_lazy);
}

/* For who follows the changes: @f has just been noted. */
static inline void keep(struct engine *e, struct future *f, int state_before)
{
    if (UNLIKELY(e->ring.at))
        ring_add(&e->ring, f, RING_STATE, state_before, NULL, e->wall);
}

/* Not the end of it. */
static void change(struct engine *e, struct future *f, int is_lazy, int state_before)
{
    note(e, f, is_lazy);
    keep(e, f, state_before);
    if (UNLIKELY(f->edges))
        edge_fire(e, f, 0);
}

void turn_change(struct engine *e, struct future *f)
{
    change(e, f, 0, f->state);
}

void turn_change_lazily(struct engine *e, struct future *f)
{
    change(e, f, 1, f->state);
}

void turn_tell(struct engine *e, struct future *f)
{
    note_fact(e, f, 1);
    if (f->fact && e->told_by == CLOCK_NEVER)
        e->told_by = clock_add(e->mono, STATE_TOLD_NS);
    if (f->edges)
        edge_fire(e, f, 0);
}

void turn_relabel(struct engine *e, struct future *f, struct labels *labels)
{
    struct labels *before = f->labels;

    f->labels = labels;
    note(e, f, 0);
    if (e->ring.at)
        ring_add(&e->ring, f, RING_LABELS, f->state, before, e->wall);
    else
        mem_free(before);
    if (f->edges)
        edge_fire(e, f, 0);
}

static uint64_t *count_of(struct function *fn, enum future_state state)
{
    switch (state) {
    case FUTURE_PENDING: return &fn->n_pending;
    case FUTURE_RUNNING: return &fn->n_running;
    case FUTURE_SUCCEEDED: return &fn->n_succeeded;
    case FUTURE_FAILED: return &fn->n_failed;
    case FUTURE_CANCELLED: return &fn->n_cancelled;
    }
    ASSERT(0 && "a state of the enum");
}

/* State and counts: function.n_succeeded and its like only rise, the others follow the future. */
static void move(struct engine *e, struct future *f, enum future_state to)
{
    struct function *fn = f->function;

    if (f->state) {
        e->n_by_state[f->state]--;
        --*count_of(fn, (enum future_state)f->state);
    }
    future_move(f, to);
    e->n_by_state[to]++;
    ++*count_of(fn, to);
}

void turn_move(struct engine *e, struct future *f, enum future_state to)
{
    int before = f->state;

    move(e, f, to);
    timing_update(e, f);
    ASSERT(!future_is_terminal(f));
    change(e, f, to == FUTURE_RUNNING, before);
}

void turn_accept(struct engine *e, struct future *f)
{
    ASSERT(!f->state && !f->edges);
    move(e, f, FUTURE_PENDING);
    f->scope->n_live++;
    note(e, f, 1);
    keep(e, f, 0);
    if (f->durability == DURABILITY_DURABLE && e->commit_by == CLOCK_NEVER)
        e->commit_by = clock_add(e->mono, STATE_LAZY_NS);
}

void turn_count(struct engine *e, const struct future *f)
{
    e->n_by_state[f->state]++;
    if (!future_is_terminal(f)) { /* what has ended is counted once, when it ends */
        ++*count_of(f->function, (enum future_state)f->state);
        f->scope->n_live++;
    }
}

void turn_uncount(struct engine *e, const struct future *f)
{
    e->n_by_state[f->state]--;
    if (!future_is_terminal(f)) {
        --*count_of(f->function, (enum future_state)f->state);
        f->scope->n_live--;
    }
}

static int64_t retention_of(const struct engine *e, const struct future *f)
{
    if (f->rare && f->rare->retention_ns >= 0)
        return f->rare->retention_ns;
    if (f->durability == DURABILITY_EPHEMERAL)
        return e->config.ephemeral_retention_ns;
    return f->state == FUTURE_SUCCEEDED ? e->config.success_retention_ns : e->config.failure_retention_ns;
}

void turn_settle(struct engine *e, struct future *f, enum future_state to, struct outcome *outcome)
{
    int before = f->state;

    ASSERT(!f->outcome && outcome);
    move(e, f, to);
    f->scope->n_live--;
    ASSERT(future_is_terminal(f));
    if (UNLIKELY(f->rare) && UNLIKELY(f->rare->slot)) {
        limits_discharge(&e->account, f->scope, slot_bytes(f->rare->slot));
        slot_drop(e, f);
    }
    f->outcome = outcome;
    outcome->end_time = e->wall;
    outcome->expire_time = clock_add(e->wall, retention_of(e, f));
    limits_charge(&e->account, f->scope, limits_outcome(outcome));
    retention_add(&e->retention, f);
    cache_add(e, f);
    timing_update(e, f);
    note(e, f, 0);
    keep(e, f, before);
    if (UNLIKELY(f->rare) && (f->rare->depend || f->rare->upstream))
        depend_settled(e, f);
    if (f->edges)
        edge_fire(e, f, 1);
}

void turn_work(struct engine *e, struct function *fn)
{
    if (!list_is_linked(&fn->work))
        list_push_back(&e->effects.work, &fn->work);
}

void turn_revoke(struct engine *e, struct lease *lease)
{
    if (!list_is_linked(&lease->revoke))
        list_push_back(&e->effects.revokes, &lease->revoke);
}

struct outcome *turn_outcome(struct engine *e)
{
    struct outcome *o = slab_alloc(&e->outcomes);

    if (o)
        *o = (struct outcome){.by_end = {&o->by_end, &o->by_end}};
    return o;
}

struct outcome *turn_outcome_free(struct engine *e, struct outcome *outcome)
{
    if (outcome) {
        bytes_unref(outcome->data);
        bytes_unref(outcome->content_type);
        future_error_unref(outcome->error);
        slab_free(&e->outcomes, outcome);
    }
    return NULL;
}

struct future_rare *turn_rare(struct engine *e, struct future *f)
{
    if (f->rare)
        return f->rare;
    f->rare = slab_alloc(&e->rares);
    if (f->rare) {
        *f->rare = (struct future_rare){.future = f, .retention_ns = -1};
        limits_charge(&e->account, f->scope, limits_rare(f->rare));
        cache_resize(e, f, 0,
                     limits_rare(f->rare)); /* it may have ended, and be among what may leave memory */
    }
    return f->rare;
}

struct cancel_request *turn_cancel_free(struct engine *e, struct cancel_request *cancel)
{
    if (cancel) {
        bytes_unref(cancel->principal);
        bytes_unref(cancel->reason);
        turn_outcome_free(e, cancel->outcome);
        mem_free(cancel);
    }
    return NULL;
}

static void free_seldom(struct engine *e, struct future *f)
{
    struct future_rare *rare = f->rare;

    slot_drop(e, f);
    turn_cancel_free(e, rare->cancel_requested);
    timing_free(e, rare->timing);
    bytes_unref(rare->fairness_key);
    depend_free(rare->depend);
    depend_upstream_free(rare->upstream);
    idem_free(&e->idems, rare->idem);
    told_free(rare->told);
}

void turn_rare_free(struct engine *e, struct future *f)
{
    struct future_rare *rare = f->rare;

    if (!rare)
        return;
    if (UNLIKELY(future_has_seldom(rare)))
        free_seldom(e, f);
    f->rare = NULL;
    if (rare->retention_ns >= 0 || rare->is_custom)
        retention_unreserve(&e->retention);
    bytes_unref(rare->traceparent);
    bytes_unref(rare->tag);
    bytes_unref(rare->request_id);
    slab_free(&e->rares, rare);
}

/* The store has not seen it yet and never will. From the end, because who deletes at once deletes what is new. */
static void fact_drop(struct fact_list *l, const struct future *f)
{
    size_t i = l->n;

    do
        ASSERT(i > 0);
    while (l->at[--i] != f);
    l->at[i] = l->at[--l->n];
}

void turn_forget(struct engine *e, struct future *f)
{
    ASSERT(f->n_pins == 0 && !f->lease && !f->edges);
    limits_discharge(&e->account, f->scope, limits_future(f));
    e->account.n_futures--;
    e->n_by_state[f->state]--;
    e->n_forgotten++;
    cache_remove(e, f);
    if (f->fact)
        fact_drop(&e->collected, f);
    retention_remove(&e->retention, f);
    order_remove(&e->order, f);
    table_remove(&e->table, table_hash_id(&e->table, &f->id), f);
    if (f->group) {
        struct group *g = f->group->group;

        group_leave(f->group);
        slab_free(&e->memberships, f->group);
        group_tidy(&e->groups, g);
    }
    turn_future_free(e, f);
}

void turn_future_free(struct engine *e, struct future *f)
{
    for (struct attempt *a = f->attempts, *next; a; a = next) {
        next = a->next;
        bytes_unref(a->worker);
        future_error_unref(a->error);
        slab_free(&e->attempts, a);
    }
    turn_outcome_free(e, f->outcome);
    turn_rare_free(e, f);
    mem_free(f->labels);
    bytes_unref(f->task);
    bytes_unref(f->peer);
    slab_free(&e->futures, f);
}

int turn_delete(struct engine *e, struct future *f)
{
    struct id_list *l = &e->forgotten;

    if (f->stored != STORED_NOT && l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : FACTS_MIN;
        struct id *at = mem_realloc(l->at, cap * sizeof *at);

        if (!at)
            return -ENOMEM;
        l->at = at;
        l->cap = cap;
    }
    if (f->stored != STORED_NOT) {
        l->at[l->n++] = f->id;
        e->last_delete_seq = e->commit_seq;
        e->is_urgent = 1;
    }
    turn_forget(e, f);
    return 0;
}

/* A higher ceiling of keys, in time before the one that there is has been used up. An idle engine asks for none. */
static void ask_keys(struct engine *e)
{
    e->effects.key_ceiling = 0;
    if (e->durable_ceiling == e->asked_ceiling && e->asked_ceiling != UINT64_MAX &&
        e->last_key + STATE_KEYS_AHEAD / 2 > e->asked_ceiling) {
        e->effects.key_ceiling = e->asked_ceiling = id_next_key(e->last_key, e->wall) + STATE_KEYS_AHEAD;
        e->is_urgent = 1;
    }
}

/* Split what is collected: what may still wait goes to @later, which has the room. */
static void keep_lazy(struct engine *e, struct fact_list *later)
{
    int is_all = e->is_all || e->lazy_by <= e->mono;
    size_t n = 0;

    for (size_t i = 0; i < e->collected.n; i++) {
        struct future *f = e->collected.at[i];

        if (!is_all && f->fact == FACT_LAZY) {
            f->commit_seq = e->commit_seq + 1;
            later->at[later->n++] = f;
        } else {
            f->fact = FACT_NONE;
            e->collected.at[n++] = f;
        }
    }
    e->collected.n = n;
    if (later->n == 0)
        e->lazy_by = e->commit_by = e->told_by = CLOCK_NEVER;
}

static void next_commit(struct engine *e)
{
    e->effects.next = MIN(e->effects.next, e->commit_by);
    e->effects.next = MIN(e->effects.next, e->told_by);
}

/* The collected facts become the turn's; the other buffer collects from now on. What one huge turn has needed is not
 * kept. Without memory for what has been promised the facts wait for the next turn, and who is shown them with them. */
static void hand_out(struct engine *e)
{
    struct fact_list empty = e->handed_out;

    e->effects.facts = NULL;
    e->effects.n_facts = 0;
    e->effects.is_commit = 0;
    e->effects.n_forgotten = 0;
    ask_keys(e);
    e->is_urgent |= e->commit_by <= e->mono || e->told_by <= e->mono;
    if (!e->is_urgent) {
        next_commit(e);
        return;
    }
    if (empty.cap > FACTS_KEEP && e->collected.n < empty.cap / 8)
        empty = (struct fact_list){.at = mem_free(empty.at)};
    empty.n = 0;
    if (facts_reserve(&empty, e->collected.n + e->n_promised) < 0) {
        e->handed_out = empty;
        e->effects.next = e->mono;
        if (e->effects.key_ceiling)
            e->asked_ceiling = e->durable_ceiling;
        return;
    }
    keep_lazy(e, &empty);
    e->handed_out = e->collected;
    e->collected = empty;
    e->is_urgent = e->is_all = 0;
    e->effects.is_commit = 1;
    e->effects.facts = e->handed_out.at;
    e->effects.n_facts = e->handed_out.n;
    e->effects.forgotten = e->forgotten.at;
    e->effects.n_forgotten = e->forgotten.n;
    e->effects.commit_seq = e->commit_seq++;
    next_commit(e);
}

void turn_taken(struct engine *e)
{
    while (list_pop_front(&e->effects.settings))
        ;
    for (size_t i = 0; i < e->handed_out.n; i++) {
        struct future *f = e->handed_out.at[i];

        f->stored = future_is_terminal(f) ? STORED_DONE : STORED_LIVE;
        told_stored(f);
    }
    e->handed_out.n = 0;
    e->forgotten.n = 0;
    if (e->forgotten.cap > FACTS_KEEP) {
        e->forgotten.at = mem_free(e->forgotten.at);
        e->forgotten.cap = 0;
    }
}

/* Both lists have the room for all. */
void turn_defer(struct engine *e)
{
    struct fact_list lazy = e->collected;

    ASSERT(e->effects.is_commit);
    e->collected = e->handed_out;
    e->commit_seq--;
    for (size_t i = 0; i < e->collected.n; i++)
        e->collected.at[i]->fact = FACT_NOW;
    for (size_t i = 0; i < lazy.n; i++) {
        lazy.at[i]->commit_seq = e->commit_seq;
        e->collected.at[e->collected.n++] = lazy.at[i];
    }
    lazy.n = 0;
    e->handed_out = lazy;
    if (e->effects.key_ceiling)
        e->asked_ceiling = e->durable_ceiling;
    e->is_urgent = 1;
    e->effects.is_commit = 0;
    e->effects.n_facts = e->effects.n_forgotten = 0;
    e->effects.commit_seq = e->commit_seq - 1;
}

void turn_begin(struct engine *e)
{
    uint32_t budget = STATE_FORGET_PER_TURN;
    struct future *f;

    while ((f = retention_due(&e->retention, e->wall, &budget))) {
        /* what the disk says of it until it has that commit is not how it was: as if it had been deleted with it */
        if (f->durability == DURABILITY_DURABLE && f->commit_seq > e->durable_seq)
            e->last_delete_seq = MAX(e->last_delete_seq, f->commit_seq);
        turn_forget(e, f);
    }
    if (UNLIKELY(e->cache.is_behind || e->cache.n_bytes > e->config.max_finished_bytes))
        cache_evict(e);
    if (UNLIKELY(e->resends.n))
        resend_tidy(&e->resends, e->mono, STATE_TIDY_PER_TURN);
    if (UNLIKELY(e->timing.n))
        timing_run(e);
    if (UNLIKELY(e->opening.n))
        gate_tick(e);
}

void turn_end(struct engine *e)
{
    wall_ns_t next;

    if (UNLIKELY(depend_has_work(&e->depends)))
        depend_run(e);
    next = retention_next(&e->retention);
    if (next <= e->wall || e->cache.is_behind || e->depends.is_behind)
        e->effects.next = e->mono;
    else
        e->effects.next = next == CLOCK_NEVER ? CLOCK_NEVER : clock_add(e->mono, next - e->wall);
    if (UNLIKELY(e->timing.n))
        e->effects.next = MIN(e->effects.next, timing_next(e));
    if (UNLIKELY(e->opening.n))
        e->effects.next = MIN(e->effects.next, gate_next(e));
    hand_out(e);
}
