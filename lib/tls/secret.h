// SPDX-License-Identifier: Apache-2.0
#pragma once
/* Secrets that are kept as hashes. */
#include "base/bytes.h"

enum { SECRET_BYTES = 32 };

/* secret_hash: SHA-256 of @secret. 0; -ENOMEM. */
MUST_CHECK int secret_hash(struct span secret, uint8_t ret[static SECRET_BYTES]);

/* secret_is_equal: in a time that does not say where they differ. */
MUST_CHECK int secret_is_equal(const uint8_t a[static SECRET_BYTES], const uint8_t b[static SECRET_BYTES]);

/* secret_read: 64 hexadecimal digits. 0; SECRET_E_SYNTAX. */
enum { SECRET_E_SYNTAX = 1 };
MUST_CHECK int secret_read(const char *text, uint8_t ret[static SECRET_BYTES]);
