// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * A listening socket: TCP (IPv4 or IPv6, each for itself) or Unix. What it accepts becomes a connection of a
 * set.
 *
 * A Unix socket's path belongs to whoever holds the lock on the file PATH.lock beside it. With the lock held,
 * a socket in the way that nobody answers on is a dead daemon's and is replaced; one that is answered, or a
 * file that is no socket, is not touched. The mode is 0660 before the first peer can connect, and at the end
 * the path is removed if it is still this socket.
 */
#include "daemon/net/address.h"
#include "daemon/net/conn.h"
#include "daemon/net/loop.h"

struct listener;

enum {
    LISTENER_WHY_BYTES = 512,
    LISTENER_BACKLOG = 1024,
    LISTENER_ACCEPTS_PER_TURN = 64,
    LISTENER_PAUSE_MS = 100, /* without accepting, after descriptors or memory ran out */
};

/* listener_new: listen on @address from now on.
 *   Owns:   the caller; @loop and @conns outlive it.
 *   Return: 0; -errno, and @why is a sentence: the address, what is wrong, what to do. */
MUST_CHECK int listener_new(struct listener **ret, struct loop *loop, struct conn_set *conns,
                            const struct address *address, enum conn_trust trust,
                            char why[static LISTENER_WHY_BYTES]);

/* listener_adopt: listen with @fd, a socket that listens at @address already and was made by somebody else. Its path,
 * when it has one, is left alone.
 *   Owns:   on 0 the listener takes @fd; else the caller keeps it.
 *   Return: as listener_new. */
MUST_CHECK int listener_adopt(struct listener **ret, struct loop *loop, struct conn_set *conns, int fd,
                              const struct address *address, enum conn_trust trust,
                              char why[static LISTENER_WHY_BYTES]);

/* listener_give: the group of a Unix socket's path, of listener_new. 0; -errno, and @why is a sentence. */
MUST_CHECK int listener_give(const struct listener *l, int64_t gid, char why[static LISTENER_WHY_BYTES]);

/* listener_free: stop listening, at once; what was accepted goes on. */
struct listener *listener_free(struct listener *l);

/* listener_address: where it listens; a TCP port of 0 has become the real one. */
const struct address *listener_address(const struct listener *l);
