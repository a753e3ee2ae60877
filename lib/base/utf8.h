// SPDX-License-Identifier: Apache-2.0
#pragma once
/* protobuf strings must be UTF-8 and protobuf-c does not look; stock clients refuse what is not. */
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

/* utf8_is_valid: whether @n bytes are well-formed UTF-8 (RFC 3629: no overlong forms, surrogates, >
 * U+10FFFF). */
MUST_CHECK int utf8_is_valid(const uint8_t *p, size_t n);

/* utf8_cut: how many of the @n valid bytes to keep, so that they are at most @max and no character is cut in two. */
MUST_CHECK size_t utf8_cut(const uint8_t *p, size_t n, size_t max);
