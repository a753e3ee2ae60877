// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/client/fake.h"
#include "tests/unit/client/sample.h"

#include <futured/client.h>
#include <futured/v1/futures.pb-c.h>

static uint8_t wire[SAMPLE_BYTES];
static size_t wire_n;

static void answer_wire(struct fake *fake, struct grpc_call *call, struct span message)
{
    fake_reply(call, wire, wire_n);
    grpc_call_finish(call);
}

static void put_explanation(void)
{
    Futured__V1__Explanation x = FUTURED__V1__EXPLANATION__INIT;
    Google__Protobuf__Timestamp next = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    char id[] = SAMPLE_ID "1", function[] = "f", text[] = "it waits", limit[] = "rate",
         other[] = SAMPLE_ID "2";
    char *waits_for[] = {other};

    next.seconds = 5;
    x.id = id;
    x.function = function;
    x.state = FUTURED__V1__STATE__STATE_PENDING;
    x.pending_reason = FUTURED__V1__PENDING_REASON__PENDING_REASON_LIMITED;
    x.text = text;
    x.position_presence_case = FUTURED__V1__EXPLANATION__POSITION_PRESENCE_POSITION;
    x.position = 0;
    x.pending_count = 3;
    x.running_count = 4;
    x.worker_count = 5;
    x.credit = 6;
    x.next_start_time = &next;
    x.n_waits_for = 1;
    x.waits_for = waits_for;
    x.limit = limit;
    x.is_estimate = 1;
    wire_n = futured__v1__explanation__pack(&x, wire);
}

static void expect_explanation(struct futured_explanation *x)
{
    assert_string_equal(x->id, SAMPLE_ID "1");
    assert_string_equal(x->function, "f");
    assert_int_equal(x->state, FUTURED_STATE_PENDING);
    assert_int_equal(x->pending_reason, FUTURED_PENDING_LIMITED);
    assert_string_equal(x->text, "it waits");
    assert_true(x->has_position && x->is_estimate);
    assert_int_equal(x->position, 0);
    assert_int_equal(x->pending, 3);
    assert_int_equal(x->running, 4);
    assert_int_equal(x->n_workers, 5);
    assert_int_equal(x->credit, 6);
    assert_int_equal(x->next_start_time_ns, 5 * NS_PER_S);
    assert_int_equal(x->n_waits_for, 1);
    assert_string_equal(x->waits_for[0], SAMPLE_ID "2");
    assert_string_equal(x->limit, "rate");
    assert_int_equal(x->wire.size, wire_n);
    assert_memory_equal(x->wire.data, wire, wire_n);
    assert_null(futured_explanation_free(x));
}

static void test_explain(void **state)
{
    struct futured_explanation *x = NULL;
    struct fake *fake = *state;
    Futured__V1__ExplainRequest *r;

    put_explanation();
    fake->on_request = answer_wire;
    assert_int_equal(futured_explain(fake->client, "", &x), FUTURED_OK);
    expect_explanation(x);
    r = futured__v1__explain_request__unpack(NULL, buf_len(&fake->request), buf_head(&fake->request));
    assert_int_equal(r->subject_case, FUTURED__V1__EXPLAIN_REQUEST__SUBJECT_ID);
    futured__v1__explain_request__free_unpacked(r, NULL);

    wire_n = 0;
    assert_int_equal(futured_explain_function(fake->client, "f", &x), FUTURED_OK);
    assert_string_equal(x->text, "");
    assert_false(x->has_position);
    assert_int_equal(x->next_start_time_ns, FUTURED_NO_TIME);
    futured_explanation_free(x);
    r = futured__v1__explain_request__unpack(NULL, buf_len(&fake->request), buf_head(&fake->request));
    assert_int_equal(r->subject_case, FUTURED__V1__EXPLAIN_REQUEST__SUBJECT_FUNCTION);
    assert_string_equal(r->function, "f");
    futured__v1__explain_request__free_unpacked(r, NULL);

    wire[0] = 0xff;
    wire_n = 1;
    assert_int_equal(futured_explain(fake->client, "i", &x), FUTURED_INTERNAL);
    assert_null(futured_explanation_free(NULL));
}

static void test_memory(void **state)
{
    put_explanation();
    FAIL_EACH_ALLOCATION(nth)
    {
        struct futured_explanation *x = NULL;
        struct fake fake;
        int r = fake_init(&fake);

        fake.on_request = answer_wire;
        if (r == 0) {
            futured_client_set_timeout(fake.client, 60 * NS_PER_S);
            r = futured_explain(fake.client, "i", &x);
        }
        if (r == 0)
            expect_explanation(x);
        else
            assert_true(test_allocation_failed());
        fake_deinit(&fake);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(test_explain, fake_setup, fake_teardown),
            cmocka_unit_test(test_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
