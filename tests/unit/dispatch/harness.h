// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Dispatch with the real engine behind it, a pool that is only memory, and workers that speak Attach without a socket, on
 * virtual time. One turn does what the daemon does.
 *
 *     harness_init(&h);
 *     w = harness_spawn(&h, 1);                            a child of the pool, with its stream
 *     harness_hello(w, "slots: 1", 3);                     serves echo and slow, with so much credit
 *     id = harness_submit(&h, "function: 'echo' argument: 'x'");
 *     harness_settle(&h);
 *     item = harness_take(w);                              the next assignment; asserts that there is one
 *     worker_starts(w, &item); worker_finishes(w, &item, "result { data: 'y' }");
 *     harness_settle(&h);
 */
#include "dispatch/dispatch.h"
#include "futured/v1/workers.pb-c.h"
#include "tests/support/judge.h"
#include "tests/support/loopback.h"
#include "tests/support/text.h"

enum { HARNESS_WORKERS = 8, HARNESS_EPOCH = 7 };

struct harness;

/* An outcome that came with the newest item. */
struct passed_on {
    char id[ID_TEXT_LEN + 1], message[64];
    struct buf data; /* of a result, wherever it came; freed by harness_deinit */
    int is_result, was_ahead;
};
enum { HARNESS_PASSED_ON = 8 };

/* One that was assigned. */
struct item {
    struct id id;
    uint32_t attempt;
    uint64_t epoch;
    struct buf task; /* its bytes, put together from pieces; freed by harness_deinit */
};

struct child {
    struct harness *harness;
    uint64_t key; /* of its stream */
    struct loopback lo;
    struct loopback_call call;
    int has_stream, is_alive; /* to the pool */
    int n_kills, n_terms, n_stops;
    char why[128];
    struct runpage page;
    size_t n_read; /* messages of the call that were looked at */
    struct item items[4096];
    size_t n_items, n_taken;
    struct buf pieces; /* of the task to come */
    struct passed_on passed_on[HARNESS_PASSED_ON];
    size_t n_passed_on;
    uint32_t n_welcomes, n_assigns, n_recalls, n_cancels, n_refused, n_drains;
    size_t largest;           /* message */
    Futured__V1__Lease *told; /* the lease of the last recall, cancel or refusal */
    char told_reason[128];
    int64_t told_grace_ns;
    Futured__V1__Welcome *welcome;
};

struct harness {
    struct engine *engine;
    struct dispatch *dispatch;
    struct grpc_server *server;
    struct scope *scope;
    mono_ns_t now, next; /* next: what dispatch_tick wants */
    wall_ns_t wall;
    struct child *children[HARNESS_WORKERS];
    size_t n_children;
    uint64_t fail_nth; /* of the daemon's allocations in each turn; 0 = none */
    int has_failed;
    char said_options[128]; /* of which function a worker said options last, and how long they are */
    int refuses_options;
    char told[256]; /* the last line for the log: event, worker, why */
};

/* The daemon's max_result here. */
#define HARNESS_MAX_RESULT ((size_t)300000)

void harness_init(struct harness *h);
void harness_deinit(struct harness *h);

/* harness_turn: 0 = nothing happened. harness_settle: turns until nothing happens. harness_advance: time, then settle. */
size_t harness_turn(struct harness *h);
void harness_settle(struct harness *h);
void harness_advance(struct harness *h, int64_t ns);

/* harness_fail_allocations: as that of the service's harness. */
void harness_fail_allocations(void (*scenario)(struct harness *h), uint64_t n_min);
void harness_arm(struct harness *h);

/* harness_spawn: the pool has a child @child, which opens its stream. harness_spawn_thread: that of one of its threads; what the
 * pool is asked is noted with the first. harness_attach: a (further) stream of @w. */
struct child *harness_spawn(struct harness *h, uint64_t child);
struct child *harness_spawn_thread(struct harness *h, uint64_t child, uint32_t thread);
void harness_attach(struct harness *h, struct child *w, int is_pool_worker);

/* harness_remote: a worker from elsewhere, with its stream; harness_call: a unary call of it, with its request as text; settles.
 * harness_reply: the only message that came back. */
struct child *harness_remote(struct harness *h);
void harness_call(struct child *w, struct loopback_call *c, const char *method,
                  const ProtobufCMessageDescriptor *request, const char *format, ...) PRINTF_LIKE(5, 6);
struct span harness_reply(const struct loopback_call *c);
/* harness_expect_refused: as harness_expect_cut, of a unary call, which is freed; its reason is @reason. */
void harness_expect_refused(struct loopback_call *c, enum grpc_code code, const char *reason,
                            const char *what);

/* harness_say: one AttachRequest, as text. harness_hello: with @more of Hello, and credit; settles. */
void harness_say(struct child *w, const char *format, ...) PRINTF_LIKE(2, 3);
void harness_hello(struct child *w, const char *more, uint32_t credit);

/* harness_hang_up: its stream is lost with its connection. harness_die: the pool has reaped it, with all its threads. */
void harness_hang_up(struct child *w);
void harness_die(struct child *w, int wait_status, int asked);

/* harness_submit: the fields of a Task as text. */
struct future *harness_submit(struct harness *h, const char *format, ...) PRINTF_LIKE(2, 3);

/* harness_n_open: assignments that were not taken yet. harness_take: the next one. harness_lease: its text. */
size_t harness_n_open(const struct child *w);
struct item *harness_take(struct child *w);
const char *harness_lease(const struct item *item);

/* What a worker does: note the start in its page; the end in it; and say so by Finish with @outcome and more as text. */
void worker_starts(struct child *w, const struct item *item);
void worker_ends(struct child *w);
void worker_finishes(struct child *w, const struct item *item, const char *outcome);
/* worker_runs: starts, ends, finishes with a result of its own, gives credit back; settles. */
void worker_runs(struct child *w, const struct item *item);

/* harness_expect_cut: the stream of @w has ended with @code, its text has @what in it. */
void harness_expect_cut(const struct child *w, enum grpc_code code, const char *what);
