// SPDX-License-Identifier: Apache-2.0
/*
 * What a worker says. A message whose memory fails is not sent, and the connection is given up: on the next one everything
 * that is held is told anew, so that nothing can be half said.
 */
#include "base/text.h"
#include "client/lib/worker.h"
#include "grpc/writer.h"

#include <errno.h>

enum {
    HELLO_NAME = 1,
    HELLO_TOKEN,
    HELLO_FUNCTIONS,
    HELLO_SLOTS,
    HELLO_LABELS,
    HELLO_HELD,
    HELLO_VERSION,
    HELLO_EPOCH
};
enum {
    FUNCTION_NAME = 1,
    FUNCTION_DOC,
    FUNCTION_CONTENT_TYPES,
    FUNCTION_OPTIONS,
    FUNCTION_VERSION,
    FUNCTION_MAX_RUNNING
};
enum { CHUNK_LEASE = 1, CHUNK_STREAM, CHUNK_OFFSET, CHUNK_DATA, CHUNK_TIME };
enum { CHUNK_COST_BYTES = 64 }; /* how much more the daemon counts each as */
enum { PROGRESS_MESSAGE_BYTES = 1024 };

/* One message of @number, by @put. */
static void say(struct futured_worker *w, uint32_t number, size_t size_hint,
                void (*put)(struct writer *wr, const void *arg), const void *arg)
{
    struct buf *out = w->call && !w->is_broken ? grpc_client_call_begin(w->call) : NULL;
    struct writer wr = writer_to(out);
    struct writer_mark m;

    if (!out) {
        w->is_broken |= w->call != NULL;
        return;
    }
    m = writer_begin(&wr, number, size_hint);
    put(&wr, arg);
    writer_end(&wr, m);
    if (wr.failed) {
        grpc_client_call_undo(w->call);
        w->is_broken = 1;
    } else {
        grpc_client_call_end(w->call);
    }
}

static int is_writable(const struct futured_worker *w)
{
    return w->is_attached && w->call && !w->is_broken && futured_conn_grpc(w->conn) &&
           h2_session_pending_bytes(grpc_client_session(futured_conn_grpc(w->conn))) < FUTURED_PENDING_BYTES;
}

/* Wait until @job may write. 0; -1: it is in vain. */
static int wait_for_room(struct futured_worker *w, const struct futured_job *job)
{
    while (w->phase != WORKER_OVER && !job->is_lost && !is_writable(w))
        pthread_cond_wait(&w->room, &w->lock);
    return w->phase == WORKER_OVER || job->is_lost ? -1 : 0;
}

/* --- Hello */

static void put_function(struct writer *wr, const struct served *f)
{
    struct writer_mark m = writer_begin(wr, HELLO_FUNCTIONS, 100);

    writer_text(wr, FUNCTION_NAME, f->name);
    writer_text(wr, FUNCTION_DOC, f->doc);
    for (size_t i = 0; i < f->n_content_types; i++)
        writer_text(wr, FUNCTION_CONTENT_TYPES, f->content_types[i]);
    if (f->has_options)
        writer_bytes_always(wr, FUNCTION_OPTIONS, f->default_options);
    writer_text(wr, FUNCTION_VERSION, f->version);
    writer_uint(wr, FUNCTION_MAX_RUNNING, f->max_running);
    writer_end(wr, m);
}

static void put_jobs(struct writer *wr, const struct list *jobs)
{
    LIST_FOREACH (l, jobs) {
        const struct futured_job *job = LIST_ENTRY(l, struct futured_job, link);

        if (!job->is_lost)
            lease_ref_write(wr, HELLO_HELD, &job->lease);
    }
}

