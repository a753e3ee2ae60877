// SPDX-License-Identifier: Apache-2.0
#include "worker/functions.h"

#include "base/log.h"
#include "base/mem.h"
#include "worker/calls.h"
#include "worker/isolate.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sys/random.h>

PRINTF_LIKE(2, 3)
static int problem(struct functions *f, const char *format, ...)
{
    char text[2 * PLUGIN_TEXT_BYTES];
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(text, sizeof text - 1, format, args);
    va_end(args);
    n = MAX(0, MIN(n, (int)sizeof text - 2));
    text[n] = '\n';
    f->n_problems++;
    return buf_append(&f->problems, text, (size_t)n + 1);
}

static const char *keep(struct functions *f, const char *s)
{
    return arena_strndup(&f->arena, s, strlen(s));
}

/* Put the filled in f->items[n_items] into the table. 0; MAP_E_EXISTS; -ENOMEM. */
static int add(struct functions *f)
{
    struct function *item = &f->items[f->n_items];
    int r = map_insert(&f->map, &item->item, span_of_string(item->name));

    if (r == 0)
        f->n_items++;
    return r;
}

static int add_plugin_function(struct functions *f, const struct plugin *p, size_t i)
{
    const struct futured_plugin_function *pf = plugin_function(p, i);
    struct function *item = &f->items[f->n_items];
    int r;

    *item = (struct function){.name = pf->name, .doc = pf->doc ? pf->doc : "", .plugin = pf};
    item->version = p->descriptor->version ? p->descriptor->version : "";
    item->content_types = pf->content_types;
    item->options = plugin_options(p, i);
    item->file = f->paths[p - f->plugins];
    if (functions_find(f, span_of_string(pf->name)))
        return problem(f, "%s: function %s is there already", p->descriptor->name, pf->name);
    if (pf->init) {
        runpage_load(f->page, f->paths[p - f->plugins], pf->name);
        r = pf->init(&attempt_host, &item->state);
        runpage_load(f->page, "", "");
        if (r != 0)
            return problem(f, "%s: init of function %s failed (%d)", p->descriptor->name, pf->name, r);
    }
    r = add(f);
    if (r != 0 && pf->fini)
        pf->fini(item->state);
    return r;
}

/* Where @name is: a path of its own, or in the first of @folders that has it. */
static const char *find_plugin(struct functions *f, const char *name, const char *const *folders)
{
    const char *path = name;

    if (strchr(name, '/'))
        return keep(f, name);
    for (; *folders; folders++) {
        size_t room = strlen(*folders) + strlen(name) + 2;
        char *candidate = arena_alloc(&f->arena, room);

        if (!candidate)
            return NULL;
        snprintf(candidate, room, "%s/%s", *folders, name);
        if (access(candidate, F_OK) == 0)
            return candidate;
        path = candidate; /* for the message */
    }
    return path;
}

/* Room for @n more functions. Before the first is in the table: items must not move then. */
static int count(const struct functions *f, const struct spec *spec)
{
    uint64_t n = spec->n_commands;

    for (uint32_t i = 0; i < f->n_plugins; i++)
        n += f->plugins[i].descriptor->n_functions;
    return (int)MIN(n, (uint64_t)INT32_MAX);
}

static int open_plugins(struct functions *f, const struct spec *spec, const char *const *folders)
{
    char why[PLUGIN_TEXT_BYTES];

    f->plugins = mem_zalloc((spec->n_plugins + 1) * sizeof *f->plugins);
    f->paths = arena_alloc(&f->arena, (spec->n_plugins + 1) * sizeof *f->paths);
    if (!f->plugins || !f->paths)
        return -ENOMEM;
    for (uint32_t i = 0; i < spec->n_plugins; i++) {
        const char *path = find_plugin(f, spec->plugins[i], folders);
        int r;

        if (!path)
            return -ENOMEM;
        runpage_load(f->page, path, "");
        r = plugin_open(&f->plugins[f->n_plugins], path, why);
        runpage_load(f->page, "", "");
        if (r == 0) {
            f->paths[f->n_plugins++] = path;
            continue;
        }
        r = problem(f, "%s", why);
        if (r < 0)
            return r;
    }
    return 0;
}

static int add_command(struct functions *f, const struct spec_command *c)
{
    struct function *item = &f->items[f->n_items];
    int r;

    *item = (struct function){.name = keep(f, c->name), .doc = keep(f, c->doc ? c->doc : ""), .version = ""};
    if (!item->name || !item->doc)
        return -ENOMEM;
    r = command_init(&item->command, &f->arena, c->line, c->is_shell);
    if (r > 0)
        return problem(f, "function %s: its command cannot be used: %s", c->name, command_error_text(r));
    if (r == 0 && c->directory && *c->directory) {
        item->command.directory = keep(f, c->directory);
        r = item->command.directory ? 0 : -ENOMEM;
    }
    if (r == 0)
        r = add(f);
    return r == MAP_E_EXISTS ? problem(f, "function %s is there already", c->name) : r;
}

