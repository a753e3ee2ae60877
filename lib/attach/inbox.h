// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * What the daemon says on the Attach stream: messages in, a queue of tasks and a few events out. Large tasks come in
 * pieces ahead of their assignment and are put together here.
 *
 * Thread: one at a time.
 */
#include "attach/upstream.h"
#include "base/buf.h"
#include "base/list.h"
#include "grpc/messages.h"

enum {
    INBOX_QUEUE_MAX = 4096, /* tasks that wait, and payloads that are put together; far above any credit */
};

/* One task that waits to be run. */
struct item {
    struct list link;
    struct lease_ref lease;
    struct span task, group, traceparent;
    struct codec_time attempt_timeout, deadline;
    struct upstream_list *upstreams; /* the outcomes of what it depends on; NULL: none are passed on */
    struct buf pieces;               /* what came ahead: the task, results of upstreams */
    uint8_t bytes[];                 /* the Assignment */
};

/* inbox_item_free: NULL allowed; returns NULL. */
struct item *inbox_item_free(struct item *item);

struct welcome {
    struct span worker_id, version;
    uint64_t epoch, max_message_bytes, max_result_bytes, max_output_bytes, max_log_bytes;
    struct codec_time heartbeat_interval, lease_ttl;
    uint32_t kept, dropped;
    struct span message; /* for inbox_next_lease */
};

enum { WELCOME_KEPT = 5, WELCOME_DROPPED = 6 };

/* inbox_next_lease: the next lease of field @number (WELCOME_KEPT, WELCOME_DROPPED); start with
 * wire_reader(welcome->message). 1 = *ret is one, 0 = no more. */
int inbox_next_lease(struct wire_reader *r, uint32_t number, struct lease_ref *ret);

struct drain {
    struct span reason;
    struct codec_time timeout;
    uint64_t come_again;
};

/* Events, from inside inbox_take; they may use the queue. */
struct inbox_ops {
    void (*on_welcome)(void *context, const struct welcome *welcome);
    /* An item, or the pieces of one, have been taken out, because the daemon wants them back. */
    void (*on_recalled)(void *context, const struct lease_ref *lease);
    /* What is not in the queue (any more) should end. @grace_ns: within that. @reason: what was said, which may be nothing. */
    void (*on_cancel)(void *context, const struct lease_ref *lease, int64_t grace_ns, struct span reason);
    /* The lease is not current: nobody wants what was told under it. It may still be in the queue. */
    void (*on_refused)(void *context, const struct lease_ref *lease);
    void (*on_drain)(void *context, const struct drain *drain);
    void (*on_ping)(void *context, uint64_t number);
    void *context;
};

struct inbox {
    const struct inbox_ops *ops;
    struct list queue; /* of struct item */
    uint32_t n_queued;
    struct list partial; /* payloads whose assignment has not come */
    uint32_t n_partial;
    size_t max_task_bytes;   /* of one that comes in pieces; 0 until Welcome */
    size_t max_result_bytes; /* of an upstream's result, likewise */
};

void inbox_init(struct inbox *in, const struct inbox_ops *ops);
void inbox_deinit(struct inbox *in);

/* inbox_restart: the stream was lost, and another one begins: its first message is a Welcome again. The queue stays. */
void inbox_restart(struct inbox *in);

/* inbox_drop: take out what has not been started under @lease, or has not come whole. Whether there was any. */
int inbox_drop(struct inbox *in, const struct lease_ref *lease);

/* inbox_take: one AttachResponse.
 *   Return: 0; INBOX_E_BAD (it breaks the rules; *ret_why says how, a static text); -ENOMEM. */
enum { INBOX_E_BAD = 1 };
MUST_CHECK int inbox_take(struct inbox *in, struct span message, const char **ret_why);

/* inbox_pop: the next task to run, now the caller's; NULL: none. */
struct item *inbox_pop(struct inbox *in);

/* inbox_is_same_lease: id, attempt and epoch. */
int inbox_is_same_lease(const struct lease_ref *a, const struct lease_ref *b);
