// SPDX-License-Identifier: Apache-2.0
#pragma once
/* The futures that the options of a task name in depends_on. @raw: these options. */
#include "service/options.h"

/* depends_are_missing: whether one of those in @raw may be where only the store has it. */
MUST_CHECK int depends_are_missing(const struct futures *s, struct span raw);

/* depends_find: those in @raw as in->upstreams, until the next call.
 *   Return: 0; REQUEST_E_BAD; DEPENDS_E_UNKNOWN: @st names one that there is not. */
enum { DEPENDS_E_UNKNOWN = REQUEST_E_BAD + 1 };
MUST_CHECK int depends_find(struct futures *s, struct span raw, enum options_owner owner,
                            struct engine_submit *in, struct grpc_status *st);
