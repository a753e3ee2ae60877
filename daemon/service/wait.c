// SPDX-License-Identifier: Apache-2.0
/*
 * Wait: one waiter tied to each of its futures, answered once, when its mode is met or its time is up.
 *
 * What a filter, or with a store a group, names is taken by a search, once: members up to the last one accepted before the
 * call. The finished ones that only the store has are loaded, and listed, as far as a page goes; the others are counted. Until
 * the search is through nothing is answered. A group that is expected to have more members is tied to those who join from the
 * call on; when the search is through it is known how many of them are needed.
 */
#include "base/mem.h"
#include "service/internal.h"
#include "service/operations.h"
#include "service/preload.h"

#include <errno.h>

struct wait_call {
    struct waiting waiting;
    struct heap_item timeout;
    struct futures *service;
    struct bytes *request; /* kept for the order of its IDs; NULL for a group */
    struct bytes *group;   /* NULL for IDs and filters */
    enum view view;
    int is_timed_out, is_collecting;
    struct search search; /* by filter, or by group with a store */
    struct search_selector selector;
    uint32_t expect, n_members, n_ended;
    int refused;                           /* what engine_wait has answered */
    uint64_t stored[FUTURE_CANCELLED + 1]; /* members that only the store has, by state */
};

enum {
    WAIT_RESPONSE_DONE = 1,
    WAIT_RESPONSE_NOT_DONE = 2,
    WAIT_RESPONSE_MISSING = 3,
    WAIT_RESPONSE_COUNTS = 4,
    WAIT_RESPONSE_TIMED_OUT = 5,
};

/* The room an ID takes in not_done and missing, what is kept for each future yet to come, which is what the least of one takes
 * as a rule, and for the rest of the answer. */
enum { ID_FIELD_BYTES = ID_TEXT_LEN + 2, LEAST_BYTES = 72, ANSWER_RESERVE_BYTES = 256 };

/* An answer being written: how much room is left in it, how many futures it lists, and how many may follow. */
struct answer {
    struct writer w;
    size_t room;
    uint32_t n_listed, n_left;
    enum view view;
    uint64_t counts[FUTURE_CANCELLED + 1];
};

static void answer_done(struct answer *a, const struct future *f)
{
    size_t room = a->room - MIN(a->room, (size_t)a->n_left * LEAST_BYTES), before = buf_len(a->w.out), n;

    convert_future_field(&a->w, WAIT_RESPONSE_DONE, f, convert_fit(f, a->view, room));
    n = buf_len(a->w.out) - before;
    if (n > a->room) { /* counted, not listed: the answer is full */
        a->w.out->end -= n;
        return;
    }
    a->room -= n;
    a->n_listed++;
}

static void answer_id(struct answer *a, uint32_t field, const struct id *id)
{
    char text[ID_TEXT_LEN + 1];

    if (a->room < ID_FIELD_BYTES)
        return;
    id_format(id, text);
    writer_bytes(&a->w, field, (struct span){(const uint8_t *)text, ID_TEXT_LEN});
    a->room -= ID_FIELD_BYTES;
}

static void answer_future(struct answer *a, const struct future *f, uint32_t limit)
{
    a->counts[f->state]++;
    a->n_left -= a->n_left > 0;
    if (a->n_listed >= limit)
        return;
    if (future_is_terminal(f)) {
        answer_done(a, f);
    } else {
        answer_id(a, WAIT_RESPONSE_NOT_DONE, &f->id);
        a->n_listed++;
    }
}

/* In the order the caller gave, each once. -ENOMEM. */
static int answer_ids(struct answer *a, struct wait_call *call)
{
    struct wire_reader r = wire_reader(SPAN_OF_BYTES(call->request));
    const struct caller *caller = caller_of(&call->service->callers, call->waiting.call);
    struct idset seen;
    struct span text;
    struct id id;
    int e = caller ? 0 : -ENOMEM;

    idset_init(&seen, &call->service->seed);
    while (e == 0 && codec_each(&r, SELECTOR_IDS, &text)) {
        struct future *f;

        if (id_parse((const char *)text.p, text.len, &id) != 0)
            continue; /* checked when the call came */
        e = idset_add(&seen, &id);
        if (e == IDSET_E_EXISTS) {
            e = 0;
            continue;
        }
        f = e == 0 ? engine_find(call->service->engine, caller->scope, &id) : NULL;
        if (f) {
            answer_future(a, f, UINT32_MAX);
        } else if (e == 0) {
            a->n_left -= a->n_left > 0;
            answer_id(a, WAIT_RESPONSE_MISSING, &id);
        }
    }
    idset_deinit(&seen);
    return e;
}

