// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * The insides of a worker of the library. Everything below the lock is touched only by who holds it: the thread of
 * futured_worker_run, which serves the connection and holds it except while it polls; the threads of the slots, between
 * two functions; and what a function says of itself. What they want to be sent is written into the gRPC call at once, and
 * the thread that polls is woken.
 *
 *     worker.c   setting up, slots, the life from start to end        attach.c   the connection: lost, again, kept
 *     job.c      one attempt                                          report.c   what is written
 */
#include "client/lib/backoff.h"
#include "client/lib/conn.h"
#include "client/lib/job.h"
#include "client/lib/status.h"

#include <pthread.h>

enum {
    FUTURED_TOLD_MAX = 256,               /* outcomes that are kept to be told again ... */
    FUTURED_TOLD_BYTES = 8 * 1024 * 1024, /* ... with what they have said */
    FUTURED_PENDING_BYTES = 256 * 1024,   /* unsent: beyond that, who has more to say waits */
    FUTURED_TOKEN_BYTES = 33,
};
#define FUTURED_TOLD_NS (10 * NS_PER_S)

enum worker_phase {
    WORKER_SERVING,
    WORKER_DRAINING, /* takes nothing more */
    WORKER_LEAVING,  /* and has said all, and half-closed */
    WORKER_OVER,
};

struct futured_worker {
    /* as set up */
    struct arena arena;
    int no_memory;
    struct futured_address address;
    const char *address_error; /* NULL: the address is valid */
    const char *name, *version;
    struct futured_label labels[64];
    size_t n_labels;
    int has_too_many_labels;
    struct list functions;
    uint32_t n_slots, n_prefetch;
    uint64_t max_tasks;
    int64_t patience_ns;
    void (*told)(void *arg, enum futured_worker_event event, const char *text);
    void *told_arg;

    int has_run;
    int wake_fd; /* of the thread that polls */
    atomic_int n_stops;
    char token[FUTURED_TOKEN_BYTES];
    struct futured_status_box last;

    pthread_mutex_t lock;
    pthread_cond_t work; /* something to run, or nothing any more */
    pthread_cond_t room; /* to write; or the connection is another one; or it is over */

    /* the connection */
    struct futured_conn *conn;
    struct grpc_client_call *call; /* NULL: none, or it has ended */
    int has_ended, is_broken;
    struct grpc_status end; /* of the call */
    int is_attached;        /* welcome */
    uint64_t n_connections; /* which one this is */
    struct futured_backoff backoff;
    mono_ns_t connect_at, lost_at, patience_until, heartbeat_at, leave_until;
    int64_t heartbeat_ns, ttl_ns;
    uint64_t epoch; /* 0: there was no Welcome yet */
    size_t max_result_bytes;
    uint64_t max_told_bytes[TOLD_KINDS];

    /* the work */
    enum worker_phase phase;
    int comes_again, has_cancelled_all;
    struct inbox inbox;
    struct inbox_ops ops;
    uint32_t n_recalled; /* within one message */
    uint32_t credit;     /* given on this connection and not used up */
    uint64_t n_taken;
    struct list running;
    uint32_t n_running;
    struct list told_jobs, again; /* ended: told, to be kept for a while; to be told once more */
    uint32_t n_told;
    size_t told_bytes;
    const struct futured_job *in_pieces; /* whose result is on its way in pieces: one at a time */
    int has_untold;                      /* of running, what it has said is perhaps not sent */
};

/* --- worker.c; all under the lock but the first */

size_t futured_worker_max_result(struct futured_worker *w);
void futured_worker_wake(struct futured_worker *w);
/* futured_worker_drain: take nothing more, hand back what waits. */
void futured_worker_drain(struct futured_worker *w, const char *why, int comes_again);
void futured_worker_tell(struct futured_worker *w, enum futured_worker_event event, const char *text);
/* futured_worker_end: it is over, with @status. */
void futured_worker_end(struct futured_worker *w, const struct grpc_status *status);
/* futured_worker_find: the job under @lease in @list; NULL. */
struct futured_job *futured_worker_find(const struct list *list, const struct lease_ref *lease);
/* futured_worker_lose_job: @lease is not current: drop what was told under it, cancel what runs. */
void futured_worker_lose(struct futured_worker *w, const struct lease_ref *lease);
/* futured_worker_forget: drop what was told and is too old or too much; @all: all. */
void futured_worker_forget(struct futured_worker *w, mono_ns_t now, int all);

/* --- attach.c */

/* futured_attach_init: before the first turn. */
void futured_attach_init(struct futured_worker *w);
/* futured_attach_turn: connect, read, write, and what is due. futured_attach_due: when to call it at the latest. */
void futured_attach_turn(struct futured_worker *w, short revents, mono_ns_t now);
mono_ns_t futured_attach_due(const struct futured_worker *w);

/* --- report.c: each writes one AttachRequest, where there is a connection */

void futured_report_hello(struct futured_worker *w);
void futured_report_started(struct futured_worker *w, const struct lease_ref *lease);
void futured_report_returned(struct futured_worker *w, const struct lease_ref *lease);
void futured_report_released(struct futured_worker *w, const struct lease_ref *lease);
void futured_report_credit(struct futured_worker *w, uint32_t credit);
void futured_report_heartbeat(struct futured_worker *w, uint64_t ping);
/* futured_report_told: what running jobs have said and there is room for. futured_report_has_more: whether that goes on. */
void futured_report_told(struct futured_worker *w);
int futured_report_has_more(const struct futured_worker *w);
/* futured_report_finish: the outcome of @job, in as many messages as it needs; waits for room, and for a connection.
 *   Return: 0: it was told, on the connection that there is; -1: its lease is lost, or it is over. */
MUST_CHECK int futured_report_finish(struct futured_worker *w, struct futured_job *job);
