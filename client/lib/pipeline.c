// SPDX-License-Identifier: Apache-2.0
/*
 * RunStream and SubmitStream as a pipeline. Each request in flight has a slot; its tag on the wire is the slot's number,
 * which is how an answer finds back to the request, whatever its order.
 *
 *     put:  unused -> sent          take:  answer -> finished, slot unused          stream lost, no ID:  sent -> lost
 *
 * Invariants: each slot is in one of three lists, and n_in_flight of them are not in `unused`. `sent` is in the order of the
 * puts. At most n_slots answers can wait in the call's queue. When the stream is over, take hands back the slots in use one
 * by one with its status, so no request is forgotten.
 *
 * Where the client has patience, a slot keeps its request as it was written. Then a lost stream is opened again and what is
 * in flight is sent again, in the order of the puts: under its request ID it is the same task, so each is answered once. What
 * has no ID comes back.
 */
#include "client/lib/pipeline.h"

#include "base/list.h"
#include "base/mem.h"
#include "client/lib/future.h"
#include "client/lib/request.h"
#include "grpc/codec.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
    DEFAULT_IN_FLIGHT = 256,
    MAX_IN_FLIGHT = 65536,
    FLUSH_BYTES = 32 * 1024,
};

struct slot {
    struct list link;
    void *user;
    char request_id[FUTURED_CLIENT_ID_BYTES]; /* that the library has made; else "" */
    int is_sent;                              /* in the list of that name: an answer may name it */
    struct buf wire;                          /* to send it again; empty: it must not be */
};

struct futured_pipeline {
    struct futured_client *client;
    struct futured_call *call; /* NULL before the first put, and where it is to be opened again */
    struct grpc_status why;    /* of the stream that was lost, for slots that are */
    struct bytes *traceparent;
    int submits; /* SubmitStream: accepted is enough */
    uint32_t n_slots, n_in_flight;
    struct list unused, sent, lost;
    struct slot slots[];
};

struct finished_box {
    struct futured_finished finished;
    struct futured_future *future;     /* owned; finished.future */
    struct futured_status_box *status; /* owned, and large: NULL where all is well */
    int is_lost;                       /* with its stream */
    char request_id[FUTURED_CLIENT_ID_BYTES];
};

static const struct futured_status well = {
        .message = "", .reason = "", .retry_delay_ns = FUTURED_NO_SPAN, .future_id = ""};

/* --- birth and death */

static struct futured_pipeline *pipeline_new(struct futured_client *client, uint32_t max_in_flight,
                                             int submits)
{
    uint32_t n = max_in_flight ? MIN(max_in_flight, (uint32_t)MAX_IN_FLIGHT) : DEFAULT_IN_FLIGHT;
    struct futured_pipeline *pipeline = mem_zalloc(sizeof *pipeline + n * sizeof pipeline->slots[0]);

    if (!pipeline)
        return NULL;
    pipeline->client = client;
    pipeline->traceparent = bytes_ref(client->traceparent);
    pipeline->submits = submits;
    pipeline->n_slots = n;
    list_init(&pipeline->unused);
    list_init(&pipeline->sent);
    list_init(&pipeline->lost);
    for (uint32_t i = 0; i < n; i++)
        list_push_back(&pipeline->unused, &pipeline->slots[i].link);
    return pipeline;
}

struct futured_pipeline *futured_pipeline_new(struct futured_client *client, uint32_t max_in_flight)
{
    return pipeline_new(client, max_in_flight, 0);
}

struct futured_pipeline *futured_pipeline_new_submit(struct futured_client *client, uint32_t max_in_flight)
{
    return pipeline_new(client, max_in_flight, 1);
}

struct futured_pipeline *futured_pipeline_free(struct futured_pipeline *pipeline)
{
    if (!pipeline)
        return NULL;
    futured_call_free(pipeline->call, pipeline->n_in_flight == 0);
    for (uint32_t i = 0; i < pipeline->n_slots; i++)
        buf_deinit(&pipeline->slots[i].wire);
    bytes_unref(pipeline->traceparent);
    return mem_free(pipeline);
}

size_t futured_pipeline_in_flight(const struct futured_pipeline *pipeline)
{
    return pipeline->n_in_flight;
}

int futured_pipeline_is_full(const struct futured_pipeline *pipeline)
{
    return pipeline->n_in_flight == pipeline->n_slots;
}

static struct slot *slot_of_link(struct list *l)
{
    return LIST_ENTRY(l, struct slot, link);
}

static struct slot *use_slot(struct futured_pipeline *pipeline, void *user)
{
    struct list *l = list_pop_front(&pipeline->unused);
    struct slot *slot;

    ASSERT(l);
    slot = slot_of_link(l);
    slot->user = user;
    slot->is_sent = 1;
    list_push_back(&pipeline->sent, l);
    pipeline->n_in_flight++;
    return slot;
}

