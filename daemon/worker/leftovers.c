// SPDX-License-Identifier: Apache-2.0
#include "worker/leftovers.h"

#include "base/orphans.h"

#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct list running = {&running, &running};
static pid_t known[ORPHANS_MAX]; /* children from before the oldest that runs */
static size_t n_known;

void leftovers_begin(struct leftovers *l)
{
    pthread_mutex_lock(&lock);
    if (list_is_empty(&running))
        n_known = orphans_children(known);
    l->began = orphans_now();
    list_push_back(&running, &l->link);
    pthread_mutex_unlock(&lock);
}

void leftovers_end(struct leftovers *l)
{
    uint64_t before = ORPHANS_OF_ANY_AGE;

    pthread_mutex_lock(&lock);
    list_del(&l->link);
    if (!list_is_empty(&running))
        before = LIST_ENTRY(list_first(&running), struct leftovers, link)->began;
    (void)orphans_sweep(known, n_known, before, 1);
    pthread_mutex_unlock(&lock);
}
