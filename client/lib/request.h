// SPDX-License-Identifier: Apache-2.0
#pragma once
/* A task to be, as the public setters fill it and the calls write it. */
#include "grpc/writer.h"

#include <futured/client.h>

/* futured_request_check: 0; -ENOMEM (a setter failed, or @request is NULL); FUTURED_REQUEST_E_TOO_LARGE (the argument
 * has more bytes than any daemon takes). */
enum { FUTURED_REQUEST_E_TOO_LARGE = 1 };
MUST_CHECK int futured_request_check(const struct futured_request *request);

/* Written as the message SubmitRequest, and as RunRequest; @tag: instead of the request's own, or NULL. */
void futured_request_write_submit(const struct futured_request *request, struct writer *w, const char *tag);
void futured_request_write_run(const struct futured_request *request, struct writer *w, const char *tag);
