// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * One worker. A child of the pool lives from its Attach call to the later of the call's end and its burial (worker_bury),
 * because its leases end with its process, not with its stream. One from elsewhere lives as long as its session (session.h).
 */
#include "base/map.h"
#include "dispatch/dispatch.h"
#include "dispatch/hello.h"

enum {
    WORKER_CREDIT_MAX = 65536,
    WORKER_KIND_PLUGIN = 1 << 1, /* in function.kinds */
    WORKER_KIND_COMMAND = 1 << 2,
    WORKER_KIND_REMOTE = 1 << 3,
    WORKER_FUNCTION_FIELD_BYTES = 4, /* what its name as a field of a message takes beside it */
};

enum worker_kind {
    WORKER_POOL,   /* a child, on the stream of its socketpair */
    WORKER_STREAM, /* from elsewhere, by Attach */
    WORKER_UNARY,  /* from elsewhere, by Claim, Renew, Finish */
};

struct worker {
    struct list link; /* in dispatch.workers, most recently free first */
    struct dispatch *dispatch;
    enum worker_kind kind;
    struct grpc_call *call; /* its stream; NULL: that is over, or there never was one */
    struct holder *holder;  /* NULL until Hello */
    uint64_t key;           /* of the pool's thread (dispatch_key); 0 = from elsewhere */
    uint64_t number;        /* w-NUMBER is its ID */
    uint32_t slots, credit, pid;
    uint64_t n_refused; /* finishes under no current lease */
    uint64_t n_finished;
    wall_ns_t attach_time;
    mono_ns_t heard_at;
    struct buf about; /* of Hello: its name, its version, its labels as fields of WorkerInfo */
    uint8_t name_bytes, version_bytes;
    size_t functions_bytes; /* of the names of what it serves, as fields of WorkerInfo */
    int is_draining;        /* it gets nothing more */
    int is_stopped;         /* and, a child of the pool that holds nothing any more, has been told to end */
    mono_ns_t end_at;       /* its drain ends then, whatever it runs; CLOCK_NEVER */
    int is_ready;           /* has said Hello */
    int is_dead;            /* the process is gone, or the session is over: bury when the stream is drained */
    int wait_status, is_asked;
    int is_culprit;      /* its process was to be killed for it, or has died by it */
    int is_victim;       /* and this one ran beside that one */
    uint32_t n_dying;    /* how many ran something when the process died */
    int has_left;        /* it has ended its stream in order */
    mono_ns_t kill_at;   /* without a stream and not known to be dead: its process has until then to end */
    int is_heard;        /* a message came since the last tick */
    mono_ns_t ladder_at; /* something that must end is to be looked at; CLOCK_NEVER */
    mono_ns_t
            look_at; /* a child of the pool: whether what was given to it has begun is looked up; CLOCK_NEVER */
    uint64_t next_start;            /* of its page: which one is likely to be asked for next */
    struct runpage *last_page;      /* a copy, taken at its death */
    struct buf payload;             /* a result that comes in pieces ... */
    struct lease_ref payload_lease; /* ... under this lease */
    struct remote *remote;          /* what there is of a worker from elsewhere (session.h); else NULL */
};

static inline int worker_is_pool(const struct worker *w)
{
    return w->kind == WORKER_POOL;
}

/* worker_credit: how many more tasks it takes, those of one function alone included. worker_drop_credit: none. */
static inline uint64_t worker_credit(const struct worker *w)
{
    return w->credit + (w->holder ? w->holder->own : 0);
}
static inline void worker_drop_credit(struct worker *w)
{
    w->credit = 0;
    if (w->holder)
        engine_share_uncredit(w->holder);
}

/* What its Hello said of it. */
static inline struct span worker_about(const struct worker *w, size_t at, size_t n)
{
    return n ? (struct span){buf_head(&w->about) + at, n}
             : (struct span){0}; /* before its Hello there is nothing */
}
static inline struct span worker_name(const struct worker *w)
{
    return worker_about(w, 0, w->name_bytes);
}
static inline struct span worker_version(const struct worker *w)
{
    return worker_about(w, w->name_bytes, w->version_bytes);
}
static inline struct span worker_labels(const struct worker *w)
{
    size_t at = (size_t)w->name_bytes + w->version_bytes;

    return worker_about(w, at, buf_len(&w->about) - at);
}

/* worker_attach: a new call of Attach. NULL with the call failed. */
struct worker *worker_attach(struct dispatch *d, struct grpc_call *call);

/* worker_new: as worker_attach, of any kind; NULL: no memory. */
struct worker *worker_new(struct dispatch *d, enum worker_kind kind, mono_ns_t now);

/* worker_hello: it says who it is and what it serves. worker_describe: that holds from now on, in place of what it said
 * before. 0; WORKER_E_BAD (@st says why). */
enum { WORKER_E_BAD = HELLO_E_BAD };
MUST_CHECK int worker_hello(struct worker *w, struct span message, struct grpc_status *st);
MUST_CHECK int worker_describe(struct worker *w, const struct hello *hello, struct grpc_status *st);

/* worker_no_memory: RESOURCE_EXHAUSTED; @st. */
struct grpc_status *worker_no_memory(struct grpc_status *st);

/* worker_find: by the pool's key, or NULL. */
struct worker *worker_find(const struct dispatch *d, uint64_t key);

/* worker_find_number: by its number, or NULL. worker_parse_id: the number in an ID as clients see it. 0; -EINVAL. */
struct worker *worker_find_number(const struct dispatch *d, uint64_t number);
MUST_CHECK int worker_parse_id(struct span text, uint64_t *ret);

/* worker_started: whether @lease has been started, by what the engine knows or the worker's page says; tells the engine. */
int worker_started(struct worker *w, struct lease *lease);

/* worker_look: w->look_at has come: whether a child of the pool has begun what was given to it: one that stops itself cannot
 * say so, and its attempt's time runs all the same. When to look again. */
mono_ns_t worker_look(struct worker *w, mono_ns_t now);

/* worker_id: its ID as clients see it: "w-" and its number. */
void worker_id(const struct worker *w, char text[static 32]);

/* worker_has_room: it may take more work now: first in line at the next dispatch_run. */
void worker_has_room(struct worker *w);

/* worker_recall_unstarted: @busy takes long, so what is reserved behind it is asked back, for others to run. */
void worker_recall_unstarted(struct worker *w, const struct lease *busy);

/* worker_detach: its call is over. A dead child is buried; one that lives has a moment to end by itself, because its death
 * is often heard of after its stream's end, and only its own death tells how what it ran has ended. */
void worker_detach(struct worker *w);

/* worker_bury: settle every lease of a dead child, or of a session that is over, and free it. Not while its call lives.
 *   Return: 0; -ENOMEM (some are settled, and it lives on: call again later). */
MUST_CHECK int worker_bury(struct worker *w);

/* worker_forget: at the very end: give up every lease, as lost by the end of the daemon, and free it, whatever became of the
 * process. */
void worker_forget(struct worker *w);
