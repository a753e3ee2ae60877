// SPDX-License-Identifier: Apache-2.0
/*
 * Run and RunStream: submit, and the finished futures back. Both tie their futures to one waiter of mode EACH; finished
 * ones queue on it (one edge each, no copy) and are encoded when the client reads.
 *
 * A Run's ID goes into the initial metadata, for who wants to know it while the task runs. A task that ends within
 * ANNOUNCE_NS (ANNOUNCE_DURABLE_NS where it is durable) has it in the same packet as its result: most tasks are short, and a packet of its own would wake the
 * client twice, and ask the store for a commit of its own.
 *
 * RunStream owes its client one answer per request. Accepted but unfinished tasks count against the engine's edges, so
 * a client that sends without end is stopped by that limit, each item with its own status; answers that wait are
 * bounded as in SubmitStream, and the rest stays as finished futures on the waiter.
 */
#include "base/mem.h"
#include "service/internal.h"

#include <errno.h>

#define ANNOUNCE_NS         NS_PER_MS
#define ANNOUNCE_DURABLE_NS (10 * NS_PER_MS) /* it waits for a commit besides */

struct run {
    struct waiting waiting;
    struct list announcing; /* in futures.announcing until its initial metadata is sent */
    mono_ns_t announce_at;
    struct futures *service;
    struct bytes *traceparent;      /* of all its tasks; NULL = none */
    enum view view;                 /* of a unary Run */
    int is_half_closed, is_loading; /* a request of a stream waits for what it names */
};

enum { RUN_RESPONSE_FINISHED = 1, RUN_RESPONSE_STATUS = 2, RUN_RESPONSE_ACCEPTED = 3, RUN_RESPONSE_TAG = 4 };

/* ---- Run */

static void on_run_news(struct waiting *waiting)
{
    struct run *run = CONTAINER_OF(waiting, struct run, waiting);
    struct edge *edge = waiter_first_done(&waiting->waiter);

    if (!edge || !grpc_call_is_writable(waiting->call))
        return;
    list_del(&run->announcing);
    futures_reply(waiting->call, edge->future, run->view);
    engine_unwait(run->service->engine, edge);
}

/* The state of a call that begins; without memory the call has ended. */
static void run_start(struct grpc_call *call, void (*on_news)(struct waiting *))
{
    struct run *run = mem_zalloc(sizeof *run);

    if (!run || submit_traceparent(call, &run->traceparent) < 0) {
        mem_free(run);
        grpc_call_fail(call, convert_no_memory(&(struct grpc_status){0}));
        return;
    }
    run->service = futures_of(call);
    list_init(&run->announcing);
    waiting_init(&run->waiting, &run->service->waitings, WAITER_EACH, 0, call, on_news);
    grpc_call_set_user(call, run);
}

static void on_run_start(struct grpc_call *call)
{
    run_start(call, on_run_news);
}

static int read_run(struct span message, struct run_request *request, struct grpc_status *st)
{
    if (request_read(&run_request_table, message, request, st))
        return REQUEST_E_BAD;
    if (!request->submit.is_set)
        return request_bad_field(st, "submit", "is required");
    return 0;
}

static unsigned how_of(const struct run_request *request)
{
    return request->cancel_on_disconnect ? SUBMIT_ATTACHED : 0;
}

/* @r kept us from waiting for @f, which has been accepted: say so, with the ID to ask for. Returns @st. */
static struct grpc_status *accepted_all_the_same(struct grpc_status *st, int r, const struct future *f)
{
    char id[ID_TEXT_LEN + 1];

    id_format(&f->id, id);
    return status_add_metadata(convert_engine_error(st, r, span_of_string(id)), "future_id", "%s", id);
}

static int announce_id(struct grpc_call *call, struct future *f)
{
    char id[ID_TEXT_LEN + 1];

    id_format(&f->id, id);
    return grpc_call_add_metadata(call, "futured-id", span_of_string(id));
}

static void do_run(struct grpc_call *call, struct span message, unsigned how);

static void on_run_loaded(struct grpc_call *call, struct span message)
{
    do_run(call, message, SUBMIT_LOADED);
}

