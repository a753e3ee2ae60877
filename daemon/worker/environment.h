// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What a command runs with: its environment and its program. */
#include "worker/attempt.h"

/* environment_make: this process's own but for FUTURED_ and TRACEPARENT, and what is said of the attempt; see docs/plugins.md.
 * @upstream_dir may be "". In the attempt's arena; NULL: no memory. */
char **environment_make(struct futured_call *call, const char *upstream_dir);

/* environment_find_program: where @name is, by PATH; @name itself when it is nowhere (the exec then says why) or has a slash. */
const char *environment_find_program(struct arena *a, const char *name);
