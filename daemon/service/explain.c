// SPDX-License-Identifier: Apache-2.0
/* Explain: why a future, or the queue of a function, is not moving; as fields, and as a sentence for people. */
#include "engine/explain.h"

#include "service/internal.h"
#include "service/preload.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    EXPLANATION_ID = 1,
    EXPLANATION_FUNCTION = 2,
    EXPLANATION_STATE = 3,
    EXPLANATION_PENDING_REASON = 4,
    EXPLANATION_TEXT = 5,
    EXPLANATION_POSITION = 6,
    EXPLANATION_PENDING_COUNT = 7,
    EXPLANATION_RUNNING_COUNT = 8,
    EXPLANATION_WORKER_COUNT = 9,
    EXPLANATION_CREDIT = 10,
    EXPLANATION_NEXT_START_TIME = 11,
    EXPLANATION_WAITS_FOR = 12,
    EXPLANATION_LIMIT = 13,
    EXPLANATION_IS_ESTIMATE = 14,
    EXPLANATION_WAITS_FOR_COUNT = 15,
};

enum { TEXT_BYTES = 3072, ID_FIELD = 1, WAITS_FOR_MAX = 100 };

struct explain_request {
    struct span id, function;
};
static const struct codec_row explain_rows[] = {
        CODEC_ROW(ID_FIELD, CODEC_STRING, struct explain_request, id),
        CODEC_ROW(2, CODEC_STRING, struct explain_request, function),
};
static const struct codec_table explain_table = {explain_rows, ARRAY_LEN(explain_rows)};

static const char *limit_name(enum explain_limit limit)
{
    static const char *const names[] = {
            [EXPLAIN_NO_LIMIT] = "",
            [EXPLAIN_MAX_RUNNING] = "max_running",
            [EXPLAIN_RATE] = "rate",
            [EXPLAIN_CONCURRENCY_KEY] = "concurrency_key",
    };

    return names[limit];
}

/* " by alice: because", cut to what a sentence bears; of both only what there is. */
static void put_who(char *to, size_t size, const struct change *c)
{
    snprintf(to, size, "%s%.*s%s%.*s", c->who->len ? " by " : "", (int)MIN(c->who->len, 255U),
             (const char *)c->who->data, c->why ? ": " : "", c->why ? (int)MIN(c->why->len, 500U) : 0,
             c->why ? (const char *)c->why->data : "");
}

/* @c NULL: not the function, but all that there is. */
static void say_paused(char *to, size_t size, const struct change *c)
{
    char who[800];

    if (!c) {
        snprintf(to, size, "the daemon starts no tasks; System.GetInfo says what it is doing");
        return;
    }
    put_who(who, sizeof who, c);
    snprintf(to, size, "the function is paused%s", who);
}

static void say_limited(char *to, size_t size, const struct function *fn, const struct explanation *x)
{
    char id[ID_TEXT_LEN + 1];

    if (x->limit == EXPLAIN_MAX_RUNNING) {
        snprintf(to, size,
                 "as many tasks of the function run, or are with workers, as max_running = %" PRIu32
                 " allows",
                 fn->gate.limits.max_running);
    } else if (x->limit == EXPLAIN_RATE) {
        snprintf(to, size, "as many tasks of the function have started as rate = %g allows",
                 fn->gate.limits.rate);
    } else if (x->blocker) {
        id_format(&x->blocker->id, id);
        snprintf(to, size, "the future %s has the same concurrency_key and comes first", id);
    } else if (x->limit == EXPLAIN_CONCURRENCY_KEY) {
        snprintf(to, size, "another future has the same concurrency_key and comes first");
    }
}

static void say_ready(char *to, size_t size, const struct explanation *x, uint64_t credit)
{
    if (x->has_position && x->position)
        snprintf(to, size, "%s%" PRIu64 " %s of the function %s before it%s", x->is_estimate ? "about " : "",
                 x->position, x->position == 1 ? "future" : "futures", x->position == 1 ? "starts" : "start",
                 credit ? "" : "; no worker has room at the moment");
    else
        snprintf(to, size, "it is the next of the function%s",
                 credit ? "" : "; no worker has room at the moment");
}

static void say_blocked(char *to, size_t size, const struct future *f)
{
    uint32_t n = f->rare->depend->n_open;

    snprintf(to, size, "it depends on %" PRIu32 " %s that %s not ended", n, n == 1 ? "future" : "futures",
             n == 1 ? "has" : "have");
}

/* @f NULL: the function's queue is asked for; what is blocked is not in it. */
static void say_pending(char *to, size_t size, const struct function *fn, const struct future *f,
                        const struct explanation *x, uint64_t credit)
{
    switch (x->reason) {
    case PENDING_READY: say_ready(to, size, x, credit); break;
    case PENDING_NO_WORKER: snprintf(to, size, "no worker serves the function"); break;
    case PENDING_PAUSED: say_paused(to, size, fn->gate.paused); break;
    case PENDING_LIMITED: say_limited(to, size, fn, x); break;
    case PENDING_DELAYED: snprintf(to, size, "it is not to start before next_start_time"); break;
    case PENDING_BACKOFF:
        snprintf(to, size, "an attempt has failed; the next one may start at next_start_time");
        break;
    case PENDING_BLOCKED: say_blocked(to, size, f); break;
    case PENDING_NONE: break;
    }
}

static void say_future(char *to, size_t size, const struct future *f, const struct explanation *x,
                       uint64_t credit)
{
    const struct bytes *worker = f->lease ? f->lease->holder->name : NULL;

    if (future_is_terminal(f))
        snprintf(to, size, "it has ended");
    else if (f->lease && f->rare && f->rare->cancel_requested)
        snprintf(to, size, "worker %.*s has been told to cancel it", (int)worker->len,
                 (const char *)worker->data);
    else if (f->lease)
        snprintf(to, size,
                 f->state == FUTURE_RUNNING ? "worker %.*s runs it" : "worker %.*s has it and is to start it",
                 (int)worker->len, (const char *)worker->data);
    else
        say_pending(to, size, f->function, f, x, credit);
}

