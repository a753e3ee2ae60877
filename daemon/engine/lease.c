// SPDX-License-Identifier: Apache-2.0
/*
 * Each function first makes everything it may need, then changes things, and from there on cannot fail.
 *
 * A task that is reserved or running and was cancelled, or whose deadline has passed, has its outcome ready in
 * rare->cancel_requested or rare->timing: what ends the lease takes it from there (lease_end). Where both are, the cancel
 * counts.
 */
#include "engine/lease.h"

#include "base/mem.h"
#include "base/utf8.h"
#include "engine/place.h"
#include "engine/state.h"
#include "engine/turn.h"

#include <errno.h>
#include <stdio.h>

static struct function *function_of(struct list *rotation)
{
    struct ready *ready = LIST_ENTRY(rotation, struct ready, rotation);

    return CONTAINER_OF(ready, struct function, ready);
}

/* Whether @h takes one more task of @fn now, by its own limit and credit of that. */
static int is_taken_by(const struct holder *h, const struct function *fn)
{
    if (LIKELY(!h->shares))
        return 1;
    return holder_room(h, fn) > 0 &&
           (!h->own || h->common > 0 || (fn->index < h->n_shares && h->shares[fn->index].own > 0));
}

static void take_share(struct holder *h, struct lease *lease, const struct function *fn)
{
    struct holder_share *s = fn->index < h->n_shares ? &h->shares[fn->index] : NULL;

    if (s)
        s->n++;
    if (s && s->own) {
        lease->is_of_own = 1;
        s->own--;
        h->own--;
    }
}

static void give_share(struct engine *e, struct holder *h, struct function *fn)
{
    struct holder_share *s = fn->index < h->n_shares ? &h->shares[fn->index] : NULL;

    if (!s)
        return;
    s->n--;
    if (s->max && s->n + 1 == s->max && fn->ready.n > 0)
        turn_work(e, fn);
}

/* Reserve the best task of @fn, which has one. NULL: no memory. */
static struct lease *claim_one(struct engine *e, struct holder *h, struct function *fn)
{
    struct lease *lease = slab_alloc(&e->leases);
    struct future *f;

    if (!lease)
        return NULL;
    *lease = (struct lease){
            .holder = h, .claimed_at = e->mono, .term_at = CLOCK_NEVER, .kill_at = CLOCK_NEVER};
    f = sched_pop(&e->sched, &fn->ready);
    ASSERT(f && !f->lease);
    list_init(&lease->of_holder);
    list_init(&lease->revoke);
    list_push_back(&h->leases, &lease->of_holder);
    h->n_leases++;
    if (UNLIKELY(h->shares))
        take_share(h, lease, fn);
    h->common -= h->common && !lease->is_of_own;
    f->place = PLACE_NONE;
    lease->future = f;
    lease->attempt = ++f->n_claims;
    f->lease = lease;
    fn->n_reserved++;
    gate_claimed(e, fn, &fn->gate, 1);
    if (UNLIKELY(f->rare) && f->rare->slot)
        slot_take(f);
    return lease;
}

/* Whether its mean run time is known to be below @max_run_ns. */
static int is_below(const struct function *fn, int64_t max_run_ns)
{
    return max_run_ns == CLOCK_NEVER || (fn->mean_run_ns >= 0 && fn->mean_run_ns < max_run_ns);
}

/* Park what is at the head of the queue of @fn and waits for another's slot. Whether the queue has to wait, for a later
 * turn, because that has become too many. */
static int park_held(struct engine *e, struct function *fn, struct future *f, uint32_t *n_parked)
{
    for (; f && slot_is_taken(f); f = sched_peek(&fn->ready)) {
        if (*n_parked == STATE_PARK_PER_CLAIM) {
            turn_work(e, fn);
            return 1;
        }
        ++*n_parked;
        slot_park(e, fn);
    }
    return 0;
}

int lease_claim(struct engine *e, struct holder *h, int64_t max_run_ns, uint32_t max,
                struct lease **ret_leases)
{
    struct list mine; /* of the rotation: what @h serves and has work, who was served last at the end */
    struct lease *lease = NULL;
    uint32_t n = 0, n_armed = 0, n_parked = 0;
    int is_full = 0, r;

