// SPDX-License-Identifier: Apache-2.0
#include "base/buf.h"
#include "client/lib/decode.h"
#include "tests/support/testing.h"

#include <futured/v1/futures.pb-c.h>

struct thing {
    struct futured_box box;
    int member;
};

static int unpack(struct span wire, struct futured_box **ret, ProtobufCMessage **ret_message)
{
    return futured_box_new(ret, sizeof(struct thing), &futured__v1__wait_response__descriptor, wire,
                           ret_message);
}

static void test_box(void **state)
{
    static const uint8_t wire[] = {0x12, 2, 'i', 'd', 0x28, 1}; /* not_done "id", timed_out */
    const Futured__V1__WaitResponse *waited;
    struct futured_bytes copy;
    ProtobufCMessage *message;
    struct futured_box *box;

    assert_int_equal(unpack((struct span){wire, sizeof wire}, &box, &message), 0);
    waited = (const void *)message;
    assert_int_equal(CONTAINER_OF(box, struct thing, box)->member, 0);
    assert_int_equal(waited->n_not_done, 1);
    assert_string_equal(waited->not_done[0], "id");
    assert_true(waited->timed_out);
    assert_int_equal(futured_box_wire(&box->arena, (struct span){wire, sizeof wire}, &copy), 0);
    assert_int_equal(copy.size, sizeof wire);
    assert_memory_equal(copy.data, wire, sizeof wire);
    futured_box_free(box);

    assert_int_equal(unpack((struct span){NULL, 0}, &box, &message), 0); /* all defaults */
    futured_box_free(box);
    assert_int_equal(unpack((struct span){wire, 3}, &box, &message), FUTURED_BOX_E_MALFORMED);
    assert_int_equal(unpack((struct span){(const uint8_t *)"\xff\xff", 2}, &box, &message),
                     FUTURED_BOX_E_MALFORMED);
}

/* Many empty attempts in a few bytes: what they come to is bounded, not what the peer likes. */
static void test_bomb(void **state)
{
    enum { N = 200000 };
    struct buf wire = BUF_INIT;
    ProtobufCMessage *message;
    struct futured_box *box;

    for (int i = 0; i < N; i++)
        assert_int_equal(buf_append(&wire, "\x0a\x00", 2), 0); /* done: an empty Future of some 300 bytes */
    assert_int_equal(unpack((struct span){buf_head(&wire), buf_len(&wire)}, &box, &message), -ENOMEM);
    buf_deinit(&wire);
}

static void test_memory(void **state)
{
    static const uint8_t wire[] = {0x12, 2, 'i', 'd', 0x0a, 4, 0x0a, 2, 'i', 'd'};

    FAIL_EACH_ALLOCATION(nth)
    {
        ProtobufCMessage *message;
        struct futured_box *box;
        int r = unpack((struct span){wire, sizeof wire}, &box, &message);

        assert_int_equal(r, test_allocation_failed() ? -ENOMEM : 0);
        if (r == 0)
            futured_box_free(box);
    }
}

static void test_times(void **state)
{
    Google__Protobuf__Timestamp t = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    Google__Protobuf__Duration d = GOOGLE__PROTOBUF__DURATION__INIT;

    assert_int_equal(futured_box_time(NULL), FUTURED_NO_TIME);
    assert_int_equal(futured_box_span(NULL), FUTURED_NO_SPAN);
    t.seconds = 5;
    t.nanos = 7;
    assert_int_equal(futured_box_time(&t), INT64_C(5000000007));
    assert_int_equal(futured_box_span(&d), 0);
    d.seconds = INT64_MAX / 2;
    assert_int_equal(futured_box_span(&d), INT64_MAX);
    d.seconds = INT64_MIN / 2;
    assert_int_equal(futured_box_span(&d), INT64_MIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_box),
            cmocka_unit_test(test_bomb),
            cmocka_unit_test(test_memory),
            cmocka_unit_test(test_times),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
