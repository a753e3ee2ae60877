// SPDX-License-Identifier: Apache-2.0
/*
 * One connection. OpenSSL reads from and writes to a BIO of ours: it takes from what was fed (nothing is copied before
 * it), and appends to the buffer that the caller gave. So a record costs one copy each way, and no system call.
 */
#include "base/mem.h"
#include "tls/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

enum {
    KEY_UPDATES = 64,             /* that a peer may ask for at once ... */
    KEY_UPDATE_BYTES = 64 * 1024, /* ... and one more for each of these that it sends */
};

/* --- the BIO */

static int bio_read(BIO *bio, char *to, size_t size, size_t *ret_n)
{
    struct tls *t = BIO_get_data(bio);
    size_t n = MIN(size, t->n_in);

    BIO_clear_retry_flags(bio);
    if (n == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    memcpy(to, t->in, n);
    t->in += n;
    t->n_in -= n;
    *ret_n = n;
    return 1;
}

static int bio_write(BIO *bio, const char *from, size_t n, size_t *ret_n)
{
    struct tls *t = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    if (buf_append(t->out, from, n) < 0) {
        t->is_out_of_memory = 1;
        return 0;
    }
    *ret_n = n;
    return 1;
}

static long bio_ctrl(BIO *bio, int command, long number, void *arg)
{
    return command == BIO_CTRL_FLUSH || command == BIO_CTRL_DUP;
}

/* One for the process: a BIO may outlive every context. */
static BIO_METHOD *method;
static CRYPTO_ONCE method_once = CRYPTO_ONCE_STATIC_INIT;

static void make_method(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "futured");

    if (!m || !BIO_meth_set_read_ex(m, bio_read) || !BIO_meth_set_write_ex(m, bio_write) ||
        !BIO_meth_set_ctrl(m, bio_ctrl))
        BIO_meth_free(m);
    else
        method = m;
}

/* Called for each message of the protocol: a peer that has our keys made anew without end is told from one that
 * sends much. The next call sees it. */
static void on_message(int is_writing, int version, int content_type, const void *p, size_t n, SSL *ssl,
                       void *arg)
{
    struct tls *t = arg;

    if (!is_writing && content_type == SSL3_RT_HANDSHAKE && n > 0 &&
        *(const uint8_t *)p == SSL3_MT_KEY_UPDATE)
        t->n_key_updates++;
}

/* --- birth and death */

/* A name is sent to the server and looked for among the names of its certificate; a number is among the addresses. */
static int set_host(SSL *ssl, const char *host)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);

    if (X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1)
        return 1;
    ERR_clear_error();
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, host) == 1 &&
           SSL_set_tlsext_host_name(ssl, (char *)(uintptr_t)host) == 1; /* copied */
}

int tls_new(struct tls **ret, const struct tls_context *context, const char *host)
{
    struct tls *t = mem_zalloc(sizeof *t);
    BIO *bio = NULL;

    ASSERT(!host == (context->role == TLS_SERVER));
    if (CRYPTO_THREAD_run_once(&method_once, make_method) != 1 || !t)
        return tls_free(t) ? 0 : -ENOMEM;
    t->role = context->role;
    t->ssl = SSL_new(context->ssl);
    if (t->ssl && method)
        bio = BIO_new(method);
    if (!bio || (host && !set_host(t->ssl, host))) {
        BIO_free(bio);
        tls_free(t);
        ERR_clear_error();
        return -ENOMEM;
    }
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    SSL_set_bio(t->ssl, bio, bio);
    SSL_set_msg_callback(t->ssl, on_message);
    SSL_set_msg_callback_arg(t->ssl, t);
    if (t->role == TLS_SERVER)
        SSL_set_accept_state(t->ssl);
    else
        SSL_set_connect_state(t->ssl);
    *ret = t;
    return 0;
}

struct tls *tls_free(struct tls *t)
{
    if (!t)
        return NULL;
    SSL_free(t->ssl);
    return mem_free(t);
}

/* --- bytes */

