// SPDX-License-Identifier: Apache-2.0
#include "worker/environment.h"

#include "base/limit.h"

#include <ctype.h>
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

/* NAME=VALUE into @env[*n], unless there is no memory or VALUE has a NUL in it. */
static void put_env(struct arena *a, char **env, size_t *n, const char *name, struct span value)
{
    size_t name_len = strlen(name);
    char *entry;

    if (value.len && memchr(value.p, 0, value.len))
        return;
    entry = arena_alloc(a, name_len + value.len + 2);
    if (!entry)
        return;
    memcpy(entry, name, name_len);
    entry[name_len] = '=';
    if (value.len)
        memcpy(entry + name_len + 1, value.p, value.len);
    entry[name_len + 1 + value.len] = '\0';
    env[(*n)++] = entry;
}

/* FUTURED_LABEL_KEY: the key in upper case, what is no letter or digit as _. Of keys that become the same the first
 * counts. */
static void put_label(struct arena *a, char **env, size_t first, size_t *n, struct span key,
                      struct span value)
{
    static const char prefix[] = "FUTURED_LABEL_";
    char name[sizeof prefix + LIMIT_LABEL_KEY_BYTES];
    size_t at = sizeof prefix - 1;

    memcpy(name, prefix, at);
    for (size_t i = 0; i < key.len && at < sizeof name - 1; i++, at++)
        name[at] = isalnum(key.p[i]) && key.p[i] < 0x80 ? (char)toupper(key.p[i]) : '_';
    name[at] = '\0';
    for (size_t i = first; i < *n; i++)
        if (strncmp(env[i], name, at) == 0 && env[i][at] == '=')
            return;
    put_env(a, env, n, name, value);
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
    put_env(a, env, &n, "FUTURED_ID", span_of_string(attempt_host.id(call)));
    put_env(a, env, &n, "FUTURED_ATTEMPT", span_of_string(number));
    put_env(a, env, &n, "FUTURED_GROUP", call->group);
    put_env(a, env, &n, "FUTURED_FUNCTION", span_of_string(call->function));
    if (call->traceparent.len)
        put_env(a, env, &n, "TRACEPARENT", call->traceparent);
    if (*upstream_dir)
        put_env(a, env, &n, "FUTURED_UPSTREAM_DIR", span_of_string(upstream_dir));
    labels = n;
    while (n < labels + LIMIT_LABELS && task_next_label(&r, TASK_LABELS, &key, &value) > 0)
        put_label(a, env, labels, &n, key, value);
    env[n] = NULL;
    return env;
}
