// SPDX-License-Identifier: Apache-2.0
#include "worker/environment.h"

#include "base/limit.h"
#include "base/variable.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/stat.h>

enum { ENVIRONMENT_MAX = 256 }; /* entries that are handed on, labels not counted */

static int is_executable(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

const char *environment_find_program(struct arena *a, const char *name)
{
    const char *path = getenv("PATH");
    size_t room = strlen(name) + 2;

    if (strchr(name, '/') || !path)
        return name;
    while (*path) {
        size_t n = strcspn(path, ":");
        char *candidate = arena_alloc(a, n + room);

        if (!candidate)
            break;
        snprintf(candidate, n + room, "%.*s/%s", (int)n, path, name);
        if (n && is_executable(candidate))
            return candidate;
        path += n + (path[n] == ':');
    }
    return name;
}

char **environment_make(struct futured_call *call, const char *upstream_dir)
{
    struct arena *a = &call->texts;
    struct wire_reader r = wire_reader(call->task_bytes);
    struct span key, value;
    size_t n = 0, labels;
    char number[16], **env;

    env = arena_alloc(a, (ENVIRONMENT_MAX + 10 + LIMIT_LABELS) * sizeof *env);
    if (!env)
        return NULL;
    for (char **e = environ; *e && n < ENVIRONMENT_MAX; e++)
        if (strncmp(*e, "FUTURED_", 8) != 0 && strncmp(*e, "TRACEPARENT=", 12) != 0)
            env[n++] = *e;
    snprintf(number, sizeof number, "%u", call->lease.attempt);
    variable_put(a, env, &n, "FUTURED_ID", span_of_string(attempt_host.id(call)));
    variable_put(a, env, &n, "FUTURED_ATTEMPT", span_of_string(number));
    variable_put(a, env, &n, "FUTURED_GROUP", call->group);
    variable_put(a, env, &n, "FUTURED_FUNCTION", span_of_string(call->function));
    if (call->traceparent.len)
        variable_put(a, env, &n, "TRACEPARENT", call->traceparent);
    if (*upstream_dir)
        variable_put(a, env, &n, "FUTURED_UPSTREAM_DIR", span_of_string(upstream_dir));
    labels = n;
    while (n < labels + LIMIT_LABELS && task_next_label(&r, TASK_LABELS, &key, &value) > 0)
        variable_put_label(a, env, labels, &n, key, value);
    env[n] = NULL;
    return env;
}
