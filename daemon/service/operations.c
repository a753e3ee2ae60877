// SPDX-License-Identifier: Apache-2.0
#include "service/operations.h"

#include "base/utf8.h"
#include "filter/filter.h"
#include "service/internal.h"
#include "service/preload.h"

#include <inttypes.h>
#include <string.h>

enum {
    OPERATION_NAME = 1,
    OPERATION_METADATA = 2,
    OPERATION_DONE = 3,
    OPERATION_ERROR = 4,
    OPERATION_RESPONSE = 5
};
enum { ANY_TYPE_URL = 1, ANY_VALUE = 2 };
enum { NAME_PREFIX_BYTES = 8, NAME_BYTES = NAME_PREFIX_BYTES + ID_TEXT_LEN };
/* Room for all of bounded size: the name and tags; and what is kept of an error's message where there is little. */
enum { FIXED_BYTES = 384, SHORT_MESSAGE_BYTES = 512, TAG_BYTES = 8 };

#define TYPE_URL(name) ("type.googleapis.com/" name)

static const char name_prefix[] = "futures/";
_Static_assert(sizeof name_prefix - 1 == NAME_PREFIX_BYTES, "as long as it is");

/* --- an Operation */

static size_t outcome_size(const struct future *f)
{
    const struct future_error *error;

    if (!f->outcome)
        return 0;
    error = f->outcome->error;
    if (!error)
        return f->outcome->data->len + LIMIT_CONTENT_TYPE_BYTES;
    return error->message.len + error->type.len + error->function_reason.len + error->details.len;
}

size_t operations_size(const struct future *f)
{
    return FIXED_BYTES + outcome_size(f) + convert_size(f, VIEW_BASIC);
}

static struct writer_mark begin_any(struct writer *w, uint32_t number, const char *type_url, size_t size_hint,
                                    struct writer_mark *ret_any)
{
    *ret_any = writer_begin(w, number, size_hint + 64);
    writer_text(w, ANY_TYPE_URL, type_url);
    return writer_begin(w, ANY_VALUE, size_hint);
}

static void put_response(struct writer *w, const struct outcome *o, int is_short)
{
    size_t n = is_short ? 0 : o->data->len;
    struct writer_mark any,
            value = begin_any(w, OPERATION_RESPONSE, TYPE_URL("futured.v1.Result"), n + 32, &any);

    if (!is_short)
        writer_bytes_always(w, 1, SPAN_OF_BYTES(o->data));
    writer_bytes(w, 3, SPAN_OF_BYTES(o->content_type));
    writer_uint(w, 4, o->data->len);
    writer_end(w, value);
    writer_end(w, any);
}

static void put_pair(struct writer *w, const char *key, struct span value)
{
    struct writer_mark m;

    if (value.len == 0)
        return;
    m = writer_begin(w, 3, value.len + 32);
    writer_text(w, 1, key);
    writer_bytes(w, 2, value);
    writer_end(w, m);
}

/* A google.rpc.Status: the task's error, its reasons as an ErrorInfo, and what details it has. */
static void put_error(struct writer *w, const struct future_error *error, int is_short)
{
    struct writer_mark status = writer_begin(w, OPERATION_ERROR, 256 + error->message.len), any, info;
    struct wire_reader details = wire_reader(error->details);
    struct span message = error->message, detail;

    if (is_short)
        message.len = utf8_cut(message.p, message.len, SHORT_MESSAGE_BYTES);
    writer_uint(w, 1, (uint64_t)error->code);
    writer_bytes(w, 2, message);
    info = begin_any(w, 3, TYPE_URL("google.rpc.ErrorInfo"), 64, &any);
    writer_text(w, 1, future_reason_text(error->reason));
    writer_text(w, 2, "futured");
    if (!is_short) {
        put_pair(w, "type", error->type);
        put_pair(w, "function_reason", error->function_reason);
    }
    writer_end(w, info);
    writer_end(w, any);
    while (!is_short && codec_each(&details, ERROR_DETAILS, &detail))
        writer_bytes_always(w, 3, detail);
    writer_end(w, status);
}

