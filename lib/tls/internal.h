// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What the files of the room share; nobody else includes it. */
#include "tls/tls.h"

#include <openssl/ssl.h>

struct tls_context {
    SSL_CTX *ssl;
    enum tls_role role;
};

struct tls {
    SSL *ssl;
    enum tls_role role;
    const uint8_t *in; /* borrowed from tls_feed */
    size_t n_in;
    struct buf *out; /* the caller's, while OpenSSL runs */
    uint64_t bytes_in;
    uint64_t n_key_updates;
    int is_out_of_memory;
    char why[160];
};

/* context_error_text: the first error in OpenSSL's queue, which is emptied; @otherwise when there is none. */
void context_error_text(char *to, size_t size, const char *otherwise);

/* names_of_certificate: as tls_peer_names, of @certificate. 0, -ENOMEM (@to may have some of them). */
MUST_CHECK int names_of_certificate(X509 *certificate, struct buf *to);
