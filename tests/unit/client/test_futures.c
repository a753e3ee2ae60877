// SPDX-License-Identifier: Apache-2.0
/* What each call sends, as the generated code reads it, and what it makes of the answer. */
#include "grpc/writer.h"
#include "tests/unit/client/fake.h"
#include "tests/unit/client/sample.h"

#include <futured/client.h>
#include <futured/v1/futures.pb-c.h>

static uint8_t wire[SAMPLE_BYTES];

static void answer_future(struct fake *fake, struct grpc_call *call, struct span message)
{
    fake_reply(call, wire, sample_small(SAMPLE_ID "4", FUTURED__V1__STATE__STATE_SUCCEEDED, "out", wire));
    grpc_call_finish(call);
}

static void expect_future(struct futured_future *future)
{
    assert_non_null(future);
    assert_string_equal(future->id, SAMPLE_ID "4");
    assert_memory_equal(future->result->data.data, "out", 3);
    futured_future_free(future);
}

#define REQUEST(type) futured__v1__##type##__unpack(NULL, buf_len(&fake->request), buf_head(&fake->request))
#define FREE(type, p) futured__v1__##type##__free_unpacked(p, NULL)

static void answer_submitted(struct fake *fake, struct grpc_call *call, struct span message)
{
    uint8_t out[SAMPLE_BYTES];
    struct buf reply = BUF_INIT;
    struct writer w = writer_to(&reply);
    size_t n = sample_small(SAMPLE_ID "4", FUTURED__V1__STATE__STATE_SUCCEEDED, "out", out);

    writer_bytes(&w, 1, (struct span){out, n});
    writer_text(&w, 3, "tag");
    if (w.failed == 0)
        fake_reply(call, buf_head(&reply), buf_len(&reply));
    buf_deinit(&reply);
    grpc_call_finish(call);
}

static void test_submit(void **state)
{
    struct fake *fake = *state;
    struct futured_request *request = futured_request_new("sha256");
    struct futured_future *future = NULL;
    Futured__V1__SubmitRequest *r;

    fake->on_request = answer_submitted;
    futured_request_set_group(request, "g");
    assert_int_equal(futured_submit(fake->client, request, &future), FUTURED_OK);
    expect_future(future);
    r = REQUEST(submit_request);
    assert_string_equal(r->task->function, "sha256");
    assert_string_equal(r->group, "g");
    FREE(submit_request, r);
    futured_request_free(request);
}

static void answer_other(struct fake *fake, struct grpc_call *call, struct span message)
{
    fake_reply(call, "\x1a\x01t", 3); /* a tag, and no future */
    grpc_call_finish(call);
}

static void test_submit_wrong(void **state)
{
    struct fake *fake = *state;
    struct futured_request *request = futured_request_new("sha256");
    struct futured_future *future = NULL;
    static const char byte;

    fake->on_request = answer_other;
    assert_int_equal(futured_submit(fake->client, request, &future), FUTURED_INTERNAL);
    assert_null(future);
    assert_int_equal(futured_submit(fake->client, NULL, &future), FUTURED_RESOURCE_EXHAUSTED);
    assert_string_equal(futured_client_status(fake->client)->reason, "NO_MEMORY");
    futured_request_set_argument(request, &byte, (size_t)65 << 20);
    assert_int_equal(futured_run(fake->client, request, &future), FUTURED_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(futured_client_status(fake->client)->message, "64 MiB"));
    assert_int_equal(fake->n_requests, 1);
    futured_request_free(request);
}

static void test_run(void **state)
{
    struct fake *fake = *state;
    struct futured_request *request = futured_request_new("echo");
    struct futured_future *future = NULL;
    Futured__V1__RunRequest *r;

    fake->on_request = answer_future;
    futured_request_set_argument(request, "x", 1);
    assert_int_equal(futured_run(fake->client, request, &future), FUTURED_OK);
    expect_future(future);
    r = REQUEST(run_request);
    assert_string_equal(r->submit->task->function, "echo");
    assert_int_equal(r->submit->task->argument.len, 1);
    FREE(run_request, r);
    futured_request_free(request);
}

