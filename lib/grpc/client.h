// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * The client side of gRPC on top of h2, without I/O: used by futured-worker, the client library and the load
 * program. The owner of the socket drives grpc_client_session as a server's owner does. Rules: on_done comes
 * exactly once for each started call and is its last event; calls belong to the client.
 */
#include "grpc/status.h"
#include "h2/session.h"

struct grpc_client;
struct grpc_client_call;

struct grpc_client_handler {
    void (*on_header)(struct grpc_client_call *call, struct span name,
                      struct span value); /* initial metadata; may be NULL */
    void (*on_message)(struct grpc_client_call *call, struct span message); /* borrowed until return */
    void (*on_writable)(struct grpc_client_call *call);                     /* may be NULL */
    void (*on_done)(struct grpc_client_call *call, const struct grpc_status *status);
};

struct grpc_client_config {
    const char *authority;     /* :authority; copied */
    size_t max_message_bytes;  /* of one reply; beyond: the call ends RESOURCE_EXHAUSTED */
    int is_tls;                /* for :scheme */
    const char *authorization; /* of every call, as the header of that name; copied; NULL: none */
};

/* grpc_client_new: one connection's worth of client. Owns: the caller. 0, -ENOMEM. */
MUST_CHECK int grpc_client_new(struct grpc_client **ret, const struct grpc_client_config *config,
                               const struct h2_config *h2, mono_ns_t now);
/* grpc_client_free: calls still open end UNAVAILABLE. */
struct grpc_client *grpc_client_free(struct grpc_client *client);
struct h2_session *grpc_client_session(const struct grpc_client *client);

/* grpc_client_call_new: open a call. @path is copied; @timeout_ns <= 0 = no deadline (the deadline is kept on
 * both sides). Return: 0; H2_E_REFUSED (draining or too many streams: use another connection); -ENOMEM. */
enum { GRPC_CLIENT_METADATA_MAX = 16 };

struct grpc_client_call_options { /* NULL = none of them */
    int64_t timeout_ns;
    const struct h2_header
            *metadata; /* extra request headers, copied; those in -bin are base64-encoded here */
    size_t n_metadata; /* at most GRPC_CLIENT_METADATA_MAX */
};
MUST_CHECK int grpc_client_call_new(struct grpc_client_call **ret, struct grpc_client *client,
                                    const char *path, const struct grpc_client_call_options *options,
                                    const struct grpc_client_handler *handler, void *user, mono_ns_t now);

void *grpc_client_call_user(const struct grpc_client_call *call);

/* Requests: as grpc_call_begin/end/send of the server. half_close: no more requests. cancel:
 * RST_STREAM(CANCEL), on_done(CANCELLED) follows from the session, not from inside. */
MUST_CHECK struct buf *grpc_client_call_begin(struct grpc_client_call *call);
void grpc_client_call_end(struct grpc_client_call *call);
void grpc_client_call_undo(struct grpc_client_call *call);
MUST_CHECK int grpc_client_call_send(struct grpc_client_call *call, struct span message);
MUST_CHECK int grpc_client_call_half_close(struct grpc_client_call *call);
void grpc_client_call_cancel(struct grpc_client_call *call);
MUST_CHECK int grpc_client_call_is_writable(const struct grpc_client_call *call);
/* grpc_client_call_pause: stop (1) or go on (0) handing over replies; the window closes meanwhile. */
void grpc_client_call_pause(struct grpc_client_call *call, int paused);
