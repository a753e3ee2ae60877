// SPDX-License-Identifier: Apache-2.0
#include "service/futures.h"

#include "base/mem.h"
#include "service/internal.h"
#include "service/operations.h"
#include "service/watcher.h"

#include <errno.h>
#include <string.h>

/* ---- what the methods share */

void futures_answer(struct waiter *w)
{
    struct waiting *waiting = w->user;

    waiting->on_news(waiting);
}

size_t futures_room(const struct futures *s, size_t beside)
{
    size_t taken = beside + 16; /* tags and lengths around it */

    return s->max_message_bytes - MIN(s->max_message_bytes, taken);
}

void futures_send(struct grpc_call *call, const struct writer *w)
{
    if (LIKELY(!w->failed)) {
        grpc_call_end(call);
        return;
    }
    grpc_call_undo(call);
    grpc_call_fail(call, convert_no_memory(&(struct grpc_status){0}));
}

void futures_send_beside(struct grpc_call *call, const struct writer *w, struct buf *page, uint64_t seq)
{
    if (w->failed)
        grpc_call_fail(call, convert_no_memory(&(struct grpc_status){0}));
    else if (futures_show_seq(call, seq) < 0)
        ; /* it has failed */
    else if (grpc_call_send(call, (struct span){buf_head(page), buf_len(page)}) < 0)
        grpc_call_fail(call, convert_no_memory(&(struct grpc_status){0}));
    else
        grpc_call_finish(call);
    buf_deinit(page);
}

int futures_show_seq(struct grpc_call *call, uint64_t seq)
{
    int r = grpc_call_stamp(call, seq);

    if (r < 0)
        grpc_call_fail(call, convert_no_memory(&(struct grpc_status){0}));
    return r;
}

int futures_show(struct grpc_call *call, struct future *f)
{
    struct engine *e = futures_of(call)->engine;

    return futures_show_seq(call, f ? engine_shown(e, f) : engine_deleted_seq(e));
}

int futures_may_change(const struct futures *s, enum durability durability, int is_new,
                       struct grpc_status *st)
{
    if (LIKELY(s->refusal == FUTURES_ACCEPT) || durability != DURABILITY_DURABLE)
        return 0;
    if (s->refusal == FUTURES_STALLED || s->refusal == FUTURES_BROKEN)
        status_set(st, GRPC_UNAVAILABLE, s->refusal == FUTURES_STALLED ? "STORE_STALLED" : "STORE_BROKEN",
                   "the store cannot write; nothing was changed");
    else if (!is_new)
        return 0;
    else if (s->refusal == FUTURES_SPACE)
        status_set_quota(status_set(st, GRPC_RESOURCE_EXHAUSTED, "DISK_SPACE",
                                    "less than [store] reserve is free in the file system of the store; "
                                    "nothing is accepted"),
                         "store.reserve", "free space of the file system");
    else
        status_set_quota(status_set(st, GRPC_RESOURCE_EXHAUSTED, "STORE_BEHIND",
                                    "too much waits for the store to write it"),
                         "store", "bytes that wait to be written");
    status_set_retry(st, 1000);
    return REQUEST_E_BAD;
}

int futures_begin(struct grpc_call *call, struct future *f, struct writer *ret)
{
    struct buf *out;

    if (f && futures_show(call, f) < 0)
        return -ENOMEM;
    out = grpc_call_begin(call);
    if (!out) {
        grpc_call_fail(call, convert_no_memory(&(struct grpc_status){0}));
        return -ENOMEM;
    }
    *ret = writer_to(out);
    return 0;
}

void futures_reply(struct grpc_call *call, struct future *f, enum view view)
{
    struct writer w;

    if (futures_begin(call, f, &w) < 0)
        return;
    if (!futures_is_operation(call)) /* CancelOperation answers nothing */
        convert_future(&w, f, convert_fit(f, view, futures_of(call)->max_message_bytes));
    futures_send(call, &w);
    grpc_call_finish(call);
}