static int answer_group(struct answer *a, struct wait_call *call)
{
    const struct caller *caller = caller_of(&call->service->callers, call->waiting.call);

    if (!caller)
        return -ENOMEM;
    for (uint32_t state = 0; state < ARRAY_LEN(call->stored); state++)
        a->counts[state] += call->stored[state];
    LIST_FOREACH (l, &call->waiting.waiter.done)
        answer_future(a, LIST_ENTRY(l, struct edge, of_waiter)->future, LIMIT_PAGE_SIZE);
    LIST_FOREACH (l, &call->waiting.waiter.pending)
        answer_future(a, LIST_ENTRY(l, struct edge, of_waiter)->future, LIMIT_PAGE_SIZE);
    return 0;
}

/* Of all that the answer shows: the commit that makes the last of it durable. */
static uint64_t newest_seq(struct wait_call *call)
{
    const struct list *lists[] = {&call->waiting.waiter.done, &call->waiting.waiter.pending};
    struct engine *e = call->service->engine;
    uint64_t seq = call->waiting.waiter.n_missing ? engine_deleted_seq(e) : 0;

    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        LIST_FOREACH (l, lists[i])
            seq = MAX(seq, engine_shown(e, LIST_ENTRY(l, struct edge, of_waiter)->future));
    return seq;
}

static void answer_wait(struct wait_call *call)
{
    struct futures *s = call->service;
    struct answer a = {.view = call->view, .room = s->max_message_bytes - ANSWER_RESERVE_BYTES};
    struct writer_mark m;
    struct buf *out;
    int e;

    if (futures_show_seq(call->waiting.call, newest_seq(call)) < 0)
        return;
    out = grpc_call_begin(call->waiting.call);
    a.w = writer_to(out);
    a.n_left = call->waiting.waiter.n_done + call->waiting.waiter.n_pending + call->waiting.waiter.n_missing;
    if (!call->request)
        a.n_left = MIN(a.n_left, (uint32_t)LIMIT_PAGE_SIZE);
    heap_del(&s->timeouts, &call->timeout);
    if (!out) {
        grpc_call_fail(call->waiting.call, convert_no_memory(&(struct grpc_status){0}));
        return;
    }
    e = call->request ? answer_ids(&a, call) : answer_group(&a, call);
    m = writer_begin(&a.w, WAIT_RESPONSE_COUNTS, 32);
    for (uint32_t state = FUTURE_PENDING; state <= FUTURE_CANCELLED; state++)
        writer_uint(&a.w, state, a.counts[state]);
    writer_end(&a.w, m);
    writer_uint(&a.w, WAIT_RESPONSE_TIMED_OUT, call->is_timed_out != 0);
    if (e)
        a.w.failed = e;
    futures_send(call->waiting.call, &a.w);
    grpc_call_finish(call->waiting.call);
}

/* The one future that a WaitOperation is about. */
static void answer_operation(struct wait_call *call)
{
    struct waiter *waiter = &call->waiting.waiter;
    struct list *edges = waiter->n_done ? &waiter->done : &waiter->pending;
    struct wire_reader r = wire_reader(SPAN_OF_BYTES(call->request));
    struct grpc_call *grpc = call->waiting.call;
    struct span id;

    heap_del(&call->service->timeouts, &call->timeout);
    if (waiter->n_missing == 0)
        operations_reply(grpc, LIST_ENTRY(edges->next, struct edge, of_waiter)->future);
    else if (codec_each(&r, SELECTOR_IDS, &id))
        (void)!futures_find(grpc, id); /* it is not there, and that is the answer */
}

static void on_wait_news(struct waiting *waiting)
{
    struct wait_call *call = CONTAINER_OF(waiting, struct wait_call, waiting);

    if (call->is_collecting || (!waiter_is_ready(&waiting->waiter) && !call->is_timed_out))
        return;
    call->is_timed_out &= !waiter_is_ready(&waiting->waiter);
    if (!grpc_call_is_writable(waiting->call))
        return;
    if (futures_is_operation(waiting->call))
        answer_operation(call);
    else
        answer_wait(call);
}

mono_ns_t wait_tick(struct futures *s, mono_ns_t now)
{
    struct heap_item *first;

    while ((first = heap_min(&s->timeouts)) && first->key <= now) {
        struct wait_call *call = CONTAINER_OF(first, struct wait_call, timeout);

        heap_del(&s->timeouts, first);
        call->is_timed_out = call->is_collecting || !waiter_is_ready(&call->waiting.waiter);
        on_wait_news(&call->waiting);
    }
    return first ? first->key : CLOCK_NEVER;
}

