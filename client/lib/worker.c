// SPDX-License-Identifier: Apache-2.0
/*
 * The life of a worker of the library. One list holds each job: running, from its start until it was told; told_jobs, for a
 * while; again, when it must be told once more. `work` is signalled where a slot may have something to do, `room` where
 * somebody may write. Both are broadcast when it is over.
 */
#include "client/lib/worker.h"

#include "base/mem.h"
#include "client/lib/client.h"
#include "client/lib/request.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sys/eventfd.h>
#include <sys/random.h>

enum { PREFETCH = 16, PREFETCH_MAX = 4000 };

/* --- setting up */

static const char *keep(struct futured_worker *w, const char *text)
{
    const char *copy = text ? arena_strndup(&w->arena, text, strlen(text)) : "";

    w->no_memory |= !copy;
    return copy ? copy : "";
}

static char *keep_or_none(struct futured_worker *w, const char *text)
{
    char *copy = text ? arena_strndup(&w->arena, text, strlen(text)) : NULL;

    w->no_memory |= text && !copy;
    return copy;
}

static int fill_token(struct futured_worker *w)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t random[(FUTURED_TOKEN_BYTES - 1) / 2];

    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return -1;
    for (size_t i = 0; i < sizeof random; i++) {
        w->token[2 * i] = digits[random[i] >> 4];
        w->token[2 * i + 1] = digits[random[i] & 15];
    }
    return 0;
}

static void set_default_name(struct futured_worker *w)
{
    char host[65] = "", name[100];

    if (gethostname(host, sizeof host - 1) < 0 || !*host)
        snprintf(host, sizeof host, "worker");
    snprintf(name, sizeof name, "%s:%ld", host, (long)getpid());
    w->name = keep(w, name);
}

struct futured_worker *futured_worker_new(const char *address)
{
    struct futured_worker *w = mem_zalloc(sizeof *w);
    char text[FUTURED_ADDRESS_BYTES];

    if (!w)
        return NULL;
    w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (w->wake_fd < 0 || fill_token(w) < 0) {
        err_close(&w->wake_fd);
        return mem_free(w);
    }
    if (!address) {
        futured_address_default(text);
        address = text;
    }
    if (futured_address_parse(address, &w->address, &w->address_error) == 0)
        w->address_error = NULL;
    arena_init(&w->arena, 0);
    list_init(&w->functions);
    list_init(&w->running);
    list_init(&w->told_jobs);
    list_init(&w->again);
    inbox_init(&w->inbox, &w->ops);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->work, NULL);
    pthread_cond_init(&w->room, NULL);
    w->n_slots = 1;
    w->n_prefetch = PREFETCH;
    w->patience_ns = -1;
    w->version = futured_version();
    w->lost_at = w->patience_until = w->heartbeat_at = CLOCK_NEVER;
    w->max_result_bytes = SIZE_MAX;
    set_default_name(w);
    (void)futured_status_fill(&w->last);
    return w;
}

struct futured_worker *futured_worker_new_as(const struct futured_client *client)
{
    struct futured_worker *w = futured_worker_new(client->address.text);

    if (!w)
        return NULL;
    w->address = client->address;
    w->address_error = client->address_error;
    w->address.ca = keep_or_none(w, client->address.ca);
    w->address.certificate = keep_or_none(w, client->address.certificate);
    w->address.key = keep_or_none(w, client->address.key);
    w->address.authorization = keep_or_none(w, client->address.authorization);
    return w;
}

static void free_jobs(struct list *jobs)
{
    LIST_FOREACH_SAFE (l, jobs)
        futured_job_free(LIST_ENTRY(l, struct futured_job, link));
}

struct futured_worker *futured_worker_free(struct futured_worker *w)
{
    if (!w)
        return NULL;
    free_jobs(&w->told_jobs);
    free_jobs(&w->again);
    inbox_deinit(&w->inbox);
    if (w->address.authorization)
        explicit_bzero(w->address.authorization, strlen(w->address.authorization));
    arena_deinit(&w->arena);
    err_close(&w->wake_fd);
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->work);
    pthread_cond_destroy(&w->room);
    return mem_free(w);
}

void futured_worker_set_name(struct futured_worker *w, const char *name)
{
    w->name = keep(w, name);
}

void futured_worker_set_version(struct futured_worker *w, const char *version)
{
    w->version = keep(w, version);
}

void futured_worker_add_label(struct futured_worker *w, const char *key, const char *value)
{
    if (w->n_labels == ARRAY_LEN(w->labels)) {
        w->has_too_many_labels = 1;
        return;
    }
    w->labels[w->n_labels++] = (struct futured_label){keep(w, key), keep(w, value)};
}

void futured_worker_set_slots(struct futured_worker *w, uint32_t slots)
{
    w->n_slots = slots;
}

