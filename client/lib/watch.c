// SPDX-License-Identifier: Apache-2.0
/* Watch as an iterator. Keepalives are for the stream, not for its user: they are read over. */
#include "base/mem.h"
#include "client/lib/call.h"
#include "client/lib/future.h"
#include "client/lib/selector.h"

#include <errno.h>

#include <futured/v1/futures.pb-c.h>

enum { WATCH_SELECTOR = 1, WATCH_VIEW = 7 };

struct futured_watch {
    struct futured_client *client;
    struct futured_call *call;
};

struct event_box {
    struct futured_box box;
    struct futured_event event;
    int is_keepalive;
};

struct watch_call {
    const struct futured_selector *selector;
    enum futured_view view;
};

static void encode_watch(struct writer *w, const void *arg)
{
    const struct watch_call *watch = arg;

    futured_selector_write(watch->selector, w, WATCH_SELECTOR);
    writer_uint(w, WATCH_VIEW, (uint64_t)watch->view);
}

int futured_watch_open(struct futured_client *client, const struct futured_selector *selector,
                       enum futured_view view, struct futured_watch **ret)
{
    const struct watch_call watch_call = {.selector = selector, .view = view};
    struct futured_watch *watch = mem_zalloc(sizeof *watch);
    int code;

    if (!watch)
        return futured_client_no_memory(client);
    watch->client = client;
    code = futured_call_new(&watch->call, client, "/futured.v1.Futures/Watch", 0);
    if (code == FUTURED_OK && (futured_call_send(watch->call, encode_watch, &watch_call) < 0 ||
                               futured_call_half_close(watch->call) < 0))
        code = futured_client_no_memory(client);
    if (code) {
        futured_watch_free(watch);
        return code;
    }
    futured_client_poke(client);
    *ret = watch;
    return futured_client_done(client);
}

struct futured_watch *futured_watch_free(struct futured_watch *watch)
{
    if (!watch)
        return NULL;
    futured_call_free(watch->call, 0);
    return mem_free(watch);
}

/* --- events */

static int fill_chunk(struct arena *arena, const Futured__V1__Chunk *from, struct futured_event *event)
{
    struct futured_chunk *to = futured_box_array(arena, 1, sizeof *to);

    if (!to)
        return -ENOMEM;
    *to = (struct futured_chunk){
            .attempt = from->attempt,
            .stream = (int)from->stream,
            .offset = from->offset,
            .data = {.data = from->data.data, .size = from->data.len},
            .time_ns = futured_box_time(from->time),
    };
    event->chunk = to;
    return 0;
}

static int fill_future(struct arena *arena, Futured__V1__Future *from, uint32_t number,
                       struct futured_event *event)
{
    const struct futured_future *const *one;
    int r = futured_future_list(arena, &from, 1, event->wire, number, &one);

    if (r == 0)
        event->future = one[0];
    return r;
}

static int fill_event(struct arena *arena, const Futured__V1__FutureEvent *from, struct event_box *to)
{
    struct futured_event *event = &to->event;

    event->id = from->id;
    event->time_ns = futured_box_time(from->time);
    switch (from->event_case) {
    case FUTURED__V1__FUTURE_EVENT__EVENT_SNAPSHOT:
        event->kind = FUTURED_EVENT_SNAPSHOT;
        return fill_future(arena, from->snapshot, 4, event);
    case FUTURED__V1__FUTURE_EVENT__EVENT_STATE:
        event->kind = FUTURED_EVENT_STATE;
        return fill_future(arena, from->state, 5, event);
    case FUTURED__V1__FUTURE_EVENT__EVENT_LABELS:
        event->kind = FUTURED_EVENT_LABELS;
        return fill_future(arena, from->labels, 9, event);
    case FUTURED__V1__FUTURE_EVENT__EVENT_PROGRESS:
        event->kind = FUTURED_EVENT_PROGRESS;
        event->progress = futured_future_progress(arena, from->progress);
        return event->progress ? 0 : -ENOMEM;
    case FUTURED__V1__FUTURE_EVENT__EVENT_OUTPUT:
        event->kind = FUTURED_EVENT_OUTPUT;
        return fill_chunk(arena, from->output, event);
    case FUTURED__V1__FUTURE_EVENT__EVENT_LOG:
        event->kind = FUTURED_EVENT_LOG;
        return fill_chunk(arena, from->log, event);
    case FUTURED__V1__FUTURE_EVENT__EVENT_LOST:
        event->kind = FUTURED_EVENT_LOST;
        event->n_lost = from->lost->events;
        return 0;
    case FUTURED__V1__FUTURE_EVENT__EVENT_KEEPALIVE: to->is_keepalive = 1; return 0;
    default: return 0; /* one that a later daemon knows */
    }
}

/* 0 with *ret (NULL: nothing for the user); FUTURED_CALL_E_MALFORMED; -ENOMEM. */
static int decode_event(struct span reply, struct futured_event **ret)
{
    ProtobufCMessage *message;
    struct event_box *event;
    struct futured_box *box;
    int r = futured_box_new(&box, sizeof *event, &futured__v1__future_event__descriptor, reply, &message);

    if (r)
        return r;
    event = CONTAINER_OF(box, struct event_box, box);
    r = futured_box_wire(&box->arena, reply, &event->event.wire);
    if (r == 0)
        r = fill_event(&box->arena, (const Futured__V1__FutureEvent *)(const void *)message, event);
    if (r || event->is_keepalive) {
        futured_box_free(box);
        *ret = NULL;
        return r;
    }
    *ret = &event->event;
    return 0;
}

int futured_watch_next(struct futured_watch *watch, struct futured_event **ret)
{
    struct futured_client *client = watch->client;
    mono_ns_t until = futured_client_until(client);
    struct futured_event *event;
    struct span reply;
    int r;

    for (;;) {
        r = futured_call_next(watch->call, until, &reply);
        if (r == FUTURED_CALL_E_LATE)
            return futured_call_late(client);
        if (r && watch->call->status.code != GRPC_OK)
            return futured_client_fail(client, &watch->call->status, "");
        if (r) {
            *ret = NULL;
            return futured_client_done(client);
        }
        r = decode_event(reply, &event);
        if (r < 0) /* tried again by the next call */
            return futured_client_no_memory(client);
        if (r) {
            futured_call_break(watch->call);
            return futured_call_decoded(client, r);
        }
        futured_call_pop(watch->call);
        if (event) {
            *ret = event;
            return futured_client_done(client);
        }
    }
}

struct futured_event *futured_event_free(struct futured_event *event)
{
    if (event)
        futured_box_free(&CONTAINER_OF(event, struct event_box, event)->box);
    return NULL;
}