/* The mode and the number wanted. 0; REQUEST_E_BAD. */
static int read_mode(const struct wait_request *request, enum waiter_mode *ret, struct grpc_status *st)
{
    static const enum waiter_mode modes[] = {
            [RETURN_DEFAULT] = WAITER_ALL,           [RETURN_ALL_COMPLETED] = WAITER_ALL,
            [RETURN_FIRST_COMPLETED] = WAITER_COUNT, [RETURN_FIRST_EXCEPTION] = WAITER_FIRST_EXCEPTION,
            [RETURN_COUNT] = WAITER_COUNT,
    };

    if (request->return_when > RETURN_COUNT)
        return request_bad_field(
                st, "return_when",
                "%llu is no ReturnWhen: ALL_COMPLETED 1, FIRST_COMPLETED 2, FIRST_EXCEPTION 3, COUNT 4",
                (unsigned long long)request->return_when);
    if (request->return_when == RETURN_COUNT && request->count == 0)
        return request_bad_field(st, "count", "is required with COUNT and must be at least 1");
    if (request->return_when != RETURN_COUNT && request->count != 0)
        return request_bad_field(st, "count", "goes with return_when COUNT only");
    if (request->count > UINT32_MAX || request->expect > UINT32_MAX)
        return request_bad_field(st, request->count > UINT32_MAX ? "count" : "expect",
                                 "does not fit 32 bits");
    if (request->timeout.is_set && request->timeout.ns < 0)
        return request_bad_field(st, "timeout", "is negative");
    *ret = modes[request->return_when];
    return 0;
}

/* Ties the waiter to every known ID; unknown ones count as done. 0, REQUEST_E_BAD. */
static int wait_for_ids(struct wait_call *call, struct span selector, const struct caller *caller,
                        struct grpc_status *st)
{
    struct wire_reader r = wire_reader(selector);
    struct idset seen;
    struct span text;
    struct id id;
    int e = 0;

    idset_init(&seen, &call->service->seed);
    while (e == 0 && codec_each(&r, SELECTOR_IDS, &text)) {
        struct future *f;

        e = request_id(text, "selector.ids", &id, st);
        if (e)
            break;
        e = idset_add(&seen, &id);
        if (e == IDSET_E_EXISTS) {
            e = 0;
            continue;
        }
        f = e == 0 ? engine_find(call->service->engine, caller->scope, &id) : NULL;
        if (f)
            e = engine_wait(call->service->engine, &call->waiting.waiter, f, NULL, 0);
        else if (e == 0)
            call->waiting.waiter.n_missing++;
        if (e)
            convert_engine_error(st, e, (struct span){0});
    }
    idset_deinit(&seen);
    return e ? REQUEST_E_BAD : 0;
}

static int on_hit(struct search *s, const struct search_hit *hit)
{
    struct wait_call *call = s->user;
    struct waiter *w = &call->waiting.waiter;
    struct filter_value state = {0};

    call->n_members++;
    if (hit->future) {
        call->n_ended += future_is_terminal(hit->future) ? 1 : 0;
        s->wants_futures = call->n_ended < LIMIT_PAGE_SIZE;
        call->refused = engine_wait(s->service->engine, w, hit->future, NULL, 0);
        return call->refused ? -ENOMEM : 0;
    }
    (void)!hit->subject.get(hit->subject.record, FILTER_STATE, (struct span){0}, 0, &state);
    ASSERT(state.number > 0 && (size_t)state.number < ARRAY_LEN(call->stored));
    call->stored[state.number]++;
    w->n_missing++; /* done, and elsewhere */
    w->n_failed += state.number == FUTURE_FAILED;
    return 0;
}

static void on_collected(struct search *s, int result)
{
    struct wait_call *call = s->user;
    struct grpc_status st;

    call->is_collecting = 0;
    if (result) {
        grpc_call_fail(call->waiting.call,
                       call->refused ? convert_engine_error(&st, call->refused, (struct span){0})
                                     : preload_status(&st, result, NULL));
        return;
    }
    if (call->expect)
        engine_wait_settle(s->service->engine, &call->waiting.waiter,
                           call->expect - MIN(call->expect, call->n_members));
    on_wait_news(&call->waiting);
}

/* Takes what the selector names. Returns 0: on_collected follows, perhaps it has come; REQUEST_E_BAD. */
static int collect(struct wait_call *call, const struct wait_request *request, const struct caller *caller,
                   struct grpc_status *st)
{
    struct engine *e = call->service->engine;
    int r;

