// SPDX-License-Identifier: Apache-2.0
/* What clocks do: delays, deadlines, pauses between attempts, attempts that take too long, waiters who have gone. */
#include "engine/timing.h"
#include "tests/unit/engine/timed.h"

/* --- not_before */

static void test_delayed_until_its_time(void **state)
{
    struct fixture x;
    struct engine_submit in;
    struct lease *lease;
    struct future *f;

    fixture_init(&x);
    in = fixture_in(&x, NULL);
    in.not_before = T0 + 500 * NS_PER_MS;
    f = fixture_submit(&x, &in);
    assert_int_equal(future_pending_reason(f), PENDING_DELAYED);
    assert_int_equal(engine_claim(x.e, x.holder, CLOCK_NEVER, 1, &lease), 0);
    assert_int_equal(fixture_turn(&x)->next, x.mono + 500 * NS_PER_MS);
    fixture_pass(&x, 499 * NS_PER_MS);
    assert_int_equal(f->place, PLACE_DELAYED);
    fixture_pass(&x, NS_PER_MS);
    assert_int_equal(future_pending_reason(f), PENDING_READY);
    assert_ptr_equal(fixture_claim(&x)->future, f);
    assert_int_equal(fixture_turn(&x)->next, CLOCK_NEVER);
    fixture_deinit(&x);
}

/* The wall clock counts, whatever the other one says; and it is looked at now and then. */
static void test_a_clock_that_is_set(void **state)
{
    struct fixture x;
    struct engine_submit in;
    struct future *f;

    fixture_init(&x);
    in = fixture_in(&x, NULL);
    in.not_before = T0 + 3600 * NS_PER_S;
    f = fixture_submit(&x, &in);
    assert_int_equal(fixture_turn(&x)->next, x.mono + TIMING_WALL_LOOK_NS);
    x.wall -= 1800 * NS_PER_S;
    fixture_pass(&x, 3600 * NS_PER_S);
    assert_int_equal(f->place, PLACE_DELAYED);
    x.wall += 1800 * NS_PER_S;
    fixture_pass(&x, 0);
    assert_int_equal(f->place, PLACE_READY);
    fixture_deinit(&x);
}

static void test_in_the_past_is_at_once(void **state)
{
    struct fixture x;
    struct engine_submit in;

    fixture_init(&x);
    in = fixture_in(&x, NULL);
    in.not_before = T0 - 1;
    assert_int_equal(fixture_submit(&x, &in)->place, PLACE_READY);
    in.not_before = T0;
    assert_int_equal(fixture_submit(&x, &in)->place, PLACE_READY);
    fixture_deinit(&x);
}

static void test_work_of_a_turn_is_bounded(void **state)
{
    struct fixture x;
    struct engine_submit in;

    fixture_init(&x);
    in = fixture_in(&x, NULL);
    in.not_before = T0 + NS_PER_S;
    for (int i = 0; i < 2 * TIMING_PER_TURN + 1; i++)
        fixture_submit(&x, &in);
    x.wall += NS_PER_S;
    for (uint32_t left = 2 * TIMING_PER_TURN + 1; left > 0; left -= MIN(left, (uint32_t)TIMING_PER_TURN)) {
        assert_int_equal(x.fn->n_waiting, left);
        engine_begin(x.e, x.mono, x.wall);
        assert_int_equal(engine_end(x.e)->next, left > TIMING_PER_TURN ? x.mono : CLOCK_NEVER);
    }
    assert_int_equal(x.fn->n_waiting, 0);
    assert_int_equal(x.fn->ready.n, 2 * TIMING_PER_TURN + 1);
    fixture_deinit(&x);
}

/* --- retries */

static struct future *submit_retried(struct fixture *x, const struct retry_policy *policy)
{
    struct engine_submit in = fixture_in(x, NULL);

    in.retry = policy;
    return fixture_submit(x, &in);
}

