// SPDX-License-Identifier: Apache-2.0
/*
 * Watch of one future. Level-triggered: the waiter says that the revision moved; what is sent is the state as it is when
 * the client can take it, so states between may be skipped but the last one never is. The terminal state ends the
 * stream.
 */
#include "base/mem.h"
#include "service/internal.h"
#include "service/preload.h"

enum {
    EVENT_ID = 1,
    EVENT_TIME = 3,
    EVENT_SNAPSHOT = 4,
    EVENT_STATE = 5,
    EVENT_LABELS = 9,
};

enum event_kind { KIND_STATE = 1, KIND_PROGRESS = 2, KIND_OUTPUT = 3, KIND_LOG = 4, KIND_LABELS = 5 };

struct watch {
    struct waiting waiting;
    struct futures *service;
    struct future *future; /* pinned by the waiter's edge */
    enum view view;
    unsigned int kinds; /* bit 1 << enum event_kind */
    int is_opened;      /* the snapshot is sent, or was not asked for */
    uint64_t revision;  /* of what was sent last, and ... */
    uint8_t state;      /* ... what it was then */
    const struct attempt *attempt;
    int is_cancel_requested;
    uint64_t labels; /* their digest */
};

static void put_event(struct watch *watch, uint32_t field)
{
    struct grpc_call *call = watch->waiting.call;
    struct future *f = watch->future;
    char id[ID_TEXT_LEN + 1];
    struct writer w;
    struct buf *out;

    if (futures_show(call, f) < 0)
        return;
    out = grpc_call_begin(call);
    w = writer_to(out);
    if (!out) {
        grpc_call_fail(call, convert_no_memory(&(struct grpc_status){0}));
        return;
    }
    id_format(&f->id, id);
    writer_text(&w, EVENT_ID, id);
    writer_timestamp(&w, EVENT_TIME, engine_wall(watch->service->engine));
    convert_future_field(&w, field, f,
                         convert_fit(f, watch->view, futures_room(watch->service, ID_TEXT_LEN + 32)));
    futures_send(call, &w);
}

static int is_cancel_requested(const struct future *f)
{
    return f->rare && f->rare->cancel_requested;
}

/* Of the future's own labels; those of the task do not change. */
static uint64_t digest_labels(const struct watch *watch)
{
    const struct labels *labels = watch->future->labels;
    uint64_t digest = labels ? 1 : 0;

    for (uint32_t i = 0; labels && i < labels->n; i++) {
        uint64_t parts[] = {
                digest,
                hash_bytes(&watch->service->seed, labels->at[i].key.p, labels->at[i].key.len),
                hash_bytes(&watch->service->seed, labels->at[i].value.p, labels->at[i].value.len),
        };

        digest = hash_bytes(&watch->service->seed, parts, sizeof parts);
    }
    return digest;
}

/* Which kinds of change there are between what was sent last and now. */
static unsigned int changes(const struct watch *watch)
{
    const struct future *f = watch->future;
    int is_state = watch->state != f->state || watch->attempt != f->attempts ||
                   watch->is_cancel_requested != is_cancel_requested(f);

    if (f->revision <= watch->revision)
        return 0;
    return (is_state ? 1U << KIND_STATE : 0) |
           (!is_state || watch->labels != digest_labels(watch) ? 1U << KIND_LABELS : 0);
}

static void remember(struct watch *watch)
{
    const struct future *f = watch->future;

    watch->is_opened = 1;
    watch->revision = f->revision;
    watch->state = f->state;
    watch->attempt = f->attempts;
    watch->is_cancel_requested = is_cancel_requested(f);
    watch->labels = digest_labels(watch);
}

static void on_news(struct waiting *waiting)
{
    struct watch *watch = CONTAINER_OF(waiting, struct watch, waiting);
    struct edge *edge = waiter_first_done(&waiting->waiter);
    const struct future *f = watch->future;
    unsigned int news;

    if (!grpc_call_is_writable(waiting->call))
        return;
    if (edge)
        waiter_seen(edge);
    if (!watch->is_opened)
        put_event(watch, EVENT_SNAPSHOT);
    else if ((news = changes(watch) & watch->kinds)) /* one event shows both, if both are new */
        put_event(watch, news & 1U << KIND_STATE ? EVENT_STATE : EVENT_LABELS);
    remember(watch);
    if (future_is_terminal(f))
        grpc_call_finish(waiting->call);
}

