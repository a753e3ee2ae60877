// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * The options of a task, and the defaults of a function, which are options too: durability, priority, attempt_timeout,
 * retry, on_lost and retention. A retry policy is taken as a whole.
 */
#include "engine/engine.h"
#include "service/schedule.h"

/* options_check: what can be said of the options @o by themselves. 0; REQUEST_E_BAD. */
MUST_CHECK int options_check(const struct task_options *o, enum options_owner owner, int has_store,
                             struct grpc_status *st);

/* options_read_defaults: the TaskOptions @message of a function; *ret may point into @room. 0; REQUEST_E_BAD. */
MUST_CHECK int options_read_defaults(struct span message, int has_store, struct schedule_room *room,
                                     struct function_defaults *ret, struct grpc_status *st);

/* options_write_defaults: what options_read_defaults reads. options_defaults_size: an upper bound of its bytes; @d may be
 * NULL. */
void options_write_defaults(struct writer *w, const struct function_defaults *d);
size_t options_defaults_size(const struct function_defaults *d);

/* options_complete: what the options @o of a task do not say is put into @in from @d, which it may point into. */
void options_complete(const struct function_defaults *d, const struct task_options *o,
                      struct engine_submit *in);
