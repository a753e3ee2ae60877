// SPDX-License-Identifier: Apache-2.0
/*
 * Accepting tasks. A request is read into spans, checked field by field, and its Task kept as one byte string exactly as
 * it came; everything after that uses those bytes.
 *
 * What a request names may be where only the store has it: who holds its idempotency key, the future that its request_id
 * made. Then it waits for that to be read (preload), and so does what comes behind it in a stream.
 *
 * SubmitStream answers each request in order. A client that does not read its answers is credited until
 * LIMIT_STREAM_UNREAD_REPLIES or LIMIT_STREAM_UNREAD_BYTES of them wait; then its requests stay in its own socket.
 */
#include "base/mem.h"
#include "service/depends.h"
#include "service/internal.h"
#include "service/options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int check_labels(const struct task *task, struct span raw, struct grpc_status *st)
{
    struct wire_reader r = wire_reader(raw);
    struct span keys[LIMIT_LABELS], key, value;
    uint32_t n = 0;
    int e;

    if (task->labels > LIMIT_LABELS)
        return request_bad_field(st, "task.labels", "%u labels; at most %d are allowed", task->labels,
                                 LIMIT_LABELS);
    while ((e = task_next_label(&r, TASK_LABELS, &key, &value)) > 0) {
        if (request_text(key, LIMIT_LABEL_KEY_BYTES, 0, REQUEST_LABEL_KEY_CHARSET, "task.labels key", st) ||
            request_text(value, LIMIT_LABEL_VALUE_BYTES, 1, NULL, "task.labels value", st))
            return REQUEST_E_BAD;
        for (uint32_t i = 0; i < n; i++)
            if (span_eq(keys[i], key))
                return request_bad_field(st, "task.labels", "key \"%.*s\" is given twice", (int)key.len,
                                         (const char *)key.p);
        keys[n++] = key;
    }
    return e < 0 ? request_bad_field(st, "task.labels", "holds a malformed entry, or one that is not UTF-8")
                 : 0;
}

/* Everything about the task itself; fills what the engine is told, and in @ret which IDs it names. */
static int check_task(const struct futures *s, struct span raw, struct schedule_room *room,
                      struct engine_submit *in, struct accepted *ret, struct grpc_status *st)
{
    struct task task = {0};

    if (request_read_in(&task_table, raw, &task, "task", st))
        return REQUEST_E_BAD;
    if (request_text(task.function, LIMIT_FUNCTION_NAME_BYTES, 0, REQUEST_FUNCTION_CHARSET, "task.function",
                     st) ||
        request_text(task.content_type, LIMIT_CONTENT_TYPE_BYTES, 1, NULL, "task.content_type", st))
        return REQUEST_E_BAD;
    if (task.argument_blob
                .p) /* also when empty: as the last of its oneof it would hide the argument from others */
        return request_unbuilt_field(st, "task.argument_blob");
    if (task.labels && check_labels(&task, raw, st))
        return REQUEST_E_BAD;
    in->function = task.function;
    if (options_read(s, task.options.data, OPTIONS_OF_TASK, room, in, st))
        return REQUEST_E_BAD;
    if (task.argument.is_set) {
        in->argument_at = (uint32_t)(task.argument.field.p - raw.p);
        in->argument_field_bytes = (uint32_t)task.argument.field.len;
        in->argument_bytes = (uint32_t)task.argument.data.len;
    }
    if (in->n_upstreams) {
        ret->wants.ids = task.options.data;
        ret->wants.field = TASK_OPTIONS_DEPENDS_ON;
    }
    if (in->key.len) {
        in->content_type_bytes = (uint32_t)task.content_type.len;
        in->content_type_at = task.content_type.len ? (uint32_t)(task.content_type.p - raw.p) : 0;
    }
    return 0;
}

/* Whether something that @in names may be where only the store has it; ret->wants says what. */
static int is_missing(const struct futures *s, const struct engine_submit *in, struct accepted *ret)
{
    const struct id *id =
            in->request_id.len ? engine_find_request(s->engine, in->scope, in->request_id) : NULL;
    int is = in->n_upstreams && depends_are_missing(s, ret->wants.ids);

    if (id && preload_is_missing(s, id)) {
        ret->wants.id = id;
        is = 1;
    }
    if (in->key.len && !engine_find_key(s->engine, in->scope, in->key) &&
        engine_key_may_be_stored(s->engine, in->scope, in->key)) {
        ret->wants.namespace = SPAN_OF_BYTES(in->scope->namespace);
        ret->wants.key = in->key;
        is = 1;
    }
    return is;
}

/* The future that there is already for @in. 0: ret->future, NULL = there is none; REQUEST_E_BAD. */
static int join(const struct futures *s, const struct engine_submit *in, struct accepted *ret,
                struct grpc_status *st)
{
    struct future *f = in->key.len ? engine_find_key(s->engine, in->scope, in->key) : NULL;
    char id[ID_TEXT_LEN + 1];
    int r;