static void test_pauses_grow_and_end(void **state)
{
    static const int64_t pauses[] = {4, 8, 10, 10};
    struct retry_policy policy = TIMED_RETRY;
    struct fixture x;
    struct future *f;

    fixture_init(&x);
    policy.max_attempts = 5;
    policy.max_backoff_ns = 10 * NS_PER_S;
    f = submit_retried(&x, &policy);
    for (size_t i = 0; i < ARRAY_LEN(pauses); i++) {
        timed_fail(&x, fixture_start(&x), REASON_FUNCTION_ERROR);
        assert_int_equal(f->state, FUTURE_PENDING);
        assert_int_equal(future_pending_reason(f), PENDING_BACKOFF);
        assert_int_equal(f->rare->timing->next_try, x.wall + pauses[i] * NS_PER_S);
        assert_int_equal(f->attempts->error->reason, REASON_FUNCTION_ERROR);
        assert_int_equal(fixture_turn(&x)->next, x.mono + pauses[i] * NS_PER_S);
        fixture_pass(&x, pauses[i] * NS_PER_S - 1);
        assert_int_equal(f->place, PLACE_BACKOFF);
        fixture_pass(&x, 1);
        assert_int_equal(f->place, PLACE_READY);
    }
    timed_fail(&x, fixture_start(&x), REASON_CRASHED);
    assert_int_equal(f->state, FUTURE_FAILED);
    assert_int_equal(f->outcome->error->reason, REASON_CRASHED);
    assert_ptr_equal(f->outcome->error, f->attempts->error);
    fixture_deinit(&x);
}

static void test_losses_do_not_count(void **state)
{
    struct retry_policy policy = TIMED_RETRY;
    struct fixture x;
    struct future *f;

    fixture_init(&x);
    policy.max_attempts = 2;
    f = submit_retried(&x, &policy);
    assert_int_equal(engine_lose(x.e, fixture_start(&x)), 0);
    engine_release(x.e, fixture_claim(&x));
    assert_int_equal(f->place, PLACE_READY); /* no pause either */
    timed_fail(&x, fixture_start(&x), REASON_FUNCTION_ERROR);
    assert_int_equal(f->place, PLACE_BACKOFF);
    fixture_pass(&x, 4 * NS_PER_S);
    assert_int_equal(engine_lose(x.e, fixture_start(&x)), 0);
    timed_fail(&x, fixture_start(&x), REASON_FUNCTION_ERROR);
    assert_int_equal(f->state, FUTURE_FAILED);
    fixture_deinit(&x);
}

static void test_no_pause(void **state)
{
    struct retry_policy policy = TIMED_RETRY;
    struct fixture x;
    struct future *f;

    fixture_init(&x);
    policy.initial_backoff_ns = 0;
    f = submit_retried(&x, &policy);
    timed_fail(&x, fixture_start(&x), REASON_FUNCTION_ERROR);
    assert_int_equal(f->place, PLACE_READY);
    fixture_succeed(&x, fixture_start(&x));
    assert_int_equal(f->state, FUTURE_SUCCEEDED);
    assert_int_equal(f->attempts->number, 2);
    fixture_deinit(&x);
}

static void test_what_is_not_tried_again(void **state)
{
    static const struct span types[] = {SPAN_LIT("ValueError"), SPAN_LIT("NOT_FOUND")};
    static const struct {
        struct future_error error;
        int is_retried;
    } cases[] = {
            {{.retryable = 1}, 1},
            {{.retryable = 0}, 0},
            {{.retryable = 1, .type = SPAN_LIT("ValueError")}, 0},
            {{.retryable = 1, .type = SPAN_LIT("OSError")}, 1},
            {{.retryable = 1, .function_reason = SPAN_LIT("NOT_FOUND")}, 0},
            {{.retryable = 1, .function_reason = SPAN_LIT("NOT")}, 1},
    };
    struct retry_policy policy = TIMED_RETRY;

    policy.n_types = ARRAY_LEN(types);
    policy.types = types;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct future_error error = cases[i].error;
        struct finish finish = {.usage = {-1, -1, -1, -1}};
        struct fixture x;
        struct future *f;

        fixture_init(&x);
        f = submit_retried(&x, &policy);
        error.code = 2;
        error.reason = REASON_FUNCTION_ERROR;
        finish.error = future_error_new(&error);
        assert_int_equal(engine_finish(x.e, fixture_start(&x), &finish), 0);
        assert_int_equal(f->state, cases[i].is_retried ? FUTURE_PENDING : FUTURE_FAILED);
        fixture_deinit(&x);
    }
}

