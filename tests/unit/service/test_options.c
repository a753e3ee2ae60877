// SPDX-License-Identifier: Apache-2.0
/* Defaults of a function: what a worker may say, that it is shown, and that it completes what a task does not say; what the
 * options of a task, of a retry, and of one that is retried say to the engine. What is wrong with options of tasks is among the refusals of every submission (harness_bad_submits). */
#include "service/internal.h"
#include "service/options.h"
#include "tests/unit/service/harness.h"

/* A worker says @text of echo. */
static int say(struct harness *h, const char *text, struct grpc_status *st)
{
    struct buf options CLEANUP(buf_deinit) = BUF_INIT;
    struct function *f = engine_function_find(h->engine, SPAN_LIT("echo"));

    text_encode(&options, &futured__v1__task_options__descriptor, "%s", text);
    return functions_say_options(h->functions, f, (struct span){buf_head(&options), buf_len(&options)}, st);
}

static Futured__V1__Future *submit(struct harness *h, const char *options)
{
    struct harness_id id = harness_submit(h, "task { function: 'echo' options { %s } }", options);
    Futured__V1__Future *f;
    struct loopback_call c;

    harness_unary(h, &c, "Get", "id: '%s'", id.text);
    f = harness_message(h, &c, 0, &futured__v1__future__descriptor);
    loopback_call_deinit(&c);
    return f;
}

static void test_completes(void **state)
{
    Futured__V1__Future *f;
    struct grpc_status st;
    struct harness h;

    harness_init(&h, NULL);
    assert_int_equal(say(&h,
                         "priority: 3 attempt_timeout { seconds: 5 } retry { max_attempts: 4 "
                         "non_retryable_types: 'A' } on_lost: 2 retention { seconds: 9 } durability: 2",
                         &st),
                     0);
    f = submit(&h, "");
    assert_int_equal(f->effective_options->durability, 2);
    assert_int_equal(f->effective_options->priority, 3);
    assert_int_equal(f->schedule->priority, 3);
    assert_int_equal(f->effective_options->attempt_timeout->seconds, 5);
    assert_int_equal(f->effective_options->retry->max_attempts, 4);
    assert_int_equal(f->effective_options->retry->initial_backoff->seconds, 1);
    assert_string_equal(f->effective_options->retry->non_retryable_types[0], "A");
    assert_int_equal(f->effective_options->on_lost, 2);
    assert_int_equal(f->effective_options->retention->seconds, 9);
    assert_int_equal(f->task->options->priority, 0); /* as it came */
    assert_null(f->task->options->retry);
    harness_free(f);

    f = submit(&h, "priority: -1 attempt_timeout {} retry { max_attempts: 2 } on_lost: 1 retention {}");
    assert_int_equal(f->effective_options->priority, -1);
    assert_null(f->effective_options->attempt_timeout);
    assert_int_equal(f->effective_options->retry->max_attempts, 2);
    assert_int_equal(f->effective_options->retry->n_non_retryable_types, 0);
    assert_int_equal(f->effective_options->on_lost, 1);
    assert_int_equal(f->effective_options->retention->seconds, 0);
    harness_free(f);

    assert_int_equal(say(&h, "", &st), 0); /* nothing any more */
    f = submit(&h, "");
    assert_int_equal(f->effective_options->priority, 0);
    assert_int_equal(f->effective_options->retry->max_attempts, 1);
    assert_null(f->effective_options->retention);
    harness_free(f);
    harness_deinit(&h);
}

/* The longest ones fit what is reserved for them. */
static void test_shown(void **state)
{
    static const char head[] =
            "priority: -2147483648 attempt_timeout { seconds: 9000000000 nanos: 999999999 } "
            "retention { seconds: 9000000000 nanos: 999999999 } on_lost: 2 durability: 2 "
            "retry { max_attempts: 1000 initial_backoff { seconds: 9000000000 nanos: 999999999 } "
            "max_backoff { seconds: 9000000000 nanos: 999999999 } "
            "64 * non_retryable_types: x255 }";
    Futured__V1__FunctionInfo *info;
    struct function_defaults *d;
    struct loopback_call c;
    struct grpc_status st;
    struct harness h;

    harness_init(&h, NULL);
    assert_int_equal(say(&h, head, &st), 0);
    harness_unary(&h, &c, "Functions/GetFunction", "function: 'echo'");
    info = harness_message(&h, &c, 0, &futured__v1__function_info__descriptor);
    assert_int_equal(info->spec->default_options->priority, INT32_MIN);
    assert_int_equal(info->spec->default_options->retry->n_non_retryable_types, 64);
    assert_int_equal(info->spec->default_options->attempt_timeout->seconds, 9000000000);
    assert_int_equal(info->spec->default_options->retention->seconds, 9000000000);
    assert_int_equal(info->spec->default_options->on_lost, 2);
    assert_int_equal(info->spec->default_options->durability, 2);
    d = engine_function_find(h.engine, SPAN_LIT("echo"))->defaults.all;
    assert_true(futured__v1__task_options__get_packed_size(info->spec->default_options) <=
                options_defaults_size(d));
    assert_int_equal(options_defaults_size(NULL), 0);
    harness_free(info);
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

static void test_refused(void **state)
{
    static const struct {
        const char *text, *reason, *field;
    } cases[] = {
            {"delay {}", "INVALID_FIELD", "delay"},
            {"not_before { seconds: 1 }", "INVALID_FIELD", "not_before"},
            {"deadline { seconds: 1 }", "INVALID_FIELD", "deadline"},
            {"depends_on: 'x'", "INVALID_FIELD", "depends_on"},
            {"depend_policy: 1", "INVALID_FIELD", "depend_policy"},
            {"pass_results: 1", "INVALID_FIELD", "pass_results"},
            {"idempotency_key: 'k'", "INVALID_FIELD", "idempotency_key"},
            {"key_policy: 1", "INVALID_FIELD", "key_policy"},
            {"concurrency_key: 'k'", "INVALID_FIELD", "concurrency_key"},
            {"fairness_key: 'k'", "INVALID_FIELD", "fairness_key"},
            {"priority: 3 on_lost: 3", "INVALID_FIELD", "on_lost"},
            {"durability: 3", "INVALID_FIELD", "durability"},
            {"retention { seconds: -1 }", "INVALID_FIELD", "retention"},
            {"retry { max_attempts: 1001 }", "INVALID_FIELD", "retry.max_attempts"},
            {"retry { 65 * non_retryable_types: 'a' }", "INVALID_FIELD", "retry.non_retryable_types"},
            {"retry { non_retryable_types: '' }", "INVALID_FIELD", "retry.non_retryable_types"},
            {"retry { @3: 1 }", "INVALID_FIELD", "retry.multiplier"},
            {"durability: 1", "NO_STORE", NULL},
    };
    struct harness h;

    harness_init(&h, NULL);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct grpc_status st;
        char field[128];

        assert_true(say(&h, cases[i].text, &st) > 0);
        assert_string_equal(st.reason, cases[i].reason);
        snprintf(field, sizeof field, "hello.functions.default_options.%s",
                 cases[i].field ? cases[i].field : "");
        if (cases[i].field)
            assert_string_equal(st.violations[0].field, field);
        assert_null(engine_function_find(h.engine, SPAN_LIT("echo"))->defaults.all);
    }
    harness_deinit(&h);
}

