// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What people read: times, sizes, and texts of strangers made harmless for a terminal. */
#include "base/bytes.h"
#include "base/clock.h"

#include <stdio.h>

/* text_put: write @s; what is a control character or no UTF-8 becomes \n, \t or \xNN, a backslash stays. At most
 * @max_bytes of it (0: all), cut at a character, then `...`. */
void text_put(FILE *to, struct span s, size_t max_bytes);
void text_put_string(FILE *to, const char *s);

/* text_is_printable: valid UTF-8 without control characters but newline, carriage return and tab. */
MUST_CHECK int text_is_printable(struct span s);

/* text_time: local time with its offset from UTC, to the millisecond: `2026-01-31 12:00:00.123 +0100`. */
enum { TEXT_TIME_BYTES = 64 };
void text_time(wall_ns_t t, char text[static TEXT_TIME_BYTES]);

/* text_size: `1 byte`, `512 bytes`, `1.2 MiB`. */
enum { TEXT_SIZE_BYTES = 32 };
void text_size(uint64_t n, char text[static TEXT_SIZE_BYTES]);

/* text_signal: `SIGSEGV`, `signal 64`. */
enum { TEXT_SIGNAL_BYTES = 24 };
void text_signal(int number, char text[static TEXT_SIGNAL_BYTES]);
