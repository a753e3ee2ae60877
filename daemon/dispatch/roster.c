// SPDX-License-Identifier: Apache-2.0
/*
 * ListWorkers: the attached workers in the order of their numbers, in pages. A worker's number is never given out again, so
 * a page goes on behind the last one whoever has come or gone meanwhile.
 */
#include "dispatch/roster.h"

#include "base/mem.h"
#include "dispatch/internal.h"
#include "dispatch/session.h"

#include <errno.h>
#include <stdlib.h>

enum { PAGE_DEFAULT = 100, RUNNING_IDS_MAX = 100, RESERVE_BYTES = 256 };
enum { LIST_WORKERS = 1, LIST_NEXT_PAGE_TOKEN = 2, LIST_CRASHED_COUNT = 3 };
enum {
    FIXED_BYTES = 1024,
    ID_FIELD_BYTES = ID_TEXT_LEN + 3
}; /* fixed: of a worker, its name and version included */
enum { STATE_STARTING = 1, STATE_READY = 2, STATE_DRAINING = 3, STATE_DISCONNECTED = 4 };

struct list_workers_request {
    uint64_t page_size;
    struct span page_token, function;
};
static const struct codec_row request_rows[] = {
        CODEC_ROW(1, CODEC_UINT, struct list_workers_request, page_size),
        CODEC_ROW(2, CODEC_STRING, struct list_workers_request, page_token),
        CODEC_ROW(3, CODEC_STRING, struct list_workers_request, function),
};
static const struct codec_table request_table = {request_rows, ARRAY_LEN(request_rows)};

/* What is asked for, checked. */
struct question {
    size_t page_size;
    uint64_t behind;           /* this number */
    const struct function *of; /* NULL: of any */
    int is_nothing;            /* of a function that nobody knows */
};

static uint32_t state_of(const struct worker *w)
{
    if (w->is_dead || (!w->call && w->kind != WORKER_UNARY))
        return STATE_DISCONNECTED;
    if (!w->is_ready)
        return STATE_STARTING;
    return w->is_draining || w->dispatch->is_draining ? STATE_DRAINING : STATE_READY;
}

static int serves(const struct worker *w, const struct function *f)
{
    const struct holder *h = w->holder;

    return h && f->index / 64 < h->n_serves_words && (h->serves[f->index / 64] >> f->index % 64 & 1);
}

/* --- one worker; the fields of a WorkerInfo, whose numbers are those of proto/futured/v1/workers.proto */

static size_t size_of(const struct worker *w)
{
    return FIXED_BYTES + (w->remote ? sizeof w->remote->peer : 0) + buf_len(&w->about) + w->functions_bytes +
           (size_t)RUNNING_IDS_MAX * ID_FIELD_BYTES;
}

/* Whether there is room for @n more bytes, which are then taken. */
static int takes(size_t *room, size_t n)
{
    if (n > *room)
        return 0;
    *room -= n;
    return 1;
}

static void put_functions(struct writer *wr, const struct worker *w, size_t *room)
{
    const struct engine *e = w->dispatch->engine;

    for (const struct function *f = engine_function_next(e, NULL); f; f = engine_function_next(e, f))
        if (serves(w, f) && takes(room, f->name->len + WORKER_FUNCTION_FIELD_BYTES))
            writer_bytes(wr, 8, SPAN_OF_BYTES(f->name));
}

int roster_show(struct grpc_call *call, struct worker *w)
{
    int r = 0;

    if (!w->holder)
        return 0;
    LIST_FOREACH (l, &w->holder->leases) {
        struct lease *lease = LIST_ENTRY(l, struct lease, of_holder);

        if (r == 0 && worker_started(w, lease))
            r = grpc_call_stamp(call, engine_shown(w->dispatch->engine, lease->future));
    }
    return r;
}

static void put_leases(struct writer *wr, const struct worker *w, size_t *room)
{
    uint32_t n_running = 0;

    if (!w->holder)
        return;
    LIST_FOREACH (l, &w->holder->leases) {
        struct lease *lease = LIST_ENTRY(l, struct lease, of_holder);
        char id[ID_TEXT_LEN + 1];

        if (!lease->is_started || n_running++ >= RUNNING_IDS_MAX || !takes(room, ID_FIELD_BYTES))
            continue;
        id_format(&lease->future->id, id);
        writer_text(wr, 20, id);
    }
    writer_uint(wr, 12, w->holder->n_leases - n_running);
    writer_uint(wr, 13, n_running);
}

