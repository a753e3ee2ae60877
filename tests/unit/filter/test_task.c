// SPDX-License-Identifier: Apache-2.0
/* A label of an encoded task, among fields of every wire type, and what is malformed. */
#include "tests/unit/filter/sample.h"

/* function "f", argument "xx", labels a=1, b=2 (value before key), a=3; a varint, a fixed32 and a fixed64 between them */
static const uint8_t task[] = {0x0a, 1,    'f',  0x12, 2,    'x', 'x',  0x2a, 6,    0x0a, 1,  'a', 0x12, 1,
                               '1',  0x38, 0x96, 1,    0x2a, 6,   0x12, 1,    '2',  0x0a, 1,  'b', 0x45, 1,
                               2,    3,    4,    0x49, 1,    2,   3,    4,    5,    6,    7,  8,   0x2a, 6,
                               0x0a, 1,    'a',  0x12, 1,    '3', 0x2a, 3,    0x0a, 1,    'e'};

static void test_find(void **state)
{
    struct span in = {task, sizeof task}, value;

    assert_int_equal(filter_task_label(in, SPAN_LIT("b"), &value), 1);
    assert_true(span_eq(value, SPAN_LIT("2")));
    assert_int_equal(filter_task_label(in, SPAN_LIT("a"), &value), 1);
    assert_true(span_eq(value, SPAN_LIT("3")));
    assert_int_equal(filter_task_label(in, SPAN_LIT("e"), &value), 1);
    assert_int_equal(value.len, 0);
    assert_int_equal(filter_task_label(in, SPAN_LIT("c"), &value), 0);
    assert_int_equal(filter_task_label((struct span){0}, SPAN_LIT("c"), &value), 0);
}

/* Cut anywhere, or with any byte changed: no more is read than there is (the address sanitizer sees it). */
static void test_malformed(void **state)
{
    for (size_t n = 0; n <= sizeof task; n++) {
        uint8_t *copy = malloc(n ? n : 1);
        struct span value;

        memcpy(copy, task, n);
        (void)!filter_task_label((struct span){copy, n}, SPAN_LIT("a"), &value);
        for (size_t i = 0; i < n; i++) {
            copy[i] ^= 0xff;
            (void)!filter_task_label((struct span){copy, n}, SPAN_LIT("a"), &value);
            copy[i] ^= 0xff;
        }
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_find), cmocka_unit_test(test_malformed)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
