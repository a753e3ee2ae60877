// SPDX-License-Identifier: Apache-2.0
#include "store/crc32c.h"
#include "tests/support/testing.h"

/* The examples of RFC 3720, B.4, and the check value of the polynomial. */
static void test_known_values(void **state)
{
    uint8_t bytes[32] = {0};

    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(crc32c(0, bytes, 32), 0x8a9136aa);
    memset(bytes, 0xff, sizeof bytes);
    assert_int_equal(crc32c(0, bytes, 32), 0x62a8ab43);
    for (uint8_t i = 0; i < 32; i++)
        bytes[i] = i;
    assert_int_equal(crc32c(0, bytes, 32), 0x46dd794e);
    assert_int_equal(crc32c(0, "", 0), 0);
}

static void test_processor_and_table_agree(void **state)
{
    struct test_random r = {test_seed()};
    uint8_t bytes[257];

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)test_random_next(&r);
    for (size_t from = 0; from < 9; from++)
        for (size_t to = from; to < sizeof bytes; to++)
            assert_int_equal(crc32c(7, bytes + from, to - from), crc32c_portable(7, bytes + from, to - from));
}

static void test_in_pieces(void **state)
{
    static const char text[] = "a checksum can be continued anywhere";
    uint32_t whole = crc32c(0, text, sizeof text);

    for (size_t n = 0; n <= sizeof text; n++)
        assert_int_equal(crc32c(crc32c(0, text, n), text + n, sizeof text - n), whole);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_known_values),
            cmocka_unit_test(test_processor_and_table_agree),
            cmocka_unit_test(test_in_pieces),
    };

    test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
