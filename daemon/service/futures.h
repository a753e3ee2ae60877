// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * futured.v1.Futures on top of the engine. One struct futures serves all connections.
 *
 *   futures.c  the table of methods, and the short ones: Get, Cancel, Annotate, Delete
 *   submit.c   Submit, SubmitStream; accepting one request, for run.c too
 *   run.c      Run, RunStream
 *   wait.c     Wait        as_completed.c  AsCompleted        watch.c feed.c  Watch   list.c  List        count.c  Count
 *
 * A method that must wait embeds a struct waiter in its call's state; the engine lists it among the turn's answers, and
 * futures_answer gives it back to its method, which pulls what is ready as far as the client reads.
 */
#include "engine/engine.h"
#include "filter/filter.h"
#include "grpc/server.h"

struct futures;

/* futures_new: 0, -ENOMEM. @e is borrowed. @max_message_bytes bounds every reply; @seed its tables. Free after the
 * connections. */
MUST_CHECK int futures_new(struct futures **ret, struct engine *e, size_t max_message_bytes,
                           const struct hash_seed *seed);
struct futures *futures_free(struct futures *s);

/* futures_limit_scans: how many futures one call of List, Count or ...Many looks at before it answers with a token. */
void futures_limit_scans(struct futures *s, uint32_t limit);

/* futures_limit_watches: how many Watches of a group or a filter there may be, how many events are kept for them, and how long
 * a Watch is quiet before it is sent a keepalive; 0: for ever. */
struct futures_watches {
    uint32_t max_filter_watches, n_events;
    int64_t keepalive_ns;
};
void futures_limit_watches(struct futures *s, const struct futures_watches *watches);

/* futures_methods: the rows for grpc_server_add; they live as long as @s. */
const struct grpc_method *futures_methods(const struct futures *s, size_t *ret_n);

/* futures_answer: deliver one waiter of effects.answers (already taken out of the list). */
void futures_answer(struct waiter *w);

/* futures_tick: end the Waits whose timeout has come, tell the IDs of Runs that last, go on with searches and Watches. Returns when it wants to be called next. */
mono_ns_t futures_tick(struct futures *s, mono_ns_t now);

/*
 * Where futures are that are not in the engine: asks for them and gets them there, in a later turn. Wishes are embedded by
 * who has them. What is loaded stays while on_loaded runs, unless that deletes it.
 */
enum futures_load_error {
    FUTURES_E_NOT_FOUND = 1,
    FUTURES_E_DATA_LOSS,
    FUTURES_E_FULL,       /* no room in memory */
    FUTURES_E_BUSY,       /* too much is asked for already */
    FUTURES_E_UNREADABLE, /* the disk fails */
};
enum { FUTURES_STRETCH_MAX = 200 };

struct futures_wish {
    struct list link; /* the loader's; taken out: nobody wants it any more */
    void (*on_loaded)(struct futures_wish *wish, int result, struct future *f);
};

/* One of a stretch. */
struct futures_found {
    struct id id;
    struct future *future;         /* in the engine, and pinned; NULL where that was not asked for: */
    struct filter_subject subject; /* what the store has of it; good until forget_stretch */
};

/* The finished ones that the store has behind @key in the order of IDs: some of those that match. What is in memory may be
 * among them or not. Until forget_stretch nothing leaves memory that may be missing here. */
struct futures_stretch {
    struct span namespace, group; /* group may be empty: of any */
    struct filter *filter;        /* NULL: all */
    wall_ns_t now;
    uint64_t key;
    uint32_t limit;                          /* at most so many, 1 .. FUTURES_STRETCH_MAX ... */
    uint32_t max_cost;                       /* ... and no more once looking has cost so much */
    int is_desc, wants_futures, wants_tasks; /* wants_tasks: the subjects have their labels and arguments */
    void (*on_loaded)(struct futures_stretch *stretch, int result);
    void *user;
    void *handle;  /* the loader's; NULL: it has nothing to forget */
    uint64_t last; /* all up to this key are here ... */
    int is_end;    /* ... and there are none behind it */
    uint32_t cost, n;
    struct futures_found found[FUTURES_STRETCH_MAX]; /* the owner's to unpin, whatever the result */
};

struct futures_loader {
    /* 0: on_loaded follows; FUTURES_E_BUSY; -ENOMEM. */
    int (*load)(void *context, const struct id *id, struct futures_wish *wish);
    /* The same for the finished future that holds an idempotency key; both spans are copied. */
    int (*load_key)(void *context, struct span namespace, struct span key, struct futures_wish *wish);
    int (*load_stretch)(void *context, struct futures_stretch *stretch);
    /* Before on_loaded: it does not follow. Behind it, where there is a handle: always. */
    void (*forget_stretch)(void *context, struct futures_stretch *stretch);
    void *context;
};

/* futures_keep: there is a store: DURABLE is accepted, and the default. */
void futures_keep(struct futures *s, const struct futures_loader *loader);

/* futures_know_workers: what the service cannot see itself: how many more tasks of @fn the workers that serve it could take
 * now. Before that it is 0. */
struct function_failure {
    char text[1536];        /* for people; names file and symbol where there are any */
    int is_death;           /* workers die at their start; else something of theirs could not be loaded */
    wall_ns_t began_at, at; /* for the first and for the latest time since all was well */
};
struct futures_workers {
    uint64_t (*credit)(void *context, const struct function *fn);
    /* Why @fn is not served, whether that is so. */
    int (*failure)(void *context, const struct function *fn, struct function_failure *ret);
    void *context;
};
void futures_know_workers(struct futures *s, const struct futures_workers *workers);

/* futures_refuse: what the store's state keeps from being accepted, or changed, from now on. */
enum futures_refusal {
    FUTURES_ACCEPT,
    FUTURES_STALLED, /* the store cannot write at the moment */
    FUTURES_BEHIND,  /* too much waits for it */
    FUTURES_SPACE,   /* there is little room on the disk */
    FUTURES_BROKEN,  /* it will not write any more */
};
void futures_refuse(struct futures *s, enum futures_refusal why);

/* futures_drain: from now on nothing is accepted (0: it is again): UNAVAILABLE with RetryInfo. Reads go on. */
void futures_drain(struct futures *s, int is_draining);

/* futures_shutdown: end every call that waits with UNAVAILABLE: nothing more will finish. */
void futures_shutdown(struct futures *s);