static void put_hello(struct writer *wr, const void *arg)
{
    const struct futured_worker *w = arg;

    writer_text(wr, HELLO_NAME, w->name);
    writer_text(wr, HELLO_TOKEN, w->token);
    LIST_FOREACH (l, &w->functions)
        put_function(wr, LIST_ENTRY(l, struct served, link));
    writer_uint(wr, HELLO_SLOTS, w->n_slots);
    for (size_t i = 0; i < w->n_labels; i++) {
        struct writer_mark m = writer_begin(wr, HELLO_LABELS, 64);

        writer_text(wr, 1, w->labels[i].key);
        writer_text(wr, 2, w->labels[i].value);
        writer_end(wr, m);
    }
    put_jobs(wr, &w->running);
    put_jobs(wr, &w->told_jobs);
    put_jobs(wr, &w->again);
    LIST_FOREACH (l, &w->inbox.queue)
        lease_ref_write(wr, HELLO_HELD, &LIST_ENTRY(l, struct item, link)->lease);
    writer_text(wr, HELLO_VERSION, w->version);
    writer_uint(wr, HELLO_EPOCH, w->epoch);
}

void futured_report_hello(struct futured_worker *w)
{
    say(w, ATTACH_HELLO, 1000, put_hello, w);
}

/* --- about leases, and of the worker */

static void put_lease(struct writer *wr, const void *arg)
{
    lease_ref_write(wr, 1, arg);
}

void futured_report_started(struct futured_worker *w, const struct lease_ref *lease)
{
    say(w, ATTACH_STARTED, 40, put_lease, lease);
}

void futured_report_returned(struct futured_worker *w, const struct lease_ref *lease)
{
    say(w, ATTACH_RETURNED, 40, put_lease, lease);
}

static void put_release(struct writer *wr, const void *arg)
{
    lease_ref_write(wr, 1, arg);
    writer_text(wr, 2, "the worker ends");
}

void futured_report_released(struct futured_worker *w, const struct lease_ref *lease)
{
    say(w, ATTACH_RELEASE, 60, put_release, lease);
}

static void put_number(struct writer *wr, const void *arg)
{
    writer_uint(wr, 1, *(const uint64_t *)arg);
}

void futured_report_credit(struct futured_worker *w, uint32_t credit)
{
    const uint64_t number = credit;

    say(w, ATTACH_READY, 8, put_number, &number);
}

void futured_report_heartbeat(struct futured_worker *w, uint64_t ping)
{
    say(w, ATTACH_HEARTBEAT, 12, put_number, &ping);
}

/* --- what was said while it runs */

struct told_piece {
    size_t begin, end; /* in told.data */
    int stream;
    wall_ns_t time; /* of its last byte */
};

struct chunk {
    const struct futured_job *job;
    const struct told *told;
    struct told_piece piece;
};

static void put_chunk(struct writer *wr, const void *arg)
{
    const struct chunk *c = arg;

    lease_ref_write(wr, CHUNK_LEASE, &c->job->lease);
    writer_uint(wr, CHUNK_STREAM, (uint64_t)c->piece.stream);
    writer_uint(wr, CHUNK_OFFSET, c->piece.begin);
    writer_bytes(wr, CHUNK_DATA,
                 (struct span){buf_head(&c->told->data) + c->piece.begin, c->piece.end - c->piece.begin});
    writer_timestamp(wr, CHUNK_TIME, c->piece.time);
}

static struct told_piece *pieces_of(const struct told *t)
{
    return (struct told_piece *)(void *)buf_head(&t->pieces);
}

static size_t n_pieces(const struct told *t)
{
    return buf_len(&t->pieces) / sizeof(struct told_piece);
}

/* The next piece of what was not sent. 0: there is none. */
static int take_piece(struct told *t, struct told_piece *ret)
{
    if (t->n_sent == buf_len(&t->data))
        return 0;
    while (pieces_of(t)[t->at].end <= t->n_sent)
        t->at++;
    *ret = pieces_of(t)[t->at];
    ret->begin = t->n_sent;
    t->n_sent = ret->end;
    if (t->n_sent > t->n_said) {
        t->n_costly += t->n_sent - t->n_said + CHUNK_COST_BYTES;
        t->n_said = t->n_sent;
    }
    return 1;
}