void roster_put(const struct grpc_call *call, struct writer *wr, uint32_t number, const struct worker *w,
                size_t room)
{
    struct writer_mark m = writer_begin(wr, number, size_of(w));
    wall_ns_t wall = engine_wall(w->dispatch->engine);
    char id[32];

    room -= MIN(room, FIXED_BYTES + (w->remote ? sizeof w->remote->peer : 0));
    worker_id(w, id);
    writer_text(wr, 1, id);
    writer_bytes(wr, 2, worker_name(w));
    writer_uint(wr, 3, state_of(w));
    writer_uint(wr, 4, worker_is_pool(w) != 0);
    writer_uint(wr, 5, w->pid);
    if (w->remote) {
        writer_text(wr, 6, w->remote->peer.address);
        writer_text(wr, 7, w->remote->peer.principal);
    }
    put_functions(wr, w, &room);
    writer_uint(wr, 10, w->slots);
    writer_uint(wr, 11, worker_credit(w));
    put_leases(wr, w, &room);
    writer_uint(wr, 14, w->n_finished);
    writer_uint(wr, 15, w->n_refused);
    if (takes(&room, worker_labels(w).len))
        writer_raw(wr, worker_labels(w));
    writer_bytes(wr, 17, worker_version(w));
    writer_timestamp(wr, 18, w->attach_time);
    writer_timestamp(wr, 19, MAX(w->attach_time, wall - (grpc_call_now(call) - w->heard_at)));
    writer_end(wr, m);
}

/* --- a page */

static int by_number(const void *a, const void *b)
{
    const struct worker *const *wa = a, *const *wb = b;

    return ((*wa)->number > (*wb)->number) - ((*wa)->number < (*wb)->number);
}

static int is_wanted(const struct worker *w, const struct question *q)
{
    return w->number > q->behind && !q->is_nothing && (!q->of || serves(w, q->of));
}

static int read_question(const struct dispatch *d, struct span message, struct question *ret,
                         struct grpc_status *st)
{
    struct list_workers_request request = {0};
    const char *field;
    int e = codec_read(&request_table, message, &request, &field);

    if (e && !*field) {
        status_set(st, GRPC_INVALID_ARGUMENT, "MALFORMED_MESSAGE", "the request %s", codec_error_text(e));
        return WORKER_E_BAD;
    }
    if (e)
        return hello_bad_field(st, field, codec_error_text(e));
    if (request.page_size > LIMIT_PAGE_SIZE)
        return hello_bad_field(st, "page_size", "is more than 1000");
    ret->page_size = request.page_size ? request.page_size : PAGE_DEFAULT;
    if (request.page_token.len && worker_parse_id(request.page_token, &ret->behind) < 0)
        return hello_bad_field(st, "page_token", "is not one that this daemon gave");
    if (request.function.len == 0)
        return 0;
    if (!hello_is_function_name(request.function))
        return hello_bad_field(st, "function", "is no name of a function: 1 to 255 of [A-Za-z0-9._-]");
    ret->of = engine_function_find(d->engine, request.function);
    ret->is_nothing = !ret->of;
    return 0;
}

static void put_page(struct grpc_call *call, struct worker **found, size_t n, size_t page_size)
{
    const struct dispatch *d = grpc_call_context(call);
    size_t room = d->config.max_message_bytes - RESERVE_BYTES, start, i;
    struct writer wr = {0};
    struct buf *out = NULL;
    char token[32];
    int r = 0;

    for (i = 0; r == 0 && i < n && i < page_size; i++)
        r = roster_show(call, found[i]);
    if (r == 0)
        out = grpc_call_begin(call);
    wr = writer_to(out);
    if (!out) {
        grpc_call_fail(call, worker_no_memory(&(struct grpc_status){0}));
        return;
    }
    start = buf_len(out);
    for (i = 0; i < n && i < page_size; i++) {
        size_t left = room - MIN(room, buf_len(out) - start);

        if (i > 0 && size_of(found[i]) > left)
            break;
        roster_put(call, &wr, LIST_WORKERS, found[i], left);
    }
    if (i < n && i > 0) {
        worker_id(found[i - 1], token);
        writer_text(&wr, LIST_NEXT_PAGE_TOKEN, token);
    }
    writer_uint(&wr, LIST_CRASHED_COUNT, d->n_crashed);
    if (wr.failed) {
        grpc_call_undo(call);
        grpc_call_fail(call, worker_no_memory(&(struct grpc_status){0}));
        return;
    }
    grpc_call_end(call);
    grpc_call_finish(call);
}

static void on_list(struct grpc_call *call, struct span message)
{
    const struct dispatch *d = grpc_call_context(call);
    struct question q = {0};
    struct worker **found;
    struct grpc_status st;
    size_t n = 0;

    if (read_question(d, message, &q, &st)) {
        grpc_call_fail(call, &st);
        return;
    }
    found = mem_alloc((d->n_workers + 1) * sizeof(struct worker *));
    if (!found) {
        grpc_call_fail(call, worker_no_memory(&st));
        return;
    }
    LIST_FOREACH (l, &d->workers) {
        struct worker *w = LIST_ENTRY(l, struct worker, link);

        if (is_wanted(w, &q))
            found[n++] = w;
    }
    qsort(found, n, sizeof(struct worker *), by_number);
    put_page(call, found, n, q.page_size);
    mem_free(found);
}

const struct grpc_handler roster_handler = {.on_message = on_list};
