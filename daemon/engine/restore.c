// SPDX-License-Identifier: Apache-2.0
/*
 * A future is put together out of sight, then placed, and only then moved: along the table of future.c, from none through
 * the states that it has had, to the one that it was in. What that state cannot be any more (RUNNING without a worker) is
 * the business of the same function as in a running daemon (lease.c).
 */
#include "engine/restore.h"

#include "base/mem.h"
#include "engine/edge.h"
#include "engine/lease.h"
#include "engine/place.h"
#include "engine/state.h"
#include "engine/turn.h"

#include <errno.h>

static int dup_span(struct span from, struct bytes **ret)
{
    *ret = from.len ? bytes_dup(from.p, from.len) : NULL;
    return from.len && !*ret ? -ENOMEM : 0;
}

static int is_terminal(const struct restored *in)
{
    return in->state >= FUTURE_SUCCEEDED;
}

static int has_timing(const struct restored *in)
{
    return in->not_before || in->deadline || in->attempt_timeout_ns || in->has_retry || in->next_try ||
           in->n_counted;
}

static int needs_rare(const struct restored *in)
{
    return in->traceparent.len || in->tag.len || in->fairness_key.len || in->retention_ns >= 0 ||
           in->n_losses || in->has_cancel || has_timing(in) || in->n_depends || in->key.len ||
           in->request_id.len || in->concurrency_key.len || id_key(&in->retry_of) || in->n_chunks ||
           in->progress.attempt || is_terminal(in);
}

static struct cancel_request *make_cancel(struct engine *e, const struct restored *in)
{
    struct future_error error = {
            .code = 1 /* CANCELLED */, .reason = REASON_CANCELLED, .message = in->cancel_reason};
    struct cancel_request *cancel = mem_zalloc(sizeof *cancel);

    if (!cancel)
        return NULL;
    cancel->time = in->cancel_time;
    cancel->grace_ns = in->cancel_grace_ns;
    if (dup_span(in->cancel_principal, &cancel->principal) < 0 ||
        dup_span(in->cancel_reason, &cancel->reason) < 0)
        return turn_cancel_free(e, cancel);
    if (is_terminal(in))
        return cancel;
    cancel->outcome = turn_outcome(e);
    if (cancel->outcome)
        cancel->outcome->error = future_error_new(&error);
    return cancel->outcome && cancel->outcome->error ? cancel : turn_cancel_free(e, cancel);
}

/* A key that somebody else holds by now was given up, or both are damaged. */
static int make_key(struct engine *e, struct future *f, const struct restored *in)
{
    struct idem *idem;

    if (!in->key.len || idem_find(&e->idems, f->scope->realm, in->key))
        return 0;
    idem = f->rare->idem = idem_new(&e->idems, f, f->scope->realm, in->key);
    if (!idem)
        return -ENOMEM;
    idem->content_type_at = in->content_type_at;
    idem->content_type_bytes = in->content_type_bytes;
    return idem_hold(&e->idems, idem);
}

/* The pause that is left is what the wall clock says, but never longer than the longest there may be: it may have been set
 * back. */
static int make_timing(struct engine *e, struct future *f, const struct restored *in)
{
    struct timing *t;

    if (timing_new(e, f) < 0)
        return -ENOMEM;
    t = f->rare->timing;
    t->not_before = in->not_before;
    t->deadline = in->deadline;
    t->attempt_timeout_ns = in->attempt_timeout_ns;
    t->n_counted = in->n_counted;
    if (in->has_retry && !(t->retry = retry_policy_new(&in->retry)))
        return -ENOMEM;
    if (in->state == FUTURE_PENDING && in->next_try > e->wall && t->retry) {
        int64_t longest =
                clock_add(t->retry->max_backoff_ns, t->retry->max_backoff_ns); /* with all the jitter */

        t->next_try = in->next_try;
        t->next_try_mono = clock_add(e->mono, MIN(in->next_try - e->wall, longest));
    }
    return 0;
}