static void do_run(struct grpc_call *call, struct span message, unsigned how)
{
    struct run *run = grpc_call_user(call);
    struct run_request request = {0};
    struct accepted a = {0};
    struct grpc_status st;
    int is_durable, r = read_run(message, &request, &st);

    if (r == 0)
        r = submit_accept(run->service, call, request.submit.data, SPAN_OF_BYTES(run->traceparent), VIEW_FULL,
                          how_of(&request) | how | SUBMIT_WAITING, &a, &st);
    if (r == SUBMIT_E_MISSING) {
        a.wants.run = on_run_loaded;
        preload_all(call, message, &a.wants);
        return;
    }
    if (r) {
        submit_fail(call, &a, &st);
        return;
    }
    run->view = a.view;
    r = announce_id(call, a.future);
    if (r == 0)
        r = engine_wait(run->service->engine, &run->waiting.waiter, a.future, NULL, 0);
    if (r != 0) {
        if (futures_show(call, a.future) == 0)
            grpc_call_fail(call, accepted_all_the_same(&st, r, a.future));
        return;
    }
    is_durable = a.future->durability == DURABILITY_DURABLE;
    run->announce_at = clock_add(grpc_call_now(call), is_durable ? ANNOUNCE_DURABLE_NS : ANNOUNCE_NS);
    list_push_back(&run->service->announcing[is_durable], &run->announcing);
}

/* What a unary Run waits for. */
static struct future *future_of(const struct run *run)
{
    const struct waiter *w = &run->waiting.waiter;
    const struct list *l = list_is_empty(&w->pending) ? &w->done : &w->pending;

    return LIST_ENTRY(l->next, struct edge, of_waiter)->future;
}

static void on_run(struct grpc_call *call, struct span message)
{
    do_run(call, message, 0);
}

/* run_tick for one of the lists. */
static mono_ns_t announce(struct list *announcing, mono_ns_t now)
{
    while (!list_is_empty(announcing)) {
        struct run *run = LIST_ENTRY(announcing->next, struct run, announcing);

        if (run->announce_at > now)
            return run->announce_at;
        list_del(&run->announcing);
        if (futures_show(run->waiting.call, future_of(run)) == 0 &&
            grpc_call_send_headers(run->waiting.call) < 0)
            grpc_call_fail(run->waiting.call, convert_no_memory(&(struct grpc_status){0}));
    }
    return CLOCK_NEVER;
}

mono_ns_t run_tick(struct futures *s, mono_ns_t now)
{
    mono_ns_t ephemeral = announce(&s->announcing[0], now), durable = announce(&s->announcing[1], now);

    return MIN(ephemeral, durable);
}

static void on_run_writable(struct grpc_call *call)
{
    struct run *run = grpc_call_user(call);

    if (run)
        on_run_news(&run->waiting);
}

static void on_run_done(struct grpc_call *call, enum grpc_end end)
{
    struct run *run = grpc_call_user(call);

    if (!run)
        return;
    preload_drop(call);
    waiting_deinit(&run->waiting, run->service->engine);
    list_del(&run->announcing);
    bytes_unref(run->traceparent);
    mem_free(run);
}

const struct grpc_handler run_handler = {
        .on_start = on_run_start,
        .on_message = on_run,
        .on_writable = on_run_writable,
        .on_done = on_run_done,
};

/* ---- RunStream */

/* Go on taking requests, or not. */
static void pace(struct run *run)
{
    if (run->is_loading)
        grpc_call_pause(run->waiting.call, 1);
    else
        waiting_pace(&run->waiting);
}

static void put_run_response(struct grpc_call *call, uint32_t field, struct future *f, enum view view,
                             struct span tag, const struct grpc_status *st)
{
    struct writer w;

    if (futures_begin(call, f, &w) < 0)
        return;
    if (f) {
        convert_future_field(&w, field, f, convert_fit(f, view, futures_room(futures_of(call), tag.len)));
    } else {
        struct writer_mark m = writer_begin(&w, field, 256);

        if (!w.failed)
            w.failed = status_encode(st, w.out);
        writer_end(&w, m);
    }
    writer_bytes(&w, RUN_RESPONSE_TAG, tag);
    futures_send(call, &w);
}

