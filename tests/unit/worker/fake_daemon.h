// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * The daemon's end of Workers.Attach, for the tests of the worker: it says what a test tells it to and writes down what
 * the worker says. In the thread of the test; waiting is waiting for the socket.
 */
#include "grpc/messages.h"
#include "grpc/server.h"
#include "tests/support/testing.h"

#include <fcntl.h>
#include <poll.h>

#include <sys/socket.h>

enum { FAKE_MAX = 4096 };

struct fake_text {
    char s[256];
    size_t n; /* the whole length; what is longer than s is cut */
};

struct fake_finish {
    struct lease_ref lease;
    int is_result;
    struct buf data;
    struct fake_text content_type, reason, type, message, traceback, function_reason;
    int64_t code;
    uint64_t retryable, size_bytes, chunked;
    struct usage_message usage;
    struct codec_number exit_code, signal;
    int message_number; /* of the AttachRequest that it came in */
};

struct fake_daemon {
    int fd;
    struct grpc_server *server;
    struct grpc_method method;
    struct grpc_conn *conn;
    struct grpc_call *call;
    struct buf out;
    int is_gone; /* the worker has closed the socket */

    /* what the worker has said */
    int n_messages, n_hellos, n_functions, is_half_closed, is_over;
    enum grpc_end end;
    struct fake_text name, token, version, function_names, load_error;
    uint64_t slots, credit, pong;
    struct fake_finish finishes[FAKE_MAX];
    int n_finishes;
    struct lease_ref started[FAKE_MAX], released[FAKE_MAX], returned[FAKE_MAX];
    int n_started, n_released, n_returned;
    int started_messages[FAKE_MAX]; /* the AttachRequest that each start came in */
    struct buf payload;             /* of the chunks that come */
    struct lease_ref payload_lease;
    int n_chunks;
};

/* --- reading */

static inline void fake_text_set(struct fake_text *t, struct span s)
{
    t->n = s.len;
    memset(t->s, 0, sizeof t->s);
    if (s.len)
        memcpy(t->s, s.p, MIN(s.len, sizeof t->s - 1));
}

static inline struct lease_ref fake_lease_of(struct span message)
{
    struct wire_reader r = wire_reader(message);
    struct lease_ref ref = {0};
    struct wire_field f;

    assert_int_equal(wire_next(&r, &f), 0);
    assert_int_equal(f.number, 1);
    assert_int_equal(lease_ref_read(f.bytes, &ref), 0);
    return ref;
}

static inline void fake_on_hello(struct fake_daemon *f, struct span message)
{
    struct wire_reader r = wire_reader(message);
    struct wire_field field, inner;

    assert_int_equal(f->n_messages, 1); /* in the first message, and only there */
    f->n_hellos++;
    while (wire_next(&r, &field) == 0) {
        struct wire_reader nested = wire_reader(field.bytes);

        switch (field.number) {
        case 1: fake_text_set(&f->name, field.bytes); break;
        case 2: fake_text_set(&f->token, field.bytes); break;
        case 3:
            f->n_functions++;
            assert_int_equal(wire_next(&nested, &inner), 0);
            strncat(f->function_names.s, (const char *)inner.bytes.p,
                    MIN(inner.bytes.len, sizeof f->function_names.s - strlen(f->function_names.s) - 2));
            strcat(f->function_names.s, " ");
            break;
        case 4: f->slots = field.value; break;
        case 5:
            assert_int_equal(wire_next(&nested, &inner), 0);
            assert_true(span_eq(inner.bytes, SPAN_LIT("load_error")));
            assert_int_equal(wire_next(&nested, &inner), 0);
            fake_text_set(&f->load_error, inner.bytes);
            break;
        case 7: fake_text_set(&f->version, field.bytes); break;
        default: fail_msg("field %u in Hello", field.number);
        }
    }
}

static inline void fake_on_payload(struct fake_daemon *f, struct span message)
{
    struct wire_reader r = wire_reader(message);
    struct wire_field field;
    struct lease_ref lease = fake_lease_of(message);
    uint64_t offset = 0;

    f->n_chunks++;
    while (wire_next(&r, &field) == 0) {
        if (field.number == 3)
            offset = field.value;
        if (field.number != 4)
            continue;
        assert_true(field.bytes.len > 0 && field.bytes.len <= 65536);
        if (offset == 0) {
            buf_clear(&f->payload);
            f->payload_lease = lease;
        }
        assert_memory_equal(&f->payload_lease.id, &lease.id, sizeof lease.id);
        assert_int_equal(offset, buf_len(&f->payload));
        assert_int_equal(buf_append(&f->payload, field.bytes.p, field.bytes.len), 0);
    }
}

