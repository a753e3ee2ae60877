// SPDX-License-Identifier: Apache-2.0
/*
 * CancelMany, DeleteMany, RetryMany: what a selector names, the newest first, so that what is accepted meanwhile is left alone. A call ends,
 * with a token, at the search's budget or after MANY_CHANGES_MAX changes. It answers when all that it has changed is
 * durable. Where the store does not write, or a limit is reached, it ends before the first that it cannot change; with nothing
 * done it fails.
 *
 * A retry may need futures that only the store has. Then the search ends there, they are read, that one is retried, and another
 * search goes on behind it.
 */
#include "base/mem.h"
#include "service/internal.h"
#include "service/preload.h"

#include <errno.h>

enum { MANY_CHANGES_MAX = 10000 };
enum { MANY_MATCHED = 1, MANY_CHANGED = 2, MANY_NEXT_PAGE_TOKEN = 3 };
/* Beside those of a search: many.st says why; many.made.wants is to be in memory first. */
enum many_error { MANY_E_REFUSED = 150, MANY_E_MISSING };

struct many;
typedef int (*many_fn)(struct many *m, const struct search_hit *hit);

struct many {
    struct search search;
    struct search_selector selector;
    struct search_token token;
    struct grpc_call *call;
    many_fn change;
    int is_dry_run;
    struct bytes *reason; /* of a cancellation */
    int64_t grace_ns;
    struct bytes *traceparent, *bytes; /* of retries; what `options` points into */
    struct codec_bytes options;
    struct accepted made; /* the newest retry */
    struct id missing;    /* the one that it was for */
    uint64_t matched, changed, seq;
    struct grpc_status st;
};

/* 0; what ends the search. */
static int may_change(struct many *m, const struct future *f)
{
    if (futures_may_change(m->search.service, f->durability, 0, &m->st) == 0)
        return 0;
    return m->matched ? SEARCH_STOP : (int)MANY_E_REFUSED;
}

static int cancel(struct many *m, const struct search_hit *hit)
{
    struct engine *e = m->search.service->engine;
    struct future *f = hit->future;
    uint64_t revision;
    int r;

    if (!f || future_is_terminal(f))
        return 0;
    if (m->is_dry_run) {
        m->changed += !(f->rare && f->rare->cancel_requested);
        return 0;
    }
    r = may_change(m, f);
    if (r)
        return r;
    revision = f->revision;
    r = engine_cancel(e, f, m->search.scope, SPAN_OF_BYTES(m->reason), m->grace_ns);
    if (r < 0)
        return r;
    m->changed += f->revision != revision;
    m->seq = MAX(m->seq, engine_shown(e, f));
    return 0;
}

static int delete (struct many *m, const struct search_hit *hit)
{
    struct future *f = hit->future;
    int r;

    if (m->is_dry_run) {
        m->changed += !f || (future_is_terminal(f) && f->n_pins == 0);
        return 0;
    }
    if (!f || !future_is_terminal(f) || f->n_pins > 0)
        return 0;
    r = may_change(m, f);
    if (r == 0)
        r = engine_delete(m->search.service->engine, f);
    m->changed += r == 0;
    return r == ENGINE_E_NOT_TERMINAL || r == ENGINE_E_PINNED ? 0 : r;
}

static int64_t number_of(const struct search_hit *hit, enum filter_field field)
{
    struct filter_value v = {0};

    return hit->subject.get(hit->subject.record, field, (struct span){0}, 0, &v) ? v.number : 0;
}

/* One whose task depends on what is not there any more cannot be retried without other options, and is passed over. */
static int retry_one(struct many *m, struct future *f, int is_loaded)
{
    struct futures *s = m->search.service;
    int r = retry_make(s, caller_of(&s->callers, m->call), f, &m->options, SPAN_OF_BYTES(m->traceparent),
                       is_loaded, &m->made, &m->st);

    if (r == SUBMIT_E_MISSING) {
        m->missing = f->id;
        return MANY_E_MISSING;
    }
    if (r == 0) {
        m->changed++;
        m->seq = MAX(m->seq, engine_shown(s->engine, m->made.future));
    }
    if (r == 0 || (m->made.is_unknown && !m->options.is_set))
        return 0;
    return m->matched ? SEARCH_STOP : (int)MANY_E_REFUSED;
}