struct future *futures_find(struct grpc_call *call, struct span text)
{
    struct futures *s = futures_of(call);
    const struct caller *caller = caller_of(&s->callers, call);
    struct future *f = NULL;
    struct grpc_status st;
    struct id id;

    if (!caller)
        convert_no_memory(&st);
    else if (request_id(text, "id", &id, &st) == 0 && !(f = engine_find(s->engine, caller->scope, &id)))
        convert_not_found(&st, &id);
    if (!f && futures_show(call, NULL) == 0)
        grpc_call_fail(call, &st);
    return f;
}

/* ---- Get */

/* The future that holds @key, or NULL with the call ended. */
static struct future *find_key(struct grpc_call *call, struct span key)
{
    struct futures *s = futures_of(call);
    const struct caller *caller = caller_of(&s->callers, call);
    struct future *f = caller ? engine_find_key(s->engine, caller->scope, key) : NULL;
    struct grpc_status st;

    if (f && scope_may_see(caller->scope, f->scope))
        return f;
    if (caller) {
        status_set(&st, GRPC_NOT_FOUND, "NO_SUCH_FUTURE", "no future holds the idempotency key \"%.*s\"",
                   (int)key.len, (const char *)key.p);
        convert_resource(&st, "idempotency_key", key);
    } else {
        convert_no_memory(&st);
    }
    if (futures_show(call, NULL) == 0)
        grpc_call_fail(call, &st);
    return NULL;
}

static void do_get(struct grpc_call *call, struct span message)
{
    struct get_request request = {0};
    struct grpc_status st;
    struct future *f;
    enum view view;

    if (request_read(&get_request_table, message, &request, &st) ||
        request_view(request.view, VIEW_FULL, "view", &view, &st)) {
        grpc_call_fail(call, &st);
        return;
    }
    if (request.id.len && request.idempotency_key.len)
        request_bad_field(&st, "id", "cannot be given together with idempotency_key");
    if (request_text(request.idempotency_key, LIMIT_KEY_BYTES, 1, NULL, "idempotency_key", &st) ||
        (request.id.len && request.idempotency_key.len)) {
        grpc_call_fail(call, &st);
        return;
    }
    f = request.idempotency_key.len ? find_key(call, request.idempotency_key)
                                    : futures_find(call, request.id);
    if (f)
        futures_reply(call, f, view);
}

/* ---- Cancel */

static void do_cancel(struct grpc_call *call, struct span message)
{
    struct cancel_request_message request = {0};
    struct futures *s = futures_of(call);
    struct grpc_status st;
    struct future *f;

    if (request_read(&cancel_request_table, message, &request, &st) ||
        request_text(request.reason, LIMIT_REASON_BYTES, 1, NULL, "reason", &st)) {
        grpc_call_fail(call, &st);
        return;
    }
    if (request.grace.is_set && request.grace.ns < 0) {
        request_bad_field(&st, "grace", "is negative");
        grpc_call_fail(call, &st);
        return;
    }
    f = futures_find(call, request.id);
    if (!f)
        return;
    if (futures_may_change(s, f->durability, 0, &st)) {
        grpc_call_fail(call, &st);
        return;
    }
    if (engine_cancel(s->engine, f, caller_of(&s->callers, call)->scope, request.reason,
                      request.grace.is_set ? request.grace.ns : -1) < 0) {
        grpc_call_fail(call, convert_no_memory(&st));
        return;
    }
    futures_reply(call, f, VIEW_BASIC);
}

/* ---- Reschedule */

static int check_reschedule(const struct reschedule_request *r, struct grpc_status *st)
{
    if (r->priority.is_set &&
        (zigzag(r->priority.value) < INT32_MIN || zigzag(r->priority.value) > INT32_MAX))
        return request_bad_field(st, "priority", "does not fit 32 bits");
    if (r->deadline.is_set && r->clear_deadline)
        return request_bad_field(st, "clear_deadline", "cannot be given together with deadline");
    if (r->retention.is_set && r->retention.ns < 0)
        return request_bad_field(st, "retention", "is negative");
    return 0;
}