    if (UNLIKELY(f && !scope_may_see(in->scope, f->scope))) { /* nothing of it is told */
        status_set(st, GRPC_ALREADY_EXISTS, "KEY_IN_USE",
                   "the idempotency key belongs to a future that this principal may not see");
        return REQUEST_E_BAD;
    }
    r = engine_join(s->engine, in, &f);
    if (r == 0) {
        ret->future = f;
        ret->is_joined = f != NULL;
        return 0;
    }
    ret->named = f;
    id_format(&f->id, id);
    convert_engine_error(st, r, (struct span){(const uint8_t *)id, ID_TEXT_LEN});
    return REQUEST_E_BAD;
}

int submit_may_accept(const struct futures *s, const struct identity *who, const struct engine_submit *in,
                      struct grpc_status *st)
{
    enum quota quota = QUOTA_NONE;
    int64_t retry_ms;
    int r;

    if (s->is_draining) {
        status_set_retry(
                status_set(st, GRPC_UNAVAILABLE, "DRAINING", "the daemon drains; nothing is accepted"), 1000);
        return REQUEST_E_BAD;
    }
    r = futures_may_change(s, in->durability, 1, st);
    if (r == 0 && who)
        quota = identity_spend(who, engine_wall(s->engine), &retry_ms);
    if (LIKELY(quota == QUOTA_NONE))
        return r;
    identity_refuse(who, quota, retry_ms, st);
    return REQUEST_E_BAD;
}

/* Give @in, whose task is @raw, to the engine, unless there is a future for it. */
static int accept_task(struct futures *s, const struct identity *who, struct engine_submit *in,
                       struct span raw, struct accepted *ret, struct grpc_status *st)
{
    int r = REQUEST_E_BAD;

    in->task = bytes_dup(raw.p, raw.len);
    if (!in->task) {
        convert_no_memory(st);
        return REQUEST_E_BAD;
    }
    if ((in->key.len || in->request_id.len) && join(s, in, ret, st))
        goto out;
    if (!ret->future && (schedule_check(in, OPTIONS_OF_TASK, st) || submit_may_accept(s, who, in, st)))
        goto out;
    if (UNLIKELY(in->n_upstreams) && !ret->future) {
        int e = depends_find(s, ret->wants.ids, OPTIONS_OF_TASK, in, st);

        ret->is_unknown = e == DEPENDS_E_UNKNOWN;
        if (e)
            goto out;
    }
    r = ret->future ? 0 : engine_submit(s->engine, in, &ret->future);
    if (r != 0) {
        convert_engine_error(st, r, in->function);
        r = REQUEST_E_BAD;
    }
out:
    bytes_unref(in->task);
    return r;
}

int submit_accept(struct futures *s, const struct grpc_call *call, struct span message,
                  struct span traceparent, enum view default_view, unsigned how, struct accepted *ret,
                  struct grpc_status *st)
{
    struct submit_request request = {0};
    struct engine_submit in = {0};
    struct schedule_room room; /* is filled where it is asked for */
    const struct caller *caller;
    int r;

    *ret = (struct accepted){0};
    if (request_read(&submit_request_table, message, &request, st))
        return REQUEST_E_BAD;
    if (request_text(request.tag, LIMIT_TAG_BYTES, 1, NULL, "tag", st))
        return REQUEST_E_BAD;
    ret->tag = request.tag;
    if (request_text(request.group, LIMIT_GROUP_BYTES, 1, NULL, "group", st) ||
        request_view(request.view, default_view, "view", &ret->view, st))
        return REQUEST_E_BAD;
    if (!request.task.is_set)
        return request_bad_field(st, "task", "is required");
    if (request_text(request.request_id, LIMIT_KEY_BYTES, 1, NULL, "request_id", st))
        return REQUEST_E_BAD;
    if (check_task(s, request.task.data, &room, &in, ret, st))
        return REQUEST_E_BAD;
    r = how & SUBMIT_WAITING ? engine_may_wait(s->engine) : 0;
    if (r) {
        convert_engine_error(st, r, (struct span){0});
        return REQUEST_E_BAD;
    }
    caller = caller_of(&s->callers, call);
    if (!caller) {
        convert_no_memory(st);
        return REQUEST_E_BAD;
    }
    if (UNLIKELY(!identity_may_submit(caller->who, in.function)))
        return request_forbidden_function(caller->who, in.function, st);
    in.scope = caller->scope;
    in.peer = caller->address;
    in.group = request.group;
    in.tag = request.tag;
    in.traceparent = traceparent;
    in.request_id = request.request_id;
    in.is_cancelled_alone = (how & SUBMIT_ATTACHED) != 0;
    if (UNLIKELY(s->has_store && (in.key.len || in.request_id.len || in.n_upstreams)) &&
        !(how & SUBMIT_LOADED) && is_missing(s, &in, ret))
        return SUBMIT_E_MISSING;
    return accept_task(s, caller->who, &in, request.task.data, ret, st);
}

