// SPDX-License-Identifier: Apache-2.0
/*
 * AsCompleted: a waiter of mode EACH that grows as IDs come in. Each ID is answered once, however often it is given: the
 * stream remembers what it has seen, up to AS_COMPLETED_MAX_IDS.
 */
#include "base/mem.h"
#include "service/internal.h"
#include "service/preload.h"

#include <errno.h>

enum { AS_COMPLETED_MAX_IDS = 1000 * 1000 };
enum { AS_COMPLETED_FUTURE = 1, AS_COMPLETED_MISSING = 2 };

struct as_completed {
    struct waiting waiting;
    struct futures *service;
    struct idset seen;
    int is_half_closed;
    uint32_t n_preloads; /* messages whose futures are being read from the store */
};

static void on_news(struct waiting *waiting)
{
    struct as_completed *ac = CONTAINER_OF(waiting, struct as_completed, waiting);
    struct grpc_call *call = waiting->call;
    struct edge *edge;

    while ((edge = waiter_first_done(&waiting->waiter)) && grpc_call_is_writable(call)) {
        struct writer w;

        if (futures_begin(call, edge->future, &w) < 0)
            return;
        convert_future_field(
                &w, AS_COMPLETED_FUTURE, edge->future,
                convert_fit(edge->future, (enum view)edge->cookie, futures_room(ac->service, 0)));
        futures_send(call, &w);
        engine_unwait(ac->service->engine, edge);
    }
    if (ac->n_preloads)
        return;
    if (ac->is_half_closed && !edge && waiting->waiter.n_pending == 0)
        grpc_call_finish(call);
    else
        waiting_pace(waiting);
}

static void on_start(struct grpc_call *call)
{
    struct as_completed *ac = mem_zalloc(sizeof *ac);

    if (!ac) {
        grpc_call_fail(call, convert_no_memory(&(struct grpc_status){0}));
        return;
    }
    ac->service = futures_of(call);
    idset_init(&ac->seen, &ac->service->seed);
    waiting_init(&ac->waiting, &ac->service->waitings, WAITER_EACH, 0, call, on_news);
    grpc_call_set_user(call, ac);
}

static int put_missing(struct grpc_call *call, const struct id *id)
{
    char text[ID_TEXT_LEN + 1];
    struct writer w;
    struct buf *out;

    if (grpc_call_stamp(call, engine_deleted_seq(futures_of(call)->engine)) < 0)
        return -ENOMEM;
    out = grpc_call_begin(call);
    w = writer_to(out);
    if (!out)
        return -ENOMEM;
    id_format(id, text);
    writer_text(&w, AS_COMPLETED_MISSING, text);
    futures_send(call, &w);
    return 0;
}

static int add_id(struct as_completed *ac, struct grpc_call *call, struct span text, enum view view,
                  struct grpc_status *st)
{
    const struct caller *caller = caller_of(&ac->service->callers, call);
    struct future *f;
    struct id id;
    int e;

    if (request_id(text, "ids", &id, st))
        return REQUEST_E_BAD;
    if (ac->seen.n >= AS_COMPLETED_MAX_IDS) {
        status_set(st, GRPC_RESOURCE_EXHAUSTED, "TOO_MANY_IDS", "one AsCompleted takes at most %d IDs",
                   AS_COMPLETED_MAX_IDS);
        status_set_quota(st, "ids", "IDs of one AsCompleted");
        return REQUEST_E_BAD;
    }
    e = caller ? idset_add(&ac->seen, &id) : -ENOMEM;
    if (e == IDSET_E_EXISTS)
        return 0;
    if (e == 0) {
        f = engine_find(ac->service->engine, caller->scope, &id);
        e = f ? engine_wait(ac->service->engine, &ac->waiting.waiter, f, NULL, view) : put_missing(call, &id);
    }
    if (e == 0)
        return 0;
    convert_engine_error(st, e, (struct span){0});
    return REQUEST_E_BAD;
}

static void do_message(struct grpc_call *call, struct span message)
{
    struct as_completed *ac = grpc_call_user(call);
    struct as_completed_request request = {0};
    struct wire_reader r = wire_reader(message);
    struct grpc_status st;
    enum view view;
    struct span id;

    ac->n_preloads--;
    if (request_read(&as_completed_request_table, message, &request, &st) ||
        request_view(request.view, VIEW_FULL, "view", &view, &st))
        goto refuse;
    if (request.ids > LIMIT_SELECTOR_IDS) {
        request_bad_field(&st, "ids", "%u IDs in one message; at most %d are allowed", request.ids,
                          LIMIT_SELECTOR_IDS);
        goto refuse;
    }
    while (codec_each(&r, AS_COMPLETED_IDS, &id))
        if (add_id(ac, call, id, view, &st))
            goto refuse;
    on_news(&ac->waiting);
    return;
refuse:
    grpc_call_fail(call, &st);
}

/* No further message comes until its futures are there. */
static void on_message(struct grpc_call *call, struct span message)
{
    struct as_completed *ac = grpc_call_user(call);

    ac->n_preloads++;
    preload(call, message, message, AS_COMPLETED_IDS, do_message);
    if (ac->n_preloads)
        grpc_call_pause(call, 1);
}

static void on_half_close(struct grpc_call *call)
{
    struct as_completed *ac = grpc_call_user(call);

    ac->is_half_closed = 1;
    on_news(&ac->waiting);
}

static void on_writable(struct grpc_call *call)
{
    struct as_completed *ac = grpc_call_user(call);

    if (ac)
        on_news(&ac->waiting);
}

static void on_done(struct grpc_call *call, enum grpc_end end)
{
    struct as_completed *ac = grpc_call_user(call);

    preload_drop(call);
    if (!ac)
        return;
    waiting_deinit(&ac->waiting, ac->service->engine);
    idset_deinit(&ac->seen);
    mem_free(ac);
}

const struct grpc_handler as_completed_handler = {
        .on_start = on_start,
        .on_message = on_message,
        .on_half_close = on_half_close,
        .on_writable = on_writable,
        .on_done = on_done,
};
