// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * google.longrunning.Operations: a future is the operation "futures/ID". A thin adapter inside the Futures service: a request
 * becomes the one that Futures has for the same, and runs as that; only what is answered has another form.
 */
#include "engine/future.h"
#include "grpc/server.h"
#include "grpc/writer.h"

enum { OPERATIONS_METHODS = 5 };
/* Rows without a context: futures_new adds them to its own. */
extern const struct grpc_method operations_rows[OPERATIONS_METHODS];

/* operations_size: an upper bound of the bytes of @f's Operation, complete. */
size_t operations_size(const struct future *f);

/* operations_put: the fields of @f's Operation. What there is not @room for is left out: of the metadata first (its `omitted`
 * says so), then of the outcome. */
void operations_put(struct writer *w, const struct future *f, size_t room);
/* operations_put_field: the same as nested field @number, with its tag within @room. */
void operations_put_field(struct writer *w, uint32_t number, const struct future *f, size_t room);

/* operations_reply: answer a unary call with the Operation of @f. */
void operations_reply(struct grpc_call *call, struct future *f);
