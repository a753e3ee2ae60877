// SPDX-License-Identifier: Apache-2.0
#include "service/drain.h"

#include "base/mem.h"
#include "engine/right.h"
#include "service/caller.h"
#include "service/convert.h"
#include "service/request.h"

enum { RESPONSE_DRAIN = 1, RESPONSE_RUNNING = 2, RESPONSE_PENDING = 3, RESUMED_STATE = 1 };

struct drain_request {
    uint64_t stop_accept, stop_dispatch, exit;
    struct codec_time timeout;
    struct span reason;
};
static const struct codec_row drain_rows[] = {
        CODEC_ROW(1, CODEC_UINT, struct drain_request, stop_accept),
        CODEC_ROW(2, CODEC_UINT, struct drain_request, stop_dispatch),
        CODEC_ROW(3, CODEC_UINT, struct drain_request, exit),
        CODEC_ROW(4, CODEC_DURATION, struct drain_request, timeout),
        CODEC_ROW(5, CODEC_STRING, struct drain_request, reason),
};
static const struct codec_table drain_table = {drain_rows, ARRAY_LEN(drain_rows)};

struct resume_request {
    struct span reason;
};
static const struct codec_row resume_rows[] = {
        CODEC_ROW(1, CODEC_STRING, struct resume_request, reason),
};
static const struct codec_table resume_table = {resume_rows, ARRAY_LEN(resume_rows)};

/* A call of Drain that waits until nothing runs. */
struct drain_call {
    struct list link;
    struct grpc_call *call;
    mono_ns_t until;
};

void drain_put(const struct drain *d, struct writer *w, uint32_t number)
{
    struct writer_mark m;

    if (!d->steps)
        return;
    m = writer_begin(w, number, 64);
    writer_uint(w, 1, (d->steps & DRAIN_ACCEPT) != 0);
    writer_uint(w, 2, (d->steps & DRAIN_DISPATCH) != 0);
    writer_uint(w, 3, (d->steps & DRAIN_EXIT) != 0);
    writer_timestamp(w, 4, d->time);
    writer_bytes(w, 5, SPAN_OF_BYTES(d->principal));
    writer_bytes(w, 6, SPAN_OF_BYTES(d->reason));
    writer_end(w, m);
}

/* What is written between begin and end by @put is the answer. */
static void answer(struct grpc_call *call, void (*put)(const struct drain *d, struct writer *w))
{
    struct writer w = writer_to(grpc_call_begin(call));

    if (w.out)
        put(grpc_call_context(call), &w);
    if (!w.out || w.failed) {
        if (w.out)
            grpc_call_undo(call);
        grpc_call_fail(call, convert_no_memory(&(struct grpc_status){0}));
        return;
    }
    grpc_call_end(call);
    grpc_call_finish(call);
}

static void put_drained(const struct drain *d, struct writer *w)
{
    const struct engine_stats stats = engine_stats(d->engine);

    drain_put(d, w, RESPONSE_DRAIN);
    writer_uint(w, RESPONSE_RUNNING, stats.n_by_state[FUTURE_RUNNING]);
    writer_uint(w, RESPONSE_PENDING, stats.n_by_state[FUTURE_PENDING]);
}

static void put_resumed(const struct drain *d, struct writer *w)
{
    writer_uint(w, RESUMED_STATE, (uint64_t)d->world.state(d->world.context));
}

static int is_reached(const struct drain *d)
{
    return !(d->steps & DRAIN_DISPATCH) || d->world.n_held(d->world.context) == 0;
}

mono_ns_t drain_tick(struct drain *d, mono_ns_t now)
{
    mono_ns_t next = CLOCK_NEVER;

    LIST_FOREACH_SAFE (l, &d->calls) {
        struct drain_call *c = LIST_ENTRY(l, struct drain_call, link);

        if (!is_reached(d) && now < c->until) {
            next = MIN(next, c->until);
            continue;
        }
        list_del(&c->link);
        answer(c->call, put_drained);
    }
    return next;
}

/* @reason and the caller are kept. 0, -1: no memory, nothing changed. */
static int remember(struct drain *d, struct grpc_call *call, struct span reason)
{
    struct span who = caller_name(call);
    struct bytes *principal = who.len ? bytes_dup(who.p, who.len) : NULL;
    struct bytes *why = reason.len ? bytes_dup(reason.p, reason.len) : NULL;

    if ((who.len && !principal) || (reason.len && !why)) {
        bytes_unref(principal);
        bytes_unref(why);
        return -1;
    }
    bytes_unref(d->principal);
    bytes_unref(d->reason);
    d->principal = principal;
    d->reason = why;
    d->time = engine_wall(d->engine);
    return 0;
}

