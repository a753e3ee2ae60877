// SPDX-License-Identifier: Apache-2.0
#include "worker/isolate.h"

#include "base/log.h"
#include "base/mem.h"
#include "worker/blame.h"
#include "worker/plugin.h"
#include "worker/sandbox.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include <sys/wait.h>

enum {
    HEAD_BYTES = 4,
    READ_BYTES = 64 * 1024,
    ANSWER_MORE_BYTES = 1024 * 1024, /* of an answer beside its result: texts of an error */
};

struct question {
    struct span file, function, group, traceparent;
    struct codec_bytes lease;
    uint64_t max_result_bytes, has_upstreams;
    uint32_t upstream;
};
enum { Q_FILE = 1, Q_FUNCTION, Q_GROUP, Q_TRACEPARENT, Q_LEASE, Q_MAX_RESULT, Q_HAS_UPSTREAMS, Q_UPSTREAM };
static const struct codec_row question_rows[] = {
        CODEC_ROW(Q_FILE, CODEC_STRING, struct question, file),
        CODEC_ROW(Q_FUNCTION, CODEC_STRING, struct question, function),
        CODEC_ROW(Q_GROUP, CODEC_STRING, struct question, group),
        CODEC_ROW(Q_TRACEPARENT, CODEC_STRING, struct question, traceparent),
        CODEC_ROW(Q_LEASE, CODEC_MESSAGE, struct question, lease),
        CODEC_ROW(Q_MAX_RESULT, CODEC_UINT, struct question, max_result_bytes),
        CODEC_ROW(Q_HAS_UPSTREAMS, CODEC_UINT, struct question, has_upstreams),
        CODEC_ROW(Q_UPSTREAM, CODEC_REPEATED_MESSAGE, struct question, upstream),
};
static const struct codec_table question_table = {question_rows, ARRAY_LEN(question_rows)};

struct frame {
    struct span reason, type, message, traceback, function_reason, content_type;
    uint64_t has_failed, code, is_retryable, is_final, n_result;
};
enum {
    A_FAILED = 1,
    A_CODE,
    A_RETRYABLE,
    A_FINAL,
    A_REASON,
    A_TYPE,
    A_MESSAGE,
    A_TRACEBACK,
    A_FUNCTION_REASON,
    A_CONTENT_TYPE,
    A_SIZE
};
static const struct codec_row frame_rows[] = {
        CODEC_ROW(A_FAILED, CODEC_UINT, struct frame, has_failed),
        CODEC_ROW(A_CODE, CODEC_UINT, struct frame, code),
        CODEC_ROW(A_RETRYABLE, CODEC_UINT, struct frame, is_retryable),
        CODEC_ROW(A_FINAL, CODEC_UINT, struct frame, is_final),
        CODEC_ROW(A_REASON, CODEC_STRING, struct frame, reason),
        CODEC_ROW(A_TYPE, CODEC_STRING, struct frame, type),
        CODEC_ROW(A_MESSAGE, CODEC_STRING, struct frame, message),
        CODEC_ROW(A_TRACEBACK, CODEC_STRING, struct frame, traceback),
        CODEC_ROW(A_FUNCTION_REASON, CODEC_STRING, struct frame, function_reason),
        CODEC_ROW(A_CONTENT_TYPE, CODEC_STRING, struct frame, content_type),
        CODEC_ROW(A_SIZE, CODEC_UINT, struct frame, n_result),
};
static const struct codec_table frame_table = {frame_rows, ARRAY_LEN(frame_rows)};

/* The reasons that an attempt can give itself. */
static const char *const reasons[] = {"", "RESULT_TOO_LARGE"};

static int fail_no_memory(struct futured_call *call)
{
    return attempt_fail(call, "", GRPC_RESOURCE_EXHAUSTED, "NO_MEMORY",
                        "the worker could not allocate memory");
}

/* A head is written behind room for its length, which is known in the end. */
static void put_length(struct buf *head)
{
    uint32_t n = (uint32_t)(buf_len(head) - HEAD_BYTES);
    uint8_t *to = buf_head(head);

    for (int i = 0; i < HEAD_BYTES; i++)
        to[i] = (uint8_t)(n >> 8 * i);
}

/* The head that @all begins with; *ret_rest is what is behind it. 0; -EBADMSG. */
static int split(struct span all, struct span *ret_head, struct span *ret_rest)
{
    size_t n = 0;

    if (all.len < HEAD_BYTES)
        return -EBADMSG;
    for (int i = 0; i < HEAD_BYTES; i++)
        n |= (size_t)all.p[i] << 8 * i;
    if (n > all.len - HEAD_BYTES)
        return -EBADMSG;
    *ret_head = (struct span){all.p + HEAD_BYTES, n};
    *ret_rest = (struct span){all.p + HEAD_BYTES + n, all.len - HEAD_BYTES - n};
    return 0;
}