void operations_put(struct writer *w, const struct future *f, size_t room)
{
    size_t n = FIXED_BYTES + outcome_size(f);
    struct convert_view least = {VIEW_RESULT, 1}, view;
    struct writer_mark any, metadata;
    char name[NAME_BYTES + 1];
    int is_short = n + convert_view_size(f, least) > room;

    if (is_short)
        n = FIXED_BYTES + (f->outcome && f->outcome->error ? SHORT_MESSAGE_BYTES : LIMIT_CONTENT_TYPE_BYTES);
    view = convert_fit(f, VIEW_BASIC, room - MIN(room, n));
    memcpy(name, name_prefix, NAME_PREFIX_BYTES);
    id_format(&f->id, name + NAME_PREFIX_BYTES);
    writer_text(w, OPERATION_NAME, name);
    metadata =
            begin_any(w, OPERATION_METADATA, TYPE_URL("futured.v1.Future"), convert_view_size(f, view), &any);
    convert_future(w, f, view);
    writer_end(w, metadata);
    writer_end(w, any);
    writer_uint(w, OPERATION_DONE, future_is_terminal(f) ? 1 : 0);
    if (f->outcome && f->outcome->error)
        put_error(w, f->outcome->error, is_short);
    else if (f->outcome)
        put_response(w, f->outcome, is_short);
}

void operations_put_field(struct writer *w, uint32_t number, const struct future *f, size_t room)
{
    struct writer_mark m = writer_begin(w, number, MIN(room, operations_size(f)));

    operations_put(w, f, room - MIN(room, (size_t)TAG_BYTES));
    writer_end(w, m);
}

void operations_reply(struct grpc_call *call, struct future *f)
{
    struct writer w;

    if (futures_begin(call, f, &w) < 0)
        return;
    operations_put(&w, f, futures_of(call)->max_message_bytes);
    futures_send(call, &w);
    grpc_call_finish(call);
}

/* --- requests */

struct operation_request {
    struct span name;
    struct codec_time timeout; /* of WaitOperation only */
};
static const struct codec_row operation_request_rows[] = {
        CODEC_ROW(1, CODEC_STRING, struct operation_request, name),
        CODEC_ROW(2, CODEC_DURATION, struct operation_request, timeout),
};
static const struct codec_table wait_table = {operation_request_rows, 3},
                                name_table = {operation_request_rows, 2};

struct list_operations_request {
    struct span filter, page_token, name;
    int64_t page_size;
};
static const struct codec_row list_rows[] = {
        CODEC_ROW(1, CODEC_STRING, struct list_operations_request, filter),
        CODEC_ROW(2, CODEC_INT, struct list_operations_request, page_size),
        CODEC_ROW(3, CODEC_STRING, struct list_operations_request, page_token),
        CODEC_ROW(4, CODEC_STRING, struct list_operations_request, name),
};
static const struct codec_table list_table = {list_rows, ARRAY_LEN(list_rows)};

/* A request of Futures in the place of the one that came. */
struct translated {
    struct buf bytes;
    struct writer w;
};

static void translate(struct translated *t)
{
    t->bytes = BUF_INIT;
    t->w = writer_to(&t->bytes);
}

/* The ID in a name. 0; REQUEST_E_BAD. */
static int read_name(struct span name, struct span *ret_id, struct grpc_status *st)
{
    struct id id;

    if (name.len == 0)
        return request_bad_field(st, "name", "is required: \"futures/\" and the ID of a future");
    if (name.len != NAME_BYTES || memcmp(name.p, name_prefix, NAME_PREFIX_BYTES) != 0)
        return request_bad_field(st, "name", "is not \"futures/\" and the ID of a future");
    *ret_id = (struct span){name.p + NAME_PREFIX_BYTES, ID_TEXT_LEN};
    return request_id(*ret_id, "name", &id, st);
}

/* Run @run with the request that @t has become; @ids: the part of it with the IDs, as field 1. */
static void run_as(struct grpc_call *call, struct translated *t, struct span ids,
                   void (*run)(struct grpc_call *call, struct span message))
{
    struct span message = {buf_head(&t->bytes), buf_len(&t->bytes)};

    if (t->w.failed)
        grpc_call_fail(call, convert_no_memory(&(struct grpc_status){0}));
    else
        preload(call, message, ids.p ? ids : message, 1, run);
    buf_deinit(&t->bytes);
}

/* Get, Cancel and Delete: their requests begin with `id = 1`. */
static void run_with_id(struct grpc_call *call, struct span message,
                        void (*run)(struct grpc_call *call, struct span message))
{
    struct operation_request request = {0};
    struct translated t;
    struct grpc_status st;
    struct span id;

    if (request_read(&name_table, message, &request, &st) || read_name(request.name, &id, &st)) {
        grpc_call_fail(call, &st);
        return;
    }
    translate(&t);
    writer_bytes(&t.w, 1, id);
    run_as(call, &t, (struct span){0}, run);
}

static void do_get(struct grpc_call *call, struct span message)
{
    struct get_request request = {0};
    struct grpc_status st;
    struct future *f;

    if (request_read(&get_request_table, message, &request, &st)) {
        grpc_call_fail(call, &st);
        return;
    }
    f = futures_find(call, request.id);
    if (f)
        operations_reply(call, f);
}

static void on_get(struct grpc_call *call, struct span message)
{
    run_with_id(call, message, do_get);
}

