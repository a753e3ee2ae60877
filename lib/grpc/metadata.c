// SPDX-License-Identifier: Apache-2.0
#include "grpc/metadata.h"

#include <string.h>

enum { TIMEOUT_DIGITS = 8, TIMEOUT_MAX = 99999999 };

/* Finest first. */
static const struct {
    uint8_t unit;
    int64_t ns;
} timeout_units[] = {
        {'n', 1},        {'u', NS_PER_US},     {'m', NS_PER_MS},
        {'S', NS_PER_S}, {'M', 60 * NS_PER_S}, {'H', 3600 * NS_PER_S},
};

int metadata_timeout_parse(struct span text, int64_t *ret_ns)
{
    int64_t n = 0, ns;

    if (text.len < 2 || text.len > TIMEOUT_DIGITS + 1)
        return METADATA_E_MALFORMED;
    for (size_t i = 0; i < text.len - 1; i++) {
        if (text.p[i] < '0' || text.p[i] > '9')
            return METADATA_E_MALFORMED;
        n = n * 10 + (text.p[i] - '0');
    }
    for (size_t i = 0; i < ARRAY_LEN(timeout_units); i++) {
        if (text.p[text.len - 1] != timeout_units[i].unit)
            continue;
        *ret_ns = __builtin_mul_overflow(n, timeout_units[i].ns, &ns) ? CLOCK_NEVER : ns;
        return 0;
    }
    return METADATA_E_MALFORMED;
}

size_t metadata_timeout_format(int64_t timeout_ns, char text[static METADATA_TIMEOUT_BYTES])
{
    char digits[TIMEOUT_DIGITS];
    size_t i = 0, n_digits = 0;
    int64_t n;

    ASSERT(timeout_ns >= 0);
    for (;; i++) {
        n = timeout_ns / timeout_units[i].ns + (timeout_ns % timeout_units[i].ns != 0);
        if (n <= TIMEOUT_MAX)
            break;
    }
    do {
        digits[n_digits++] = (char)('0' + n % 10);
        n /= 10;
    } while (n);
    for (size_t k = 0; k < n_digits; k++)
        text[k] = digits[n_digits - 1 - k];
    text[n_digits] = (char)timeout_units[i].unit;
    text[n_digits + 1] = '\0';
    return n_digits + 1;
}

int metadata_is_grpc(struct span content_type)
{
    static const char expected[] = "application/grpc";
    const size_t n = sizeof expected - 1;

    if (content_type.len < n)
        return 0;
    if (memcmp(content_type.p, expected, n) != 0)
        for (size_t i = 0; i < n; i++) {
            uint8_t c = content_type.p[i];

            if ((c >= 'A' && c <= 'Z' ? c | 0x20 : c) != (uint8_t)expected[i])
                return 0;
        }
    return content_type.len == n || content_type.p[n] == '+' || content_type.p[n] == ';';
}

int metadata_is_binary(struct span name)
{
    return name.len > 4 && memcmp(name.p + name.len - 4, "-bin", 4) == 0;
}

static const char base64_digits[64] = {"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"};

void metadata_base64_encode(const uint8_t *p, size_t n, char *to)
{
    for (; n >= 3; p += 3, n -= 3) {
        *to++ = base64_digits[p[0] >> 2];
        *to++ = base64_digits[(p[0] & 3) << 4 | p[1] >> 4];
        *to++ = base64_digits[(p[1] & 15) << 2 | p[2] >> 6];
        *to++ = base64_digits[p[2] & 63];
    }
    if (n == 0)
        return;
    *to++ = base64_digits[p[0] >> 2];
    if (n == 1) {
        *to = base64_digits[(p[0] & 3) << 4];
        return;
    }
    *to++ = base64_digits[(p[0] & 3) << 4 | p[1] >> 4];
    *to = base64_digits[(p[1] & 15) << 2];
}

static int base64_value(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+')
        return 62;
    return c == '/' ? 63 : -1;
}

int metadata_base64_decode(struct span text, uint8_t *to, size_t *ret_n)
{
    size_t n = text.len, n_padding = 0;
    uint32_t bits = 0;
    uint8_t *at = to;

    while (n_padding < 2 && n && text.p[n - 1] == '=') {
        n--;
        n_padding++;
    }
    if (n % 4 == 1 || (n_padding && text.len % 4 != 0))
        return METADATA_E_MALFORMED;
    for (size_t i = 0; i < n; i++) {
        int v = base64_value(text.p[i]);

        if (v < 0)
            return METADATA_E_MALFORMED;
        bits = bits << 6 | (uint32_t)v;
        if (i % 4 == 3) {
            *at++ = (uint8_t)(bits >> 16);
            *at++ = (uint8_t)(bits >> 8);
            *at++ = (uint8_t)bits;
            bits = 0;
        }
    }
    if (n % 4 == 2) {
        if (bits & 0xf)
            return METADATA_E_MALFORMED;
        *at++ = (uint8_t)(bits >> 4);
    } else if (n % 4 == 3) {
        if (bits & 0x3)
            return METADATA_E_MALFORMED;
        *at++ = (uint8_t)(bits >> 10);
        *at++ = (uint8_t)(bits >> 2);
    }
    *ret_n = (size_t)(at - to);
    return 0;
}

size_t metadata_percent_encode(const char *p, size_t n, char *to)
{
    static const char digits[16] = {"0123456789ABCDEF"};
    char *at = to;

    for (size_t i = 0; i < n; i++) {
        uint8_t c = (uint8_t)p[i];

        /* a space at either end would be trimmed, or refused, as white space around a header value */
        if ((c > ' ' && c <= '~' && c != '%') || (c == ' ' && i > 0 && i < n - 1)) {
            *at++ = (char)c;
            continue;
        }
        *at++ = '%';
        *at++ = digits[c >> 4];
        *at++ = digits[c & 15];
    }
    return (size_t)(at - to);
}

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

size_t metadata_percent_decode(struct span text, char *to)
{
    char *at = to;

    for (size_t i = 0; i < text.len; i++) {
        int hi, lo;

        if (text.p[i] == '%' && text.len - i > 2) {
            hi = hex_value(text.p[i + 1]);
            lo = hex_value(text.p[i + 2]);
            if (hi >= 0 && lo >= 0) {
                *at++ = (char)(hi << 4 | lo);
                i += 2;
                continue;
            }
        }
        *at++ = (char)text.p[i];
    }
    return (size_t)(at - to);
}
