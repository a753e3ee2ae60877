// SPDX-License-Identifier: Apache-2.0
/*
 * One thread, the runner, reads and writes the socket and runs the tasks, because waking another thread for each task
 * would cost more than most tasks. While it runs user code it lends the stream (baton.h); if that takes long the monitor
 * serves the stream meanwhile, so that a CancelAttempt, a Recall or a Ping is heard.
 *
 *   socket -> link -> inbox -> queue -> run_next -> functions_run -> outbox -> link -> socket
 *
 * What is sent is gathered: a batch goes out when nothing is left to run, when it is full, or before a task is started
 * while its oldest finish is older than BATCH_MAX_NS. As often the socket is looked at between tasks, so that a Recall
 * finds what is still in the queue.
 *
 * Invariants:
 *  1. Whoever has the baton, and nobody else, touches anything in here but @running, which both only read while it is lent.
 *  2. Between runpage_start and runpage_finish there is user code and little else: if the process dies in between, that
 *     attempt is the one that crashed.
 *  3. n_unsent counts starts whose finish is not in the kernel yet; it never passes RUNPAGE_STARTS.
 *  4. Each assigned item ends in exactly one Finish, Returned or Release, and with each of these, until we stop, its
 *     credit is given back.
 *
 * Usage: the processor time of an attempt is read from the kernel twice (getrusage of this thread, about 0.2 µs each; the
 * clock of the thread's time would cost more). Where one task follows another without a look at the socket the end of
 * one is taken as the start of the next, so the microsecond of taking it from the queue is counted to it.
 */
#include "worker/host.h"

#include "attach/inbox.h"
#include "base/mem.h"
#include "worker/baton.h"
#include "worker/link.h"
#include "worker/outbox.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sys/mman.h>
#include <sys/resource.h>

#define BATCH_MAX_NS NS_PER_MS
#define TELL_NS      (100 * NS_PER_MS) /* between two batches of what a task says */
enum { MARK_BYTES = 4096, EXIT_FORKED = 70 /* EX_SOFTWARE */ };

struct host {
    struct host_config config;
    struct link link;
    struct inbox inbox;
    struct outbox outbox;
    struct baton baton;
    struct futured_call call;
    struct futured_call *running; /* &call while it is in user code */
    const struct function *last;  /* the function of the latest task: often that of the next */
    void *mark;                   /* a page: 1 in this process, 0 in its forks */
    char *why;
    int end;      /* < 0 or HOST_E_: the stream is of no use any more */
    int is_ended; /* and so is host_run */
    int is_stopping, is_half_closed;
    uint64_t max_result_bytes;
    mono_ns_t stop_at;   /* by its age; CLOCK_NEVER */
    uint32_t n_unsent;   /* started, finish not in the kernel */
    uint32_t n_in_link;  /* of these, with their finish in the link */
    mono_ns_t looked_at; /* when the socket was last looked at */
    mono_ns_t told_at;   /* when what the task says was last sent on */
    int is_listening;    /* to what it says */
    wall_ns_t wall_offset;
    mono_ns_t run_end;  /* of the latest task, when nothing but tasks came since; else 0 */
    struct rusage used; /* at run_end */
};

/* --- the end */

PRINTF_LIKE(3, 4)
static void end(struct host *h, int result, const char *format, ...)
{
    va_list args;

    if (h->is_ended)
        return;
    h->is_ended = 1;
    h->end = result;
    va_start(args, format);
    vsnprintf(h->why, HOST_TEXT_BYTES, format, args);
    va_end(args);
}

/* The result @r of the link. */
static void check_link(struct host *h, int r)
{
    if (r == LINK_E_GONE)
        end(h, HOST_E_GONE, "the daemon is gone");
    else if (r < 0)
        end(h, r, "%s", strerror(-r));
    else if (!h->link.call && h->link.status.code == GRPC_OK && h->is_half_closed)
        end(h, 0, "done");
    else if (!h->link.call)
        end(h, HOST_E_PROTOCOL, "the daemon has ended the stream: %s: %s", status_name(h->link.status.code),
            h->link.status.message);
}

/* --- sending */

/* As much as the socket takes of what is in the link. */
static void push(struct host *h, mono_ns_t now)
{
    check_link(h, link_send(&h->link, now));
    if (!h->is_ended && h->n_in_link && link_is_flushed(&h->link)) {
        runpage_sent(h->config.page, h->n_in_link);
        h->n_unsent -= h->n_in_link;
        h->n_in_link = 0;
    }
}

