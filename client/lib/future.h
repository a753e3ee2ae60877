// SPDX-License-Identifier: Apache-2.0
#pragma once
/* The record of a future, and the parts of it that stand in other messages too. */
#include "client/lib/decode.h"

#include <futured/v1/future.pb-c.h>

/* futured_future_fill: @to from an unpacked message, all in @arena; @wire is borrowed by @to. 0, -ENOMEM. */
MUST_CHECK int futured_future_fill(struct arena *arena, const Futured__V1__Future *from,
                                   struct futured_bytes wire, struct futured_future *to);

/* futured_future_list: @n futures, which are the repeated field @number of the message @wire. 0, -ENOMEM. */
MUST_CHECK int futured_future_list(struct arena *arena, Futured__V1__Future *const *from, size_t n,
                                   struct futured_bytes wire, uint32_t number,
                                   const struct futured_future *const **ret);

/* futured_future_decode: a futured_decode_fn for a message Future: @ret is a struct futured_future **. */
MUST_CHECK int futured_future_decode(struct span reply, void *ret);

/* Parts. Of NULL comes NULL; otherwise NULL is no memory. */
struct futured_error *futured_future_error(struct arena *arena, const Futured__V1__Error *from);
struct futured_progress *futured_future_progress(struct arena *arena, const Futured__V1__Progress *from);
