// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/client/fake.h"
#include "tests/unit/client/sample.h"

#include <futured/client.h>
#include <futured/v1/futures.pb-c.h>

#define REQUEST(type) futured__v1__##type##__unpack(NULL, buf_len(&fake->request), buf_head(&fake->request))
#define FREE(type, p) futured__v1__##type##__free_unpacked(p, NULL)

static const struct futured_selector group = {NULL, 0, "g", NULL};
static uint8_t wire[SAMPLE_BYTES];
static size_t wire_n;

static void answer_wire(struct fake *fake, struct grpc_call *call, struct span message)
{
    fake_reply(call, wire, wire_n);
    grpc_call_finish(call);
}

static void put_count(void)
{
    Futured__V1__CountResponse count = FUTURED__V1__COUNT_RESPONSE__INIT;
    Futured__V1__CountGroup first = FUTURED__V1__COUNT_GROUP__INIT, second = first,
                            *groups[] = {&first, &second};
    Google__Protobuf__Duration age = GOOGLE__PROTOBUF__DURATION__INIT;
    char failed[] = "FAILED", none[] = "", more[] = "more";

    age.seconds = 2;
    first.value = failed;
    first.count = 7;
    first.oldest_age = &age;
    second.value = none;
    second.count = 1;
    count.count = 8;
    count.n_groups = 2;
    count.groups = groups;
    count.oldest_age = &age;
    count.next_page_token = more;
    wire_n = futured__v1__count_response__pack(&count, wire);
}

static void expect_count(struct futured_count *count)
{
    assert_int_equal(count->count, 8);
    assert_int_equal(count->oldest_age_ns, 2 * NS_PER_S);
    assert_int_equal(count->n_groups, 2);
    assert_string_equal(count->groups[0].value, "FAILED");
    assert_int_equal(count->groups[0].count, 7);
    assert_int_equal(count->groups[0].oldest_age_ns, 2 * NS_PER_S);
    assert_string_equal(count->groups[1].value, "");
    assert_int_equal(count->groups[1].oldest_age_ns, FUTURED_NO_SPAN);
    assert_string_equal(count->next_page_token, "more");
    assert_int_equal(count->wire.size, wire_n);
    assert_memory_equal(count->wire.data, wire, wire_n);
    assert_null(futured_count_free(count));
}

static void test_count(void **state)
{
    struct fake *fake = *state;
    struct futured_count *count = NULL;
    Futured__V1__CountRequest *r;

    put_count();
    fake->on_request = answer_wire;
    assert_int_equal(futured_count(fake->client, &group, "state", "token", &count), FUTURED_OK);
    expect_count(count);
    r = REQUEST(count_request);
    assert_string_equal(r->selector->group, "g");
    assert_string_equal(r->group_by, "state");
    assert_string_equal(r->page_token, "token");
    FREE(count_request, r);

    wire_n = 0;
    assert_int_equal(futured_count(fake->client, &group, NULL, NULL, &count), FUTURED_OK);
    assert_int_equal(count->count, 0);
    assert_int_equal(count->oldest_age_ns, FUTURED_NO_SPAN);
    assert_int_equal(count->n_groups, 0);
    assert_string_equal(count->next_page_token, "");
    futured_count_free(count);
    r = REQUEST(count_request);
    assert_string_equal(r->group_by, "");
    FREE(count_request, r);
    assert_null(futured_count_free(NULL));
}

static void put_changed(void)
{
    Futured__V1__CancelManyResponse changed = FUTURED__V1__CANCEL_MANY_RESPONSE__INIT;
    char more[] = "more";

    changed.matched = 5;
    changed.changed = 3;
    changed.next_page_token = more;
    wire_n = futured__v1__cancel_many_response__pack(&changed, wire);
}

static void expect_changed(struct futured_changed *changed)
{
    assert_int_equal(changed->matched, 5);
    assert_int_equal(changed->changed, 3);
    assert_string_equal(changed->next_page_token, "more");
    assert_null(futured_changed_free(changed));
}