/* Within its bounds, on both sides, and not always the same. */
static void test_jitter(void **state)
{
    struct retry_policy policy = TIMED_RETRY;
    int64_t least = INT64_MAX, most = 0;
    struct fixture x;

    fixture_init(&x);
    policy.jitter = 0.25;
    for (int i = 0; i < 200; i++) {
        struct future *f = submit_retried(&x, &policy);
        int64_t pause;

        timed_fail(&x, fixture_start(&x), REASON_FUNCTION_ERROR);
        pause = f->rare->timing->next_try - x.wall;
        assert_true(pause >= 3 * NS_PER_S && pause <= 5 * NS_PER_S);
        least = MIN(least, pause);
        most = MAX(most, pause);
    }
    assert_true(least < 35 * NS_PER_S / 10 && most > 45 * NS_PER_S / 10);
    fixture_deinit(&x);
}

/* Whatever the numbers are, a pause is a time that can be waited for. */
static void test_pauses_without_bounds(void **state)
{
    struct retry_policy policy = {.max_attempts = 1000,
                                  .initial_backoff_ns = INT64_MAX,
                                  .max_backoff_ns = INT64_MAX,
                                  .multiplier = 1e300,
                                  .jitter = 1};
    struct fixture x;
    struct future *f;

    fixture_init(&x);
    f = submit_retried(&x, &policy);
    timed_fail(&x, fixture_start(&x), REASON_FUNCTION_ERROR);
    assert_int_equal(f->place, PLACE_BACKOFF);
    assert_true(f->rare->timing->next_try > x.wall);
    fixture_pass(&x, NS_PER_S);
    fixture_deinit(&x);
}

/* --- attempt_timeout */

static struct future *submit_timeout(struct fixture *x)
{
    struct engine_submit in = fixture_in(x, NULL);

    in.retry = &TIMED_RETRY;
    in.attempt_timeout_ns = 10 * NS_PER_S;
    return fixture_submit(x, &in);
}

/* It runs from the start of the attempt, not of its reservation. */
static void test_timeout(void **state)
{
    struct fixture x;
    struct lease *lease;
    struct future *f;

    fixture_init(&x);
    f = submit_timeout(&x);
    lease = fixture_claim(&x);
    fixture_pass(&x, 60 * NS_PER_S);
    assert_int_equal(engine_start(x.e, lease, x.wall - 2 * NS_PER_S), 0); /* heard of 2 s late */
    assert_int_equal(fixture_turn(&x)->next, x.mono + 8 * NS_PER_S);
    assert_int_equal(lease->stop, STOP_NOT);
    assert_true(list_is_empty(&x.e->effects.revokes));
    fixture_pass(&x, 8 * NS_PER_S);
    assert_int_equal(lease->stop, STOP_TIMEOUT);
    assert_int_equal(lease->kill_at, x.mono + ENGINE_GRACE_NS);
    assert_int_equal(lease->term_at, x.mono + ENGINE_GRACE_NS / 2);
    assert_int_equal(list_length(&x.e->effects.revokes), 1);
    assert_int_equal(f->state, FUTURE_RUNNING); /* until it has ended */
    timed_fail(&x, lease, REASON_CANCELLED);
    assert_int_equal(f->place, PLACE_BACKOFF);
    assert_int_equal(f->attempts->error->reason, REASON_TIMEOUT);
    assert_non_null(memmem(f->attempts->error->message.p, f->attempts->error->message.len, "it says so", 10));
    fixture_deinit(&x);
}

