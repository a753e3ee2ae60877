// SPDX-License-Identifier: Apache-2.0
/* What files make a context, and what is said of others. */
#include "tests/unit/tls/files.h"

static void expect_refused(const struct tls_config *config, const char *what)
{
    struct tls_context *context = NULL;
    char why[TLS_WHY_BYTES] = "";

    assert_int_equal(tls_context_new(&context, config, why), TLS_E_CONFIG);
    assert_null(context);
    if (!strstr(why, what))
        fail_msg("\"%s\" does not say \"%s\"", why, what);
}

static void test_good(void **state)
{
    struct tls_context *context = context_of(TLS_SERVER, "server", NULL, TLS_PEER_ANY);

    assert_in_range(tls_context_days_left(context), 89, 90);
    tls_context_free(context);
    context = context_of(TLS_SERVER, "old", "ca.crt",
                         TLS_PEER_REQUIRED); /* a client will say what it thinks of it */
    assert_true(tls_context_days_left(context) < 0);
    tls_context_free(context);
    context = context_of(TLS_CLIENT, NULL, NULL, TLS_PEER_ANY);
    assert_int_equal(tls_context_days_left(context), 0);
    tls_context_free(context);
    assert_null(tls_context_free(NULL));
}

static void test_bad_files(void **state)
{
    FILE *f = fopen(file("junk"), "we");
    struct tls_config config = {.role = TLS_SERVER, .certificate = file("absent"), .key = file("server.key")};

    assert_non_null(f);
    assert_true(fputs("no PEM\n", f) >= 0 && fclose(f) == 0);
    expect_refused(&config, "No such file");
    config.certificate = file("junk");
    expect_refused(&config, "junk cannot be used (PEM, the server's");
    config.certificate = file("server.crt");
    config.key = file("absent");
    expect_refused(&config, "absent cannot be used (PEM, without a passphrase");
    config.key = file("alice.key");
    expect_refused(&config, "key values mismatch");
    config.key = file("server.key");
    config.ca = file("junk");
    config.demand = TLS_PEER_REQUIRED;
    expect_refused(&config, "the certificates of authorities in");
    config = (struct tls_config){.role = TLS_CLIENT, .ca = file("absent")};
    expect_refused(&config, "No such file");
}

/* Nobody is asked for the passphrase: that would be on a terminal, or never. */
static void test_passphrase(void **state)
{
    struct cert c = cert_new("locked", NULL, 30, NULL);
    struct tls_config config = {
            .role = TLS_SERVER, .certificate = file("locked.crt"), .key = file("locked.key")};
    unsigned char secret[] = "secret";
    FILE *f = fopen(file("locked.key"), "we");

    assert_non_null(f);
    assert_int_equal(PEM_write_PKCS8PrivateKey(f, c.key, EVP_aes_128_cbc(), (char *)secret, 6, NULL, NULL),
                     1);
    assert_int_equal(fclose(f), 0);
    cert_write(&c, file("locked.crt"), NULL);
    expect_refused(&config, "without a passphrase");
    cert_free(&c);
}

static void test_no_memory(void **state)
{
    struct tls_config config = {.role = TLS_CLIENT};
    struct tls_context *context = NULL;
    char why[TLS_WHY_BYTES];

    FAIL_EACH_ALLOCATION(nth)
    {
        if (tls_context_new(&context, &config, why) == 0)
            context = tls_context_free(context);
        else
            assert_true(test_allocation_failed());
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_good),
            cmocka_unit_test(test_bad_files),
            cmocka_unit_test(test_passphrase),
            cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, make_files, remove_files);
}