static void test_change(void **state)
{
    struct futured_many_options options = FUTURED_MANY_OPTIONS_INIT;
    struct fake *fake = *state;
    struct futured_changed *changed = NULL;
    Futured__V1__CancelManyRequest *cancel;
    Futured__V1__RetryManyRequest *retry;
    Futured__V1__DeleteManyRequest *delete;

    put_changed();
    fake->on_request = answer_wire;
    options.dry_run = 1;
    options.page_token = "token";
    options.reason = "why";
    options.grace_ns = 0;
    assert_int_equal(futured_cancel_many(fake->client, &group, &options, &changed), FUTURED_OK);
    expect_changed(changed);
    cancel = REQUEST(cancel_many_request);
    assert_string_equal(cancel->selector->group, "g");
    assert_true(cancel->dry_run);
    assert_string_equal(cancel->page_token, "token");
    assert_string_equal(cancel->reason, "why");
    assert_non_null(cancel->grace);
    FREE(cancel_many_request, cancel);
    assert_int_equal(futured_cancel_many(fake->client, &group, NULL, &changed), FUTURED_OK);
    expect_changed(changed);
    cancel = REQUEST(cancel_many_request);
    assert_false(cancel->dry_run);
    assert_null(cancel->grace);
    FREE(cancel_many_request, cancel);

    /* reason and grace are not theirs, and their numbers are other fields */
    assert_int_equal(futured_retry_many(fake->client, &group, &options, &changed), FUTURED_OK);
    expect_changed(changed);
    retry = REQUEST(retry_many_request);
    assert_string_equal(retry->selector->group, "g");
    assert_true(retry->dry_run);
    assert_string_equal(retry->page_token, "token");
    assert_null(retry->options);
    assert_int_equal(retry->base.n_unknown_fields, 0);
    FREE(retry_many_request, retry);
    assert_int_equal(futured_delete_many(fake->client, &group, &options, &changed), FUTURED_OK);
    expect_changed(changed);
    delete = REQUEST(delete_many_request);
    assert_string_equal(delete->page_token, "token");
    assert_int_equal(delete->base.n_unknown_fields, 0);
    FREE(delete_many_request, delete);
    assert_null(futured_changed_free(NULL));
}

static void test_malformed(void **state)
{
    struct futured_changed *changed = NULL;
    struct futured_count *count = NULL;
    struct fake *fake = *state;

    fake->on_request = answer_wire;
    wire[0] = 0xff;
    wire_n = 1;
    assert_int_equal(futured_count(fake->client, &group, NULL, NULL, &count), FUTURED_INTERNAL);
    assert_int_equal(futured_cancel_many(fake->client, &group, NULL, &changed), FUTURED_INTERNAL);
    assert_null(count);
    assert_null(changed);
}

static void test_memory(void **state)
{
    FAIL_EACH_ALLOCATION(nth)
    {
        struct futured_changed *changed = NULL;
        struct futured_count *count = NULL;
        struct fake fake;
        int r = fake_init(&fake);

        fake.on_request = answer_wire;
        put_count();
        if (r == 0) {
            futured_client_set_timeout(fake.client, 60 * NS_PER_S);
            r = futured_count(fake.client, &group, NULL, NULL, &count);
        }
        if (r == 0) {
            expect_count(count);
            put_changed();
            r = futured_delete_many(fake.client, &group, NULL, &changed);
        }
        if (r == 0)
            expect_changed(changed);
        else
            assert_true(test_allocation_failed());
        fake_deinit(&fake);
    }
}

int main(void)
{
#define WITH_FAKE(test) cmocka_unit_test_setup_teardown(test, fake_setup, fake_teardown)
    const struct CMUnitTest tests[] = {
            WITH_FAKE(test_count),
            WITH_FAKE(test_change),
            WITH_FAKE(test_malformed),
            cmocka_unit_test(test_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
