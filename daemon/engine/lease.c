// SPDX-License-Identifier: Apache-2.0
/*
 * Each function first makes everything it may need, then changes things, and from there on cannot fail.
 *
 * A cancelled task that is reserved or running has its outcome ready in rare->cancel_requested: what ends the lease
 * takes it from there (end_cancelled).
 */
#include "engine/lease.h"

#include "base/mem.h"
#include "engine/place.h"
#include "engine/state.h"
#include "engine/turn.h"

#include <errno.h>

static int serves(const struct holder *h, const struct function *fn)
{
    uint32_t word = fn->index / 64;

    return word < h->n_serves_words && (h->serves[word] >> (fn->index % 64) & 1);
}

static struct function *function_of(struct list *rotation)
{
    struct ready *ready = LIST_ENTRY(rotation, struct ready, rotation);

    return CONTAINER_OF(ready, struct function, ready);
}

/* Reserve the best task of @fn, which has one. NULL: no memory. */
static struct lease *claim_one(struct engine *e, struct holder *h, struct function *fn)
{
    struct lease *lease = slab_alloc(&e->leases);
    struct future *f;

    if (!lease)
        return NULL;
    *lease = (struct lease){.holder = h, .claimed_at = e->mono};
    f = sched_pop(&e->sched, &fn->ready);
    ASSERT(f && !f->lease);
    list_init(&lease->of_holder);
    list_init(&lease->revoke);
    list_push_back(&h->leases, &lease->of_holder);
    h->n_leases++;
    f->place = PLACE_NONE;
    lease->future = f;
    lease->attempt = ++f->n_claims;
    f->lease = lease;
    fn->n_reserved++;
    return lease;
}

/* Whether its mean run time is known to be below @max_run_ns. */
static int is_below(const struct function *fn, int64_t max_run_ns)
{
    return max_run_ns == CLOCK_NEVER || (fn->mean_run_ns >= 0 && fn->mean_run_ns < max_run_ns);
}

int lease_claim(struct engine *e, struct holder *h, int64_t max_run_ns, uint32_t max,
                struct lease **ret_leases)
{
    struct list mine; /* of the rotation: what @h serves and has work, who was served last at the end */
    struct lease *lease = NULL;
    uint32_t n = 0, n_armed = 0;
    int is_full = 0, r;

    list_init(&mine);
    LIST_FOREACH_SAFE (l, &e->sched.rotation) {
        const struct function *fn = function_of(l);

        if (!serves(h, fn) || !is_below(fn, max_run_ns))
            continue;
        list_del(l);
        list_push_back(&mine, l);
        if (++n == max)
            break;
    }
    n = 0;
    while (n + n_armed < max && !is_full && !list_is_empty(&mine)) {
        struct function *fn = function_of(list_first(&mine));

        r = arm_best(e, fn);
        if (r == ARM_E_FULL) {
            list_del(&fn->ready.rotation);
            list_push_back(&e->sched.rotation, &fn->ready.rotation);
            continue;
        }
        n_armed += r == ARM_E_ARMED;
        lease = r == 0 ? claim_one(e, h, fn) : NULL;
        is_full = r < 0 || (r == 0 && !lease);
        if (is_full)
            break;
        if (lease)
            ret_leases[n++] = lease;
        if (fn->ready.n > 0) {
            list_del(&fn->ready.rotation);
            list_push_back(&mine, &fn->ready.rotation);
        }
    }
    list_splice_back(&e->sched.rotation, &mine);
    return is_full && n == 0 ? -ENOMEM : (int)n;
}

/* The lease is over; its future is not in a queue and has none. */
static void lease_free(struct engine *e, struct lease *lease)
{
    struct future *f = lease->future;

    if (f->state == FUTURE_PENDING)
        f->function->n_reserved--;
    f->lease = NULL;
    lease->holder->n_leases--;
    list_del(&lease->of_holder);
    list_del(&lease->revoke);
    slab_free(&e->leases, lease);
}

static struct cancel_request *cancel_of(const struct future *f)
{
    return f->rare ? f->rare->cancel_requested : NULL;
}