/* delay 5 s, deadline far away, priority -3, on_lost FAIL, a key, and one to depend on */
static const char everything[] = "\x10\x05\x1a\x02\x08\x05\x2a\x06\x08\x80\xa8\xd6\xb9\x07\x40\x02\x4a\x24"
                                 "01000000-0000-7000-8000-000000000000\x50\x02\x58\x01\x62\x01k\x68\x04";

static const struct span raw = {(const uint8_t *)everything, sizeof everything - 1};

static void test_of_a_task(void **state)
{
    struct engine_submit in = {0};
    struct schedule_room room;
    struct grpc_status st;
    struct harness h;

    harness_init(&h, NULL);
    assert_int_equal(options_read(h.futures, raw, OPTIONS_OF_TASK, &room, &in, &st), 0);
    assert_int_equal(in.priority, -3);
    assert_true(in.not_before == h.wall + 5 * NS_PER_S);
    assert_true(in.deadline == INT64_C(2000000000) * NS_PER_S);
    assert_int_equal(in.on_lost, ON_LOST_FAIL);
    assert_int_equal(in.durability, DURABILITY_EPHEMERAL); /* there is no store */
    assert_true(span_eq(in.key, SPAN_LIT("k")));
    assert_int_equal(in.key_policy, KEY_REJECT);
    assert_int_equal(in.n_upstreams, 1);
    assert_int_equal(in.depend_policy, DEPEND_ON_FINISH);
    assert_int_equal(in.passes_results, 1);
    harness_deinit(&h);
}

/* Its key, its start and its deadline are over. */
static void test_of_one_that_is_retried(void **state)
{
    struct engine_submit in = {0};
    struct schedule_room room;
    struct grpc_status st;
    struct harness h;

    harness_init(&h, NULL);
    assert_int_equal(options_read(h.futures, raw, OPTIONS_OF_RETRIED, &room, &in, &st), 0);
    assert_int_equal(in.priority, -3);
    assert_true(in.not_before == 0 && in.deadline == 0);
    assert_int_equal(in.key.len, 0);
    assert_int_equal(in.n_upstreams, 1);
    harness_deinit(&h);
}

static void test_of_a_retry(void **state)
{
    struct engine_submit in = {0};
    struct schedule_room room;
    struct grpc_status st;
    struct harness h;

    harness_init(&h, NULL);
    assert_int_equal(options_read(h.futures, raw, OPTIONS_OF_RETRY, &room, &in, &st), REQUEST_E_BAD);
    assert_string_equal(st.message, "options.idempotency_key: a retry has no key; leave it out");
    harness_deinit(&h);
}

static void test_none(void **state)
{
    struct engine_submit in = {0};
    struct schedule_room room;
    struct grpc_status st;
    struct harness h;

    harness_init(&h, NULL);
    assert_int_equal(options_read(h.futures, (struct span){0}, OPTIONS_OF_TASK, &room, &in, &st), 0);
    assert_true(in.priority == 0 && in.not_before == 0 && in.deadline == 0 && in.n_upstreams == 0);
    assert_int_equal(in.on_lost, ON_LOST_RETRY);
    assert_true(in.retention_ns == -1);
    harness_deinit(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_completes),
            cmocka_unit_test(test_shown),
            cmocka_unit_test(test_refused),
            cmocka_unit_test(test_of_a_task),
            cmocka_unit_test(test_of_one_that_is_retried),
            cmocka_unit_test(test_of_a_retry),
            cmocka_unit_test(test_none),
    };

    test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
