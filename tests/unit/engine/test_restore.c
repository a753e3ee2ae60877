// SPDX-License-Identifier: Apache-2.0
/* What comes back from the store: in its place, with all it had; what ran is lost as in a running daemon. */
#include "engine/group.h"
#include "engine/restore.h"
#include "tests/unit/engine/stored.h"

static const struct label own_labels[] = {{SPAN_LIT("a"), SPAN_LIT("1")}, {SPAN_LIT("b"), SPAN_LIT("2")}};

static struct restored plain(uint64_t key, enum future_state state)
{
    return (struct restored){
            .id = id_make(key, key * 7),
            .state = state,
            .on_lost = ON_LOST_RETRY,
            .priority = 5,
            .revision = 40,
            .submit_time = T0 - NS_PER_S,
            .retention_ns = -1,
            .function = SPAN_LIT("echo"),
            .namespace = SPAN_LIT("ns"),
            .principal = SPAN_LIT("alice"),
    };
}

static const struct restored_attempt running_attempt = {
        .number = 4, .start_time = T0 - 5, .worker = SPAN_LIT("old-worker"), .usage = {-1, -1, -1, -1}};

static const struct restored_attempt failed_attempt = {
        .number = 2,
        .has_exit_code = 1,
        .exit_code = 9,
        .has_error = 1,
        .start_time = T0 - 50,
        .end_time = T0 - 40,
        .worker = SPAN_LIT("older-worker"),
        .usage = {1, 2, 3, 4},
        .error = {.code = 2, .reason = REASON_CRASHED, .message = SPAN_LIT("boom")}};

static struct restored running(uint64_t key, const struct restored_attempt *attempt)
{
    struct restored in = plain(key, FUTURE_RUNNING);

    in.n_claims = attempt->number;
    in.n_attempts = 1;
    in.attempts = attempt;
    return in;
}

static struct future *restore(struct fixture *x, struct restored *in)
{
    struct future *f = NULL;

    in->task = bytes_dup("task", 4);
    in->data = in->state == FUTURE_SUCCEEDED ? bytes_dup("result", 6) : NULL;
    assert_int_equal(engine_restore(x->e, in, &f), 0);
    bytes_unref(in->task);
    bytes_unref(in->data);
    engine_check(x->e);
    return f;
}

static struct restored full(uint64_t key, enum future_state state)
{
    struct restored in = plain(key, state);

    in.group = SPAN_LIT("g");
    in.peer = SPAN_LIT("unix:uid=1");
    in.tag = SPAN_LIT("tag");
    in.traceparent = SPAN_LIT("00-trace");
    in.retention_ns = 3600 * NS_PER_S;
    in.n_losses = 2;
    in.n_claims = 3;
    in.has_labels = 1;
    in.n_labels = ARRAY_LEN(own_labels);
    in.labels = own_labels;
    in.n_attempts = 1;
    in.attempts = &failed_attempt;
    in.argument_at = 1;
    in.argument_field_bytes = 2;
    in.argument_bytes = 1;
    if (state >= FUTURE_SUCCEEDED) {
        in.end_time = T0 - 30;
        in.expire_time = T0 + 3600 * NS_PER_S;
    }
    return in;
}

static void test_everything_is_kept(void **state)
{
    struct restored in = full(500, FUTURE_PENDING);
    struct fixture x;
    struct future *f;

    stored_init(&x, UINT64_MAX);
    f = restore(&x, &in);
    assert_int_equal(f->state, FUTURE_PENDING);
    assert_memory_equal(&f->id, &in.id, sizeof in.id);
    assert_ptr_equal(engine_find(x.e, x.scope, &in.id), f);
    assert_ptr_equal(f->scope, x.scope);
    assert_ptr_equal(f->function, x.fn);
    assert_int_equal(f->durability, DURABILITY_DURABLE);
    assert_int_equal(f->priority, 5);
    assert_int_equal(f->revision, 40);
    assert_int_equal(f->submit_time, T0 - NS_PER_S);
    assert_int_equal(f->n_claims, 3);
    assert_int_equal(f->argument_at, 1);
    assert_int_equal(f->argument_field_bytes, 2);
    assert_int_equal(f->argument_bytes, 1);
    assert_true(span_eq(future_group(f), SPAN_LIT("g")));
    assert_true(span_eq(SPAN_OF_BYTES(f->peer), in.peer));
    assert_true(span_eq(SPAN_OF_BYTES(f->rare->tag), in.tag));
    assert_true(span_eq(SPAN_OF_BYTES(f->rare->traceparent), in.traceparent));
    assert_int_equal(f->rare->retention_ns, in.retention_ns);
    assert_int_equal(f->rare->n_losses, 2);
    assert_int_equal(f->labels->n, 2);
    assert_true(span_eq(f->labels->at[1].value, SPAN_LIT("2")));
    assert_int_equal(f->attempts->number, 2);
    assert_int_equal(f->attempts->exit_code, 9);
    assert_int_equal(f->attempts->usage.max_rss_bytes, 4);
    assert_int_equal(f->attempts->error->reason, REASON_CRASHED);
    assert_true(span_eq(SPAN_OF_BYTES(f->attempts->worker), SPAN_LIT("older-worker")));
    assert_int_equal(engine_end(x.e)->n_facts, 0); /* nothing has changed: nothing is written */
    fixture_deinit(&x);
}