/* It is charged as what it becomes from now on. */
struct outcome *lease_take_cancel_outcome(struct engine *e, struct future *f)
{
    struct outcome *outcome = TAKE_PTR(cancel_of(f)->outcome);

    limits_discharge(&e->account, f->scope, limits_outcome(outcome));
    turn_promise_kept(e, f);
    return outcome;
}

/* @at is read by the worker, the other times once a turn: no attempt starts before its task came, nor after it is heard
 * of. */
static struct attempt *attempt_new(struct engine *e, const struct lease *lease, wall_ns_t at)
{
    struct attempt *a = slab_alloc(&e->attempts);

    if (a)
        *a = (struct attempt){.number = lease->attempt,
                              .start_time = MIN(MAX(at, lease->future->submit_time), e->wall),
                              .worker = bytes_ref(lease->holder->name),
                              .usage = {-1, -1, -1, -1}};
    return a;
}

/* Give @a, NULL = it has begun already, to the future under @lease, which is running then. */
static void begin(struct engine *e, struct lease *lease, struct attempt *a)
{
    struct future *f = lease->future;

    if (!a)
        return;
    ASSERT(f->state == FUTURE_PENDING);
    a->next = f->attempts;
    f->attempts = a;
    lease->is_started = 1;
    lease->started_at = e->mono;
    f->function->n_reserved--;
    limits_charge(&e->account, f->scope, limits_attempt(a));
    turn_move(e, f, FUTURE_RUNNING);
}

int lease_start(struct engine *e, struct lease *lease, wall_ns_t at)
{
    struct attempt *a;

    if (lease->is_started)
        return 0;
    if (turn_reserve(e) < 0)
        return -ENOMEM;
    a = attempt_new(e, lease, at);
    if (!a)
        return -ENOMEM;
    begin(e, lease, a);
    return 0;
}

/* The newest attempt of @f has ended with @error, NULL = without. Takes a reference. */
static void attempt_end(struct engine *e, struct future *f, struct future_error *error)
{
    struct attempt *a = f->attempts;

    a->end_time = e->wall;
    a->error = future_error_ref(error);
    limits_charge(&e->account, f->scope, limits_error(error));
}

static void learn_run_time(struct function *fn, int64_t run_ns)
{
    if (run_ns < 0)
        return;
    fn->mean_run_ns = fn->mean_run_ns < 0 ? run_ns : fn->mean_run_ns + (run_ns - fn->mean_run_ns) / 8;
}

int lease_finish(struct engine *e, struct lease *lease, struct finish *finish)
{
    struct future *f = lease->future;
    int was_started = lease->is_started, is_cancelled = finish->error && cancel_of(f);
    struct outcome *outcome = NULL;
    struct attempt *a = NULL;

    ASSERT(!finish->data != !finish->error);
    if (turn_reserve(e) < 0)
        return -ENOMEM;
    if (!was_started && !(a = attempt_new(e, lease, finish->start_time ? finish->start_time : e->wall)))
        return -ENOMEM;
    if (!is_cancelled && !(outcome = turn_outcome(e))) {
        if (a)
            bytes_unref(a->worker);
        slab_free(&e->attempts, a);
        return -ENOMEM;
    }
    begin(e, lease, a);
    a = f->attempts;
    a->has_exit_code = !!finish->has_exit_code;
    a->has_signal = !!finish->has_signal;
    a->exit_code = finish->exit_code;
    a->signal = finish->signal;
    a->usage = finish->usage;
    attempt_end(e, f, finish->error);
    if (finish->usage.wall_ns >= 0)
        learn_run_time(f->function, finish->usage.wall_ns);
    else if (was_started)
        learn_run_time(f->function, e->mono - lease->started_at);
    place_drop(e, f);
    lease_free(e, lease);
    if (is_cancelled) {
        finish->error = future_error_unref(finish->error);
        finish->content_type = bytes_unref(finish->content_type);
        turn_settle(e, f, FUTURE_CANCELLED, lease_take_cancel_outcome(e, f));
        return 0;
    }
    if (cancel_of(f))
        turn_outcome_free(e, lease_take_cancel_outcome(e, f));
    outcome->data = TAKE_PTR(finish->data);
    outcome->content_type = TAKE_PTR(finish->content_type);
    outcome->error = TAKE_PTR(finish->error);
    turn_settle(e, f, outcome->error ? FUTURE_FAILED : FUTURE_SUCCEEDED, outcome);
    return 0;
}