struct span submit_tag(struct span message)
{
    struct submit_request request = {0};
    const char *field;

    return codec_read(&submit_request_table, message, &request, &field) == 0 ? request.tag : (struct span){0};
}

/* @n lower-case hexadecimal digits, not all of them 0 unless that is allowed. */
static int is_hex(const uint8_t *p, size_t n, int may_be_zero)
{
    int is_zero = 1;

    for (size_t i = 0; i < n; i++) {
        if (!((p[i] >= '0' && p[i] <= '9') || (p[i] >= 'a' && p[i] <= 'f')))
            return 0;
        is_zero &= p[i] == '0';
    }
    return may_be_zero || !is_zero;
}

/* "Trace Context" of the W3C, section 3.2: version, trace-id, parent-id, flags; a later version may say more behind. */
static int is_traceparent(struct span s)
{
    enum { VERSION = 0, TRACE_ID = 3, PARENT_ID = 36, FLAGS = 53, LEN = 55 };

    if (s.len < LEN || s.len > LIMIT_KEY_BYTES || s.p[TRACE_ID - 1] != '-' || s.p[PARENT_ID - 1] != '-' ||
        s.p[FLAGS - 1] != '-')
        return 0;
    if (!is_hex(s.p, 2, 1) || !is_hex(s.p + TRACE_ID, 32, 0) || !is_hex(s.p + PARENT_ID, 16, 0) ||
        !is_hex(s.p + FLAGS, 2, 1) || memcmp(s.p + VERSION, "ff", 2) == 0)
        return 0;
    if (memcmp(s.p + VERSION, "00", 2) == 0)
        return s.len == LEN;
    for (size_t i = LEN; i < s.len; i++)
        if (s.p[i] < 0x20 || s.p[i] > 0x7e)
            return 0;
    return s.len == LEN || s.p[LEN] == '-';
}

int submit_traceparent(const struct grpc_call *call, struct bytes **ret)
{
    struct span header = grpc_call_header(call, "traceparent");

    *ret = NULL;
    if (LIKELY(!header.p) || !is_traceparent(header))
        return 0;
    *ret = bytes_dup(header.p, header.len);
    return *ret ? 0 : -ENOMEM;
}

enum {
    SUBMIT_RESPONSE_FUTURE = 1,
    SUBMIT_RESPONSE_STATUS = 2,
    SUBMIT_RESPONSE_TAG = 3,
    SUBMIT_RESPONSE_JOINED = 4,
};

static void put_response(struct grpc_call *call, const struct accepted *a, const struct grpc_status *st)
{
    struct writer w;
    struct buf *out;

    if (a->future && futures_show(call, a->future) < 0)
        return;
    if ((a->named || a->is_unknown) && futures_show(call, a->named) < 0)
        return;
    out = grpc_call_begin(call);
    w = writer_to(out);
    if (!out) {
        grpc_call_fail(call, convert_no_memory(&(struct grpc_status){0}));
        return;
    }
    if (a->future) {
        convert_future_field(&w, SUBMIT_RESPONSE_FUTURE, a->future,
                             convert_fit(a->future, a->view, futures_room(futures_of(call), a->tag.len)));
    } else {
        struct writer_mark m = writer_begin(&w, SUBMIT_RESPONSE_STATUS, 256);

        if (!w.failed)
            w.failed = status_encode(st, out);
        writer_end(&w, m);
    }
    writer_bytes(&w, SUBMIT_RESPONSE_TAG, a->tag);
    writer_uint(&w, SUBMIT_RESPONSE_JOINED, a->is_joined != 0);
    futures_send(call, &w);
}

/* The state of a Submit is its traceparent, for most of them nothing. */
static void on_submit_start(struct grpc_call *call)
{
    struct bytes *traceparent;

    if (submit_traceparent(call, &traceparent) < 0)
        grpc_call_fail(call, convert_no_memory(&(struct grpc_status){0}));
    grpc_call_set_user(call, traceparent);
}

void submit_fail(struct grpc_call *call, const struct accepted *a, const struct grpc_status *st)
{
    if ((!a->named && !a->is_unknown) || futures_show(call, a->named) == 0)
        grpc_call_fail(call, st);
}

static void do_submit(struct grpc_call *call, struct span message, unsigned how);

static void on_submit_loaded(struct grpc_call *call, struct span message)
{
    do_submit(call, message, SUBMIT_LOADED);
}