static void flush(struct host *h, mono_ns_t now)
{
    uint32_t n = h->outbox.n_finishes;
    int r;

    h->run_end = 0;
    if (h->is_stopping)
        h->outbox.credit = 0;
    if (h->link.call && !h->is_half_closed) {
        r = outbox_flush(&h->outbox, h->link.call);
        if (r < 0)
            end(h, r, "%s", strerror(-r));
        h->n_in_link += n;
    }
    push(h, now);
}

/* --- what the daemon says */

static void on_welcome(void *context, const struct welcome *welcome)
{
    struct host *h = context;

    h->max_result_bytes = welcome->max_result_bytes;
    h->call.telling.max_bytes[TELLING_OUTPUT] = welcome->max_output_bytes;
    h->call.telling.max_bytes[TELLING_LOG] = welcome->max_log_bytes;
}

static void on_recalled(void *context, const struct lease_ref *lease)
{
    struct host *h = context;

    outbox_returned(&h->outbox, lease);
    h->outbox.credit++;
}

static void on_cancel(void *context, const struct lease_ref *lease, int64_t grace_ns, struct span reason)
{
    struct host *h = context;

    if (h->running && inbox_is_same_lease(&h->running->lease, lease))
        attempt_cancel(h->running, grace_ns);
}

static void on_refused(void *context, const struct lease_ref *lease)
{
    on_cancel(context, lease, 0, (struct span){0});
}

/* Nothing more is started: what waits goes back. */
static void hand_back(struct host *h)
{
    for (struct item *item = inbox_pop(&h->inbox); item; item = inbox_pop(&h->inbox)) {
        outbox_release(&h->outbox, &item->lease, "the worker ends");
        inbox_item_free(item);
    }
}

static void on_drain(void *context, const struct drain *drain)
{
    struct host *h = context;

    h->is_stopping = 1;
}

static void on_ping(void *context, uint64_t number)
{
    struct host *h = context;

    h->outbox.ping = number;
}

static void on_message(void *context, struct span message)
{
    struct host *h = context;
    const char *why = "";
    int r;

    if (h->is_ended)
        return;
    r = inbox_take(&h->inbox, message, &why);
    if (r < 0)
        end(h, r, "%s", strerror(-r));
    else if (r != 0)
        end(h, HOST_E_PROTOCOL, "the daemon has sent %s", why);
    else if (h->inbox.n_queued > HOST_CREDIT)
        end(h, HOST_E_PROTOCOL, "the daemon has sent more than its credit");
}

/* It has run as many tasks as it may, or is too old: it ends as if it were drained. */
static void retire(struct host *h)
{
    h->is_stopping = 1;
    hand_back(h);
}

static void count_task(struct host *h)
{
    uint64_t n = atomic_fetch_add(h->config.n_run, 1) + 1;

    if (n >= h->config.max_tasks)
        retire(h);
    if (n == h->config.max_tasks && h->config.on_max_tasks)
        h->config.on_max_tasks();
}

/* --- waiting, by the runner or the monitor */

/* Wait for the socket and the signal, and with @extra_fd >= 0 for that; @timeout_ms as poll has it. Then take what
 * came. */
static void look(struct host *h, int extra_fd, int timeout_ms)
{
    struct pollfd fds[] = {
            {.fd = h->is_ended ? -1 : h->config.fd, .events = link_events(&h->link)},
            {.fd = h->is_stopping || h->is_ended ? -1 : h->config.signal_fd, .events = POLLIN},
            {.fd = extra_fd, .events = POLLIN},
            {.fd = h->is_listening ? h->call.telling.fd : -1, .events = POLLIN},
    };
    mono_ns_t now;

    h->run_end = 0;
    if (poll(fds, ARRAY_LEN(fds), timeout_ms) < 0 && errno != EINTR) {
        end(h, -errno, "poll: %s", strerror(errno));
        return;
    }
    now = clock_mono();
    h->looked_at = now;
    h->wall_offset = clock_wall() - now;
    if (fds[1].revents)
        h->is_stopping = 1;
    if (fds[0].revents & ~POLLOUT)
        check_link(h, link_recv(&h->link, now));
    if (h->is_stopping)
        hand_back(h);
}

/* --- one task */

/* A page that is zero in a child after fork: user code that forks and lets its child return must not have it speak for
 * this process. Costs a load, where getpid is a system call. */
static int make_mark(struct host *h)
{
    void *page = mmap(NULL, MARK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED)
        return -errno;
    if (madvise(page, MARK_BYTES, MADV_WIPEONFORK) < 0) {
        int r = -errno;

        munmap(page, MARK_BYTES);
        return r;
    }
    h->mark = page;
    *(unsigned char *)page = 1;
    return 0;
}

