// SPDX-License-Identifier: Apache-2.0
#pragma once
/* The pipeline, for what is made of one in the library. */
#include "client/lib/call.h"

/* futured_pipeline_take_by: as futured_pipeline_take, with @until instead of the client's timeout. */
MUST_CHECK int futured_pipeline_take_by(struct futured_pipeline *pipeline, mono_ns_t until,
                                        struct futured_finished **ret);

/* futured_pipeline_put_kept: as futured_pipeline_put, but the request keeps standing for this task. */
MUST_CHECK int futured_pipeline_put_kept(struct futured_pipeline *pipeline, struct futured_request *request,
                                         void *user);

/* futured_finished_lost: how the stream ended that it was lost with; NULL: it was answered. Borrowed. */
const struct grpc_status *futured_finished_lost(struct futured_finished *finished);
