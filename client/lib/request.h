// SPDX-License-Identifier: Apache-2.0
#pragma once
/* A task to be, as the public setters fill it and the calls write it. */
#include "grpc/writer.h"

#include <futured/client.h>

/* futured_request_check: 0; -ENOMEM (a setter failed, or @request is NULL); FUTURED_REQUEST_E_TOO_LARGE (the argument
 * has more bytes than any daemon takes). */
enum { FUTURED_REQUEST_E_TOO_LARGE = 1 };
MUST_CHECK int futured_request_check(const struct futured_request *request);

/* futured_request_identify: give @request an ID for the task that it stands for, where it has none.
 *   Return: 0; -ENOMEM; -errno of getrandom(2). */
struct futured_client;
MUST_CHECK int futured_request_identify(struct futured_request *request, struct futured_client *client);
/* futured_request_has_id: whether it may be sent again as the same task. */
int futured_request_has_id(const struct futured_request *request);
/* futured_request_made_id: the ID that identify has made; "" where it is the caller's. */
const char *futured_request_made_id(const struct futured_request *request);
/* futured_request_settle: what it stood for is known to be a future: from now on it stands for another task. */
void futured_request_settle(struct futured_request *request);

/* futured_request_write_options: the fields of its TaskOptions. */
void futured_request_write_options(const struct futured_request *request, struct writer *w);

/* Written as the message SubmitRequest, and as RunRequest; @tag: instead of the request's own, or NULL. */
void futured_request_write_submit(const struct futured_request *request, struct writer *w, const char *tag);
void futured_request_write_run(const struct futured_request *request, struct writer *w, const char *tag,
                               int announce);

/* futured_request_tell: call what futured_request_on_accepted has set. Whether there is something: _wants_told. */
int futured_request_wants_told(const struct futured_request *request);
void futured_request_tell(const struct futured_request *request, const struct futured_future *future);
