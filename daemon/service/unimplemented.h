// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * The contract's methods that this version does not have. Each answers UNIMPLEMENTED, and reflection and health know
 * their services. A test compares this list and the implemented rows with the descriptor set: every method stands
 * in exactly one of them.
 */
#include "grpc/server.h"

/* unimplemented_methods: the rows for grpc_server_add; they live for ever. */
const struct grpc_method *unimplemented_methods(size_t *ret_n);