static void check_mark(const struct host *h)
{
    static const char text[] = "futured-worker: a child of a function has returned from it\n";

    if (LIKELY(*(volatile unsigned char *)h->mark))
        return;
    (void)!write(STDERR_FILENO, text, sizeof text - 1);
    _exit(EXIT_FORKED);
}

static void send_pieces(struct host *h)
{
    size_t total = h->call.n_result, at = 0;

    flush(h, clock_mono());
    while (at < total && !h->is_ended && h->link.call) {
        int n = outbox_send_chunk(&h->call, at, h->link.call);

        if (n < 0) {
            end(h, n, "%s", strerror(-n));
            return;
        }
        at += (size_t)n;
        push(h, clock_mono());
        while (!h->is_ended && link_is_full(&h->link)) {
            look(h, -1, -1);
            push(h, clock_mono());
        }
    }
}

/* What it has said and has not been sent. */
static void tell_rest(struct host *h)
{
    while (!h->is_ended && h->link.call && outbox_tell(&h->outbox, &h->call)) {
        flush(h, clock_mono());
        while (!h->is_ended && link_is_full(&h->link)) {
            look(h, -1, -1);
            push(h, clock_mono());
        }
    }
}

static int64_t cpu_ns(const struct timeval *from, const struct timeval *to)
{
    int64_t ns = (int64_t)(to->tv_sec - from->tv_sec) * NS_PER_S +
                 (int64_t)(to->tv_usec - from->tv_usec) * NS_PER_US;

    return MAX(ns, (int64_t)0);
}

/* What the thread has used, unless the command runner knows better. */
static void note_usage(struct host *h, const struct rusage *from, mono_ns_t began)
{
    struct answer_usage *u = &h->call.usage;

    getrusage(RUSAGE_THREAD, &h->used);
    h->run_end = clock_mono();
    u->wall_ns = h->run_end - began;
    if (u->user_ns < 0)
        u->user_ns = cpu_ns(&from->ru_utime, &h->used.ru_utime);
    if (u->system_ns < 0)
        u->system_ns = cpu_ns(&from->ru_stime, &h->used.ru_stime);
}

static void run_user_code(struct host *h)
{
    struct span name = h->call.task.function;

    if (!h->last || !span_eq(h->last->item.key, name))
        h->last = functions_find(h->config.functions, name);
    if (!h->last) {
        attempt_fail(&h->call, "NO_SUCH_FUNCTION", GRPC_FAILED_PRECONDITION, "",
                     "this worker does not serve function %.*s", (int)MIN(name.len, (size_t)255),
                     (const char *)name.p);
        return;
    }
    h->call.function = h->last->name;
    h->running = &h->call;
    baton_lend(&h->baton);
    functions_run(h->config.functions, h->last, &h->call);
    check_mark(h);
    baton_take(&h->baton);
    h->running = NULL;
}

static void run_item(struct host *h, const struct item *item, mono_ns_t began)
{
    struct rusage from = h->used;
    int r;

    if (!h->run_end)
        getrusage(RUSAGE_THREAD, &from);
    r = attempt_begin(&h->call, &item->lease, item->task, item->group, item->traceparent,
                      h->max_result_bytes);
    h->call.upstreams = item->upstreams;
    runpage_start(h->config.page, id_key(&item->lease.id), item->lease.attempt, began + h->wall_offset);
    h->n_unsent++;
    if (r == 0)
        run_user_code(h);
    runpage_finish(h->config.page);
    note_usage(h, &from, began);
    if (UNLIKELY(h->call.telling.is_used))
        tell_rest(h);
    if (!h->call.has_failed && h->call.n_result > OUTBOX_CHUNK_BYTES)
        send_pieces(h);
    outbox_finish(&h->outbox, &h->call, clock_mono());
    attempt_end(&h->call);
    if (UNLIKELY(h->config.max_tasks))
        count_task(h);
}

static int may_start(const struct host *h)
{
    return !h->is_ended && !h->is_stopping && h->inbox.n_queued && h->n_unsent < RUNPAGE_STARTS &&
           !link_is_full(&h->link);
}

static void run_next(struct host *h)
{
    mono_ns_t now = h->run_end ? h->run_end : clock_mono();
    struct item *item;

    if (now - h->looked_at > BATCH_MAX_NS)
        look(h, -1, 0);
    if (h->outbox.n_finishes && (outbox_is_full(&h->outbox) || now - h->outbox.started_at > BATCH_MAX_NS))
        flush(h, now);
    if (!may_start(h))
        return;
    item = inbox_pop(&h->inbox);
    run_item(h, item, h->run_end ? h->run_end : clock_mono());
    inbox_item_free(item);
}

