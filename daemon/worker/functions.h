// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * What this worker serves: the functions of its plugins and its command functions, by name. A plugin that does not load,
 * a function whose init fails, a line that cannot be split or a name that is there already is a problem: it is told and
 * left out, and the others are served.
 */
#include "base/buf.h"
#include "base/map.h"
#include "base/runpage.h"
#include "worker/command.h"
#include "worker/plugin.h"
#include "worker/spec.h"

struct function {
    struct map_item item;
    const char *name, *doc, *version;
    const char *const *content_types;             /* NULL at the end; NULL: any */
    const struct futured_plugin_function *plugin; /* NULL: a command */
    struct futured_options options;               /* of a plugin's */
    void *state;
    struct command command;
    const char *file; /* of its plugin */
    struct pump_limits limits;
    int is_isolated; /* a plugin's that runs in a process of its own */
    int is_refused;  /* its sandbox cannot be set up: it is not served */
};

struct functions {
    struct map map;
    struct function *items; /* in the order of the spec; those of before the first n_items are served */
    uint32_t n_items;
    struct plugin *plugins;
    const char **paths; /* of each of them */
    uint32_t n_plugins;
    struct buf problems; /* texts, a newline behind each */
    uint32_t n_problems;
    struct arena arena;
    struct runpage *page;
    struct sock_fprog calls;              /* what a sandbox refuses; none yet: filter is NULL */
    uint8_t can_sandbox[CONFINE_ALL + 1]; /* which can be set up here, as was seen */
    struct cgroup_home cgroups;           /* where attempts may have a group; whoever inits may find it */
};

/* functions_init: load what @spec says. A plugin without a slash in its path is looked for in the NULL-terminated
 * @folders, in their order. @spec may go away afterwards. Runs code of the plugins; what is loaded meanwhile stands in
 * @page, for who looks for the cause when that code kills the process.
 *   Owns:   on 0 the caller functions_deinits @f.
 *   Return: 0, also where there were problems; -errno. */
MUST_CHECK int functions_init(struct functions *f, const struct spec *spec, const char *const *folders,
                              struct runpage *page);

/* functions_deinit: fini of each, last one first; then the plugins are unloaded. */
void functions_deinit(struct functions *f);

/* functions_find: the function of that name, or NULL. */
const struct function *functions_find(const struct functions *f, struct span name);

/* functions_run: one attempt of @function, which is in @f; what came of it is in @call. */
void functions_run(struct functions *f, const struct function *function, struct futured_call *call);
