// SPDX-License-Identifier: Apache-2.0
/* Header values: tables of what is right and wrong, and round trips over everything small. */
#include "grpc/metadata.h"
#include "tests/support/testing.h"

static void test_timeout_parse(void **state)
{
    static const struct {
        const char *text;
        int64_t ns;
    } good[] = {
            {"1n", 1},
            {"0S", 0},
            {"007u", 7000},
            {"250m", 250 * NS_PER_MS},
            {"3S", 3 * NS_PER_S},
            {"2M", 120 * NS_PER_S},
            {"1H", 3600 * NS_PER_S},
            {"99999999S", 99999999 * NS_PER_S},
            {"2562047H", INT64_C(2562047) * 3600 * NS_PER_S},
            {"2562048H", CLOCK_NEVER}, /* beyond 64 bits of nanoseconds */
            {"99999999H", CLOCK_NEVER},
    };
    static const char *const bad[] = {"",     "S",   "1",          "1s",   "-1S", "+1S", " 1S",  "1 S",
                                      "1.5S", "1SS", "123456789S", "0x1S", "m1",  "1h",  "1\xff"};

    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        int64_t ns = -1;

        assert_int_equal(metadata_timeout_parse(span_of_string(good[i].text), &ns), 0);
        assert_true(ns == good[i].ns);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        int64_t ns = -1;

        assert_int_equal(metadata_timeout_parse(span_of_string(bad[i]), &ns), METADATA_E_MALFORMED);
        assert_true(ns == -1);
    }
}

static void check_timeout(int64_t ns)
{
    char text[METADATA_TIMEOUT_BYTES];
    int64_t back;
    size_t n = metadata_timeout_format(ns, text);

    assert_int_equal(n, strlen(text));
    assert_true(n <= 9);
    assert_int_equal(metadata_timeout_parse(span_of_string(text), &back), 0);
    assert_true(back >= ns);              /* never shorter than asked */
    assert_true(back - ns <= ns / 50000); /* and hardly longer */
}

static void test_timeout_format(void **state)
{
    struct test_random rnd = {test_seed()};
    char text[METADATA_TIMEOUT_BYTES];

    assert_int_equal(metadata_timeout_format(99999999, text), 9);
    assert_string_equal(text, "99999999n");
    metadata_timeout_format(100000000, text);
    assert_string_equal(text, "100000u");
    metadata_timeout_format(100000001, text);
    assert_string_equal(text, "100001u");
    for (int64_t ns = 0; ns < 2000; ns++)
        check_timeout(ns);
    for (unsigned int i = 0; i < 100000; i++)
        check_timeout((int64_t)(test_random_next(&rnd) >> (1 + test_random_below(&rnd, 63))));
    metadata_timeout_format(CLOCK_NEVER, text);
    assert_string_equal(text, "2562048H");
}

static void test_content_type(void **state)
{
    static const char *const good[] = {"application/grpc", "application/grpc+proto",
                                       "application/grpc;charset=x", "Application/GRPC",
                                       "application/grpc+json"};
    static const char *const bad[] = {"",
                                      "application/grpc-web",
                                      "application/grp",
                                      "text/plain",
                                      "application/json",
                                      "application/grpcx",
                                      " application/grpc"};

    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_true(metadata_is_grpc(span_of_string(good[i])));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(metadata_is_grpc(span_of_string(bad[i])));
    assert_false(metadata_is_grpc((struct span){0}));
}

static void test_binary_names(void **state)
{
    assert_true(metadata_is_binary(SPAN_LIT("a-bin")));
    assert_true(metadata_is_binary(SPAN_LIT("grpc-status-details-bin")));
    assert_false(metadata_is_binary(SPAN_LIT("-bin")));
    assert_false(metadata_is_binary(SPAN_LIT("bin")));
    assert_false(metadata_is_binary(SPAN_LIT("a-bin2")));
    assert_false(metadata_is_binary((struct span){0}));
}

/* RFC 4648 section 10, without padding and with. */
static void test_base64_vectors(void **state)
{
    static const char *const vectors[][3] = {
            {"", "", ""},
            {"f", "Zg", "Zg=="},
            {"fo", "Zm8", "Zm8="},
            {"foo", "Zm9v", "Zm9v"},
            {"foob", "Zm9vYg", "Zm9vYg=="},
            {"fooba", "Zm9vYmE", "Zm9vYmE="},
            {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
            {"\xfb\xff\xfe", "+//+", "+//+"},
    };

    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        struct span plain = span_of_string(vectors[i][0]);
        uint8_t back[16];
        char text[16];
        size_t n;

        assert_int_equal(metadata_base64_len(plain.len), strlen(vectors[i][1]));
        metadata_base64_encode(plain.p, plain.len, text);
        assert_memory_equal(text, vectors[i][1], strlen(vectors[i][1]));
        for (int padded = 1; padded <= 2; padded++) {
            assert_int_equal(metadata_base64_decode(span_of_string(vectors[i][padded]), back, &n), 0);
            assert_int_equal(n, plain.len);
            assert_memory_equal(back, plain.p, n);
        }
    }
}

