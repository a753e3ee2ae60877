// SPDX-License-Identifier: Apache-2.0
#include "daemon/stats.h"

#include "daemon/net/conn.h"
#include "daemon/persist.h"
#include "daemon/workers.h"
#include "dispatch/dispatch.h"
#include "service/metrics.h"

static void counter(struct metrics *m, const char *name, const char *unit, uint64_t value, const char *help)
{
    metrics_family(m, METRIC_COUNTER, name, unit, help);
    metrics_put(m, (double)value);
}

static void gauge(struct metrics *m, const char *name, const char *unit, uint64_t value, const char *help)
{
    metrics_family(m, METRIC_GAUGE, name, unit, help);
    metrics_put(m, (double)value);
}

static void measure_workers(struct metrics *m, const struct dispatch_stats *s)
{
    gauge(m, "workers", NULL, s->n_workers,
          "Workers that are attached; of a process of the pool, each thread.");
    gauge(m, "workers_ready", NULL, s->n_ready, "Of these, the ones that take work.");
    gauge(m, "worker_leases", NULL, s->n_leases, "Tasks that workers hold: reserved, or running.");
    gauge(m, "worker_credit", NULL, s->n_credit, "How many more tasks workers would take now.");
    counter(m, "workers_attached", NULL, s->n_attached, "Workers that have attached.");
    counter(m, "workers_crashed", NULL, s->n_crashed,
            "Processes of the pool that have died, but not in order.");
    counter(m, "worker_finishes", NULL, s->n_finished, "Attempts that workers have ended.");
    counter(m, "worker_refusals", NULL, s->n_refused,
            "What workers told under a lease that was not current.");
}

static void measure_pool(struct metrics *m, const struct workers_stats *s)
{
    gauge(m, "pool_workers_wanted", NULL, s->n_wanted, "How many workers the pool is to have now.");
    gauge(m, "pool_workers_min", NULL, s->n_min, "The least that it may have.");
    gauge(m, "pool_workers_max", NULL, s->n_max, "The most that it may have.");
    counter(m, "pool_workers_started", NULL, s->n_spawned, "Processes of the pool that were started.");
    counter(m, "pool_workers_added", NULL, s->n_grown, "Workers wanted in addition because work waited.");
    counter(m, "pool_workers_dropped", NULL, s->n_shrunk,
            "Workers wanted no more because they had nothing to do.");
}

static void measure_connections(struct metrics *m, const struct conn_stats *s)
{
    gauge(m, "connections", NULL, s->n_open,
          "Connections that are open, those of the pool's workers included.");
    counter(m, "connections_opened", NULL, s->n_opened, "Connections that were opened.");
    counter(m, "connections_refused", NULL, s->n_refused, "Connections that were turned away.");
    counter(m, "connection_received_bytes", "bytes", s->bytes_in, "Bytes read from connections.");
    counter(m, "connection_sent_bytes", "bytes", s->bytes_out, "Bytes written to connections.");
    gauge(m, "connection_waiting_bytes", "bytes", s->bytes_waiting,
          "Bytes that connections do not take now.");
}

static void measure_store(struct metrics *m, const struct persist_status *s)
{
    const struct committer_status *c = &s->committer;

    gauge(m, "store_writable", NULL, c->state == COMMITTER_RUNNING,
          "1 where the store takes commits, else 0.");
    gauge(m, "store_stalled", NULL, c->state == COMMITTER_STALLED,
          "1 where a commit was rolled back and is tried again, else 0.");
    counter(m, "store_stalls", NULL, c->n_stalls, "How often that began.");
    metrics_histogram(m, "store_commit_operations", NULL,
                      "Changes of futures that went to disk in one commit.", committer_operation_bounds,
                      c->n_by_operations, COMMITTER_BOUNDS, (double)c->n_ops);
    metrics_histogram(m, "store_commit_seconds", "seconds", "How long one commit took, its sync included.",
                      committer_second_bounds, c->n_by_seconds, COMMITTER_BOUNDS, (double)c->commit_ns / 1e9);
    gauge(m, "store_waiting_turns", NULL, c->n_waiting, "Turns of the loop whose changes are not on disk.");
    gauge(m, "store_waiting_bytes", "bytes", c->waiting_bytes, "Bytes of these.");
    counter(m, "store_checkpoints", NULL, c->n_checkpoints, "Checkpoints of the write-ahead log.");
    gauge(m, "store_wal_bytes", "bytes", c->wal_bytes, "Length of the write-ahead log.");
    counter(m, "store_expired", NULL, c->n_swept,
            "Futures deleted on disk because their retention had ended.");
    counter(m, "store_damaged", NULL, c->n_damaged, "Records that were to be deleted and could not be read.");
    gauge(m, "store_free_bytes", "bytes", s->free_bytes, "Free space of the file system of the store.");
    gauge(m, "store_reserve_bytes", "bytes", s->reserve_bytes, "Free space below which nothing is accepted.");
}

uint32_t stats_measure(const struct stats_sources *from, struct metrics *m)
{
    const struct dispatch_stats workers = dispatch_stats(from->dispatch);
    const struct conn_stats conns = conn_set_stats(from->conns);
    const struct workers_stats pool = workers_stats(from->workers);

    measure_workers(m, &workers);
    measure_pool(m, &pool);
    measure_connections(m, &conns);
    if (from->persist) {
        const struct persist_status store = persist_status(from->persist);

        measure_store(m, &store);
    }
    return workers.n_workers;
}
