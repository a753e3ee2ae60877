// SPDX-License-Identifier: Apache-2.0
#include "dispatch/worker.h"

#include "base/mem.h"
#include "dispatch/child.h"
#include "dispatch/internal.h"
#include "dispatch/session.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { INFO_LABELS = 16, SPEC_VERSION = 5 };

struct grpc_status *worker_no_memory(struct grpc_status *st)
{
    return status_set_no_memory(st);
}

static int no_room(struct grpc_status *st)
{
    status_set_retry(status_set(st, GRPC_RESOURCE_EXHAUSTED, "OUT_OF_MEMORY",
                                "hello: there is no room for this worker or one of its functions"),
                     1000);
    return WORKER_E_BAD;
}

struct worker *worker_new(struct dispatch *d, enum worker_kind kind, mono_ns_t now)
{
    struct worker *w = mem_zalloc(sizeof *w);

    if (!w)
        return NULL;
    w->dispatch = d;
    w->kind = kind;
    w->ladder_at = w->look_at = CLOCK_NEVER;
    w->end_at = CLOCK_NEVER;
    w->number = ++d->n_attached;
    w->attach_time = engine_wall(d->engine);
    w->heard_at = now;
    list_push_back(&d->workers, &w->link);
    d->n_workers++;
    return w;
}

struct worker *worker_attach(struct dispatch *d, struct grpc_call *call)
{
    const struct grpc_peer *peer = grpc_call_peer(call);
    struct grpc_status st;
    struct worker *w;

    if (!d->config.pool.page(d->config.pool.context, peer->worker_key)) {
        /* its death has been told before, so nobody would settle what it is given */
        grpc_call_fail(call, status_set(&st, GRPC_UNAVAILABLE, "WORKER_ENDED",
                                        "the process of this worker has ended"));
        return NULL;
    }
    if (worker_find(d, peer->worker_key)) {
        status_set(&st, GRPC_FAILED_PRECONDITION, "ATTACHED_TWICE", "this worker has attached before");
        grpc_call_fail(call, status_set_precondition(&st, "STREAM", "Attach"));
        return NULL;
    }
    w = worker_new(d, WORKER_POOL, grpc_call_now(call));
    if (!w) {
        grpc_call_fail(call, worker_no_memory(&st));
        return NULL;
    }
    w->call = call;
    w->key = peer->worker_key;
    w->pid = d->config.pool.pid(d->config.pool.context, dispatch_child(w->key));
    child_join(w);
    return w;
}

/* What people are told about it. */
static int keep_about(struct worker *w, const struct hello *hello)
{
    struct wire_reader r = wire_reader(hello->message);
    struct buf about = BUF_INIT;
    struct writer to = writer_to(&about);
    struct span key, value;

    if (buf_append(&about, hello->name.p, hello->name.len) < 0 ||
        buf_append(&about, hello->version.p, hello->version.len) < 0)
        to.failed = -ENOMEM;
    while (!to.failed && task_next_label(&r, HELLO_LABELS, &key, &value) > 0) {
        struct writer_mark m = writer_begin(&to, INFO_LABELS, key.len + value.len + 4);

        writer_bytes(&to, 1, key);
        writer_bytes(&to, 2, value);
        writer_end(&to, m);
    }
    if (to.failed) {
        buf_deinit(&about);
        return to.failed;
    }
    buf_deinit(&w->about);
    w->about = about;
    w->name_bytes = (uint8_t)hello->name.len;
    w->version_bytes = (uint8_t)hello->version.len;
    return 0;
}

/* Its content types and its version, as the fields of a FunctionSpec that they are. */
static int keep_said(struct function *f, const struct hello_function *said)
{
    struct buf fields CLEANUP(buf_deinit) = BUF_INIT;
    struct wire_reader r = wire_reader(said->message);
    struct writer to = writer_to(&fields);
    struct bytes *copy = NULL;
    struct span type;

    while (said->content_types && codec_each(&r, HELLO_CONTENT_TYPES, &type))
        writer_bytes_always(&to, HELLO_CONTENT_TYPES, type);
    writer_bytes(&to, SPEC_VERSION, said->version);
    if (to.failed)
        return to.failed;
    if (span_eq(SPAN_OF_BYTES(f->said), (struct span){buf_head(&fields), buf_len(&fields)}))
        return 0;
    if (buf_len(&fields) && !(copy = bytes_dup(buf_head(&fields), buf_len(&fields))))
        return -ENOMEM;
    bytes_unref(f->said);
    f->said = copy;
    return 0;
}

