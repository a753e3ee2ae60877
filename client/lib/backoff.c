// SPDX-License-Identifier: Apache-2.0
#include "client/lib/backoff.h"

#include "base/err.h"

#include <sys/random.h>

int64_t futured_backoff_next(struct futured_backoff *backoff, int64_t min_ns, int64_t max_ns)
{
    int64_t pause = min_ns;
    uint32_t chance;

    for (uint32_t i = 0; i < backoff->n && pause < max_ns; i++)
        pause *= 2;
    pause = MIN(pause, max_ns);
    if (getrandom(&chance, sizeof chance, GRND_NONBLOCK) != (ssize_t)sizeof chance)
        chance = (uint32_t)clock_mono(); /* any spread will do */
    if (backoff->n < UINT32_MAX)
        backoff->n++;
    return pause / 2 + (int64_t)((double)(pause / 2) * ((double)chance / (double)UINT32_MAX));
}

void futured_backoff_reset(struct futured_backoff *backoff)
{
    backoff->n = 0;
}
