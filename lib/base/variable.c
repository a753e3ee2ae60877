// SPDX-License-Identifier: Apache-2.0
#include "base/variable.h"

#include "base/limit.h"

#include <ctype.h>
#include <string.h>

void variable_put(struct arena *a, char **env, size_t *n, const char *name, struct span value)
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

void variable_put_label(struct arena *a, char **env, size_t first, size_t *n, struct span key,
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
    variable_put(a, env, n, name, value);
}
