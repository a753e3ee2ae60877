// SPDX-License-Identifier: Apache-2.0
#pragma once
/* Pauses between attempts: each twice as long as the one before, half of each by chance, so that many who have lost the same
 * daemon do not come back at one moment. */
#include "base/clock.h"

struct futured_backoff {
    uint32_t n; /* failures since the last success */
};

/* futured_backoff_next: how long to wait before the next attempt: between half and all of @min_ns * 2^n, at most @max_ns. */
int64_t futured_backoff_next(struct futured_backoff *backoff, int64_t min_ns, int64_t max_ns);
void futured_backoff_reset(struct futured_backoff *backoff);
