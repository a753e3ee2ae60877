// SPDX-License-Identifier: Apache-2.0
#include "client/lib/call.h"

#include "base/mem.h"

#include <errno.h>
#include <string.h>

static struct futured_call *call_of(struct grpc_client_call *grpc)
{
    return grpc_client_call_user(grpc);
}

/* --- events */

static void on_header(struct grpc_client_call *grpc, struct span name, struct span value)
{
    struct futured_call *call = call_of(grpc);

    if (!span_eq(name, SPAN_LIT("futured-id")) || value.len >= sizeof call->future_id)
        return;
    memcpy(call->future_id, value.p, value.len);
    call->future_id[value.len] = '\0';
}

static void on_message(struct grpc_client_call *grpc, struct span message)
{
    struct futured_call *call = call_of(grpc);
    uint32_t len = (uint32_t)message.len; /* max_message_bytes is far below */

    if (call->is_detached || call->no_memory || call->is_flooded || call->is_malformed)
        return;
    if (call->max_queued && call->n_queued == call->max_queued) {
        call->is_flooded = 1;
        grpc_client_call_cancel(grpc);
        return;
    }
    if (buf_reserve(&call->queue, sizeof len + message.len) < 0) {
        call->no_memory = 1;
        grpc_client_call_cancel(grpc);
        return;
    }
    memcpy(buf_tail(&call->queue), &len, sizeof len);
    buf_commit(&call->queue, sizeof len);
    if (len)
        memcpy(buf_tail(&call->queue), message.p, len);
    buf_commit(&call->queue, len);
    call->n_queued++;
    futured_client_is_well(call->client);
    if (!call->max_queued && buf_len(&call->queue) > FUTURED_CALL_QUEUE_BYTES) {
        call->is_paused = 1;
        grpc_client_call_pause(grpc, 1);
    }
}

static void set_malformed(struct grpc_status *status, const struct futured_client *client)
{
    status_set(status, GRPC_INTERNAL, "", "%s sent an answer that cannot be read", client->address.text);
}

static void release(struct futured_call *call)
{
    buf_deinit(&call->queue);
    mem_free(call);
}

static void on_done(struct grpc_client_call *grpc, const struct grpc_status *status)
{
    struct futured_call *call = call_of(grpc);
    const struct grpc_status *why;

    call->grpc = NULL;
    call->is_over = 1;
    if (call->is_detached) {
        release(call);
        return;
    }
    call->status = *status;
    if (status->code != GRPC_UNAVAILABLE && status->code != GRPC_DEADLINE_EXCEEDED)
        futured_client_is_well(call->client);
    why = futured_conn_why(call->client->conn);
    if (call->no_memory)
        status_set(&call->status, GRPC_RESOURCE_EXHAUSTED, "NO_MEMORY", "this process is out of memory");
    else if (call->is_malformed)
        set_malformed(&call->status, call->client);
    else if (call->is_flooded)
        status_set(&call->status, GRPC_INTERNAL, "", "%s sent more answers than it was asked for",
                   call->client->address.text);
    else if (why && status->code == GRPC_UNAVAILABLE && !status->reason[0])
        call->status = *why; /* the end of the connection, in better words */
}

static const struct grpc_client_handler handler = {
        .on_header = on_header,
        .on_message = on_message,
        .on_done = on_done,
};

/* --- birth and death */

int futured_call_new(struct futured_call **ret, struct futured_client *client, const char *path,
                     int64_t timeout_ns, const struct bytes *traceparent)
{
    const struct h2_header trace = {SPAN_LIT("traceparent"), SPAN_OF_BYTES(traceparent)};
    const struct grpc_client_call_options options = {
            .timeout_ns = timeout_ns, .metadata = &trace, .n_metadata = traceparent != NULL};
    struct futured_call *call;
    struct grpc_status status;
    int r, code = futured_client_ensure(client);

    if (code)
        return code;
    call = mem_zalloc(sizeof *call);
    if (!call) {
        futured_client_no_memory(client);
        return FUTURED_RESOURCE_EXHAUSTED;
    }
    call->client = client;
    r = grpc_client_call_new(&call->grpc, futured_conn_grpc(client->conn), path, &options, &handler, call,
                             clock_mono());
    if (r) {
        release(call);
        if (r < 0) {
            futured_client_no_memory(client);
            return FUTURED_RESOURCE_EXHAUSTED;
        }
        status_set(&status, GRPC_UNAVAILABLE, "CONNECTION_LOST",
                   "%s takes no further call on this connection: it is stopping, or too many are open",
                   client->address.text);
        futured_client_fail(client, &status, "");
        return FUTURED_UNAVAILABLE;
    }
    *ret = call;
    return FUTURED_OK;
}

