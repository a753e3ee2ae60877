// SPDX-License-Identifier: Apache-2.0
#pragma once
/* A status of lib/grpc as the public struct futured_status, which points into it. */
#include "base/id.h"
#include "grpc/status.h"

#include <futured/client.h>

struct futured_status_box {
    struct grpc_status raw;
    char future_id[ID_TEXT_LEN + 1];
    struct futured_violation violations[STATUS_VIOLATIONS_MAX];
    struct futured_label metadata[STATUS_METADATA_MAX];
    struct futured_status view;
};

/* futured_status_fill: make the view of raw and future_id anew, and return its code. */
int futured_status_fill(struct futured_status_box *box);