/* What the fake was last asked to submit, by the ID of that request. */
static void keep_request_id(struct fake *fake, char id[static 64], int is_run)
{
    Futured__V1__SubmitRequest *submit;
    Futured__V1__RunRequest *run;

    if (is_run) {
        run = REQUEST(run_request);
        snprintf(id, 64, "%s", run->submit->request_id);
        FREE(run_request, run);
        return;
    }
    submit = REQUEST(submit_request);
    snprintf(id, 64, "%s", submit->request_id);
    FREE(submit_request, submit);
}

static void answer_unavailable(struct fake *fake, struct grpc_call *call, struct span message)
{
    grpc_call_fail_code(call, GRPC_UNAVAILABLE, "TEST", "later");
}

/* A call that failed is sent again as the same task; after one that did not, the request is another. */
static void test_again(void **state)
{
    struct futured_request *request = futured_request_new("echo");
    struct futured_future *future = NULL;
    struct fake *fake = *state;
    char ids[5][64];

    for (int i = 0; i < 5; i++) {
        int is_run = i == 1 || i == 2;

        fake->on_request = i < 2 ? answer_unavailable : is_run ? answer_future : answer_submitted;
        assert_int_equal(is_run ? futured_run(fake->client, request, &future)
                                : futured_submit(fake->client, request, &future),
                         i < 2 ? FUTURED_UNAVAILABLE : FUTURED_OK);
        keep_request_id(fake, ids[i], is_run);
        assert_int_equal(strlen(ids[i]), 32);
        if (i >= 2)
            expect_future(future);
    }
    assert_string_equal(ids[0], ids[1]);
    assert_string_equal(ids[1], ids[2]);
    assert_string_not_equal(ids[2], ids[3]);
    assert_string_not_equal(ids[3], ids[4]);
    futured_request_set_request_id(request, "mine");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(futured_submit(fake->client, request, &future), FUTURED_OK);
        expect_future(future);
        keep_request_id(fake, ids[0], 0);
        assert_string_equal(ids[0], "mine");
    }
    futured_request_free(request);
}

/* --- run that tells of the acceptance */

static void send_answer(struct grpc_call *call, uint32_t number, Futured__V1__State state_)
{
    uint8_t one[SAMPLE_BYTES], reply[2 * SAMPLE_BYTES];
    size_t n = sample_small(SAMPLE_ID "4", state_, "out", one);

    fake_reply(call, reply, (size_t)(wire_put_bytes(reply, number, one, n) - reply));
}

static void answer_both(struct fake *fake, struct grpc_call *call, struct span message)
{
    send_answer(call, 3, FUTURED__V1__STATE__STATE_PENDING);
    send_answer(call, 1, FUTURED__V1__STATE__STATE_SUCCEEDED);
    grpc_call_finish(call);
}

static void answer_accepted_only(struct fake *fake, struct grpc_call *call, struct span message)
{
    send_answer(call, 3, FUTURED__V1__STATE__STATE_PENDING);
    grpc_call_fail_code(call, GRPC_UNAVAILABLE, "TEST", "stopping");
}

static void answer_refused(struct fake *fake, struct grpc_call *call, struct span message)
{
    uint8_t reply[1024];
    struct buf out = BUF_INIT;
    struct grpc_status st;

    assert_int_equal(status_encode(status_set(&st, GRPC_RESOURCE_EXHAUSTED, "QUEUE_FULL", "full"), &out), 0);
    fake_reply(call, reply, (size_t)(wire_put_bytes(reply, 2, buf_head(&out), buf_len(&out)) - reply));
    buf_deinit(&out);
    grpc_call_finish(call);
}

static void answer_nothing(struct fake *fake, struct grpc_call *call, struct span message)
{
    grpc_call_finish(call);
}

static void count_told(void *arg, const struct futured_future *accepted)
{
    assert_string_equal(accepted->id, SAMPLE_ID "4");
    assert_int_equal(accepted->state, FUTURED_STATE_PENDING);
    ++*(int *)arg;
}

