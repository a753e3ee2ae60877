// SPDX-License-Identifier: Apache-2.0
#pragma once
/* Renew and Finish: what a worker that claims tells of its leases. An entry that is malformed costs the call, before any of it
 * counts; one whose lease is not current only itself. */
#include "grpc/server.h"

/* report_renew_handler, report_finish_handler: of the rows of the methods, whose context is the dispatch. */
extern const struct grpc_handler report_renew_handler, report_finish_handler;
