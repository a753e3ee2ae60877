// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * What clients have been shown. A reply is given when the commit that it must wait for is durable, or never, if the daemon
 * is gone before. What has been shown is never taken back: a future that somebody has seen is there until it is deleted or
 * its retention ends, its revision only rises, its end is for ever, and no other future gets its ID.
 */
#include "model.h"

struct world;

enum { SHOWN_REPLIES = 512 };

/* A future as a client sees it. */
struct shown_future {
    int is_shown;
    uint64_t revision;
    enum model_at state; /* READY stands for PENDING, RUNNING, or one of the ends */
    uint32_t n_attempts;
    int32_t result;
    enum future_reason reason;
    int label;
    uint64_t retried_by; /* its key; 0 = none */
    wall_ns_t end_time;
    uint64_t n_told[2]; /* bytes of output and of log */
};

struct shown_reply {
    uint64_t seq;
    int i, is_deleted; /* is_deleted: there is none */
    struct shown_future future;
};

struct shown {
    struct shown_reply replies[SHOWN_REPLIES]; /* that wait, oldest first */
    uint32_t n_replies;
    struct shown_future futures[MODEL_FUTURES];
    uint8_t is_deleted[MODEL_FUTURES]; /* somebody was told that it is deleted */
};

/* shown_future: a client is about to be shown future @i, which is in memory. shown_deleted: or that it is deleted.
 * shown_release: what waited for commits up to @seq is given out. */
void shown_future(struct world *w, int i);
void shown_deleted(struct world *w, int i);
void shown_release(struct world *w, uint64_t seq);

/* shown_restart: the daemon is gone, and who waited for a reply has none; what was shown must still be so. */
void shown_restart(struct world *w);
