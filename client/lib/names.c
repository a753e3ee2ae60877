// SPDX-License-Identifier: Apache-2.0
/* Names of the numbers of the contract, and the library's own version. */
#include "base/err.h"
#include "grpc/status.h"

#include <futured/client.h>

const char *futured_code_name(int code)
{
    return code < 0 ? "UNKNOWN" : status_name((enum grpc_code)code);
}

const char *futured_state_name(int state)
{
    static const char *const names[] = {"UNSPECIFIED", "PENDING", "RUNNING",
                                        "SUCCEEDED",   "FAILED",  "CANCELLED"};

    return state < 0 || (size_t)state >= ARRAY_LEN(names) ? names[0] : names[state];
}

const char *futured_pending_reason_name(int reason)
{
    static const char *const names[] = {"UNSPECIFIED", "READY",     "DELAYED", "BLOCKED",
                                        "BACKOFF",     "NO_WORKER", "PAUSED",  "LIMITED"};

    return reason < 0 || (size_t)reason >= ARRAY_LEN(names) ? names[0] : names[reason];
}

const char *futured_version(void)
{
    return FUTURED_VERSION;
}
