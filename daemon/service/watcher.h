// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * A call of Watch, as its two kinds have it in common (watch.c: of IDs; feed.c: of a group or a filter): its events, and a
 * keepalive where there was none for a while. Embedded in the state of each.
 */
#include "service/internal.h"

/* FutureEvent, and its members that are sent. */
enum event_field {
    EVENT_SNAPSHOT = 4,
    EVENT_STATE = 5,
    EVENT_PROGRESS = 6,
    EVENT_OUTPUT = 7,
    EVENT_LOG = 8,
    EVENT_LABELS = 9,
    EVENT_LOST = 10,
    EVENT_KEEPALIVE = 11,
};

enum event_kind { KIND_STATE = 1, KIND_PROGRESS = 2, KIND_OUTPUT = 3, KIND_LOG = 4, KIND_LABELS = 5 };

struct watcher {
    struct waiting waiting;
    struct futures *service;
    enum view view;
    unsigned int kinds;    /* bits 1 << enum event_kind: what is asked for */
    int has_cursor;        /* events have one: */
    uint64_t position;     /* number of the event in the engine's ring that they bring the client to */
    struct list quiet;     /* in futures.quiet */
    mono_ns_t quiet_since; /* CLOCK_NEVER: something was sent in this turn */
    int is_over;           /* the call has been ended */
    void (*free)(struct watcher *w);
};

/* watcher_init: @w is the state of @call from now on. @on_news comes when there is some, and when it is writable again; @free
 * when it is over, to call watcher_deinit. */
void watcher_init(struct watcher *w, struct grpc_call *call, void (*on_news)(struct waiting *waiting),
                  void (*free)(struct watcher *w));
void watcher_deinit(struct watcher *w);

/* watcher_fail: end the call. */
void watcher_fail(struct watcher *w, const struct grpc_status *st);

/* watcher_put: the event @field of @f, which happened at @time. watcher_put_lost: of @n missing ones. watcher_put_keepalive.
 * Where memory is short the call is over afterwards. */
void watcher_put(struct watcher *w, enum event_field field, struct future *f, wall_ns_t time);
void watcher_put_lost(struct watcher *w, uint64_t n);
void watcher_put_keepalive(struct watcher *w);

/* watcher_put_progress: what @f has last said of itself. watcher_put_chunk: of @chunk, one of @f, what is at or behind the offset
 * @from, which lies in it, as far as one message holds; how many bytes that was. */
void watcher_put_progress(struct watcher *w, struct future *f, const struct told_progress *p);
size_t watcher_put_chunk(struct watcher *w, struct future *f, const struct told_chunk *chunk, uint64_t from);

/* watcher_tick: keepalives that are due; returns when the next one is. */
mono_ns_t watcher_tick(struct futures *s, mono_ns_t now);

/* feed_begin: the rest of a Watch by group or filter, whose view and kinds have been read. Takes over the call, or ends it. */
void feed_begin(struct grpc_call *call, const struct watch_request *request, enum view view,
                unsigned int kinds);
/* feed_tick: what happened meanwhile, to those who follow it; returns when to call it again. */
mono_ns_t feed_tick(struct futures *s, mono_ns_t now);