void lease_release(struct engine *e, struct lease *lease)
{
    struct future *f = lease->future;

    ASSERT(!lease->is_started);
    lease_free(e, lease);
    if (cancel_of(f)) {
        place_drop(e, f);
        turn_settle(e, f, FUTURE_CANCELLED, lease_take_cancel_outcome(e, f));
    } else {
        place_put(e, f, 1);
        arm_disarm(e, f);
    }
}

static struct future_error *lost_error(void)
{
    return future_error_new(&(struct future_error){
            .code = 14, /* UNAVAILABLE */
            .reason = REASON_WORKER_LOST,
            .retryable = 1,
            .message = SPAN_LIT("the worker was lost while it ran the task"),
    });
}

static struct future_error *unknown_error(void)
{
    return future_error_new(&(struct future_error){
            .code = 2, /* UNKNOWN */
            .reason = REASON_OUTCOME_UNKNOWN,
            .message = SPAN_LIT("the worker was lost while it ran the task, which must not run twice"),
    });
}

/* What a loss may need, made before anything changes. */
struct loss {
    struct future_error *error; /* of the attempt */
    struct outcome *outcome;    /* NULL = the task goes back, or has been cancelled */
};

static int loss_make(struct engine *e, struct future *f, struct loss *loss)
{
    int must_fail = f->on_lost == ON_LOST_FAIL;

    if (turn_reserve(e) < 0)
        return -ENOMEM;
    loss->error = lost_error();
    if (!loss->error)
        return -ENOMEM;
    if (cancel_of(f))
        return 0;
    if (!must_fail && (!f->rare || f->rare->n_losses < STATE_LOSSES_MAX))
        return turn_rare(e, f) ? 0 : -ENOMEM;
    loss->outcome = turn_outcome(e);
    if (!loss->outcome)
        return -ENOMEM;
    loss->outcome->error = must_fail ? unknown_error() : future_error_ref(loss->error);
    return loss->outcome->error ? 0 : -ENOMEM;
}

/* The end of the attempt of @f, if it has one, and what comes of @f. @lease is NULL when it was of an earlier start. */
static int lose(struct engine *e, struct future *f, struct lease *lease)
{
    struct loss loss = {0};

    if (loss_make(e, f, &loss) < 0) {
        turn_outcome_free(e, loss.outcome);
        future_error_unref(loss.error);
        return -ENOMEM;
    }
    if (f->state == FUTURE_RUNNING)
        attempt_end(e, f, loss.error);
    future_error_unref(loss.error);
    if (lease)
        lease_free(e, lease);
    if (cancel_of(f)) {
        place_drop(e, f);
        turn_settle(e, f, FUTURE_CANCELLED, lease_take_cancel_outcome(e, f));
    } else if (loss.outcome) {
        place_drop(e, f);
        if (f->state == FUTURE_PENDING)
            turn_move(e, f, FUTURE_RUNNING); /* it may have been, as far as anybody knows */
        turn_settle(e, f, FUTURE_FAILED, loss.outcome);
    } else {
        f->rare->n_losses++;
        turn_move(e, f, FUTURE_PENDING);
        place_put(e, f, lease != NULL);
    }
    return 0;
}

int lease_lose(struct engine *e, struct lease *lease)
{
    if (lease->is_started)
        return lose(e, lease->future, lease);
    lease_release(e, lease);
    return 0;
}

int lease_lose_restored(struct engine *e, struct future *f)
{
    ASSERT(!f->lease && !list_is_linked(&f->queue));
    return lose(e, f, NULL);
}