/* In the heap of retention stands who asks for it, and who comes back finished. */
static int make_rare(struct engine *e, struct future *f, const struct restored *in)
{
    struct future_rare *rare;

    if (!needs_rare(in))
        return 0;
    rare = f->rare = slab_alloc(&e->rares);
    if (!rare)
        return -ENOMEM;
    *rare = (struct future_rare){.future = f,
                                 .retention_ns = -1,
                                 .retry_of = in->retry_of,
                                 .retried_by = in->retried_by,
                                 .n_losses = in->n_losses};
    if (dup_span(in->traceparent, &rare->traceparent) < 0 || dup_span(in->tag, &rare->tag) < 0 ||
        dup_span(in->fairness_key, &rare->fairness_key) < 0)
        return -ENOMEM;
    if (in->concurrency_key.len && !is_terminal(in) && slot_use(e, f, in->concurrency_key) < 0)
        return -ENOMEM;
    if (in->retention_ns >= 0 || is_terminal(in)) {
        if (retention_reserve(&e->retention) < 0)
            return -ENOMEM;
        rare->retention_ns = in->retention_ns;
        rare->is_custom = 1;
    }
    if ((has_timing(in) && make_timing(e, f, in) < 0) || dup_span(in->request_id, &rare->request_id) < 0 ||
        make_key(e, f, in) < 0 || (in->n_depends && depend_restore(e, f, in) < 0) ||
        told_restore(e, f, in) < 0)
        return -ENOMEM;
    return in->has_cancel && !(rare->cancel_requested = make_cancel(e, in)) ? -ENOMEM : 0;
}

static struct attempt *make_attempt(struct engine *e, const struct restored_attempt *in)
{
    struct attempt *a = slab_alloc(&e->attempts);

    if (!a)
        return NULL;
    *a = (struct attempt){.number = in->number,
                          .has_exit_code = in->has_exit_code,
                          .has_signal = in->has_signal,
                          .exit_code = in->exit_code,
                          .signal = in->signal,
                          .start_time = in->start_time,
                          .end_time = in->end_time,
                          .usage = in->usage};
    a->worker = bytes_dup(in->worker.p, in->worker.len);
    if (in->has_error)
        a->error = future_error_new(&in->error);
    if (a->worker && !in->has_error == !a->error)
        return a;
    bytes_unref(a->worker);
    future_error_unref(a->error);
    return slab_free(&e->attempts, a);
}

static int make_attempts(struct engine *e, struct future *f, const struct restored *in)
{
    struct attempt **end = &f->attempts;

    for (uint32_t i = 0; i < in->n_attempts; i++) {
        *end = make_attempt(e, &in->attempts[i]);
        if (!*end)
            return -ENOMEM;
        end = &(*end)->next;
    }
    return 0;
}

static int make_outcome(struct engine *e, struct future *f, const struct restored *in)
{
    struct outcome *o;

    if (!is_terminal(in))
        return 0;
    o = f->outcome = turn_outcome(e);
    if (!o || dup_span(in->content_type, &o->content_type) < 0)
        return -ENOMEM;
    o->end_time = in->end_time;
    o->expire_time = in->expire_time;
    o->data = bytes_ref(in->data);
    if (in->has_error && in->error_is_shared && f->attempts)
        o->error = future_error_ref(f->attempts->error);
    else if (in->has_error)
        o->error = future_error_new(&in->error);
    return in->has_error && !o->error ? -ENOMEM : 0;
}

static int make_group(struct engine *e, struct future *f, struct span name)
{
    struct group *g;

    if (!name.len)
        return 0;
    f->group = slab_alloc(&e->memberships);
    if (!f->group)
        return -ENOMEM;
    f->group->group = NULL;
    if (group_get(&e->groups, f->scope->realm, name, &g) < 0)
        return -ENOMEM;
    f->group->group = g;
    return 0;
}