/* In key order the waiting ones keep their places, and a new one is behind them, with a higher ID and revision. */
static void test_order_ids_revisions(void **state)
{
    struct restored a = plain(500, FUTURE_PENDING), b = plain(600, FUTURE_PENDING),
                    c = plain(700, FUTURE_PENDING);
    struct fixture x;
    struct future *f[4];

    stored_init(&x, UINT64_MAX);
    b.revision = UINT64_C(9) << 40;
    f[0] = restore(&x, &a);
    f[1] = restore(&x, &b);
    f[2] = restore(&x, &c);
    f[3] = fixture_submit(&x, &(struct engine_submit){.scope = x.scope,
                                                      .function = SPAN_LIT("echo"),
                                                      .durability = DURABILITY_DURABLE,
                                                      .on_lost = ON_LOST_RETRY,
                                                      .priority = 5,
                                                      .retention_ns = -1});
    assert_true(id_key(&f[3]->id) > 1000);
    assert_true(f[3]->revision > b.revision);
    for (int i = 0; i < 4; i++)
        assert_ptr_equal(fixture_claim(&x)->future, f[i]);
    fixture_deinit(&x);
}

static void test_keys_continue_above_what_came_back(void **state)
{
    uint64_t ahead = ((uint64_t)(T0 / NS_PER_MS) + 5000) << 12;
    struct restored in = plain(ahead, FUTURE_PENDING);
    struct fixture x;

    stored_init(&x, UINT64_MAX);
    restore(&x, &in);
    assert_true(id_key(&fixture_submit(&x, NULL)->id) > ahead);
    fixture_deinit(&x);
}

/* A later claim has a higher number than any before the restart. */
static void test_running_goes_back(void **state)
{
    struct restored in = running(500, &running_attempt), other = plain(600, FUTURE_PENDING);
    struct fixture x;
    struct future *f;
    struct lease *lease;

    stored_init(&x, UINT64_MAX);
    in.revision = 77;
    f = restore(&x, &in);
    restore(&x, &other);
    assert_int_equal(f->state, FUTURE_PENDING);
    assert_int_equal(f->rare->n_losses, 1);
    assert_int_equal(f->attempts->end_time, T0);
    assert_int_equal(f->attempts->error->reason, REASON_WORKER_LOST);
    assert_true(f->revision > 77);
    assert_int_equal(f->fact, FACT_NOW);
    lease = fixture_claim(&x);
    assert_ptr_equal(lease->future, f);
    assert_int_equal(lease->attempt, 5);
    fixture_deinit(&x);
}

static void test_running_for_the_fourth_time(void **state)
{
    struct restored in = running(500, &running_attempt);
    struct fixture x;
    struct future *f;

    stored_init(&x, UINT64_MAX);
    in.n_losses = 3;
    f = restore(&x, &in);
    assert_int_equal(f->state, FUTURE_FAILED);
    assert_int_equal(f->outcome->error->reason, REASON_WORKER_LOST);
    assert_int_equal(f->outcome->end_time, T0);
    assert_int_equal(x.fn->n_failed, 1);
    fixture_deinit(&x);
}

static void test_running_must_not_run_twice(void **state)
{
    struct restored in = running(500, &running_attempt);
    struct fixture x;
    struct future *f;

    stored_init(&x, UINT64_MAX);
    in.on_lost = ON_LOST_FAIL;
    f = restore(&x, &in);
    assert_int_equal(f->state, FUTURE_FAILED);
    assert_int_equal(f->outcome->error->reason, REASON_OUTCOME_UNKNOWN);
    assert_int_equal(f->attempts->error->reason, REASON_WORKER_LOST);
    fixture_deinit(&x);
}

/* About to start is as good as started; with on_lost RETRY the mark says nothing. */
static void test_armed(void **state)
{
    struct restored fail = plain(500, FUTURE_PENDING), retry = plain(600, FUTURE_PENDING),
                    plain_fail = plain(700, FUTURE_PENDING);
    struct fixture x;

    stored_init(&x, UINT64_MAX);
    fail.on_lost = plain_fail.on_lost = ON_LOST_FAIL;
    fail.is_armed = retry.is_armed = 1;
    assert_int_equal(restore(&x, &fail)->outcome->error->reason, REASON_OUTCOME_UNKNOWN);
    assert_int_equal(restore(&x, &retry)->state, FUTURE_PENDING);
    assert_int_equal(restore(&x, &plain_fail)->state, FUTURE_PENDING);
    fixture_deinit(&x);
}

