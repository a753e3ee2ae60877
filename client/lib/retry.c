// SPDX-License-Identifier: Apache-2.0
/*
 * One call as an operation: attempts, one after the other, until one is answered, must not be repeated, or the time or the
 * patience is over.
 *
 *     waiting --retry_at--> sent --answer--> over
 *        ^                   |
 *        +-- UNAVAILABLE ----+
 *
 * A blocking call has its operation on the stack and writes its request anew for each attempt. One that was only started
 * has it in the client's list with the request as bytes, and is stepped by futured_client_process, from where alone its
 * `done` is called, once.
 */
#include "client/lib/retry.h"

#include "base/mem.h"

#include <poll.h>

#include <futured/async.h>

struct operation {
    struct list link; /* of one that was started */
    struct futured_client *client;
    const char *path;
    futured_encode_fn encode;
    const void *arg;
    futured_decode_fn decode;
    void *ret;
    int is_safe;
    uint32_t timeout_number; /* field that says how long the daemon may wait, till wait_until; 0: none */
    mono_ns_t until, wait_until;
    struct bytes *traceparent; /* that holds as it begins */
    struct futured_call *call; /* NULL: waiting */
    int is_over, code;
    struct buf request;
    void (*done)(void *arg, int code);
    void *done_arg;
};

static void finish(struct operation *op, int code)
{
    op->is_over = 1;
    op->code = code;
    op->call = futured_call_free(op->call, 0);
}

/* The code of an attempt that did not come about or was not answered, as noted in the client. */
static void failed(struct operation *op, int code)
{
    struct futured_client *client = op->client;

    op->call = futured_call_free(op->call, 0);
    if (!futured_client_may_retry(client, &client->last.raw, op->is_safe) || client->retry_at >= op->until)
        finish(op, code);
}

static void encode_attempt(struct writer *w, const void *arg)
{
    const struct operation *op = arg;

    op->encode(w, op->arg);
    if (op->timeout_number)
        writer_duration(w, op->timeout_number, MAX(op->wait_until - clock_mono(), (int64_t)0));
}

static void attempt(struct operation *op, mono_ns_t now)
{
    int64_t left = op->until == CLOCK_NEVER ? 0 : op->until - now;
    int code = futured_call_new(&op->call, op->client, op->path, left, op->traceparent);

    if (code) {
        failed(op, code);
        return;
    }
    op->call->max_queued = 1;
    if (futured_call_send(op->call, encode_attempt, op) < 0 || futured_call_half_close(op->call) < 0)
        finish(op, futured_client_no_memory(op->client));
}

static void take_answer(struct operation *op)
{
    struct span reply;
    int r;

    if (op->call->status.code != GRPC_OK || op->call->n_queued == 0) {
        failed(op, futured_call_ended(op->call, ""));
        return;
    }
    if (!op->decode) {
        finish(op, futured_client_done(op->client));
        return;
    }
    r = futured_call_next(op->call, CLOCK_NEVER, &reply);
    ASSERT(r == 0);
    finish(op, futured_call_decoded(op->client, op->decode(reply, op->ret)));
}

static void step(struct operation *op, mono_ns_t now)
{
    if (op->call && op->call->is_over)
        take_answer(op);
    if (op->call || op->is_over)
        return;
    if (now >= op->until)
        finish(op, futured_call_late(op->client));
    else if (now >= op->client->retry_at)
        attempt(op, now);
}

/* --- waited for */

static int is_over(void *arg)
{
    const struct futured_call *call = arg;

    return call->is_over;
}

static int run(struct operation *op)
{
    for (;;) {
        step(op, clock_mono());
        if (op->is_over)
            return op->code;
        if (op->call)
            (void)!futured_client_drive(op->client, CLOCK_NEVER, is_over,
                                        op->call); /* the call has the timeout */
        else
            (void)!futured_client_pause(op->client, op->until);
    }
}

/* --- started */

static void encode_bytes(struct writer *w, const void *arg)
{
    const struct operation *op = arg;

    writer_raw(w, (struct span){buf_head(&op->request), buf_len(&op->request)});
}

static struct operation *drop(struct operation *op)
{
    list_del(&op->link);
    futured_call_free(op->call, 0);
    buf_deinit(&op->request);
    bytes_unref(op->traceparent);
    return mem_free(op);
}

static int start(const struct operation *from)
{
    struct futured_client *client = from->client;
    struct operation *op = mem_alloc(sizeof *op);
    struct writer w;

    if (!op)
        return futured_client_no_memory(client);
    *op = *from;
    list_init(&op->link);
    bytes_ref(op->traceparent);
    w = writer_to(&op->request);
    op->encode(&w, op->arg);
    if (w.failed) {
        drop(op);
        return futured_client_no_memory(client);
    }
    op->encode = encode_bytes;
    op->arg = op;
    op->done = client->done;
    op->done_arg = client->done_arg;
    client->done = NULL;
    list_push_back(&client->operations, &op->link);
    step(op, clock_mono()); /* how it fails, if it does, is told by futured_client_process */
    futured_client_poke(client);
    return futured_client_again(client);
}

