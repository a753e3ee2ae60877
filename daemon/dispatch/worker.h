// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * One attached worker. It lives from its Attach call to the later of the call's end and, for a child of the pool, its burial
 * (worker_bury), because the leases of a child end with its process, not with its stream.
 */
#include "dispatch/dispatch.h"
#include "grpc/messages.h"

enum {
    WORKER_CREDIT_MAX = 65536,
    WORKER_SLOTS_MAX = 1024,
    WORKER_FUNCTIONS_MAX = 10000,
    WORKER_TEXT_BYTES = 255,     /* name, version */
    WORKER_KIND_PLUGIN = 1 << 1, /* in function.kinds */
    WORKER_KIND_COMMAND = 1 << 2,
    WORKER_FUNCTION_FIELD_BYTES = 4, /* what its name as a field of a message takes beside it */
};

struct worker {
    struct list link; /* in dispatch.workers, most recently free first */
    struct dispatch *dispatch;
    struct grpc_call *call; /* NULL: the stream is over */
    struct holder *holder;  /* NULL until Hello */
    uint64_t key;           /* of the pool's child */
    uint64_t number;        /* w-NUMBER is its ID */
    uint32_t slots, credit, pid;
    uint64_t n_refused; /* finishes under no current lease */
    uint64_t n_finished;
    wall_ns_t attach_time;
    mono_ns_t heard_at;
    struct buf about; /* of Hello: its name, its version, its labels as fields of WorkerInfo */
    uint8_t name_bytes, version_bytes;
    size_t functions_bytes; /* of the names of what it serves, as fields of WorkerInfo */
    int is_draining;
    int is_ready; /* has said Hello */
    int is_dead;  /* the process is gone: bury when the stream is drained */
    int wait_status, is_asked;
    mono_ns_t kill_at;   /* without a stream and not known to be dead: its process has until then to end */
    int is_heard;        /* a message came since the last tick */
    mono_ns_t ladder_at; /* something that must end is to be looked at; CLOCK_NEVER */
    struct runpage *last_page;      /* a copy, taken at its death */
    struct buf payload;             /* a result that comes in pieces ... */
    struct lease_ref payload_lease; /* ... under this lease */
};

/* What its Hello said of it. */
static inline struct span worker_name(const struct worker *w)
{
    return (struct span){buf_head(&w->about), w->name_bytes};
}
static inline struct span worker_version(const struct worker *w)
{
    return (struct span){buf_head(&w->about) + w->name_bytes, w->version_bytes};
}
static inline struct span worker_labels(const struct worker *w)
{
    size_t at = (size_t)w->name_bytes + w->version_bytes;

    return (struct span){buf_head(&w->about) + at, buf_len(&w->about) - at};
}

/* worker_attach: a new call of Attach. NULL with the call failed. */
struct worker *worker_attach(struct dispatch *d, struct grpc_call *call);

/* worker_hello: it says who it is and what it serves. 0; WORKER_E_BAD (@st says why). */
enum { WORKER_E_BAD = 1 };
MUST_CHECK int worker_hello(struct worker *w, struct span message, struct grpc_status *st);

/* worker_is_function_name: whether it may be one. worker_bad_field: INVALID_ARGUMENT naming @field; WORKER_E_BAD.
 * worker_no_memory: RESOURCE_EXHAUSTED; @st. */
MUST_CHECK int worker_is_function_name(struct span name);
int worker_bad_field(struct grpc_status *st, const char *field, const char *what);
struct grpc_status *worker_no_memory(struct grpc_status *st);

/* worker_find: by the pool's key, or NULL. */
struct worker *worker_find(const struct dispatch *d, uint64_t key);

/* worker_started: whether @lease has been started, by what the engine knows or the worker's page says; tells the engine. */
int worker_started(struct worker *w, struct lease *lease);

/* worker_id: its ID as clients see it: "w-" and its number. */
void worker_id(const struct worker *w, char text[static 32]);

/* worker_has_room: it may take more work now: first in line at the next dispatch_run. */
void worker_has_room(struct worker *w);

/* worker_recall_unstarted: @busy takes long, so what is reserved behind it is asked back, for others to run. */
void worker_recall_unstarted(struct worker *w, const struct lease *busy);

/* worker_detach: its call is over. A dead child is buried; one that lives has a moment to end by itself, because its death
 * is often heard of after its stream's end, and only its own death tells how what it ran has ended. */
void worker_detach(struct worker *w);

/* worker_bury: settle every lease of a dead child and free it. Not while its call lives.
 *   Return: 0; -ENOMEM (some are settled, and it lives on: call again later). */
MUST_CHECK int worker_bury(struct worker *w);

/* worker_forget: at the very end: release every lease and free it, whatever became of the process. */
void worker_forget(struct worker *w);
