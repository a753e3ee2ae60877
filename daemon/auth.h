// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Who calls, and whether it may: the principals of the configuration, by what a connection or a call shows.
 *
 *   a call's `authorization: Bearer TOKEN`, else the connection's certificate, else the user of its Unix socket,
 *   else a group of that user's
 *
 * A token that nobody has is refused, whatever else is shown. root and the daemon's own user, by a Unix socket, are "" in the
 * default namespace with every right, unless a principal is said to be them. Where the configuration has no principal nobody
 * is asked anything (and a call costs nothing here). The pool's own workers may do what workers do.
 *
 * Identities are never freed before the end: calls and futures name them. One that a reload has taken away has no rights.
 */
#include "daemon/config.h"
#include "grpc/server.h"

struct auth;
struct conn_peer;
struct engine;
struct identity;
struct metrics;

/* auth_new: guard @server as @config says. 0; -ENOMEM. Free after the connections. */
MUST_CHECK int auth_new(struct auth **ret, const struct config *config, struct grpc_server *server,
                        struct engine *engine);
struct auth *auth_free(struct auth *auth);

/* auth_reload: from the next call on @config holds, for connections that are there too. 0; -ENOMEM (all is as it was).
 * auth_turn: once a turn, outside of events: after a reload, open calls end that would not be allowed now. */
MUST_CHECK int auth_reload(struct auth *auth, const struct config *config);
void auth_turn(struct auth *auth);

/* auth_open: what is to be known of a connection; grpc_peer.credential. auth_close: it is gone; NULL is nothing.
 *   Return: 0; -EUSERS: its principal has as many as it may (logged); -ENOMEM. */
struct auth_credential;
MUST_CHECK int auth_open(struct auth *auth, const struct conn_peer *peer, struct auth_credential **ret);
void auth_close(struct auth_credential *credential);

/* auth_measure: tell what principals use, and how often they were refused more: to @who those of its namespace, to the owner and
 * where there are no principals (NULL) all. */
void auth_measure(const struct auth *auth, const struct identity *who, struct metrics *m);
