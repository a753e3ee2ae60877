// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Listening sockets that the service manager has opened for us (socket activation): they outlive this process, so that
 * who connects while it is restarted waits and is not refused. A socket with FileDescriptorName=tls is for TLS, and one that
 * [futured] listen names is for what that says.
 */
#include "daemon/net/address.h"

#include <stddef.h>

enum { INHERITED_MAX = 64, INHERITED_NAME_BYTES = 256, INHERITED_WHY_BYTES = 512 };

struct inherited {
    size_t n;
    struct inherited_socket {
        int fd;                          /* -1: somebody has taken it */
        struct address address;          /* where it listens */
        char name[INHERITED_NAME_BYTES]; /* FileDescriptorName=, for the log */
    } sockets[INHERITED_MAX];
};

/* inherited_take: what LISTEN_FDS says, which is gone from the environment then; before there are threads.
 *   Owns:   on 0 the caller inherited_deinits @ret.
 *   Return: 0, also when there is none; -errno, and @why is a sentence: which one is of no use, and what to do. */
MUST_CHECK int inherited_take(struct inherited *ret, char why[static INHERITED_WHY_BYTES]);

/* inherited_deinit: close what nobody has taken. */
void inherited_deinit(struct inherited *in);

/* inherited_find: the socket at @address (whether it is said to be of TLS or not) that nobody has taken; NULL: there is none. */
struct inherited_socket *inherited_find(struct inherited *in, const struct address *address);
