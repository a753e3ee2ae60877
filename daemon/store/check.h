// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What `futured --check-store DIR` does: read everything, compare everything, change nothing. */
#include "base/err.h"

#include <stdio.h>

/* check_store: verify the store in @directory, which no daemon may use meanwhile; print counts and each problem.
 *   Return: 0 (sound); CHECK_E_PROBLEMS; CHECK_E_UNREADABLE (not there, in use, not a store). */
enum check_error { CHECK_E_PROBLEMS = 1, CHECK_E_UNREADABLE = 2 };
MUST_CHECK int check_store(const char *directory, FILE *out);
