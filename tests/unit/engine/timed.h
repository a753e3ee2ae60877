// SPDX-License-Identifier: Apache-2.0
#pragma once
/* Submissions that have to do with clocks, for the tests of timing and of what changes it. */
#include "tests/unit/engine/fixture.h"

static const struct retry_policy TIMED_RETRY = {
        .max_attempts = 3,
        .initial_backoff_ns = 4 * NS_PER_S,
        .max_backoff_ns = 60 * NS_PER_S,
        .multiplier = 2,
};

/* An attempt that ends with an error of @reason, which may be tried again. */
static inline struct finish timed_error(enum future_reason reason)
{
    struct future_error error = {
            .code = 2, .reason = reason, .retryable = 1, .message = SPAN_LIT("it says so")};
    struct finish finish = {.error = future_error_new(&error), .usage = {-1, -1, -1, -1}};

    assert_non_null(finish.error);
    return finish;
}

static inline void timed_fail(struct fixture *x, struct lease *lease, enum future_reason reason)
{
    struct finish finish = timed_error(reason);

    assert_int_equal(engine_finish(x->e, lease, &finish), 0);
    assert_null(finish.error);
    engine_check(x->e);
}
