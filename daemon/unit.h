// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What the service manager has been told of our unit. */
#include "base/err.h"

#include <stdint.h>

enum { UNIT_WHY_BYTES = 512, UNIT_AFTER_DRAIN_S = 15 };

/* unit_check_stop: whether @unit gives a daemon time to end whose drain takes @drain_ns: TimeoutStopSec= is that and
 *   UNIT_AFTER_DRAIN_S, in which it writes down what became of it all. Asks the system's manager, which may take seconds.
 *   Return: 0; UNIT_E_SHORT (@why says what to set); -errno: nobody could be asked (@why says whom). */
enum { UNIT_E_SHORT = 1 };
MUST_CHECK int unit_check_stop(const char *unit, int64_t drain_ns, char why[static UNIT_WHY_BYTES]);
