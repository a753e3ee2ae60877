// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * futured.v1.Functions: what can be asked for, how it is doing, and steering it. One struct functions serves all
 * connections.
 */
#include "engine/engine.h"
#include "grpc/server.h"

struct functions;
struct futures;

/* As in the contract's enum FunctionKind; struct function.kinds has bit 1 << kind. */
enum function_kind { FUNCTION_PLUGIN = 1, FUNCTION_COMMAND = 2, FUNCTION_REMOTE = 3 };

/* Who is told of what has been asked for: @event is its name in the log. */
struct functions_log {
    void (*changed)(void *context, const struct function *fn, const char *event, struct span who,
                    struct span why);
    void *context;
};

/* functions_new: 0, -ENOMEM. @futures is borrowed: who calls, and whether anything may be changed, is known there. Free
 * after the connections. */
MUST_CHECK int functions_new(struct functions **ret, struct futures *futures,
                             const struct functions_log *log);
struct functions *functions_free(struct functions *s);

/* functions_say_options: a worker says which options, an encoded TaskOptions, tasks of @f have where these do not say
 * otherwise. 0; > 0: @st says why not. */
MUST_CHECK int functions_say_options(const struct functions *s, struct function *f, struct span options,
                                     struct grpc_status *st);

/* functions_methods: the rows for grpc_server_add; they live as long as @s. */
const struct grpc_method *functions_methods(const struct functions *s, size_t *ret_n);
