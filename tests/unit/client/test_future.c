// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"
#include "client/lib/future.h"
#include "tests/support/testing.h"
#include "tests/unit/client/sample.h"

static uint8_t wire[SAMPLE_BYTES];

static struct futured_future *decode(size_t n)
{
    struct futured_future *f;

    assert_int_equal(futured_future_decode((struct span){wire, n}, &f), 0);
    return f;
}

static void check_task(const struct futured_task *t)
{
    assert_string_equal(t->function, "crash");
    assert_int_equal(t->argument.size, 11);
    assert_memory_equal(t->argument.data, "hello\nworld", 11);
    assert_string_equal(t->content_type, "text/plain");
    assert_int_equal(t->n_labels, 2); /* by key, whatever their order on the wire */
    assert_string_equal(t->labels[0].key, "file");
    assert_string_equal(t->labels[0].value, "/usr/share/x");
    assert_string_equal(t->labels[1].key, "n");
}

static void check_options(const struct futured_task_options *o)
{
    assert_int_equal(o->durability, FUTURED_EPHEMERAL);
    assert_int_equal(o->priority, -5);
    assert_int_equal(o->delay_ns, 1500 * NS_PER_MS);
    assert_int_equal(o->not_before_ns, FUTURED_NO_TIME);
    assert_int_equal(o->deadline_ns, 1770465661 * NS_PER_S);
    assert_int_equal(o->attempt_timeout_ns, 1500 * NS_PER_MS);
    assert_int_equal(o->retention_ns, 1500 * NS_PER_MS);
    assert_int_equal(o->max_attempts, 2);
    assert_int_equal(o->initial_backoff_ns, 1500 * NS_PER_MS);
    assert_true(o->multiplier == 1.5 && o->jitter == 0.5);
    assert_int_equal(o->n_non_retryable_types, 1);
    assert_string_equal(o->non_retryable_types[0], "ValueError");
    assert_int_equal(o->max_backoff_ns, 1500 * NS_PER_MS);
    assert_int_equal(o->on_lost, FUTURED_ON_LOST_FAIL);
    assert_int_equal(o->n_depends_on, 1);
    assert_string_equal(o->depends_on[0], SAMPLE_ID "9");
    assert_int_equal(o->depend_policy, FUTURED_DEPEND_ON_FINISH);
    assert_true(o->pass_results);
    assert_string_equal(o->idempotency_key, "job-1");
    assert_int_equal(o->key_policy, FUTURED_KEY_REJECT);
    assert_string_equal(o->concurrency_key, "disk");
    assert_string_equal(o->fairness_key, "team-a");
}

static void check_attempts(const struct futured_future *f)
{
    const struct futured_attempt *first, *second;

    assert_int_equal(f->n_attempts, 2);
    first = f->attempts[0];
    second = f->attempts[1];
    assert_int_equal(first->number, 1);
    assert_string_equal(first->worker, "pool-3");
    assert_int_equal(first->start_time_ns, 1769860801 * NS_PER_S);
    assert_int_equal(first->end_time_ns, 1769860861 * NS_PER_S + 500 * NS_PER_MS);
    assert_string_equal(first->error->type, "ValueError");
    assert_true(first->has_exit_code && first->exit_code == 1);
    assert_false(first->has_signal);
    assert_int_equal(first->user_cpu_ns, 2 * NS_PER_MS);
    assert_int_equal(first->system_cpu_ns, 2 * NS_PER_MS);
    assert_int_equal(first->wall_ns, 1500 * NS_PER_MS);
    assert_true(first->has_max_rss);
    assert_int_equal(first->max_rss_bytes, 3 << 20);
    assert_true(second->has_signal && second->signal == SIGSEGV);
    assert_false(second->has_exit_code || second->has_max_rss);
    assert_int_equal(second->wall_ns, FUTURED_NO_SPAN);
}