static void do_reschedule(struct grpc_call *call, struct span message)
{
    struct reschedule_request request = {0};
    struct engine_reschedule in;
    struct grpc_status st;
    struct future *f;
    int r;

    if (request_read(&reschedule_request_table, message, &request, &st) || check_reschedule(&request, &st)) {
        grpc_call_fail(call, &st);
        return;
    }
    f = futures_find(call, request.id);
    if (!f)
        return;
    if (futures_may_change(futures_of(call), f->durability, 0, &st)) {
        grpc_call_fail(call, &st);
        return;
    }
    in = (struct engine_reschedule){
            .has_priority = request.priority.is_set,
            .has_not_before = request.not_before.is_set,
            .has_deadline = request.deadline.is_set || request.clear_deadline,
            .has_retention = request.retention.is_set,
            .priority = (int32_t)zigzag(request.priority.value),
            .not_before = MAX(request.not_before.ns, INT64_C(0)),
            .deadline = request.deadline.is_set ? MAX(request.deadline.ns, INT64_C(1)) : 0,
            .retention_ns = request.retention.ns,
            .if_revision = request.if_revision.is_set ? &request.if_revision.value : NULL,
    };
    r = engine_reschedule(futures_of(call)->engine, f, &in);
    if (r == 0)
        futures_reply(call, f, VIEW_BASIC);
    else
        grpc_call_fail(call, convert_engine_error(&st, r, request.id));
}

/* ---- Delete */

static void do_delete(struct grpc_call *call, struct span message)
{
    struct delete_request request = {0};
    struct grpc_status st;
    struct future *f;
    int r;

    if (request_read(&delete_request_table, message, &request, &st)) {
        grpc_call_fail(call, &st);
        return;
    }
    f = futures_find(call, request.id);
    if (!f)
        return;
    if (futures_may_change(futures_of(call), f->durability, 0, &st)) {
        grpc_call_fail(call, &st);
        return;
    }
    r = engine_delete(futures_of(call)->engine, f);
    if (r == 0 && futures_show(call, NULL) < 0)
        return;
    if (r == 0)
        r = grpc_call_send(call, (struct span){0});
    if (r == 0)
        grpc_call_finish(call);
    else
        grpc_call_fail(call, convert_engine_error(&st, r, request.id));
}

/* ---- Annotate */

static int find_label(const struct label *labels, uint32_t n, struct span key)
{
    for (uint32_t i = 0; i < n; i++)
        if (span_eq(labels[i].key, key))
            return (int)i;
    return -1;
}

/* The future's labels as they are now, at most LIMIT_LABELS. */
static uint32_t current_labels(const struct future *f, struct label *ret)
{
    struct wire_reader r = wire_reader(SPAN_OF_BYTES(f->task));
    uint32_t n = 0;

    if (f->labels) {
        memcpy(ret, f->labels->at, f->labels->n * sizeof *ret);
        return f->labels->n;
    }
    while (n < LIMIT_LABELS && task_next_label(&r, TASK_LABELS, &ret[n].key, &ret[n].value) > 0)
        n++;
    return n;
}

