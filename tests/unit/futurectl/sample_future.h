// SPDX-License-Identifier: Apache-2.0
#pragma once
/* Samples of tests/unit/client/sample.h, read by the library as an answer is. Header only. */
#include "client/lib/future.h"
#include "tests/unit/client/sample.h"

static inline struct futured_future *sample_read(const uint8_t *wire, size_t n)
{
    struct futured_future *future;

    assert_int_equal(futured_future_decode((struct span){wire, n}, &future), 0);
    return future;
}

static inline struct futured_future *sample_future_whole(void)
{
    uint8_t wire[SAMPLE_BYTES];

    return sample_read(wire, sample_whole(wire));
}

static inline struct futured_future *sample_future_small(Futured__V1__State state, const char *data)
{
    uint8_t wire[SAMPLE_BYTES];

    return sample_read(wire, sample_small(SAMPLE_ID "5", state, data, wire));
}
