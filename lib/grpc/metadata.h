// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Header values as gRPC over HTTP/2 writes them: grpc-timeout, base64 for names in -bin, the percent-encoding
 * of grpc-message, the content-type. Pure functions; nothing allocates.
 */
#include "base/bytes.h"
#include "base/clock.h"

#include <string.h>

/* metadata_timeout_parse: 1 to 8 digits and a unit of H M S m u n; CLOCK_NEVER for what does not fit.
 *   Return: 0; METADATA_E_MALFORMED. */
enum { METADATA_E_MALFORMED = 1 };
MUST_CHECK int metadata_timeout_parse(struct span text, int64_t *ret_ns);

/* metadata_timeout_format: @timeout_ns >= 0, rounded up to what 8 digits hold; the length without the NUL. */
enum { METADATA_TIMEOUT_BYTES = 10 };
size_t metadata_timeout_format(int64_t timeout_ns, char text[static METADATA_TIMEOUT_BYTES]);

/* METADATA_IS: whether the span @name is the string literal @lit. For loops over header fields: nearly every
 * field is passed by its length. */
#define METADATA_IS(name, lit) \
    ((name).len == sizeof(lit) - 1 && memcmp((name).p, "" lit, sizeof(lit) - 1) == 0)

/* metadata_is_grpc: whether a content-type is application/grpc, alone or followed by + or ; */
MUST_CHECK int metadata_is_grpc(struct span content_type);

/* metadata_is_binary: whether values under this name are base64 (it ends in -bin). */
MUST_CHECK int metadata_is_binary(struct span name);

/* metadata_base64_len: characters of @n encoded bytes (without padding, as gRPC wants them sent). */
static inline size_t metadata_base64_len(size_t n)
{
    return n / 3 * 4 + (n % 3 ? n % 3 + 1 : 0);
}

/* metadata_base64_encode: write metadata_base64_len(n) characters to @to; no NUL. */
void metadata_base64_encode(const uint8_t *p, size_t n, char *to);

/* metadata_base64_decode: padded or not, into @to, which has room for text.len / 4 * 3 + 2 bytes.
 *   Return: 0; METADATA_E_MALFORMED (a foreign character, an impossible length, bits set behind the end). */
MUST_CHECK int metadata_base64_decode(struct span text, uint8_t *to, size_t *ret_n);

/* metadata_percent_encode: write at most 3 * n characters to @to; their number. */
size_t metadata_percent_encode(const char *p, size_t n, char *to);

/* metadata_percent_decode: write at most text.len bytes to @to; their number. A broken escape stays as it is:
 * the receiver of a message must never refuse it. */
size_t metadata_percent_decode(struct span text, char *to);
