// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Whole calls with one request and one reply: sent, waited for or not, and sent again where the daemon was away and it is
 * safe. All methods that are not streams are called by these.
 */
#include "client/lib/call.h"

/* futured_call_unary: send, wait, read. @decode may be NULL. Where the client is armed (futured_client_async) it is only
 *   started: @ret must stay, @arg need not.
 *   futured_call_timed: the same with one more field, the Duration @timeout_number: at each sending what is left of @timeout_ns.
 *   futured_call_once: the same for what must not be done twice.
 *   Return: FUTURED_OK, or a code; noted in the client. FUTURED_AGAIN: started. */
MUST_CHECK int futured_call_unary(struct futured_client *client, const char *path, futured_encode_fn encode,
                                  const void *arg, futured_decode_fn decode, void *ret);
MUST_CHECK int futured_call_timed(struct futured_client *client, const char *path, futured_encode_fn encode,
                                  const void *arg, futured_decode_fn decode, void *ret,
                                  uint32_t timeout_number, int64_t timeout_ns);
MUST_CHECK int futured_call_once(struct futured_client *client, const char *path, futured_encode_fn encode,
                                 const void *arg, futured_decode_fn decode, void *ret);

/* futured_retry_drop_all: the client ends: what was started ends CANCELLED. */
void futured_retry_drop_all(struct futured_client *client);