static void test_run_tells(void **state)
{
    struct futured_request *request = futured_request_new("echo");
    struct futured_future *future = NULL;
    struct fake *fake = *state;
    Futured__V1__RunRequest *r;
    int n_told = 0;

    futured_request_on_accepted(request, count_told, &n_told);
    fake->on_request = answer_both;
    assert_int_equal(futured_run(fake->client, request, &future), FUTURED_OK);
    expect_future(future);
    assert_int_equal(n_told, 1);
    r = REQUEST(run_request);
    assert_true(r->announce);
    FREE(run_request, r);

    fake->on_request = answer_accepted_only;
    assert_int_equal(futured_run(fake->client, request, &future), FUTURED_UNAVAILABLE);
    assert_string_equal(futured_client_status(fake->client)->future_id, SAMPLE_ID "4");
    assert_int_equal(n_told, 2);
    fake->on_request = answer_refused;
    assert_int_equal(futured_run(fake->client, request, &future), FUTURED_RESOURCE_EXHAUSTED);
    assert_string_equal(futured_client_status(fake->client)->reason, "QUEUE_FULL");
    assert_string_equal(futured_client_status(fake->client)->future_id, "");
    fake->on_request = answer_nothing;
    assert_int_equal(futured_run(fake->client, request, &future), FUTURED_INTERNAL);
    fake->on_request = answer_other;
    assert_int_equal(futured_run(fake->client, request, &future), FUTURED_INTERNAL);
    assert_int_equal(n_told, 2);
    futured_request_free(request);
}

static void test_get(void **state)
{
    struct fake *fake = *state;
    struct futured_future *future = NULL;
    Futured__V1__GetRequest *r;

    fake->on_request = answer_future;
    assert_int_equal(futured_get(fake->client, SAMPLE_ID "4", FUTURED_VIEW_TASK, &future), FUTURED_OK);
    expect_future(future);
    r = REQUEST(get_request);
    assert_int_equal(r->by_case, FUTURED__V1__GET_REQUEST__BY_ID);
    assert_string_equal(r->id, SAMPLE_ID "4");
    assert_int_equal(r->view, FUTURED__V1__VIEW__VIEW_TASK);
    FREE(get_request, r);

    assert_int_equal(futured_get_by_key(fake->client, "k", FUTURED_VIEW_DEFAULT, &future), FUTURED_OK);
    expect_future(future);
    r = REQUEST(get_request);
    assert_int_equal(r->by_case, FUTURED__V1__GET_REQUEST__BY_IDEMPOTENCY_KEY);
    assert_string_equal(r->idempotency_key, "k");
    assert_int_equal(r->view, FUTURED__V1__VIEW__VIEW_UNSPECIFIED);
    FREE(get_request, r);

    assert_int_equal(futured_get(fake->client, "", FUTURED_VIEW_DEFAULT, &future), FUTURED_OK);
    expect_future(future);
    r = REQUEST(get_request); /* an empty ID is asked for as such: it is the daemon's to refuse */
    assert_int_equal(r->by_case, FUTURED__V1__GET_REQUEST__BY_ID);
    FREE(get_request, r);
}

static void test_cancel(void **state)
{
    struct fake *fake = *state;
    struct futured_future *future = NULL;
    Futured__V1__CancelRequest *r;

    fake->on_request = answer_future;
    assert_int_equal(futured_cancel(fake->client, "i", "why", 0, &future), FUTURED_OK);
    expect_future(future);
    r = REQUEST(cancel_request);
    assert_string_equal(r->id, "i");
    assert_string_equal(r->reason, "why");
    assert_non_null(r->grace); /* none at all is a value */
    assert_int_equal(r->grace->seconds, 0);
    FREE(cancel_request, r);

    assert_int_equal(futured_cancel(fake->client, "i", NULL, -1, NULL), FUTURED_OK);
    r = REQUEST(cancel_request);
    assert_string_equal(r->reason, "");
    assert_null(r->grace);
    FREE(cancel_request, r);
}

static void answer_empty(struct fake *fake, struct grpc_call *call, struct span message)
{
    fake_reply(call, "", 0);
    grpc_call_finish(call);
}

static void test_delete(void **state)
{
    struct fake *fake = *state;
    Futured__V1__DeleteRequest *r;

    fake->on_request = answer_empty;
    assert_int_equal(futured_delete(fake->client, "i"), FUTURED_OK);
    r = REQUEST(delete_request);
    assert_string_equal(r->id, "i");
    FREE(delete_request, r);
}

