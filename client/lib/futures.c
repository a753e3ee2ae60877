// SPDX-License-Identifier: Apache-2.0
/* The calls about one future: submit, run, get, cancel, retry, delete, annotate, reschedule. */
#include "client/lib/future.h"
#include "client/lib/request.h"
#include "client/lib/retry.h"
#include "grpc/codec.h"

#include <stdio.h>
#include <string.h>

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
    RETRY_ID = 1,
    RETRY_OPTIONS = 2,
    RESCHEDULE_ID = 1,
    RESCHEDULE_PRIORITY = 2,
    RESCHEDULE_NOT_BEFORE = 3,
    RESCHEDULE_DEADLINE = 4,
    RESCHEDULE_CLEAR_DEADLINE = 5,
    RESCHEDULE_RETENTION = 6,
    RESCHEDULE_IF_REVISION = 7,
};

/* Where a submission begins, whatever the call: its request is whole, and has the ID under which it may be sent again. */
static int begin(struct futured_client *client, struct futured_request *request)
{
    struct grpc_status status;
    int r = futured_request_check(request);

    if (r == 0 && client->patience_ns <= 0) {
        r = futured_client_ensure(client); /* it is refused here already where there is none */
        if (r)
            return r;
    }
    if (r == 0)
        r = futured_request_identify(request, client);
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
    futured_request_write_run(arg, w, NULL, 0);
}

static void encode_announced(struct writer *w, const void *arg)
{
    futured_request_write_run(arg, w, NULL, 1);
}

/* By @method: it may be sent again, unless the task has no ID by which it is known again. */
static int call(struct futured_client *client, struct futured_request *request, const char *method,
                futured_encode_fn encode, futured_decode_fn decode, struct futured_future **ret)
{
    int code = futured_request_has_id(request)
                       ? futured_call_unary(client, method, encode, request, decode, ret)
                       : futured_call_once(client, method, encode, request, decode, ret);

    if (code == FUTURED_OK || code == FUTURED_AGAIN)
        futured_request_settle(request);
    return code;
}

int futured_submit(struct futured_client *client, struct futured_request *request,
                   struct futured_future **ret)
{
    int code = begin(client, request);

    return code ? code : call(client, request, METHOD("Submit"), encode_submit, decode_submitted, ret);
}

/* --- run that tells of the acceptance: a RunStream of one */

struct run_answer {
    struct codec_bytes finished, status, accepted;
};

/* One answer: 0; FUTURED_CALL_E_MALFORMED; -ENOMEM. *ret where it is the last one and well, else @status where it is not. */
static int read_answer(struct span reply, const struct futured_request *request,
                       char id[static ID_TEXT_LEN + 1], struct futured_future **ret,
                       struct grpc_status *status)
{
    static const struct codec_row rows[] = {
            CODEC_ROW(1, CODEC_MESSAGE, struct run_answer, finished),
            CODEC_ROW(2, CODEC_MESSAGE, struct run_answer, status),
            CODEC_ROW(3, CODEC_MESSAGE, struct run_answer, accepted),
    };
    struct run_answer answer = {0};
    struct futured_future *accepted;
    const char *field;
    int r;

    if (codec_read(&CODEC_TABLE(rows), reply, &answer, &field))
        return FUTURED_CALL_E_MALFORMED;
    if (answer.finished.is_set)
        return futured_future_decode(answer.finished.data, ret);
    if (answer.status.is_set)
        return status_decode(answer.status.data, status) || status->code == GRPC_OK ? FUTURED_CALL_E_MALFORMED
                                                                                    : 0;
    r = answer.accepted.is_set ? futured_future_decode(answer.accepted.data, &accepted)
                               : FUTURED_CALL_E_MALFORMED;
    if (r)
        return r;
    snprintf(id, ID_TEXT_LEN + 1, "%s", accepted->id);
    futured_request_tell(request, accepted);
    futured_future_free(accepted);
    return 0;
}

static int run_answers(struct futured_call *call, const struct futured_request *request,
                       struct futured_future **ret)
{
    struct grpc_status status = {.code = GRPC_OK};
    struct futured_future *future = NULL;
    char id[ID_TEXT_LEN + 1] = "";
    struct span reply;
    int r = 0;

    while (r == 0 && !future && status.code == GRPC_OK) {
        r = futured_call_next(call, CLOCK_NEVER, &reply); /* the call has the timeout */
        if (r)
            return futured_call_ended(call, id);
        r = read_answer(reply, request, id, &future, &status);
        if (r == 0)
            futured_call_pop(call);
    }
    if (status.code != GRPC_OK)
        return futured_client_fail(call->client, &status, id);
    if (r == 0)
        *ret = future;
    return futured_call_decoded(call->client, r);
}