struct futured_call *futured_call_free(struct futured_call *call, int is_done)
{
    if (!call)
        return NULL;
    if (call->is_over) {
        release(call);
        return NULL;
    }
    call->is_detached = 1;
    if (call->is_paused)
        grpc_client_call_pause(call->grpc, 0);
    if (!is_done || grpc_client_call_half_close(call->grpc) < 0)
        grpc_client_call_cancel(call->grpc);
    futured_client_poke(call->client);
    return NULL;
}

/* --- requests and replies */

int futured_call_send(struct futured_call *call, futured_encode_fn encode, const void *arg)
{
    struct writer w;

    if (call->is_over)
        return 0;
    w = writer_to(grpc_client_call_begin(call->grpc));
    if (!w.out)
        return -ENOMEM;
    encode(&w, arg);
    if (w.failed) {
        grpc_client_call_undo(call->grpc);
        return -ENOMEM;
    }
    grpc_client_call_end(call->grpc);
    return 0;
}

int futured_call_half_close(struct futured_call *call)
{
    return call->is_over ? 0 : grpc_client_call_half_close(call->grpc);
}

static int has_news(void *arg)
{
    const struct futured_call *call = arg;

    return call->n_queued > 0 || call->is_over;
}

int futured_call_next(struct futured_call *call, mono_ns_t until, struct span *ret)
{
    uint32_t len;

    if (!has_news(call) && futured_client_drive(call->client, until, has_news, call))
        return FUTURED_CALL_E_LATE;
    if (call->n_queued == 0) {
        ASSERT(call->is_over); /* a lost connection has ended its calls */
        return FUTURED_CALL_E_OVER;
    }
    memcpy(&len, buf_head(&call->queue), sizeof len);
    *ret = (struct span){buf_head(&call->queue) + sizeof len, len};
    return 0;
}

void futured_call_pop(struct futured_call *call)
{
    uint32_t len;

    ASSERT(call->n_queued > 0);
    memcpy(&len, buf_head(&call->queue), sizeof len);
    buf_consume(&call->queue, sizeof len + len);
    call->n_queued--;
    if (call->n_queued == 0)
        buf_shrink(&call->queue, FUTURED_CALL_QUEUE_BYTES);
    if (call->is_paused && buf_len(&call->queue) <= FUTURED_CALL_QUEUE_BYTES / 2) {
        call->is_paused = 0;
        if (call->grpc)
            grpc_client_call_pause(call->grpc, 0);
    }
}

void futured_call_break(struct futured_call *call)
{
    buf_clear(&call->queue);
    call->n_queued = 0;
    call->is_malformed = 1;
    if (call->is_over) {
        set_malformed(&call->status, call->client);
        return;
    }
    if (call->is_paused)
        grpc_client_call_pause(call->grpc, 0);
    grpc_client_call_cancel(call->grpc);
    futured_client_poke(call->client);
}

/* --- whole calls */

int futured_call_late(struct futured_client *client)
{
    struct grpc_status status;

    if (client->is_nonblocking)
        return futured_client_again(client);
    status_set(&status, GRPC_DEADLINE_EXCEEDED, "", "%s has not answered within the time given",
               client->address.text);
    return futured_client_fail(client, &status, "");
}

int futured_call_decoded(struct futured_client *client, int r)
{
    struct grpc_status status;

    if (r == 0)
        return futured_client_done(client);
    if (r < 0)
        return futured_client_no_memory(client);
    set_malformed(&status, client);
    return futured_client_fail(client, &status, "");
}

int futured_call_ended(struct futured_call *call, const char *future_id)
{
    struct grpc_status *status = &call->status;

    if (status->code == GRPC_OK)
        status_set(status, GRPC_INTERNAL, "", "%s sent no answer", call->client->address.text);
    else if (status->code == GRPC_DEADLINE_EXCEEDED)
        status_set(status, GRPC_DEADLINE_EXCEEDED, "", "%s has not answered within the time given",
                   call->client->address.text);
    return futured_client_fail(call->client, status, *future_id ? future_id : call->future_id);
}
