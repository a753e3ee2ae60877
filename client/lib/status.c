// SPDX-License-Identifier: Apache-2.0
#include "client/lib/status.h"

/* The public numbers are those of gRPC. */
_Static_assert((int)FUTURED_UNAUTHENTICATED == (int)GRPC_UNAUTHENTICATED, "the codes are the same");
_Static_assert((int)FUTURED_UNAVAILABLE == (int)GRPC_UNAVAILABLE, "the codes are the same");

int futured_status_fill(struct futured_status_box *box)
{
    const struct grpc_status *raw = &box->raw;

    for (uint32_t i = 0; i < raw->n_violations; i++)
        box->violations[i] = (struct futured_violation){.field = raw->violations[i].field,
                                                        .description = raw->violations[i].description};
    for (uint32_t i = 0; i < raw->n_metadata; i++)
        box->metadata[i] =
                (struct futured_label){.key = raw->metadata[i].key, .value = raw->metadata[i].value};
    box->view = (struct futured_status){
            .code = (int)raw->code,
            .message = raw->message,
            .reason = raw->reason,
            .retry_delay_ns = raw->retry_delay_ms < 0 ? FUTURED_NO_SPAN : raw->retry_delay_ms * 1000000,
            .n_violations = raw->n_violations,
            .violations = box->violations,
            .n_metadata = raw->n_metadata,
            .metadata = box->metadata,
            .future_id = box->future_id,
    };
    return box->view.code;
}
