// SPDX-License-Identifier: Apache-2.0
/* What is said of times and retries becomes what the engine holds and what is shown; what is not said has its default. The
 * refusals are among those of every submission (harness_bad_submits). */
#include "service/schedule.h"
#include "tests/unit/service/harness.h"

static Futured__V1__Future *submit(struct harness *h, const char *options, struct future **ret_f)
{
    struct harness_id id = harness_submit(h, "task { function: 'echo' options { %s } }", options);
    Futured__V1__Future *f;
    struct loopback_call c;

    *ret_f = harness_find(h, id.text);
    harness_unary(h, &c, "Get", "id: '%s'", id.text);
    f = harness_message(h, &c, 0, &futured__v1__future__descriptor);
    loopback_call_deinit(&c);
    return f;
}

static void test_nothing(void **state)
{
    Futured__V1__Future *shown;
    struct future *f;
    struct harness h;

    harness_init(&h, NULL);
    shown = submit(&h, "", &f);
    assert_null(f->rare);
    assert_int_equal(shown->effective_options->retry->max_attempts, 1);
    assert_null(shown->effective_options->retry->initial_backoff);
    assert_null(shown->effective_options->deadline);
    assert_null(shown->schedule->next_start_time);
    harness_free(shown);
    shown = submit(&h, "attempt_timeout {} delay {}", &f); /* none at all */
    assert_null(f->rare);
    harness_free(shown);
    harness_deinit(&h);
}

static void test_defaults_of_a_policy(void **state)
{
    Futured__V1__Future *shown;
    struct future *f;
    struct harness h;

    harness_init(&h, NULL);
    shown = submit(&h, "retry { max_attempts: 4 }", &f);
    assert_int_equal(f->rare->timing->retry->max_attempts, 4);
    assert_true(f->rare->timing->retry->initial_backoff_ns == NS_PER_S);
    assert_true(f->rare->timing->retry->max_backoff_ns == 300 * NS_PER_S);
    assert_true(f->rare->timing->retry->multiplier == 2 && f->rare->timing->retry->jitter == 0.2);
    assert_int_equal(shown->effective_options->retry->max_attempts, 4);
    assert_int_equal(shown->effective_options->retry->initial_backoff->seconds, 1);
    assert_int_equal(shown->effective_options->retry->max_backoff->seconds, 300);
    assert_true(shown->effective_options->retry->multiplier == 2);
    assert_true(shown->effective_options->retry->jitter == 0.2);
    harness_free(shown);
    shown = submit(&h, "@7: #290000000000000000", &f); /* a jitter of 0 is one */
    assert_true(f->rare->timing->retry->jitter == 0);
    assert_int_equal(shown->effective_options->retry->jitter_presence_case,
                     FUTURED__V1__RETRY_POLICY__JITTER_PRESENCE_JITTER);
    assert_int_equal(shown->effective_options->retry->max_attempts, 1);
    harness_free(shown);
    harness_deinit(&h);
}

static void test_everything(void **state)
{
    Futured__V1__Future *shown;
    struct future *f;
    struct harness h;

    harness_init(&h, NULL);
    shown = submit(&h,
                   "delay { seconds: 60 } deadline { seconds: 9000000000 } attempt_timeout { seconds: 5 } "
                   "retry { max_attempts: 1000 initial_backoff {} max_backoff { seconds: 7 } "
                   "non_retryable_types: 'A' non_retryable_types: 'B' }",
                   &f);
    assert_true(f->rare->timing->not_before == f->submit_time + 60 * NS_PER_S);
    assert_int_equal(f->place, PLACE_DELAYED);
    assert_true(f->rare->timing->attempt_timeout_ns == 5 * NS_PER_S);
    assert_true(f->rare->timing->retry->initial_backoff_ns == 0);
    assert_int_equal(f->rare->timing->retry->n_types, 2);
    assert_int_equal(shown->effective_options->deadline->seconds, 9000000000);
    assert_int_equal(shown->schedule->deadline->seconds, 9000000000);
    assert_int_equal(shown->effective_options->attempt_timeout->seconds, 5);
    assert_int_equal(shown->effective_options->retry->n_non_retryable_types, 2);
    assert_string_equal(shown->effective_options->retry->non_retryable_types[1], "B");
    assert_int_equal(shown->effective_options->not_before->seconds,
                     shown->schedule->next_start_time->seconds);
    assert_int_equal(shown->pending_reason, FUTURED__V1__PENDING_REASON__PENDING_REASON_DELAYED);
    harness_free(shown);
    harness_deinit(&h);
}

/* A long list of types has room in an answer. */
static void test_long_types(void **state)
{
    Futured__V1__Future *shown;
    struct future *f;
    struct harness h;

    harness_init(&h, NULL);
    shown = submit(&h, "retry { 64 * non_retryable_types: x255 }", &f);
    assert_int_equal(shown->effective_options->retry->n_non_retryable_types, 64);
    assert_int_equal(shown->omitted, 0);
    harness_free(shown);
    harness_deinit(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_nothing),
            cmocka_unit_test(test_defaults_of_a_policy),
            cmocka_unit_test(test_everything),
            cmocka_unit_test(test_long_types),
    };

    test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
