/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A client in a loop of your own (poll, epoll, libevent, GLib, ...): nothing here waits. futured/libevent.h has the few lines
 * that a loop of libevent needs.
 *
 *     futured_client_set_nonblocking(client, 1);
 *
 *     futured_client_async(client, on_done, my);               any call that is no stream: it is started
 *     futured_get(client, id, FUTURED_VIEW_FULL, &my->future);    FUTURED_AGAIN; on_done(my, code) comes later
 *
 *     for (;;) {
 *         futured_client_interest(client, &interest);
 *         ... wait for interest.fd and for interest.timeout_ns ...
 *         futured_client_process(client, what is ready);       calls on_done
 *         ... futured_watch_next and the like, until they answer FUTURED_AGAIN ...
 *     }
 *
 * Any number of calls and streams share the one connection. Threads: as in client.h: the client and all of this belong to
 * one thread at a time.
 */
#include <futured/client.h>

#ifdef __cplusplus
extern "C" {
#endif

/* futured_client_set_nonblocking: from now on no function of this client waits. What would have to answers FUTURED_AGAIN:
 * futured_client_connect, _next and _take of streams. A call that is no stream needs futured_client_async before it
 * (else FAILED_PRECONDITION). A name that must be looked up still blocks. */
FUTURED_API void futured_client_set_nonblocking(struct futured_client *client, int is_nonblocking);

/* futured_client_async: the next call of this client is only started. It answers FUTURED_AGAIN, or why it could not be; then
 *   @done is not called. Else @done(@arg, code) is called once, from futured_client_process, with what the call would have
 *   answered, and futured_client_status says more in it. What the call was given may be freed when it has returned, but
 *   where its answer goes (its last argument, and what that points to) must live until then. In @done anything may be called
 *   but futured_client_process (which does nothing then) and futured_client_free.
 *   A request of futured_submit and futured_run stands for another task as soon as it was started; the library itself sends
 *   it again within the client's patience. futured_request_on_accepted is not for these (FAILED_PRECONDITION). */
FUTURED_API void futured_client_async(struct futured_client *client, void (*done)(void *arg, int code),
                                      void *arg);

/* futured_client_async_cancel: whatever was started with @arg ends, and @done is not called. futured_client_free ends all,
 * and calls their @done with CANCELLED. */
FUTURED_API void futured_client_async_cancel(struct futured_client *client, void *arg);

/* futured_client_n_async: how many were started and are not done. */
FUTURED_API size_t futured_client_n_async(const struct futured_client *client);

enum { FUTURED_WANT_READ = 1, FUTURED_WANT_WRITE = 2 };

/* What a client waits for. Ask again after every call: all of it may have changed. */
struct futured_interest {
    int fd;             /* -1: there is no connection at present */
    int wants;          /* FUTURED_WANT_READ, FUTURED_WANT_WRITE, or both */
    int64_t timeout_ns; /* call futured_client_process then, if nothing comes before; FUTURED_NO_SPAN: never */
    uint64_t connection; /* another number: another descriptor, even where it has the same number */
};
FUTURED_API void futured_client_interest(const struct futured_client *client, struct futured_interest *ret);

/* futured_client_process: read, write, and do what is due. @ready: what of `wants` is ready; 0: it is time, or nothing. */
FUTURED_API void futured_client_process(struct futured_client *client, int ready);

#ifdef __cplusplus
}
#endif
