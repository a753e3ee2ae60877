// SPDX-License-Identifier: Apache-2.0
/*
 * Watch: its request, and Watch of IDs; of a group or a filter: feed.c.
 *
 * Level-triggered: the waiter says of which futures the revision moved; what is sent is the state as it is when the client can
 * take it, so states between may be skipped but the last one never is. One that has ended is let go when that is sent; when
 * none is left the stream ends.
 */
#include "base/mem.h"
#include "service/preload.h"
#include "service/watcher.h"

#include <errno.h>
#include <string.h>

/* One of the futures, as it was sent last. */
struct watched {
    struct future *future; /* pinned by the waiter's edge, whose cookie is its index, until that is dropped */
    uint64_t revision;
    const struct attempt *attempt;
    uint64_t labels; /* their digest */
    uint8_t state;
    uint8_t is_cancel_requested;
    uint8_t is_ended;               /* its end is sent */
    uint32_t progress;              /* number of what it last said of itself */
    const struct told_chunk *chunk; /* output and log up to it have been looked at; NULL: none */
    uint64_t offset[TOLD_KINDS];    /* and is sent up to there */
};

struct watch {
    struct watcher w;
    uint64_t after_revision;
    uint64_t offset[TOLD_KINDS]; /* asked for */
    uint32_t n, n_opened,
            n_begun; /* their snapshots are sent, or were not asked for; what they have told before, too */
    struct watched *at;
};

static int is_cancel_requested(const struct future *f)
{
    return f->rare && f->rare->cancel_requested;
}

/* Of the future's own labels; those of the task do not change. */
static uint64_t digest_labels(const struct hash_seed *seed, const struct future *f)
{
    const struct labels *labels = f->labels;
    uint64_t digest = labels ? 1 : 0;

    for (uint32_t i = 0; labels && i < labels->n; i++) {
        uint64_t parts[] = {
                digest,
                hash_bytes(seed, labels->at[i].key.p, labels->at[i].key.len),
                hash_bytes(seed, labels->at[i].value.p, labels->at[i].value.len),
        };

        digest = hash_bytes(seed, parts, sizeof parts);
    }
    return digest;
}

/* Which kinds of change there are between what was sent last and now: what is none of labels is one of state. */
static unsigned int changes(const struct hash_seed *seed, const struct watched *one)
{
    const struct future *f = one->future;
    int is_labels, is_state;

    if (f->revision <= one->revision)
        return 0;
    is_labels = one->labels != digest_labels(seed, f);
    is_state = !is_labels || one->state != f->state || one->attempt != f->attempts ||
               one->is_cancel_requested != is_cancel_requested(f);
    return (is_state ? 1U << KIND_STATE : 0) | (is_labels ? 1U << KIND_LABELS : 0);
}

static void remember(const struct hash_seed *seed, struct watched *one)
{
    const struct future *f = one->future;

    one->revision = f->revision;
    one->state = f->state;
    one->attempt = f->attempts;
    one->is_cancel_requested = (uint8_t)is_cancel_requested(f);
    one->labels = digest_labels(seed, f);
    one->is_ended = (uint8_t)future_is_terminal(f);
}

/* The next snapshot. */
static void open_one(struct watch *watch)
{
    struct watched *one = &watch->at[watch->n_opened++];

    if (one->future->revision > watch->after_revision) {
        watcher_put(&watch->w, EVENT_SNAPSHOT, one->future, engine_wall(watch->w.service->engine));
        if (watch->w.view != VIEW_RESULT && told_progress(one->future))
            one->progress = told_progress(one->future)->n;
    }
    remember(&watch->w.service->seed, one);
}

/* The next chunk that is wanted of @one, from its offset on; NULL: none so far. */
static const struct told_chunk *next_chunk(const struct watch *watch, struct watched *one)
{
    const struct told *told = future_told(one->future);

    for (;;) {
        const struct told_chunk *c = one->chunk ? one->chunk->next : told->first;

        if (!c)
            return NULL;
        if (watch->w.kinds & 1U << (c->kind == TOLD_LOG ? KIND_LOG : KIND_OUTPUT) &&
            c->offset + c->data->len > one->offset[c->kind])
            return c;
        one->chunk = c;
    }
}