/* 0: all that @job has said was sent on this connection; 1: there is no room for the rest, or no connection. */
static int send_told(struct futured_worker *w, struct futured_job *job)
{
    static const uint32_t numbers[TOLD_KINDS] = {ATTACH_OUTPUT, ATTACH_LOG};
    int is_more = 0;

    for (int kind = 0; kind < TOLD_KINDS; kind++) {
        struct told *t = &job->told[kind];
        struct chunk chunk = {.job = job, .told = t};

        if (job->told_on != w->n_connections)
            t->n_sent = t->at = 0;
        while (is_writable(w) && take_piece(t, &chunk.piece))
            say(w, numbers[kind], chunk.piece.end - chunk.piece.begin + 100, put_chunk, &chunk);
        is_more |= t->n_sent < buf_len(&t->data);
    }
    job->told_on = w->n_connections;
    return is_more;
}

void futured_report_told(struct futured_worker *w)
{
    w->has_untold = 0;
    LIST_FOREACH (l, &w->running) {
        struct futured_job *job = LIST_ENTRY(l, struct futured_job, link);

        if (!job->is_lost)
            w->has_untold |= send_told(w, job);
    }
}

int futured_report_has_more(const struct futured_worker *w)
{
    return w->has_untold && is_writable(w);
}

/* --- Finish */

static struct span result_of(const struct futured_job *job)
{
    return (struct span){buf_head(&job->result), buf_len(&job->result)};
}

static int is_in_pieces(const struct futured_job *job)
{
    return !job->has_failed && buf_len(&job->result) > FUTURED_WORKER_CHUNK_BYTES;
}

static void put_finish(struct writer *wr, const void *arg)
{
    const struct futured_job *job = arg;

    answer_write(wr, &(struct answer){
                             .lease = &job->lease,
                             .failure = job->has_failed ? &job->failure : NULL,
                             .result = result_of(job),
                             .result_type = job->result_type,
                             .is_chunked = is_in_pieces(job),
                             .usage = &job->usage,
                             .exit_code = job->exit_code,
                             .signal = job->signal,
                     });
}

struct piece {
    const struct futured_job *job;
    size_t offset;
    struct span data;
};

static void put_piece(struct writer *wr, const void *arg)
{
    const struct piece *piece = arg;

    answer_write_piece(wr, &piece->job->lease, piece->offset, piece->data);
}

/* 0; 1: the connection was lost on the way, so from the beginning; -1: in vain. */
static int send_pieces(struct futured_worker *w, struct futured_job *job)
{
    struct span all = result_of(job);
    uint64_t connection = w->n_connections;

    for (size_t at = 0; at < all.len;) {
        size_t n = MIN(all.len - at, (size_t)FUTURED_WORKER_CHUNK_BYTES);
        const struct piece piece = {job, at, {all.p + at, n}};

        if (wait_for_room(w, job) < 0)
            return -1;
        if (w->n_connections != connection)
            return 1;
        say(w, ATTACH_PAYLOAD, n + 64, put_piece, &piece);
        futured_worker_wake(w);
        at += n;
    }
    return 0;
}

/* The pieces of one result must not be among those of another. */
static int send_in_turn(struct futured_worker *w, struct futured_job *job)
{
    int r;

    while (w->in_pieces && w->phase != WORKER_OVER)
        pthread_cond_wait(&w->room, &w->lock);
    if (w->phase == WORKER_OVER)
        return -1;
    w->in_pieces = job;
    r = send_pieces(w, job);
    if (r == 0)
        r = send_told(w, job); /* which another connection may not have heard */
    if (r == 0)
        say(w, ATTACH_FINISH, 200, put_finish, job);
    w->in_pieces = NULL;
    pthread_cond_broadcast(&w->room);
    return r;
}

int futured_report_finish(struct futured_worker *w, struct futured_job *job)
{
    int r;

    do {
        r = wait_for_room(w, job);
        if (r == 0)
            r = send_told(w, job);
        if (r == 0 && is_in_pieces(job))
            r = send_in_turn(w, job);
        else if (r == 0)
            say(w, ATTACH_FINISH, buf_len(&job->result) + 200, put_finish, job);
    } while (r > 0);
    if (r == 0)
        futured_worker_wake(w);
    return r;
}