static int retry(struct many *m, const struct search_hit *hit)
{
    int64_t state = number_of(hit, FILTER_STATE);

    if ((state != FUTURE_FAILED && state != FUTURE_CANCELLED) || number_of(hit, FILTER_RETRIED))
        return 0;
    m->changed += m->is_dry_run != 0;
    return m->is_dry_run || !hit->future ? 0 : retry_one(m, hit->future, 0);
}

static int on_hit(struct search *s, const struct search_hit *hit)
{
    struct many *m = s->user;
    int r;

    if (!m->is_dry_run && m->changed >= MANY_CHANGES_MAX)
        return SEARCH_STOP;
    r = m->change(m, hit);
    m->matched += r == 0;
    return r;
}

static struct many *many_free(struct many *m)
{
    if (m) {
        search_drop(&m->search);
        search_selector_deinit(&m->selector);
        bytes_unref(m->reason);
        bytes_unref(m->traceparent);
        bytes_unref(m->bytes);
    }
    return mem_free(m);
}

static void put_answer(struct many *m)
{
    char token[SEARCH_TOKEN_LEN + 1];
    struct buf message = BUF_INIT;
    struct writer w = writer_to(&message);

    writer_uint(&w, MANY_MATCHED, m->matched);
    writer_uint(&w, MANY_CHANGED, m->changed);
    if (m->search.is_more) {
        m->token.key = m->search.key;
        search_token_write(&m->token, token);
        writer_text(&w, MANY_NEXT_PAGE_TOKEN, token);
    }
    futures_send_beside(m->call, &w, &message, MAX(m->seq, engine_deleted_seq(m->search.service->engine)));
}

static void end(struct many *m, int result)
{
    struct grpc_status st;

    grpc_call_set_user(m->call, NULL);
    if (result == 0)
        put_answer(m);
    else
        grpc_call_fail(m->call, result == MANY_E_REFUSED ? &m->st : preload_status(&st, result, NULL));
    many_free(m);
}

/* What a retry needs is in memory. It may have been made meanwhile, or what was to be retried may have gone. */
static void on_loaded(struct grpc_call *call, struct span message)
{
    struct many *m = grpc_call_user(call);
    struct search *s = &m->search;
    struct future *f = engine_find(s->service->engine, s->scope, &m->missing);
    uint64_t key = id_key(&m->missing);
    int r = 0;

    if (f && search_still_matches(s, f)) {
        r = future_retried_by(f) ? 0 : retry_one(m, f, 1);
        m->matched += r == 0;
    }
    search_drop(s);
    s->key = r == 0 ? key : key + 1;
    s->is_more = 1;
    if (r == 0)
        search_begin(s);
    else
        end(m, r == SEARCH_STOP ? 0 : r);
}

static void on_not_loaded(struct grpc_call *call, struct span message, struct grpc_status *st)
{
    struct many *m = grpc_call_user(call);

    m->st = *st;
    m->search.key = id_key(&m->missing) + 1;
    m->search.is_more = 1;
    end(m, m->matched ? 0 : MANY_E_REFUSED);
}

static void on_end(struct search *s, int result)
{
    struct many *m = s->user;

    if (result != MANY_E_MISSING) {
        end(m, result);
        return;
    }
    m->made.wants.run = on_loaded;
    m->made.wants.fail = on_not_loaded;
    preload_all(m->call, (struct span){0}, &m->made.wants);
}

/* The rest of @m, whose `change` and what that needs are set. Takes @m, which is NULL where there was no memory. */
static void begin(struct grpc_call *call, struct many *m, const struct codec_bytes *selector,
                  struct span page_token, int is_dry_run, int wants_futures)
{
    struct futures *service = futures_of(call);
    const struct caller *caller = caller_of(&service->callers, call);
    struct grpc_status st;
    int e = 0;

    if (!m || !caller) {
        grpc_call_set_user(call, NULL);
        grpc_call_fail(call, convert_no_memory(&st));
        many_free(m);
        return;
    }
    m->call = call;
    m->is_dry_run = is_dry_run;
    m->token = (struct search_token){
            .key = UINT64_MAX,
            .question = search_token_question(selector->data, SPAN_LIT("many")),
            .now = engine_wall(service->engine),
            .is_desc = 1,
    };
    if (page_token.len)
        e = search_token_read(page_token, &m->token, &st);
    if (e == 0)
        e = search_selector_read(selector, m->token.now, &m->selector, &st);
    if (e) {
        grpc_call_set_user(call, NULL);
        grpc_call_fail(call, &st);
        many_free(m);
        return;
    }
    m->search.service = service;
    m->search.scope = caller->scope;
    m->search.selector = &m->selector;
    m->search.now = m->token.now;
    m->search.key = m->token.key;
    m->search.is_desc = 1;
    m->search.wants_futures = wants_futures;
    m->search.budget = service->scan_limit;
    m->search.on_hit = on_hit;
    m->search.on_end = on_end;
    m->search.user = m;
    grpc_call_set_user(call, m);
    search_begin(&m->search);
}

