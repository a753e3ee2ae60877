// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * What a function says of its tasks where these do not say it themselves. It is said by the configuration and by workers;
 * of the two the configuration wins, field by field. Who accepts a task completes it with what came of that
 * (function.defaults); the engine itself reads none of it.
 */
#include "engine/future.h"

struct engine;

struct function_defaults {
    uint8_t durability, on_lost;              /* 0 = not said */
    int32_t priority;                         /* likewise */
    int64_t attempt_timeout_ns, retention_ns; /* < 0 = not said */
    const struct retry_policy *retry;         /* NULL = not said */
};
#define FUNCTION_DEFAULTS_NONE ((struct function_defaults){.attempt_timeout_ns = -1, .retention_ns = -1})

enum defaults_source { DEFAULTS_SAID, DEFAULTS_CONFIGURED }; /* by a worker; by the configuration */

/* What a function has of them: by source, and what came of it; NULL = nothing is said. */
struct defaults {
    struct function_defaults *by_source[2], *all;
};
void defaults_deinit(struct defaults *d);

/* defaults_is_nothing: whether @d says nothing. */
MUST_CHECK int defaults_is_nothing(const struct function_defaults *d);

/* engine_defaults_find: what holds for tasks of the function @name; NULL = nothing. Costs nothing where no function has
 * defaults. */
const struct function_defaults *engine_defaults_find(const struct engine *e, struct span name);

/* engine_defaults_restore: what a worker of an earlier start said of @f. 0, -ENOMEM (as before). */
struct function;
MUST_CHECK int engine_defaults_restore(struct engine *e, struct function *f,
                                       const struct function_defaults *from);

/* defaults_set: @from, copied, is what @source says. 1: that is new; 0: it is what was said before; -ENOMEM (as before). */
MUST_CHECK int defaults_set(struct defaults *d, enum defaults_source source,
                            const struct function_defaults *from);