static inline void fake_on_finish(struct fake_daemon *f, struct span message)
{
    struct fake_finish *to = &f->finishes[f->n_finishes++];
    struct result_message result = {0};
    struct error_message error = {0};
    struct finish_message m = {0};
    const char *field;

    assert_true(f->n_finishes < FAKE_MAX);
    assert_int_equal(codec_read(&finish_table, message, &m, &field), 0);
    assert_int_not_equal(m.result.is_set, m.error.is_set);
    assert_true(m.usage.is_set);
    assert_int_equal(lease_ref_read(m.lease.data, &to->lease), 0);
    assert_int_equal(codec_read(&usage_table, m.usage.data, &to->usage, &field), 0);
    to->exit_code = m.exit_code;
    to->signal = m.signal;
    to->chunked = m.chunked;
    to->message_number = f->n_messages;
    to->is_result = m.result.is_set;
    if (m.result.is_set) {
        assert_int_equal(codec_read(&result_table, m.result.data, &result, &field), 0);
        to->size_bytes = result.size_bytes;
        fake_text_set(&to->content_type, result.content_type);
        if (m.chunked) {
            assert_false(result.data.is_set);
            assert_memory_equal(&f->payload_lease.id, &to->lease.id, sizeof to->lease.id);
            to->data = f->payload;
            f->payload = BUF_INIT;
        } else {
            assert_true(result.data.is_set && result.data.data.len <= 65536);
            assert_int_equal(buf_append(&to->data, result.data.data.p, result.data.data.len), 0);
        }
        return;
    }
    assert_int_equal(codec_read(&error_table, m.error.data, &error, &field), 0);
    to->code = error.code;
    to->retryable = error.retryable;
    fake_text_set(&to->reason, error.reason);
    fake_text_set(&to->type, error.type);
    fake_text_set(&to->message, error.message);
    fake_text_set(&to->traceback, error.traceback);
    fake_text_set(&to->function_reason, error.function_reason);
}

static inline void fake_on_message(struct grpc_call *call, struct span message)
{
    struct fake_daemon *f = grpc_call_context(call);
    struct wire_reader r = wire_reader(message);
    struct wire_field field;

    f->n_messages++;
    while (wire_next(&r, &field) == 0) {
        struct wire_reader nested = wire_reader(field.bytes);
        struct wire_field inner;

        switch (field.number) {
        case 1: fake_on_hello(f, field.bytes); break;
        case 2:
            f->started_messages[f->n_started] = f->n_messages;
            f->started[f->n_started++] = fake_lease_of(field.bytes);
            break;
        case 6: fake_on_payload(f, field.bytes); break;
        case 7: fake_on_finish(f, field.bytes); break;
        case 8: f->released[f->n_released++] = fake_lease_of(field.bytes); break;
        case 9: f->returned[f->n_returned++] = fake_lease_of(field.bytes); break;
        case 10:
            assert_int_equal(wire_next(&nested, &inner), 0);
            f->credit += inner.value;
            break;
        case 11:
            assert_int_equal(wire_next(&nested, &inner), 0);
            f->pong = inner.value;
            break;
        default: fail_msg("field %u in AttachRequest", field.number);
        }
    }
}

static inline void fake_on_start(struct grpc_call *call)
{
    ((struct fake_daemon *)grpc_call_context(call))->call = call;
}

static inline void fake_on_half_close(struct grpc_call *call)
{
    ((struct fake_daemon *)grpc_call_context(call))->is_half_closed = 1;
    grpc_call_finish(call);
}

static inline void fake_on_done(struct grpc_call *call, enum grpc_end end)
{
    struct fake_daemon *f = grpc_call_context(call);

    f->is_over = 1;
    f->end = end;
    f->call = NULL;
}

/* --- birth and death */

/* fake_new: on the connected socket @fd, which it owns. */
static inline struct fake_daemon *fake_new(int fd)
{
    static const struct grpc_handler handler = {.on_start = fake_on_start,
                                                .on_message = fake_on_message,
                                                .on_half_close = fake_on_half_close,
                                                .on_done = fake_on_done};
    const struct grpc_server_config config = {.max_message_bytes = (size_t)4 * 1024 * 1024};
    const struct h2_config h2 = h2_config_server();
    const struct grpc_peer peer = {.address = "worker:1", .is_pool_worker = 1, .worker_key = 1};
    struct fake_daemon *f = calloc(1, sizeof *f);

    assert_non_null(f);
    f->fd = fd;
    f->method = (struct grpc_method){
            .path = "/futured.v1.Workers/Attach", .kind = GRPC_BIDI, .handler = &handler, .context = f};
    assert_int_equal(grpc_server_new(&f->server, &config), 0);
    assert_int_equal(grpc_server_add(f->server, &f->method, 1), 0);
    assert_int_equal(grpc_conn_new(&f->conn, f->server, &h2, &peer, clock_mono()), 0);
    return f;
}

