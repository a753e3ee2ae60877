// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * The options of a task, and the defaults of a function, which are options too: durability, priority, attempt_timeout,
 * retry, on_lost and retention. A retry policy is taken as a whole.
 */
#include "engine/engine.h"
#include "service/schedule.h"

struct futures;

/* options_read_defaults: the TaskOptions @message of a function; *ret may point into @room. 0; REQUEST_E_BAD. */
MUST_CHECK int options_read_defaults(struct span message, int has_store, struct schedule_room *room,
                                     struct function_defaults *ret, struct grpc_status *st);

/* options_write_defaults: what options_read_defaults reads. options_defaults_size: an upper bound of its bytes; @d may be
 * NULL. */
void options_write_defaults(struct writer *w, const struct function_defaults *d);
size_t options_defaults_size(const struct function_defaults *d);

/* options_read: @raw ({NULL, 0} = none), completed with the defaults of in->function, into @in, which may point into @room and
 * @raw.
 *   Return: 0; REQUEST_E_BAD (@st names the field). */
MUST_CHECK int options_read(const struct futures *s, struct span raw, enum options_owner owner,
                            struct schedule_room *room, struct engine_submit *in, struct grpc_status *st);
