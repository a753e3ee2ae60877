// SPDX-License-Identifier: Apache-2.0
#pragma once
/* How this program says that it cannot go on: a line of the log, and its exit code. */
#include "base/log.h"

#include <unistd.h>

static inline int fail(int exit_code, const char *event, const char *why)
{
    LOG_EVENT(LOG_ERROR, event, LOG_NUM("pid", getpid()), LOG_STR("error", why));
    return exit_code;
}
