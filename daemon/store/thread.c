// SPDX-License-Identifier: Apache-2.0
#include "store/thread.h"

#include <signal.h>
#include <time.h>

int thread_start(pthread_t *ret, const char *name, void *(*run)(void *), void *arg)
{
    sigset_t all, old;
    int r;

    sigfillset(&all);
    ASSERT(pthread_sigmask(SIG_SETMASK, &all, &old) == 0); /* the thread inherits the mask */
    r = pthread_create(ret, NULL, run, arg);
    ASSERT(pthread_sigmask(SIG_SETMASK, &old, NULL) == 0);
    if (r == 0)
        pthread_setname_np(*ret, name);
    return -r;
}

void thread_join(pthread_t thread)
{
    ASSERT(pthread_join(thread, NULL) == 0);
}

void thread_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attr;

    ASSERT(pthread_condattr_init(&attr) == 0);
    ASSERT(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    ASSERT(pthread_cond_init(cond, &attr) == 0);
    ASSERT(pthread_condattr_destroy(&attr) == 0);
}