static void test_annotate(void **state)
{
    static const struct futured_label set[] = {{"a", "1"}, {"b", ""}};
    static const char *const remove[] = {"c"};
    const uint64_t zero = 0;
    struct fake *fake = *state;
    struct futured_future *future = NULL;
    Futured__V1__AnnotateRequest *r;

    fake->on_request = answer_future;
    assert_int_equal(futured_annotate(fake->client, "i", set, 2, remove, 1, &zero, &future), FUTURED_OK);
    expect_future(future);
    r = REQUEST(annotate_request);
    assert_string_equal(r->id, "i");
    assert_int_equal(r->n_set_labels, 2);
    assert_string_equal(r->set_labels[0]->key, "a");
    assert_string_equal(r->set_labels[0]->value, "1");
    assert_string_equal(r->set_labels[1]->value, "");
    assert_int_equal(r->n_remove_labels, 1);
    assert_string_equal(r->remove_labels[0], "c");
    assert_int_equal(r->if_revision_presence_case,
                     FUTURED__V1__ANNOTATE_REQUEST__IF_REVISION_PRESENCE_IF_REVISION);
    FREE(annotate_request, r);

    assert_int_equal(futured_annotate(fake->client, "i", NULL, 0, remove, 1, NULL, NULL), FUTURED_OK);
    r = REQUEST(annotate_request);
    assert_int_equal(r->if_revision_presence_case,
                     FUTURED__V1__ANNOTATE_REQUEST__IF_REVISION_PRESENCE__NOT_SET);
    FREE(annotate_request, r);
}

#define TRACE(n) "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333" n "-01"

static void note_trace(struct fake *fake, struct grpc_call *call)
{
    struct span trace = grpc_call_header(call, "traceparent");

    snprintf(fake->user, 100, "%.*s", (int)trace.len, (const char *)trace.p);
}

/* What begins has the trace of then. */
static void test_traceparent(void **state)
{
    static const char *const bad[] = {"", "x", "00-0af7651916cd43dd8448eb211c80319cxb7ad6b7169203331-01",
                                      TRACE("1") "\n"};
    struct futured_future *future;
    struct futured_pipeline *pipeline;
    struct futured_request *request = futured_request_new("f");
    struct fake *fake = *state;
    char seen[100];

    fake->user = seen;
    fake->on_start = note_trace;
    fake->on_request = answer_future;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(futured_client_set_traceparent(fake->client, bad[i]), FUTURED_INVALID_ARGUMENT);
    assert_string_equal(futured_client_status(fake->client)->reason, "BAD_TRACEPARENT");
    assert_int_equal(futured_client_set_traceparent(fake->client, TRACE("1")), FUTURED_OK);
    pipeline = futured_pipeline_new_submit(fake->client, 0);
    assert_int_equal(futured_client_set_traceparent(fake->client, TRACE("2")), FUTURED_OK);
    assert_int_equal(futured_retry(fake->client, "i", NULL), FUTURED_OK);
    assert_string_equal(seen, TRACE("2"));
    assert_int_equal(futured_client_set_traceparent(fake->client, NULL), FUTURED_OK);
    assert_int_equal(futured_get(fake->client, "i", FUTURED_VIEW_FULL, &future), FUTURED_OK);
    futured_future_free(future);
    assert_string_equal(seen, "");
    fake->on_request = NULL;
    assert_int_equal(futured_pipeline_put(pipeline, request, NULL), FUTURED_OK);
    assert_int_equal(futured_pipeline_flush(pipeline), FUTURED_OK);
    while (fake_turn(fake))
        ;
    assert_string_equal(seen, TRACE("1"));
    futured_pipeline_free(pipeline);
    futured_request_free(request);
}

static void test_retry(void **state)
{
    struct fake *fake = *state;
    struct futured_future *future = NULL;
    Futured__V1__RetryRequest *r;

    fake->on_request = answer_future;
    assert_int_equal(futured_retry(fake->client, "i", &future), FUTURED_OK);
    expect_future(future);
    r = REQUEST(retry_request);
    assert_string_equal(r->id, "i");
    assert_null(r->options);
    FREE(retry_request, r);
}

