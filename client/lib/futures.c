// SPDX-License-Identifier: Apache-2.0
/* The calls about one future: submit, run, get, cancel, delete, annotate. */
#include "client/lib/call.h"
#include "client/lib/future.h"
#include "client/lib/request.h"
#include "grpc/codec.h"

#define METHOD(name) "/futured.v1.Futures/" name

/* Field numbers of futured/v1/futures.proto. */
enum {
    GET_ID = 1,
    GET_KEY = 2,
    GET_VIEW = 3,
    CANCEL_ID = 1,
    CANCEL_REASON = 2,
    CANCEL_GRACE = 3,
    DELETE_ID = 1,
    ANNOTATE_ID = 1,
    ANNOTATE_SET = 2,
    ANNOTATE_REMOVE = 3,
    ANNOTATE_IF_REVISION = 4,
    MAP_KEY = 1,
    MAP_VALUE = 2,
};

static int check_request(struct futured_client *client, const struct futured_request *request)
{
    struct grpc_status status;
    int r = futured_request_check(request);

    if (r == 0)
        return FUTURED_OK;
    if (r < 0)
        return futured_client_no_memory(client);
    status_set(&status, GRPC_RESOURCE_EXHAUSTED, "",
               "the argument is longer than 64 MiB, the most a daemon takes");
    return futured_client_fail(client, &status, "");
}

/* --- submit and run */

static int decode_submitted(struct span reply, void *ret)
{
    struct submitted {
        struct codec_bytes future;
    } submitted = {0};
    static const struct codec_row rows[] = {CODEC_ROW(1, CODEC_MESSAGE, struct submitted, future)};
    const char *field;

    if (codec_read(&CODEC_TABLE(rows), reply, &submitted, &field) || !submitted.future.is_set)
        return FUTURED_CALL_E_MALFORMED;
    return futured_future_decode(submitted.future.data, ret);
}

static void encode_submit(struct writer *w, const void *arg)
{
    futured_request_write_submit(arg, w, NULL);
}

static void encode_run(struct writer *w, const void *arg)
{
    futured_request_write_run(arg, w, NULL);
}

int futured_submit(struct futured_client *client, const struct futured_request *request,
                   struct futured_future **ret)
{
    int code = check_request(client, request);

    return code ? code
                : futured_call_unary(client, METHOD("Submit"), encode_submit, request, decode_submitted, ret);
}

int futured_run(struct futured_client *client, const struct futured_request *request,
                struct futured_future **ret)
{
    int code = check_request(client, request);

    return code ? code
                : futured_call_unary(client, METHOD("Run"), encode_run, request, futured_future_decode, ret);
}

/* --- get */

struct get {
    const char *id, *key;
    enum futured_view view;
};

static void encode_get(struct writer *w, const void *arg)
{
    const struct get *get = arg;

    if (get->id)
        writer_bytes_always(w, GET_ID, span_of_string(get->id));
    else
        writer_bytes_always(w, GET_KEY, span_of_string(get->key));
    writer_uint(w, GET_VIEW, (uint64_t)get->view);
}

int futured_get(struct futured_client *client, const char *id, enum futured_view view,
                struct futured_future **ret)
{
    const struct get get = {.id = id, .view = view};

    return futured_call_unary(client, METHOD("Get"), encode_get, &get, futured_future_decode, ret);
}

int futured_get_by_key(struct futured_client *client, const char *key, enum futured_view view,
                       struct futured_future **ret)
{
    const struct get get = {.key = key, .view = view};

    return futured_call_unary(client, METHOD("Get"), encode_get, &get, futured_future_decode, ret);
}

/* --- cancel, delete, annotate */

struct cancel {
    const char *id, *reason;
    int64_t grace_ns;
};

static void encode_cancel(struct writer *w, const void *arg)
{
    const struct cancel *cancel = arg;

    writer_text(w, CANCEL_ID, cancel->id);
    if (cancel->reason)
        writer_text(w, CANCEL_REASON, cancel->reason);
    if (cancel->grace_ns >= 0)
        writer_duration(w, CANCEL_GRACE, cancel->grace_ns);
}

int futured_cancel(struct futured_client *client, const char *id, const char *reason, int64_t grace_ns,
                   struct futured_future **ret)
{
    const struct cancel cancel = {.id = id, .reason = reason, .grace_ns = grace_ns};

    return futured_call_unary(client, METHOD("Cancel"), encode_cancel, &cancel,
                              ret ? futured_future_decode : NULL, ret);
}

static void encode_delete(struct writer *w, const void *arg)
{
    writer_text(w, DELETE_ID, arg);
}

int futured_delete(struct futured_client *client, const char *id)
{
    return futured_call_unary(client, METHOD("Delete"), encode_delete, id, NULL, NULL);
}

struct annotate {
    const char *id;
    const struct futured_label *set;
    size_t n_set;
    const char *const *remove;
    size_t n_remove;
    const uint64_t *if_revision;
};

static void encode_annotate(struct writer *w, const void *arg)
{
    const struct annotate *annotate = arg;

    writer_text(w, ANNOTATE_ID, annotate->id);
    for (size_t i = 0; i < annotate->n_set; i++) {
        struct writer_mark mark = writer_begin(w, ANNOTATE_SET, 32);

        writer_text(w, MAP_KEY, annotate->set[i].key);
        writer_text(w, MAP_VALUE, annotate->set[i].value);
        writer_end(w, mark);
    }
    for (size_t i = 0; i < annotate->n_remove; i++)
        writer_bytes_always(w, ANNOTATE_REMOVE, span_of_string(annotate->remove[i]));
    if (annotate->if_revision)
        writer_uint_always(w, ANNOTATE_IF_REVISION, *annotate->if_revision);
}

int futured_annotate(struct futured_client *client, const char *id, const struct futured_label *set,
                     size_t n_set, const char *const *remove, size_t n_remove, const uint64_t *if_revision,
                     struct futured_future **ret)
{
    const struct annotate annotate = {id, set, n_set, remove, n_remove, if_revision};

    return futured_call_unary(client, METHOD("Annotate"), encode_annotate, &annotate,
                              ret ? futured_future_decode : NULL, ret);
}
