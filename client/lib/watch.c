// SPDX-License-Identifier: Apache-2.0
/*
 * Watch as an iterator. Keepalives are for the stream, not for its user: they are read over.
 *
 * Within the client's patience a lost stream is opened again: over IDs for those of which not all was told, and what was told
 * is known (seen.h); over a group or a filter behind the last cursor. Before the first cursor there is nothing to go on
 * from: then all of it begins anew behind an event `lost`, as the daemon does it.
 */
#include "base/mem.h"
#include "client/lib/call.h"
#include "client/lib/future.h"
#include "client/lib/seen.h"
#include "client/lib/selector.h"
#include "grpc/codec.h"

#include <errno.h>
#include <string.h>

#include <futured/v1/futures.pb-c.h>

enum { WATCH_SELECTOR = 1, WATCH_REVISION, WATCH_CURSOR, WATCH_KINDS, WATCH_OUTPUT, WATCH_LOG, WATCH_VIEW };
enum { CURSOR_EPOCH = 1, CURSOR_EVENT };
enum { EVENT_ID = 1, EVENT_LOST = 10 };

struct futured_watch {
    struct futured_client *client;
    struct futured_call *call;            /* NULL: to be opened again */
    struct futured_watch_options options; /* the cursor moves on; epoch 0 = there has been none */
    struct arena arena;
    struct futured_selector selector;
    struct futured_seen *seen; /* of IDs, where the client has patience */
    int has_begun, owes_lost;
    const char *lost_id; /* owes_lost: of that one, as in `seen`; NULL: of all */
};

struct event_box {
    struct futured_box box;
    struct futured_event event;
    int is_keepalive;
};

static void encode_watch(struct writer *w, const void *arg)
{
    const struct futured_watch *watch = arg;
    const struct futured_watch_options *o = &watch->options;
    struct futured_selector selector = watch->selector;

    if (watch->seen) {
        selector.ids = futured_seen_open(watch->seen, &selector.n_ids);
        selector.group = selector.filter = NULL;
    }
    futured_selector_write(&selector, w, WATCH_SELECTOR);
    writer_uint(w, WATCH_REVISION, o->after_revision);
    if (o->cursor.epoch) {
        struct writer_mark m = writer_begin(w, WATCH_CURSOR, 20);

        writer_uint(w, CURSOR_EPOCH, o->cursor.epoch);
        writer_uint(w, CURSOR_EVENT, o->cursor.event);
        writer_end(w, m);
    }
    for (unsigned int kind = FUTURED_EVENT_STATE; kind <= FUTURED_EVENT_LABELS; kind++)
        if (o->kinds & FUTURED_WATCH_KIND(kind))
            writer_uint(w, WATCH_KINDS, kind - 1); /* the contract's EventKind */
    writer_uint(w, WATCH_OUTPUT, o->output_offset);
    writer_uint(w, WATCH_LOG, o->log_offset);
    writer_uint(w, WATCH_VIEW, (uint64_t)o->view);
}

/* A code, noted in the client. */
static int open_call(struct futured_watch *watch)
{
    struct futured_client *client = watch->client;
    int code = futured_call_new(&watch->call, client, "/futured.v1.Futures/Watch", 0, NULL);

    if (code == FUTURED_OK && (futured_call_send(watch->call, encode_watch, watch) < 0 ||
                               futured_call_half_close(watch->call) < 0)) {
        watch->call = futured_call_free(watch->call, 0);
        code = futured_client_no_memory(client);
    }
    if (code)
        return code;
    futured_client_poke(client);
    return futured_client_done(client);
}

/* What opening it again needs. 0, -ENOMEM. */
static int keep_selector(struct futured_watch *watch, const struct futured_selector *selector)
{
    struct futured_selector *to = &watch->selector;

    if (selector->n_ids && watch->client->patience_ns > 0) {
        watch->seen = futured_seen_new(selector->ids, selector->n_ids, &watch->options);
        return watch->seen ? 0 : -ENOMEM;
    }
    to->group =
            selector->group ? arena_strndup(&watch->arena, selector->group, strlen(selector->group)) : NULL;
    to->filter = selector->filter ? arena_strndup(&watch->arena, selector->filter, strlen(selector->filter))
                                  : NULL;
    return (selector->group && !to->group) || (selector->filter && !to->filter) ? -ENOMEM : 0;
}

int futured_watch_open(struct futured_client *client, const struct futured_selector *selector,
                       enum futured_view view, struct futured_watch **ret)
{
    struct futured_watch_options options = FUTURED_WATCH_OPTIONS_INIT;

    options.view = view;
    return futured_watch_open_with(client, selector, &options, ret);
}

int futured_watch_cursor(const struct futured_watch *watch, struct futured_cursor *ret)
{
    if (watch->options.cursor.epoch)
        *ret = watch->options.cursor;
    return watch->options.cursor.epoch != 0;
}

int futured_watch_open_with(struct futured_client *client, const struct futured_selector *selector,
                            const struct futured_watch_options *options, struct futured_watch **ret)
{
    static const struct futured_watch_options defaults = FUTURED_WATCH_OPTIONS_INIT;
    struct futured_watch *watch = mem_zalloc(sizeof *watch);
    int code;

    if (!watch)
        return futured_client_no_memory(client);
    watch->client = client;
    watch->options = defaults;
    if (options)
        memcpy(&watch->options, options, MIN(options->size, sizeof *options));
    arena_init(&watch->arena, 0);
    code = keep_selector(watch, selector) < 0 ? futured_client_no_memory(client) : FUTURED_OK;
    if (code == FUTURED_OK && !watch->seen) {
        watch->selector.ids = selector->ids; /* for now: without patience it is opened once */
        watch->selector.n_ids = selector->n_ids;
    }
    if (code == FUTURED_OK)
        code = open_call(watch);
    watch->selector.ids = NULL;
    watch->selector.n_ids = 0;
    if (code && !futured_client_may_retry(client, &client->last.raw, 1)) {
        futured_watch_free(watch);
        return code;
    }
    *ret = watch;
    return futured_client_done(client);
}

