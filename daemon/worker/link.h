// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * The socket, the HTTP/2 session on it and the one call of it: Workers.Attach. Bytes in and out without ever blocking;
 * the owner polls.
 *
 * Thread: whoever holds the baton.
 */
#include "base/buf.h"
#include "base/clock.h"
#include "grpc/client.h"

enum { LINK_READ_BYTES = 64 * 1024, LINK_SEND_BYTES = 64 * 1024 };

struct link {
    int fd; /* borrowed */
    struct grpc_client *client;
    struct grpc_client_call *call; /* NULL once it is done */
    struct grpc_status status;     /* how, then */
    struct buf out;                /* what the socket did not take */
    void (*on_message)(void *context, struct span message);
    void *context;
    uint8_t in[LINK_READ_BYTES];
};

/* link_open: start the call on the connected socket @fd. Messages come from link_recv, borrowed until return.
 *   Return: 0; -errno. */
MUST_CHECK int link_open(struct link *l, int fd, void (*on_message)(void *context, struct span message),
                         void *context, mono_ns_t now);
void link_close(struct link *l);

/* link_recv: take what the socket has. link_send: give it what there is to send, until it takes no more.
 *   Return: 0; LINK_E_GONE (the daemon is); -errno. */
enum { LINK_E_GONE = 1 };
MUST_CHECK int link_recv(struct link *l, mono_ns_t now);
MUST_CHECK int link_send(struct link *l, mono_ns_t now);

/* link_is_flushed: everything that was written to the call is in the kernel. */
MUST_CHECK int link_is_flushed(const struct link *l);
/* link_is_full: the call should not be written to: wait until link_send has made room. */
MUST_CHECK int link_is_full(const struct link *l);

/* link_events: what to poll the socket for. */
short link_events(const struct link *l);
