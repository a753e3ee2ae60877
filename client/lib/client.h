// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * The client: one connection, driven by poll(2) while somebody waits or by the program's own loop (futured/async.h), and how
 * the last call ended. What comes for other calls meanwhile (an open watch, a pipeline) goes into their queues.
 *
 * Patience: where the daemon is away, whoever has something that may be asked again (retry.c for calls, the streams each for
 * itself) does so at retry_at. That is one time for all of a client, so that a hundred calls are not a hundred attempts to
 * connect; every answer, of whatever call, ends the time of trouble.
 */
#include "base/list.h"
#include "client/lib/backoff.h"
#include "client/lib/conn.h"
#include "client/lib/status.h"

#include <poll.h>

struct futured_client {
    struct futured_address address;
    const char *address_error; /* NULL: the address is valid */
    struct futured_conn *conn; /* NULL before the first call */
    int64_t timeout_ns;        /* <= 0: none */
    struct futured_status_box last;
    struct bytes *traceparent; /* of what begins now; NULL: none */
    char id_prefix[24];        /* of request IDs made on this connection: 96 random bits */
    uint32_t n_ids;            /* how many; 0: there is no prefix yet */
    uint64_t n_connections;

    int64_t patience_ns; /* 0: what fails has failed */
    struct futured_backoff backoff;
    mono_ns_t trouble_at; /* since when nothing has been answered; CLOCK_NEVER: all is well */
    mono_ns_t retry_at;   /* when to try again; 0: now */

    int is_nonblocking, is_processing;
    void (*done)(void *arg, int code); /* armed: the next call is only started */
    void *done_arg;
    struct list operations; /* that have been started so (retry.c) */

    /* How to wait: ppoll(2) but for tests, which let the other side run instead. As ppoll: < 0 sets errno. */
    int (*wait)(void *arg, struct pollfd *fd, const struct timespec *timeout);
    void *wait_arg;
};

/* futured_client_fail: note how a call ended. Returns the code. */
int futured_client_fail(struct futured_client *client, const struct grpc_status *status,
                        const char *future_id);
/* futured_client_done: note that one ended well. Returns FUTURED_OK. */
int futured_client_done(struct futured_client *client);
/* futured_client_no_memory: note that our memory failed. Returns RESOURCE_EXHAUSTED. */
int futured_client_no_memory(struct futured_client *client);

/* futured_client_again: note that something was started or is not there yet. Returns FUTURED_AGAIN. */
int futured_client_again(struct futured_client *client);

/* futured_client_until: when a call that starts now must be over; CLOCK_NEVER without a timeout. */
mono_ns_t futured_client_until(const struct futured_client *client);

/* futured_client_ensure: have a connection that is not known to be lost; it may still be CONNECTING.
 *   Return: FUTURED_OK, or a code that has been noted. */
MUST_CHECK int futured_client_ensure(struct futured_client *client);

/* futured_client_fresh_id: a request ID that no other task has: random bits of the connection and a number. Two processes
 * that share a client that has connected share its socket as well, which nothing survives. 0, -errno of getrandom(2). */
enum { FUTURED_CLIENT_ID_BYTES = 33 };
MUST_CHECK int futured_client_fresh_id(struct futured_client *client,
                                       char id[static FUTURED_CLIENT_ID_BYTES]);

/* futured_client_may_retry: whether what ended with @status may be asked again later, within the client's patience; @is_safe:
 * it may although it may have been done. If so, retry_at is set. */
MUST_CHECK int futured_client_may_retry(struct futured_client *client, const struct grpc_status *status,
                                        int is_safe);
/* futured_client_is_well: something was answered: the time of trouble is over. */
void futured_client_is_well(struct futured_client *client);

/* futured_client_pause: be there for what comes until retry_at, or @until.
 *   Return: 0: it is time; FUTURED_CLIENT_E_LATE: @until has passed, or the client does not block. */
MUST_CHECK int futured_client_pause(struct futured_client *client, mono_ns_t until);

/* futured_client_drive: read, write and wait until @is_done(@arg), the connection is lost, or @until. Without
 * a connection, or where the client does not block, it returns at once. Return: 0; FUTURED_CLIENT_E_LATE (@until has passed). */
enum { FUTURED_CLIENT_E_LATE = 1 };
MUST_CHECK int futured_client_drive(struct futured_client *client, mono_ns_t until, int (*is_done)(void *arg),
                                    void *arg);

/* futured_client_poke: one turn without waiting: what can be sent is sent. */
void futured_client_poke(struct futured_client *client);

/* futured_client_adopt: use @fd, a connected socket, as the connection. Owns: the client takes @fd on 0.
 * 0, -ENOMEM. */
MUST_CHECK int futured_client_adopt(struct futured_client *client, int fd);
