// SPDX-License-Identifier: Apache-2.0
#include "dispatch/worker.h"

#include "base/mem.h"
#include "dispatch/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct hello_message {
    struct span name, session_token, version;
    uint32_t functions, labels, held_leases, namespaces;
    uint64_t slots, epoch;
};
enum { HELLO_FUNCTIONS = 3, HELLO_LABELS = 5, INFO_LABELS = 16 };

static const struct codec_row hello_rows[] = {
        CODEC_ROW(1, CODEC_STRING, struct hello_message, name),
        CODEC_ROW(2, CODEC_STRING, struct hello_message, session_token),
        CODEC_ROW(HELLO_FUNCTIONS, CODEC_REPEATED_MESSAGE, struct hello_message, functions),
        CODEC_ROW(4, CODEC_UINT, struct hello_message, slots),
        CODEC_ROW(5, CODEC_REPEATED_MESSAGE, struct hello_message, labels),
        CODEC_ROW(6, CODEC_REPEATED_MESSAGE, struct hello_message, held_leases),
        CODEC_ROW(7, CODEC_STRING, struct hello_message, version),
        CODEC_ROW(8, CODEC_UINT, struct hello_message, epoch),
        CODEC_ROW(9, CODEC_REPEATED_STRING, struct hello_message, namespaces),
};
static const struct codec_table hello_table = {hello_rows, ARRAY_LEN(hello_rows)};

struct function_spec {
    struct span name, doc;
    struct codec_bytes default_options;
};

static const struct codec_row function_spec_rows[] = {
        CODEC_ROW(1, CODEC_STRING, struct function_spec, name),
        CODEC_ROW(2, CODEC_STRING, struct function_spec, doc),
        CODEC_ROW(4, CODEC_MESSAGE, struct function_spec, default_options),
};
static const struct codec_table function_spec_table = {function_spec_rows, ARRAY_LEN(function_spec_rows)};

int worker_bad_field(struct grpc_status *st, const char *field, const char *what)
{
    status_set(st, GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "%s: %s", field, what);
    status_add_violation(st, field, "%s", what);
    return WORKER_E_BAD;
}

struct grpc_status *worker_no_memory(struct grpc_status *st)
{
    return status_set_retry(status_set(st, GRPC_RESOURCE_EXHAUSTED, "OUT_OF_MEMORY",
                                       "the daemon could not allocate memory; nothing was changed"),
                            1000);
}

static int no_room(struct grpc_status *st)
{
    status_set_retry(status_set(st, GRPC_RESOURCE_EXHAUSTED, "OUT_OF_MEMORY",
                                "hello: there is no room for this worker or one of its functions"),
                     1000);
    return WORKER_E_BAD;
}

struct worker *worker_attach(struct dispatch *d, struct grpc_call *call)
{
    const struct grpc_peer *peer = grpc_call_peer(call);
    struct grpc_status st;
    struct worker *w;

    if (!peer->is_pool_worker) {
        status_set(&st, GRPC_UNIMPLEMENTED, "UNIMPLEMENTED_METHOD",
                   "this version of the daemon takes workers from its own pool only");
        grpc_call_fail(call, &st);
        return NULL;
    }
    if (!d->config.pool.page(d->config.pool.context, peer->worker_key)) {
        /* its death has been told before, so nobody would settle what it is given */
        grpc_call_fail_code(call, GRPC_UNAVAILABLE, "the process of this worker has ended");
        return NULL;
    }
    if (worker_find(d, peer->worker_key)) {
        grpc_call_fail_code(call, GRPC_FAILED_PRECONDITION, "this worker has attached before");
        return NULL;
    }
    w = mem_zalloc(sizeof *w);
    if (!w) {
        grpc_call_fail_code(call, GRPC_RESOURCE_EXHAUSTED, "the daemon could not allocate memory");
        return NULL;
    }
    w->dispatch = d;
    w->call = call;
    w->ladder_at = CLOCK_NEVER;
    w->key = peer->worker_key;
    w->number = ++d->n_attached;
    w->pid = d->config.pool.pid(d->config.pool.context, w->key);
    w->attach_time = engine_wall(d->engine);
    w->heard_at = grpc_call_now(call);
    list_push_back(&d->workers, &w->link);
    d->n_workers++;
    return w;
}

int worker_is_function_name(struct span name)
{
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.p[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
              c == '_' || c == '-'))
            return 0;
    }
    return name.len > 0 && name.len <= LIMIT_FUNCTION_NAME_BYTES;
}

static int serve(struct worker *w, struct span message, struct grpc_status *st)
{
    const struct dispatch_config *config = &w->dispatch->config;
    struct function_spec spec = {0};
    struct function *f;
    const char *field;

    if (codec_read(&function_spec_table, message, &spec, &field) != 0 || !worker_is_function_name(spec.name))
        return worker_bad_field(st, "hello.functions",
                                "a name of 1 to 255 characters of [A-Za-z0-9._-] is required");
    f = engine_function_add(w->dispatch->engine, spec.name, spec.doc);
    if (f && !(f->kinds & WORKER_KIND_COMMAND)) /* what the configuration has no command for is a plugin's */
        f->kinds |= WORKER_KIND_PLUGIN;
    if (!f || engine_holder_serve(w->dispatch->engine, w->holder, f) < 0)
        return no_room(st);
    if (spec.default_options.is_set && config->say_options(config->context, f, spec.default_options.data, st))
        return WORKER_E_BAD;
    w->functions_bytes += spec.name.len + WORKER_FUNCTION_FIELD_BYTES;
    return 0;
}