static int call(struct operation *op)
{
    struct futured_client *client = op->client;
    struct grpc_status status;

    op->until = futured_client_until(client);
    op->traceparent = client->traceparent;
    if (client->done)
        return start(op);
    if (!client->is_nonblocking)
        return run(op);
    status_set(&status, GRPC_FAILED_PRECONDITION, "",
               "the client does not block: say with futured_client_async whom to tell of the answer");
    return futured_client_fail(client, &status, "");
}

int futured_call_unary(struct futured_client *client, const char *path, futured_encode_fn encode,
                       const void *arg, futured_decode_fn decode, void *ret)
{
    return futured_call_timed(client, path, encode, arg, decode, ret, 0, 0);
}

int futured_call_timed(struct futured_client *client, const char *path, futured_encode_fn encode,
                       const void *arg, futured_decode_fn decode, void *ret, uint32_t timeout_number,
                       int64_t timeout_ns)
{
    struct operation op = {.client = client,
                           .path = path,
                           .encode = encode,
                           .arg = arg,
                           .decode = decode,
                           .ret = ret,
                           .is_safe = 1,
                           .timeout_number = timeout_number,
                           .wait_until = clock_add(clock_mono(), timeout_ns)};

    return call(&op);
}

int futured_call_once(struct futured_client *client, const char *path, futured_encode_fn encode,
                      const void *arg, futured_decode_fn decode, void *ret)
{
    struct operation op = {
            .client = client, .path = path, .encode = encode, .arg = arg, .decode = decode, .ret = ret};

    return call(&op);
}

/* --- the program's own loop */

void futured_client_set_nonblocking(struct futured_client *client, int is_nonblocking)
{
    client->is_nonblocking = is_nonblocking != 0;
}

void futured_client_async(struct futured_client *client, void (*done)(void *arg, int code), void *arg)
{
    client->done = done;
    client->done_arg = arg;
}

size_t futured_client_n_async(const struct futured_client *client)
{
    size_t n = 0;

    LIST_FOREACH (l, &client->operations)
        n++;
    return n;
}

void futured_client_async_cancel(struct futured_client *client, void *arg)
{
    LIST_FOREACH_SAFE (l, &client->operations) {
        struct operation *op = LIST_ENTRY(l, struct operation, link);

        if (op->done_arg == arg)
            drop(op);
    }
}

static mono_ns_t earliest(mono_ns_t a, mono_ns_t b, mono_ns_t c)
{
    mono_ns_t first = MIN(a, b);

    return MIN(first, c);
}

void futured_client_interest(const struct futured_client *client, struct futured_interest *ret)
{
    mono_ns_t now = clock_mono(), due = CLOCK_NEVER;
    short events = 0;

    *ret = (struct futured_interest){.fd = -1, .connection = client->n_connections << 16};
    if (client->conn && futured_conn_state(client->conn) != FUTURED_CONN_LOST) {
        ret->fd = futured_conn_fd(client->conn);
        ret->connection = client->n_connections << 16 | futured_conn_target(client->conn);
        events = futured_conn_events(client->conn);
        due = futured_conn_due(client->conn);
    }
    if (client->retry_at > now)
        due = MIN(due, client->retry_at);
    LIST_FOREACH (l, &client->operations) {
        const struct operation *op = LIST_ENTRY(l, struct operation, link);

        if (op->is_over || (op->call && op->call->is_over))
            due = 0;
        else if (!op->call)
            due = earliest(due, op->until, MAX(client->retry_at, now));
    }
    ret->wants = (events & POLLIN ? FUTURED_WANT_READ : 0) | (events & POLLOUT ? FUTURED_WANT_WRITE : 0);
    ret->timeout_ns = due == CLOCK_NEVER ? FUTURED_NO_SPAN : MAX(due - now, (int64_t)0);
}

static void tell(struct operation *op)
{
    void (*done)(void *arg, int code) = op->done;
    void *arg = op->done_arg;
    int code = op->code;

    drop(op);
    done(arg, code);
}

/* Those that are over are told one at a time: what is told may start and cancel others. */
static int tell_one(struct futured_client *client, mono_ns_t now)
{
    LIST_FOREACH_SAFE (l, &client->operations) {
        struct operation *op = LIST_ENTRY(l, struct operation, link);

        if (!op->is_over)
            step(op, now);
        if (op->is_over) {
            tell(op);
            return 1;
        }
    }
    return 0;
}

void futured_client_process(struct futured_client *client, int ready)
{
    short revents =
            (short)((ready & FUTURED_WANT_READ ? POLLIN : 0) | (ready & FUTURED_WANT_WRITE ? POLLOUT : 0));
    mono_ns_t now = clock_mono();

    if (client->is_processing)
        return;
    client->is_processing = 1;
    if (client->conn)
        futured_conn_turn(client->conn, revents, now);
    while (tell_one(client, now))
        ;
    futured_client_poke(client);
    client->is_processing = 0;
}

void futured_retry_drop_all(struct futured_client *client)
{
    struct list *l;

    while ((l = list_first(&client->operations))) {
        struct operation *op = LIST_ENTRY(l, struct operation, link);

        if (!op->is_over) {
            op->is_over = 1;
            op->code = FUTURED_CANCELLED;
        }
        tell(op);
    }
}
