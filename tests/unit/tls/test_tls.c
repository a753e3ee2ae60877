// SPDX-License-Identifier: Apache-2.0
/* Both ends in memory: handshakes that succeed and that must not, bytes in pieces, keys that change, and the end. */
#include "tests/unit/tls/files.h"
#include "tls/internal.h"

struct end {
    struct tls *t;
    struct buf out; /* on its way to the other one */
    int is_complete;
};

struct pair {
    struct tls_context *server_context, *client_context;
    struct end server, client;
};

/* Give @to all that @from has said, @piece bytes at a time; collects what is read. 0, or what ended it. */
static int carry(struct end *from, struct end *to, size_t piece, struct buf *read)
{
    uint8_t plain[4096];
    int r = TLS_E_MORE;

    while (buf_len(&from->out)) {
        size_t n = MIN(piece, buf_len(&from->out)), n_read;
        uint8_t copy[20000];

        n = MIN(n, sizeof copy);
        memcpy(copy, buf_head(&from->out), n);
        buf_consume(&from->out, n);
        tls_feed(to->t, copy, n);
        r = to->is_complete ? 0 : tls_handshake(to->t, &to->out);
        to->is_complete = r == 0;
        while (r == 0) {
            r = tls_read(to->t, plain, sizeof plain, &n_read, &to->out);
            if (r == 0 && read)
                assert_int_equal(buf_append(read, plain, n_read), 0);
        }
        if (r != TLS_E_MORE)
            return r;
    }
    return r == TLS_E_MORE ? 0 : r;
}

static void pair_init(struct pair *p, struct tls_context *server, struct tls_context *client,
                      const char *host)
{
    *p = (struct pair){.server_context = server, .client_context = client};
    assert_int_equal(tls_new(&p->server.t, server, NULL), 0);
    assert_int_equal(tls_new(&p->client.t, client, host), 0);
}

static void pair_deinit(struct pair *p)
{
    tls_free(p->server.t);
    tls_free(p->client.t);
    buf_deinit(&p->server.out);
    buf_deinit(&p->client.out);
    tls_context_free(p->server_context);
    tls_context_free(p->client_context);
}

/* 0; 1: the server ended it; 2: the client did. */
static int shake(struct pair *p, size_t piece)
{
    assert_int_equal(tls_handshake(p->client.t, &p->client.out), TLS_E_MORE);
    for (int i = 0; i < 10; i++) {
        if (carry(&p->client, &p->server, piece, NULL))
            return 1;
        if (carry(&p->server, &p->client, piece, NULL))
            return 2;
        if (p->client.is_complete && p->server.is_complete)
            return 0;
    }
    fail_msg("the handshake does not end");
    return -1;
}

static void pair_open(struct pair *p, struct tls_context *server, struct tls_context *client, size_t piece)
{
    pair_init(p, server, client, "futured.example");
    if (shake(p, piece) != 0)
        fail_msg("server: %s; client: %s", tls_why(p->server.t), tls_why(p->client.t));
}

static void test_bytes(void **state)
{
    static const size_t pieces[] = {1, 7, 100, 16384, 20000};
    uint8_t text[100000];

    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (uint8_t)(i * 7 + i / 251);
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        struct pair p;
        CLEANUP(buf_deinit) struct buf got = BUF_INIT;

        pair_open(&p, context_of(TLS_SERVER, "server", NULL, TLS_PEER_ANY),
                  context_of(TLS_CLIENT, NULL, "ca.crt", TLS_PEER_ANY), pieces[i]);
        assert_string_equal(tls_version_text(p.server.t), "TLSv1.3");
        assert_int_equal(tls_write(p.client.t, text, sizeof text, &p.client.out), 0);
        assert_int_equal(tls_write(p.client.t, text, 0, &p.client.out), 0);
        assert_int_equal(carry(&p.client, &p.server, pieces[i], &got), 0);
        assert_int_equal(buf_len(&got), sizeof text);
        assert_memory_equal(buf_head(&got), text, sizeof text);
        buf_clear(&got);
        assert_int_equal(tls_write(p.server.t, text, 5000, &p.server.out), 0);
        assert_int_equal(carry(&p.server, &p.client, pieces[i], &got), 0);
        assert_int_equal(buf_len(&got), 5000);
        tls_close(p.server.t, &p.server.out);
        assert_int_equal(carry(&p.server, &p.client, pieces[i], NULL), TLS_E_CLOSED);
        pair_deinit(&p);
    }
}