static void do_cancel_many(struct grpc_call *call, struct span message)
{
    struct cancel_many_request request = {0};
    struct grpc_status st;
    struct many *m;

    if (request_read(&cancel_many_request_table, message, &request, &st) ||
        request_text(request.reason, LIMIT_REASON_BYTES, 1, NULL, "reason", &st)) {
        grpc_call_fail(call, &st);
        return;
    }
    if (request.grace.is_set && request.grace.ns < 0) {
        request_bad_field(&st, "grace", "is negative");
        grpc_call_fail(call, &st);
        return;
    }
    m = mem_zalloc(sizeof *m);
    if (m && request.reason.len && !(m->reason = bytes_dup(request.reason.p, request.reason.len)))
        m = mem_free(m);
    if (m) {
        m->change = cancel;
        m->grace_ns = request.grace.is_set ? request.grace.ns : -1;
    }
    begin(call, m, &request.selector, request.page_token, request.dry_run != 0, 0);
}

static void do_delete_many(struct grpc_call *call, struct span message)
{
    struct delete_many_request request = {0};
    struct grpc_status st;
    struct many *m;

    if (request_read(&delete_many_request_table, message, &request, &st)) {
        grpc_call_fail(call, &st);
        return;
    }
    m = mem_zalloc(sizeof *m);
    if (m)
        m->change = delete;
    begin(call, m, &request.selector, request.page_token, request.dry_run != 0, !request.dry_run);
}

static void do_retry_many(struct grpc_call *call, struct span message)
{
    struct retry_many_request request = {0};
    struct many *m = grpc_call_user(call);
    struct grpc_status st;

    if (request_read(&retry_many_request_table, message, &request, &st) ||
        retry_check(futures_of(call), &request.options, &st)) {
        grpc_call_fail(call, &st);
        return;
    }
    if (request.options.is_set) {
        m->bytes = bytes_dup(request.options.data.p, request.options.data.len);
        m->options = (struct codec_bytes){.data = SPAN_OF_BYTES(m->bytes), .is_set = 1};
    }
    if (request.options.is_set && !m->bytes) {
        grpc_call_fail(call, convert_no_memory(&st));
        return;
    }
    m->change = retry;
    begin(call, m, &request.selector, request.page_token, request.dry_run != 0, !request.dry_run);
}

/* The IDs that a selector names are in memory when it is done; the field is the first of all these requests. */
static void prepare(struct grpc_call *call, struct span message,
                    void (*run)(struct grpc_call *call, struct span message))
{
    struct wire_reader r = wire_reader(message);
    struct span selector = {0};
    struct wire_field f;

    while (wire_next(&r, &f) == 0)
        if (f.number == 1 && f.type == WIRE_BYTES)
            selector = f.bytes;
    preload(call, message, selector, SELECTOR_IDS, run);
}

static void on_cancel_many(struct grpc_call *call, struct span message)
{
    prepare(call, message, do_cancel_many);
}

static void on_delete_many(struct grpc_call *call, struct span message)
{
    prepare(call, message, do_delete_many);
}

static void on_retry_many_start(struct grpc_call *call)
{
    struct many *m = mem_zalloc(sizeof *m);

    grpc_call_set_user(call, m);
    if (!m || submit_traceparent(call, &m->traceparent) < 0)
        grpc_call_fail(call, convert_no_memory(&(struct grpc_status){0}));
}

static void on_retry_many(struct grpc_call *call, struct span message)
{
    prepare(call, message, do_retry_many);
}

static void on_done(struct grpc_call *call, enum grpc_end end)
{
    preload_drop(call);
    many_free(grpc_call_user(call));
}

const struct grpc_handler cancel_many_handler = {.on_message = on_cancel_many, .on_done = on_done},
                          delete_many_handler = {.on_message = on_delete_many, .on_done = on_done},
                          retry_many_handler = {.on_start = on_retry_many_start,
                                                .on_message = on_retry_many,
                                                .on_done = on_done};
