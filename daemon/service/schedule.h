// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * The options of a task that have to do with time and with further attempts: checked, defaults filled in, and as the
 * engine is told them.
 */
#include "engine/engine.h"
#include "service/request.h"

/* Where a retry policy is while the engine is told of it. */
struct schedule_room {
    struct retry_policy retry;
    struct span types[LIMIT_RETRY_TYPES];
};

/* Whose options are read: that is how fields are named. */
enum options_owner {
    OPTIONS_OF_TASK,
    OPTIONS_OF_FUNCTION,
    OPTIONS_OF_RETRY, /* in its request, in place of those of the task */
    OPTIONS_OF_RETRIED, /* in the task of a future that is retried: its key, its start and its deadline are over */
};
#define OPTIONS_FUNCTION_FIELD "hello.functions.default_options"

/* schedule_parent: the message that they stand in, as it is named to a client. */
const char *schedule_parent(enum options_owner owner);

/* schedule_read_retry: a RetryPolicy into @room; defaults are filled in. 0; REQUEST_E_BAD. */
MUST_CHECK int schedule_read_retry(struct span message, enum options_owner owner, struct schedule_room *room,
                                   struct grpc_status *st);

/* schedule_check: @in can start before its deadline; here, for every submission asks. 0; REQUEST_E_BAD. schedule_refuse: that. */
MUST_CHECK int schedule_refuse(enum options_owner owner, struct grpc_status *st);
MUST_CHECK static inline int schedule_check(const struct engine_submit *in, enum options_owner owner,
                                            struct grpc_status *st)
{
    return UNLIKELY(in->deadline && in->deadline < in->not_before) ? schedule_refuse(owner, st) : 0;
}

/* schedule_read: from the options @o of a task that is accepted at @now into @in, which may point into @room.
 * schedule_check is the caller's: what was accepted before, and is sent again, may be late by now.
 *   Return: 0; REQUEST_E_BAD (@st names the field). */
MUST_CHECK int schedule_read(const struct task_options *o, wall_ns_t now, enum options_owner owner,
                             struct schedule_room *room, struct engine_submit *in, struct grpc_status *st);
