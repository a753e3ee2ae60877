// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What the files of this room share. */
#include "dispatch/worker.h"

/* Run times below this make it worth keeping tasks reserved ahead (workers.md: prefetch). */
#define DISPATCH_PREFETCH_MAX_RUN_NS NS_PER_MS

/* How long a worker's process may outlive its stream. */
#define DISPATCH_EXIT_GRACE_NS NS_PER_S

/* When to try again what failed for want of memory. */
#define DISPATCH_RETRY_NS (10 * NS_PER_MS)

enum {
    DISPATCH_CLAIM_MAX = 64,             /* of one worker at a time */
    DISPATCH_ROUND = 16,                 /* ... of one round of prefetching */
    DISPATCH_CHUNK_BYTES = 64 * 1024,    /* larger payloads travel in pieces of this */
    DISPATCH_ASSIGN_BYTES = 64 * 1024,   /* from here on an Assign message is closed */
    DISPATCH_UPSTREAM_TEXT_BYTES = 1024, /* what a dependent gets of the message of an error */
    DISPATCH_TEXT_BYTES =
            64 * 1024, /* what is kept of an error's message, of its traceback, of its details */
};

/* How much longer than its grace a command may take: its worker kills it in time, and need not be killed for it. */
#define DISPATCH_COMMAND_SLACK_NS NS_PER_S

/* Between two looks whether something has begun at all: what was told to end; what was handed out. */
#define DISPATCH_LADDER_LOOK_NS (50 * NS_PER_MS)
#define DISPATCH_LOOK_NS        (100 * NS_PER_MS)

#define DISPATCH_KIND_REMOTE    (1U << 3) /* function.kinds */

struct dispatch {
    struct engine *engine;
    struct dispatch_config config;
    struct map sessions;            /* of struct remote.by_token */
    struct list claims;             /* of struct claim.link: Claims that wait, the oldest first */
    mono_ns_t claims_at;            /* the wait of none of them is over before */
    struct list workers;            /* of struct worker.link, most recently free first */
    uint64_t n_attached;            /* ever; the last one's number */
    uint64_t n_crashed;             /* processes of the pool (dispatch_worker_died) */
    uint64_t n_finished, n_refused; /* of the workers that are gone */
    uint32_t n_workers, n_ready;
    int is_draining;
    int is_room_new; /* a worker has room since the last dispatch_run */
    struct grpc_method methods[7];
    size_t n_methods;
};

/* assign_room: how many more tasks @w takes now; @is_prefetch: where they are fast. */
uint32_t assign_room(const struct worker *w, int is_prefetch);

/* assign_to: claim what @w has room for and send it. @is_prefetch: only functions that are fast. Returns how many. */
uint32_t assign_to(struct worker *w, uint32_t max, int is_prefetch);

/* assign_put_item: the Assignment of @lease as a field of what @wr writes, upstream results included as long as they have no
 * more than @inline_bytes together (the others are in pieces ahead of it), the task likewise. assign_item_bytes: how many
 * bytes it has at most with all of that in it. */
void assign_put_item(struct writer *wr, const struct dispatch *d, const struct lease *lease,
                     size_t inline_bytes);
size_t assign_item_bytes(const struct lease *lease);

/* attach_handler: the Attach stream. */
extern const struct grpc_handler attach_handler;

/* attach_cancel: tell the worker that its attempt should end (lease.stop); one not started is to be given back. */
void attach_cancel(struct worker *w, const struct lease *lease, mono_ns_t now);

/* attach_recall: ask for a lease that was not started; once. */
void attach_recall(struct worker *w, struct lease *lease);

/* attach_drain: tell a worker from elsewhere to finish what it runs and go, within @timeout_ns (0 = as long as it takes). */
void attach_drain(struct worker *w, struct span why, int64_t timeout_ns);

/* attach_put_cancel, attach_put_refused: a CancelAttempt, a Refused, as field @number. attach_read_lease: the lease (field 1)
 * of @message: 0, -EBADMSG. */
void attach_put_cancel(struct writer *wr, uint32_t number, const struct worker *w, const struct lease *lease,
                       mono_ns_t now);
void attach_put_refused(struct writer *wr, uint32_t number, const struct lease_ref *ref);
MUST_CHECK int attach_read_lease(struct span message, struct lease_ref *ret);

/* dispatch_tell: for the log: @event happened to @w; @who: somebody wanted it; @why. */
void dispatch_tell(const struct worker *w, const char *event, struct span who, struct span why);

/* ladder_begin: the attempt under @lease must end: tell its worker, and see to it. ladder_tick: w->ladder_at has
 * come: the next steps that are due. Both return when ladder_tick wants to be called next. */
mono_ns_t ladder_begin(struct worker *w, struct lease *lease, mono_ns_t now);
mono_ns_t ladder_tick(struct worker *w, mono_ns_t now);