/* --- the worker's side */

static void put_upstreams(struct writer *w, const struct upstream_list *list)
{
    for (uint32_t i = 0; list && i < list->n; i++)
        upstream_write(w, Q_UPSTREAM, &list->at[i]);
}

/* 0, -ENOMEM. */
static int put_question(const char *file, const char *function, const struct futured_call *call,
                        struct buf *head)
{
    static const uint8_t room[HEAD_BYTES];
    struct writer w = writer_to(head);

    if (buf_append(head, room, sizeof room) < 0)
        return -ENOMEM;
    writer_text(&w, Q_FILE, file);
    writer_text(&w, Q_FUNCTION, function);
    writer_bytes(&w, Q_GROUP, call->group);
    writer_bytes(&w, Q_TRACEPARENT, call->traceparent);
    lease_ref_write(&w, Q_LEASE, &call->lease);
    writer_uint(&w, Q_MAX_RESULT, call->max_result_bytes);
    writer_uint(&w, Q_HAS_UPSTREAMS, call->upstreams != NULL);
    put_upstreams(&w, call->upstreams);
    if (w.failed)
        return w.failed;
    put_length(head);
    return 0;
}

static struct span keep(struct futured_call *call, struct span text)
{
    const char *copy = text.len ? arena_strndup(&call->texts, (const char *)text.p, text.len) : NULL;

    return copy ? (struct span){(const uint8_t *)copy, text.len} : (struct span){0};
}

static void take_failure(struct futured_call *call, const struct frame *a)
{
    call->has_failed = 1;
    call->failure = (struct answer_failure){
            .reason = reasons[span_eq(a->reason, span_of_string(reasons[1]))],
            .code = (int)a->code,
            .is_retryable = (a->is_retryable != 0) - (a->is_final != 0),
            .type = keep(call, a->type),
            .message = keep(call, a->message),
            .traceback = keep(call, a->traceback),
            .function_reason = keep(call, a->function_reason),
    };
}

/* What it has said, if it has said all of it: the result stays where it is. Whether it has. */
static int take_answer(struct futured_call *call)
{
    struct span head, result;
    struct frame a = {0};
    const char *field;

    if (split(attempt_output(call), &head, &result) < 0 || codec_read(&frame_table, head, &a, &field) != 0 ||
        a.n_result != result.len)
        return 0;
    if (a.has_failed) {
        take_failure(call, &a);
    } else if (result.len >
               call->max_result_bytes) { /* which its side keeps, unless its code has been at it */
        attempt_fail_too_large(call, result.len);
    } else {
        call->result_type = keep(call, a.content_type);
        buf_consume(&call->result, (size_t)(result.p - buf_head(&call->result)));
        call->n_result = result.len;
    }
    call->exit_code = (struct codec_number){0}; /* it is none of a command */
    return 1;
}

static void on_output(struct futured_call *call)
{
    telling_take_frames(&call->telling, &call->result);
}

void isolate_run(const char *file, const char *function, const struct pump_limits *limits,
                 struct cgroup_home *cgroups, struct futured_call *call)
{
    struct pump p = {.call = call, .limits = limits, .cgroups = cgroups, .err = BUF_INIT, .is_plugin = 1};
    struct buf head CLEANUP(buf_deinit) = BUF_INIT;
    char name[] = "futured-worker", option[] = "--call";
    char *const arguments[] = {name, option, NULL};

    if (put_question(file, function, call, &head) < 0) {
        fail_no_memory(call);
        return;
    }
    p.to_write = (struct span){buf_head(&head), buf_len(&head)};
    p.to_write_next = call->task_bytes;
    p.max_output_bytes = call->max_result_bytes + ANSWER_MORE_BYTES;
    p.on_output = on_output;
    if (pump_run(&p, call->guard.program, arguments, environ, NULL) == 0 &&
        ((p.stop != PUMP_NOT_STOPPED && p.stop != PUMP_CANCELLED) || p.status != 0 || !take_answer(call)))
        (void)pump_judge(&p);
    pump_deinit(&p);
}

/* --- the other side */

static struct futured_call the_call; /* for the handler of a signal */

static void on_term(int signal)
{
    attempt_cancel(&the_call, 0);
}

static int read_all(int fd, struct buf *to)
{
    ssize_t n = 1;

    while (n > 0) {
        if (buf_reserve(to, READ_BYTES) < 0)
            return -ENOMEM;
        n = read(fd, buf_tail(to), READ_BYTES);
        if (n < 0 && errno == EINTR)
            n = 1;
        else if (n > 0)
            buf_commit(to, (size_t)n);
    }
    return n < 0 ? -errno : 0;
}

static int write_all(int fd, struct span data)
{
    while (data.len) {
        ssize_t n = write(fd, data.p, data.len);

        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0)
            data = (struct span){data.p + n, data.len - (size_t)n};
    }
    return 0;
}