/* One event of what @one has told of itself; 0: there is none. */
static int show_told(struct watch *watch, struct watched *one)
{
    const struct told_progress *p;
    const struct told_chunk *c;
    uint64_t *offset;

    if (LIKELY(!future_told(one->future)))
        return 0;
    p = told_progress(one->future);
    if (p && p->n != one->progress && watch->w.kinds & 1U << KIND_PROGRESS) {
        one->progress = p->n;
        watcher_put_progress(&watch->w, one->future, p);
        return 1;
    }
    c = next_chunk(watch, one);
    if (!c)
        return 0;
    offset = &one->offset[c->kind];
    *offset = MAX(*offset, c->offset);
    *offset += watcher_put_chunk(&watch->w, one->future, c, *offset);
    return 1;
}

static void show_change(struct watch *watch, struct watched *one)
{
    struct futures *s = watch->w.service;
    unsigned int news = changes(&s->seed, one) & watch->w.kinds;

    if (news) /* one event shows both, if both are new */
        watcher_put(&watch->w, news & 1U << KIND_STATE ? EVENT_STATE : EVENT_LABELS, one->future,
                    engine_wall(s->engine));
    remember(&s->seed, one);
}

/* What @edge has news of: how it goes on, then what it tells; before the end all that it has told. */
static void tell(struct watch *watch, struct edge *edge)
{
    struct watched *one = &watch->at[edge->cookie];
    struct futures *s = watch->w.service;

    if (!one->is_ended && !future_is_terminal(one->future))
        show_change(watch, one);
    if (show_told(watch, one))
        return; /* there may be more */
    if (!one->is_ended && future_is_terminal(one->future))
        show_change(watch, one);
    if (one->is_ended)
        engine_unwait(s->engine, edge);
    else
        waiter_seen(edge);
}

static void on_news(struct waiting *waiting)
{
    struct watch *watch = CONTAINER_OF(waiting, struct watch, w.waiting);
    struct edge *edge;

    while (!watch->w.is_over && grpc_call_is_writable(waiting->call)) {
        if (watch->n_opened < watch->n)
            open_one(watch);
        else if (watch->n_begun < watch->n)
            watch->n_begun += !show_told(watch, &watch->at[watch->n_begun]);
        else if ((edge = waiter_first_done(&waiting->waiter)))
            tell(watch, edge);
        else
            break;
    }
    if (watch->n_begun == watch->n && waiting->waiter.n_pending + waiting->waiter.n_done == 0)
        grpc_call_finish(waiting->call);
}

