// SPDX-License-Identifier: Apache-2.0
#pragma once
/* Points in time as people write them. */
#include "base/clock.h"
#include "base/err.h"

/* when_parse: local time as `2026-01-31 12:00`, `2026-01-31T12:00:05`, `2026-01-31` or `12:00` (the next one after @now);
 * RFC 3339, which has its offset: `2026-01-31T12:00:00Z`. Return: 0; WHEN_E_SYNTAX. */
enum { WHEN_E_SYNTAX = 1 };
MUST_CHECK int when_parse(const char *text, wall_ns_t now, wall_ns_t *ret);