/* --- what a function says of itself */

struct progress {
    const struct lease_ref *lease;
    uint64_t completed, total;
    struct span message;
};

static void put_progress(struct writer *wr, const void *arg)
{
    const struct progress *p = arg;
    struct writer_mark m;

    lease_ref_write(wr, 1, p->lease);
    m = writer_begin(wr, 2, p->message.len + 24);
    writer_uint(wr, 1, p->completed);
    writer_uint(wr, 2, p->total);
    writer_bytes(wr, 3, p->message);
    writer_end(wr, m);
}

int futured_job_progress(struct futured_job *job, uint64_t completed, uint64_t total, const char *message)
{
    struct futured_worker *w = job->worker;
    struct progress p = {&job->lease, completed, total, {0}};
    struct arena texts;
    int r;

    arena_init(&texts, 0);
    if (message)
        p.message = text_clean(&texts, span_of_string(message), PROGRESS_MESSAGE_BYTES);
    pthread_mutex_lock(&w->lock);
    r = job->is_lost || futured_job_is_cancelled(job) ? -1 : 0;
    if (r == 0 && is_writable(w)) { /* else it is forgotten: the next one counts */
        say(w, ATTACH_PROGRESS, p.message.len + 80, put_progress, &p);
        futured_worker_wake(w);
    }
    pthread_mutex_unlock(&w->lock);
    arena_deinit(&texts);
    return r;
}

/* Behind what it has said before. 0; -ENOMEM. */
static int keep_piece(struct told *t, int stream, struct span data)
{
    while (data.len) {
        size_t n = n_pieces(t), has = buf_len(&t->data), more;
        struct told_piece *last = n ? &pieces_of(t)[n - 1] : NULL;

        if (!last || last->stream != stream || last->end - last->begin == FUTURED_WORKER_CHUNK_BYTES) {
            const struct told_piece next = {has, has, stream, 0};

            if (buf_append(&t->pieces, &next, sizeof next) < 0)
                return -ENOMEM;
            last = &pieces_of(t)[n];
        }
        more = MIN(data.len, FUTURED_WORKER_CHUNK_BYTES - (last->end - last->begin));
        if (buf_append(&t->data, data.p, more) < 0)
            return -ENOMEM;
        last->end += more;
        last->time = clock_wall();
        data = (struct span){data.p + more, data.len - more};
    }
    return 0;
}

/* As much of @data as the daemon keeps, and a byte by which it sees that there was more. */
static struct span kept_of(const struct told *t, uint64_t limit, const void *data, size_t size)
{
    uint64_t has = buf_len(&t->data);

    if (limit == 0 || has > limit || t->n_costly > limit)
        return (struct span){0};
    return (struct span){data, (size_t)MIN(size, limit + 1 - has)};
}

static int tell(struct futured_job *job, enum told_kind kind, int stream, const void *data, size_t size)
{
    struct futured_worker *w = job->worker;
    struct told *t = &job->told[kind];
    int r = -1;

    pthread_mutex_lock(&w->lock);
    if (w->phase != WORKER_OVER && !job->is_lost)
        r = keep_piece(t, stream, kept_of(t, w->max_told_bytes[kind], data, size));
    if (r == 0 && send_told(w, job))
        w->has_untold = 1;
    futured_worker_wake(w);
    pthread_mutex_unlock(&w->lock);
    return r < 0 ? -1 : 0;
}

int futured_job_output(struct futured_job *job, enum futured_stream stream, const void *data, size_t size)
{
    return tell(job, TOLD_OUTPUT, (int)stream, data, size);
}

int futured_job_log(struct futured_job *job, enum futured_stream stream, const void *data, size_t size)
{
    return tell(job, TOLD_LOG, (int)stream, data, size);
}
