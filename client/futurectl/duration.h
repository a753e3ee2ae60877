// SPDX-License-Identifier: Apache-2.0
#pragma once
/* Spans of time as people write them. */
#include "base/err.h"

#include <stdint.h>

/* duration_parse: `90`, `1.5s`, `250ms`, `1h30m`, `7d`: numbers with a unit of ns, us, ms, s, m, h, d, largest unit
 * first or not; a single number alone is seconds. Return: 0; DURATION_E_SYNTAX; DURATION_E_RANGE (292 years). */
enum { DURATION_E_SYNTAX = 1, DURATION_E_RANGE = 2 };
MUST_CHECK int duration_parse(const char *text, int64_t *ret_ns);

/* duration_format: for people, to three digits or to the second: `820 us`, `1.25 s`, `2 m 3 s`, `3 d 4 h`. */
enum { DURATION_TEXT_BYTES = 40 };
void duration_format(int64_t ns, char text[static DURATION_TEXT_BYTES]);
