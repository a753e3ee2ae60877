// SPDX-License-Identifier: Apache-2.0
/* Names of the numbers of the contract, and the library's own version. */
#include "base/err.h"
#include "grpc/status.h"

#include <futured/client.h>

const char *futured_code_name(int code)
{
    return code < 0 ? "UNKNOWN" : status_name((enum grpc_code)code);
}

/* The name of @number, the first one when there is none. */
static const char *name_of(const char *const *names, size_t n, int number)
{
    return number < 0 || (size_t)number >= n ? names[0] : names[number];
}

const char *futured_state_name(enum futured_state state)
{
    static const char *const names[] = {"UNSPECIFIED", "PENDING", "RUNNING",
                                        "SUCCEEDED",   "FAILED",  "CANCELLED"};

    return name_of(names, ARRAY_LEN(names), (int)state);
}

const char *futured_pending_reason_name(enum futured_pending_reason reason)
{
    static const char *const names[] = {"UNSPECIFIED", "READY",     "DELAYED", "BLOCKED",
                                        "BACKOFF",     "NO_WORKER", "PAUSED",  "LIMITED"};

    return name_of(names, ARRAY_LEN(names), (int)reason);
}

const char *futured_version(void)
{
    return FUTURED_VERSION;
}
