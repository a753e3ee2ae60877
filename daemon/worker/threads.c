// SPDX-License-Identifier: Apache-2.0
/*
 * With several threads the main one runs none of them: the processes that tasks leave behind come to it, and must not be taken
 * for those that its own task has started (leftovers.h).
 */
#include "worker/threads.h"

#include "base/mem.h"
#include "worker/blame.h"
#include "worker/fail.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include <sys/random.h>

enum { TOKEN_BYTES = 16 };

struct thread {
    pthread_t thread;
    struct host_config config;
    char token[2 * TOKEN_BYTES + 1], name[32];
    int is_one_of_many, exit_code;
    _Alignas(16) unsigned char stack[BLAME_STACK_BYTES]; /* for handlers of signals */
};

static void make_token(char token[static 2 * TOKEN_BYTES + 1])
{
    uint8_t random[TOKEN_BYTES];

    ASSERT(getrandom(random, sizeof random, 0) == (ssize_t)sizeof random);
    for (size_t i = 0; i < sizeof random; i++)
        snprintf(token + 2 * i, 3, "%02x", random[i]);
}

/* The stream of this thread is lost, be it by what the task at hand does: that is no crash of the worker. What runs beside it
 * is not asked. */
static void leave(const struct thread *t, int exit_code)
{
    runpage_give_up(t->config.page);
    runpage_blame(t->config.page);
    _exit(exit_code);
}

static void on_gone(void *thread)
{
    leave(thread, 0);
}

static void run(struct thread *t)
{
    char why[HOST_TEXT_BYTES] = "";
    int r = blame_hold_thread();

    if (r == 0)
        r = host_run(&t->config, why);
    blame_release_thread();
    if (r == HOST_E_GONE)
        leave(t, 0);
    if (r != 0)
        t->exit_code = fail(r == HOST_E_PROTOCOL ? EX_PROTOCOL : EX_OSERR, "worker_failed",
                            why[0] ? why : log_errno_text(r));
    if (r != 0 && t->is_one_of_many)
        leave(t, t->exit_code);
}

static void *run_beside(void *arg)
{
    struct thread *t = arg;

    blame_enter(t->config.page, t->stack);
    run(t);
    blame_leave();
    return NULL;
}

static void fill(struct thread *t, const struct sandbox *sandbox, uint32_t i,
                 const struct host_config *config)
{
    int n = snprintf(t->name, sizeof t->name, "pool-%d", (int)getpid());

    t->is_one_of_many = sandbox->n_threads > 1;
    if (t->is_one_of_many)
        snprintf(t->name + n, sizeof t->name - (size_t)n, ".%u", (unsigned int)i + 1);
    make_token(t->token);
    t->config = *config;
    t->config.fd = sandbox->sockets[i];
    t->config.page = &sandbox->pages[i];
    t->config.name = t->name;
    t->config.session_token = t->token;
    t->config.on_gone = on_gone;
    t->config.context = t;
}

/* All see it: nobody reads it from the signalfd. */
static void stop_all(void)
{
    kill(getpid(), SIGTERM);
}

static int run_many(struct thread *threads, uint32_t n)
{
    int exit_code = 0;

    ASSERT(atexit(blame_note) == 0); /* after plugins were loaded, and so before what they have there */
    for (uint32_t i = 0; i < n; i++) {
        int r = pthread_create(&threads[i].thread, NULL, run_beside, &threads[i]);

        if (r != 0) /* and others run already */
            _exit(fail(EX_OSERR, "worker_not_started", log_errno_text(-r)));
    }
    for (uint32_t i = 0; i < n; i++) {
        pthread_join(threads[i].thread, NULL);
        exit_code = exit_code ? exit_code : threads[i].exit_code;
    }
    return exit_code;
}

int threads_run(const struct sandbox *sandbox, const struct host_config *config)
{
    struct thread *threads = mem_zalloc(sandbox->n_threads * sizeof *threads);
    _Atomic uint64_t n_run = 0;
    struct host_config common = *config;
    int exit_code;

    if (!threads)
        return fail(EX_OSERR, "worker_not_started", log_errno_text(-ENOMEM));
    common.n_run = &n_run;
    common.on_max_tasks = sandbox->n_threads > 1 ? stop_all : NULL;
    for (uint32_t i = 0; i < sandbox->n_threads; i++)
        fill(&threads[i], sandbox, i, &common);
    if (sandbox->n_threads > 1) {
        exit_code = run_many(threads, sandbox->n_threads);
    } else {
        run(threads);
        exit_code = threads->exit_code;
    }
    mem_free(threads);
    return exit_code;
}
