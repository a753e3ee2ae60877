// SPDX-License-Identifier: Apache-2.0
/* Hashes of secrets: the known answers of SHA-256, and what is no hash. */
#include "tests/support/testing.h"
#include "tls/secret.h"

static void test_hash(void **state)
{
    uint8_t is[SECRET_BYTES], must[SECRET_BYTES];

    assert_int_equal(secret_hash(SPAN_LIT("abc"), is), 0);
    assert_int_equal(secret_read("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", must),
                     0);
    assert_true(secret_is_equal(is, must));
    assert_int_equal(secret_hash(SPAN_LIT(""), is), 0);
    assert_false(secret_is_equal(is, must));
    assert_int_equal(secret_read("E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855", must),
                     0);
    assert_true(secret_is_equal(is, must));
    for (size_t i = 0; i < SECRET_BYTES; i++) {
        must[i] ^= 0x80;
        assert_false(secret_is_equal(is, must));
        must[i] ^= 0x80;
    }
}

static void test_no_hash(void **state)
{
    static const char *const wrong[] = {
            "",
            "secret",
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015a",
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015add",
            "ga7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015a ",
    };
    uint8_t to[SECRET_BYTES] = {7};

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        assert_int_equal(secret_read(wrong[i], to), SECRET_E_SYNTAX);
    assert_int_equal(to[0], 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_hash), cmocka_unit_test(test_no_hash)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