static void test_whole(void **state)
{
    size_t n = sample_whole(wire);
    struct futured_future *f = decode(n);

    assert_string_equal(f->id, SAMPLE_ID "1");
    assert_int_equal(f->state, FUTURED_STATE_FAILED);
    assert_true(futured_future_is_done(f));
    assert_int_equal(f->revision, 42);
    assert_null(f->result);
    assert_int_equal(f->error->code, FUTURED_INTERNAL);
    assert_string_equal(f->error->reason, "CRASHED");
    assert_string_equal(f->error->message, "the worker died");
    assert_string_equal(f->error->traceback, "");
    assert_true(f->error->retryable);
    check_task(f->task);
    check_options(f->task->options);
    check_options(f->effective_options);
    check_attempts(f);
    assert_int_equal(f->submit_time_ns, 1769860800 * NS_PER_S + 123 * NS_PER_MS);
    assert_int_equal(f->start_time_ns, 1769860801 * NS_PER_S);
    assert_int_equal(f->expire_time_ns, 1770465661 * NS_PER_S);
    assert_int_equal(f->n_labels, 1);
    assert_string_equal(f->labels[0].key, "seen");
    assert_string_equal(f->group, "nightly");
    assert_string_equal(f->tag, "t1");
    assert_string_equal(f->name_space, "blue");
    assert_int_equal(f->progress->completed, 5);
    assert_int_equal(f->progress->total, 10);
    assert_string_equal(f->progress->message, "half way");
    assert_int_equal(f->cancel_requested->time_ns, 1769860801 * NS_PER_S);
    assert_string_equal(f->cancel_requested->principal, "alice");
    assert_string_equal(f->cancel_requested->reason, "too slow");
    assert_int_equal(f->cancel_requested->grace_ns, 1500 * NS_PER_MS);
    assert_int_equal(f->priority, 9);
    assert_int_equal(f->not_before_ns, 1769860801 * NS_PER_S);
    assert_int_equal(f->deadline_ns, 1770465661 * NS_PER_S);
    assert_int_equal(f->next_start_time_ns, 1769860861 * NS_PER_S + 500 * NS_PER_MS);
    assert_int_equal(f->retention_ns, 1500 * NS_PER_MS);
    assert_string_equal(f->principal, "alice");
    assert_string_equal(f->peer, "unix:uid=0,pid=7");
    assert_string_equal(f->traceparent, "00-aa-bb-01");
    assert_string_equal(f->retry_of, SAMPLE_ID "0");
    assert_string_equal(f->retried_by, SAMPLE_ID "2");
    assert_int_equal(f->argument_size, 11);
    assert_true(f->omitted);
    assert_int_equal(f->wire.size, n);
    assert_memory_equal(f->wire.data, wire, n);
    assert_null(futured_future_free(f));
}

static void test_small(void **state)
{
    size_t n = sample_small(SAMPLE_ID "3", FUTURED__V1__STATE__STATE_SUCCEEDED, "out", wire);
    struct futured_future *f = decode(n);

    assert_int_equal(f->state, FUTURED_STATE_SUCCEEDED);
    assert_int_equal(f->result->data.size, 3);
    assert_memory_equal(f->result->data.data, "out", 3);
    assert_int_equal(f->result->size, 3);
    assert_string_equal(f->result->content_type, "");
    assert_null(f->error);
    assert_null(f->task);
    assert_null(f->effective_options);
    assert_null(f->progress);
    assert_null(f->cancel_requested);
    assert_int_equal(f->n_attempts, 0);
    assert_string_equal(f->group, "");
    assert_string_equal(f->principal, "");
    assert_int_equal(f->submit_time_ns, FUTURED_NO_TIME);
    assert_int_equal(f->retention_ns, FUTURED_NO_SPAN);
    futured_future_free(f);

    n = sample_small(SAMPLE_ID "3", FUTURED__V1__STATE__STATE_RUNNING, "", wire);
    f = decode(n);
    assert_false(futured_future_is_done(f));
    futured_future_free(f);
    futured_future_free(NULL);
}

/* A state of a later daemon: not one of ours, and no crash. */
static void test_unknown_state(void **state)
{
    static const uint8_t strange[] = {0x10, 0x63};
    struct futured_future *f;

    assert_int_equal(futured_future_decode((struct span){strange, sizeof strange}, &f), 0);
    assert_int_equal(f->state, FUTURED_STATE_UNSPECIFIED);
    assert_false(futured_future_is_done(f));
    futured_future_free(f);
}

/* Each cut of a record is refused or is a shorter record, and reads nothing behind it. */
static void test_cut(void **state)
{
    size_t n = sample_whole(wire);

    for (size_t i = 0; i < n; i++) {
        uint8_t *exact = malloc(i ? i : 1);
        struct futured_future *f;

        assert_non_null(exact);
        memcpy(exact, wire, i);
        if (futured_future_decode((struct span){exact, i}, &f) == 0)
            futured_future_free(f);
        free(exact);
    }
}

static void test_memory(void **state)
{
    size_t n = sample_whole(wire);

    FAIL_EACH_ALLOCATION(nth)
    {
        struct futured_future *f = NULL;
        int r = futured_future_decode((struct span){wire, n}, &f);

        assert_int_equal(r, test_allocation_failed() ? -ENOMEM : 0);
        futured_future_free(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_whole), cmocka_unit_test(test_small),  cmocka_unit_test(test_unknown_state),
            cmocka_unit_test(test_cut),   cmocka_unit_test(test_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