static void test_finished_first(void **state)
{
    struct fixture x;
    struct lease *lease;
    struct future *f;

    fixture_init(&x);
    f = submit_timeout(&x);
    lease = fixture_start(&x);
    fixture_pass(&x, 10 * NS_PER_S);
    assert_int_equal(lease->stop, STOP_TIMEOUT);
    fixture_succeed(&x, lease);
    assert_int_equal(f->state, FUTURE_SUCCEEDED);
    fixture_deinit(&x);
}

/* --- deadline */

static void test_deadline_of_what_waits(void **state)
{
    struct fixture x;
    struct engine_submit in;
    struct future *ready, *delayed;

    fixture_init(&x);
    in = fixture_in(&x, NULL);
    in.deadline = T0 + NS_PER_S;
    ready = fixture_submit(&x, &in);
    in.not_before = T0 + NS_PER_S;
    delayed = fixture_submit(&x, &in);
    fixture_pass(&x, NS_PER_S - 1);
    assert_int_equal(ready->state, FUTURE_PENDING);
    fixture_pass(&x, 1);
    assert_int_equal(ready->state, FUTURE_FAILED);
    assert_int_equal(delayed->state, FUTURE_FAILED);
    assert_int_equal(ready->outcome->error->reason, REASON_DEADLINE_EXCEEDED);
    assert_null(ready->attempts);
    fixture_deinit(&x);
}

/* What comes too late is never given to anybody. */
static void test_deadline_in_the_past(void **state)
{
    struct fixture x;
    struct engine_submit in;
    struct lease *lease;
    struct future *f, *other;

    fixture_init(&x);
    in = fixture_in(&x, NULL);
    in.deadline = T0;
    f = fixture_submit(&x, &in);
    in.deadline = T0 + NS_PER_S;
    other = fixture_submit(&x, &in);
    assert_ptr_equal(fixture_claim(&x)->future, other);
    assert_int_equal(engine_claim(x.e, x.holder, CLOCK_NEVER, 1, &lease), 0);
    assert_int_equal(engine_end(x.e)->next, x.mono);
    fixture_turn(&x);
    assert_int_equal(f->state, FUTURE_FAILED);
    x.wall += NS_PER_S; /* nor what is given back too late */
    x.e->wall = x.wall;
    engine_release(x.e, other->lease);
    assert_int_equal(engine_claim(x.e, x.holder, CLOCK_NEVER, 1, &lease), 0);
    engine_check(x.e);
    engine_begin(x.e, x.mono, T0); /* the clock is set back in time: it is not too late */
    assert_int_equal(other->place, PLACE_READY);
    fixture_pass(&x, 0);
    assert_int_equal(other->state, FUTURE_FAILED);
    fixture_deinit(&x);
}

/* No attempt is tried again behind it, whatever the policy says; another end that came first is told. */
static void test_deadline_of_what_runs(void **state)
{
    static const struct {
        enum future_reason says, attempt, future;
    } cases[] = {
            {REASON_CANCELLED, REASON_DEADLINE_EXCEEDED, REASON_DEADLINE_EXCEEDED},
            {REASON_CRASHED, REASON_DEADLINE_EXCEEDED, REASON_DEADLINE_EXCEEDED},
            {REASON_FUNCTION_ERROR, REASON_FUNCTION_ERROR, REASON_FUNCTION_ERROR},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture x;
        struct engine_submit in;
        struct lease *lease;
        struct future *f;

        fixture_init(&x);
        in = fixture_in(&x, NULL);
        in.deadline = T0 + NS_PER_S;
        in.retry = &TIMED_RETRY;
        f = fixture_submit(&x, &in);
        lease = fixture_start(&x);
        fixture_pass(&x, NS_PER_S);
        assert_int_equal(f->state, FUTURE_RUNNING);
        assert_int_equal(lease->stop, STOP_DEADLINE);
        timed_fail(&x, lease, cases[i].says);
        assert_int_equal(f->state, FUTURE_FAILED);
        assert_int_equal(f->attempts->error->reason, cases[i].attempt);
        assert_int_equal(f->outcome->error->reason, cases[i].future);
        fixture_deinit(&x);
    }
}

