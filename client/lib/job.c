// SPDX-License-Identifier: Apache-2.0
#include "client/lib/job.h"

#include "base/mem.h"
#include "base/text.h"
#include "client/lib/decode.h"
#include "client/lib/worker.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <sys/eventfd.h>
#include <sys/resource.h>

enum { NAME_BYTES = 255, TEXT_BYTES = 64 * 1024, MESSAGE_BYTES = 1024, ARENA_BYTES = 1024 * 1024 };

/* --- birth and death */

int futured_job_new(struct futured_job **ret, struct futured_worker *worker, struct item *item)
{
    struct futured_job *job = mem_zalloc(sizeof *job);
    const char *field;

    if (!job)
        return -ENOMEM;
    job->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (job->cancel_fd < 0) {
        mem_free(job);
        return -errno;
    }
    list_init(&job->link);
    arena_init(&job->texts, ARENA_BYTES + (item->upstreams ? item->upstreams->n * (size_t)1024 : 0));
    job->worker = worker;
    job->item = item;
    job->lease = item->lease;
    job->usage = (struct answer_usage){-1, -1, -1, -1};
    id_format(&job->lease.id, job->id);
    if (codec_read(&task_table, item->task, &job->task, &field) != 0) {
        job->task = (struct task){0};
        (void)futured_job_fail_here(job, "", FUTURED_INTERNAL, "the task is malformed at %s", field);
    }
    *ret = job;
    return 0;
}

struct futured_job *futured_job_free(struct futured_job *job)
{
    if (!job)
        return NULL;
    list_del(&job->link);
    inbox_item_free(job->item);
    arena_deinit(&job->texts);
    buf_deinit(&job->result);
    for (int kind = 0; kind < TOLD_KINDS; kind++) {
        buf_deinit(&job->told[kind].data);
        buf_deinit(&job->told[kind].pieces);
    }
    err_close(&job->cancel_fd);
    return mem_free(job);
}

size_t futured_job_bytes(const struct futured_job *job)
{
    return buf_len(&job->result) + buf_len(&job->told[TOLD_OUTPUT].data) + buf_len(&job->told[TOLD_LOG].data);
}

/* --- failing */

static struct span text_of(struct futured_job *job, const char *text, size_t max)
{
    struct span clean = text ? text_clean(&job->texts, span_of_string(text), max) : (struct span){0};
    char *copy = clean.len ? arena_strndup(&job->texts, (const char *)clean.p, clean.len) : NULL;

    return copy ? (struct span){(const uint8_t *)copy, clean.len} : (struct span){0};
}

int futured_job_fail_here(struct futured_job *job, const char *reason, int code, const char *format, ...)
{
    char message[MESSAGE_BYTES];
    va_list args;

    if (job->has_failed)
        return -1;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    job->has_failed = 1;
    job->failure = (struct answer_failure){.reason = reason, .code = code};
    job->failure.message = text_of(job, message, sizeof message);
    return -1;
}

int futured_job_fail_with(struct futured_job *job, const struct futured_job_failure *failure)
{
    struct futured_job_failure f = {0};

    if (job->has_failed)
        return -1;
    memcpy(&f, failure, MIN(failure->size, sizeof f));
    job->has_failed = 1;
    job->failure = (struct answer_failure){
            .reason = "",
            .code = f.code > FUTURED_OK && f.code <= FUTURED_UNAUTHENTICATED ? f.code : FUTURED_UNKNOWN,
            .is_retryable = (f.retryable > 0) - (f.retryable < 0),
            .type = text_of(job, f.type, NAME_BYTES),
            .message = text_of(job, f.message, TEXT_BYTES),
            .traceback = text_of(job, f.traceback, TEXT_BYTES),
            .function_reason = text_of(job, f.reason, NAME_BYTES),
    };
    return -1;
}

int futured_job_fail(struct futured_job *job, const char *type, const char *message)
{
    return futured_job_fail_with(
            job, &(struct futured_job_failure){
                         .size = sizeof(struct futured_job_failure), .type = type, .message = message});
}

static int fail_no_memory(struct futured_job *job)
{
    return futured_job_fail_here(job, "", FUTURED_RESOURCE_EXHAUSTED, "the worker is out of memory");
}

