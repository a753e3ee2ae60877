// SPDX-License-Identifier: Apache-2.0
#pragma once
/* The environment of a command that runs a task: entries NAME=VALUE behind each other in an array that has room, their texts in an
 * arena. What there is no memory for is left out. */
#include "base/arena.h"
#include "base/bytes.h"

/* variable_put: into @env[*n]; not where @value has a NUL in it. */
void variable_put(struct arena *a, char **env, size_t *n, const char *name, struct span value);

/* variable_put_label: FUTURED_LABEL_KEY: the key in upper case, what is no letter or digit as _. Of keys that become the same,
 * from @env[first] on, the first counts. */
void variable_put_label(struct arena *a, char **env, size_t first, size_t *n, struct span key,
                        struct span value);
