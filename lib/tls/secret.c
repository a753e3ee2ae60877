// SPDX-License-Identifier: Apache-2.0
#include "tls/secret.h"

#include <errno.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>

int secret_hash(struct span secret, uint8_t ret[static SECRET_BYTES])
{
    unsigned int n;

    if (EVP_Digest(secret.p, secret.len, ret, &n, EVP_sha256(), NULL) == 1)
        return 0;
    ERR_clear_error();
    return -ENOMEM;
}

int secret_is_equal(const uint8_t a[static SECRET_BYTES], const uint8_t b[static SECRET_BYTES])
{
    return CRYPTO_memcmp(a, b, SECRET_BYTES) == 0;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int secret_read(const char *text, uint8_t ret[static SECRET_BYTES])
{
    uint8_t bytes[SECRET_BYTES];

    if (strlen(text) != (size_t)2 * SECRET_BYTES)
        return SECRET_E_SYNTAX;
    for (size_t i = 0; i < SECRET_BYTES; i++) {
        int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);

        if (high < 0 || low < 0)
            return SECRET_E_SYNTAX;
        bytes[i] = (uint8_t)(high << 4 | low);
    }
    memcpy(ret, bytes, SECRET_BYTES);
    return 0;
}
