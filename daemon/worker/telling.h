// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * What an attempt tells before its end: progress, output, log. The runner says it, while user code runs; whoever holds the
 * baton takes it from here to the stream. It is bounded by what the daemon keeps (Welcome): what is said beyond that is dropped
 * here, but for one byte, by which the daemon sees that there was more.
 *
 * In the process of an isolated function it goes into a pipe instead, as frames (isolate.c).
 *
 * Thread: telling_say and telling_progress are the runner's, telling_write that of who holds the baton.
 */
#include "base/buf.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "grpc/messages.h"

#include <pthread.h>
#include <stdatomic.h>

enum telling_kind { TELLING_OUTPUT, TELLING_LOG, TELLING_KINDS };
enum telling_stream { TELLING_FROM_OUTPUT = 1, TELLING_FROM_STDOUT, TELLING_FROM_STDERR, TELLING_FROM_LOG };

enum {
    TELLING_PIECE_BYTES = 32 * 1024, /* of one message at most */
    TELLING_MESSAGE_BYTES = 1024,    /* of progress; what is longer is cut between characters */
};

struct telling {
    pthread_mutex_t lock; /* of what follows, while an attempt runs */
    int fd;               /* an eventfd, readable while there is something to take */
    struct buf pieces;    /* struct telling_piece and its bytes, again and again */
    struct telling_last { /* the newest one of each kind: more may come to it */
        struct buf bytes;
        uint8_t stream;
        wall_ns_t time;
    } last[TELLING_KINDS];
    uint64_t n_taken[TELLING_KINDS]; /* bytes: offset of the next */
    int has_progress;
    uint64_t completed, total;
    char message[TELLING_MESSAGE_BYTES];
    size_t message_bytes;
    _Atomic int has_news;

    uint8_t is_used; /* in this attempt. The runner's, as the next two */
    uint64_t n_said[TELLING_KINDS];
    uint64_t max_bytes[TELLING_KINDS]; /* of an attempt; 0: nothing is kept */
    int pipe_fd;                       /* where frames go; -1: none do */
};

/* telling_init: 0, -errno. */
MUST_CHECK int telling_init(struct telling *t);
void telling_deinit(struct telling *t);

/* telling_end: forget what was said; the next attempt begins. */
void telling_end(struct telling *t);

/* telling_say, telling_progress: 0; -ENOMEM; -errno of the pipe. @message is UTF-8. */
MUST_CHECK int telling_say(struct telling *t, enum telling_kind kind, enum telling_stream stream,
                           struct span data);
MUST_CHECK int telling_progress(struct telling *t, uint64_t completed, uint64_t total, struct span message);

static inline int telling_has_news(const struct telling *t)
{
    return atomic_load_explicit(&t->has_news, memory_order_acquire);
}

/* telling_write: what has been said under @lease as fields of an AttachRequest, until @w has @max_bytes. Whether there is more. */
int telling_write(struct telling *t, const struct lease_ref *lease, struct writer *w, size_t max_bytes);

/* telling_take_frames: what an isolated function's process has written as frames at the head of @from, as if it were said here. */
void telling_take_frames(struct telling *t, struct buf *from);