void futured_worker_set_prefetch(struct futured_worker *w, uint32_t prefetch)
{
    w->n_prefetch = MIN(prefetch, (uint32_t)PREFETCH_MAX);
}

void futured_worker_set_max_tasks(struct futured_worker *w, uint64_t max_tasks)
{
    w->max_tasks = max_tasks;
}

void futured_worker_set_patience(struct futured_worker *w, int64_t patience_ns)
{
    w->patience_ns = patience_ns;
}

void futured_worker_on_event(struct futured_worker *w,
                             void (*told)(void *arg, enum futured_worker_event event, const char *text),
                             void *arg)
{
    w->told = told;
    w->told_arg = arg;
}

static void keep_content_types(struct futured_worker *w, struct served *f, const char *const *types)
{
    size_t n = 0;

    while (types && types[n])
        n++;
    if (n == 0)
        return;
    f->content_types = arena_alloc(&w->arena, n * sizeof *f->content_types);
    w->no_memory |= !f->content_types;
    for (size_t i = 0; f->content_types && i < n; i++)
        f->content_types[i] = arena_strndup(&w->arena, types[i], strlen(types[i]));
    for (size_t i = 0; f->content_types && i < n; i++)
        w->no_memory |= !f->content_types[i];
    f->n_content_types = w->no_memory ? 0 : n;
}

static void keep_options(struct futured_worker *w, struct served *f, const struct futured_request *from)
{
    struct buf options = BUF_INIT;
    struct writer wr = writer_to(&options);
    char *copy = NULL;

    if (!from)
        return;
    f->has_options = 1;
    futured_request_write_options(from, &wr);
    if (!wr.failed && futured_request_check(from) == 0)
        copy = arena_strndup(&w->arena, (const char *)buf_head(&options), buf_len(&options));
    f->default_options = (struct span){(const uint8_t *)copy, buf_len(&options)};
    w->no_memory |= !copy;
    buf_deinit(&options);
}

void futured_worker_add_function_with(struct futured_worker *w, const char *name, futured_function_fn run,
                                      void *arg, const struct futured_function_options *options)
{
    struct futured_function_options o = FUTURED_FUNCTION_OPTIONS_INIT;
    struct served *f = arena_alloc(&w->arena, sizeof *f);

    if (!f) {
        w->no_memory = 1;
        return;
    }
    if (options)
        memcpy(&o, options, MIN(options->size, sizeof o));
    *f = (struct served){.name = keep(w, name), .run = run, .arg = arg};
    f->doc = keep(w, o.doc);
    f->version = keep(w, o.version);
    keep_content_types(w, f, o.content_types);
    f->max_running = o.max_running;
    keep_options(w, f, o.default_options);
    list_init(&f->link);
    list_push_back(&w->functions, &f->link);
}

void futured_worker_add_function(struct futured_worker *w, const char *name, futured_function_fn run,
                                 void *arg)
{
    futured_worker_add_function_with(w, name, run, arg, NULL);
}

/* --- for the other files; under the lock */

void futured_worker_wake(struct futured_worker *w)
{
    (void)eventfd_write(w->wake_fd, 1);
}

size_t futured_worker_max_result(struct futured_worker *w)
{
    size_t n;

    pthread_mutex_lock(&w->lock);
    n = w->max_result_bytes;
    pthread_mutex_unlock(&w->lock);
    return n;
}

void futured_worker_tell(struct futured_worker *w, enum futured_worker_event event, const char *text)
{
    if (w->told)
        w->told(w->told_arg, event, text);
}

void futured_worker_end(struct futured_worker *w, const struct grpc_status *status)
{
    if (w->phase == WORKER_OVER)
        return;
    w->phase = WORKER_OVER;
    if (status)
        w->last.raw = *status;
    else
        status_clear(&w->last.raw, GRPC_OK);
    LIST_FOREACH (l, &w->running)
        futured_job_cancel(LIST_ENTRY(l, struct futured_job, link), 0, SPAN_LIT("the worker ends"));
    pthread_cond_broadcast(&w->work);
    pthread_cond_broadcast(&w->room);
}

void futured_worker_drain(struct futured_worker *w, const char *why, int comes_again)
{
    if (w->phase == WORKER_SERVING) {
        w->phase = WORKER_DRAINING;
        w->comes_again = comes_again;
        futured_worker_tell(w, FUTURED_WORKER_EVENT_DRAINING, why);
    } else if (!comes_again) {
        w->comes_again = 0;
    }
}

struct futured_job *futured_worker_find(const struct list *list, const struct lease_ref *lease)
{
    LIST_FOREACH (l, list) {
        struct futured_job *job = LIST_ENTRY(l, struct futured_job, link);

        if (inbox_is_same_lease(&job->lease, lease))
            return job;
    }
    return NULL;
}