/* What the labels become. @labels has room for twice LIMIT_LABELS. 0; REQUEST_E_BAD. */
static int change_labels(struct span message, struct label *labels, uint32_t *n, struct grpc_status *st)
{
    struct wire_reader removes = wire_reader(message), sets = wire_reader(message);
    struct label l;
    int e;

    while (codec_each(&removes, ANNOTATE_REMOVE, &l.key)) {
        int i = find_label(labels, *n, l.key);

        if (i >= 0)
            labels[i] = labels[--*n];
    }
    while ((e = task_next_label(&sets, ANNOTATE_SET, &l.key, &l.value)) > 0) {
        int i = find_label(labels, *n, l.key);

        if (request_text(l.key, LIMIT_LABEL_KEY_BYTES, 0, REQUEST_LABEL_KEY_CHARSET, "set_labels key", st) ||
            request_text(l.value, LIMIT_LABEL_VALUE_BYTES, 1, NULL, "set_labels value", st))
            return REQUEST_E_BAD;
        labels[i >= 0 ? (uint32_t)i : (*n)++] = l;
    }
    if (e < 0)
        return request_bad_field(st, "set_labels", "holds a malformed entry, or one that is not UTF-8");
    if (*n > LIMIT_LABELS)
        return request_bad_field(st, "set_labels", "the future would have %u labels; at most %d are allowed",
                                 *n, LIMIT_LABELS);
    return 0;
}

static void do_annotate(struct grpc_call *call, struct span message)
{
    struct annotate_request request = {0};
    struct label merged[2 * LIMIT_LABELS];
    struct labels *labels;
    struct grpc_status st;
    struct future *f;
    uint32_t n;
    int r;

    if (request_read(&annotate_request_table, message, &request, &st)) {
        grpc_call_fail(call, &st);
        return;
    }
    if (request.set_labels > LIMIT_LABELS || request.remove_labels > LIMIT_LABELS) {
        request_bad_field(&st, request.set_labels > LIMIT_LABELS ? "set_labels" : "remove_labels",
                          "at most %d are allowed", LIMIT_LABELS);
        grpc_call_fail(call, &st);
        return;
    }
    f = futures_find(call, request.id);
    if (!f)
        return;
    n = current_labels(f, merged);
    if (change_labels(message, merged, &n, &st) ||
        futures_may_change(futures_of(call), f->durability, 0, &st)) {
        grpc_call_fail(call, &st);
        return;
    }
    labels = labels_new(merged, n);
    r = labels ? engine_annotate(futures_of(call)->engine, f, labels,
                                 request.if_revision.is_set ? &request.if_revision.value : NULL)
               : -ENOMEM;
    if (r) {
        mem_free(labels);
        grpc_call_fail(call, convert_engine_error(&st, r, request.id));
        return;
    }
    futures_reply(call, f, VIEW_BASIC);
}

/* ---- the table: what a request names is in memory when it is done */

enum { ID_FIELD = 1 }; /* in each of these requests */

static void on_get(struct grpc_call *call, struct span message)
{
    struct futures *s = futures_of(call);
    struct get_request request = {0};
    const struct caller *caller;
    const char *field;

    if (codec_read(&get_request_table, message, &request, &field) == 0 && request.idempotency_key.len &&
        request.idempotency_key.len <= LIMIT_KEY_BYTES && (caller = caller_of(&s->callers, call)) &&
        !engine_find_key(s->engine, caller->scope, request.idempotency_key) &&
        engine_key_may_be_stored(s->engine, caller->scope, request.idempotency_key)) {
        preload_all(call, message,
                    &(struct preload_wants){.namespace = SPAN_OF_BYTES(caller->scope->namespace),
                                            .key = request.idempotency_key,
                                            .run = do_get});
        return;
    }
    preload(call, message, message, ID_FIELD, do_get);
}

static void on_cancel(struct grpc_call *call, struct span message)
{
    preload(call, message, message, ID_FIELD, do_cancel);
}

static void on_reschedule(struct grpc_call *call, struct span message)
{
    preload(call, message, message, ID_FIELD, do_reschedule);
}

static void on_delete(struct grpc_call *call, struct span message)
{
    preload(call, message, message, ID_FIELD, do_delete);
}

static void on_annotate(struct grpc_call *call, struct span message)
{
    preload(call, message, message, ID_FIELD, do_annotate);
}

static void on_done(struct grpc_call *call, enum grpc_end end)
{
    preload_drop(call);
}

void futures_do_cancel(struct grpc_call *call, struct span message)
{
    do_cancel(call, message);
}

void futures_do_delete(struct grpc_call *call, struct span message)
{
    do_delete(call, message);
}