static void do_submit(struct grpc_call *call, struct span message, unsigned how)
{
    const struct bytes *traceparent = grpc_call_user(call);
    struct grpc_status st;
    struct accepted a;
    int r = submit_accept(futures_of(call), call, message, SPAN_OF_BYTES(traceparent), VIEW_BASIC, how, &a,
                          &st);

    if (r == SUBMIT_E_MISSING) {
        a.wants.run = on_submit_loaded;
        preload_all(call, message, &a.wants);
        return;
    }
    if (r) {
        submit_fail(call, &a, &st);
        return;
    }
    put_response(call, &a, NULL);
    grpc_call_finish(call);
}

static void on_submit(struct grpc_call *call, struct span message)
{
    do_submit(call, message, 0);
}

static void on_submit_done(struct grpc_call *call, enum grpc_end end)
{
    preload_drop(call);
    bytes_unref(grpc_call_user(call));
}

const struct grpc_handler submit_handler = {
        .on_start = on_submit_start,
        .on_message = on_submit,
        .on_done = on_submit_done,
};

struct submit_stream {
    struct bytes *traceparent; /* of all its tasks; NULL = none */
    uint32_t n_unread;         /* replies written since the client was last seen to keep up */
    int is_loading;            /* a request waits for what it names; no other is taken meanwhile */
};

static void on_stream_start(struct grpc_call *call)
{
    struct submit_stream *stream = mem_zalloc(sizeof *stream);

    if (!stream || submit_traceparent(call, &stream->traceparent) < 0) {
        mem_free(stream);
        grpc_call_fail(call, convert_no_memory(&(struct grpc_status){0}));
        return;
    }
    grpc_call_set_user(call, stream);
}

static void answer_item(struct grpc_call *call, const struct accepted *a, const struct grpc_status *st)
{
    struct submit_stream *stream = grpc_call_user(call);
    int is_keeping_up;

    put_response(call, a, st);
    is_keeping_up = grpc_call_is_writable(call);
    stream->n_unread = is_keeping_up ? 0 : stream->n_unread + 1;
    if (!is_keeping_up && (stream->n_unread >= LIMIT_STREAM_UNREAD_REPLIES ||
                           grpc_call_pending(call) > LIMIT_STREAM_UNREAD_BYTES))
        grpc_call_pause(call, 1);
}

/* An item that has waited is answered: the next ones come. */
static void go_on(struct grpc_call *call)
{
    struct submit_stream *stream = grpc_call_user(call);

    stream->is_loading = 0;
    grpc_call_pause(call, 0);
}

static void on_item_loaded(struct grpc_call *call, struct span message)
{
    struct submit_stream *stream = grpc_call_user(call);
    struct grpc_status st;
    struct accepted a;
    int r = submit_accept(futures_of(call), call, message, SPAN_OF_BYTES(stream->traceparent), VIEW_BASIC,
                          SUBMIT_LOADED, &a, &st);

    go_on(call);
    answer_item(call, &a, r ? &st : NULL);
}

static void on_item_not_loaded(struct grpc_call *call, struct span message, struct grpc_status *st)
{
    struct accepted a = {.tag = submit_tag(message)};

    go_on(call);
    answer_item(call, &a, st);
}

static void on_stream_item(struct grpc_call *call, struct span message)
{
    struct submit_stream *stream = grpc_call_user(call);
    struct grpc_status st;
    struct accepted a;
    int r = submit_accept(futures_of(call), call, message, SPAN_OF_BYTES(stream->traceparent), VIEW_BASIC, 0,
                          &a, &st);

    if (UNLIKELY(r == SUBMIT_E_MISSING)) {
        stream->is_loading = 1;
        grpc_call_pause(call, 1);
        a.wants.run = on_item_loaded;
        a.wants.fail = on_item_not_loaded;
        preload_all(call, message, &a.wants);
        return;
    }
    answer_item(call, &a, r ? &st : NULL);
}

static void on_stream_half_close(struct grpc_call *call)
{
    grpc_call_finish(call);
}

static void on_stream_writable(struct grpc_call *call)
{
    struct submit_stream *stream = grpc_call_user(call);

    if (stream)
        stream->n_unread = 0;
    if (!stream || !stream->is_loading)
        grpc_call_pause(call, 0);
}

static void on_stream_done(struct grpc_call *call, enum grpc_end end)
{
    struct submit_stream *stream = grpc_call_user(call);

    preload_drop(call);
    if (stream)
        bytes_unref(stream->traceparent);
    mem_free(stream);
}

const struct grpc_handler submit_stream_handler = {
        .on_start = on_stream_start,
        .on_message = on_stream_item,
        .on_half_close = on_stream_half_close,
        .on_writable = on_stream_writable,
        .on_done = on_stream_done,
};