static void drop_told(struct futured_worker *w, struct futured_job *job)
{
    w->n_told--;
    w->told_bytes -= futured_job_bytes(job);
    futured_job_free(job);
}

void futured_worker_lose(struct futured_worker *w, const struct lease_ref *lease)
{
    struct futured_job *job = futured_worker_find(&w->running, lease);

    if (inbox_drop(&w->inbox, lease))
        return;
    if (job) {
        job->is_lost = 1;
        futured_job_cancel(job, 0, SPAN_LIT("its lease is lost"));
        pthread_cond_broadcast(&w->room);
        return;
    }
    job = futured_worker_find(&w->told_jobs, lease);
    if (job)
        drop_told(w, job);
    else
        futured_job_free(futured_worker_find(&w->again, lease));
}

void futured_worker_forget(struct futured_worker *w, mono_ns_t now, int all)
{
    LIST_FOREACH_SAFE (l, &w->told_jobs) {
        struct futured_job *job = LIST_ENTRY(l, struct futured_job, link);

        if (!all && w->n_told <= FUTURED_TOLD_MAX && w->told_bytes <= FUTURED_TOLD_BYTES &&
            now - job->told_at < FUTURED_TOLD_NS)
            break;
        drop_told(w, job);
    }
}

/* --- the slots */

static const struct served *find_function(const struct futured_worker *w, struct span name)
{
    LIST_FOREACH (l, &w->functions) {
        const struct served *f = LIST_ENTRY(l, struct served, link);

        if (span_eq(span_of_string(f->name), name))
            return f;
    }
    return NULL;
}

/* Begin the next task that waits. NULL: there is none. */
static struct futured_job *begin(struct futured_worker *w)
{
    int is_enough = w->max_tasks && w->n_taken >= w->max_tasks;
    struct item *item = w->phase == WORKER_SERVING && !is_enough ? inbox_pop(&w->inbox) : NULL;
    struct futured_job *job;

    if (!item)
        return NULL;
    if (futured_job_new(&job, w, item) < 0) {
        futured_report_released(w, &item->lease);
        inbox_item_free(item);
        futured_worker_wake(w);
        return NULL;
    }
    job->function = find_function(w, job->task.function);
    list_push_back(&w->running, &job->link);
    w->n_running++;
    w->n_taken++;
    futured_report_started(w, &job->lease);
    futured_worker_wake(w);
    return job;
}

static void tell(struct futured_worker *w, struct futured_job *job)
{
    if (futured_report_finish(w, job) < 0) {
        list_del(&job->link);
        futured_job_free(job);
        return;
    }
    list_del(&job->link);
    job->told_at = clock_mono();
    list_push_back(&w->told_jobs, &job->link);
    w->n_told++;
    w->told_bytes += futured_job_bytes(job);
    futured_worker_forget(w, job->told_at, 0);
}

/* Tell the outcome of @job, which is in running. */
static void end(struct futured_worker *w, struct futured_job *job)
{
    tell(w, job);
    w->n_running--;
    futured_worker_wake(w);
}

