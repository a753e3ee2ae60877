// SPDX-License-Identifier: Apache-2.0
#include "service/unimplemented.h"

#include "engine/right.h"
#include "grpc/status.h"

static void on_start(struct grpc_call *call)
{
    struct grpc_status st;

    grpc_call_fail(call, status_set(&st, GRPC_UNIMPLEMENTED, "UNIMPLEMENTED_METHOD",
                                    "this version of the daemon does not have this method"));
}

static const struct grpc_handler handler = {.on_start = on_start};

static const struct grpc_method rows[] = {
        {"/futured.v1.System/Reload", GRPC_UNARY, &handler, NULL, RIGHT_ADMIN},
};

const struct grpc_method *unimplemented_methods(size_t *ret_n)
{
    *ret_n = ARRAY_LEN(rows);
    return rows;
}
