// SPDX-License-Identifier: Apache-2.0
/* Whom a certificate names. A name with a byte that no honest one has is left out, so that none is read as another. */
#include "base/utf8.h"
#include "tls/internal.h"

#include <errno.h>
#include <string.h>

#include <openssl/x509v3.h>

static int is_name(const unsigned char *p, size_t n)
{
    if (n == 0 || n > TLS_NAME_BYTES || !utf8_is_valid(p, n))
        return 0;
    for (size_t i = 0; i < n; i++)
        if (p[i] < 0x20 || p[i] == 0x7f)
            return 0;
    return 1;
}

/* One more for @to, if it is one. 0, -ENOMEM. */
static int add_name(struct buf *to, const char *kind, const unsigned char *p, size_t n)
{
    int r;

    if (!is_name(p, n))
        return 0;
    r = buf_append(to, kind, strlen(kind));
    if (r == 0)
        r = buf_append(to, p, n);
    return r == 0 ? buf_append(to, "", 1) : r;
}

/* Every common name; they are of several character sets. */
static int add_common(struct buf *to, X509_NAME *subject, unsigned int *n)
{
    int r = 0;

    for (int i = -1; r == 0 && *n < TLS_NAMES_MAX;) {
        unsigned char *text = NULL;
        int len;

        i = X509_NAME_get_index_by_NID(subject, NID_commonName, i);
        if (i < 0)
            break;
        len = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, i)));
        if (len >= 0) {
            r = add_name(to, "cn:", text, (size_t)len);
            OPENSSL_free(text);
        }
        (*n)++;
    }
    return r;
}

static int add_alternative(struct buf *to, const GENERAL_NAME *name)
{
    int type;
    const ASN1_STRING *text = GENERAL_NAME_get0_value(name, &type);
    const char *kind = type == GEN_DNS     ? "dns:"
                       : type == GEN_URI   ? "uri:"
                       : type == GEN_EMAIL ? "email:"
                                           : NULL;

    return kind ? add_name(to, kind, ASN1_STRING_get0_data(text), (size_t)ASN1_STRING_length(text)) : 0;
}

int names_of_certificate(X509 *certificate, struct buf *to)
{
    GENERAL_NAMES *others = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    unsigned int n = 0;
    int r = add_common(to, X509_get_subject_name(certificate), &n);

    for (int i = 0; r == 0 && others && i < sk_GENERAL_NAME_num(others) && n < TLS_NAMES_MAX; i++, n++)
        r = add_alternative(to, sk_GENERAL_NAME_value(others, i));
    GENERAL_NAMES_free(others);
    return r;
}