static void on_cancel(struct grpc_call *call, struct span message)
{
    run_with_id(call, message, futures_do_cancel);
}

static void on_delete(struct grpc_call *call, struct span message)
{
    run_with_id(call, message, futures_do_delete);
}

static void on_wait(struct grpc_call *call, struct span message)
{
    struct operation_request request = {0};
    struct writer_mark selector;
    struct translated t;
    struct grpc_status st;
    struct span id, ids;

    if (request_read(&wait_table, message, &request, &st) || read_name(request.name, &id, &st)) {
        grpc_call_fail(call, &st);
        return;
    }
    if (request.timeout.is_set && request.timeout.ns < 0) {
        request_bad_field(&st, "timeout", "is negative");
        grpc_call_fail(call, &st);
        return;
    }
    translate(&t);
    selector = writer_begin(&t.w, 1, ID_TEXT_LEN + 2);
    writer_bytes(&t.w, SELECTOR_IDS, id);
    writer_end(&t.w, selector);
    ids = (struct span){buf_head(&t.bytes) + selector.payload_at, ID_TEXT_LEN + 2};
    if (request.timeout.is_set)
        writer_duration(&t.w, 5, request.timeout.ns);
    run_as(call, &t, ids, wait_do);
}

/* What List would say of `selector.filter` is said of `filter`. 0; REQUEST_E_BAD. */
static int check_filter(struct span text, wall_ns_t now, struct grpc_status *st)
{
    struct filter_problem problem;
    struct filter *filter;
    int r = filter_parse(&filter, text, now, &problem);

    if (r == 0)
        filter_unref(filter);
    else if (r > 0)
        return request_bad_field(st, "filter", "column %" PRIu32 ": %s", problem.column, problem.text);
    else
        convert_no_memory(st);
    return r ? REQUEST_E_BAD : 0;
}

static int read_list(const struct futures *s, struct span message, struct list_operations_request *ret,
                     struct grpc_status *st)
{
    if (request_read(&list_table, message, ret, st))
        return REQUEST_E_BAD;
    if (!span_eq(ret->name, SPAN_LIT("futures")))
        return request_bad_field(st, "name", "is not \"futures\", the only collection that there is");
    if (ret->page_size < 0 || ret->page_size > LIMIT_PAGE_SIZE)
        return request_bad_field(st, "page_size", "is %" PRId64 "; 0 to %d are allowed", ret->page_size,
                                 LIMIT_PAGE_SIZE);
    if (ret->filter.len == 0)
        ret->filter = SPAN_LIT("*");
    return check_filter(ret->filter, engine_wall(s->engine), st);
}

static void on_list(struct grpc_call *call, struct span message)
{
    struct list_operations_request request = {0};
    struct writer_mark selector;
    struct translated t;
    struct grpc_status st;

    if (read_list(futures_of(call), message, &request, &st)) {
        grpc_call_fail(call, &st);
        return;
    }
    translate(&t);
    selector = writer_begin(&t.w, 1, request.filter.len + 4);
    writer_bytes(&t.w, 3, request.filter);
    writer_end(&t.w, selector);
    writer_uint(&t.w, 3, (uint64_t)request.page_size);
    writer_bytes(&t.w, 4, request.page_token);
    run_as(call, &t, (struct span){(const uint8_t *)"", 0}, list_do);
}

static void on_done(struct grpc_call *call, enum grpc_end end)
{
    preload_drop(call);
}

static const struct grpc_handler get_handler = {.on_message = on_get, .on_done = on_done},
                                 cancel_handler = {.on_message = on_cancel, .on_done = on_done},
                                 delete_handler = {.on_message = on_delete, .on_done = on_done},
                                 operation_wait_handler = {.on_message = on_wait,
                                                           .on_writable = wait_on_writable,
                                                           .on_done = wait_on_done};

static const struct grpc_handler operation_list_handler = {.on_message = on_list, .on_done = list_on_done};

const struct grpc_method operations_rows[OPERATIONS_METHODS] = {
        {"/google.longrunning.Operations/ListOperations", GRPC_UNARY, &operation_list_handler, NULL,
         RIGHT_READ},
        {"/google.longrunning.Operations/GetOperation", GRPC_UNARY, &get_handler, NULL, RIGHT_READ},
        {"/google.longrunning.Operations/WaitOperation", GRPC_UNARY, &operation_wait_handler, NULL,
         RIGHT_READ},
        {"/google.longrunning.Operations/CancelOperation", GRPC_UNARY, &cancel_handler, NULL, RIGHT_CANCEL},
        {"/google.longrunning.Operations/DeleteOperation", GRPC_UNARY, &delete_handler, NULL, RIGHT_CANCEL},
};
