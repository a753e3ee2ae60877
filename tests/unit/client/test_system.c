// SPDX-License-Identifier: Apache-2.0
/* What the daemon tells of itself, asked of one that does not know the questions; the answers are judged with the real one, in
 * tests/integration/test_cli.py. */
#include "tests/unit/client/fake.h"

#include <futured/client.h>
#include <futured/v1/workers.pb-c.h>

#define WITH_FAKE(test) cmocka_unit_test_setup_teardown(test, fake_setup, fake_teardown)

static void test_workers(void **state)
{
    struct futured_workers *workers = NULL;
    struct fake *fake = *state;

    assert_int_equal(futured_list_workers(fake->client, "echo", "w-1", &workers), FUTURED_UNIMPLEMENTED);
    assert_null(workers);
    assert_null(futured_workers_free(NULL));
}

static void answer_worker(struct fake *fake, struct grpc_call *call, struct span message)
{
    Futured__V1__DrainWorkerResponse response = FUTURED__V1__DRAIN_WORKER_RESPONSE__INIT;
    Futured__V1__WorkerInfo worker = FUTURED__V1__WORKER_INFO__INIT;
    char id[] = "w-1";
    uint8_t reply[100];

    worker.id = id;
    worker.state = FUTURED__V1__WORKER_STATE__WORKER_STATE_DRAINING;
    if (!fake->user)
        response.worker = &worker;
    fake_reply(call, reply, futured__v1__drain_worker_response__pack(&response, reply));
    grpc_call_finish(call);
}

static void test_drain_worker(void **state)
{
    struct futured_worker_info *worker = NULL;
    Futured__V1__DrainWorkerRequest *r;
    struct fake *fake = *state;

    fake->on_request = answer_worker;
    assert_int_equal(futured_drain_worker(fake->client, "w-1", "why", 5 * NS_PER_S, &worker), FUTURED_OK);
    assert_string_equal(worker->id, "w-1");
    assert_int_equal(worker->state, FUTURED_WORKER_DRAINING);
    assert_int_equal(worker->wire.size, 7);
    assert_null(futured_worker_info_free(worker));
    r = futured__v1__drain_worker_request__unpack(NULL, buf_len(&fake->request), buf_head(&fake->request));
    assert_string_equal(r->worker_id, "w-1");
    assert_string_equal(r->reason, "why");
    assert_int_equal(r->timeout->seconds, 5);
    futured__v1__drain_worker_request__free_unpacked(r, NULL);

    assert_int_equal(futured_drain_worker(fake->client, "w-1", NULL, FUTURED_NO_SPAN, NULL), FUTURED_OK);
    r = futured__v1__drain_worker_request__unpack(NULL, buf_len(&fake->request), buf_head(&fake->request));
    assert_null(r->timeout);
    futured__v1__drain_worker_request__free_unpacked(r, NULL);

    fake->user = fake; /* an answer that says of no worker */
    assert_int_equal(futured_drain_worker(fake->client, "w-1", NULL, FUTURED_NO_SPAN, &worker),
                     FUTURED_INTERNAL);
    assert_null(futured_worker_info_free(NULL));
}

static void test_kill_worker(void **state)
{
    Futured__V1__KillWorkerRequest *r;
    struct fake *fake = *state;

    fake->user = fake;
    fake->on_request = answer_worker;
    assert_int_equal(futured_kill_worker(fake->client, "w-1", "why"), FUTURED_OK);
    r = futured__v1__kill_worker_request__unpack(NULL, buf_len(&fake->request), buf_head(&fake->request));
    assert_string_equal(r->worker_id, "w-1");
    assert_string_equal(r->reason, "why");
    futured__v1__kill_worker_request__free_unpacked(r, NULL);
}

static void test_stats(void **state)
{
    struct futured_stats *stats = NULL;
    struct fake *fake = *state;

    assert_int_equal(futured_get_stats(fake->client, "calls", &stats), FUTURED_UNIMPLEMENTED);
    assert_null(stats);
    assert_null(futured_stats_free(NULL));
}

static void test_info(void **state)
{
    struct futured_info *info = NULL;
    struct fake *fake = *state;

    assert_int_equal(futured_get_info(fake->client, &info), FUTURED_UNIMPLEMENTED);
    assert_null(info);
    assert_null(futured_info_free(NULL));
}

static void test_reload_and_drain(void **state)
{
    const struct futured_drain_options options = FUTURED_DRAIN_OPTIONS_INIT;
    struct futured_reloaded *reloaded = NULL;
    struct futured_drained *drained = NULL;
    struct fake *fake = *state;

    assert_int_equal(futured_reload(fake->client, 1, &reloaded), FUTURED_UNIMPLEMENTED);
    assert_null(futured_reloaded_free(reloaded));
    assert_int_equal(futured_drain(fake->client, &options, &drained), FUTURED_UNIMPLEMENTED);
    assert_null(futured_drained_free(drained));
    assert_int_equal(futured_resume(fake->client, NULL), FUTURED_UNIMPLEMENTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {WITH_FAKE(test_workers),     WITH_FAKE(test_drain_worker),
                                       WITH_FAKE(test_kill_worker), WITH_FAKE(test_stats),
                                       WITH_FAKE(test_info),        WITH_FAKE(test_reload_and_drain)};

    return cmocka_run_group_tests_name("client/system", tests, NULL, NULL);
}
