// SPDX-License-Identifier: Apache-2.0
#pragma once
/* The threads of the store: they take no signals, and are always joined. */
#include "base/err.h"

#include <pthread.h>

/* thread_start: run @run(@arg) in a thread called @name (15 characters), with all signals blocked. 0, -errno. */
MUST_CHECK int thread_start(pthread_t *ret, const char *name, void *(*run)(void *), void *arg);

/* thread_join: wait for its end. */
void thread_join(pthread_t thread);

/* thread_cond_init: a condition whose timed waits are by CLOCK_MONOTONIC. */
void thread_cond_init(pthread_cond_t *cond);
