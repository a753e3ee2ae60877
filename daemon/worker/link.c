// SPDX-License-Identifier: Apache-2.0
#include "worker/link.h"

#include <errno.h>
#include <poll.h>

#include <sys/socket.h>

/* No timeouts and no keepalive: the daemon is our parent, and its end is the end of the socket. */
static struct h2_config h2_config(void)
{
    struct h2_config c = h2_config_client();

    c.preface_timeout_ns = c.headers_timeout_ns = c.body_timeout_ns = 0;
    c.idle_timeout_ns = c.write_timeout_ns = c.keepalive_ns = c.keepalive_timeout_ns = 0;
    return c;
}

static void on_message(struct grpc_client_call *call, struct span message)
{
    struct link *l = grpc_client_call_user(call);

    l->on_message(l->context, message);
}

static void on_done(struct grpc_client_call *call, const struct grpc_status *status)
{
    struct link *l = grpc_client_call_user(call);

    l->status = *status;
    l->call = NULL;
}

int link_open(struct link *l, int fd, void (*on_message_)(void *context, struct span message), void *context,
              mono_ns_t now)
{
    static const struct grpc_client_handler handler = {.on_message = on_message, .on_done = on_done};
    const struct grpc_client_config config = {.authority = "futured",
                                              .max_message_bytes = (size_t)128 * 1024 * 1024};
    const struct h2_config h2 = h2_config();
    int r;

    l->fd = fd;
    l->client = NULL;
    l->call = NULL;
    l->out = BUF_INIT;
    l->on_message = on_message_;
    l->context = context;
    r = grpc_client_new(&l->client, &config, &h2, now);
    if (r < 0)
        return r;
    r = grpc_client_call_new(&l->call, l->client, "/futured.v1.Workers/Attach", NULL, &handler, l, now);
    if (r != 0) {
        ASSERT(r < 0); /* a new session refuses no stream */
        link_close(l);
    }
    return r;
}

void link_close(struct link *l)
{
    l->client = grpc_client_free(l->client);
    buf_deinit(&l->out);
}

int link_recv(struct link *l, mono_ns_t now)
{
    struct h2_session *session = grpc_client_session(l->client);
    ssize_t n;
    int r;

    do {
        n = recv(l->fd, l->in, sizeof l->in, MSG_DONTWAIT);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR ? 0 : errno == ECONNRESET ? LINK_E_GONE : -errno;
        if (n == 0)
            return LINK_E_GONE;
        r = h2_session_recv(session, l->in, (size_t)n, now);
        if (r != 0)
            return r < 0 ? r : LINK_E_GONE;
    } while (n == (ssize_t)sizeof l->in && l->call);
    return 0;
}

int link_send(struct link *l, mono_ns_t now)
{
    struct h2_session *session = grpc_client_session(l->client);
    ssize_t n;
    int r;

    (void)h2_session_tick(session, now); /* the client's own: what was paused or cancelled */
    for (;;) {
        if (buf_len(&l->out) < LINK_SEND_BYTES) {
            r = h2_session_send(session, &l->out, LINK_SEND_BYTES, now);
            if (r < 0)
                return r;
        }
        if (buf_len(&l->out) == 0)
            return h2_session_is_over(session) ? LINK_E_GONE : 0;
        n = send(l->fd, buf_head(&l->out), buf_len(&l->out), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR       ? 0
                   : errno == EPIPE || errno == ECONNRESET ? LINK_E_GONE
                                                           : -errno;
        buf_consume(&l->out, (size_t)n);
        h2_session_sent(session, (size_t)n, now);
    }
}

int link_is_flushed(const struct link *l)
{
    return buf_len(&l->out) == 0 && h2_session_pending_bytes(grpc_client_session(l->client)) == 0;
}

int link_is_full(const struct link *l)
{
    return l->call && !grpc_client_call_is_writable(l->call);
}

short link_events(const struct link *l)
{
    return (short)(POLLIN | (buf_len(&l->out) ? POLLOUT : 0));
}
