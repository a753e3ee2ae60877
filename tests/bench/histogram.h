// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * A histogram of times: one octave in 64 equal steps, so any quantile is right to 1.6 %. Recording is one
 * increment; the range is 1 ns to 64 s, and what is longer counts as that.
 */
#include "base/clock.h"

#include <stddef.h>
#include <stdint.h>

enum { HISTOGRAM_STEPS = 64, HISTOGRAM_OCTAVES = 31 };

struct histogram {
    uint64_t n;
    uint64_t buckets[(HISTOGRAM_OCTAVES + 1) * HISTOGRAM_STEPS];
};

static inline void histogram_add(struct histogram *h, int64_t ns)
{
    uint64_t v = ns > 0 ? (uint64_t)ns : 0;
    size_t octave = 0, at;

    if (v >= HISTOGRAM_STEPS)
        octave = 63 - (size_t)__builtin_clzll(v) - 5; /* v >> octave - 1 is in [64, 128) */
    at = octave ? octave * HISTOGRAM_STEPS + (size_t)((v >> (octave - 1)) - HISTOGRAM_STEPS) : (size_t)v;
    if (octave > HISTOGRAM_OCTAVES)
        at = sizeof h->buckets / sizeof h->buckets[0] - 1;
    h->buckets[at]++;
    h->n++;
}

/* histogram_quantile: the time that @q (0..1) of the recorded ones do not exceed, in ns; 0 when empty. */
static inline double histogram_quantile(const struct histogram *h, double q)
{
    uint64_t rank = (uint64_t)(q * (double)h->n), seen = 0;

    for (size_t at = 0; at < sizeof h->buckets / sizeof h->buckets[0]; at++) {
        size_t octave = at / HISTOGRAM_STEPS, step = at % HISTOGRAM_STEPS;

        seen += h->buckets[at];
        if (seen > rank || (seen && seen == h->n))
            return octave ? (double)((HISTOGRAM_STEPS + step + 1) << (octave - 1)) : (double)step;
    }
    return 0;
}