/* A cancel with a long grace gives nobody more time than a timeout or a deadline leaves; what comes later than its end, or
 * leaves as much, changes nothing. */
static void test_cancel_is_no_respite(void **state)
{
    static const struct {
        int64_t grace_ns, timeout_ns, deadline_ns, ends_ns;
        int n_told;
    } cases[] = {
            {3600 * NS_PER_S, 10 * NS_PER_S, 0, 10 * NS_PER_S + ENGINE_GRACE_NS, 2},
            {3600 * NS_PER_S, 0, 20 * NS_PER_S, 20 * NS_PER_S + ENGINE_GRACE_NS, 2},
            {3600 * NS_PER_S, 10 * NS_PER_S, 20 * NS_PER_S, 10 * NS_PER_S + ENGINE_GRACE_NS, 2},
            {3600 * NS_PER_S, 20 * NS_PER_S, 10 * NS_PER_S, 10 * NS_PER_S + ENGINE_GRACE_NS, 2},
            {12 * NS_PER_S, 10 * NS_PER_S, 9 * NS_PER_S, 12 * NS_PER_S, 1},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture x;
        struct engine_submit in;
        struct lease *lease;
        struct future *f;
        mono_ns_t began;
        int n_told = 0;

        fixture_init(&x);
        in = fixture_in(&x, NULL);
        in.attempt_timeout_ns = cases[i].timeout_ns;
        in.deadline = cases[i].deadline_ns ? T0 + cases[i].deadline_ns : 0;
        in.retry = &TIMED_RETRY;
        f = fixture_submit(&x, &in);
        lease = fixture_start(&x);
        began = x.mono;
        assert_int_equal(engine_cancel(x.e, f, x.scope, SPAN_LIT("enough"), cases[i].grace_ns), 0);
        for (int k = 0; k < 30; k++) {
            while (list_pop_front(&x.e->effects.revokes))
                n_told++;
            fixture_pass(&x, NS_PER_S);
        }
        assert_int_equal(lease->stop, STOP_CANCELLED);
        assert_int_equal(lease->kill_at - began, cases[i].ends_ns);
        assert_int_equal(n_told, cases[i].n_told);
        timed_fail(&x, lease, REASON_CANCELLED);
        assert_int_equal(f->state, FUTURE_CANCELLED);
        assert_int_equal(f->outcome->error->reason, REASON_CANCELLED);
        fixture_deinit(&x);
    }
}

/* Without memory it is tried again, soon but not at once. */
static void test_deadline_without_memory(void **state)
{
    for (int is_leased = 0; is_leased < 2; is_leased++)
        for (uint64_t nth = 1, has_failed = 1; has_failed; nth++) {
            struct fixture x;
            struct engine_submit in;
            struct future *f;

            fixture_init(&x);
            in = fixture_in(&x, NULL);
            in.deadline = T0 + NS_PER_S;
            f = fixture_submit(&x, &in);
            if (is_leased)
                fixture_claim(&x);
            fixture_turn(&x);
            mem_fail_at(nth);
            x.wall += NS_PER_S;
            engine_begin(x.e, x.mono += NS_PER_S, x.wall);
            has_failed = !mem_fail_pending();
            mem_fail_at(0);
            engine_check(x.e);
            if (has_failed) {
                assert_int_equal(f->state, FUTURE_PENDING);
                assert_int_equal(engine_end(x.e)->next, x.mono + TIMING_AGAIN_NS);
                fixture_pass(&x, TIMING_AGAIN_NS);
            }
            assert_int_equal(f->state, is_leased ? FUTURE_PENDING : FUTURE_FAILED);
            if (is_leased)
                engine_release(x.e, f->lease);
            assert_int_equal(f->state, FUTURE_FAILED);
            fixture_deinit(&x);
        }
}

