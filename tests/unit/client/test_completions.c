// SPDX-License-Identifier: Apache-2.0
#include "grpc/writer.h"
#include "tests/unit/client/fake.h"
#include "tests/unit/client/sample.h"

#include <futured/client.h>
#include <futured/v1/futures.pb-c.h>

static void send_done(struct grpc_call *call, unsigned int n)
{
    uint8_t one[SAMPLE_BYTES], reply[SAMPLE_BYTES];
    size_t n_one = sample_small(sample_id(n), FUTURED__V1__STATE__STATE_SUCCEEDED, "x", one);

    fake_reply(call, reply, (size_t)(wire_put_bytes(reply, 1, one, n_one) - reply));
}

static void send_missing(struct grpc_call *call, const char *id)
{
    uint8_t reply[200];

    fake_reply(call, reply, (size_t)(wire_put_bytes(reply, 2, id, strlen(id)) - reply));
}

/* The last of the asked IDs first; the first one is missing. */
static void answer_backwards(struct fake *fake, struct grpc_call *call, struct span message)
{
    Futured__V1__AsCompletedRequest *r =
            futured__v1__as_completed_request__unpack(NULL, message.len, message.p);

    assert_non_null(r);
    for (size_t i = r->n_ids; i-- > 0;) {
        unsigned int n = (unsigned int)(r->ids[i][strlen(r->ids[i]) - 1] - '0');

        if (n == 0)
            send_missing(call, sample_id(0));
        else
            send_done(call, n);
    }
    futured__v1__as_completed_request__free_unpacked(r, NULL);
}

static void expect_next(struct futured_completions *cs, const char *id, int is_missing)
{
    struct futured_completion *c;

    assert_int_equal(futured_completions_next(cs, &c), FUTURED_OK);
    assert_non_null(c);
    if (is_missing) {
        assert_null(c->future);
        assert_string_equal(c->missing, id);
    } else {
        assert_null(c->missing);
        assert_string_equal(c->future->id, id);
    }
    assert_null(futured_completion_free(c));
}

static void expect_end(struct futured_completions *cs)
{
    struct futured_completion *c;

    assert_int_equal(futured_completions_next(cs, &c), FUTURED_OK);
    assert_null(c);
}

static void test_order(void **state)
{
    const char *const ids[] = {sample_id(0), sample_id(1), sample_id(2)}, *const more[] = {sample_id(3)};
    struct fake *fake = *state;
    struct futured_completions *cs;
    Futured__V1__AsCompletedRequest *r;

    fake->on_request = answer_backwards;
    assert_int_equal(futured_as_completed(fake->client, ids, 3, FUTURED_VIEW_RESULT, &cs), FUTURED_OK);
    expect_next(cs, SAMPLE_ID "2", 0);
    expect_next(cs, SAMPLE_ID "1", 0);
    r = futured__v1__as_completed_request__unpack(NULL, buf_len(&fake->request), buf_head(&fake->request));
    assert_int_equal(r->view, FUTURED__V1__VIEW__VIEW_RESULT);
    futured__v1__as_completed_request__free_unpacked(r, NULL);
    assert_int_equal(futured_completions_add(cs, more, 1), FUTURED_OK);
    expect_next(cs, SAMPLE_ID "0", 1);
    expect_next(cs, SAMPLE_ID "3", 0);
    expect_end(cs);
    expect_end(cs);
    assert_int_equal(futured_completions_add(cs, NULL, 0), FUTURED_OK);
    expect_end(cs);
    assert_null(futured_completions_free(cs));
    assert_null(futured_completions_free(NULL));
}

/* Asked for again, in upper case too, an ID is not waited for twice. */
static void answer_new(struct fake *fake, struct grpc_call *call, struct span message)
{
    if (fake->n_requests == 1)
        send_done(call, 1);
}

static void test_duplicates(void **state)
{
    const char *const ids[] = {SAMPLE_ID "1", SAMPLE_ID "1", "0198C2F0-1111-7000-8000-000000000001"};
    struct fake *fake = *state;
    struct futured_completions *cs;

    fake->on_request = answer_new;
    assert_int_equal(futured_as_completed(fake->client, ids, 3, FUTURED_VIEW_DEFAULT, &cs), FUTURED_OK);
    expect_next(cs, SAMPLE_ID "1", 0);
    expect_end(cs);
    assert_int_equal(futured_completions_add(cs, ids, 3), FUTURED_OK);
    expect_end(cs);
    futured_completions_free(cs);
}