static void say_function(char *to, size_t size, const struct function *fn, const struct explanation *x,
                         uint64_t credit)
{
    if (x->reason != PENDING_NONE && x->reason != PENDING_READY)
        say_pending(to, size, fn, NULL, x, credit);
    else if (fn->n_pending == 0)
        snprintf(to, size, "nothing waits");
    else if (x->reason == PENDING_READY)
        snprintf(to, size, credit ? "workers have room" : "all workers that serve the function are busy");
    else if (fn->n_reserved > 0)
        snprintf(to, size, "all that may run is with workers");
    else
        snprintf(to, size,
                 "what is pending is delayed, in a pause after a failure, or waits for other futures");
}

static void put_id(struct writer *w, const struct id *id)
{
    char text[ID_TEXT_LEN + 1];

    id_format(id, text);
    writer_text(w, EXPLANATION_WAITS_FOR, text);
}

static void put_waits_for(struct writer *w, const struct future *f, const struct explanation *x)
{
    const struct depend *d = x->reason == PENDING_BLOCKED ? f->rare->depend : NULL;
    uint32_t n = 0;

    for (uint32_t i = 0; d && i < d->n && n < WAITS_FOR_MAX; i++)
        if (d->at[i].state == 0) {
            put_id(w, &d->at[i].id);
            n++;
        }
    if (x->blocker)
        put_id(w, &x->blocker->id);
    writer_uint(w, EXPLANATION_WAITS_FOR_COUNT, d ? d->n_open : x->blocker ? 1 : 0);
}

/* Behind what has been said: why the pool does not serve it. */
static void say_failure(char *text, size_t size, const struct futures *s, const struct function *fn)
{
    struct function_failure failure;
    size_t n = strlen(text);

    if (futures_failure(s, fn, &failure))
        snprintf(text + n, size - n, "%s%s", fn->n_holders ? "; new workers do not start: " : ": ",
                 failure.text);
}

static void put(struct writer *w, const struct futures *s, const struct function *fn, const struct future *f,
                const struct explanation *x)
{
    uint64_t credit = futures_credit(s, fn);
    char text[TEXT_BYTES] = "", id[ID_TEXT_LEN + 1];

    if (f) {
        id_format(&f->id, id);
        writer_text(w, EXPLANATION_ID, id);
        say_future(text, sizeof text, f, x, credit);
    } else {
        say_function(text, sizeof text, fn, x, credit);
    }
    say_failure(text, sizeof text, s, fn);
    writer_bytes(w, EXPLANATION_FUNCTION, SPAN_OF_BYTES(fn->name));
    if (f)
        writer_uint(w, EXPLANATION_STATE, f->state);
    writer_uint(w, EXPLANATION_PENDING_REASON, x->reason);
    writer_text(w, EXPLANATION_TEXT, text);
    if (f && x->has_position)
        writer_uint_always(w, EXPLANATION_POSITION, x->position);
    writer_uint(w, EXPLANATION_PENDING_COUNT, fn->n_pending);
    writer_uint(w, EXPLANATION_RUNNING_COUNT, fn->n_running);
    writer_uint(w, EXPLANATION_WORKER_COUNT, fn->n_holders);
    writer_uint(w, EXPLANATION_CREDIT, credit);
    writer_timestamp(w, EXPLANATION_NEXT_START_TIME, x->next_start);
    put_waits_for(w, f, x);
    writer_text(w, EXPLANATION_LIMIT, limit_name(x->limit));
    writer_uint(w, EXPLANATION_IS_ESTIMATE, f && x->is_estimate);
}

static void answer(struct grpc_call *call, const struct function *fn, const struct future *f)
{
    const struct futures *s = futures_of(call);
    const struct caller *caller = caller_of(&futures_of(call)->callers, call);
    struct explanation x;
    struct writer w;

    if (f)
        explain_future(s->engine, f, &x);
    else
        explain_function(s->engine, fn, &x);
    if (x.blocker && (!caller || !scope_may_see(caller->scope, x.blocker->scope)))
        x.blocker = NULL; /* somebody else's is not named */
    if (futures_show_seq(call, engine_shown_any(s->engine)) < 0)
        return;
    w = writer_to(grpc_call_begin(call));
    if (w.out)
        put(&w, s, fn, f, &x);
    if (!w.out) {
        grpc_call_fail(call, convert_no_memory(&(struct grpc_status){0}));
        return;
    }
    futures_send(call, &w);
    grpc_call_finish(call);
}

static void do_explain(struct grpc_call *call, struct span message)
{
    struct explain_request request = {0};
    const struct function *fn;
    struct grpc_status st;
    struct future *f;

    if (request_read(&explain_table, message, &request, &st)) {
        grpc_call_fail(call, &st);
        return;
    }
    if (!request.id.len == !request.function.len) {
        request_bad_field(&st, "id", "either id or function is required");
        grpc_call_fail(call, &st);
        return;
    }
    if (request.id.len) {
        f = futures_find(call, request.id);
        if (f)
            answer(call, f->function, f);
        return;
    }
    fn = futures_find_function(futures_of(call), call, request.function);
    if (fn)
        answer(call, fn, NULL);
}

static void on_explain(struct grpc_call *call, struct span message)
{
    preload(call, message, message, ID_FIELD, do_explain);
}

static void on_done(struct grpc_call *call, enum grpc_end end)
{
    preload_drop(call);
}

const struct grpc_handler explain_handler = {.on_message = on_explain, .on_done = on_done};