/* However long ago it was accepted: of what goes on it is known; of what has ended only for its ten minutes. */
static void test_request_id(void **state)
{
    struct restored live = plain(500, FUTURE_PENDING), done = full(600, FUTURE_SUCCEEDED);
    const struct scope *scope;
    const struct id *id;
    struct fixture x;

    stored_init(&x, UINT64_MAX);
    live.request_id = SPAN_LIT("live");
    done.request_id = SPAN_LIT("done");
    live.submit_time = done.submit_time = T0 - 2 * RESEND_NS;
    restore(&x, &live);
    restore(&x, &done);
    scope = engine_scope(x.e, live.namespace, live.principal);
    id = engine_find_request(x.e, scope, SPAN_LIT("live"));
    assert_non_null(id);
    assert_int_equal(id_key(id), 500);
    assert_null(engine_find_request(x.e, scope, SPAN_LIT("done")));
    fixture_deinit(&x);
}

static void test_cancelled_meanwhile(void **state)
{
    struct restored pending = plain(500, FUTURE_PENDING), ran = running(600, &running_attempt);
    struct fixture x;
    struct future *f;

    stored_init(&x, UINT64_MAX);
    pending.has_cancel = ran.has_cancel = 1;
    pending.cancel_time = ran.cancel_time = T0 - 3;
    pending.cancel_principal = ran.cancel_principal = SPAN_LIT("bob");
    pending.cancel_reason = ran.cancel_reason = SPAN_LIT("enough");
    f = restore(&x, &pending);
    assert_int_equal(f->state, FUTURE_CANCELLED);
    assert_true(span_eq(SPAN_OF_BYTES(f->rare->cancel_requested->principal), SPAN_LIT("bob")));
    f = restore(&x, &ran);
    assert_int_equal(f->state, FUTURE_CANCELLED);
    assert_int_equal(f->outcome->error->reason, REASON_CANCELLED);
    assert_true(span_eq(f->outcome->error->message, SPAN_LIT("enough")));
    assert_int_equal(f->attempts->error->reason, REASON_WORKER_LOST);
    assert_int_equal(stored_end(&x)->n_facts, 2);
    stored_begin(&x);
    fixture_deinit(&x);
}

/* Finished ones are as they were, are no news for the store, and expire when they should, in whatever order they came. */
static void test_finished(void **state)
{
    struct restored done = full(700, FUTURE_SUCCEEDED), failed = full(500, FUTURE_FAILED),
                    cancelled = full(600, FUTURE_CANCELLED);
    struct fixture x;
    struct future *f;

    stored_init(&x, UINT64_MAX);
    stored_turn(&x);
    done.content_type = SPAN_LIT("text/plain");
    done.group = (struct span){0};
    failed.has_error = failed.error_is_shared = 1;
    failed.retention_ns = -1;
    cancelled.has_error = cancelled.has_cancel = 1;
    cancelled.error = (struct future_error){.code = 1, .reason = REASON_CANCELLED};
    failed.expire_time = T0 + 60 * NS_PER_S;
    f = restore(&x, &done);
    assert_true(span_eq(SPAN_OF_BYTES(f->outcome->data), SPAN_LIT("result")));
    assert_true(span_eq(SPAN_OF_BYTES(f->outcome->content_type), SPAN_LIT("text/plain")));
    assert_int_equal(f->outcome->end_time, T0 - 30);
    assert_int_equal(future_expire_time(f), done.expire_time);
    f = restore(&x, &failed);
    assert_ptr_equal(f->outcome->error, f->attempts->error);
    f = restore(&x, &cancelled);
    assert_int_equal(f->outcome->error->reason, REASON_CANCELLED);
    assert_non_null(f->rare->cancel_requested);
    assert_int_equal(x.fn->n_succeeded + x.fn->n_failed + x.fn->n_cancelled, 0); /* not now */
    assert_int_equal(stored_end(&x)->is_commit, 0);
    assert_int_equal(engine_stats(x.e).n_restored, 3);
    fixture_pass(&x, 61 * NS_PER_S);
    assert_null(engine_find(x.e, x.scope, &failed.id));
    assert_non_null(engine_find(x.e, x.scope, &done.id));
    fixture_pass(&x, 3600 * NS_PER_S);
    assert_int_equal(engine_stats(x.e).n_futures, 0);
    fixture_deinit(&x);
}

