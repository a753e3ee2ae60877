/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A client in a loop of libevent. Header only: libfutured itself does not need libevent; link -levent_core.
 *
 *     struct futured_libevent loop;
 *
 *     futured_libevent_init(&loop, base, client, on_turn, my);
 *     futured_client_async(client, on_done, my);
 *     futured_get(client, id, FUTURED_VIEW_FULL, &my->future);
 *     futured_libevent_update(&loop);
 *     event_base_dispatch(base);
 *
 * Thread: that of the loop.
 */
#include <event2/event.h>
#include <futured/async.h>

#ifdef __cplusplus
extern "C" {
#endif

struct futured_libevent {
    struct event_base *base;
    struct futured_client *client;
    struct event *io, *timer; /* io: NULL without a connection */
    struct futured_interest interest;
    void (*turn)(void *arg);
    void *arg;
};

static inline void futured_libevent_update(struct futured_libevent *loop);

static inline void futured_libevent_turn(struct futured_libevent *loop, int ready)
{
    futured_client_process(loop->client, ready);
    if (loop->turn)
        loop->turn(loop->arg);
    futured_libevent_update(loop);
}

static inline void futured_libevent_on_io(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    futured_libevent_turn((struct futured_libevent *)arg, (what & EV_READ ? FUTURED_WANT_READ : 0) |
                                                                  (what & EV_WRITE ? FUTURED_WANT_WRITE : 0));
}

static inline void futured_libevent_on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    futured_libevent_turn((struct futured_libevent *)arg, 0);
}

/* futured_libevent_init: serve @client, which becomes nonblocking, in @base. @turn(@arg) is called after each turn, to take
 *   from streams what has come until they answer FUTURED_AGAIN; it may be NULL, and must not free the client.
 *   Owns: the caller, futured_libevent_deinit, before the client and the base are freed. Return: 0; -1: no memory. */
static inline int futured_libevent_init(struct futured_libevent *loop, struct event_base *base,
                                        struct futured_client *client, void (*turn)(void *arg), void *arg)
{
    loop->base = base;
    loop->client = client;
    loop->turn = turn;
    loop->arg = arg;
    loop->io = NULL;
    loop->interest.fd = -1;
    loop->interest.wants = 0;
    loop->interest.connection = 0;
    loop->timer = event_new(base, -1, 0, futured_libevent_on_timer, loop);
    if (!loop->timer)
        return -1;
    futured_client_set_nonblocking(client, 1);
    futured_libevent_update(loop);
    return 0;
}

static inline void futured_libevent_deinit(struct futured_libevent *loop)
{
    if (loop->io)
        event_free(loop->io);
    if (loop->timer)
        event_free(loop->timer);
    loop->io = loop->timer = NULL;
}

/* futured_libevent_update: after calls from outside of on_done and turn, so that the loop waits for what they need. */
static inline void futured_libevent_update(struct futured_libevent *loop)
{
    struct futured_interest now;
    struct timeval wait;
    int is_same;

    futured_client_interest(loop->client, &now);
    is_same = now.fd == loop->interest.fd && now.wants == loop->interest.wants &&
              now.connection == loop->interest.connection;
    if (loop->io && !is_same) {
        event_free(loop->io);
        loop->io = NULL;
    }
    loop->interest = now;
    if (!loop->io && now.fd >= 0) {
        short what = (short)(EV_PERSIST | (now.wants & FUTURED_WANT_READ ? EV_READ : 0) |
                             (now.wants & FUTURED_WANT_WRITE ? EV_WRITE : 0));

        loop->io = event_new(loop->base, now.fd, what, futured_libevent_on_io, loop);
        if (!loop->io || event_add(loop->io, NULL) < 0)
            now.timeout_ns = now.timeout_ns < 0 || now.timeout_ns > 10000000 ? 10000000 : now.timeout_ns;
    }
    if (now.timeout_ns == FUTURED_NO_SPAN) {
        event_del(loop->timer);
        return;
    }
    wait.tv_sec = (time_t)(now.timeout_ns / 1000000000);
    wait.tv_usec = (suseconds_t)(now.timeout_ns % 1000000000 / 1000 + (now.timeout_ns % 1000 != 0));
    if (wait.tv_usec >= 1000000) {
        wait.tv_usec -= 1000000;
        wait.tv_sec++;
    }
    event_add(loop->timer, &wait);
}

#ifdef __cplusplus
}
#endif
