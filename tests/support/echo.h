// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * futured.test.v1.Echo, the service that tests and benchmarks of the front end call (echo.proto). Unary and
 * Bidi recognise a message that is nothing but a payload and answer it as it stands, so that a benchmark
 * measures the front end and not a codec.
 */
#include "grpc/server.h"

struct echo;
struct loop;

/* echo_new: Owns: the caller, who frees it after all connections. 0, -ENOMEM. */
MUST_CHECK int echo_new(struct echo **ret);
struct echo *echo_free(struct echo *e);

/* echo_set_loop: where delays run; before the first call. Borrowed while calls are open. */
void echo_set_loop(struct echo *e, struct loop *loop);

/* echo_methods: the rows for grpc_server_add; they live as long as @e. */
const struct grpc_method *echo_methods(const struct echo *e, size_t *ret_n);

/* echo_descriptor_set: echo.proto, as a FileDescriptorSet. */
struct span echo_descriptor_set(void);
