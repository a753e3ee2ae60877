// SPDX-License-Identifier: Apache-2.0
#pragma once
/* ListWorkers: who is attached, what each serves, holds and has done. */
#include "grpc/server.h"

/* roster_handler: of the method's row, whose context is the struct dispatch. */
extern const struct grpc_handler roster_handler;
