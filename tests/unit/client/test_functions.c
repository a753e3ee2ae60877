// SPDX-License-Identifier: Apache-2.0
#include "grpc/writer.h"
#include "tests/unit/client/fake.h"
#include "tests/unit/client/sample.h"

#include <futured/client.h>
#include <futured/v1/functions.pb-c.h>

static uint8_t wire[SAMPLE_BYTES];
static size_t wire_n;

static void answer_wire(struct fake *fake, struct grpc_call *call, struct span message)
{
    fake_reply(call, wire, wire_n);
    grpc_call_finish(call);
}

/* A function with everything set at `wire`; with @is_list as the only one of a page. */
static void put_function(int is_list)
{
    Futured__V1__FunctionInfo info = FUTURED__V1__FUNCTION_INFO__INIT;
    Futured__V1__FunctionSpec spec = FUTURED__V1__FUNCTION_SPEC__INIT;
    Futured__V1__FunctionLimits limits = FUTURED__V1__FUNCTION_LIMITS__INIT;
    Futured__V1__StateCounts counts = FUTURED__V1__STATE_COUNTS__INIT;
    Futured__V1__Change paused = FUTURED__V1__CHANGE__INIT, limited = paused;
    Futured__V1__Error failure = FUTURED__V1__ERROR__INIT;
    Google__Protobuf__Timestamp time = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    Google__Protobuf__Duration mean = GOOGLE__PROTOBUF__DURATION__INIT;
    Futured__V1__FunctionKind kinds[] = {FUTURED__V1__FUNCTION_KIND__FUNCTION_KIND_COMMAND};
    char name[] = "resize", doc[] = "Makes it smaller.", alice[] = "alice", why[] = "too hot", bob[] = "bob",
         slow[] = "slowly", crashed[] = "CRASHED";
    uint8_t one[SAMPLE_BYTES];
    size_t n;

    time.seconds = 9;
    mean.seconds = 1;
    spec.name = name;
    spec.doc = doc;
    paused.time = &time;
    paused.principal = alice;
    paused.reason = why;
    limited.time = &time;
    limited.principal = bob;
    limited.reason = slow;
    limits.max_running = 2;
    limits.max_pending = 1000;
    limits.rate = 0.5;
    counts.pending = 1;
    counts.running = 2;
    counts.succeeded = 3;
    counts.failed = 4;
    counts.cancelled = 5;
    failure.reason = crashed;
    info.spec = &spec;
    info.n_kinds = 1;
    info.kinds = kinds;
    info.paused = &paused;
    info.limits = &limits;
    info.limits_set = &limited;
    info.counts = &counts;
    info.worker_count = 6;
    info.mean_run = &mean;
    info.failure = &failure;
    n = futured__v1__function_info__pack(&info, one);
    memcpy(wire, one, n);
    wire_n = is_list ? (size_t)(wire_put_bytes(wire_put_bytes(wire, 1, one, n), 2, "more", 4) - wire) : n;
}

static void expect_function(const struct futured_function *f)
{
    assert_string_equal(f->name, "resize");
    assert_string_equal(f->doc, "Makes it smaller.");
    assert_string_equal(f->version, "");
    assert_int_equal(f->n_kinds, 1);
    assert_int_equal(f->kinds[0], FUTURED_FUNCTION_COMMAND);
    assert_true(f->is_paused);
    assert_string_equal(f->pause_principal, "alice");
    assert_string_equal(f->pause_reason, "too hot");
    assert_int_equal(f->pause_time_ns, 9 * NS_PER_S);
    assert_int_equal(f->max_running, 2);
    assert_int_equal(f->max_pending, 1000);
    assert_true(f->rate == 0.5);
    assert_string_equal(f->limits_principal, "bob");
    assert_string_equal(f->limits_reason, "slowly");
    assert_int_equal(f->limits_time_ns, 9 * NS_PER_S);
    assert_int_equal(f->pending, 1);
    assert_int_equal(f->running, 2);
    assert_int_equal(f->succeeded, 3);
    assert_int_equal(f->failed, 4);
    assert_int_equal(f->cancelled, 5);
    assert_int_equal(f->n_workers, 6);
    assert_int_equal(f->mean_run_ns, NS_PER_S);
    assert_string_equal(f->failure->reason, "CRASHED");
}

static void test_list(void **state)
{
    struct futured_functions *functions = NULL;
    struct fake *fake = *state;
    Futured__V1__ListFunctionsRequest *r;
    size_t n_one;

    put_function(0);
    n_one = wire_n;
    put_function(1);
    fake->on_request = answer_wire;
    assert_int_equal(futured_list_functions(fake->client, "r", "token", &functions), FUTURED_OK);
    assert_int_equal(functions->n_functions, 1);
    expect_function(functions->functions[0]);
    assert_int_equal(functions->functions[0]->wire.size, n_one); /* its own bytes */
    assert_string_equal(functions->next_page_token, "more");
    assert_null(futured_functions_free(functions));
    r = futured__v1__list_functions_request__unpack(NULL, buf_len(&fake->request), buf_head(&fake->request));
    assert_string_equal(r->prefix, "r");
    assert_string_equal(r->page_token, "token");
    futured__v1__list_functions_request__free_unpacked(r, NULL);
    assert_null(futured_functions_free(NULL));
}