void tls_feed(struct tls *t, const uint8_t *p, size_t n)
{
    t->in = p;
    t->n_in = n;
    t->bytes_in += n;
}

static int fail(struct tls *t, const char *why)
{
    snprintf(t->why, sizeof t->why, "%s", why);
    ERR_clear_error();
    return TLS_E_FAILED;
}

/* What it means that OpenSSL said @r, which is not success. */
static int explain(struct tls *t, int r)
{
    long verified;

    switch (SSL_get_error(t->ssl, r)) {
    case SSL_ERROR_WANT_READ: return TLS_E_MORE;
    case SSL_ERROR_ZERO_RETURN: return TLS_E_CLOSED;
    default: break;
    }
    if (t->is_out_of_memory)
        return fail(t, "no memory");
    verified = SSL_get_verify_result(t->ssl);
    if (verified != X509_V_OK && ERR_peek_error())
        return fail(t, X509_verify_cert_error_string(verified));
    context_error_text(t->why, sizeof t->why, "it is over");
    return TLS_E_FAILED;
}

/* What OpenSSL does not ask: that h2 was agreed on, and that a certificate of an earlier session has not ended since. */
static int check_peer(struct tls *t)
{
    const unsigned char *protocol;
    unsigned int n;
    X509 *certificate = SSL_get0_peer_certificate(t->ssl);

    SSL_get0_alpn_selected(t->ssl, &protocol, &n);
    if (n != 2 || memcmp(protocol, "h2", 2) != 0)
        return fail(t, "the peer does not speak HTTP/2 (ALPN h2)");
    if (certificate && X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0)
        return fail(t, "certificate has expired");
    return 0;
}

int tls_handshake(struct tls *t, struct buf *out)
{
    int r;

    t->out = out;
    ERR_clear_error();
    r = SSL_do_handshake(t->ssl);
    if (r != 1) {
        r = explain(t, r);
        return r == TLS_E_CLOSED ? fail(t, "the peer ended it") : r;
    }
    return check_peer(t);
}

int tls_read(struct tls *t, uint8_t *to, size_t size, size_t *ret_n, struct buf *out)
{
    size_t n;
    int r;

    t->out = out;
    ERR_clear_error();
    r = SSL_read_ex(t->ssl, to, size, &n);
    if (t->n_key_updates > KEY_UPDATES + t->bytes_in / KEY_UPDATE_BYTES)
        return fail(t, "key_update_flood");
    if (r != 1)
        return explain(t, r);
    *ret_n = n;
    return 0;
}

int tls_write(struct tls *t, const uint8_t *p, size_t n, struct buf *out)
{
    size_t written;
    int r;

    t->out = out;
    if (n == 0)
        return 0;
    ERR_clear_error();
    r = SSL_write_ex(t->ssl, p, n, &written);
    if (r == 1)
        return 0;
    r = explain(t, r);
    return r == TLS_E_FAILED ? r : fail(t, "the peer ended it");
}

void tls_close(struct tls *t, struct buf *out)
{
    t->out = out;
    ERR_clear_error();
    if (SSL_is_init_finished(t->ssl))
        (void)SSL_shutdown(t->ssl);
    ERR_clear_error();
}

/* --- questions */

const char *tls_why(const struct tls *t)
{
    return t->why;
}

int tls_has_peer(const struct tls *t)
{
    return SSL_get0_peer_certificate(t->ssl) && SSL_get_verify_result(t->ssl) == X509_V_OK;
}

int tls_peer_names(const struct tls *t, struct buf *to)
{
    size_t before = buf_len(to);
    int r;

    if (!tls_has_peer(t))
        return 0;
    r = names_of_certificate(SSL_get0_peer_certificate(t->ssl), to);
    if (r < 0)
        to->end -= buf_len(to) - before;
    return r;
}

int tls_is_resumed(const struct tls *t)
{
    return SSL_session_reused(t->ssl);
}

const char *tls_version_text(const struct tls *t)
{
    return SSL_get_version(t->ssl);
}
