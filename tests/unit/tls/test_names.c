// SPDX-License-Identifier: Apache-2.0
/* The names of certificates: each under its kind, and none that could be read as another. */
#include "tests/support/certs.h"
#include "tests/support/testing.h"
#include "tls/internal.h"

static void expect_names(const struct cert *c, const char *expect, size_t n)
{
    CLEANUP(buf_deinit) struct buf names = BUF_INIT;

    assert_int_equal(names_of_certificate(c->x509, &names), 0);
    assert_int_equal(buf_len(&names), n);
    if (n)
        assert_memory_equal(buf_head(&names), expect, n);
}

#define EXPECT_NAMES(c, text) expect_names(c, text, sizeof(text) - 1)

static void test_kinds(void **state)
{
    struct cert c = cert_new(
            "alice", "DNS:a.example,URI:spiffe://example/a,email:a@example.org,IP:127.0.0.1,DNS:b", 1, NULL);

    EXPECT_NAMES(&c, "cn:alice\0dns:a.example\0uri:spiffe://example/a\0email:a@example.org\0dns:b\0");
    cert_free(&c);
    c = cert_new("dns:alice", NULL, 1, NULL);
    EXPECT_NAMES(&c, "cn:dns:alice\0");
    cert_free(&c);
}

/* A name with a NUL, a line break, or bytes that are no text, as a careless authority may sign it. */
static void test_tricks(void **state)
{
    static const struct {
        const char *p;
        int n;
    } tricks[] = {{"root\0.evil", 10}, {"root\n", 5}, {"\x7f", 1}, {"\xff\xfe", 2}, {"", 0}};

    for (size_t i = 0; i < ARRAY_LEN(tricks); i++) {
        struct cert c = cert_new("x", NULL, 1, NULL);
        GENERAL_NAMES *names = GENERAL_NAMES_new();
        GENERAL_NAME *name = GENERAL_NAME_new();
        ASN1_IA5STRING *text = ASN1_IA5STRING_new();

        assert_true(names && name && text && ASN1_STRING_set(text, tricks[i].p, tricks[i].n));
        GENERAL_NAME_set0_value(name, GEN_DNS, text);
        assert_true(sk_GENERAL_NAME_push(names, name) > 0);
        assert_int_equal(X509_add1_ext_i2d(c.x509, NID_subject_alt_name, names, 0, 0), 1);
        EXPECT_NAMES(&c, "cn:x\0");
        GENERAL_NAMES_free(names);
        cert_free(&c);
    }
}

static void test_many(void **state)
{
    char text[100 * 8] = "DNS:a";
    struct cert c;
    CLEANUP(buf_deinit) struct buf names = BUF_INIT;
    size_t n = 0;

    for (int i = 1; i < 99; i++)
        strcat(text, ",DNS:a");
    c = cert_new("many", text, 1, NULL);
    assert_int_equal(names_of_certificate(c.x509, &names), 0);
    for (size_t i = 0; i < buf_len(&names); i++)
        n += buf_head(&names)[i] == '\0';
    assert_int_equal(n, TLS_NAMES_MAX);
    cert_free(&c);
}

static void test_no_memory(void **state)
{
    struct cert c = cert_new("alice", "DNS:a.example", 1, NULL);

    FAIL_EACH_ALLOCATION(nth)
    {
        CLEANUP(buf_deinit) struct buf names = BUF_INIT;

        if (names_of_certificate(c.x509, &names) < 0)
            assert_true(test_allocation_failed());
    }
    cert_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_kinds),
            cmocka_unit_test(test_tricks),
            cmocka_unit_test(test_many),
            cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