/* One that is known and no more. */
static void test_empty(void **state)
{
    struct futured_function *f = NULL;
    struct fake *fake = *state;

    wire_n = 0;
    fake->on_request = answer_wire;
    assert_int_equal(futured_get_function(fake->client, "f", &f), FUTURED_OK);
    assert_string_equal(f->name, "");
    assert_int_equal(f->n_kinds, 0);
    assert_false(f->is_paused);
    assert_string_equal(f->pause_reason, "");
    assert_string_equal(f->limits_principal, "");
    assert_int_equal(f->limits_time_ns, FUTURED_NO_TIME);
    assert_int_equal(f->mean_run_ns, FUTURED_NO_SPAN);
    assert_null(f->failure);
    assert_null(futured_function_free(f));
    wire[0] = 0xff;
    wire_n = 1;
    assert_int_equal(futured_get_function(fake->client, "f", &f), FUTURED_INTERNAL);
    assert_null(futured_function_free(NULL));
}

static void test_pause(void **state)
{
    struct futured_function *f = NULL;
    struct fake *fake = *state;
    Futured__V1__PauseFunctionRequest *r;

    put_function(0);
    fake->on_request = answer_wire;
    assert_int_equal(futured_pause_function(fake->client, "resize", "too hot", &f), FUTURED_OK);
    expect_function(f);
    futured_function_free(f);
    r = futured__v1__pause_function_request__unpack(NULL, buf_len(&fake->request), buf_head(&fake->request));
    assert_string_equal(r->function, "resize");
    assert_string_equal(r->reason, "too hot");
    futured__v1__pause_function_request__free_unpacked(r, NULL);
    assert_int_equal(futured_resume_function(fake->client, "resize", NULL, NULL), FUTURED_OK);
    r = futured__v1__pause_function_request__unpack(NULL, buf_len(&fake->request), buf_head(&fake->request));
    assert_string_equal(r->reason, "");
    futured__v1__pause_function_request__free_unpacked(r, NULL);
}

static void test_limits(void **state)
{
    struct futured_limits limits = FUTURED_LIMITS_INIT;
    struct futured_function *f = NULL;
    struct fake *fake = *state;
    Futured__V1__SetFunctionLimitsRequest *r;

    put_function(0);
    fake->on_request = answer_wire;
    limits.has_max_running = limits.has_max_pending = limits.has_rate = 1;
    limits.max_running = 2;
    limits.rate = 0.5;
    assert_int_equal(futured_set_function_limits(fake->client, "resize", &limits, "slowly", &f), FUTURED_OK);
    expect_function(f);
    futured_function_free(f);
    r = futured__v1__set_function_limits_request__unpack(NULL, buf_len(&fake->request),
                                                         buf_head(&fake->request));
    assert_string_equal(r->function, "resize");
    assert_string_equal(r->reason, "slowly");
    assert_int_equal(r->max_running, 2);
    assert_int_equal(r->max_pending_presence_case, /* none is a value */
                     FUTURED__V1__SET_FUNCTION_LIMITS_REQUEST__MAX_PENDING_PRESENCE_MAX_PENDING);
    assert_int_equal(r->max_pending, 0);
    assert_true(r->rate == 0.5);
    assert_false(r->reset);
    futured__v1__set_function_limits_request__free_unpacked(r, NULL);

    limits = (struct futured_limits)FUTURED_LIMITS_INIT;
    limits.reset = 1;
    assert_int_equal(futured_set_function_limits(fake->client, "resize", &limits, NULL, NULL), FUTURED_OK);
    r = futured__v1__set_function_limits_request__unpack(NULL, buf_len(&fake->request),
                                                         buf_head(&fake->request));
    assert_int_equal(r->max_running_presence_case,
                     FUTURED__V1__SET_FUNCTION_LIMITS_REQUEST__MAX_RUNNING_PRESENCE__NOT_SET);
    assert_int_equal(r->rate_presence_case, FUTURED__V1__SET_FUNCTION_LIMITS_REQUEST__RATE_PRESENCE__NOT_SET);
    assert_true(r->reset);
    futured__v1__set_function_limits_request__free_unpacked(r, NULL);
}

static void test_memory(void **state)
{
    FAIL_EACH_ALLOCATION(nth)
    {
        struct futured_functions *functions = NULL;
        struct futured_function *f = NULL;
        struct fake fake;
        int r = fake_init(&fake);

        fake.on_request = answer_wire;
        put_function(1);
        if (r == 0) {
            futured_client_set_timeout(fake.client, 60 * NS_PER_S);
            r = futured_list_functions(fake.client, NULL, NULL, &functions);
        }
        put_function(0);
        if (r == 0)
            r = futured_get_function(fake.client, "f", &f);
        if (r == 0)
            expect_function(f);
        else
            assert_true(test_allocation_failed());
        futured_functions_free(functions);
        futured_function_free(f);
        fake_deinit(&fake);
    }
}

int main(void)
{
#define WITH_FAKE(test) cmocka_unit_test_setup_teardown(test, fake_setup, fake_teardown)
    const struct CMUnitTest tests[] = {
            WITH_FAKE(test_list),   WITH_FAKE(test_empty),         WITH_FAKE(test_pause),
            WITH_FAKE(test_limits), cmocka_unit_test(test_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