/* Tried here, so that what cannot be set up is known before there is a task. 0, and *ret; > 0: it cannot be set up, @why; -ENOMEM. */
static int make_sandbox(struct functions *f, const struct spec_limits *from, const struct confine **ret,
                        char why[static PLUGIN_TEXT_BYTES])
{
    struct confine *c = arena_alloc(&f->arena, sizeof *c);
    int r = 0;

    if (!c)
        return -ENOMEM;
    confine_init(c, from->sandbox & CONFINE_ALL, from->tmp_bytes);
    if ((c->what & CONFINE_CALLS) && !f->calls.filter)
        r = calls_filter(&f->arena, &f->calls);
    if (r < 0)
        snprintf(why, PLUGIN_TEXT_BYTES, "a filter of system calls: %s", log_errno_text(r));
    c->calls = f->calls;
    if (r == 0 && !f->can_sandbox[c->what]) {
        r = child_try(c);
        if (r < 0)
            snprintf(why, PLUGIN_TEXT_BYTES, "%s: %s", c->failed ? c->failed : "a process",
                     log_errno_text(r));
    }
    if (r == 0)
        f->can_sandbox[c->what] = 1;
    *ret = c;
    return r < 0 ? 1 : 0;
}

/* Of a function that is not served there are none to be set. 0; -ENOMEM. */
static int set_limits(struct functions *f, const struct spec_limits *from)
{
    char why[PLUGIN_TEXT_BYTES];
    struct map_item *found = map_find(&f->map, span_of_string(from->name));
    struct function *item = found ? CONTAINER_OF(found, struct function, item) : NULL;

    int r;

    if (!item)
        return 0;
    item->limits = (struct pump_limits){.memory_bytes = from->memory_bytes,
                                        .cpu_seconds = from->cpu_seconds,
                                        .result_bytes = from->result_bytes,
                                        .open_files = from->open_files};
    item->is_isolated = item->plugin && (from->is_isolated || from->memory_bytes || from->cpu_seconds ||
                                         from->open_files || from->sandbox);
    if (!from->sandbox)
        return 0;
    r = make_sandbox(f, from, &item->limits.confine, why);
    if (r <= 0)
        return r;
    map_remove(&f->map, &item->item);
    item->is_refused = 1;
    return problem(f, "function %s: its sandbox cannot be set up: %s", from->name, why);
}

static int add_all(struct functions *f, const struct spec *spec)
{
    int r = 0;

    for (uint32_t i = 0; i < f->n_plugins && r == 0; i++)
        for (size_t k = 0; k < f->plugins[i].descriptor->n_functions && r == 0; k++)
            r = add_plugin_function(f, &f->plugins[i], k);
    for (uint32_t i = 0; i < spec->n_commands && r == 0; i++)
        r = add_command(f, &spec->commands[i]);
    for (uint32_t i = 0; i < spec->n_limits && r == 0; i++)
        r = set_limits(f, &spec->limits[i]);
    return r;
}

int functions_init(struct functions *f, const struct spec *spec, const char *const *folders,
                   struct runpage *page)
{
    struct hash_seed seed;
    int r;

    *f = (struct functions){.problems = BUF_INIT, .page = page};
    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        return -EIO;
    map_init(&f->map, &seed);
    arena_init(&f->arena, 0); /* a few times the spec, which is limited */
    r = open_plugins(f, spec, folders);
    if (r == 0) {
        f->items = mem_zalloc(((size_t)count(f, spec) + 1) * sizeof *f->items);
        r = f->items ? add_all(f, spec) : -ENOMEM;
    }
    if (r < 0)
        functions_deinit(f);
    return r;
}

void functions_deinit(struct functions *f)
{
    for (uint32_t i = f->items ? f->n_items : 0; i > 0; i--)
        if (f->items[i - 1].plugin && f->items[i - 1].plugin->fini)
            f->items[i - 1].plugin->fini(f->items[i - 1].state);
    map_deinit(&f->map);
    for (uint32_t i = f->n_plugins; i > 0; i--)
        plugin_close(&f->plugins[i - 1]);
    mem_free(f->items);
    mem_free(f->plugins);
    buf_deinit(&f->problems);
    arena_deinit(&f->arena);
    *f = (struct functions){0};
}

const struct function *functions_find(const struct functions *f, struct span name)
{
    struct map_item *item = map_find(&f->map, name);

    return item ? CONTAINER_OF(item, struct function, item) : NULL;
}

void functions_run(struct functions *f, const struct function *function, struct futured_call *call)
{
    int r;

    if (function->limits.result_bytes)
        call->max_result_bytes = MIN(call->max_result_bytes, (size_t)function->limits.result_bytes);
    if (!function->plugin) {
        command_run(&function->command, &function->limits, &f->cgroups, call);
        return;
    }
    if (function->is_isolated) {
        isolate_run(function->file, function->name, &function->limits, &f->cgroups, call);
    } else {
        r = function->plugin->run(&attempt_host, call, function->state);
        if (r != 0 && !call->has_failed)
            attempt_fail(call, "", GRPC_UNKNOWN, "", "the function returned %d", r);
    }
    if (call->has_failed && attempt_is_cancelled(call)) { /* as it was told to */
        call->failure.reason = "CANCELLED";
        call->failure.code = GRPC_CANCELLED;
    }
}