static int make_parts(struct engine *e, struct future *f, const struct restored *in)
{
    f->task = bytes_ref(in->task);
    if (dup_span(in->peer, &f->peer) < 0 || make_rare(e, f, in) < 0 || make_attempts(e, f, in) < 0 ||
        make_outcome(e, f, in) < 0)
        return -ENOMEM;
    if (in->has_labels && !(f->labels = labels_new(in->labels, in->n_labels)))
        return -ENOMEM;
    return make_group(e, f, in->group);
}

static void free_parts(struct engine *e, struct future *f)
{
    if (f->group && f->group->group)
        group_tidy(&e->groups, f->group->group);
    slab_free(&e->memberships, f->group);
    turn_future_free(e, f);
}

/* Into the order and the table; unless it has ended it keeps a lane. */
static int enter(struct engine *e, struct future *f, const struct restored *in)
{
    if (turn_reserve(e) < 0)
        return -ENOMEM;
    if (!is_terminal(in) && place_keep(e, f) < 0)
        return -ENOMEM;
    if (order_insert(&e->order, f) < 0) {
        if (!is_terminal(in))
            place_drop(e, f);
        return -ENOMEM;
    }
    if (table_insert(&e->table, table_hash_id(&e->table, &f->id), f) < 0) {
        order_remove(&e->order, f);
        if (!is_terminal(in))
            place_drop(e, f);
        return -ENOMEM;
    }
    return 0;
}

static void move_to(struct future *f, enum future_state state)
{
    future_move(f, FUTURE_PENDING);
    if (state == FUTURE_PENDING)
        return;
    if (state != FUTURE_CANCELLED)
        future_move(f, FUTURE_RUNNING);
    if (state != FUTURE_RUNNING)
        future_move(f, state);
}

static struct cancel_request *cancel_of(const struct future *f)
{
    return f->rare ? f->rare->cancel_requested : NULL;
}

/* @f goes on from where it was; -ENOMEM: it is where it was. */
static int go_on(struct engine *e, struct future *f, const struct restored *in)
{
    if (is_terminal(in)) {
        retention_add(&e->retention, f);
        cache_add(e, f);
        return 0;
    }
    if (cancel_of(f) && turn_promise(e, f) < 0)
        return -ENOMEM;
    if (in->state == FUTURE_RUNNING || (in->is_armed && in->on_lost == ON_LOST_FAIL)) {
        if (lease_lose_restored(e, f) == 0)
            return 0;
        if (cancel_of(f))
            turn_promise_kept(e, f);
        return -ENOMEM;
    }
    if (cancel_of(f)) { /* it was reserved, and is not any more */
        place_drop(e, f);
        lease_end(e, f);
    } else {
        place_put(e, f, 0);
    }
    return 0;
}

int engine_restore_pause(struct engine *e, struct function *fn, wall_ns_t time, struct span who,
                         struct span why)
{
    struct change *change = gate_change_new(time, who, why);

    if (!change)
        return -ENOMEM;
    gate_pause(e, fn, change);
    return 0;
}

int engine_restore_limits(struct engine *e, struct function *fn, const struct function_limits *limits,
                          unsigned int which, wall_ns_t time, struct span who, struct span why)
{
    struct change *change = gate_change_new(time, who, why);

    if (!change || gate_limit(e, fn, limits, which, change) < 0) {
        gate_change_free(change);
        return -ENOMEM;
    }
    return 0;
}

static int begin(struct engine *e, const struct restored *in, struct future **ret)
{
    struct function *fn = function_get(&e->functions, &e->sched, in->function, (struct span){0}, UINT32_MAX);
    struct scope *scope = engine_scope(e, in->namespace, in->principal);
    struct future *f = fn && scope ? slab_alloc(&e->futures) : NULL;

    if (!f)
        return -ENOMEM;
    *f = (struct future){
            .id = in->id,
            .function = fn,
            .scope = scope,
            .submit_time = in->submit_time,
            .revision = in->revision,
            .argument_at = in->argument_at,
            .argument_field_bytes = in->argument_field_bytes,
            .argument_bytes = in->argument_bytes,
            .priority = in->priority,
            .n_claims = in->n_claims,
            .durability = DURABILITY_DURABLE,
            .on_lost = (uint8_t)in->on_lost,
            .stored = is_terminal(in) ? STORED_DONE : STORED_LIVE,
    };
    list_init(&f->queue);
    *ret = f;
    return 0;
}

