// SPDX-License-Identifier: Apache-2.0
#pragma once
/* Certificates for tests, made when they run: an authority, and what it signs. Aborts where OpenSSL fails. */
#include "base/err.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

struct cert {
    EVP_PKEY *key;
    X509 *x509;
};

/* cert_new: for @cn, with @names as openssl.cnf(5) has them ("DNS:a,IP:127.0.0.1"; NULL: none), that ends @days from now; signed by @by, NULL:
 * by itself, as an authority. Free with cert_free. */
static inline struct cert cert_new(const char *cn, const char *names, int days, const struct cert *by)
{
    static long serial = 1;
    struct cert c = {.key = EVP_EC_gen("P-256"), .x509 = X509_new()};
    X509_NAME *subject;
    X509V3_CTX context;
    X509_EXTENSION *e;

    ASSERT(c.key && c.x509);
    subject = X509_get_subject_name(c.x509);
    ASSERT(X509_set_version(c.x509, 2) && ASN1_INTEGER_set(X509_get_serialNumber(c.x509), serial++));
    ASSERT(X509_gmtime_adj(X509_getm_notBefore(c.x509), -86400L * 30));
    ASSERT(X509_gmtime_adj(X509_getm_notAfter(c.x509), 86400L * days));
    ASSERT(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1, -1, 0));
    ASSERT(X509_set_issuer_name(c.x509, by ? X509_get_subject_name(by->x509) : subject));
    ASSERT(X509_set_pubkey(c.x509, c.key));
    X509V3_set_ctx(&context, by ? by->x509 : c.x509, c.x509, NULL, NULL, 0);
    e = X509V3_EXT_conf_nid(NULL, &context, NID_basic_constraints,
                            by ? "critical,CA:FALSE" : "critical,CA:TRUE");
    ASSERT(e && X509_add_ext(c.x509, e, -1));
    X509_EXTENSION_free(e);
    if (names) {
        e = X509V3_EXT_conf_nid(NULL, &context, NID_subject_alt_name, names);
        ASSERT(e && X509_add_ext(c.x509, e, -1));
        X509_EXTENSION_free(e);
    }
    ASSERT(X509_sign(c.x509, by ? by->key : c.key, EVP_sha256()));
    return c;
}

static inline void cert_free(struct cert *c)
{
    EVP_PKEY_free(c->key);
    X509_free(c->x509);
}

/* cert_write: PEM files; either path may be NULL. */
static inline void cert_write(const struct cert *c, const char *certificate, const char *key)
{
    FILE *f = certificate ? fopen(certificate, "we") : NULL;

    ASSERT(!certificate || (f && PEM_write_X509(f, c->x509) && fclose(f) == 0));
    f = key ? fopen(key, "we") : NULL;
    ASSERT(!key || (f && PEM_write_PrivateKey(f, c->key, NULL, NULL, 0, NULL, NULL) && fclose(f) == 0));
}