    list_init(&mine);
    LIST_FOREACH_SAFE (l, &e->sched.rotation) {
        const struct function *fn = function_of(l);

        if (!holder_serves(h, fn) || !is_below(fn, max_run_ns) || !is_taken_by(h, fn))
            continue;
        list_del(l);
        list_push_back(&mine, l);
        if (++n == max && LIKELY(!h->own)) /* what one has credit for another need not have */
            break;
    }
    n = 0;
    while (n + n_armed < max && !is_full && !list_is_empty(&mine)) {
        struct function *fn = function_of(list_first(&mine));

        struct future *f = sched_peek(&fn->ready);

        if (UNLIKELY(!is_taken_by(h, fn))) {
            list_del(&fn->ready.rotation);
            list_push_back(&e->sched.rotation, &fn->ready.rotation);
            continue;
        }
        r = 0;
        if (UNLIKELY(slot_is_taken(f))) {
            r = park_held(e, fn, f, &n_parked) ? ARM_E_FULL : 0;
            f = sched_peek(&fn->ready);
            if (!f)
                continue; /* all are parked */
        }
        if (r == 0)
            r = arm_best(e, fn, f);
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
        if (list_is_linked(&fn->ready.rotation)) {
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
    gate_ended(e, f->function, &f->function->gate, !lease->is_started);
    if (UNLIKELY(f->rare) && f->rare->slot)
        slot_give(e, f);
    f->lease = NULL;
    lease->holder->n_leases--;
    if (UNLIKELY(lease->holder->shares))
        give_share(e, lease->holder, f->function);
    list_del(&lease->of_holder);
    list_del(&lease->revoke);
    slab_free(&e->leases, lease);
}

static struct cancel_request *cancel_of(const struct future *f)
{
    return f->rare ? f->rare->cancel_requested : NULL;
}

/* Where the outcome is that deadline or cancel have made beforehand; NULL = they have not. */
static struct outcome **deadline_end(const struct future *f)
{
    struct timing *t = future_timing(f);

    return t && t->outcome ? &t->outcome : NULL;
}

static struct outcome **cancel_end(const struct future *f)
{
    return cancel_of(f) ? &cancel_of(f)->outcome : NULL;
}

/* It is charged as what it becomes from now on. */
static struct outcome *take_end(struct engine *e, struct future *f, struct outcome **from)
{
    struct outcome *outcome = from ? TAKE_PTR(*from) : NULL;

    if (outcome) {
        limits_discharge(&e->account, f->scope, limits_outcome(outcome));
        turn_promise_kept(e, f);
    }
    return outcome;
}

void lease_end(struct engine *e, struct future *f)
{
    struct outcome *deadline = take_end(e, f, deadline_end(f)), *cancel = take_end(e, f, cancel_end(f));

    if (cancel)
        turn_outcome_free(e, deadline);
    turn_settle(e, f, cancel ? FUTURE_CANCELLED : FUTURE_FAILED, cancel ? cancel : deadline);
}

/* It has ended in another way. */
static void drop_ends(struct engine *e, struct future *f)
{
    turn_outcome_free(e, take_end(e, f, deadline_end(f)));
    turn_outcome_free(e, take_end(e, f, cancel_end(f)));
}

static int has_end(const struct future *f)
{
    return cancel_end(f) || deadline_end(f);
}

void lease_stop(struct engine *e, struct lease *lease, enum stop why, int64_t grace_ns)
{
    mono_ns_t kill_at = clock_add(e->mono, grace_ns);

    if (why <= lease->stop && kill_at >= lease->kill_at)
        return;
    lease->stop = MAX(lease->stop, why);
    lease->term_at = MIN(lease->term_at, clock_add(e->mono, grace_ns / 2));
    lease->kill_at = MIN(lease->kill_at, kill_at);
    turn_revoke(e, lease);
    timing_update(e, lease->future);
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
    lease->started_at = e->mono - MIN(MAX(e->wall - a->start_time, INT64_C(0)), e->mono - lease->claimed_at);
    f->function->n_reserved--;
    gate_begun(e, f->function, &f->function->gate);
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

/* What comes of an attempt that has ended, made before anything changes. */
struct ending {
    struct attempt *attempt; /* NULL = it has begun before */
    struct future_error
            *error; /* of the attempt: what the worker says, or why it was stopped; NULL = it succeeded */
    struct outcome *outcome; /* NULL = another attempt follows, or the end was made beforehand */
    int is_retry;
};

/* Whether @error is what comes of being told to end, and not how the attempt ended by itself before it noticed. */
static int is_stopped(const struct lease *lease, const struct future_error *error)
{
    return lease->stop != STOP_NOT && (error->reason == REASON_CANCELLED || error->reason == REASON_CRASHED);
}

/* Why it was stopped, and behind that how it then ended. */
static struct future_error *stop_error(const struct lease *lease, const struct future_error *from)
{
    static const struct future_error errors[] = {
            [STOP_TIMEOUT] = {.code = 4 /* DEADLINE_EXCEEDED */, .reason = REASON_TIMEOUT, .retryable = 1},
            [STOP_DEADLINE] = {.code = 4, .reason = REASON_DEADLINE_EXCEEDED},
            [STOP_CANCELLED] = {.code = 1 /* CANCELLED */, .reason = REASON_CANCELLED},
    };
    static const char *const whys[] = {
            [STOP_TIMEOUT] = "the attempt has used up its attempt_timeout",
            [STOP_DEADLINE] = "the deadline has passed while the attempt ran",
            [STOP_CANCELLED] = "the attempt was cancelled",
    };
    struct future_error error = errors[lease->stop];
    char text[1024];
    int n = snprintf(text, sizeof text, "%s%s%.*s", whys[lease->stop], from->message.len ? "; " : "",
                     (int)utf8_cut(from->message.p, from->message.len, 512), (const char *)from->message.p);

    error.message = (struct span){(const uint8_t *)text, (size_t)n};
    error.type = from->type;
    return future_error_new(&error);
}

static void ending_drop(struct engine *e, struct ending *end)
{
    if (end->attempt)
        bytes_unref(end->attempt->worker);
    slab_free(&e->attempts, end->attempt);
    future_error_unref(end->error);
    turn_outcome_free(e, end->outcome);
}

/* 0, -ENOMEM (the caller drops what there is). */
static int ending_make(struct engine *e, const struct lease *lease, const struct finish *finish,
                       struct ending *end)
{
    struct future *f = lease->future;
    int is_ended = 0;

    if (turn_reserve(e) < 0)
        return -ENOMEM;
    if (!lease->is_started &&
        !(end->attempt = attempt_new(e, lease, finish->start_time ? finish->start_time : e->wall)))
        return -ENOMEM;
    if (finish->error) {
        int was_stopped = is_stopped(lease, finish->error);

        end->error = was_stopped ? stop_error(lease, finish->error) : future_error_ref(finish->error);
        if (!end->error)
            return -ENOMEM;
        is_ended = cancel_end(f) || (was_stopped && deadline_end(f));
        end->is_retry = !is_ended && lease->stop != STOP_DEADLINE && timing_may_retry(e, f, end->error);
    }
    if (is_ended || end->is_retry)
        return 0;
    end->outcome = turn_outcome(e);
    return end->outcome ? 0 : -ENOMEM;
}

/* The attempt of @f under @lease is over, and so is the lease. */
static void attempt_close(struct engine *e, struct lease *lease, const struct finish *finish,
                          const struct ending *end)
{
    struct future *f = lease->future;
    struct attempt *a;

    begin(e, lease, end->attempt);
    a = f->attempts;
    a->has_exit_code = !!finish->has_exit_code;
    a->has_signal = !!finish->has_signal;
    a->exit_code = finish->exit_code;
    a->signal = finish->signal;
    a->usage = finish->usage;
    if (a->usage.wall_ns < 0 && !end->attempt)
        a->usage.wall_ns = e->mono - lease->started_at;
    attempt_end(e, f, end->error);
    learn_run_time(f->function, a->usage.wall_ns);
    lease_free(e, lease);
}

int lease_finish(struct engine *e, struct lease *lease, struct finish *finish)
{
    struct future *f = lease->future;
    struct ending end = {0};

    ASSERT(!finish->data != !finish->error);
    if (ending_make(e, lease, finish, &end) < 0) {
        ending_drop(e, &end);
        return -ENOMEM;
    }
    attempt_close(e, lease, finish, &end);
    finish->error = future_error_unref(finish->error);
    if (end.is_retry) {
        f->armed = ARMED_NOT; /* the next start is marked anew */
        turn_move(e, f, FUTURE_PENDING);
        timing_pause(e, f);
        place_put(e, f, 1);
    } else if (end.outcome) {
        place_drop(e, f);
        drop_ends(e, f);
        end.outcome->data = TAKE_PTR(finish->data);
        end.outcome->content_type = TAKE_PTR(finish->content_type);
        end.outcome->error = TAKE_PTR(end.error);
        turn_settle(e, f, end.outcome->error ? FUTURE_FAILED : FUTURE_SUCCEEDED, end.outcome);
    } else {
        place_drop(e, f);
        lease_end(e, f);
    }
    future_error_unref(end.error);
    finish->content_type = bytes_unref(finish->content_type);
    return 0;
}

void lease_release(struct engine *e, struct lease *lease)
{
    struct future *f = lease->future;

    ASSERT(!lease->is_started);
    lease_free(e, lease);
    if (has_end(f)) {
        place_drop(e, f);
        lease_end(e, f);
    } else {
        place_put(e, f, 1);
        arm_disarm(e, f);
    }
}

static struct future_error *lost_error(enum lost why)
{
    static const struct span by_end = SPAN_LIT("the daemon ended while the task ran"),
                             else_ = SPAN_LIT("the worker was lost while it ran the task");

    return future_error_new(&(struct future_error){
            .code = 14, /* UNAVAILABLE */
            .reason = why == LOST_BY_END ? REASON_SHUTDOWN : REASON_WORKER_LOST,
            .retryable = 1,
            .message = why == LOST_BY_END ? by_end : else_,
    });
}

/* Whether it counts among those of which a task has STATE_LOSSES_MAX. */
static int is_counted(enum lost why)
{
    return why == LOST_WORKER || why == LOST_BY_ANOTHER;
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

static int loss_make(struct engine *e, struct future *f, enum lost why, struct loss *loss)
{
    int must_fail = f->on_lost == ON_LOST_FAIL;

    if (turn_reserve(e) < 0)
        return -ENOMEM;
    loss->error = lost_error(why);
    if (!loss->error)
        return -ENOMEM;
    if (has_end(f))
        return 0;
    if (!must_fail && (!is_counted(why) || !f->rare || f->rare->n_losses < STATE_LOSSES_MAX))
        return turn_rare(e, f) ? 0 : -ENOMEM;
    loss->outcome = turn_outcome(e);
    if (!loss->outcome)
        return -ENOMEM;
    loss->outcome->error = must_fail ? unknown_error() : future_error_ref(loss->error);
    return loss->outcome->error ? 0 : -ENOMEM;
}

/* The newest attempt of @f, which runs, has never been. */
static void attempt_undo(struct engine *e, struct future *f)
{
    struct attempt *a = f->attempts;

    f->attempts = a->next;
    limits_discharge(&e->account, f->scope, limits_attempt(a));
    bytes_unref(a->worker);
    slab_free(&e->attempts, a);
}

/* The end of the attempt of @f, if it has one, and what comes of @f. @lease is NULL when it was of an earlier start. */
static int lose(struct engine *e, struct future *f, struct lease *lease, enum lost why)
{
    struct loss loss = {0};
    int is_back;

    if (loss_make(e, f, why, &loss) < 0) {
        turn_outcome_free(e, loss.outcome);
        future_error_unref(loss.error);
        return -ENOMEM;
    }
    is_back = !has_end(f) && !loss.outcome;
    if (lease)
        f->attempts->usage.wall_ns = e->mono - lease->started_at;
    if (is_back && (why == LOST_BY_ANOTHER || why == LOST_FOR_ANOTHER))
        attempt_undo(e, f);
    else if (f->state == FUTURE_RUNNING && f->attempts) /* a record may say so without one */
        attempt_end(e, f, loss.error);
    future_error_unref(loss.error);
    if (lease)
        lease_free(e, lease);
    if (has_end(f)) {
        place_drop(e, f);
        lease_end(e, f);
    } else if (loss.outcome) {
        place_drop(e, f);
        if (f->state == FUTURE_PENDING)
            turn_move(e, f, FUTURE_RUNNING); /* it may have been, as far as anybody knows */
        turn_settle(e, f, FUTURE_FAILED, loss.outcome);
    } else {
        if (is_counted(why))
            f->rare->n_losses++;
        turn_move(e, f, FUTURE_PENDING);
        place_put(e, f, lease != NULL);
    }
    return 0;
}

int lease_lose(struct engine *e, struct lease *lease, enum lost why)
{
    if (lease->is_started)
        return lose(e, lease->future, lease, why);
    lease_release(e, lease);
    return 0;
}

int lease_lose_restored(struct engine *e, struct future *f)
{
    ASSERT(!f->lease && !list_is_linked(&f->queue));
    return lose(e, f, NULL, LOST_WORKER);
}