static int run_announced_once(struct futured_client *client, const struct futured_request *request,
                              const struct bytes *traceparent, mono_ns_t until, struct futured_future **ret)
{
    struct futured_call *call;
    int64_t left = until == CLOCK_NEVER ? 0 : MAX(until - clock_mono(), (int64_t)1);
    int code = futured_call_new(&call, client, METHOD("RunStream"), left, traceparent);

    if (code)
        return code;
    if (futured_call_send(call, encode_announced, request) < 0 || futured_call_half_close(call) < 0)
        code = futured_client_no_memory(client);
    else
        code = run_answers(call, request, ret);
    futured_call_free(call, code == FUTURED_OK);
    return code;
}

static int run_announced(struct futured_client *client, const struct futured_request *request,
                         struct futured_future **ret)
{
    mono_ns_t until = futured_client_until(client);
    struct bytes *traceparent;
    struct grpc_status status;
    int code;

    if (client->is_nonblocking || client->done) {
        client->done = NULL;
        status_set(&status, GRPC_FAILED_PRECONDITION, "",
                   "futured_request_on_accepted is for calls that are waited for");
        return futured_client_fail(client, &status, "");
    }
    traceparent = bytes_ref(client->traceparent); /* who is told may set another one */
    for (;;) {
        code = run_announced_once(client, request, traceparent, until, ret);
        if (code == FUTURED_OK ||
            !futured_client_may_retry(client, &client->last.raw, futured_request_has_id(request)))
            break;
        if (futured_client_pause(client, until)) {
            code = futured_call_late(client);
            break;
        }
    }
    bytes_unref(traceparent);
    return code;
}

int futured_run(struct futured_client *client, struct futured_request *request, struct futured_future **ret)
{
    int code = begin(client, request);

    if (code)
        return code;
    if (!futured_request_wants_told(request))
        return call(client, request, METHOD("Run"), encode_run, futured_future_decode, ret);
    code = run_announced(client, request, ret);
    if (code == FUTURED_OK)
        futured_request_settle(request);
    return code;
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

/* --- cancel, retry, delete, annotate, reschedule */

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

struct retry {
    const char *id;
    const struct futured_request *request; /* NULL: the options of the task */
};

static void encode_retry(struct writer *w, const void *arg)
{
    const struct retry *retry = arg;
    struct writer_mark mark;

    writer_text(w, RETRY_ID, retry->id);
    if (!retry->request)
        return;
    mark = writer_begin(w, RETRY_OPTIONS, 64);
    futured_request_write_options(retry->request, w);
    writer_end(w, mark);
}

static int call_retry(struct futured_client *client, const struct retry *retry, struct futured_future **ret)
{
    return futured_call_unary(client, METHOD("Retry"), encode_retry, retry,
                              ret ? futured_future_decode : NULL, ret);
}

int futured_retry(struct futured_client *client, const char *id, struct futured_future **ret)
{
    const struct retry retry = {.id = id};

    return call_retry(client, &retry, ret);
}

int futured_retry_with(struct futured_client *client, const char *id, const struct futured_request *request,
                       struct futured_future **ret)
{
    const struct retry retry = {.id = id, .request = request};

    return futured_request_check(request) < 0 ? futured_client_no_memory(client)
                                              : call_retry(client, &retry, ret);
}

static void encode_delete(struct writer *w, const void *arg)
{
    writer_text(w, DELETE_ID, arg);
}

int futured_delete(struct futured_client *client, const char *id)
{
    return futured_call_once(client, METHOD("Delete"), encode_delete, id, NULL, NULL);
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

struct reschedule {
    const char *id;
    struct futured_reschedule_options options;
};

static void encode_reschedule(struct writer *w, const void *arg)
{
    const struct reschedule *reschedule = arg;
    const struct futured_reschedule_options *o = &reschedule->options;

    writer_text(w, RESCHEDULE_ID, reschedule->id);
    if (o->has_priority) /* zigzag, and 0 is a value */
        writer_uint_always(w, RESCHEDULE_PRIORITY,
                           (uint32_t)o->priority << 1 ^ (uint32_t)(o->priority >> 31));
    writer_timestamp(w, RESCHEDULE_NOT_BEFORE, o->not_before_ns);
    writer_timestamp(w, RESCHEDULE_DEADLINE, o->deadline_ns);
    writer_uint(w, RESCHEDULE_CLEAR_DEADLINE, o->clear_deadline != 0);
    if (o->retention_ns >= 0)
        writer_duration(w, RESCHEDULE_RETENTION, o->retention_ns);
    if (o->if_revision)
        writer_uint_always(w, RESCHEDULE_IF_REVISION, *o->if_revision);
}

int futured_reschedule(struct futured_client *client, const char *id,
                       const struct futured_reschedule_options *options, struct futured_future **ret)
{
    struct reschedule reschedule = {.id = id, .options = FUTURED_RESCHEDULE_OPTIONS_INIT};

    memcpy(&reschedule.options, options, MIN(options->size, sizeof reschedule.options));
    return futured_call_unary(client, METHOD("Reschedule"), encode_reschedule, &reschedule,
                              ret ? futured_future_decode : NULL, ret);
}