struct futured_watch *futured_watch_free(struct futured_watch *watch)
{
    if (!watch)
        return NULL;
    futured_call_free(watch->call, 0);
    futured_seen_free(watch->seen);
    arena_deinit(&watch->arena);
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
static int decode_event(struct futured_watch *watch, struct span reply, struct futured_event **ret)
{
    const Futured__V1__FutureEvent *from;
    ProtobufCMessage *message;
    struct event_box *event;
    struct futured_box *box;
    int r = futured_box_new(&box, sizeof *event, &futured__v1__future_event__descriptor, reply, &message);

    if (r)
        return r;
    event = CONTAINER_OF(box, struct event_box, box);
    from = (const Futured__V1__FutureEvent *)(const void *)message;
    r = futured_box_wire(&box->arena, reply, &event->event.wire);
    if (r == 0)
        r = fill_event(&box->arena, from, event);
    if (r == 0 && from->cursor)
        watch->options.cursor = (struct futured_cursor){from->cursor->epoch, from->cursor->event};
    if (r || event->is_keepalive) {
        futured_box_free(box);
        *ret = NULL;
        return r;
    }
    *ret = &event->event;
    return 0;
}

/* The event that says that one is gone, or that all begins anew. */
static int tell_lost(struct futured_watch *watch, struct futured_event **ret)
{
    uint8_t event[STATUS_TEXT_MAX_BYTES + 8], *end = event;
    int r;

    if (watch->lost_id)
        end = wire_put_bytes(end, EVENT_ID, watch->lost_id, strlen(watch->lost_id));
    end = wire_put_bytes(end, EVENT_LOST, "", 0);
    r = decode_event(watch, (struct span){event, (size_t)(end - event)}, ret);
    if (r < 0)
        return futured_client_no_memory(watch->client);
    ASSERT(r == 0 && *ret);
    watch->owes_lost = 0;
    return futured_client_done(watch->client);
}

/* Whether @status says of one of those that are asked for again that it is not there any more: the others go on without it. */
static int is_gone(struct futured_watch *watch, const struct grpc_status *status)
{
    if (status->code != GRPC_NOT_FOUND || !watch->has_begun || !watch->seen)
        return 0;
    watch->lost_id = futured_seen_drop(watch->seen, status->resource_name);
    if (!watch->lost_id)
        return 0;
    watch->owes_lost = 1;
    watch->call = futured_call_free(watch->call, 0);
    return 1;
}

/* The stream has ended, or could not be opened, with @status: its end, or 0: it is opened again later. */
static int is_end(struct futured_watch *watch, const struct grpc_status *status)
{
    if (is_gone(watch, status))
        return 0;
    if (status->code == GRPC_OK || !futured_client_may_retry(watch->client, status, 1))
        return 1;
    watch->call = futured_call_free(watch->call, 0);
    watch->owes_lost |= !watch->seen && !watch->options.cursor.epoch;
    return 0;
}

static int is_all_told(struct futured_watch *watch)
{
    size_t n = 1;

    if (watch->seen)
        (void)futured_seen_open(watch->seen, &n);
    return n == 0;
}

/* Open it again when it is time. FUTURED_OK, or a code. */
static int reopen(struct futured_watch *watch, mono_ns_t until)
{
    int code;

    if (futured_client_pause(watch->client, until))
        return futured_call_late(watch->client);
    code = open_call(watch);
    return code && is_end(watch, &watch->client->last.raw) ? code : FUTURED_OK;
}

/* One reply. FUTURED_OK with *ret (NULL: nothing for the user), or a code. */
static int take(struct futured_watch *watch, struct span reply, struct futured_event **ret)
{
    struct futured_client *client = watch->client;
    int r = decode_event(watch, reply, ret);

    if (r < 0) /* tried again by the next call */
        return futured_client_no_memory(client);
    if (r) {
        futured_call_break(watch->call);
        return futured_call_decoded(client, r);
    }
    watch->has_begun = 1;
    if (*ret && watch->seen && !futured_seen_take(watch->seen, *ret))
        *ret = futured_event_free(*ret);
    futured_call_pop(watch->call);
    return FUTURED_OK;
}

int futured_watch_next(struct futured_watch *watch, struct futured_event **ret)
{
    struct futured_client *client = watch->client;
    mono_ns_t until = futured_client_until(client);
    struct futured_event *event = NULL;
    struct span reply;
    int code = FUTURED_OK, r;

    while (code == FUTURED_OK && !event) {
        if (watch->owes_lost && (watch->call || watch->seen))
            return tell_lost(watch, ret);
        if (!watch->call && is_all_told(watch)) {
            *ret = NULL;
            return futured_client_done(client);
        }
        if (!watch->call) {
            code = reopen(watch, until);
            continue;
        }
        r = futured_call_next(watch->call, until, &reply);
        if (r == FUTURED_CALL_E_LATE)
            return futured_call_late(client);
        if (r && watch->call->status.code == GRPC_OK) {
            *ret = NULL;
            return futured_client_done(client);
        }
        if (r && is_end(watch, &watch->call->status))
            return futured_client_fail(client, &watch->call->status, "");
        if (r == 0)
            code = take(watch, reply, &event);
    }
    if (code)
        return code;
    *ret = event;
    return futured_client_done(client);
}

struct futured_event *futured_event_free(struct futured_event *event)
{
    if (event)
        futured_box_free(&CONTAINER_OF(event, struct event_box, event)->box);
    return NULL;
}
