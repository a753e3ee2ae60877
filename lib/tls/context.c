// SPDX-License-Identifier: Apache-2.0
/* Files and rules to one SSL_CTX. */
#include "base/mem.h"
#include "tls/internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/x509.h>

enum {
    TICKET_SECONDS = 3600, /* within which a session may be resumed */
    CERT_LIST_BYTES = 32 * 1024,
    CERT_DEPTH = 8,
};

static const unsigned char alpn_h2[] = {2, 'h', '2'};

void context_error_text(char *to, size_t size, const char *otherwise)
{
    unsigned long error = ERR_peek_error();
    const char *reason = error ? ERR_reason_error_string(error) : NULL;

    if (error && ERR_SYSTEM_ERROR(error))
        reason = strerror(ERR_GET_REASON(error));
    snprintf(to, size, "%s", reason ? reason : otherwise);
    ERR_clear_error();
}

PRINTF_LIKE(2, 3) static int refuse(char *why, const char *format, ...)
{
    char detail[128];
    va_list args;
    int n;

    context_error_text(detail, sizeof detail, "");
    va_start(args, format);
    n = vsnprintf(why, TLS_WHY_BYTES, format, args);
    va_end(args);
    if (*detail && n > 0 && n < TLS_WHY_BYTES)
        snprintf(why + n, TLS_WHY_BYTES - (size_t)n, ": %s", detail);
    return TLS_E_CONFIG;
}

static int select_alpn(SSL *ssl, const unsigned char **ret, unsigned char *ret_len, const unsigned char *in,
                       unsigned int n, void *arg)
{
    unsigned char *chosen;

    if (SSL_select_next_proto(&chosen, ret_len, alpn_h2, sizeof alpn_h2, in, n) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *ret = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* A key with a passphrase is refused instead of asked for on a terminal. */
static int no_passphrase(char *to, int size, int is_writing, void *arg)
{
    return 0;
}

static int set_rules(SSL_CTX *ssl, const struct tls_config *config, char *why)
{
    int version = config->min_version == TLS_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;

    SSL_CTX_set_options(ssl,
                        SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_default_passwd_cb(ssl, no_passphrase);
    SSL_CTX_set_max_cert_list(ssl, CERT_LIST_BYTES);
    SSL_CTX_set_verify_depth(ssl, CERT_DEPTH);
    if (SSL_CTX_set_min_proto_version(ssl, version) != 1 ||
        SSL_CTX_set_cipher_list(ssl, "ECDHE+AESGCM:ECDHE+CHACHA20") != 1)
        return refuse(why, "this OpenSSL does not offer what is needed");
    return 0;
}

static int use_files(SSL_CTX *ssl, const struct tls_config *config, char *why)
{
    if (SSL_CTX_use_certificate_chain_file(ssl, config->certificate) != 1)
        return refuse(why, "the certificate %s cannot be used (PEM, the server's or client's own first)",
                      config->certificate);
    if (SSL_CTX_use_PrivateKey_file(ssl, config->key, SSL_FILETYPE_PEM) != 1)
        return refuse(why, "the key %s cannot be used (PEM, without a passphrase, of the certificate %s)",
                      config->key, config->certificate);
    return 0;
}

static int trust(SSL_CTX *ssl, const struct tls_config *config, char *why)
{
    STACK_OF(X509_NAME) * names;

    if (!config->ca && config->role == TLS_CLIENT)
        return SSL_CTX_set_default_verify_paths(ssl) == 1
                       ? 0
                       : refuse(why, "the system's certificates cannot be read");
    if (!config->ca)
        return 0;
    if (SSL_CTX_load_verify_file(ssl, config->ca) != 1)
        return refuse(why, "the certificates of authorities in %s cannot be used (PEM)", config->ca);
    if (config->role == TLS_CLIENT)
        return 0;
    names = SSL_load_client_CA_file(config->ca);
    if (!names)
        return refuse(why, "the certificates of authorities in %s cannot be used (PEM)", config->ca);
    SSL_CTX_set_client_CA_list(ssl, names);
    return 0;
}

/* Sessions are kept by the clients, under keys that are made with the context and go with it. */
static int set_resumption(SSL_CTX *ssl, char *why)
{
    unsigned char id[16];

    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_timeout(ssl, TICKET_SECONDS);
    if (RAND_bytes(id, sizeof id) != 1 || SSL_CTX_set_session_id_context(ssl, id, sizeof id) != 1 ||
        SSL_CTX_set_num_tickets(ssl, 1) != 1)
        return refuse(why, "TLS sessions cannot be set up");
    return 0;
}

static int set_role(SSL_CTX *ssl, const struct tls_config *config, char *why)
{
    int mode = SSL_VERIFY_NONE;

    if (config->role == TLS_CLIENT) {
        SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER, NULL);
        return SSL_CTX_set_alpn_protos(ssl, alpn_h2, sizeof alpn_h2) == 0 ? 0 : refuse(why, "no memory");
    }
    if (config->demand != TLS_PEER_ANY)
        mode = SSL_VERIFY_PEER;
    if (config->demand == TLS_PEER_REQUIRED)
        mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    SSL_CTX_set_verify(ssl, mode, NULL);
    SSL_CTX_set_alpn_select_cb(ssl, select_alpn, NULL);
    return set_resumption(ssl, why);
}

int tls_context_new(struct tls_context **ret, const struct tls_config *config, char why[static TLS_WHY_BYTES])
{
    struct tls_context *context = mem_zalloc(sizeof *context);
    int r;

    ASSERT(config->role == TLS_CLIENT || (config->certificate && config->key));
    ASSERT(!config->certificate == !config->key);
    ASSERT(config->role == TLS_CLIENT || !config->ca == (config->demand == TLS_PEER_ANY));
    ERR_clear_error();
    if (context)
        context->ssl = SSL_CTX_new(config->role == TLS_SERVER ? TLS_server_method() : TLS_client_method());
    if (!context || !context->ssl) {
        mem_free(context);
        return refuse(why, "no memory for TLS");
    }
    context->role = config->role;
    r = set_rules(context->ssl, config, why);
    if (r == 0 && config->certificate)
        r = use_files(context->ssl, config, why);
    if (r == 0)
        r = trust(context->ssl, config, why);
    if (r == 0)
        r = set_role(context->ssl, config, why);
    if (r != 0) {
        tls_context_free(context);
        return r;
    }
    *ret = context;
    return 0;
}

struct tls_context *tls_context_free(struct tls_context *context)
{
    if (!context)
        return NULL;
    SSL_CTX_free(context->ssl);
    return mem_free(context);
}

int tls_context_days_left(const struct tls_context *context)
{
    const X509 *certificate = SSL_CTX_get0_certificate(context->ssl);
    int days = 0, seconds = 0;

    if (!certificate || ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(certificate)) != 1)
        return 0;
    return days == 0 && seconds < 0 ? -1 : days;
}