/* Options that are there and say nothing are others than none. */
static void test_retry_with(void **state)
{
    struct fake *fake = *state;
    struct futured_request *request = futured_request_new(NULL);
    struct futured_future *future = NULL;
    Futured__V1__RetryRequest *r;

    fake->on_request = answer_future;
    assert_int_equal(futured_retry_with(fake->client, "i", request, NULL), FUTURED_OK);
    r = REQUEST(retry_request);
    assert_string_equal(r->id, "i");
    assert_non_null(r->options);
    assert_null(r->options->retry);
    FREE(retry_request, r);

    futured_request_set_jitter(request, 0.25);
    assert_int_equal(futured_retry_with(fake->client, "i", request, &future), FUTURED_OK);
    expect_future(future);
    r = REQUEST(retry_request);
    assert_true(r->options->retry->jitter == 0.25);
    FREE(retry_request, r);
    futured_request_free(request);
    assert_int_equal(futured_retry_with(fake->client, "i", NULL, &future), FUTURED_RESOURCE_EXHAUSTED);
}

static void test_reschedule(void **state)
{
    struct futured_reschedule_options options = FUTURED_RESCHEDULE_OPTIONS_INIT;
    struct fake *fake = *state;
    struct futured_future *future = NULL;
    Futured__V1__RescheduleRequest *r;
    const uint64_t zero = 0;

    fake->on_request = answer_future;
    assert_int_equal(futured_reschedule(fake->client, "i", &options, &future), FUTURED_OK);
    expect_future(future);
    r = REQUEST(reschedule_request);
    assert_string_equal(r->id, "i");
    assert_int_equal(r->priority_presence_case, FUTURED__V1__RESCHEDULE_REQUEST__PRIORITY_PRESENCE__NOT_SET);
    assert_null(r->not_before);
    assert_null(r->deadline);
    assert_null(r->retention);
    assert_int_equal(r->if_revision_presence_case,
                     FUTURED__V1__RESCHEDULE_REQUEST__IF_REVISION_PRESENCE__NOT_SET);
    FREE(reschedule_request, r);

    options.has_priority = 1;
    for (int i = -1; i <= 1; i++) {
        options.priority = i * INT32_MAX;
        options.not_before_ns = INT64_C(1500000000);
        options.deadline_ns = INT64_C(2000000000);
        options.clear_deadline = 1;
        options.retention_ns = 0;
        options.if_revision = &zero;
        assert_int_equal(futured_reschedule(fake->client, "i", &options, NULL), FUTURED_OK);
        r = REQUEST(reschedule_request);
        assert_int_equal(r->priority_presence_case,
                         FUTURED__V1__RESCHEDULE_REQUEST__PRIORITY_PRESENCE_PRIORITY);
        assert_int_equal(r->priority, i * INT32_MAX);
        assert_int_equal(r->not_before->seconds, 1);
        assert_int_equal(r->not_before->nanos, 500000000);
        assert_int_equal(r->deadline->seconds, 2);
        assert_true(r->clear_deadline);
        assert_int_equal(r->retention->seconds, 0);
        assert_int_equal(r->if_revision_presence_case,
                         FUTURED__V1__RESCHEDULE_REQUEST__IF_REVISION_PRESENCE_IF_REVISION);
        FREE(reschedule_request, r);
    }
}

static void test_memory(void **state)
{
    FAIL_EACH_ALLOCATION(nth)
    {
        struct futured_future *future = NULL;
        struct fake fake;
        int r = fake_init(&fake);

        fake.on_request = answer_future;
        if (r == 0) {
            futured_client_set_timeout(fake.client, 60 * NS_PER_S);
            r = futured_get(fake.client, SAMPLE_ID "4", FUTURED_VIEW_DEFAULT, &future);
        }
        if (r == 0)
            expect_future(future);
        else
            assert_true(test_allocation_failed());
        fake_deinit(&fake);
    }
}

int main(void)
{
#define WITH_FAKE(test) cmocka_unit_test_setup_teardown(test, fake_setup, fake_teardown)
    const struct CMUnitTest tests[] = {
            WITH_FAKE(test_submit),     WITH_FAKE(test_submit_wrong),  WITH_FAKE(test_run),
            WITH_FAKE(test_again),      WITH_FAKE(test_run_tells),     WITH_FAKE(test_get),
            WITH_FAKE(test_cancel),     WITH_FAKE(test_delete),        WITH_FAKE(test_annotate),
            WITH_FAKE(test_retry),      WITH_FAKE(test_traceparent),   WITH_FAKE(test_retry_with),
            WITH_FAKE(test_reschedule), cmocka_unit_test(test_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