static void *free_slot(struct futured_pipeline *pipeline, struct slot *slot)
{
    void *user = slot->user;

    list_del(&slot->link);
    buf_deinit(&slot->wire);
    *slot = (struct slot){0};
    list_init(&slot->link);
    list_push_front(&pipeline->unused, &slot->link);
    pipeline->n_in_flight--;
    return user;
}

static void lose_slot(struct futured_pipeline *pipeline, struct slot *slot)
{
    list_del(&slot->link);
    slot->is_sent = 0;
    list_push_back(&pipeline->lost, &slot->link);
}

/* --- in */

struct put {
    const struct futured_request *request;
    char tag[12];
    int submits;
};

static void encode_put(struct writer *w, const void *arg)
{
    const struct put *put = arg;

    if (put->submits)
        futured_request_write_submit(put->request, w, put->tag);
    else
        futured_request_write_run(put->request, w, put->tag, 0);
}

/* It is over, and take opens it again when the answers that have come are taken; what is put meanwhile goes then. */
static int will_reopen(const struct futured_pipeline *pipeline)
{
    return pipeline->client->patience_ns > 0 && pipeline->call->status.code == GRPC_UNAVAILABLE;
}

static int refuse_put(struct futured_pipeline *pipeline, const struct futured_request *request)
{
    struct grpc_status status;
    int r = futured_request_check(request);

    if (r < 0)
        return futured_client_no_memory(pipeline->client);
    if (r)
        status_set(&status, GRPC_RESOURCE_EXHAUSTED, "",
                   "the argument is longer than 64 MiB, the most a daemon takes");
    else if (futured_pipeline_is_full(pipeline))
        status_set(&status, GRPC_FAILED_PRECONDITION, "",
                   "the pipeline is full: take one of the %u in flight first", pipeline->n_slots);
    else if (pipeline->call && pipeline->call->is_over && !will_reopen(pipeline))
        status = pipeline->call->status;
    else
        return FUTURED_OK;
    return futured_client_fail(pipeline->client, &status, "");
}

/* The stream has ended in order although nobody asked for that: still no request can be put. */
static void note_end(struct futured_pipeline *pipeline)
{
    if (pipeline->call->status.code == GRPC_OK)
        status_set(&pipeline->call->status, GRPC_UNAVAILABLE, "CONNECTION_LOST", "%s ended the stream",
                   pipeline->client->address.text);
}

/* The stream is over, or did not come about, with @status: whether that is the end; else it is opened again later, and what
 * cannot be sent again is lost. */
static int is_end(struct futured_pipeline *pipeline, const struct grpc_status *status)
{
    if (!futured_client_may_retry(pipeline->client, status, 1))
        return 1;
    pipeline->why = *status;
    pipeline->call = futured_call_free(pipeline->call, 0);
    LIST_FOREACH_SAFE (l, &pipeline->sent)
        if (buf_len(&slot_of_link(l)->wire) == 0)
            lose_slot(pipeline, slot_of_link(l));
    return 0;
}

static void encode_again(struct writer *w, const void *arg)
{
    const struct slot *slot = arg;

    writer_raw(w, (struct span){buf_head(&slot->wire), buf_len(&slot->wire)});
}

/* Open the stream, with what is in flight. A code, noted in the client. */
static int open_call(struct futured_pipeline *pipeline)
{
    const char *path =
            pipeline->submits ? "/futured.v1.Futures/SubmitStream" : "/futured.v1.Futures/RunStream";
    int code = futured_call_new(&pipeline->call, pipeline->client, path, 0, pipeline->traceparent);

    if (code)
        return code;
    pipeline->call->max_queued = pipeline->n_slots;
    LIST_FOREACH (l, &pipeline->sent) {
        const struct slot *slot = slot_of_link(l);

        if (buf_len(&slot->wire) && futured_call_send(pipeline->call, encode_again, slot) < 0) {
            pipeline->call = futured_call_free(pipeline->call, 0);
            return futured_client_no_memory(pipeline->client);
        }
    }
    return FUTURED_OK;
}

/* Into @slot, and on its way if there is a stream. 0, -ENOMEM. */
static int send_put(struct futured_pipeline *pipeline, struct slot *slot, const struct put *put, int keeps)
{
    struct writer w = writer_to(&slot->wire);

    if (!keeps)
        return futured_call_send(pipeline->call, encode_put, put);
    encode_put(&w, put);
    if (w.failed)
        return w.failed;
    return pipeline->call ? futured_call_send(pipeline->call, encode_again, slot) : 0;
}