static inline void fake_close(struct fake_daemon *f)
{
    if (f->conn) {
        f->conn = grpc_conn_free(f->conn);
        err_close(&f->fd);
    }
}

static inline void fake_free(struct fake_daemon *f)
{
    fake_close(f);
    grpc_server_free(f->server);
    buf_deinit(&f->out);
    buf_deinit(&f->payload);
    for (int i = 0; i < f->n_finishes; i++)
        buf_deinit(&f->finishes[i].data);
    free(f);
}

/* --- moving bytes */

static inline void fake_send(struct fake_daemon *f)
{
    struct h2_session *s = grpc_conn_session(f->conn);

    for (;;) {
        ssize_t n;

        if (buf_len(&f->out) < 65536)
            assert_int_equal(h2_session_send(s, &f->out, 65536, clock_mono()), 0);
        if (buf_len(&f->out) == 0)
            return;
        n = send(f->fd, buf_head(&f->out), buf_len(&f->out), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0) {
            f->is_gone |= errno != EAGAIN;
            return;
        }
        buf_consume(&f->out, (size_t)n);
        h2_session_sent(s, (size_t)n, clock_mono());
    }
}

static inline void fake_recv(struct fake_daemon *f)
{
    static uint8_t in[65536];
    ssize_t n = recv(f->fd, in, sizeof in, MSG_DONTWAIT);
    int r;

    if (n > 0) {
        r = h2_session_recv(grpc_conn_session(f->conn), in, (size_t)n, clock_mono());
        assert_true(r == 0 || r == H2_E_OVER);
    } else if (n == 0 || errno != EAGAIN) {
        f->is_gone = 1;
    }
}

/* fake_step: send what waits, wait for the worker, take what it says. */
static inline void fake_step(struct fake_daemon *f)
{
    struct pollfd p = {.fd = f->fd, .events = POLLIN};

    fake_send(f);
    if (f->is_gone)
        return;
    if (buf_len(&f->out))
        p.events |= POLLOUT;
    assert_true(poll(&p, 1, -1) == 1);
    fake_recv(f);
    fake_send(f);
}

