// SPDX-License-Identifier: Apache-2.0
/*
 * What a worker is told to serve, as bytes: so that two configurations can be compared by what workers see of them. A
 * plugin stands there with a stamp of its file, which changes when the file does.
 */
#include "daemon/workers_spec.h"

#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sys/stat.h>

/* It stands beside our own, so that a build tree runs in place; installed, in the private directory. */
int workers_spec_program(char *path, size_t size)
{
    ssize_t n = readlink("/proc/self/exe", path, size - 1);
    char *slash;

    if (n < 0)
        return -errno;
    path[n] = '\0';
    slash = strrchr(path, '/');
    if (!slash || (size_t)(slash - path) + sizeof "/futured-worker" > size)
        return -ENAMETOOLONG;
    memcpy(slash, "/futured-worker", sizeof "/futured-worker");
    if (access(path, X_OK) == 0)
        return 0;
    snprintf(path, size, "%s", FUTURED_WORKER_PATH);
    return access(path, X_OK) == 0 ? 0 : -errno;
}

/* Where the worker @program finds the plugin @name; as daemon/worker does it. */
static void plugin_path(const char *program, const char *name, char path[static PATH_MAX])
{
    int folder = (int)(strrchr(program, '/') - program);

    if (*name == '/') {
        snprintf(path, PATH_MAX, "%s", name);
        return;
    }
    if (snprintf(path, PATH_MAX, "%.*s/../lib/futured/%s", folder, program, name) >= PATH_MAX ||
        access(path, F_OK) < 0)
        snprintf(path, PATH_MAX, "%s/%s", FUTURED_PLUGIN_DIR, name);
}

/* What changes when the file does; "" where there is none. */
static char *stamp_of(struct arena *arena, const char *path)
{
    struct stat st;
    char text[160] = "";

    if (stat(path, &st) == 0)
        snprintf(text, sizeof text, "%" PRIu64 ":%" PRIu64 ":%" PRId64 ":%" PRId64 ".%09ld:%" PRId64 ".%09ld",
                 (uint64_t)st.st_dev, (uint64_t)st.st_ino, (int64_t)st.st_size, (int64_t)st.st_mtim.tv_sec,
                 st.st_mtim.tv_nsec, (int64_t)st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
    return arena_strndup(arena, text, strlen(text));
}

/* The limits of an attempt, where there are any. */
static void spec_add_limits(struct spec *spec, const struct config_function *c)
{
    const struct spec_limits limits = {
            .name = c->name,
            .memory_bytes = c->memory_max_bytes,
            .cpu_seconds = (uint64_t)((c->cpu_time_max_ns + NS_PER_S - 1) / NS_PER_S),
            .result_bytes = c->max_result_bytes,
            .open_files = c->open_files,
            .is_isolated = c->isolate,
            .sandbox = c->sandbox,
            .tmp_bytes = c->tmp_max_bytes,
    };

    if (config_function_has_attempt_limits(c))
        spec->limits[spec->n_limits++] = limits;
}

static void spec_add_command(struct spec *spec, const struct config_function *c)
{
    if (c->command)
        spec->commands[spec->n_commands++] = (struct spec_command){.name = c->name,
                                                                   .line = c->command,
                                                                   .doc = c->doc,
                                                                   .directory = c->directory,
                                                                   .is_shell = c->shell};
}

static int fill(struct spec *spec, const struct config *config, const char *program)
{
    size_t n = config->n_functions + 1;
    char path[PATH_MAX];

    spec->commands = arena_alloc(&spec->arena, n * sizeof *spec->commands);
    spec->limits = arena_alloc(&spec->arena, n * sizeof *spec->limits);
    spec->stamps = arena_alloc(&spec->arena, (config->n_plugins + 1) * sizeof *spec->stamps);
    if (!spec->commands || !spec->limits || !spec->stamps)
        return -ENOMEM;
    for (size_t i = 0; i < config->n_functions; i++) {
        spec_add_limits(spec, &config->functions[i]);
        spec_add_command(spec, &config->functions[i]);
    }
    for (size_t i = 0; i < config->n_plugins; i++) {
        plugin_path(program, config->plugins[i], path);
        spec->stamps[i] = stamp_of(&spec->arena, path);
        if (!spec->stamps[i])
            return -ENOMEM;
    }
    return 0;
}

int workers_spec_make(const struct config *config, const char *program, struct buf *ret)
{
    struct spec spec = {.plugins = config->plugins,
                        .n_plugins = (uint32_t)config->n_plugins,
                        .max_tasks = config->max_tasks_per_worker,
                        .max_age_ms = (uint64_t)(config->max_worker_age_ns / NS_PER_MS),
                        .n_threads = config->threads,
                        .nice = config->nice};
    int r;

    arena_init(&spec.arena, 0); /* the configuration has limits */
    r = fill(&spec, config, program);
    if (r == 0)
        r = spec_encode(&spec, ret);
    arena_deinit(&spec.arena);
    if (r > 0) {
        LOG_EVENT(LOG_ERROR, "too_many_functions", LOG_STR("text", spec_error_text(r)));
        return -E2BIG;
    }
    return r;
}

/* Whether @spec has the plugin @name with another stamp than @stamp. */
static int has_other(const struct spec *spec, const char *name, const char *stamp)
{
    for (uint32_t i = 0; i < spec->n_plugins; i++)
        if (strcmp(spec->plugins[i], name) == 0)
            return strcmp(spec->stamps[i], stamp) != 0;
    return 0;
}

int workers_spec_changed(const struct buf *before, const struct buf *now, struct buf *ret)
{
    struct spec a = {0}, b = {0};
    int r = spec_decode((struct span){buf_head(before), buf_len(before)}, &a);

    if (r == 0)
        r = spec_decode((struct span){buf_head(now), buf_len(now)}, &b);
    for (uint32_t i = 0; r == 0 && i < b.n_plugins; i++)
        if (has_other(&a, b.plugins[i], b.stamps[i]))
            r = buf_append(ret, b.plugins[i], strlen(b.plugins[i]) + 1);
    spec_deinit(&a);
    spec_deinit(&b);
    return r > 0 ? -EBADMSG : r;
}