int futured_pipeline_put_kept(struct futured_pipeline *pipeline, struct futured_request *request, void *user)
{
    struct futured_client *client = pipeline->client;
    struct put put = {.request = request, .submits = pipeline->submits};
    struct slot *slot;
    int code, keeps;

    if (pipeline->call && pipeline->call->is_over) {
        note_end(pipeline);
        if (pipeline->call->n_queued == 0)
            (void)!is_end(pipeline, &pipeline->call->status);
    }
    code = refuse_put(pipeline, request);
    if (code)
        return code;
    if (client->patience_ns <= 0 && !pipeline->call) { /* before there is an ID: that of the connection */
        code = open_call(pipeline);
        if (code)
            return code;
    }
    if (futured_request_identify(request, client) < 0)
        return futured_client_no_memory(client);
    keeps = client->patience_ns > 0 && futured_request_has_id(request);
    if (!pipeline->call && (!keeps || clock_mono() >= client->retry_at)) {
        code = open_call(pipeline);
        if (code && (!keeps || is_end(pipeline, &client->last.raw)))
            return code;
    }
    slot = use_slot(pipeline, user);
    snprintf(put.tag, sizeof put.tag, "%u", (unsigned)(slot - pipeline->slots));
    if (send_put(pipeline, slot, &put, keeps) < 0) {
        free_slot(pipeline, slot);
        return futured_client_no_memory(client);
    }
    memcpy(slot->request_id, futured_request_made_id(request), FUTURED_CLIENT_ID_BYTES);
    if (pipeline->call && pipeline->call->grpc &&
        h2_session_pending_bytes(grpc_client_session(futured_conn_grpc(client->conn))) >= FLUSH_BYTES)
        futured_client_poke(client);
    return futured_client_done(client);
}

int futured_pipeline_put(struct futured_pipeline *pipeline, struct futured_request *request, void *user)
{
    int code = futured_pipeline_put_kept(pipeline, request, user);

    if (code == FUTURED_OK)
        futured_request_settle(request); /* it is this slot's now */
    return code;
}

int futured_pipeline_flush(struct futured_pipeline *pipeline)
{
    futured_client_poke(pipeline->client);
    return futured_client_done(pipeline->client);
}

/* --- out */

/* What RunResponse and SubmitResponse have in common, whose numbers differ. */
struct answer {
    struct codec_bytes future, status, accepted;
    struct span tag;
    uint64_t joined;
};

static const struct codec_row run_answer_rows[] = {
        CODEC_ROW(1, CODEC_MESSAGE, struct answer, future),
        CODEC_ROW(2, CODEC_MESSAGE, struct answer, status),
        CODEC_ROW(3, CODEC_MESSAGE, struct answer, accepted),
        CODEC_ROW(4, CODEC_STRING, struct answer, tag),
};

static const struct codec_row submit_answer_rows[] = {
        CODEC_ROW(1, CODEC_MESSAGE, struct answer, future),
        CODEC_ROW(2, CODEC_MESSAGE, struct answer, status),
        CODEC_ROW(3, CODEC_STRING, struct answer, tag),
        CODEC_ROW(4, CODEC_UINT, struct answer, joined),
};

/* The slot of a tag; NULL when it is none that waits for an answer. */
static struct slot *slot_of(struct futured_pipeline *pipeline, struct span tag)
{
    uint32_t at = 0;

    if (tag.len == 0 || tag.len > 5)
        return NULL;
    for (size_t i = 0; i < tag.len; i++) {
        if (tag.p[i] < '0' || tag.p[i] > '9')
            return NULL;
        at = at * 10 + (uint32_t)(tag.p[i] - '0');
    }
    return at < pipeline->n_slots && pipeline->slots[at].is_sent ? &pipeline->slots[at] : NULL;
}

/* The status of a request that did not come to a future. 0, -ENOMEM. */
static int set_status(struct finished_box *to, const struct grpc_status *status)
{
    to->status = mem_zalloc(sizeof *to->status);
    if (!to->status)
        return -ENOMEM;
    to->status->raw = *status;
    (void)futured_status_fill(to->status);
    return 0;
}

static int decode_status(struct span message, struct finished_box *to)
{
    struct grpc_status status;

    if (status_decode(message, &status) || status.code == GRPC_OK)
        return FUTURED_CALL_E_MALFORMED;
    return set_status(to, &status);
}

/* 0 with *ret_slot; FUTURED_CALL_E_MALFORMED; -ENOMEM. */
static int decode_answer(struct futured_pipeline *pipeline, struct span reply, struct finished_box *to,
                         struct slot **ret_slot)
{
    const struct codec_table rows =
            pipeline->submits ? CODEC_TABLE(submit_answer_rows) : CODEC_TABLE(run_answer_rows);
    struct answer answer = {0};
    const char *field;
    int r;