/* --- who waits */

static void test_the_last_waiter_leaves(void **state)
{
    struct waiter a, b;
    struct fixture x;
    struct engine_submit in;
    struct future *f;

    fixture_init(&x);
    waiter_init(&a, WAITER_ALL, 0, NULL);
    waiter_init(&b, WAITER_ALL, 0, NULL);
    in = fixture_in(&x, NULL);
    in.is_cancelled_alone = 1;
    f = fixture_submit(&x, &in);
    fixture_turn(&x);
    assert_int_equal(f->state, FUTURE_PENDING); /* nobody has ever waited */
    assert_int_equal(engine_wait(x.e, &a, f, NULL, 0), 0);
    assert_int_equal(engine_wait(x.e, &b, f, NULL, 0), 0);
    engine_waiter_drop(x.e, &a);
    fixture_turn(&x);
    assert_int_equal(f->state, FUTURE_PENDING);
    engine_waiter_drop(x.e, &b);
    assert_int_equal(engine_end(x.e)->next, x.mono);
    fixture_turn(&x);
    assert_int_equal(f->state, FUTURE_CANCELLED);
    fixture_deinit(&x);
}

/* Not where it is we who go. */
static void test_leaving_that_does_not_count(void **state)
{
    struct waiter a;
    struct fixture x;
    struct engine_submit in;
    struct future *f;

    fixture_init(&x);
    waiter_init(&a, WAITER_ALL, 0, NULL);
    in = fixture_in(&x, NULL);
    in.is_cancelled_alone = 1;
    f = fixture_submit(&x, &in);
    assert_int_equal(engine_wait(x.e, &a, f, NULL, 0), 0);
    engine_stay(x.e);
    engine_waiter_drop(x.e, &a);
    fixture_turn(&x);
    assert_int_equal(f->state, FUTURE_PENDING);
    fixture_deinit(&x);
}

/* --- every state and command */

enum at {
    DELAYED,
    BACKOFF,
    LATE_RESERVED,
    TIMED_OUT,
    LATE,
    N_BROUGHT,
    READY = N_BROUGHT,
    CANCEL_ASKED,
    SUCCEEDED,
    FAILED,
    CANCELLED,
    N_AT
};
enum command { CANCEL, LATER, NOW, FAIL, STOPPED, SUCCEED, LOSE, RELEASE, TIME, N_COMMANDS };
enum { STALE = 1000 };