static int serve(struct worker *w, const struct hello *hello, struct grpc_status *st)
{
    const struct dispatch_config *config = &w->dispatch->config;
    struct engine *e = w->dispatch->engine;
    struct wire_reader r = wire_reader(hello->message);
    struct hello_function said;

    engine_holder_serve_none(e, w->holder);
    w->functions_bytes = 0;
    while (hello_next_function(&r, &said)) {
        struct function *f = engine_function_add(e, said.name, said.doc);

        if (!f || engine_holder_serve(e, w->holder, f) < 0 ||
            engine_share_bound(e, w->holder, f, (uint32_t)MIN(said.max_running, (uint64_t)UINT32_MAX)) < 0)
            return no_room(st);
        if (keep_said(f, &said) < 0)
            return no_room(st);
        if (worker_is_pool(w) && engine_function_describe(f, DEFAULTS_SAID, said.doc) < 0)
            return no_room(st);
        if (!worker_is_pool(w))
            f->kinds |= WORKER_KIND_REMOTE;
        else if (!(f->kinds &
                   WORKER_KIND_COMMAND)) /* what the configuration has no command for is a plugin's */
            f->kinds |= WORKER_KIND_PLUGIN;
        if (said.default_options.is_set &&
            config->say_options(config->context, f, said.default_options.data, st))
            return WORKER_E_BAD;
        w->functions_bytes += said.name.len + WORKER_FUNCTION_FIELD_BYTES;
    }
    return 0;
}

int worker_describe(struct worker *w, const struct hello *hello, struct grpc_status *st)
{
    char id[32];

    worker_id(w, id);
    if (keep_about(w, hello) < 0 ||
        (!w->holder && engine_holder_new(w->dispatch->engine, span_of_string(id), w, &w->holder) < 0))
        return no_room(st);
    if (serve(w, hello, st))
        return WORKER_E_BAD;
    w->slots = (uint32_t)hello->slots;
    if (!w->is_ready) {
        w->is_ready = 1;
        w->dispatch->n_ready++;
    }
    return 0;
}

/* What a child of the pool could not load. */
static struct span problem_of(const struct hello *hello)
{
    struct wire_reader r = wire_reader(hello->message);
    struct span key, value;

    while (task_next_label(&r, HELLO_LABELS, &key, &value) > 0)
        if (span_eq(key, SPAN_LIT("load_error")))
            return value;
    return (struct span){0};
}

int worker_hello(struct worker *w, struct span message, struct grpc_status *st)
{
    const struct dispatch_pool *pool = &w->dispatch->config.pool;
    struct hello hello;

    if (w->holder)
        return hello_bad_field(st, "hello", "is said twice");
    if (hello_read(message, worker_is_pool(w) ? HELLO_OF_POOL : HELLO_OF_STREAM, &hello, st) ||
        worker_describe(w, &hello, st))
        return WORKER_E_BAD;
    if (worker_is_pool(w) && pool->ready)
        pool->ready(pool->context, dispatch_child(w->key), problem_of(&hello));
    return 0;
}

struct worker *worker_find(const struct dispatch *d, uint64_t key)
{
    LIST_FOREACH (l, &d->workers) {
        struct worker *w = LIST_ENTRY(l, struct worker, link);

        if (w->key == key)
            return w;
    }
    return NULL;
}

struct worker *worker_find_number(const struct dispatch *d, uint64_t number)
{
    LIST_FOREACH (l, &d->workers) {
        struct worker *w = LIST_ENTRY(l, struct worker, link);

        if (w->number == number)
            return w;
    }
    return NULL;
}

int worker_parse_id(struct span text, uint64_t *ret)
{
    uint64_t v = 0;

    if (text.len < 3 || text.len > 20 || text.p[0] != 'w' || text.p[1] != '-')
        return -EINVAL;
    for (size_t i = 2; i < text.len; i++) {
        if (text.p[i] < '0' || text.p[i] > '9')
            return -EINVAL;
        v = v * 10 + (uint64_t)(text.p[i] - '0');
    }
    *ret = v;
    return 0;
}

static const struct runpage *page_of(const struct worker *w)
{
    const struct dispatch_pool *pool = &w->dispatch->config.pool;

    if (!worker_is_pool(w))
        return NULL; /* it says so itself */
    return w->is_dead ? w->last_page : pool->page(pool->context, w->key);
}

int worker_started(struct worker *w, struct lease *lease)
{
    const struct runpage *page = page_of(w);
    wall_ns_t at;

    if (lease->is_started)
        return 1;
    if (!page || runpage_find(page, id_key(&lease->future->id), lease->attempt, &w->next_start, &at) ==
                         RUNPAGE_UNKNOWN)
        return 0;
    /* a start that cannot be noted for want of memory is noted with the finish, or at the next look */
    (void)!engine_start(w->dispatch->engine, lease, at);
    if (w->holder->n_leases == 1)
        w->look_at = CLOCK_NEVER; /* there is nothing else to look for */
    return 1;
}

mono_ns_t worker_look(struct worker *w, mono_ns_t now)
{
    struct lease *busy = NULL;
    int is_waiting = 0;

    LIST_FOREACH (l, &w->holder->leases) {
        struct lease *lease = LIST_ENTRY(l, struct lease, of_holder);

        if (lease->is_started)
            continue;
        if (worker_started(w, lease))
            busy = lease;
        else
            is_waiting = 1;
    }
    if (busy)
        worker_recall_unstarted(w, busy);
    w->look_at = is_waiting ? clock_add(now, DISPATCH_LOOK_NS) : CLOCK_NEVER;
    return w->look_at;
}

void worker_id(const struct worker *w, char text[static 32])
{
    snprintf(text, 32, "w-%" PRIu64, w->number);
}