/* Field kinds: packed (one BYTES field of varints) or one varint each. 0; REQUEST_E_BAD. */
static int read_kinds(struct span message, unsigned int *ret, struct grpc_status *st)
{
    struct wire_reader r = wire_reader(message);
    struct wire_field f;

    while (wire_next(&r, &f) == 0) {
        struct wire_reader packed = wire_reader(f.bytes);
        uint64_t kind = f.value;

        if (f.number != WATCH_KINDS)
            continue;
        if (f.type != WIRE_VARINT && f.type != WIRE_BYTES)
            return request_bad_field(st, "kinds", "has the wrong wire type");
        do {
            if (f.type == WIRE_BYTES && packed.at == packed.end)
                break;
            if (f.type == WIRE_BYTES && wire_get_varint(&packed, &kind) != 0)
                return request_bad_field(st, "kinds", "is malformed");
            if (kind < KIND_STATE || kind > KIND_LABELS)
                return request_bad_field(st, "kinds", "%llu is no EventKind: STATE 1 .. LABELS 5",
                                         (unsigned long long)kind);
            *ret |= 1U << kind;
        } while (f.type == WIRE_BYTES);
    }
    return 0;
}

static int read_watch(struct span message, struct watch *watch, struct id *ret_id, uint64_t *ret_after,
                      struct grpc_status *st)
{
    struct watch_request request = {0};
    struct selector selector;
    struct wire_reader r;
    struct span text;

    if (request_read(&watch_request_table, message, &request, st) ||
        request_selector(&request.selector, &selector, st) ||
        request_view(request.view, VIEW_BASIC, "view", &watch->view, st) ||
        read_kinds(message, &watch->kinds, st))
        return REQUEST_E_BAD;
    if (selector.group.len || selector.filter.len)
        return request_unbuilt_field(st, selector.group.len ? "selector.group" : "selector.filter");
    if (selector.ids > 1)
        return request_unbuilt_field(st, "selector.ids"); /* Watch follows one */
    if (request.cursor.is_set)
        return request_bad_field(st, "cursor", "goes with a group or a filter");
    r = wire_reader(request.selector.data);
    if (!codec_each(&r, SELECTOR_IDS, &text))
        return request_bad_field(st, "selector.ids", "is required");
    if (!watch->kinds)
        watch->kinds = ~0U;
    *ret_after = request.after_revision;
    return request_id(text, "selector.ids", ret_id, st);
}

static void do_watch(struct grpc_call *call, struct span message)
{
    struct watch *watch = mem_zalloc(sizeof *watch);
    const struct caller *caller;
    struct grpc_status st;
    uint64_t after = 0;
    struct id id;
    int r;

    if (!watch) {
        grpc_call_fail(call, convert_no_memory(&st));
        return;
    }
    watch->service = futures_of(call);
    waiting_init(&watch->waiting, &watch->service->waitings, WAITER_WATCH, 0, call, on_news);
    grpc_call_set_user(call, watch);
    if (read_watch(message, watch, &id, &after, &st)) {
        grpc_call_fail(call, &st);
        return;
    }
    caller = caller_of(&watch->service->callers, call);
    watch->future = caller ? engine_find(watch->service->engine, caller->scope, &id) : NULL;
    if (!watch->future) {
        if (futures_show(call, NULL) == 0)
            grpc_call_fail(call, caller ? convert_not_found(&st, &id) : convert_no_memory(&st));
        return;
    }
    r = engine_wait(watch->service->engine, &watch->waiting.waiter, watch->future, NULL, 0);
    if (r) {
        grpc_call_fail(call, convert_engine_error(&st, r, (struct span){0}));
        return;
    }
    if (after && after >= watch->future->revision)
        remember(watch); /* the caller has seen this one */
    if (grpc_call_send_headers(call) < 0) {
        grpc_call_fail(call, convert_no_memory(&st));
        return;
    }
    on_news(&watch->waiting);
}

static void on_watch(struct grpc_call *call, struct span message)
{
    struct watch_request request = {0};
    struct grpc_status st;

    if (request_read(&watch_request_table, message, &request, &st))
        grpc_call_fail(call, &st);
    else
        preload(call, message, request.selector.data, SELECTOR_IDS, do_watch);
}

static void on_watch_writable(struct grpc_call *call)
{
    struct watch *watch = grpc_call_user(call);

    if (watch && watch->future)
        on_news(&watch->waiting);
}

static void on_watch_done(struct grpc_call *call, enum grpc_end end)
{
    struct watch *watch = grpc_call_user(call);

    preload_drop(call);
    if (!watch)
        return;
    waiting_deinit(&watch->waiting, watch->service->engine);
    mem_free(watch);
}

const struct grpc_handler watch_handler = {
        .on_message = on_watch,
        .on_writable = on_watch_writable,
        .on_done = on_watch_done,
};
