// SPDX-License-Identifier: Apache-2.0
#include "worker/blame.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sysexits.h>
#include <unistd.h>

static const int fatal[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS};

static struct sigaction before[ARRAY_LEN(fatal)];
static pid_t owner; /* a child after fork has our page, but is not us */
static _Atomic int is_noted;
static _Thread_local struct runpage *own;
static _Thread_local stack_t old_stack;

void blame_note(void)
{
    if (own && getpid() == owner && !atomic_exchange(&is_noted, 1))
        runpage_blame(own);
}

/* Once more, with what was to happen before, as soon as this returns. */
static void on_fatal(int signal)
{
    blame_note();
    for (size_t i = 0; i < ARRAY_LEN(fatal); i++)
        if (fatal[i] == signal)
            sigaction(signal, &before[i], NULL);
    raise(signal);
}

int blame_init(void)
{
    const struct sigaction action = {.sa_handler = on_fatal, .sa_flags = SA_ONSTACK};

    owner = getpid();
    for (size_t i = 0; i < ARRAY_LEN(fatal); i++)
        if (sigaction(fatal[i], &action, &before[i]) < 0)
            return -errno;
    return 0;
}

void blame_enter(struct runpage *page, unsigned char stack[static BLAME_STACK_BYTES])
{
    const stack_t new_stack = {.ss_sp = stack, .ss_size = BLAME_STACK_BYTES};

    ASSERT(sigaltstack(&new_stack, &old_stack) == 0); /* cannot fail with these */
    own = page;
}

void blame_leave(void)
{
    own = NULL;
    ASSERT(sigaltstack(&old_stack, NULL) == 0);
}

/* --- the end of a thread */

static pthread_key_t held;
static pthread_once_t held_once = PTHREAD_ONCE_INIT;
static int held_error;

static void on_thread_end(void *arg)
{
    static const char text[] = "futured-worker: a function has ended its thread\n";

    blame_note();
    (void)!write(STDERR_FILENO, text, sizeof text - 1);
    _exit(EX_SOFTWARE);
}

static void make_held(void)
{
    held_error = pthread_key_create(&held, on_thread_end);
}

int blame_hold_thread(void)
{
    pthread_once(&held_once, make_held);
    return held_error ? -held_error : -pthread_setspecific(held, &held);
}

void blame_release_thread(void)
{
    pthread_setspecific(held, NULL);
}
