// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * The daemon's own workers: the pool, wired to the connections and to dispatch, and what its children are told to serve.
 * A change of that is made without loss: new workers are started beside those that there are, and for each of them that can
 * take work an old one gets nothing more, hands back what it has not begun, and goes when it has ended what it runs. When new
 * ones die at start the old ones stay.
 */
#include "daemon/config.h"
#include "dispatch/dispatch.h"
#include "service/futures.h"

struct conn_set;
struct loop;
struct workers;

struct workers_config {
    struct loop *loop;
    struct conn_set *conns; /* where the workers' sockets are served */
    /* Workers have been started; each has @timeout_ns to get ready. */
    void (*on_starting)(void *arg, int64_t timeout_ns);
    /* No worker can be started for now. */
    void (*on_throttled)(void *arg);
    /* There is something that workers_failure tells, or no more. */
    void (*on_failing)(void *arg, int is_failing);
    void *arg;
};

/* workers_new: 0, -errno. Nothing is started. workers_free: after all connections are freed; kills what is left. */
MUST_CHECK int workers_new(struct workers **ret, const struct workers_config *config);
struct workers *workers_free(struct workers *w);

/* workers_pool: what dispatch asks the pool for. workers_serve: that dispatch is there; borrowed. */
struct dispatch_pool workers_pool(struct workers *w);
void workers_serve(struct workers *w, struct dispatch *d);

/* workers_configure: so many workers, for what @config says, from now on; the first call starts them. What is the same as
 * before changes nothing. While they are being replaced a further change waits until that is over.
 *   Return: 0; 1: they are to be replaced, since what they serve changes; -errno, and the log says why (as before). */
MUST_CHECK int workers_configure(struct workers *w, const struct config *config);

/* workers_changed_plugins: into @ret, each with a NUL, the plugins whose file has changed since workers were told of it.
 * 0, -ENOMEM. */
MUST_CHECK int workers_changed_plugins(const struct workers *w, const struct config *config, struct buf *ret);

/* workers_is_settled: what was asked for last is done: no worker of before takes work; or it has failed for now. */
int workers_is_settled(const struct workers *w);

/* workers_look: once a turn, after dispatch_run: have more workers while work waits, fewer when they are not needed. Returns when
 * to call it at the latest. */
mono_ns_t workers_look(struct workers *w, mono_ns_t now);

/* The pool in numbers; the counters are since the start. */
struct workers_stats {
    uint32_t n_min, n_max, n_wanted;
    uint64_t n_spawned, n_grown,
            n_shrunk; /* grown, shrunk: workers that were wanted in addition, or no more, by what there is to do */
};
struct workers_stats workers_stats(const struct workers *w);

/* workers_failure: why the pool does not serve @f, where it should: workers die at their start, or could not load something and do
 * not have @f. Whether that is so. */
MUST_CHECK int workers_failure(const struct workers *w, const struct function *f,
                               struct function_failure *ret);

/* workers_stop: SIGTERM and then SIGKILL. workers_n: processes left. */
void workers_stop(struct workers *w);
uint32_t workers_n(const struct workers *w);