/* Pull finished futures for as long as the client reads. */
static void on_run_stream_news(struct waiting *waiting)
{
    struct run *run = CONTAINER_OF(waiting, struct run, waiting);
    struct grpc_call *call = waiting->call;
    struct edge *edge;

    while ((edge = waiter_first_done(&waiting->waiter)) && grpc_call_is_writable(call)) {
        put_run_response(call, RUN_RESPONSE_FINISHED, edge->future, (enum view)edge->cookie,
                         SPAN_OF_BYTES(edge->tag), NULL);
        engine_unwait(run->service->engine, edge);
    }
    if (run->is_half_closed && !edge && waiting->waiter.n_pending == 0)
        grpc_call_finish(call);
    else
        pace(run);
}

static void on_run_stream_start(struct grpc_call *call)
{
    run_start(call, on_run_stream_news);
}

/* One item: 0, or its status in @st; SUBMIT_E_MISSING. */
static int accept_item(struct run *run, struct span message, unsigned how, struct accepted *a,
                       struct run_request *request, struct grpc_status *st)
{
    struct bytes *tag = NULL;
    int r;

    *a = (struct accepted){0};
    r = read_run(message, request, st);
    if (r == 0)
        r = submit_accept(run->service, run->waiting.call, request->submit.data,
                          SPAN_OF_BYTES(run->traceparent), VIEW_FULL, how_of(request) | how | SUBMIT_WAITING,
                          a, st);
    if (r != 0)
        return r;
    if (a->tag.len && !(tag = bytes_dup(a->tag.p, a->tag.len)))
        r = -ENOMEM;
    else
        r = engine_wait(run->service->engine, &run->waiting.waiter, a->future, tag, a->view);
    bytes_unref(tag);
    if (r == 0)
        return 0;
    accepted_all_the_same(st, r, a->future);
    return REQUEST_E_BAD;
}

static void refuse_item(struct run *run, const struct accepted *a, const struct grpc_status *st)
{
    struct future *named = a->named ? a->named : a->future; /* the status names it */

    if ((!named && !a->is_unknown) || futures_show(run->waiting.call, named) == 0)
        put_run_response(run->waiting.call, RUN_RESPONSE_STATUS, NULL, VIEW_DEFAULT, a->tag, st);
}

static void do_item(struct grpc_call *call, struct span message, unsigned how);

static void on_item_loaded(struct grpc_call *call, struct span message)
{
    struct run *run = grpc_call_user(call);

    run->is_loading = 0;
    do_item(call, message, SUBMIT_LOADED);
}

static void on_item_not_loaded(struct grpc_call *call, struct span message, struct grpc_status *st)
{
    struct run *run = grpc_call_user(call);
    struct run_request request = {0};
    struct accepted a = {0};
    struct grpc_status ignored;

    if (read_run(message, &request, &ignored) == 0)
        a.tag = submit_tag(request.submit.data);
    run->is_loading = 0;
    refuse_item(run, &a, st);
    pace(run);
}

static void do_item(struct grpc_call *call, struct span message, unsigned how)
{
    struct run *run = grpc_call_user(call);
    struct run_request request = {0};
    struct grpc_status st;
    struct accepted a;
    int r = accept_item(run, message, how, &a, &request, &st);

    if (UNLIKELY(r == SUBMIT_E_MISSING)) {
        run->is_loading = 1;
        pace(run);
        a.wants.run = on_item_loaded;
        a.wants.fail = on_item_not_loaded;
        preload_all(call, message, &a.wants);
        return;
    }
    if (r)
        refuse_item(run, &a, &st);
    else if (request.announce)
        put_run_response(call, RUN_RESPONSE_ACCEPTED, a.future, VIEW_BASIC, a.tag, NULL);
    pace(run);
}

static void on_run_stream_item(struct grpc_call *call, struct span message)
{
    do_item(call, message, 0);
}

static void on_run_stream_half_close(struct grpc_call *call)
{
    struct run *run = grpc_call_user(call);

    run->is_half_closed = 1;
    on_run_stream_news(&run->waiting);
}

static void on_run_stream_writable(struct grpc_call *call)
{
    struct run *run = grpc_call_user(call);

    if (run)
        on_run_stream_news(&run->waiting);
}

const struct grpc_handler run_stream_handler = {
        .on_start = on_run_stream_start,
        .on_message = on_run_stream_item,
        .on_half_close = on_run_stream_half_close,
        .on_writable = on_run_stream_writable,
        .on_done = on_run_done,
};