struct function *futures_find_function(const struct futures *s, struct grpc_call *call, struct span name)
{
    struct grpc_status st;
    struct function *fn;

    if (request_text(name, LIMIT_FUNCTION_NAME_BYTES, 0, REQUEST_FUNCTION_CHARSET, "function", &st)) {
        grpc_call_fail(call, &st);
        return NULL;
    }
    fn = engine_function_find(s->engine, name);
    if (fn)
        return fn;
    status_set(&st, GRPC_NOT_FOUND, "NO_SUCH_FUNCTION", "no function \"%.*s\" was ever configured or offered",
               (int)name.len, (const char *)name.p);
    grpc_call_fail(call, convert_resource(&st, "futured.v1.Function", name));
    return NULL;
}

void futures_know_workers(struct futures *s, const struct futures_workers *workers)
{
    s->workers = *workers;
}

int futures_failure(const struct futures *s, const struct function *fn, struct function_failure *ret)
{
    return s->workers.failure && s->workers.failure(s->workers.context, fn, ret);
}

uint64_t futures_credit(const struct futures *s, const struct function *fn)
{
    return s->workers.credit ? s->workers.credit(s->workers.context, fn) : 0;
}

static const struct grpc_handler get_handler = {.on_message = on_get, .on_done = on_done},
                                 cancel_handler = {.on_message = on_cancel, .on_done = on_done},
                                 reschedule_handler = {.on_message = on_reschedule, .on_done = on_done},
                                 delete_handler = {.on_message = on_delete, .on_done = on_done},
                                 annotate_handler = {.on_message = on_annotate, .on_done = on_done};

/* The methods. */
static const struct grpc_method rows[] = {
        {"/futured.v1.Futures/Submit", GRPC_UNARY, &submit_handler, NULL, RIGHT_SUBMIT},
        {"/futured.v1.Futures/SubmitStream", GRPC_BIDI, &submit_stream_handler, NULL, RIGHT_SUBMIT},
        {"/futured.v1.Futures/Run", GRPC_UNARY, &run_handler, NULL, RIGHT_SUBMIT},
        {"/futured.v1.Futures/RunStream", GRPC_BIDI, &run_stream_handler, NULL, RIGHT_SUBMIT},
        {"/futured.v1.Futures/Get", GRPC_UNARY, &get_handler, NULL, RIGHT_READ},
        {"/futured.v1.Futures/Wait", GRPC_UNARY, &wait_handler, NULL, RIGHT_READ},
        {"/futured.v1.Futures/AsCompleted", GRPC_BIDI, &as_completed_handler, NULL, RIGHT_READ},
        {"/futured.v1.Futures/Watch", GRPC_SERVER_STREAM, &watch_handler, NULL, RIGHT_READ},
        {"/futured.v1.Futures/List", GRPC_UNARY, &list_handler, NULL, RIGHT_READ},
        {"/futured.v1.Futures/Count", GRPC_UNARY, &count_handler, NULL, RIGHT_READ},
        {"/futured.v1.Futures/CancelMany", GRPC_UNARY, &cancel_many_handler, NULL, RIGHT_CANCEL},
        {"/futured.v1.Futures/DeleteMany", GRPC_UNARY, &delete_many_handler, NULL, RIGHT_CANCEL},
        {"/futured.v1.Futures/Retry", GRPC_UNARY, &retry_handler, NULL, RIGHT_SUBMIT},
        {"/futured.v1.Futures/RetryMany", GRPC_UNARY, &retry_many_handler, NULL, RIGHT_SUBMIT},
        {"/futured.v1.Futures/Explain", GRPC_UNARY, &explain_handler, NULL, RIGHT_READ},
        {"/futured.v1.Futures/Annotate", GRPC_UNARY, &annotate_handler, NULL, RIGHT_ANNOTATE},
        {"/futured.v1.Futures/Cancel", GRPC_UNARY, &cancel_handler, NULL, RIGHT_CANCEL},
        {"/futured.v1.Futures/Reschedule", GRPC_UNARY, &reschedule_handler, NULL, RIGHT_ANNOTATE},
        {"/futured.v1.Futures/Delete", GRPC_UNARY, &delete_handler, NULL, RIGHT_CANCEL},
};

