// SPDX-License-Identifier: Apache-2.0
/* futured-worker: a process of the pool (daemon/pool), which starts it with fd 3, 4 and 5. Not for use by hand. */
#include "worker/blame.h"
#include "worker/fail.h"
#include "worker/guard.h"
#include "worker/isolate.h"
#include "worker/sandbox.h"
#include "worker/spec.h"
#include "worker/threads.h"
#include "worker/upstream_dir.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include <sys/resource.h>
#include <sys/signalfd.h>

#define SHIPPED_PLUGIN "futured-functions.so"

/* Where the shipped plugins are: beside the folder of this program, in a build tree as when it is installed. */
static void plugin_folder(char folder[static PATH_MAX])
{
    static const char relative[] = "../lib/futured";
    ssize_t n = readlink("/proc/self/exe", folder, PATH_MAX - sizeof relative);

    while (n > 0 && folder[n - 1] != '/')
        n--;
    memcpy(folder + MAX(n, (ssize_t)0), relative, sizeof relative);
}

static int signal_fd(void)
{
    sigset_t stop;

    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    if (sigprocmask(SIG_BLOCK, &stop, NULL) < 0)
        return -errno;
    return sandbox_hide(signalfd(-1, &stop, SFD_CLOEXEC | SFD_NONBLOCK));
}

/* What the spec says, behind the functions that every worker serves. */
static int load_spec(const struct spec *spec, struct runpage *page, struct functions *ret)
{
    const char *plugins[SPEC_PLUGINS_MAX + 1] = {SHIPPED_PLUGIN};
    const struct spec all = {.plugins = plugins,
                             .n_plugins = spec->n_plugins + 1,
                             .commands = spec->commands,
                             .n_commands = spec->n_commands,
                             .limits = spec->limits,
                             .n_limits = spec->n_limits};
    char folder[PATH_MAX];
    const char *const folders[] = {folder, FUTURED_PLUGIN_DIR, NULL};

    for (uint32_t i = 0; i < spec->n_plugins; i++)
        plugins[i + 1] = spec->plugins[i];
    plugin_folder(folder);
    return functions_init(ret, &all, folders, page);
}

/* Functions with a limit on memory may have control groups of their own. */
static void find_groups(const struct spec *spec, struct functions *f)
{
    char own[CGROUP_OWN_BYTES];
    uint32_t i = 0;

    while (i < spec->n_limits && !spec->limits[i].memory_bytes)
        i++;
    if (i == spec->n_limits)
        return;
    cgroup_own(own);
    cgroup_find(&f->cgroups, "/sys/fs/cgroup", own);
}

static void set_nice(int nice)
{
    if (!nice || setpriority(PRIO_PROCESS, 0, nice) == 0)
        return;
    LOG_EVENT(
            LOG_WARNING, "worker_nice_not_set", LOG_NUM("pid", getpid()), LOG_NUM("nice", nice),
            LOG_ERRNO(-errno),
            LOG_STR("hint", "give the daemon CAP_SYS_NICE, or its unit LimitNICE=, or take [pool] nice out"));
}

/* Of @ret_life: how long it may live. */
static int load(const struct sandbox *sandbox, struct functions *ret, struct host_config *ret_life)
{
    struct spec spec;
    int r;

    r = spec_read(sandbox->spec_fd, &spec);
    close(sandbox->spec_fd);
    if (r != 0)
        return fail(EX_CONFIG, "worker_spec_unreadable", r < 0 ? log_errno_text(r) : spec_error_text(r));
    set_nice(spec.nice);
    r = sandbox->n_threads > 1 ? blame_init() : 0;
    if (r == 0)
        r = load_spec(&spec, sandbox->pages, ret);
    if (r == 0)
        find_groups(&spec, ret);
    if (r == 0 && spec.n_commands)
        upstream_dir_remove_stale();
    ret_life->max_tasks = spec.max_tasks;
    ret_life->max_age_ns = (int64_t)spec.max_age_ms * NS_PER_MS;
    spec_deinit(&spec);
    if (r < 0)
        return fail(EX_OSERR, "worker_functions_not_loaded", log_errno_text(r));
    for (char *line = (char *)buf_head(&ret->problems), *end = (char *)buf_tail(&ret->problems);
         line < end;) {
        char *newline = memchr(line, '\n', (size_t)(end - line));

        *newline = '\0';
        fail(0, "worker_function_unusable", line);
        *newline = '\n';
        line = newline + 1;
    }
    return ret->n_items ? 0 : fail(EX_CONFIG, "worker_serves_nothing", "no function could be loaded");
}

int main(int argc, char **argv)
{
    struct host_config life = {0};
    struct functions functions;
    struct sandbox sandbox;
    int r;

    if (argc > 1 && strcmp(argv[1], "--version") == 0) {
        puts("futured-worker " FUTURED_VERSION);
        return 0;
    }
    if (argc > 1 && strcmp(argv[1], "--guard") == 0)
        return guard_main(STDIN_FILENO);
    if (argc > 1 && strcmp(argv[1], "--call") == 0)
        return isolate_main();
    r = sandbox_enter(&sandbox);
    if (r != 0) {
        fail(0, "worker_not_started",
             r < 0                   ? log_errno_text(r)
             : r == SANDBOX_E_ORPHAN ? "the daemon is gone"
                                     : "futured-worker is started by futured only");
        return r < 0 ? EX_OSERR : r == SANDBOX_E_ORPHAN ? EX_UNAVAILABLE : EX_USAGE;
    }
    r = load(&sandbox, &functions, &life);
    if (r != 0)
        return r;
    life.functions = &functions;
    life.guard_program = "/proc/self/exe";
    life.signal_fd = signal_fd();
    r = life.signal_fd < 0 ? fail(EX_OSERR, "worker_not_started", log_errno_text(life.signal_fd))
                           : threads_run(&sandbox, &life);
    functions_deinit(&functions);
    return r;
}
