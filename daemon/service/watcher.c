// SPDX-License-Identifier: Apache-2.0
#include "service/watcher.h"

enum { EVENT_ID = 1, EVENT_CURSOR = 2, EVENT_TIME = 3 };
enum { CURSOR_EPOCH = 1, CURSOR_EVENT = 2 };
enum { LOST_EVENTS = 1 };
enum { CHUNK_ATTEMPT = 1, CHUNK_STREAM, CHUNK_OFFSET, CHUNK_DATA, CHUNK_TIME };
enum { BESIDE_BYTES = ID_TEXT_LEN + 64 }; /* in an event, beside the future */
enum { CHUNK_BESIDE_BYTES = 64 };         /* in a Chunk, beside its data */

void watcher_init(struct watcher *w, struct grpc_call *call, void (*on_news)(struct waiting *waiting),
                  void (*free)(struct watcher *w))
{
    w->free = free;
    w->service = futures_of(call);
    waiting_init(&w->waiting, &w->service->waitings, WAITER_WATCH, 0, call, on_news);
    list_init(&w->quiet);
    list_push_back(&w->service->quiet, &w->quiet);
    w->quiet_since = CLOCK_NEVER;
    grpc_call_set_user(call, w);
}

void watcher_deinit(struct watcher *w)
{
    waiting_deinit(&w->waiting, w->service->engine);
    list_del(&w->quiet);
}

void watcher_fail(struct watcher *w, const struct grpc_status *st)
{
    w->is_over = 1;
    grpc_call_fail(w->waiting.call, st);
}

/* What all events begin with. */
static int begin(struct watcher *w, struct future *f, wall_ns_t time, struct writer *ret)
{
    char id[ID_TEXT_LEN + 1];

    if (futures_begin(w->waiting.call, f, ret) < 0) {
        w->is_over = 1;
        return -1;
    }
    if (f) {
        id_format(&f->id, id);
        writer_text(ret, EVENT_ID, id);
    }
    if (w->has_cursor) {
        struct writer_mark m = writer_begin(ret, EVENT_CURSOR, 20);

        writer_uint(ret, CURSOR_EPOCH, engine_ring(w->service->engine)->epoch);
        writer_uint(ret, CURSOR_EVENT, w->position);
        writer_end(ret, m);
    }
    writer_timestamp(ret, EVENT_TIME, time);
    return 0;
}

static void end(struct watcher *w, const struct writer *out)
{
    w->is_over |= out->failed != 0;
    futures_send(w->waiting.call, out);
    w->quiet_since = CLOCK_NEVER;
    list_del(&w->quiet);
    list_push_back(&w->service->quiet, &w->quiet);
}

void watcher_put(struct watcher *w, enum event_field field, struct future *f, wall_ns_t time)
{
    struct writer out;

    if (begin(w, f, time, &out) < 0)
        return;
    convert_future_field(&out, field, f, convert_fit(f, w->view, futures_room(w->service, BESIDE_BYTES)));
    end(w, &out);
}

void watcher_put_progress(struct watcher *w, struct future *f, const struct told_progress *p)
{
    struct writer out;

    if (begin(w, f, engine_wall(w->service->engine), &out) < 0)
        return;
    convert_progress(&out, EVENT_PROGRESS, p);
    end(w, &out);
}

size_t watcher_put_chunk(struct watcher *w, struct future *f, const struct told_chunk *chunk, uint64_t from)
{
    size_t skip = (size_t)(from - chunk->offset);
    size_t n = MIN(chunk->data->len - skip, futures_room(w->service, BESIDE_BYTES + CHUNK_BESIDE_BYTES));
    struct writer_mark m;
    struct writer out;

    if (begin(w, f, chunk->time, &out) < 0)
        return 0;
    m = writer_begin(&out, chunk->kind == TOLD_LOG ? EVENT_LOG : EVENT_OUTPUT, n + CHUNK_BESIDE_BYTES);
    writer_uint(&out, CHUNK_ATTEMPT, chunk->attempt);
    writer_uint(&out, CHUNK_STREAM, chunk->stream);
    writer_uint(&out, CHUNK_OFFSET, from);
    writer_bytes(&out, CHUNK_DATA, (struct span){chunk->data->data + skip, n});
    writer_timestamp(&out, CHUNK_TIME, chunk->time);
    writer_end(&out, m);
    end(w, &out);
    return n;
}

void watcher_put_lost(struct watcher *w, uint64_t n)
{
    struct writer_mark m;
    struct writer out;

    if (begin(w, NULL, engine_wall(w->service->engine), &out) < 0)
        return;
    m = writer_begin(&out, EVENT_LOST, 10);
    writer_uint(&out, LOST_EVENTS, n);
    writer_end(&out, m);
    end(w, &out);
}

void watcher_put_keepalive(struct watcher *w)
{
    struct writer out;

    if (begin(w, NULL, engine_wall(w->service->engine), &out) < 0)
        return;
    writer_end(&out, writer_begin(&out, EVENT_KEEPALIVE, 0));
    end(w, &out);
}

/* Who was sent something in this turn is quiet from now on; those are the last of the list. */
static void note_time(struct futures *s, mono_ns_t now)
{
    for (struct list *l = s->quiet.prev; l != &s->quiet; l = l->prev) {
        struct watcher *w = LIST_ENTRY(l, struct watcher, quiet);

        if (w->quiet_since != CLOCK_NEVER)
            return;
        w->quiet_since = now;
    }
}

mono_ns_t watcher_tick(struct futures *s, mono_ns_t now)
{
    struct list *l;

    if (s->watches.keepalive_ns == 0)
        return CLOCK_NEVER;
    note_time(s, now);
    while ((l = list_first(&s->quiet))) {
        struct watcher *w = LIST_ENTRY(l, struct watcher, quiet);
        mono_ns_t due = clock_add(w->quiet_since, s->watches.keepalive_ns);

        if (due > now)
            return due;
        list_del(&w->quiet);
        list_push_back(&s->quiet, &w->quiet);
        if (!w->is_over && grpc_call_is_writable(w->waiting.call))
            watcher_put_keepalive(w);
        w->quiet_since = now;
    }
    return CLOCK_NEVER;
}