int futures_new(struct futures **ret, struct engine *e, size_t max_message_bytes,
                const struct hash_seed *seed)
{
    struct futures *s = mem_zalloc(sizeof *s);

    if (!s)
        return -ENOMEM;
    s->engine = e;
    s->max_message_bytes = max_message_bytes;
    s->seed = *seed;
    s->timeouts = HEAP_INIT;
    caller_cache_init(&s->callers, e, seed);
    list_init(&s->waitings);
    list_init(&s->searches);
    list_init(&s->quiet);
    list_init(&s->feeds);
    s->feeds_at = CLOCK_NEVER;
    s->scan_limit = LIMITS_DEFAULT.scan_limit;
    s->watches = (struct futures_watches){LIMITS_DEFAULT.max_filter_watches, LIMITS_DEFAULT.watch_events, 0};
    list_init(&s->preloads);
    list_init(&s->announcing[0]);
    list_init(&s->announcing[1]);
    s->n_methods = ARRAY_LEN(rows) + OPERATIONS_METHODS;
    _Static_assert(ARRAY_LEN(rows) + OPERATIONS_METHODS <= ARRAY_LEN(s->methods), "room for every method");
    memcpy(s->methods, rows, sizeof rows);
    memcpy(s->methods + ARRAY_LEN(rows), operations_rows, sizeof operations_rows);
    s->operations = s->methods + ARRAY_LEN(rows);
    for (size_t i = 0; i < s->n_methods; i++)
        s->methods[i].context = s;
    *ret = s;
    return 0;
}

struct futures *futures_free(struct futures *s)
{
    if (!s)
        return NULL;
    caller_cache_deinit(&s->callers);
    heap_deinit(&s->timeouts);
    return mem_free(s);
}

const struct grpc_method *futures_methods(const struct futures *s, size_t *ret_n)
{
    *ret_n = s->n_methods;
    return s->methods;
}

void futures_keep(struct futures *s, const struct futures_loader *loader)
{
    s->has_store = 1;
    s->loader = *loader;
}

void futures_limit_scans(struct futures *s, uint32_t limit)
{
    s->scan_limit = limit;
}

void futures_limit_watches(struct futures *s, const struct futures_watches *watches)
{
    s->watches = *watches;
}

void futures_refuse(struct futures *s, enum futures_refusal why)
{
    s->refusal = why;
}

void futures_drain(struct futures *s, int is_draining)
{
    s->is_draining = is_draining;
}

void futures_shutdown(struct futures *s)
{
    struct grpc_status st;

    engine_stay(s->engine); /* whoever leaves now is sent away by us */
    status_set_retry(status_set(&st, GRPC_UNAVAILABLE, "STOPPING",
                                "the daemon is stopping; what you waited for has not ended"),
                     1000);
    LIST_FOREACH (l, &s->waitings)
        grpc_call_fail(LIST_ENTRY(l, struct waiting, link)->call, &st);
}

mono_ns_t futures_tick(struct futures *s, mono_ns_t now)
{
    mono_ns_t next = CLOCK_NEVER;

    if (s->timeouts.n)
        next = wait_tick(s, now);
    if (!list_is_empty(&s->announcing[0]) || !list_is_empty(&s->announcing[1]))
        next = MIN(next, run_tick(s, now));
    if (!list_is_empty(&s->searches))
        next = MIN(next, search_tick(s, now));
    if (!list_is_empty(&s->feeds))
        next = MIN(next, feed_tick(s, now));
    if (!list_is_empty(&s->quiet))
        next = MIN(next, watcher_tick(s, now)); /* the last: it notes what was sent before */
    return next;
}