static int keep_labels(struct worker *w, struct span message, struct grpc_status *st)
{
    struct wire_reader r = wire_reader(message);
    struct writer to = writer_to(&w->about);
    struct span key, value;
    int n = 0, e;

    while ((e = task_next_label(&r, HELLO_LABELS, &key, &value)) > 0) {
        struct writer_mark m = writer_begin(&to, INFO_LABELS, key.len + value.len + 4);

        if (++n > LIMIT_LABELS || key.len == 0 || key.len > LIMIT_LABEL_KEY_BYTES ||
            value.len > LIMIT_LABEL_VALUE_BYTES)
            return worker_bad_field(st, "hello.labels",
                                    "at most 64, with keys of 1 to 63 bytes and values of at most 1 KiB");
        writer_bytes(&to, 1, key);
        writer_bytes(&to, 2, value);
        writer_end(&to, m);
    }
    if (e < 0)
        return worker_bad_field(st, "hello.labels", "is malformed");
    return to.failed ? no_room(st) : 0;
}

/* What people are told about it. */
static int keep_about(struct worker *w, const struct hello_message *hello, struct span message,
                      struct grpc_status *st)
{
    if (buf_append(&w->about, hello->name.p, hello->name.len) < 0 ||
        buf_append(&w->about, hello->version.p, hello->version.len) < 0)
        return no_room(st);
    w->name_bytes = (uint8_t)hello->name.len;
    w->version_bytes = (uint8_t)hello->version.len;
    return keep_labels(w, message, st);
}

int worker_hello(struct worker *w, struct span message, struct grpc_status *st)
{
    struct wire_reader r = wire_reader(message);
    struct hello_message hello = {0};
    struct span spec;
    const char *field;
    char id[32];

    if (w->holder)
        return worker_bad_field(st, "hello", "is said twice");
    if (codec_read(&hello_table, message, &hello, &field) != 0)
        return worker_bad_field(st, "hello", "is malformed");
    if (hello.name.len > WORKER_TEXT_BYTES || hello.version.len > WORKER_TEXT_BYTES)
        return worker_bad_field(st, hello.name.len > WORKER_TEXT_BYTES ? "hello.name" : "hello.version",
                                "has more than 255 bytes");
    if (hello.slots == 0 || hello.slots > WORKER_SLOTS_MAX)
        return worker_bad_field(st, "hello.slots", "must be 1 to 1,024");
    if (hello.functions == 0 || hello.functions > WORKER_FUNCTIONS_MAX)
        return worker_bad_field(st, "hello.functions", "must be 1 to 10,000");
    if (keep_about(w, &hello, message, st))
        return WORKER_E_BAD;
    worker_id(w, id);
    if (engine_holder_new(w->dispatch->engine, span_of_string(id), w, &w->holder) < 0)
        return no_room(st);
    w->slots = (uint32_t)hello.slots;
    while (codec_each(&r, HELLO_FUNCTIONS, &spec))
        if (serve(w, spec, st))
            return WORKER_E_BAD;
    w->is_ready = 1;
    w->dispatch->n_ready++;
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

static const struct runpage *page_of(const struct worker *w)
{
    const struct dispatch_pool *pool = &w->dispatch->config.pool;

    return w->is_dead ? w->last_page : pool->page(pool->context, w->key);
}

int worker_started(struct worker *w, struct lease *lease)
{
    const struct runpage *page = page_of(w);
    wall_ns_t at;

    if (lease->is_started)
        return 1;
    if (!page || runpage_find(page, id_key(&lease->future->id), lease->attempt, &at) == RUNPAGE_UNKNOWN)
        return 0;
    /* a start that cannot be noted for want of memory is noted with the finish, or at the next look */
    (void)!engine_start(w->dispatch->engine, lease, at);
    return 1;
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
    buf_deinit(&w->payload);
    buf_deinit(&w->about);
    mem_free(w->last_page);
    mem_free(w);
}

void worker_detach(struct worker *w)
{
    w->kill_at = clock_add(grpc_call_now(w->call), DISPATCH_EXIT_GRACE_NS);
    w->call = NULL;
    w->credit = 0;
    if (w->is_dead)
        (void)!worker_bury(w); /* or dispatch_tick does */
}

/* What became of the process, as an attempt's error. 0, -ENOMEM. */
static int crash_of(const struct worker *w, struct finish *ret)
{
    struct future_error error = {.code = GRPC_INTERNAL, .reason = REASON_CRASHED, .retryable = 1};
    char text[160];

    *ret = (struct finish){.usage = {-1, -1, -1, -1}};
    if (w->wait_status & 0x7f) { /* WIFSIGNALED, WTERMSIG: the layout that POSIX systems share */
        const char *name = sigabbrev_np(w->wait_status & 0x7f);

        ret->has_signal = 1;
        ret->signal = w->wait_status & 0x7f;
        snprintf(text, sizeof text, "the worker was killed by signal %d (SIG%s) while it ran this task",
                 ret->signal, name ? name : "?");
    } else {
        ret->has_exit_code = 1;
        ret->exit_code = w->wait_status >> 8 & 0xff;
        snprintf(text, sizeof text, "the worker ended with exit code %d while it ran this task",
                 ret->exit_code);
    }
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

    if (w->last_page)
        state = runpage_find(w->last_page, id_key(&lease->future->id), lease->attempt, &at);
    if (state == RUNPAGE_UNKNOWN && !lease->is_started) {
        engine_release(e, lease);
        return 0;
    }
    if (!lease->is_started && (r = engine_start(e, lease, at)) < 0)
        return r;
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

        ASSERT(engine_lose(w->dispatch->engine, lease) == 0); /* the process ends here anyway */
    }
    worker_free(w);
}
