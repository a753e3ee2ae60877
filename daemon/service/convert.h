// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * From the engine's records to the contract's messages: the only place that sees both. The task's bytes are spliced,
 * never encoded again.
 */
#include "engine/engine.h"
#include "grpc/writer.h"
#include "service/request.h"

/* What a view may be cut to so that a reply fits: see convert_fit. */
struct convert_view {
    enum view view;
    int omitted; /* Future.omitted: something the view would have shown is left out */
};

/* convert_size: an upper bound of the bytes of @f's Future message under @view. O(attempts). */
size_t convert_size(const struct future *f, enum view view);

/* convert_view_size: the same for what convert_fit answers. */
size_t convert_view_size(const struct future *f, struct convert_view view);

/* convert_fit: @view when it fits into @room bytes; else FULL without the argument; else BASIC; else RESULT without the
 * bytes of the result and with a short error, which always fits a message. The latter three are omitted. */
struct convert_view convert_fit(const struct future *f, enum view view, size_t room);

/* convert_future: the fields of a Future message (no tag around them). */
void convert_future(struct writer *w, const struct future *f, struct convert_view view);
/* convert_future_field: the same as nested field @number. */
void convert_future_field(struct writer *w, uint32_t number, const struct future *f,
                          struct convert_view view);

/* convert_progress: a Progress as field @number. */
void convert_progress(struct writer *w, uint32_t number, const struct told_progress *p);

/* convert_error: google.rpc-coded Error of a future or attempt as field @number. */
void convert_error(struct writer *w, uint32_t number, const struct future_error *error);

/* convert_retry: a RetryPolicy as field @number; NULL: one attempt. */
void convert_retry(struct writer *w, uint32_t number, const struct retry_policy *p);

/* convert_engine_error: the status for an engine's refusal. @what: the function name or ID it is about. Returns @st. */
struct grpc_status *convert_engine_error(struct grpc_status *st, int error, struct span what);

/* convert_precondition, convert_resource: status_set_precondition, _resource with what is no C string. Returns @st. */
struct grpc_status *convert_precondition(struct grpc_status *st, const char *type, struct span subject);
struct grpc_status *convert_resource(struct grpc_status *st, const char *type, struct span name);

/* convert_not_found: NOT_FOUND for an ID. Returns @st. */
struct grpc_status *convert_not_found(struct grpc_status *st, const struct id *id);

/* convert_no_memory: RESOURCE_EXHAUSTED for a failed allocation. Returns @st. */
struct grpc_status *convert_no_memory(struct grpc_status *st);
