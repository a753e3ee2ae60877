// SPDX-License-Identifier: Apache-2.0
/* What a Finish says, as the engine takes it. How it is told on a stream: test_attach.c. */
#include "base/mem.h"
#include "dispatch/finish.h"
#include "futured/v1/workers.pb-c.h"
#include "grpc/status.h"
#include "tests/support/testing.h"
#include "tests/support/text.h"

#include <errno.h>

enum { LIMIT = 100 };
#define WALL (INT64_C(1700000000) * NS_PER_S)

static int read_text(const char *text, const struct buf *ahead, struct finish *ret)
{
    struct buf message = BUF_INIT;
    struct finish_message m = {0};
    const char *field;
    int r;

    *ret = (struct finish){0};
    text_encode(&message, &futured__v1__finish__descriptor, "%s", text);
    assert_int_equal(
            codec_read(&finish_table, (struct span){buf_head(&message), buf_len(&message)}, &m, &field), 0);
    r = finish_read(&m, ahead, LIMIT, WALL, ret);
    buf_deinit(&message);
    return r;
}

static void test_result(void **state)
{
    struct finish f;

    assert_int_equal(read_text("result { data: 'abc' content_type: 't/x' } exit_code: 0 signal: 2 usage { "
                               "wall { seconds: 3 "
                               "} }",
                               NULL, &f),
                     0);
    assert_int_equal(f.data->len, 3);
    assert_int_equal(f.content_type->len, 3);
    assert_true(f.has_exit_code && f.exit_code == 0 && f.has_signal && f.signal == 2);
    assert_true(f.usage.wall_ns == 3 * NS_PER_S && f.usage.user_cpu_ns == -1);
    assert_true(f.start_time == WALL - 3 * NS_PER_S); /* for who has never told of its start */
    finish_drop(&f);
    assert_int_equal(read_text("result {} usage { wall { seconds: 9000000000 } }", NULL, &f), 0);
    assert_true(f.start_time == 0); /* that cannot be */
    finish_drop(&f);
}

static void test_ahead(void **state)
{
    struct buf ahead = BUF_INIT;
    struct finish f;

    text_put(&ahead, "abc", 3);
    assert_int_equal(read_text("result { size_bytes: 3 } chunked: true", &ahead, &f), 0);
    assert_memory_equal(f.data->data, "abc", 3);
    finish_drop(&f);
    assert_int_equal(read_text("result { size_bytes: 2 } chunked: true", &ahead, &f), -EBADMSG);
    finish_drop(&f);
    assert_int_equal(read_text("result { size_bytes: 3 } chunked: true", NULL, &f), -EBADMSG);
    finish_drop(&f);
    buf_deinit(&ahead);
}

static void test_too_large(void **state)
{
    struct finish f;

    assert_int_equal(read_text("result { data: x101 }", NULL, &f), 0);
    assert_null(f.data);
    assert_int_equal(f.error->reason, REASON_RESULT_TOO_LARGE);
    assert_false(f.error->retryable);
    finish_drop(&f);
}

static void test_error(void **state)
{
    struct finish f;

    assert_int_equal(read_text("error { message: 'm' }", NULL, &f), 0);
    assert_int_equal(f.error->reason, REASON_FUNCTION_ERROR);
    assert_true(f.error->retryable);
    finish_drop(&f);
    assert_int_equal(read_text("error { message: 'm' code: 99 } final: true", NULL, &f), 0);
    assert_int_equal(f.error->code, GRPC_UNKNOWN);
    assert_false(f.error->retryable);
    finish_drop(&f);
    assert_int_equal(read_text("error { @2: 5 }", NULL, &f), -EBADMSG);
    finish_drop(&f);
}

static void test_no_memory(void **state)
{
    FAIL_EACH_ALLOCATION(nth)
    {
        struct buf message = BUF_INIT;
        struct finish_message m = {0};
        struct finish f = {0};
        const char *field;
        int r;

        mem_fail_at(0);
        text_encode(&message, &futured__v1__finish__descriptor,
                    "error { message: 'm' details { type_url: 'a/b' } }");
        assert_int_equal(
                codec_read(&finish_table, (struct span){buf_head(&message), buf_len(&message)}, &m, &field),
                0);
        mem_fail_at(nth);
        r = finish_read(&m, NULL, LIMIT, WALL, &f);
        assert_int_equal(r, test_allocation_failed() ? -ENOMEM : 0);
        finish_drop(&f);
        buf_deinit(&message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_result), cmocka_unit_test(test_ahead),     cmocka_unit_test(test_too_large),
            cmocka_unit_test(test_error),  cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests_name("dispatch/finish", tests, NULL, NULL);
}
