// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * A connection to the daemon that never blocks: the asynchronous core of the library. Its owner polls the
 * descriptor for what is wanted, calls futured_conn_turn when that is ready or the time has come, and starts
 * calls on futured_conn_grpc. Everything blocking is built on top (client.h).
 *
 *     CONNECTING -> OPEN -> LOST        LOST is final: the calls have ended, why() says what happened
 *     CONNECTING ---------> LOST
 *
 * Calls may be started while it is CONNECTING: they leave when it is OPEN.
 * Thread: its owner's. No function but _new blocks, and that only where a name must be looked up.
 */
#include "base/clock.h"
#include "client/lib/address.h"
#include "grpc/client.h"

struct futured_conn;

enum futured_conn_state { FUTURED_CONN_CONNECTING, FUTURED_CONN_OPEN, FUTURED_CONN_LOST };

#define FUTURED_CONNECT_TIMEOUT_NS (10 * NS_PER_S)

/* futured_conn_new: begin to connect. What fails on the way is told by the state LOST.
 *   Owns:   the caller; @address is borrowed and outlives the connection.
 *   Return: 0, -ENOMEM. */
MUST_CHECK int futured_conn_new(struct futured_conn **ret, const struct futured_address *address,
                                mono_ns_t now);

/* futured_conn_new_fd: over @fd, a connected stream socket, which is made non-blocking. 0; -ENOMEM (@fd stays
 * the caller's). */
MUST_CHECK int futured_conn_new_fd(struct futured_conn **ret, const struct futured_address *address, int fd,
                                   mono_ns_t now);

/* futured_conn_free: calls still open end UNAVAILABLE. Not from inside an event of a call. NULL allowed. */
struct futured_conn *futured_conn_free(struct futured_conn *conn);

enum futured_conn_state futured_conn_state(const struct futured_conn *conn);

/* futured_conn_why: of a LOST connection: UNAVAILABLE with a reason of the library (UNREACHABLE, CONNECTION_LOST).
 * Inside the on_done of a call that ends with its connection, too; NULL when the connection has not ended. */
const struct grpc_status *futured_conn_why(struct futured_conn *conn);

/* futured_conn_grpc: to start calls on; NULL when LOST. */
struct grpc_client *futured_conn_grpc(const struct futured_conn *conn);

/* What to wait for: futured_conn_events are events of poll(2) on futured_conn_fd, futured_conn_due is when to
 * call futured_conn_turn at the latest. */
/* futured_conn_target: which of the addresses is tried: another one is another descriptor. */
uint32_t futured_conn_target(const struct futured_conn *conn);
int futured_conn_fd(const struct futured_conn *conn);
short futured_conn_events(const struct futured_conn *conn);
mono_ns_t futured_conn_due(const struct futured_conn *conn);

/* futured_conn_turn: read (when @revents says so), write, and do what is due; events of calls come from here.
 * @revents: what poll(2) reported, 0 for nothing. */
void futured_conn_turn(struct futured_conn *conn, short revents, mono_ns_t now);