/* FAKE_UNTIL: step until @condition holds; the worker's end before that fails the test. */
#define FAKE_UNTIL(f, condition)                                       \
    do {                                                               \
        while (!(condition)) {                                         \
            if ((f)->is_gone)                                          \
                fail_msg("the worker has gone before %s", #condition); \
            fake_step(f);                                              \
        }                                                              \
    } while (0)

/* --- speaking; it goes out with the next step */

static inline struct lease_ref fake_lease(uint32_t number)
{
    return (struct lease_ref){
            .id = id_make(UINT64_C(0x18f000000000000) + number, number), .attempt = 1, .epoch = 7};
}

struct fake_writing {
    struct writer w;
    struct writer_mark m;
};

static inline struct fake_writing fake_begin(struct fake_daemon *f, uint32_t number)
{
    struct buf *out = grpc_call_begin(f->call);
    struct fake_writing x;

    assert_non_null(out);
    x.w = writer_to(out);
    x.m = writer_begin(&x.w, number, 100);
    return x;
}

static inline void fake_end(struct fake_daemon *f, struct fake_writing *x)
{
    writer_end(&x->w, x->m);
    assert_int_equal(x->w.failed, 0);
    grpc_call_end(f->call);
}

static inline void fake_welcome(struct fake_daemon *f, uint64_t max_message, uint64_t max_result)
{
    struct fake_writing x = fake_begin(f, 1);

    writer_text(&x.w, 1, "w-1");
    writer_uint(&x.w, 2, 7);
    writer_uint(&x.w, 7, max_message);
    writer_uint(&x.w, 8, max_result);
    writer_text(&x.w, 9, "test");
    fake_end(f, &x);
}

static inline void fake_put_task(struct writer *w, const char *function, struct span argument)
{
    struct writer_mark label;

    writer_text(w, TASK_FUNCTION, function);
    writer_bytes(w, TASK_ARGUMENT, argument);
    writer_text(w, TASK_CONTENT_TYPE, "text/plain");
    label = writer_begin(w, TASK_LABELS, 20);
    writer_text(w, 1, "color");
    writer_text(w, 2, "red");
    writer_end(w, label);
}

/* fake_assign_n: @n items with leases @first, @first + 1, ..., in one Assign. */
static inline void fake_assign_n(struct fake_daemon *f, uint32_t first, uint32_t n, const char *function,
                                 struct span argument)
{
    struct fake_writing x = fake_begin(f, 3);

    for (uint32_t i = 0; i < n; i++) {
        struct lease_ref lease = fake_lease(first + i);
        struct writer_mark item = writer_begin(&x.w, 1, 100), task;

        lease_ref_write(&x.w, 1, &lease);
        task = writer_begin(&x.w, 2, 100);
        fake_put_task(&x.w, function, argument);
        writer_end(&x.w, task);
        writer_uint(&x.w, 4, 1);
        writer_text(&x.w, 8, "00-trace-span-01");
        writer_text(&x.w, 9, "group-1");
        writer_end(&x.w, item);
    }
    fake_end(f, &x);
}

static inline void fake_assign(struct fake_daemon *f, uint32_t number, const char *function,
                               const char *argument)
{
    fake_assign_n(f, number, 1, function, span_of_string(argument));
}

/* fake_piece: bytes [from, to) of a Task as a PayloadChunk. */
static inline void fake_piece(struct fake_daemon *f, uint32_t number, struct span task, size_t from,
                              size_t to)
{
    struct lease_ref lease = fake_lease(number);
    struct fake_writing x = fake_begin(f, 2);

    lease_ref_write(&x.w, 1, &lease);
    writer_uint(&x.w, 3, from);
    writer_bytes(&x.w, 4, (struct span){task.p + from, to - from});
    fake_end(f, &x);
}

static inline void fake_assign_chunked(struct fake_daemon *f, uint32_t number)
{
    struct lease_ref lease = fake_lease(number);
    struct fake_writing x = fake_begin(f, 3);
    struct writer_mark item = writer_begin(&x.w, 1, 100);

    lease_ref_write(&x.w, 1, &lease);
    writer_uint(&x.w, 4, 1);
    writer_uint(&x.w, 12, 1);
    writer_end(&x.w, item);
    fake_end(f, &x);
}

/* fake_order: a CancelAttempt (4), Recall (5) or Refused (6). */
static inline void fake_order(struct fake_daemon *f, uint32_t field, uint32_t number, int64_t grace_ns)
{
    struct lease_ref lease = fake_lease(number);
    struct fake_writing x = fake_begin(f, field);

    lease_ref_write(&x.w, 1, &lease);
    if (field != 5)
        writer_text(&x.w, 2, "a reason");
    if (grace_ns)
        writer_duration(&x.w, 3, grace_ns);
    fake_end(f, &x);
}

static inline void fake_drain(struct fake_daemon *f)
{
    struct fake_writing x = fake_begin(f, 7);

    writer_text(&x.w, 1, "test");
    fake_end(f, &x);
}

static inline void fake_ping(struct fake_daemon *f, uint64_t number)
{
    struct fake_writing x = fake_begin(f, 8);

    writer_uint(&x.w, 1, number);
    fake_end(f, &x);
}

/* --- looking */

/* fake_finish_of: the finish of lease @number, or NULL. */
static inline const struct fake_finish *fake_finish_of(const struct fake_daemon *f, uint32_t number)
{
    struct lease_ref lease = fake_lease(number);

    for (int i = 0; i < f->n_finishes; i++)
        if (memcmp(&f->finishes[i].lease.id, &lease.id, sizeof lease.id) == 0)
            return &f->finishes[i];
    return NULL;
}

static inline int fake_is_among(const struct lease_ref *leases, int n, uint32_t number)
{
    struct lease_ref lease = fake_lease(number);

    for (int i = 0; i < n; i++)
        if (memcmp(&leases[i].id, &lease.id, sizeof lease.id) == 0)
            return 1;
    return 0;
}

/* FAKE_UNTIL_STARTED: until the worker has said of lease @number that it runs. On a busy machine it may say so of short
 * tasks as well. */
#define FAKE_UNTIL_STARTED(f, number) FAKE_UNTIL(f, fake_is_among((f)->started, (f)->n_started, number))

static inline void fake_expect_data(const struct fake_finish *finish, const char *expected)
{
    assert_non_null(finish);
    if (!finish->is_result)
        fail_msg("failed: %s: %s", finish->reason.s, finish->message.s);
    assert_int_equal(buf_len(&finish->data), strlen(expected));
    assert_memory_equal(buf_head(&finish->data), expected, strlen(expected));
}