/* --- what was asked */

const void *futured_job_argument(const struct futured_job *job, size_t *ret_size)
{
    *ret_size = job->task.argument.data.len;
    return job->task.argument.data.len ? (const void *)job->task.argument.data.p : "";
}

static const char *copy(struct futured_job *job, struct span from)
{
    const char *text = from.len ? arena_strndup(&job->texts, (const char *)from.p, from.len) : "";

    return text ? text : "";
}

/* A NUL-terminated copy of @from, kept in *at. */
static const char *copy_once(struct futured_job *job, const char **at, struct span from)
{
    if (!*at && from.len)
        *at = arena_strndup(&job->texts, (const char *)from.p, from.len);
    return *at ? *at : "";
}

const char *futured_job_content_type(struct futured_job *job)
{
    return copy_once(job, &job->content_type, job->task.content_type);
}

const char *futured_job_function(const struct futured_job *job)
{
    return job->function ? job->function->name : "";
}

const char *futured_job_label(struct futured_job *job, const char *key)
{
    struct span wanted = span_of_string(key), k, value;
    struct wire_reader r = wire_reader(job->item->task);

    while (task_next_label(&r, TASK_LABELS, &k, &value) > 0)
        if (span_eq(k, wanted))
            return arena_strndup(&job->texts, value.len ? (const char *)value.p : "", value.len);
    return NULL;
}

const struct futured_label *futured_job_labels(struct futured_job *job, size_t *ret_n)
{
    struct wire_reader r = wire_reader(job->item->task), first = r;
    struct futured_label *labels;
    struct span key, value;
    size_t n = 0;

    *ret_n = 0;
    while (task_next_label(&first, TASK_LABELS, &key, &value) > 0)
        n++;
    labels = n ? arena_alloc(&job->texts, n * sizeof *labels) : NULL;
    if (!labels)
        return NULL;
    while (*ret_n < n && task_next_label(&r, TASK_LABELS, &key, &value) > 0)
        labels[(*ret_n)++] = (struct futured_label){copy(job, key), copy(job, value)};
    return labels;
}

const char *futured_job_id(const struct futured_job *job)
{
    return job->id;
}

uint32_t futured_job_attempt(const struct futured_job *job)
{
    return job->lease.attempt;
}

const char *futured_job_group(struct futured_job *job)
{
    return copy_once(job, &job->group, job->item->group);
}

const char *futured_job_traceparent(struct futured_job *job)
{
    return copy_once(job, &job->traceparent, job->item->traceparent);
}

int64_t futured_job_attempt_timeout(const struct futured_job *job)
{
    return job->item->attempt_timeout.is_set ? job->item->attempt_timeout.ns : FUTURED_NO_SPAN;
}

int64_t futured_job_deadline(const struct futured_job *job)
{
    return job->item->deadline.is_set ? job->item->deadline.ns : FUTURED_NO_TIME;
}

size_t futured_job_n_upstreams(const struct futured_job *job)
{
    return job->item->upstreams ? job->item->upstreams->n : 0;
}

const struct futured_job_upstream *futured_job_upstream(struct futured_job *job, size_t i)
{
    const struct upstream *from;
    struct futured_job_upstream *to;

    if (i >= futured_job_n_upstreams(job))
        return NULL;
    from = &job->item->upstreams->at[i];
    to = arena_alloc(&job->texts, sizeof *to);
    if (!to)
        return NULL;
    *to = (struct futured_job_upstream){
            .id = copy(job, from->id),
            .succeeded = from->is_result,
            .data = {from->data.p, from->data.len},
            .content_type = copy(job, from->content_type),
            .code = (int)status_code((uint64_t)from->error.code),
            .reason = copy(job, from->error.reason),
            .type = copy(job, from->error.type),
            .message = copy(job, from->error.message),
            .function_reason = copy(job, from->error.function_reason),
    };
    return to;
}

/* --- being cancelled */

void futured_job_cancel(struct futured_job *job, int64_t grace_ns, struct span reason)
{
    size_t n = MIN(reason.len, sizeof job->cancel_reason - 1);

    if (atomic_load_explicit(&job->is_cancelled, memory_order_relaxed))
        return;
    job->grace_ns = grace_ns;
    if (n)
        memcpy(job->cancel_reason, reason.p, n);
    atomic_store_explicit(&job->is_cancelled, 1, memory_order_release);
    (void)eventfd_write(job->cancel_fd, 1);
}