/* --- the monitor's turn */

/* What the task says while it runs, as far as it is time for it. When to come back, as poll has it; until then, or until there is
 * something (is_listening). */
static int tell(struct host *h)
{
    mono_ns_t now, due;

    h->is_listening = 0;
    if (h->is_ended || !h->link.call || link_is_full(&h->link))
        return -1; /* the socket says when */
    if (telling_has_news(&h->call.telling)) {
        now = clock_mono();
        due = clock_add(h->told_at, TELL_NS);
        if (now >= due && outbox_tell(&h->outbox, &h->call)) {
            h->told_at = now;
            return TELL_NS / NS_PER_MS;
        }
        if (now < due)
            return (int)((due - now) / NS_PER_MS) + 1;
        h->told_at = now;
    }
    h->is_listening = 1;
    return -1;
}

/* The task at hand takes long. What has finished before it is told first, then that it runs. */
static void serve(void *arg)
{
    struct host *h = arg;
    int is_told = 0;

    if (!h->is_ended) {
        flush(h, clock_mono());
        outbox_started(&h->outbox, &h->running->lease);
    }
    while (!baton_is_wanted(&h->baton)) {
        int timeout_ms = tell(h);

        if (!h->is_ended)
            flush(h, clock_mono());
        if (h->end == HOST_E_GONE && !is_told && h->config.on_gone) {
            is_told = 1;
            h->config.on_gone(h->config.context);
        }
        look(h, baton_fd(&h->baton), timeout_ms);
    }
    h->is_listening = 0;
}

/* --- the runner's */

/* Once everything is told and nothing is left. */
static void half_close(struct host *h)
{
    int r;

    if (!h->is_stopping || h->is_half_closed || h->is_ended || !outbox_is_empty(&h->outbox) || !h->link.call)
        return;
    r = grpc_client_call_half_close(h->link.call);
    if (r < 0) {
        end(h, r, "%s", strerror(-r));
        return;
    }
    h->is_half_closed = 1;
    push(h, clock_mono());
}

/* How long nothing but its age makes it look up, as poll has it. */
static int until_old(const struct host *h)
{
    return h->is_stopping ? -1 : clock_poll_ms(h->stop_at);
}

static void run(struct host *h)
{
    flush(h, clock_mono());
    while (!h->is_ended) {
        if (UNLIKELY(h->looked_at >= h->stop_at && !h->is_stopping))
            retire(h);
        if (may_start(h)) {
            run_next(h);
            continue;
        }
        flush(h, clock_mono());
        half_close(h);
        if (!h->is_ended && !may_start(h))
            look(h, -1, until_old(h));
    }
}

int host_run(const struct host_config *config, char why[static HOST_TEXT_BYTES])
{
    const struct inbox_ops ops_template = {.on_welcome = on_welcome,
                                           .on_recalled = on_recalled,
                                           .on_cancel = on_cancel,
                                           .on_refused = on_refused,
                                           .on_drain = on_drain,
                                           .on_ping = on_ping};
    const struct hello hello = {
            .name = config->name, .session_token = config->session_token, .functions = config->functions};
    struct inbox_ops ops = ops_template;
    struct host *h = mem_zalloc(sizeof *h);
    int r;

    if (!h)
        return -ENOMEM;
    ops.context = h;
    h->config = *config;
    h->stop_at = config->max_age_ns ? clock_add(clock_mono(), config->max_age_ns) : CLOCK_NEVER;
    h->why = why;
    why[0] = '\0';
    inbox_init(&h->inbox, &ops);
    outbox_init(&h->outbox);
    r = attempt_init(&h->call, config->guard_program);
    if (r == 0)
        r = make_mark(h);
    if (r == 0)
        r = link_open(&h->link, config->fd, on_message, h, clock_mono());
    if (r == 0) {
        r = baton_init(&h->baton, serve, h);
        if (r == 0) {
            outbox_hello(&h->outbox, &hello);
            h->outbox.credit = HOST_CREDIT;
            run(h);
            baton_deinit(&h->baton);
            r = h->end;
        }
        link_close(&h->link);
    }
    if (h->mark)
        munmap(h->mark, MARK_BYTES);
    attempt_deinit(&h->call);
    outbox_deinit(&h->outbox);
    inbox_deinit(&h->inbox);
    mem_free(h);
    return r;
}