static void expect_names(const struct end *e, const char *expect, size_t n)
{
    CLEANUP(buf_deinit) struct buf names = BUF_INIT;

    assert_int_equal(tls_peer_names(e->t, &names), 0);
    assert_int_equal(buf_len(&names), n);
    if (n)
        assert_memory_equal(buf_head(&names), expect, n);
}

static void test_client_certificates(void **state)
{
    static const struct {
        const char *who, *why;
        enum tls_demand demand;
    } cases[] = {
            {"alice", NULL, TLS_PEER_REQUIRED},
            {"alice", NULL, TLS_PEER_OPTIONAL},
            {"alice", NULL, TLS_PEER_ANY}, /* is not asked for it */
            {NULL, NULL, TLS_PEER_OPTIONAL},
            {NULL, "peer did not return a certificate", TLS_PEER_REQUIRED},
            {"bob", "certificate has expired", TLS_PEER_REQUIRED},
            {"bob", "certificate has expired", TLS_PEER_OPTIONAL},
            {"mallory", "unable to get local issuer certificate", TLS_PEER_REQUIRED},
            {"mallory", "unable to get local issuer certificate", TLS_PEER_OPTIONAL},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct pair p;

        pair_init(&p,
                  context_of(TLS_SERVER, "server", cases[i].demand == TLS_PEER_ANY ? NULL : "ca.crt",
                             cases[i].demand),
                  context_of(TLS_CLIENT, cases[i].who, "ca.crt", TLS_PEER_ANY), "127.0.0.1");
        assert_int_equal(shake(&p, 20000), cases[i].why != NULL);
        if (cases[i].why)
            assert_string_equal(tls_why(p.server.t), cases[i].why);
        else if (cases[i].who && cases[i].demand != TLS_PEER_ANY)
            expect_names(&p.server,
                         "cn:alice\0dns:alice.example\0uri:spiffe://example/alice\0email:alice@example.org\0",
                         78);
        else
            expect_names(&p.server, "", 0);
        pair_deinit(&p);
    }
}

