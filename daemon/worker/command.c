// SPDX-License-Identifier: Apache-2.0
#include "worker/command.h"

#include "base/log.h"
#include "worker/environment.h"
#include "worker/template.h"
#include "worker/upstream_dir.h"
#include "worker/words.h"

#include <errno.h>
#include <string.h>

static int init_shell(struct command *c, struct arena *a, const char *line)
{
    static const char *const shell[] = {"/bin/sh", "-c"};

    c->is_shell = 1;
    c->words = arena_alloc(a, 4 * sizeof *c->words);
    if (!c->words)
        return -ENOMEM;
    for (size_t i = 0; i < 3; i++) {
        const char *word = i < 2 ? shell[i] : line;

        c->words[i] = arena_strndup(a, word, strlen(word));
        if (!c->words[i])
            return -ENOMEM;
    }
    c->words[3] = NULL;
    return 0;
}

int command_init(struct command *c, struct arena *a, const char *line, int is_shell)
{
    int r, has_argument;

    *c = (struct command){0};
    if (is_shell)
        return init_shell(c, a, line);
    r = words_split(line, a, &c->words);
    if (r != 0)
        return r;
    if (template_is(c->words[0], &has_argument))
        return COMMAND_E_PROGRAM;
    for (char **word = c->words + 1; *word; word++) {
        c->is_template |= template_is(*word, &has_argument) != 0;
        c->has_argument |= has_argument != 0;
    }
    return 0;
}

const char *command_error_text(int error)
{
    return error == COMMAND_E_PROGRAM ? "its program is a template" : words_error_text(error);
}

/* The words for this attempt. NULL: it has failed. */
static char **expand(const struct command *c, struct futured_call *call)
{
    size_t n = 0;
    char **words;

    if (!c->is_template)
        return c->words;
    while (c->words[n])
        n++;
    words = arena_alloc(&call->texts, (n + 1) * sizeof *words);
    if (!words) {
        attempt_fail(call, "", GRPC_RESOURCE_EXHAUSTED, "NO_MEMORY", "the worker could not allocate memory");
        return NULL;
    }
    words[0] = c->words[0];
    for (size_t i = 1; i < n; i++)
        if (template_expand(c->words[i], call, &words[i]) != 0)
            return NULL;
    words[n] = NULL;
    return words;
}

static void run(const struct command *c, struct pump *p, const char *upstream_dir)
{
    struct futured_call *call = p->call;
    char **env = environment_make(call, upstream_dir), **words = expand(c, call);

    if (!env)
        attempt_fail(call, "", GRPC_RESOURCE_EXHAUSTED, "NO_MEMORY", "the worker could not allocate memory");
    if (!env || !words ||
        pump_run(p, environment_find_program(&call->texts, c->words[0]), words, env, c->directory) != 0)
        return;
    if (pump_judge(p) == 0)
        call->n_result = buf_len(&call->result);
}

void command_run(const struct command *c, const struct pump_limits *limits, struct cgroup_home *cgroups,
                 struct futured_call *call)
{
    struct pump p = {.call = call, .limits = limits, .cgroups = cgroups, .err = BUF_INIT};
    char upstream_dir[UPSTREAM_DIR_BYTES] = "";
    int r = call->upstreams ? upstream_dir_make(call->upstreams, upstream_dir) : 0;

    p.max_output_bytes = call->max_result_bytes;
    if (!c->has_argument)
        p.to_write = call->task.argument.data;
    if (*upstream_dir)
        p.keep = upstream_dir;
    if (r == 0)
        run(c, &p, upstream_dir);
    else
        attempt_fail(call, "", GRPC_UNAVAILABLE, "CANNOT_START",
                     "cannot write the results of the upstreams: %s", log_errno_text(r));
    pump_deinit(&p);
    if (*upstream_dir)
        upstream_dir_remove(upstream_dir);
}