static void test_timeout(void **state)
{
    const char *const ids[] = {sample_id(1)};
    struct fake *fake = *state;
    struct futured_completions *cs;
    struct futured_completion *c;

    assert_int_equal(futured_as_completed(fake->client, ids, 1, FUTURED_VIEW_DEFAULT, &cs), FUTURED_OK);
    futured_client_set_timeout(fake->client, NS_PER_MS);
    assert_int_equal(futured_completions_next(cs, &c), FUTURED_DEADLINE_EXCEEDED);
    assert_int_equal(futured_completions_next(cs, &c), FUTURED_DEADLINE_EXCEEDED);
    futured_client_set_timeout(fake->client, 0);
    send_done(fake->call, 1);
    expect_next(cs, SAMPLE_ID "1", 0);
    futured_completions_free(cs);
}

static int fail_stream(struct fake *fake)
{
    if (!fake->call)
        return 0;
    grpc_call_fail_code(fake->call, GRPC_UNAVAILABLE, "TEST", "the daemon stops");
    return 1;
}

static int end_stream(struct fake *fake)
{
    if (!fake->call)
        return 0;
    grpc_call_finish(fake->call);
    return 1;
}

/* An end before its time is an error that stays. */
static void expect_broken(struct fake *fake, int code)
{
    const char *const ids[] = {sample_id(1), sample_id(2)};
    struct futured_completions *cs;
    struct futured_completion *c;

    assert_int_equal(futured_as_completed(fake->client, ids, 2, FUTURED_VIEW_DEFAULT, &cs), FUTURED_OK);
    assert_int_equal(futured_completions_next(cs, &c), code);
    assert_int_equal(futured_completions_next(cs, &c), code);
    assert_int_equal(futured_completions_add(cs, ids, 1), code);
    futured_completions_free(cs);
}

static void answer_unasked(struct fake *fake, struct grpc_call *call, struct span message)
{
    send_done(call, 7);
}

static void answer_twice(struct fake *fake, struct grpc_call *call, struct span message)
{
    send_done(call, 1);
    send_done(call, 1);
}

static void test_answered_twice(void **state)
{
    const char *const ids[] = {sample_id(1), sample_id(2)};
    struct fake *fake = *state;
    struct futured_completions *cs;
    struct futured_completion *c;

    fake->on_request = answer_twice;
    assert_int_equal(futured_as_completed(fake->client, ids, 2, FUTURED_VIEW_DEFAULT, &cs), FUTURED_OK);
    expect_next(cs, SAMPLE_ID "1", 0);
    assert_int_equal(futured_completions_next(cs, &c), FUTURED_INTERNAL);
    futured_completions_free(cs);
}

static void answer_long_id(struct fake *fake, struct grpc_call *call, struct span message)
{
    send_missing(call, "an ID that is much longer than any ID of ours can be");
}

static void answer_garbage(struct fake *fake, struct grpc_call *call, struct span message)
{
    fake_reply(call, "\xff", 1);
}

static void test_broken(void **state)
{
    struct fake *fake = *state;

    fake->on_idle = fail_stream;
    expect_broken(fake, FUTURED_UNAVAILABLE);
    fake->on_idle = end_stream;
    expect_broken(fake, FUTURED_INTERNAL);
    fake->on_idle = NULL;
    fake->on_request = answer_unasked;
    expect_broken(fake, FUTURED_INTERNAL);
    fake->on_request = answer_long_id;
    expect_broken(fake, FUTURED_INTERNAL);
    fake->on_request = answer_garbage;
    expect_broken(fake, FUTURED_INTERNAL);
}

static void test_memory(void **state)
{
    FAIL_EACH_ALLOCATION(nth)
    {
        const char *const ids[] = {sample_id(1), sample_id(2)};
        struct futured_completions *cs = NULL;
        struct futured_completion *c = NULL;
        int n = 0, n_tries = 0, r;
        struct fake fake;

        r = fake_init(&fake);
        fake.on_request = answer_backwards;
        if (r == 0)
            futured_client_set_timeout(fake.client, 4 * NS_PER_S);
        if (r == 0)
            r = futured_as_completed(fake.client, ids, 2, FUTURED_VIEW_DEFAULT, &cs);
        while (r == 0 && n < 2 && n_tries++ < 5) {
            r = futured_completions_next(cs, &c);
            n += r == 0;
            if (r == 0)
                futured_completion_free(c);
            if (r == FUTURED_RESOURCE_EXHAUSTED) /* tried again, nothing is lost */
                r = 0;
        }
        assert_true(test_allocation_failed() || n == 2);
        futured_completions_free(cs);
        fake_deinit(&fake);
    }
}

int main(void)
{
#define WITH_FAKE(test) cmocka_unit_test_setup_teardown(test, fake_setup, fake_teardown)
    const struct CMUnitTest tests[] = {
            WITH_FAKE(test_order),  WITH_FAKE(test_duplicates),     WITH_FAKE(test_timeout),
            WITH_FAKE(test_broken), WITH_FAKE(test_answered_twice), cmocka_unit_test(test_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