int futured_job_is_cancelled(const struct futured_job *job)
{
    return atomic_load_explicit(&job->is_cancelled, memory_order_acquire);
}

int futured_job_cancel_fd(const struct futured_job *job)
{
    return job->cancel_fd;
}

const char *futured_job_cancel_reason(struct futured_job *job)
{
    return futured_job_is_cancelled(job) ? job->cancel_reason : "";
}

int64_t futured_job_cancel_grace(const struct futured_job *job)
{
    return futured_job_is_cancelled(job) ? job->grace_ns : 0;
}

/* --- the outcome */

size_t futured_job_max_result(const struct futured_job *job)
{
    return futured_worker_max_result(job->worker);
}

int futured_job_append_result(struct futured_job *job, const void *data, size_t size)
{
    size_t max = futured_job_max_result(job), has = buf_len(&job->result);

    if (size > max || has > max - size)
        return futured_job_fail_here(job, "RESULT_TOO_LARGE", FUTURED_RESOURCE_EXHAUSTED,
                                     "the result has %zu bytes; at most %zu are allowed", has + size, max);
    if (size && buf_append(&job->result, data, size) < 0)
        return fail_no_memory(job);
    return 0;
}

int futured_job_set_result(struct futured_job *job, const void *data, size_t size)
{
    buf_clear(&job->result);
    return futured_job_append_result(job, data, size);
}

int futured_job_set_content_type(struct futured_job *job, const char *content_type)
{
    if (strlen(content_type) > NAME_BYTES)
        return futured_job_fail_here(job, "", FUTURED_INTERNAL,
                                     "the content type of the result has %zu bytes; at most %d are allowed",
                                     strlen(content_type), NAME_BYTES);
    job->result_type = text_of(job, content_type, NAME_BYTES);
    return 0;
}

void futured_job_set_exit_code(struct futured_job *job, int exit_code)
{
    job->exit_code = (struct codec_number){(uint64_t)(int64_t)exit_code, 1};
}

void futured_job_set_signal(struct futured_job *job, int signal_number)
{
    job->signal = (struct codec_number){(uint64_t)(int64_t)signal_number, 1};
}

void futured_job_set_usage(struct futured_job *job, int64_t user_cpu_ns, int64_t system_cpu_ns,
                           uint64_t max_rss_bytes)
{
    job->usage.user_ns = user_cpu_ns;
    job->usage.system_ns = system_cpu_ns;
    job->usage.max_rss_bytes = max_rss_bytes ? (int64_t)MIN(max_rss_bytes, (uint64_t)INT64_MAX) : -1;
}

/* --- to run */

static void thread_times(int64_t *ret_user_ns, int64_t *ret_system_ns)
{
    struct rusage u = {0};

    getrusage(RUSAGE_THREAD, &u);
    *ret_user_ns = clock_of(u.ru_utime);
    *ret_system_ns = clock_of(u.ru_stime);
}

static int call_function(struct futured_job *job)
{
    if (job->has_failed)
        return -1;
    if (!job->function)
        return futured_job_fail_here(job, "", FUTURED_UNIMPLEMENTED,
                                     "this worker does not serve the function");
    return job->function->run(job, job->function->arg);
}

void futured_job_run(struct futured_job *job)
{
    int64_t user, system, user_at_end, system_at_end;
    int r;

    thread_times(&user, &system);
    job->start_at = clock_mono();
    r = call_function(job);
    job->usage.wall_ns = clock_mono() - job->start_at;
    thread_times(&user_at_end, &system_at_end);
    if (job->usage.user_ns < 0 && job->usage.system_ns < 0) {
        job->usage.user_ns = user_at_end - user;
        job->usage.system_ns = system_at_end - system;
    }
    if (r && !job->has_failed)
        (void)futured_job_fail_here(job, "", FUTURED_UNKNOWN, "the function answered %d", r);
    if (job->has_failed && futured_job_is_cancelled(job))
        job->failure.reason = "CANCELLED";
    job->item = inbox_item_free(job->item);
    job->task = (struct task){0};
}