    if (codec_read(&rows, reply, &answer, &field))
        return FUTURED_CALL_E_MALFORMED;
    *ret_slot = slot_of(pipeline, answer.tag);
    if (!*ret_slot)
        return FUTURED_CALL_E_MALFORMED;
    if (answer.status.is_set)
        return decode_status(answer.status.data, to);
    if (!answer.future.is_set)
        return FUTURED_CALL_E_MALFORMED; /* nothing of what was asked for */
    r = futured_future_decode(answer.future.data, &to->future);
    to->finished.joined = r == 0 && answer.joined;
    return r;
}

static int set_lost(struct finished_box *to, const struct grpc_status *status)
{
    to->is_lost = 1;
    return set_status(to, status);
}

/* The next answer, or, of a stream that is over, the next request that has none. As decode_answer. */
static int take_next(struct futured_pipeline *pipeline, int is_over, struct span reply,
                     struct finished_box *to, struct slot **ret_slot)
{
    int r;

    if (is_over) {
        *ret_slot =
                slot_of_link(list_first(list_is_empty(&pipeline->lost) ? &pipeline->sent : &pipeline->lost));
        return set_lost(to, &pipeline->call->status);
    }
    r = decode_answer(pipeline, reply, to, ret_slot);
    if (r > 0)
        futured_call_break(pipeline->call);
    else if (r == 0)
        futured_call_pop(pipeline->call);
    return r;
}

enum { TAKE_E_LATE = 2 };

/* There is no stream: what is lost with it, or another one when it is time. 0 with *ret_slot; 1: there may be a stream now;
 * -ENOMEM; TAKE_E_. */
static int take_without(struct futured_pipeline *pipeline, mono_ns_t until, struct finished_box *to,
                        struct slot **ret_slot)
{
    if (!list_is_empty(&pipeline->lost)) {
        *ret_slot = slot_of_link(list_first(&pipeline->lost));
        return set_lost(to, &pipeline->why);
    }
    if (futured_client_pause(pipeline->client, until))
        return TAKE_E_LATE;
    if (open_call(pipeline) == FUTURED_OK || !is_end(pipeline, &pipeline->client->last.raw))
        return 1;
    LIST_FOREACH_SAFE (l, &pipeline->sent) /* out of patience: all of them come back with that */
        lose_slot(pipeline, slot_of_link(l));
    pipeline->why = pipeline->client->last.raw;
    return 1;
}

static int take(struct futured_pipeline *pipeline, mono_ns_t until, struct finished_box *to,
                struct slot **ret_slot)
{
    struct span reply = {0};
    int r;

    do {
        if (!pipeline->call) {
            r = take_without(pipeline, until, to, ret_slot);
            continue;
        }
        r = futured_call_next(pipeline->call, until, &reply);
        if (r == FUTURED_CALL_E_LATE)
            return TAKE_E_LATE;
        if (r == FUTURED_CALL_E_OVER) {
            note_end(pipeline);
            if (!is_end(pipeline, &pipeline->call->status))
                continue;
        }
        r = take_next(pipeline, r == FUTURED_CALL_E_OVER, reply, to, ret_slot);
    } while (r == 1); /* or the stream is broken: what is in flight comes back with that */
    return r;
}

int futured_pipeline_take_by(struct futured_pipeline *pipeline, mono_ns_t until,
                             struct futured_finished **ret)
{
    struct futured_client *client = pipeline->client;
    struct finished_box *box;
    struct slot *slot = NULL;
    int r;

    if (pipeline->n_in_flight == 0) {
        *ret = NULL;
        return futured_client_done(client);
    }
    box = mem_zalloc(sizeof *box);
    if (!box)
        return futured_client_no_memory(client);
    r = take(pipeline, until, box, &slot);
    if (r) { /* tried again by the next call */
        mem_free(box);
        return r == TAKE_E_LATE ? futured_call_late(client) : futured_client_no_memory(client);
    }
    memcpy(box->request_id, slot->request_id, sizeof box->request_id);
    box->finished.request_id = box->request_id;
    box->finished.user = free_slot(pipeline, slot);
    box->finished.future = box->future;
    box->finished.status = box->status ? &box->status->view : &well;
    box->finished.code = box->finished.status->code;
    *ret = &box->finished;
    return futured_client_done(client);
}

int futured_pipeline_take(struct futured_pipeline *pipeline, struct futured_finished **ret)
{
    return futured_pipeline_take_by(pipeline, futured_client_until(pipeline->client), ret);
}

const struct grpc_status *futured_finished_lost(struct futured_finished *finished)
{
    const struct finished_box *box = CONTAINER_OF(finished, struct finished_box, finished);

    return box->is_lost ? &box->status->raw : NULL;
}

struct futured_finished *futured_finished_free(struct futured_finished *finished)
{
    struct finished_box *box;

    if (!finished)
        return NULL;
    box = CONTAINER_OF(finished, struct finished_box, finished);
    futured_future_free(box->future);
    mem_free(box->status);
    mem_free(box);
    return NULL;
}
