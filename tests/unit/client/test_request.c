// SPDX-License-Identifier: Apache-2.0
#include "base/limit.h"
#include "client/lib/client.h"
#include "client/lib/request.h"
#include "tests/support/testing.h"

#include <futured/v1/futures.pb-c.h>

static Futured__V1__SubmitRequest *round_trip(const struct futured_request *request, const char *tag)
{
    struct buf out = BUF_INIT;
    struct writer w = writer_to(&out);
    Futured__V1__SubmitRequest *submit;

    futured_request_write_submit(request, &w, tag);
    assert_int_equal(w.failed, 0);
    submit = futured__v1__submit_request__unpack(NULL, buf_len(&out), buf_head(&out));
    assert_non_null(submit);
    assert_non_null(submit->task);
    /* nothing is said twice or that is no field */
    assert_int_equal(futured__v1__submit_request__get_packed_size(submit), buf_len(&out));
    buf_deinit(&out);
    return submit;
}

static void fill(struct futured_request *request)
{
    futured_request_set_argument(request, "first", 5);
    futured_request_set_argument(request, "a\0b", 3);
    futured_request_set_content_type(request, "text/plain");
    futured_request_add_label(request, "file", "x");
    futured_request_add_label(request, "n", "1");
    futured_request_add_label(request, "n", "2");
    futured_request_set_group(request, "g");
    futured_request_set_tag(request, "old");
    futured_request_set_tag(request, "t");
    futured_request_set_view(request, FUTURED_VIEW_RESULT);
    futured_request_set_request_id(request, "r");
    futured_request_set_cancel_on_disconnect(request, 1);
    futured_request_set_durability(request, FUTURED_EPHEMERAL);
    futured_request_set_priority(request, -7);
    futured_request_set_not_before(request, INT64_C(5000000001));
    futured_request_set_delay(request, INT64_C(1500000000));
    futured_request_set_deadline(request, INT64_C(9000000000));
    futured_request_set_attempt_timeout(request, 0);
    futured_request_set_retention(request, INT64_C(60000000000));
    futured_request_set_max_attempts(request, 3);
    futured_request_set_backoff(request, INT64_C(1000000000), 2.5, INT64_C(10000000000));
    futured_request_set_jitter(request, 0); /* is a value */
    for (int i = 0; i < 20; i++)
        futured_request_add_non_retryable_type(request, i ? "t" : "t0");
    futured_request_set_on_lost(request, FUTURED_ON_LOST_FAIL);
    futured_request_set_idempotency_key(request, "k", FUTURED_KEY_REJECT);
    futured_request_set_concurrency_key(request, "c");
    futured_request_set_fairness_key(request, "f");
    for (int i = 0; i < 20; i++)
        futured_request_add_dependency(request, i ? "d" : "d0");
    futured_request_set_depend_policy(request, FUTURED_DEPEND_ON_FINISH, 1);
}

static void test_everything(void **state)
{
    struct futured_request *request = futured_request_new("sha256");
    Futured__V1__SubmitRequest *s;
    const Futured__V1__TaskOptions *o;

    fill(request);
    assert_int_equal(futured_request_check(request), 0);
    s = round_trip(request, NULL);
    assert_string_equal(s->task->function, "sha256");
    assert_int_equal(s->task->argument.len, 3);
    assert_memory_equal(s->task->argument.data, "a\0b", 3);
    assert_string_equal(s->task->content_type, "text/plain");
    assert_int_equal(s->task->n_labels, 2);
    assert_string_equal(s->task->labels[0]->key, "file");
    assert_string_equal(s->task->labels[1]->value, "2");
    assert_string_equal(s->group, "g");
    assert_string_equal(s->tag, "t");
    assert_string_equal(s->request_id, "r");
    assert_int_equal(s->view, FUTURED__V1__VIEW__VIEW_RESULT);
    o = s->task->options;
    assert_int_equal(o->durability, FUTURED__V1__DURABILITY__DURABILITY_EPHEMERAL);
    assert_int_equal(o->priority, -7);
    assert_int_equal(o->start_case, FUTURED__V1__TASK_OPTIONS__START_DELAY);
    assert_int_equal(o->delay->seconds, 1);
    assert_int_equal(o->delay->nanos, 500000000);
    assert_int_equal(o->deadline->seconds, 9);
    assert_non_null(o->attempt_timeout); /* zero is a value */
    assert_int_equal(o->attempt_timeout->seconds, 0);
    assert_int_equal(o->retention->seconds, 60);
    assert_int_equal(o->retry->max_attempts, 3);
    assert_int_equal(o->retry->initial_backoff->seconds, 1);
    assert_true(o->retry->multiplier == 2.5);
    assert_int_equal(o->retry->max_backoff->seconds, 10);
    assert_int_equal(o->retry->jitter_presence_case, FUTURED__V1__RETRY_POLICY__JITTER_PRESENCE_JITTER);
    assert_true(o->retry->jitter == 0);
    assert_int_equal(o->retry->n_non_retryable_types, 20);
    assert_string_equal(o->retry->non_retryable_types[0], "t0");
    assert_int_equal(o->on_lost, FUTURED__V1__ON_LOST__ON_LOST_FAIL);
    assert_string_equal(o->idempotency_key, "k");
    assert_int_equal(o->key_policy, FUTURED__V1__KEY_POLICY__KEY_POLICY_REJECT);
    assert_string_equal(o->concurrency_key, "c");
    assert_string_equal(o->fairness_key, "f");
    assert_int_equal(o->n_depends_on, 20);
    assert_string_equal(o->depends_on[0], "d0");
    assert_int_equal(o->depend_policy, FUTURED__V1__DEPEND_POLICY__DEPEND_POLICY_ON_FINISH);
    assert_true(o->pass_results);
    futured__v1__submit_request__free_unpacked(s, NULL);

    futured_request_set_not_before(request, INT64_C(5000000001)); /* the later one holds */
    futured_request_set_tag(request, NULL);
    s = round_trip(request, NULL);
    assert_int_equal(s->task->options->start_case, FUTURED__V1__TASK_OPTIONS__START_NOT_BEFORE);
    assert_int_equal(s->task->options->not_before->seconds, 5);
    assert_int_equal(s->task->options->not_before->nanos, 1);
    assert_string_equal(s->tag, "");
    futured__v1__submit_request__free_unpacked(s, NULL);
    assert_null(futured_request_free(request));
}