static const struct {
    int result;
    enum at then;
} EXPECTED[N_COMMANDS][N_BROUGHT] = {
        [CANCEL] = {[DELAYED] = {0, CANCELLED},
                    [BACKOFF] = {0, CANCELLED},
                    [LATE_RESERVED] = {0, CANCEL_ASKED},
                    [TIMED_OUT] = {0, CANCEL_ASKED},
                    [LATE] = {0, CANCEL_ASKED}},
        [LATER] = {[DELAYED] = {0, DELAYED},
                   [BACKOFF] = {0, DELAYED},
                   [LATE_RESERVED] = {ENGINE_E_TIMES, LATE_RESERVED},
                   [TIMED_OUT] = {0, TIMED_OUT},
                   [LATE] = {ENGINE_E_TIMES, LATE}},
        [NOW] = {[DELAYED] = {0, READY},
                 [BACKOFF] = {0, READY},
                 [LATE_RESERVED] = {0, LATE_RESERVED},
                 [TIMED_OUT] = {0, TIMED_OUT},
                 [LATE] = {0, LATE}},
        [FAIL] = {[DELAYED] = {STALE, DELAYED},
                  [BACKOFF] = {STALE, BACKOFF},
                  [LATE_RESERVED] = {0, FAILED},
                  [TIMED_OUT] = {0, BACKOFF},
                  [LATE] = {0, FAILED}},
        [STOPPED] = {[DELAYED] = {STALE, DELAYED},
                     [BACKOFF] = {STALE, BACKOFF},
                     [LATE_RESERVED] = {0, FAILED},
                     [TIMED_OUT] = {0, BACKOFF},
                     [LATE] = {0, FAILED}},
        [SUCCEED] = {[DELAYED] = {STALE, DELAYED},
                     [BACKOFF] = {STALE, BACKOFF},
                     [LATE_RESERVED] = {0, SUCCEEDED},
                     [TIMED_OUT] = {0, SUCCEEDED},
                     [LATE] = {0, SUCCEEDED}},
        [LOSE] = {[DELAYED] = {STALE, DELAYED},
                  [BACKOFF] = {STALE, BACKOFF},
                  [LATE_RESERVED] = {0, FAILED},
                  [TIMED_OUT] = {0, READY},
                  [LATE] = {0, FAILED}},
        [RELEASE] =
                {[DELAYED] = {STALE, DELAYED}, [BACKOFF] = {STALE, BACKOFF}, [LATE_RESERVED] = {0, FAILED}},
        [TIME] = {[DELAYED] = {0, READY},
                  [BACKOFF] = {0, READY},
                  [LATE_RESERVED] = {0, LATE_RESERVED},
                  [TIMED_OUT] = {0, TIMED_OUT},
                  [LATE] = {0, LATE}},
};

static enum at where(const struct future *f)
{
    if (f->lease && f->lease->stop == STOP_CANCELLED)
        return CANCEL_ASKED;
    switch ((enum future_state)f->state) {
    case FUTURE_PENDING:
        if (f->lease)
            return LATE_RESERVED;
        return f->place == PLACE_DELAYED ? DELAYED : f->place == PLACE_BACKOFF ? BACKOFF : READY;
    case FUTURE_RUNNING: return f->lease->stop == STOP_DEADLINE ? LATE : TIMED_OUT;
    case FUTURE_SUCCEEDED: return SUCCEEDED;
    case FUTURE_FAILED: return FAILED;
    case FUTURE_CANCELLED: return CANCELLED;
    }
    return N_AT;
}

static struct future *bring(struct fixture *x, enum at at)
{
    struct engine_submit in = fixture_in(x, NULL);
    struct future *f;

    in.retry = &TIMED_RETRY;
    in.attempt_timeout_ns = 10 * NS_PER_S;
    in.deadline = T0 + 100 * NS_PER_S;
    in.not_before = at == DELAYED ? T0 + 50 * NS_PER_S : 0;
    f = fixture_submit(x, &in);
    if (at == BACKOFF)
        timed_fail(x, fixture_start(x), REASON_FUNCTION_ERROR);
    else if (at == LATE_RESERVED)
        fixture_claim(x);
    else if (at != DELAYED)
        fixture_start(x);
    if (at == TIMED_OUT)
        fixture_pass(x, 10 * NS_PER_S);
    else if (at == LATE || at == LATE_RESERVED)
        fixture_pass(x, 100 * NS_PER_S);
    return f;
}

static int run(struct fixture *x, struct future *f, enum command command, struct finish *finish)
{
    const struct engine_reschedule when = {.has_not_before = 1,
                                           .not_before = command == LATER ? x->wall + 60 * NS_PER_S : T0};

    switch (command) {
    case CANCEL: return engine_cancel(x->e, f, x->scope, SPAN_LIT("enough"), NS_PER_S);
    case LATER:
    case NOW: return engine_reschedule(x->e, f, &when);
    case TIME: fixture_pass(x, 60 * NS_PER_S); return 0;
    default: break;
    }
    if (!f->lease)
        return STALE;
    if (command == LOSE)
        return engine_lose(x->e, f->lease);
    if (command == RELEASE) {
        engine_release(x->e, f->lease);
        return 0;
    }
    return engine_finish(x->e, f->lease, finish);
}