/* Field kinds: packed (one BYTES field of varints) or one varint each. 0; REQUEST_E_BAD. */
static int read_kinds(struct span message, unsigned int *ret, struct grpc_status *st)
{
    struct wire_reader r = wire_reader(message);
    struct wire_field f;

    *ret = 0;
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

/* Follow the future that @text names, unless it is one of @seen. 0; REQUEST_E_BAD; or, with the call ended, -ENOENT. */
static int add(struct watch *watch, struct span text, struct idset *seen, struct grpc_status *st)
{
    struct grpc_call *call = watch->w.waiting.call;
    struct futures *s = watch->w.service;
    const struct caller *caller = caller_of(&s->callers, call);
    struct future *f;
    struct id id;
    int r;

    if (request_id(text, "selector.ids", &id, st))
        return REQUEST_E_BAD;
    r = caller ? idset_add(seen, &id) : -ENOMEM;
    if (r == IDSET_E_EXISTS)
        return 0;
    f = r == 0 ? engine_find(s->engine, caller->scope, &id) : NULL;
    if (r == 0 && !f) {
        if (futures_show(call, NULL) == 0)
            grpc_call_fail(call, convert_not_found(st, &id));
        return -ENOENT;
    }
    if (r == 0)
        r = engine_wait(s->engine, &watch->w.waiting.waiter, f, NULL, watch->n);
    if (r == 0) {
        memcpy(watch->at[watch->n].offset, watch->offset, sizeof watch->offset);
        watch->at[watch->n++].future = f;
        return 0;
    }
    convert_engine_error(st, r, (struct span){0});
    return REQUEST_E_BAD;
}

static int add_all(struct watch *watch, struct span ids, uint32_t n, struct grpc_status *st)
{
    struct wire_reader r = wire_reader(ids);
    struct idset seen;
    struct span text;
    int result = 0;

    watch->at = mem_zalloc(n * sizeof *watch->at);
    if (!watch->at) {
        convert_no_memory(st);
        return REQUEST_E_BAD;
    }
    idset_init(&seen, &watch->w.service->seed);
    while (result == 0 && codec_each(&r, SELECTOR_IDS, &text))
        result = add(watch, text, &seen, st);
    idset_deinit(&seen);
    return result;
}

static void free_watch(struct watcher *w)
{
    struct watch *watch = CONTAINER_OF(w, struct watch, w);

    watcher_deinit(w);
    mem_free(watch->at);
    mem_free(watch);
}

static void watch_ids(struct grpc_call *call, const struct watch_request *request, uint32_t n, enum view view,
                      unsigned int kinds)
{
    struct watch *watch = mem_zalloc(sizeof *watch);
    struct grpc_status st;
    int r;

    if (!watch) {
        grpc_call_fail(call, convert_no_memory(&st));
        return;
    }
    watcher_init(&watch->w, call, on_news, free_watch);
    watch->w.view = view;
    watch->w.kinds = kinds ? kinds : ~0U;
    watch->after_revision = request->after_revision;
    watch->offset[TOLD_OUTPUT] = request->output_offset;
    watch->offset[TOLD_LOG] = request->log_offset;
    r = add_all(watch, request->selector.data, n, &st);
    if (r == 0 && grpc_call_send_headers(call) < 0) {
        convert_no_memory(&st);
        r = REQUEST_E_BAD;
    }
    if (r == REQUEST_E_BAD)
        watcher_fail(&watch->w, &st);
    watch->w.is_over |= r != 0;
    if (r == 0)
        on_news(&watch->w.waiting);
}

static int check_watch(const struct watch_request *request, const struct selector *selector,
                       struct grpc_status *st)
{
    if (selector->ids && request->cursor.is_set)
        return request_bad_field(st, "cursor", "goes with a group or a filter");
    if (!selector->ids && (request->output_offset || request->log_offset))
        return request_bad_field(st, request->output_offset ? "output_offset" : "log_offset",
                                 "goes with IDs");
    if (!selector->ids && request->after_revision)
        return request_bad_field(st, "after_revision", "goes with IDs");
    return 0;
}

static void do_watch(struct grpc_call *call, struct span message)
{
    struct watch_request request = {0};
    struct selector selector;
    struct grpc_status st;
    unsigned int kinds;
    enum view view;

    if (request_read(&watch_request_table, message, &request, &st) ||
        request_selector(&request.selector, &selector, &st) ||
        request_view(request.view, VIEW_BASIC, "view", &view, &st) || read_kinds(message, &kinds, &st) ||
        check_watch(&request, &selector, &st))
        grpc_call_fail(call, &st);
    else if (selector.ids)
        watch_ids(call, &request, selector.ids, view, kinds);
    else
        feed_begin(call, &request, view, kinds);
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
    struct watcher *w = grpc_call_user(call);

    if (w && !w->is_over)
        w->waiting.on_news(&w->waiting);
}

static void on_watch_done(struct grpc_call *call, enum grpc_end end)
{
    struct watcher *w = grpc_call_user(call);

    preload_drop(call);
    if (w)
        w->free(w);
}

const struct grpc_handler watch_handler = {
        .on_message = on_watch,
        .on_writable = on_watch_writable,
        .on_done = on_watch_done,
};