static int check_drain(const struct drain_request *m, struct grpc_status *st)
{
    if (m->timeout.ns < 0 || m->timeout.ns > DRAIN_TIMEOUT_MAX_NS)
        return request_bad_field(st, "timeout", "must be 0 to 1 day");
    if (request_text(m->reason, LIMIT_REASON_BYTES, 1, NULL, "reason", st))
        return REQUEST_E_BAD;
    if (!m->stop_accept && !m->stop_dispatch && !m->exit)
        return request_bad_field(st, "stop_accept", "one of stop_accept, stop_dispatch and exit must be set");
    return 0;
}

/* A call that waits; NULL: it has been ended. */
static struct drain_call *new_call(struct drain *d, struct grpc_call *call)
{
    struct grpc_status st;
    struct drain_call *c;

    if (d->n_calls >= DRAIN_CALLS_MAX) {
        status_set(&st, GRPC_RESOURCE_EXHAUSTED, "TOO_MANY_DRAINS", "%d calls of Drain wait already",
                   DRAIN_CALLS_MAX);
        grpc_call_fail(call,
                       status_set_retry(status_set_quota(&st, "calls", "calls of Drain that wait"), 1000));
        return NULL;
    }
    c = mem_zalloc(sizeof *c);
    if (!c) {
        grpc_call_fail(call, convert_no_memory(&st));
        return NULL;
    }
    c->call = call;
    list_init(&c->link);
    grpc_call_set_user(call, c);
    d->n_calls++;
    return c;
}

static void on_drain(struct grpc_call *call, struct span message)
{
    struct drain *d = grpc_call_context(call);
    struct drain_request m = {0};
    struct grpc_status st;
    struct drain_call *c;
    int64_t timeout_ns;

    if (request_read(&drain_table, message, &m, &st) || check_drain(&m, &st)) {
        grpc_call_fail(call, &st);
        return;
    }
    timeout_ns = m.timeout.is_set ? m.timeout.ns : DRAIN_TIMEOUT_NS;
    c = new_call(d, call);
    if (!c)
        return;
    if (remember(d, call, m.reason) < 0) {
        grpc_call_fail(call, convert_no_memory(&st));
        return;
    }
    if (m.stop_accept || m.exit)
        d->steps |= DRAIN_ACCEPT;
    if (m.stop_dispatch || m.exit)
        d->steps |= DRAIN_DISPATCH;
    if (m.exit)
        d->steps |= DRAIN_EXIT;
    d->world.steps(d->world.context, d->steps, timeout_ns, SPAN_OF_BYTES(d->principal), m.reason);
    /* this turn's drain_tick answers what need not wait */
    c->until = m.stop_dispatch || m.exit ? clock_add(grpc_call_now(call), timeout_ns) : 0;
    list_push_back(&d->calls, &c->link);
}

static void on_drain_done(struct grpc_call *call, enum grpc_end end)
{
    struct drain *d = grpc_call_context(call);
    struct drain_call *c = grpc_call_user(call);

    if (!c)
        return;
    list_del(&c->link);
    d->n_calls--;
    mem_free(c);
}

static void on_resume(struct grpc_call *call, struct span message)
{
    struct drain *d = grpc_call_context(call);
    struct resume_request m = {0};
    struct grpc_status st;

    if (request_read(&resume_table, message, &m, &st) ||
        request_text(m.reason, LIMIT_REASON_BYTES, 1, NULL, "reason", &st)) {
        grpc_call_fail(call, &st);
        return;
    }
    if (d->steps & DRAIN_EXIT) {
        status_set(&st, GRPC_FAILED_PRECONDITION, "EXITING", "the daemon exits; that cannot be undone");
        grpc_call_fail(call, status_set_precondition(&st, "STATE", "drain"));
        return;
    }
    if (d->steps) {
        d->steps = 0;
        d->world.steps(d->world.context, 0, 0, caller_name(call), m.reason);
    }
    answer(call, put_resumed);
}

void drain_exit(struct drain *d)
{
    if (!(d->steps & DRAIN_EXIT))
        d->time = engine_wall(d->engine);
    d->steps = DRAIN_ACCEPT | DRAIN_DISPATCH | DRAIN_EXIT;
}

static const struct grpc_handler drain_handler = {.on_message = on_drain, .on_done = on_drain_done},
                                 resume_handler = {.on_message = on_resume};

void drain_init(struct drain *d, struct engine *e, const struct drain_world *world)
{
    *d = (struct drain){.engine = e, .world = *world};
    list_init(&d->calls);
    d->methods[0] =
            (struct grpc_method){"/futured.v1.System/Drain", GRPC_UNARY, &drain_handler, d, RIGHT_ADMIN};
    d->methods[1] =
            (struct grpc_method){"/futured.v1.System/Resume", GRPC_UNARY, &resume_handler, d, RIGHT_ADMIN};
}

void drain_deinit(struct drain *d)
{
    ASSERT(d->n_calls == 0);
    bytes_unref(d->principal);
    bytes_unref(d->reason);
}

const struct grpc_method *drain_methods(const struct drain *d, size_t *ret_n)
{
    *ret_n = ARRAY_LEN(d->methods);
    return d->methods;
}
