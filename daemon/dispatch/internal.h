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

/* Between two looks whether what was told to end has begun at all. */
#define DISPATCH_LADDER_LOOK_NS (50 * NS_PER_MS)

struct dispatch {
    struct engine *engine;
    struct dispatch_config config;
    struct list workers;            /* of struct worker.link, most recently free first */
    uint64_t n_attached;            /* ever; the last one's number */
    uint64_t n_crashed;             /* processes of the pool that have died unasked */
    uint64_t n_finished, n_refused; /* of the workers that are gone */
    uint32_t n_workers, n_ready;
    int is_draining;
    int is_room_new; /* a worker has room since the last dispatch_run */
    struct grpc_method methods[8];
    size_t n_methods;
};

/* assign_room: how many more tasks @w takes now; @is_prefetch: where they are fast. */
uint32_t assign_room(const struct worker *w, int is_prefetch);

/* assign_to: claim what @w has room for and send it. @is_prefetch: only functions that are fast. Returns how many. */
uint32_t assign_to(struct worker *w, uint32_t max, int is_prefetch);

/* attach_handler: the Attach stream. */
extern const struct grpc_handler attach_handler;

/* attach_cancel: tell the worker that its attempt should end (lease.stop); one not started is to be given back. */
void attach_cancel(struct worker *w, const struct lease *lease, mono_ns_t now);

/* ladder_begin: the attempt under @lease must end: tell its worker, and see to it. ladder_tick: the next steps that are
 * due. Both return when ladder_tick wants to be called next. */
mono_ns_t ladder_begin(struct worker *w, struct lease *lease, mono_ns_t now);
mono_ns_t ladder_tick(struct worker *w, mono_ns_t now);

/* attach_recall: ask for a lease that was not started; once. */
void attach_recall(struct worker *w, struct lease *lease);