    if (search_selector_read(&request->selector, engine_wall(e), &call->selector, st))
        return REQUEST_E_BAD;
    call->group = bytes_ref(call->selector.group);
    call->expect = (uint32_t)request->expect;
    r = engine_wait_joiners(e, &call->waiting.waiter, caller->scope, SPAN_OF_BYTES(call->group),
                            call->expect);
    if (r) {
        convert_engine_error(st, r, (struct span){0});
        return REQUEST_E_BAD;
    }
    call->search.service = call->service;
    call->search.scope = caller->scope;
    call->search.selector = &call->selector;
    call->search.now = engine_wall(e);
    call->search.last = engine_last_key(e);
    call->search.is_bounded = 1;
    call->search.wants_futures = 1;
    call->search.budget = UINT64_MAX;
    call->search.on_hit = on_hit;
    call->search.on_end = on_collected;
    call->search.user = call;
    call->is_collecting = 1;
    return 0;
}

static int wait_begin(struct wait_call *call, const struct wait_request *request, struct grpc_status *st)
{
    const struct caller *caller = caller_of(&call->service->callers, call->waiting.call);
    struct selector selector;
    int r;

    if (request_selector(&request->selector, &selector, st) ||
        request_view(request->view, VIEW_BASIC, "view", &call->view, st))
        return REQUEST_E_BAD;
    if (request->expect && !selector.group.len)
        return request_bad_field(st, "expect", "goes with a group only");
    if (!caller) {
        convert_no_memory(st);
        return REQUEST_E_BAD;
    }
    if (selector.filter.len ||
        (selector.group.len && (call->service->has_store || caller->scope->is_confined)))
        return collect(call, request, caller, st);
    if (selector.group.len) {
        call->group = bytes_dup(selector.group.p, selector.group.len);
        r = call->group ? engine_wait_group(call->service->engine, &call->waiting.waiter, caller->scope,
                                            selector.group, (uint32_t)request->expect)
                        : -ENOMEM;
        if (r)
            convert_engine_error(st, r, (struct span){0});
        return r ? REQUEST_E_BAD : 0;
    }
    call->request = bytes_dup(request->selector.data.p, request->selector.data.len);
    if (!call->request) {
        convert_no_memory(st);
        return REQUEST_E_BAD;
    }
    return wait_for_ids(call, SPAN_OF_BYTES(call->request), caller, st);
}

void wait_do(struct grpc_call *grpc, struct span message)
{
    struct wait_request request = {0};
    struct wait_call *call;
    enum waiter_mode mode = WAITER_ALL;
    struct grpc_status st;

    if (request_read(&wait_request_table, message, &request, &st) || read_mode(&request, &mode, &st)) {
        grpc_call_fail(grpc, &st);
        return;
    }
    call = mem_zalloc(sizeof *call);
    if (!call) {
        grpc_call_fail(grpc, convert_no_memory(&st));
        return;
    }
    call->service = futures_of(grpc);
    waiting_init(&call->waiting, &call->service->waitings, mode,
                 request.return_when == RETURN_FIRST_COMPLETED ? 1 : (uint32_t)request.count, grpc,
                 on_wait_news);
    grpc_call_set_user(grpc, call);
    if (wait_begin(call, &request, &st)) {
        grpc_call_fail(grpc, &st);
        return;
    }
    if (request.timeout.is_set && (call->is_collecting || !waiter_is_ready(&call->waiting.waiter))) {
        if (request.timeout.ns == 0)
            call->is_timed_out = 1;
        else if (heap_set(&call->service->timeouts, &call->timeout,
                          clock_add(grpc_call_now(grpc), request.timeout.ns)) < 0) {
            grpc_call_fail(grpc, convert_no_memory(&st));
            return;
        }
    }
    if (call->is_collecting)
        search_begin(&call->search);
    else
        on_wait_news(&call->waiting);
}

static void on_wait(struct grpc_call *grpc, struct span message)
{
    struct wait_request request = {0};
    struct grpc_status st;

    if (request_read(&wait_request_table, message, &request, &st))
        grpc_call_fail(grpc, &st);
    else
        preload(grpc, message, request.selector.data, SELECTOR_IDS, wait_do);
}

void wait_on_writable(struct grpc_call *grpc)
{
    struct wait_call *call = grpc_call_user(grpc);

    if (call)
        on_wait_news(&call->waiting);
}

void wait_on_done(struct grpc_call *grpc, enum grpc_end end)
{
    struct wait_call *call = grpc_call_user(grpc);

    preload_drop(grpc);
    if (!call)
        return;
    waiting_deinit(&call->waiting, call->service->engine);
    heap_del(&call->service->timeouts, &call->timeout);
    bytes_unref(call->request);
    bytes_unref(call->group);
    search_drop(&call->search);
    search_selector_deinit(&call->selector);
    mem_free(call);
}

const struct grpc_handler wait_handler = {
        .on_message = on_wait,
        .on_writable = wait_on_writable,
        .on_done = wait_on_done,
};