static void test_base64_malformed(void **state)
{
    static const char *const bad[] = {
            "Z",  "Zg=", "Zg===", "Zm9vY", "Zm9=v",  "Zm 9", "Zm9-", "Zm9_", "====",   "=",
            "==", "Zh",  "Zm9",   "Zm9v=", "Zm9v==", "AI",   "AE",   "AAC",  "Zm9v\n", "Zm\xffv"};

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        uint8_t back[16];
        size_t n = 99;

        assert_int_equal(metadata_base64_decode(span_of_string(bad[i]), back, &n), METADATA_E_MALFORMED);
        assert_int_equal(n, 99);
    }
}

static void test_base64_round_trip(void **state)
{
    struct test_random rnd = {test_seed()};

    for (unsigned int round = 0; round < 20000; round++) {
        size_t n = test_random_below(&rnd, 100), n_text = metadata_base64_len(n), n_back;
        char *text = malloc(n_text + 1); /* exact sizes: the address sanitizer sees a byte too many */
        uint8_t *plain = malloc(n + 1), *back = malloc(n_text / 4 * 3 + 2);

        for (size_t i = 0; i < n; i++)
            plain[i] = (uint8_t)test_random_next(&rnd);
        metadata_base64_encode(plain, n, text);
        assert_int_equal(metadata_base64_decode((struct span){(uint8_t *)text, n_text}, back, &n_back), 0);
        assert_int_equal(n_back, n);
        assert_memory_equal(back, plain, n);
        free(text);
        free(plain);
        free(back);
    }
}

static void check_percent(const char *plain, const char *expected)
{
    char text[256], back[256];
    size_t n = metadata_percent_encode(plain, strlen(plain), text);

    assert_int_equal(n, strlen(expected));
    assert_memory_equal(text, expected, n);
    n = metadata_percent_decode((struct span){(uint8_t *)text, n}, back);
    assert_int_equal(n, strlen(plain));
    assert_memory_equal(back, plain, n);
}

static void test_percent(void **state)
{
    check_percent("", "");
    check_percent("no such future", "no such future");
    check_percent("100%", "100%25");
    check_percent("a\nb\t\x7f", "a%0Ab%09%7F");
    check_percent("\xc3\xa4~!", "%C3%A4~!");
    check_percent(" a b ", "%20a b%20"); /* white space around a header value does not survive */
    check_percent(" ", "%20");
}

static void test_percent_decode_never_fails(void **state)
{
    static const char *const cases[][2] = {
            {"%", "%"},      {"%4", "%4"},    {"%4g", "%4g"},     {"%%41", "%A"}, {"%41%", "A%"},
            {"%e4", "\xe4"}, {"%E4", "\xe4"}, {"a%zzb", "a%zzb"}, {"%25%", "%%"}, {"%-1", "%-1"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct span text = span_of_string(cases[i][0]);
        char *back = malloc(text.len);
        size_t n = metadata_percent_decode(text, back);

        assert_int_equal(n, strlen(cases[i][1]));
        assert_memory_equal(back, cases[i][1], n);
        free(back);
    }
}

/* Every pair of bytes there and back; what is written is printable without a space at its ends. */
static void test_percent_round_trip(void **state)
{
    for (unsigned int v = 0; v < 65536; v++) {
        const char plain[2] = {(char)(v >> 8), (char)v};
        char text[6], back[6];
        size_t n = metadata_percent_encode(plain, 2, text);

        assert_true(n >= 2 && n <= 6);
        for (size_t i = 0; i < n; i++)
            assert_true(text[i] > ' ' && text[i] <= '~');
        assert_int_equal(metadata_percent_decode((struct span){(uint8_t *)text, n}, back), 2);
        assert_memory_equal(back, plain, 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_timeout_parse),
            cmocka_unit_test(test_timeout_format),
            cmocka_unit_test(test_content_type),
            cmocka_unit_test(test_binary_names),
            cmocka_unit_test(test_base64_vectors),
            cmocka_unit_test(test_base64_malformed),
            cmocka_unit_test(test_base64_round_trip),
            cmocka_unit_test(test_percent),
            cmocka_unit_test(test_percent_decode_never_fails),
            cmocka_unit_test(test_percent_round_trip),
    };

    test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