/* Of one that has ended: what is left of the time that it is known. Who is known already keeps its own. */
static int note_ended(struct engine *e, const struct scope *scope, struct span request_id,
                      const struct id *id, wall_ns_t submit_time)
{
    int64_t left = MIN(MAX(clock_add(submit_time, RESEND_NS), e->wall) - e->wall, RESEND_NS);

    if (!request_id.len || left <= 0 || resend_find(&e->resends, scope, request_id))
        return 0;
    return resend_add_ended(&e->resends, scope, request_id, id, clock_add(e->mono, left));
}

static int note_request(struct engine *e, const struct scope *scope, const struct restored *in)
{
    if (is_terminal(in))
        return note_ended(e, scope, in->request_id, &in->id, in->submit_time);
    if (!in->request_id.len || resend_find(&e->resends, scope, in->request_id))
        return 0;
    return resend_add(&e->resends, scope, in->request_id, &in->id, e->mono);
}

int engine_restore_request(struct engine *e, struct span namespace, struct span principal,
                           struct span request_id, const struct id *id, wall_ns_t submit_time)
{
    const struct scope *scope = engine_scope(e, namespace, principal);

    return scope ? note_ended(e, scope, request_id, id, submit_time) : -ENOMEM;
}

void engine_restore_key(struct engine *e, uint64_t hash)
{
    idem_note_stored(&e->idems, hash);
}

void engine_restore_keys(struct engine *e)
{
    e->idems.is_blind = 1;
}

/* What it takes most of. */
static uint64_t told_bytes_of(const struct restored *in)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < in->n_chunks; i++)
        n += limits_bytes(in->chunks[i].data);
    return n;
}

int engine_restore(struct engine *e, const struct restored *in, struct future **ret)
{
    struct future *f;
    int r = 0;

    ASSERT(in->state >= FUTURE_PENDING && in->state <= FUTURE_CANCELLED);
    ASSERT(!in->data == (in->state != FUTURE_SUCCEEDED) && !engine_find_any(e, &in->id));
    if (is_terminal(in) && !in->is_needed)
        r = limits_admit(&e->account, sizeof *f + LIMITS_INDEX_BYTES + limits_bytes(in->task) +
                                              limits_bytes(in->data) + told_bytes_of(in));
    if (r == 0)
        r = begin(e, in, &f);
    if (r != 0)
        return r;
    if (make_parts(e, f, in) < 0 || note_request(e, f->scope, in) < 0 || enter(e, f, in) < 0) {
        free_parts(e, f);
        return -ENOMEM;
    }
    move_to(f, in->state);
    limits_charge(&e->account, f->scope, limits_future(f));
    e->account.n_futures++;
    turn_count(e, f);
    if (f->group && is_terminal(in))
        group_name(f->group->group, f->group, f);
    else if (f->group)
        edge_join(e, f);
    e->revision = MAX(e->revision, in->revision);
    e->last_key = MAX(e->last_key, id_key(&f->id));
    if (!is_terminal(in) && in->n_depends)
        depend_tie(e, f);
    if (go_on(e, f, in) < 0) {
        depend_untie(e, f);
        place_drop(e, f); /* terminal ones always go on */
        turn_uncount(e, f);
        e->n_by_state[f->state]++; /* turn_forget counts it off as well */
        turn_forget(e, f);
        e->n_forgotten--;
        return -ENOMEM;
    }
    e->n_restored++;
    *ret = f;
    return 0;
}
