// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * The Futures and Functions services with the real engine behind them and clients without a socket before them, on virtual
 * time. One turn does what the daemon does: what clients have sent, then the turn's effects, then what the server has to
 * say; the engine's invariants are checked after each. A fake worker claims, starts and finishes at the engine's door.
 *
 *     harness_init(&h, NULL);
 *     harness_unary(&h, &c, "Submit", "task { function: 'echo' }");
 *     response = harness_message(&c, 0, &futured__v1__submit_response__descriptor);
 *     harness_succeed(&h, response->future->id, "result");
 *     ...
 *     harness_free(response);
 *     loopback_call_deinit(&c);
 *     harness_deinit(&h);
 *
 * Functions "echo", "sleep" and "fast" are known and served by the worker; "unserved" is known only.
 */
#include "futured/v1/functions.pb-c.h"
#include "futured/v1/futures.pb-c.h"
#include "service/functions.h"
#include "service/futures.h"
#include "tests/support/judge.h"
#include "tests/support/loopback.h"
#include "tests/support/text.h"

enum { HARNESS_CONNECTIONS = 4 };

struct harness {
    struct engine *engine;
    struct futures *futures;
    struct functions *functions;
    struct grpc_server *server;
    struct loopback lo;                                /* the first client */
    struct loopback *connections[HARNESS_CONNECTIONS]; /* all of them; NULL = none */
    struct holder *worker;
    int holds_back;   /* what must be durable waits for the test's grpc_server_release */
    char logged[256]; /* what the service told of functions last */
    wall_ns_t wall;
    size_t max_message_bytes;
    mono_ns_t next;    /* when futures_tick wants to be called again */
    uint64_t fail_nth; /* of the server's allocations in each turn; 0 = none */
    int has_failed;
};

struct harness_options {
    size_t max_message_bytes; /* 0: 4 MiB */
    struct limits limits;     /* all 0: the defaults */
    int64_t retention_ns;     /* of what is finished; 0: 10 minutes */
    int accept_unknown_functions;
};

/* harness_init: NULL = no options. harness_deinit: every call must be over, or ends here as of a lost connection. */
void harness_init(struct harness *h, const struct harness_options *options);
void harness_deinit(struct harness *h);

/* harness_connect: another client. harness_disconnect: its connection is lost. */
void harness_connect(struct harness *h, struct loopback *lo);
void harness_disconnect(struct harness *h, struct loopback *lo);

/* harness_turn: one turn; 0 = nothing happened. harness_settle: turns until nothing happens. */
size_t harness_turn(struct harness *h);
void harness_settle(struct harness *h);

/* harness_fail_allocations: run @scenario with the server's first allocation failing, then the second ... until none is
 * met. It begins with a new harness, prepares, calls harness_arm, and does what is tested; it may find its connection
 * dead. Afterwards the service must work. At least @n_min allocations must have been met. */
void harness_fail_allocations(void (*scenario)(struct harness *h, struct loopback_call *c), uint64_t n_min);
void harness_arm(struct harness *h);

/* harness_advance: time passes, then settle. */
void harness_advance(struct harness *h, int64_t ns);

/* harness_call: start a call of futured.v1.Futures/@method, or of futured.v1.@method where that has a service. harness_send: one message, as text of the method's request.
 * harness_unary: call, one message, half-close, settle. */
void harness_call(struct harness *h, struct loopback_call *c, const char *method);
void harness_send(struct loopback_call *c, const char *method, const char *format, ...) PRINTF_LIKE(3, 4);
void harness_unary(struct harness *h, struct loopback_call *c, const char *method, const char *format, ...)
        PRINTF_LIKE(4, 5);

/* harness_message: the @i-th reply, read by protobuf-c; within max_message. harness_free: NULL is allowed. */
void *harness_message(const struct harness *h, const struct loopback_call *c, size_t i,
                      const ProtobufCMessageDescriptor *d);
void harness_free(void *message);

/* harness_expect: the call is over without an answer, with @code and ErrorInfo @reason, and its first violation names
 * @field (NULL: there is none). */
void harness_expect(const struct loopback_call *c, enum grpc_code code, const char *reason,
                    const char *field);

/* harness_refused: each request, with @before and @behind around its text, is refused as it says. */
struct harness_refusal {
    const char *request;
    enum grpc_code code;
    const char *reason, *field;
};
void harness_refused(struct harness *h, const char *method, const char *before, const char *behind,
                     const struct harness_refusal *cases, size_t n);

/* What is wrong with a SubmitRequest, for all methods that take one. */
extern const struct harness_refusal harness_bad_submits[];
extern const size_t harness_n_bad_submits;

/* harness_submit: accept a task by the service; its ID. */
struct harness_id {
    char text[ID_TEXT_LEN + 1];
};
struct harness_id harness_submit(struct harness *h, const char *format, ...) PRINTF_LIKE(2, 3);

/* harness_find: the engine's record, or NULL. */
struct future *harness_find(const struct harness *h, const char *id);

/* The worker: claim this future (others go back to where they were), start, and the ends. Each ends with harness_settle. */
struct lease *harness_claim(struct harness *h, const char *id);
void harness_start(struct harness *h, const char *id);
void harness_succeed(struct harness *h, const char *id, const char *result);
void harness_succeed_bytes(struct harness *h, const char *id, size_t n_bytes);
void harness_fail(struct harness *h, const char *id, const char *message);
void harness_lose(struct harness *h, const char *id);
/* harness_cancel: through the service. */
void harness_cancel(struct harness *h, const char *id);