/* It can be annotated: the store is told of a change, not of an end. */
static void test_finished_changes(void **state)
{
    struct restored in = full(500, FUTURE_FAILED);
    struct effects *effects;
    struct fixture x;
    struct future *f;

    stored_init(&x, UINT64_MAX);
    stored_turn(&x);
    in.has_error = 1;
    f = restore(&x, &in);
    assert_int_equal(engine_annotate(x.e, f, labels_new(own_labels, 1), NULL), 0);
    effects = engine_end(x.e);
    assert_int_equal(effects->n_facts, 1);
    assert_int_equal(engine_fact_is_first(effects->facts[0]), 0);
    engine_taken(x.e);
    fixture_deinit(&x);
}

/* What had been accepted comes back whatever the limits are now; what has ended may be refused. */
static void test_limits(void **state)
{
    struct restored a = plain(500, FUTURE_PENDING), b = plain(600, FUTURE_PENDING),
                    c = full(700, FUTURE_FAILED);
    struct fixture x;
    struct future *f;

    stored_init(&x, UINT64_MAX);
    x.e->account.limits.max_futures = 1;
    restore(&x, &a);
    restore(&x, &b);
    c.has_error = 1;
    c.task = bytes_dup("task", 4);
    assert_int_equal(engine_restore(x.e, &c, &f), ENGINE_E_FULL_FUTURES);
    x.e->account.limits = LIMITS_DEFAULT;
    x.e->account.limits.max_memory_bytes = x.e->account.n_bytes + 10;
    assert_int_equal(engine_restore(x.e, &c, &f), ENGINE_E_FULL_MEMORY);
    bytes_unref(c.task);
    fixture_deinit(&x);
}

/* A function that nobody has configured any more keeps its tasks. */
static void test_unknown_function(void **state)
{
    struct restored in = plain(500, FUTURE_PENDING);
    struct fixture x;

    stored_init(&x, UINT64_MAX);
    x.e->config.limits.max_functions = 1;
    in.function = SPAN_LIT("gone");
    assert_int_equal(future_pending_reason(restore(&x, &in)), PENDING_NO_WORKER);
    assert_non_null(engine_function_find(x.e, SPAN_LIT("gone")));
    fixture_deinit(&x);
}

/* Nothing is half done: neither for what goes on nor for what has ended. */
static void test_fail_each_allocation(void **state)
{
    struct restored kinds[5] = {full(500, FUTURE_PENDING), full(500, FUTURE_RUNNING),
                                full(500, FUTURE_SUCCEEDED), full(500, FUTURE_FAILED),
                                full(500, FUTURE_RUNNING)};

    kinds[1].attempts = kinds[4].attempts = &running_attempt;
    kinds[1].n_claims = kinds[4].n_claims = 4;
    kinds[2].content_type = SPAN_LIT("text/plain");
    kinds[3].has_error = 1;
    kinds[4].has_cancel = 1;
    kinds[4].cancel_reason = SPAN_LIT("enough");
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct restored *in = &kinds[i];
        int has_failed = 1;

        for (uint64_t nth = 1; has_failed; nth++) {
            struct future *f = NULL;
            struct fixture x;
            int r;

            stored_init(&x, UINT64_MAX);
            in->task = bytes_dup("task", 4);
            in->data = in->state == FUTURE_SUCCEEDED ? bytes_dup("result", 6) : NULL;
            mem_fail_at(nth);
            r = engine_restore(x.e, in, &f);
            has_failed = test_allocation_failed();
            mem_fail_at(0);
            assert_true(nth > 10 || has_failed);
            engine_check(x.e);
            if (has_failed) {
                assert_int_equal(r, -ENOMEM);
                assert_int_equal(engine_stats(x.e).n_futures, 0);
                assert_int_equal(x.e->n_promised, 0);
                r = engine_restore(x.e, in, &f);
            }
            assert_int_equal(r, 0);
            bytes_unref(in->task);
            bytes_unref(in->data);
            assert_ptr_equal(engine_find_any(x.e, &in->id), f);
            fixture_deinit(&x);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_everything_is_kept),
            cmocka_unit_test(test_order_ids_revisions),
            cmocka_unit_test(test_keys_continue_above_what_came_back),
            cmocka_unit_test(test_running_goes_back),
            cmocka_unit_test(test_running_for_the_fourth_time),
            cmocka_unit_test(test_running_must_not_run_twice),
            cmocka_unit_test(test_armed),
            cmocka_unit_test(test_request_id),
            cmocka_unit_test(test_cancelled_meanwhile),
            cmocka_unit_test(test_finished),
            cmocka_unit_test(test_finished_changes),
            cmocka_unit_test(test_limits),
            cmocka_unit_test(test_unknown_function),
            cmocka_unit_test(test_fail_each_allocation),
    };

    test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