static int answer(int fd, const struct futured_call *call)
{
    static const uint8_t room[HEAD_BYTES];
    const struct answer_failure *f = &call->failure;
    struct span result = call->has_failed ? (struct span){0} : attempt_result(call);
    struct buf head CLEANUP(buf_deinit) = BUF_INIT;
    struct writer w = writer_to(&head);
    int r;

    if (buf_append(&head, room, sizeof room) < 0)
        return -ENOMEM;
    if (call->has_failed) {
        writer_uint(&w, A_FAILED, 1);
        writer_uint(&w, A_CODE, (uint64_t)f->code);
        writer_uint(&w, A_RETRYABLE, f->is_retryable > 0);
        writer_uint(&w, A_FINAL, f->is_retryable < 0);
        writer_text(&w, A_REASON, f->reason);
        writer_bytes(&w, A_TYPE, f->type);
        writer_bytes(&w, A_MESSAGE, f->message);
        writer_bytes(&w, A_TRACEBACK, f->traceback);
        writer_bytes(&w, A_FUNCTION_REASON, f->function_reason);
    }
    writer_bytes(&w, A_CONTENT_TYPE, call->result_type);
    writer_uint(&w, A_SIZE, result.len);
    if (w.failed)
        return w.failed;
    put_length(&head);
    r = write_all(fd, (struct span){buf_head(&head), buf_len(&head)});
    return r < 0 ? r : write_all(fd, result);
}

static int run(const struct question *q, struct futured_call *call)
{
    char file[PLUGIN_TEXT_BYTES], why[PLUGIN_TEXT_BYTES];
    const struct futured_plugin_function *f = NULL;
    struct plugin plugin;
    void *state = NULL;
    int r;

    if (q->file.len >= sizeof file)
        return attempt_fail(call, "", GRPC_INTERNAL, "", "the path of the plugin is too long");
    snprintf(file, sizeof file, "%.*s", (int)q->file.len, (const char *)q->file.p);
    if (plugin_open(&plugin, file, why) != 0)
        return attempt_fail(call, "", GRPC_UNAVAILABLE, "CANNOT_START", "%s", why);
    for (size_t i = 0; i < plugin.descriptor->n_functions && !f; i++)
        if (span_eq(q->function, span_of_string(plugin_function(&plugin, i)->name)))
            f = plugin_function(&plugin, i);
    if (!f)
        return attempt_fail(call, "", GRPC_UNAVAILABLE, "CANNOT_START", "%s: the function is gone", file);
    call->function = f->name;
    r = f->init ? f->init(&attempt_host, &state) : 0;
    if (r != 0)
        return attempt_fail(call, "", GRPC_UNAVAILABLE, "CANNOT_START", "%s: init of function %s failed (%d)",
                            file, f->name, r);
    r = f->run(&attempt_host, call, state);
    if (r != 0 && !call->has_failed)
        attempt_fail(call, "", GRPC_UNKNOWN, "", "the function returned %d", r);
    if (f->fini)
        f->fini(state);
    return 0;
}

/* 0; an exit code. */
static int begin(struct span all, struct question *q, struct futured_call *call,
                 struct upstream_list **ret_upstreams)
{
    struct span head, task;
    struct lease_ref lease;
    const char *field;

    if (split(all, &head, &task) < 0 || codec_read(&question_table, head, q, &field) != 0 ||
        lease_ref_read(q->lease.data, &lease) != 0)
        return EX_PROTOCOL;
    if (q->has_upstreams &&
        upstream_read(head, Q_UPSTREAM, q->upstream, (struct span){0}, NULL, 0, ret_upstreams) != 0)
        return EX_PROTOCOL;
    if (attempt_begin(call, &lease, task, q->group, q->traceparent, q->max_result_bytes) != 0)
        return EX_PROTOCOL;
    call->upstreams = *ret_upstreams;
    return 0;
}

int isolate_main(void)
{
    const struct sigaction term = {.sa_handler = on_term, .sa_flags = SA_RESTART};
    int to = sandbox_hide(dup(STDOUT_FILENO)), r;
    struct buf all CLEANUP(buf_deinit) = BUF_INIT;
    struct upstream_list *upstreams = NULL;
    struct question q = {0};

    if (to < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0 || attempt_init(&the_call, NULL) < 0 ||
        sigaction(SIGTERM, &term, NULL) < 0 || read_all(STDIN_FILENO, &all) < 0 || blame_hold_thread() < 0)
        return EX_OSERR;
    r = begin((struct span){buf_head(&all), buf_len(&all)}, &q, &the_call, &upstreams);
    if (r != 0)
        return r;
    the_call.telling.pipe_fd = to;
    (void)run(&q, &the_call);
    r = answer(to, &the_call) < 0 ? EX_IOERR : 0;
    mem_free(upstreams);
    attempt_end(&the_call);
    attempt_deinit(&the_call);
    return r;
}