static void *slot_main(void *arg)
{
    struct futured_worker *w = arg;

    pthread_mutex_lock(&w->lock);
    while (w->phase != WORKER_OVER) {
        struct list *again = w->is_attached ? list_pop_front(&w->again) : NULL;
        struct futured_job *job = !again && w->is_attached ? begin(w) : NULL;

        if (again) {
            job = LIST_ENTRY(again, struct futured_job, link);
            list_push_back(&w->running, &job->link);
            w->n_running++;
            end(w, job);
        } else if (job) {
            pthread_mutex_unlock(&w->lock);
            futured_job_run(job);
            pthread_mutex_lock(&w->lock);
            end(w, job);
        } else {
            pthread_cond_wait(&w->work, &w->lock);
        }
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* --- the life */

static int refuse(struct futured_worker *w, enum grpc_code code, const char *reason, const char *text)
{
    status_set(&w->last.raw, code, reason, "%s", text);
    return futured_status_fill(&w->last);
}

static int check(struct futured_worker *w)
{
    char text[FUTURED_ADDRESS_BYTES + 128];

    if (w->has_run)
        return refuse(w, GRPC_FAILED_PRECONDITION, "", "a worker runs once: make another one");
    w->has_run = 1;
    if (w->no_memory)
        return refuse(w, GRPC_RESOURCE_EXHAUSTED, "NO_MEMORY", "this process is out of memory");
    if (w->address_error) {
        snprintf(text, sizeof text, "the address `%s` %s", w->address.text, w->address_error);
        return refuse(w, GRPC_INVALID_ARGUMENT, "BAD_ADDRESS", text);
    }
    if (list_is_empty(&w->functions))
        return refuse(w, GRPC_INVALID_ARGUMENT, "", "the worker serves no function: add one");
    if (w->n_slots < 1 || w->n_slots > FUTURED_WORKER_MAX_SLOTS)
        return refuse(w, GRPC_INVALID_ARGUMENT, "", "a worker has 1 to 1,024 slots");
    if (w->has_too_many_labels)
        return refuse(w, GRPC_INVALID_ARGUMENT, "", "a worker has at most 64 labels");
    return FUTURED_OK;
}

void futured_worker_stop(struct futured_worker *w)
{
    int saved = errno;

    atomic_fetch_add_explicit(&w->n_stops, 1, memory_order_relaxed);
    (void)!write(w->wake_fd, &(const uint64_t){1}, sizeof(uint64_t));
    errno = saved;
}

const struct futured_status *futured_worker_status(const struct futured_worker *w)
{
    return &w->last.view;
}

static void note_stops(struct futured_worker *w)
{
    int n = atomic_load_explicit(&w->n_stops, memory_order_relaxed);

    if (n > 0)
        futured_worker_drain(w, "it was told to stop", 0);
    if (w->max_tasks && w->n_taken >= w->max_tasks)
        futured_worker_drain(w, "it has begun as many tasks as it was to do", 0);
    if (n < 2 || w->has_cancelled_all)
        return;
    w->has_cancelled_all = 1;
    LIST_FOREACH (l, &w->running) {
        struct futured_job *job = LIST_ENTRY(l, struct futured_job, link);

        job->is_lost = 1;
        futured_job_cancel(job, 0, SPAN_LIT("the worker was told to stop"));
    }
    pthread_cond_broadcast(&w->room);
}

/* Wait for the connection, the time, or a wake. Not under the lock. */
static short wait_for(int fd, short events, int wake_fd, mono_ns_t due)
{
    struct pollfd fds[] = {{.fd = fd, .events = events}, {.fd = wake_fd, .events = POLLIN}};
    mono_ns_t now = clock_mono();
    int64_t span = due > now ? due - now : 0;
    const struct timespec timeout = {.tv_sec = span / NS_PER_S, .tv_nsec = span % NS_PER_S};
    eventfd_t n;

    if (ppoll(fds, ARRAY_LEN(fds), due == CLOCK_NEVER ? NULL : &timeout, NULL) <= 0)
        return 0;
    if (fds[1].revents)
        (void)eventfd_read(wake_fd, &n);
    return fds[0].revents;
}

static void serve(struct futured_worker *w)
{
    short revents = 0;

    pthread_mutex_lock(&w->lock);
    while (w->phase != WORKER_OVER) {
        mono_ns_t due;
        short events;
        int fd;

        note_stops(w);
        futured_attach_turn(w, revents, clock_mono());
        if (w->phase == WORKER_OVER)
            break;
        due = futured_attach_due(w);
        fd = w->conn ? futured_conn_fd(w->conn) : -1;
        events = w->conn ? futured_conn_events(w->conn) : 0;
        pthread_mutex_unlock(&w->lock);
        revents = wait_for(fd, events, w->wake_fd, due);
        pthread_mutex_lock(&w->lock);
    }
    pthread_mutex_unlock(&w->lock);
}

/* As many as can be; 0: not even one. Signals are for the threads of the program. */
static uint32_t start_slots(struct futured_worker *w, pthread_t *threads)
{
    sigset_t all, old;
    uint32_t n = 0;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    while (n < w->n_slots && pthread_create(&threads[n], NULL, slot_main, w) == 0)
        n++;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return n;
}

static void stop_slots(struct futured_worker *w, pthread_t *threads, uint32_t n)
{
    pthread_mutex_lock(&w->lock);
    futured_worker_end(w, NULL);
    pthread_mutex_unlock(&w->lock);
    for (uint32_t i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    pthread_mutex_lock(&w->lock);
    w->conn = futured_conn_free(w->conn);
    pthread_mutex_unlock(&w->lock);
}

int futured_worker_run(struct futured_worker *w)
{
    pthread_t *threads;
    uint32_t n;
    int code = check(w);

    if (code)
        return code;
    threads = mem_alloc(w->n_slots * sizeof *threads);
    if (!threads)
        return refuse(w, GRPC_RESOURCE_EXHAUSTED, "NO_MEMORY", "this process is out of memory");
    futured_attach_init(w);
    n = start_slots(w, threads);
    if (n == w->n_slots)
        serve(w);
    stop_slots(w, threads, n);
    if (n < w->n_slots)
        (void)refuse(w, GRPC_RESOURCE_EXHAUSTED, "", "cannot start as many threads as there are slots");
    mem_free(threads);
    return futured_status_fill(&w->last);
}