static void test_server_certificates(void **state)
{
    static const struct {
        const char *who, *ca, *host, *why;
    } cases[] = {
            {"server", "ca.crt", "futured.example", NULL},
            {"server", "ca.crt", "127.0.0.1", NULL},
            {"server", "ca.crt", "other.example", "hostname mismatch"},
            {"server", "ca.crt", "server",
             "hostname mismatch"}, /* the common name is none, where there are others */
            {"server", "ca.crt", "127.0.0.2", "IP address mismatch"},
            {"server", "other.crt", "futured.example", "unable to get local issuer certificate"},
            {"old", "ca.crt", "futured.example", "certificate has expired"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct pair p;

        pair_init(&p, context_of(TLS_SERVER, cases[i].who, NULL, TLS_PEER_ANY),
                  context_of(TLS_CLIENT, NULL, cases[i].ca, TLS_PEER_ANY), cases[i].host);
        assert_int_equal(shake(&p, 20000), cases[i].why ? 2 : 0);
        if (cases[i].why)
            assert_string_equal(tls_why(p.client.t), cases[i].why);
        pair_deinit(&p);
    }
}

/* Clients that offer no ALPN, or other protocols; versions that are too old. */
static void test_rules(void **state)
{
    static const unsigned char http1[] = "\x08http/1.1";

    for (int i = 0; i < 4; i++) {
        struct tls_context *server, *client = context_of(TLS_CLIENT, NULL, "ca.crt", TLS_PEER_ANY);
        struct tls_config config = {.role = TLS_SERVER,
                                    .min_version = i == 3 ? TLS_1_3 : TLS_1_2,
                                    .certificate = file("server.crt"),
                                    .key = file("server.key")};
        char why[TLS_WHY_BYTES];
        struct pair p;

        assert_int_equal(tls_context_new(&server, &config, why), 0);
        if (i == 0)
            SSL_CTX_set_alpn_protos(client->ssl, NULL, 0);
        else if (i == 1)
            SSL_CTX_set_alpn_protos(client->ssl, http1, sizeof http1 - 1);
        else
            SSL_CTX_set_max_proto_version(client->ssl, i == 2 ? TLS1_1_VERSION : TLS1_2_VERSION);
        if (i == 2)
            SSL_CTX_set_min_proto_version(client->ssl, TLS1_VERSION);
        pair_init(&p, server, client, "futured.example");
        if (i == 2) { /* the client itself has no cipher for it, or the server refuses */
            int r = tls_handshake(p.client.t, &p.client.out);

            assert_true(r == TLS_E_FAILED || carry(&p.client, &p.server, 20000, NULL) == TLS_E_FAILED);
        } else {
            assert_int_not_equal(shake(&p, 20000), 0);
            if (i == 0)
                assert_non_null(strstr(tls_why(p.client.t)[0] ? tls_why(p.client.t) : tls_why(p.server.t),
                                       "ALPN h2"));
        }
        pair_deinit(&p);
    }
}

/* A peer that wants to begin anew inside a connection gets no second handshake. */
static void test_renegotiation(void **state)
{
    struct tls_context *client = context_of(TLS_CLIENT, NULL, "ca.crt", TLS_PEER_ANY);
    struct pair p;

    assert_int_equal(SSL_CTX_set_max_proto_version(client->ssl, TLS1_2_VERSION), 1);
    SSL_CTX_clear_options(client->ssl, SSL_OP_NO_RENEGOTIATION);
    pair_open(&p, context_of(TLS_SERVER, "server", NULL, TLS_PEER_ANY), client, 20000);
    p.client.t->out = &p.client.out;
    assert_int_equal(SSL_renegotiate(p.client.t->ssl), 1);
    (void)SSL_do_handshake(p.client.t->ssl);
    assert_true(buf_len(&p.client.out) > 0);
    (void)carry(&p.client, &p.server, 20000, NULL);
    assert_false(SSL_in_init(p.server.t->ssl));
    assert_int_equal(SSL_num_renegotiations(p.server.t->ssl), 0);
    assert_int_not_equal(carry(&p.server, &p.client, 20000, NULL), 0);
    pair_deinit(&p);
}

/* What is not TLS at all. */
static void test_junk(void **state)
{
    static const char *const junk[] = {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET / HTTP/1.1\r\n\r\n",
                                       "\x16\x03\x01\xff\xff\xff", "\xff\xff\xff\xff\xff\xff\xff\xff"};
    struct tls_context *context = context_of(TLS_SERVER, "server", NULL, TLS_PEER_ANY);

    for (size_t i = 0; i < ARRAY_LEN(junk); i++) {
        CLEANUP(buf_deinit) struct buf out = BUF_INIT;
        struct tls *t;

        assert_int_equal(tls_new(&t, context, NULL), 0);
        tls_feed(t, (const uint8_t *)junk[i], strlen(junk[i]));
        if (tls_handshake(t, &out) != TLS_E_FAILED)
            fail_msg("%s", junk[i]);
        assert_true(*tls_why(t));
        tls_close(t, &out);
        tls_free(t);
    }
    tls_context_free(context);
}

/* A session of one context is resumed there, and not in another, though its files are the same. */
static void test_resumption(void **state)
{
    struct tls_context *server = context_of(TLS_SERVER, "server", "ca.crt", TLS_PEER_REQUIRED);
    struct tls_context *other = context_of(TLS_SERVER, "server", "ca.crt", TLS_PEER_REQUIRED);
    struct tls_context *client = context_of(TLS_CLIENT, "alice", "ca.crt", TLS_PEER_ANY);
    SSL_SESSION *session = NULL;

    for (int i = 0; i < 4; i++) {
        struct pair p;

        pair_init(&p, i == 3 ? other : server, client, "futured.example");
        SSL_CTX_up_ref(p.server_context->ssl);
        if (session)
            assert_int_equal(SSL_set_session(p.client.t->ssl, session), 1);
        assert_int_equal(shake(&p, 20000), 0);
        assert_int_equal(tls_is_resumed(p.server.t), i == 1 || i == 2);
        expect_names(&p.server,
                     "cn:alice\0dns:alice.example\0uri:spiffe://example/alice\0email:alice@example.org\0",
                     78);
        assert_int_equal(carry(&p.server, &p.client, 20000, NULL), 0);
        SSL_SESSION_free(session);
        session = SSL_get1_session(p.client.t->ssl);
        tls_close(p.client.t, &p.client.out); /* without an end in order OpenSSL resumes nothing */
        SSL_CTX_free(p.server_context->ssl);
        p.server_context = p.client_context = NULL;
        pair_deinit(&p);
    }
    SSL_SESSION_free(session);
    tls_context_free(server);
    tls_context_free(other);
    tls_context_free(client);
}

/* A connection outlives its context. */
static void test_context_gone(void **state)
{
    struct pair p;
    CLEANUP(buf_deinit) struct buf got = BUF_INIT;

    pair_open(&p, context_of(TLS_SERVER, "server", NULL, TLS_PEER_ANY),
              context_of(TLS_CLIENT, NULL, "ca.crt", TLS_PEER_ANY), 20000);
    p.server_context = tls_context_free(p.server_context);
    p.client_context = tls_context_free(p.client_context);
    assert_int_equal(tls_write(p.client.t, (const uint8_t *)"abc", 3, &p.client.out), 0);
    assert_int_equal(carry(&p.client, &p.server, 20000, &got), 0);
    assert_int_equal(buf_len(&got), 3);
    pair_deinit(&p);
}

/* New keys are made as often as an honest peer asks, and not without end. */
static void test_key_updates(void **state)
{
    struct pair p;
    int i, r = 0;

    pair_open(&p, context_of(TLS_SERVER, "server", NULL, TLS_PEER_ANY),
              context_of(TLS_CLIENT, NULL, "ca.crt", TLS_PEER_ANY), 20000);
    for (i = 0; i < 1000 && r == 0; i++) {
        SSL *ssl = p.client.t->ssl;

        assert_int_equal(SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        assert_int_equal(SSL_do_handshake(ssl), 1);
        r = carry(&p.client, &p.server, 20000, NULL);
        if (r == 0)
            assert_int_equal(carry(&p.server, &p.client, 20000, NULL), 0);
    }
    assert_int_equal(r, TLS_E_FAILED);
    assert_string_equal(tls_why(p.server.t), "key_update_flood");
    assert_in_range(i, 60, 100);
    pair_deinit(&p);
}

static void test_no_memory(void **state)
{
    struct tls_context *server = context_of(TLS_SERVER, "server", NULL, TLS_PEER_ANY);
    struct tls_context *client = context_of(TLS_CLIENT, NULL, "ca.crt", TLS_PEER_ANY);

    FAIL_EACH_ALLOCATION(nth)
    {
        struct tls *t = NULL;
        CLEANUP(buf_deinit) struct buf out = BUF_INIT;
        int r = tls_new(&t, client, "futured.example");

        if (r == 0)
            r = tls_handshake(t, &out) == TLS_E_MORE ? 0 : -ENOMEM;
        if (r < 0)
            assert_true(test_allocation_failed());
        tls_free(t);
    }
    tls_context_free(server);
    tls_context_free(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_bytes),
            cmocka_unit_test(test_client_certificates),
            cmocka_unit_test(test_server_certificates),
            cmocka_unit_test(test_rules),
            cmocka_unit_test(test_renegotiation),
            cmocka_unit_test(test_junk),
            cmocka_unit_test(test_resumption),
            cmocka_unit_test(test_context_gone),
            cmocka_unit_test(test_key_updates),
            cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, make_files, remove_files);
}