void worker_has_room(struct worker *w)
{
    struct dispatch *d = w->dispatch;

    d->is_room_new = 1;
    list_del(&w->link);
    list_push_front(&d->workers, &w->link);
}

void worker_recall_unstarted(struct worker *w, const struct lease *busy)
{
    if (!w->holder)
        return;
    LIST_FOREACH (l, &w->holder->leases) {
        struct lease *lease = LIST_ENTRY(l, struct lease, of_holder);

        if (lease != busy && !worker_started(w, lease))
            attach_recall(w, lease);
    }
}

static void worker_free(struct worker *w)
{
    struct dispatch *d = w->dispatch;

    list_del(&w->link);
    d->n_workers--;
    d->n_ready -= w->is_ready ? 1 : 0;
    d->n_finished += w->n_finished;
    d->n_refused += w->n_refused;
    engine_holder_free(d->engine, w->holder);
    session_free(w);
    buf_deinit(&w->payload);
    buf_deinit(&w->about);
    mem_free(w->last_page);
    mem_free(w);
}

void worker_detach(struct worker *w)
{
    mono_ns_t now = grpc_call_now(w->call);

    w->call = NULL;
    worker_drop_credit(w);
    if (!worker_is_pool(w))
        return;               /* it may come again */
    w->look_at = CLOCK_NEVER; /* its process has its own time to end */
    w->kill_at = child_is_left(w) ? CLOCK_NEVER : clock_add(now, DISPATCH_EXIT_GRACE_NS);
    if (w->is_dead)
        (void)!worker_bury(w); /* or dispatch_tick does */
}

/* What became of the process, as an attempt's error. 0, -ENOMEM. */
static int crash_of(const struct worker *w, struct finish *ret)
{
    struct future_error error = {.code = GRPC_INTERNAL, .reason = REASON_CRASHED, .retryable = 1};
    char text[256];
    int n;

    *ret = (struct finish){.usage = {-1, -1, -1, -1}};
    if (w->wait_status & 0x7f) { /* WIFSIGNALED, WTERMSIG: the layout that POSIX systems share */
        const char *name = sigabbrev_np(w->wait_status & 0x7f);

        ret->has_signal = 1;
        ret->signal = w->wait_status & 0x7f;
        n = snprintf(text, sizeof text, "the worker was killed by signal %d (SIG%s) while it ran this task",
                     ret->signal, name ? name : "?");
    } else {
        ret->has_exit_code = 1;
        ret->exit_code = w->wait_status >> 8 & 0xff;
        n = snprintf(text, sizeof text, "the worker ended with exit code %d while it ran this task",
                     ret->exit_code);
    }
    if (w->n_dying > 1)
        snprintf(text + n, sizeof text - (size_t)n,
                 "; its threads ran %u others at the time, and it is not known which of them is to blame",
                 (unsigned int)w->n_dying - 1);
    error.message = span_of_string(text);
    ret->error = future_error_new(&error);
    return ret->error ? 0 : -ENOMEM;
}

/* 0: the lease is settled; -ENOMEM: try again at the next turn. */
static int settle(struct worker *w, struct lease *lease)
{
    struct engine *e = w->dispatch->engine;
    enum runpage_state state = RUNPAGE_UNKNOWN;
    struct finish finish;
    wall_ns_t at = 0;
    int r;

    if (!worker_is_pool(w))
        return session_lose(w, lease);
    if (w->last_page)
        state = runpage_find(w->last_page, id_key(&lease->future->id), lease->attempt, &w->next_start, &at);
    if (state == RUNPAGE_UNKNOWN && !lease->is_started) {
        engine_release(e, lease);
        return 0;
    }
    if (!lease->is_started && (r = engine_start(e, lease, at)) < 0)
        return r;
    if (w->is_victim && lease->stop == STOP_NOT)
        return engine_lose_beside(e, lease, w->is_asked);
    if (state != RUNPAGE_RUNNING || (w->is_asked && lease->stop == STOP_NOT))
        return engine_lose(e, lease);
    r = crash_of(w, &finish);
    if (r < 0)
        return r;
    r = engine_finish(e, lease, &finish);
    if (r < 0)
        future_error_unref(finish.error);
    return r;
}

int worker_bury(struct worker *w)
{
    ASSERT(!w->call && w->is_dead);
    /* newest first: each goes back to the head of its queue, so they end up in their old order */
    while (w->holder && !list_is_empty(&w->holder->leases)) {
        int r = settle(w, LIST_ENTRY(w->holder->leases.prev, struct lease, of_holder));

        if (r < 0)
            return r;
    }
    worker_free(w);
    return 0;
}

void worker_forget(struct worker *w)
{
    while (w->holder && !list_is_empty(&w->holder->leases)) {
        struct lease *lease = LIST_ENTRY(w->holder->leases.prev, struct lease, of_holder);

        int r = worker_is_pool(w) ? 0 : session_assume(w, lease);

        r = r < 0 ? r : engine_lose_by_end(w->dispatch->engine, lease);
        ASSERT(r == 0); /* the process ends here anyway */
    }
    worker_free(w);
}