static int run_case(enum command command, enum at at, uint64_t nth)
{
    struct finish finish = {0};
    struct fixture x;
    struct future *f;
    uint64_t revision;
    int r, failed;

    fixture_init(&x);
    f = bring(&x, at);
    assert_int_equal(where(f), at);
    if (command == FAIL || command == STOPPED)
        finish = timed_error(command == FAIL ? REASON_FUNCTION_ERROR : REASON_CANCELLED);
    else if (command == SUCCEED)
        finish = fixture_result("r");
    fixture_turn(&x);
    revision = f->revision;
    mem_fail_at(nth);
    r = run(&x, f, command, &finish);
    failed = nth > 0 && !mem_fail_pending();
    mem_fail_at(0);
    engine_check(x.e);
    if (failed && r == -ENOMEM) {
        assert_int_equal(where(f), at);
        assert_int_equal(f->revision, revision);
        r = run(&x, f, command, &finish);
    }
    assert_int_equal(r, EXPECTED[command][at].result);
    assert_int_equal(where(f), EXPECTED[command][at].then);
    bytes_unref(finish.data);
    future_error_unref(finish.error);
    fixture_turn(&x);
    fixture_deinit(&x);
    return failed;
}

static void test_every_command_everywhere(void **state)
{
    uint32_t n_failures = 0;

    for (int c = 0; c < N_COMMANDS; c++)
        for (int at = 0; at < N_BROUGHT; at++) {
            if (c == RELEASE && at > LATE_RESERVED)
                continue;
            run_case((enum command)c, (enum at)at, 0);
            for (uint64_t nth = 1; run_case((enum command)c, (enum at)at, nth); nth++)
                n_failures++;
        }
    assert_true(n_failures > 30);
}

/* What a submission of all of it needs: all or nothing. */
static void test_submit_fails_each_allocation(void **state)
{
    static const struct span types[] = {SPAN_LIT("ValueError")};
    struct retry_policy policy = TIMED_RETRY;
    struct fixture x;

    fixture_init(&x);
    policy.n_types = 1;
    policy.types = types;
    FAIL_EACH_ALLOCATION(nth)
    {
        struct engine_submit in = fixture_in(&x, NULL);
        uint32_t before = x.e->timing.n;
        struct future *f;
        int r;

        in.deadline = T0 + (int64_t)nth * NS_PER_S;
        in.retry = &policy;
        r = fixture_try_submit(&x, &in, &f);
        assert_int_equal(r, test_allocation_failed() ? -ENOMEM : 0);
        assert_int_equal(x.e->timing.n, before + (r == 0));
        engine_check(x.e);
    }
    fixture_deinit(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_delayed_until_its_time),
            cmocka_unit_test(test_a_clock_that_is_set),
            cmocka_unit_test(test_in_the_past_is_at_once),
            cmocka_unit_test(test_work_of_a_turn_is_bounded),
            cmocka_unit_test(test_pauses_grow_and_end),
            cmocka_unit_test(test_losses_do_not_count),
            cmocka_unit_test(test_no_pause),
            cmocka_unit_test(test_what_is_not_tried_again),
            cmocka_unit_test(test_jitter),
            cmocka_unit_test(test_pauses_without_bounds),
            cmocka_unit_test(test_timeout),
            cmocka_unit_test(test_finished_first),
            cmocka_unit_test(test_deadline_of_what_waits),
            cmocka_unit_test(test_deadline_in_the_past),
            cmocka_unit_test(test_deadline_of_what_runs),
            cmocka_unit_test(test_cancel_is_no_respite),
            cmocka_unit_test(test_deadline_without_memory),
            cmocka_unit_test(test_the_last_waiter_leaves),
            cmocka_unit_test(test_leaving_that_does_not_count),
            cmocka_unit_test(test_every_command_everywhere),
            cmocka_unit_test(test_submit_fails_each_allocation),
    };

    test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