/* An ID of the library is the same until what it stands for is settled; one of the caller stays. */
static void test_id(void **state)
{
    struct futured_client *client = futured_client_new("unix:/nowhere");
    struct futured_request *request = futured_request_new("f");
    Futured__V1__SubmitRequest *s;
    char ids[4][FUTURED_CLIENT_ID_BYTES];

    for (int i = 0; i < 4; i++) {
        assert_int_equal(futured_request_identify(request, client), 0);
        s = round_trip(request, NULL);
        snprintf(ids[i], sizeof ids[i], "%s", s->request_id);
        assert_string_equal(futured_request_made_id(request), ids[i]);
        assert_int_equal(strlen(ids[i]), 32);
        assert_int_equal(strspn(ids[i], "0123456789abcdef"), 32);
        futured__v1__submit_request__free_unpacked(s, NULL);
        if (i == 1)
            futured_request_settle(request);
        if (i == 2)
            futured_request_set_request_id(request, NULL);
    }
    assert_string_equal(ids[0], ids[1]);
    assert_string_not_equal(ids[1], ids[2]);
    assert_string_not_equal(ids[2], ids[3]);
    futured_request_set_request_id(request, "mine");
    assert_int_equal(futured_request_identify(request, client), 0);
    futured_request_settle(request);
    s = round_trip(request, NULL);
    assert_string_equal(s->request_id, "mine");
    assert_string_equal(futured_request_made_id(request), "");
    futured__v1__submit_request__free_unpacked(s, NULL);
    futured_request_set_request_id(request, ""); /* none at all */
    assert_int_equal(futured_request_identify(request, client), 0);
    s = round_trip(request, NULL);
    assert_string_equal(s->request_id, "");
    futured__v1__submit_request__free_unpacked(s, NULL);
    futured_request_free(request);
    futured_request_set_request_id(NULL, "x");
    futured_request_on_accepted(NULL, NULL, NULL);
    futured_client_free(client);
}

static void test_nothing(void **state)
{
    struct futured_request *request = futured_request_new("f");
    Futured__V1__SubmitRequest *s = round_trip(request, NULL);

    assert_string_equal(s->task->function, "f");
    assert_int_equal(s->task->input_case, FUTURED__V1__TASK__INPUT__NOT_SET);
    assert_null(s->task->options);
    assert_int_equal(s->task->n_labels, 0);
    futured__v1__submit_request__free_unpacked(s, NULL);
    futured_request_set_argument(request, NULL, 0);
    s = round_trip(request, "7");
    assert_int_equal(s->task->input_case, FUTURED__V1__TASK__INPUT__NOT_SET);
    assert_string_equal(s->tag, "7");
    futured__v1__submit_request__free_unpacked(s, NULL);
    futured_request_free(request);
}

static void test_run(void **state)
{
    struct futured_request *request = futured_request_new("f");
    struct buf out = BUF_INIT;
    struct writer w = writer_to(&out);
    Futured__V1__RunRequest *run;

    futured_request_set_tag(request, "mine");
    futured_request_set_cancel_on_disconnect(request, 1);
    futured_request_write_run(request, &w, "3", 1);
    run = futured__v1__run_request__unpack(NULL, buf_len(&out), buf_head(&out));
    assert_non_null(run);
    assert_string_equal(run->submit->task->function, "f");
    assert_string_equal(run->submit->tag, "3");
    assert_true(run->cancel_on_disconnect);
    assert_true(run->announce);
    futured__v1__run_request__free_unpacked(run, NULL);
    buf_deinit(&out);
    futured_request_free(request);
}

static void test_limits(void **state)
{
    struct futured_request *request = futured_request_new("f");
    static const char byte;

    assert_int_equal(futured_request_check(NULL), -ENOMEM);
    /* is refused before it is read */
    futured_request_set_argument(request, &byte, LIMIT_MAX_MESSAGE_BYTES + 1);
    assert_int_equal(futured_request_check(request), FUTURED_REQUEST_E_TOO_LARGE);
    futured_request_set_argument(request, &byte, 1);
    assert_int_equal(futured_request_check(request), 0);
    futured_request_free(request);
}

static void test_memory(void **state)
{
    FAIL_EACH_ALLOCATION(nth)
    {
        struct futured_request *request = futured_request_new("sha256");

        fill(request); /* NULL, too */
        assert_int_equal(futured_request_check(request), test_allocation_failed() ? -ENOMEM : 0);
        futured_request_free(request);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_everything), cmocka_unit_test(test_id),     cmocka_unit_test(test_nothing),
            cmocka_unit_test(test_run),        cmocka_unit_test(test_limits), cmocka_unit_test(test_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
