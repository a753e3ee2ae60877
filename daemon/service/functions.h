// SPDX-License-Identifier: Apache-2.0
#pragma once
/* futured.v1.Functions: what can be asked for, and how it is doing. One struct functions serves all connections. */
#include "engine/engine.h"
#include "grpc/server.h"

struct functions;

/* As in the contract's enum FunctionKind; struct function.kinds has bit 1 << kind. */
enum function_kind { FUNCTION_PLUGIN = 1, FUNCTION_COMMAND = 2, FUNCTION_REMOTE = 3 };

/* functions_new: 0, -ENOMEM. @e is borrowed. Free after the connections. */
MUST_CHECK int functions_new(struct functions **ret, struct engine *e, size_t max_message_bytes);
struct functions *functions_free(struct functions *s);

/* functions_methods: the rows for grpc_server_add; they live as long as @s. */
const struct grpc_method *functions_methods(const struct functions *s, size_t *ret_n);
