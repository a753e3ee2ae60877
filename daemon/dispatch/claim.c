// SPDX-License-Identifier: Apache-2.0
#include "dispatch/claim.h"

#include "base/mem.h"
#include "dispatch/finish.h"
#include "dispatch/internal.h"

#include <errno.h>
#include <stdio.h>

enum { CLAIM_ITEMS = 1, CLAIM_WORKER_ID = 2, CLAIM_EPOCH = 3, CLAIM_LEASE_TTL = 4, RESERVE_BYTES = 256 };

/* --- what Renew and Finish refuse as well */

int claim_read(struct grpc_call *call, const struct codec_table *table, struct span message, void *ret)
{
    struct grpc_status st;
    const char *field;
    int e = codec_read(table, message, ret, &field);

    if (e == 0)
        return 0;
    if (*field)
        hello_bad_field(&st, field, codec_error_text(e));
    else
        status_set(&st, GRPC_INVALID_ARGUMENT, "MALFORMED_MESSAGE", "the request %s", codec_error_text(e));
    grpc_call_fail(call, &st);
    return -1;
}

struct worker *claim_session(struct grpc_call *call, struct span token)
{
    const struct dispatch *d = grpc_call_context(call);
    struct worker *w = session_find(d, token);
    struct grpc_status st;

    if (w && w->kind == WORKER_UNARY) {
        session_heard(w, grpc_call_now(call));
        return w;
    }
    if (!hello_is_token(token)) {
        hello_bad_field(&st, "session_token", "must be 16 to 64 printable characters");
    } else {
        status_set(&st, GRPC_FAILED_PRECONDITION, "NO_SUCH_SESSION",
                   "no worker claims with this session_token: its leases were lost, or it has none; claim "
                   "again");
        status_set_precondition(&st, "SESSION", "session_token");
    }
    grpc_call_fail(call, &st);
    return NULL;
}

/* --- Claim */

struct claim_request {
    struct codec_bytes hello;
    uint64_t max_items, reserve;
    struct codec_time wait, lease_ttl;
};
static const struct codec_row claim_rows[] = {
        CODEC_ROW(1, CODEC_MESSAGE, struct claim_request, hello),
        CODEC_ROW(2, CODEC_UINT, struct claim_request, max_items),
        CODEC_ROW(3, CODEC_DURATION, struct claim_request, wait),
        CODEC_ROW(4, CODEC_DURATION, struct claim_request, lease_ttl),
        CODEC_ROW(5, CODEC_UINT, struct claim_request, reserve),
};
static const struct codec_table claim_table = {claim_rows, ARRAY_LEN(claim_rows)};

/* A task that no answer can carry ends with ARGUMENT_TOO_LARGE; < 0: it goes back. */
static void refuse_item(struct dispatch *d, struct lease *lease, size_t bytes)
{
    struct future_error error = {.code = GRPC_RESOURCE_EXHAUSTED, .reason = REASON_ARGUMENT_TOO_LARGE};
    struct finish finish = {.usage = {-1, -1, -1, -1}};
    char text[160];

    snprintf(text, sizeof text,
             "the task and what is passed on to it have up to %zu bytes; an answer to Claim has at most %zu, "
             "a worker "
             "that takes it needs Attach",
             bytes, d->config.max_message_bytes);
    error.message = span_of_string(text);
    finish.error = future_error_new(&error);
    if (finish.error && engine_finish(d->engine, lease, &finish) == 0)
        return;
    future_error_unref(finish.error);
    engine_release(d->engine, lease);
}

/* How many of leases[0..n) the answer that begins in @wr takes; the others go back, or are too large for any. */
static uint32_t put_items(const struct claim *c, struct writer *wr, struct lease **leases, uint32_t n)
{
    struct dispatch *d = c->worker->dispatch;
    size_t room = d->config.max_message_bytes - MIN(d->config.max_message_bytes, (size_t)RESERVE_BYTES);
    const size_t whole = room;
    uint32_t n_put = 0, at;

    for (at = 0; at < n; at++) {
        size_t bytes = assign_item_bytes(leases[at]);

        if (bytes > whole) {
            refuse_item(d, leases[at], bytes);
            continue;
        }
        if (bytes > room || wr->failed)
            break;
        room -= bytes;
        assign_put_item(wr, d, leases[at], SIZE_MAX);
        leases[n_put++] = leases[at];
    }
    for (uint32_t i = n; i > at; i--)
        engine_release(d->engine, leases[i - 1]);
    return n_put;
}

/* Answer with leases[0..n), which may be none, and end the call. */
static void answer(struct claim *c, struct lease **leases, uint32_t n)
{
    struct worker *w = c->worker;
    struct writer wr = writer_to(grpc_call_begin(c->call));
    struct grpc_status st;
    char id[32];

    list_del(&c->link);
    if (wr.out) {
        n = put_items(c, &wr, leases, n);
        worker_id(w, id);
        writer_text(&wr, CLAIM_WORKER_ID, id);
        writer_uint(&wr, CLAIM_EPOCH, engine_epoch(w->dispatch->engine));
        writer_duration(&wr, CLAIM_LEASE_TTL, c->ttl_ns);
    }
    if (!wr.out || wr.failed) {
        for (uint32_t i = n; i > 0; i--)
            engine_release(w->dispatch->engine, leases[i - 1]);
        if (wr.out)
            grpc_call_undo(c->call);
        grpc_call_fail(c->call, worker_no_memory(&st));
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        leases[i]->user = c;
        leases[i]->user_at = clock_add(grpc_call_now(c->call), c->ttl_ns);
        w->remote->lease_at = MIN(w->remote->lease_at, leases[i]->user_at);
    }
    grpc_call_end(c->call);
    grpc_call_finish(c->call);
}

static uint32_t room_of(const struct claim *c)
{
    uint32_t n_leases = c->worker->holder->n_leases;

    return n_leases >= SESSION_LEASES_MAX ? 0 : MIN(c->max_items, SESSION_LEASES_MAX - n_leases);
}

/* Whether there was work for it, and it has been answered. */
static int serve(struct claim *c)
{
    struct lease *leases[CLAIM_ITEMS_MAX];
    struct worker *w = c->worker;
    int n = room_of(c) ? engine_claim(w->dispatch->engine, w->holder, CLOCK_NEVER, room_of(c), leases) : 0;

    if (n > 0)
        answer(c, leases, (uint32_t)n);
    return n > 0;
}

void claim_hand_out(struct dispatch *d)
{
    LIST_FOREACH_SAFE (l, &d->claims)
        (void)serve(LIST_ENTRY(l, struct claim, link));
}

mono_ns_t claim_tick(struct dispatch *d, mono_ns_t now)
{
    mono_ns_t next = CLOCK_NEVER;

    LIST_FOREACH_SAFE (l, &d->claims) {
        struct claim *c = LIST_ENTRY(l, struct claim, link);

        if (c->until <= now)
            answer(c, NULL, 0);
        else
            next = MIN(next, c->until);
    }
    d->claims_at = next;
    return next;
}

static void send_away(struct grpc_call *call)
{
    struct grpc_status st;

    status_set(&st, GRPC_UNAVAILABLE, "DRAINING", "the daemon hands out no tasks at present");
    grpc_call_fail(call, status_set_retry(&st, 1000));
}

void claim_drain(struct dispatch *d)
{
    struct list *l;

    while ((l = list_pop_front(&d->claims)))
        send_away(LIST_ENTRY(l, struct claim, link)->call);
}

void claim_drop_all(struct worker *w, const struct grpc_status *st)
{
    struct list *l;

    while ((l = list_pop_front(&w->remote->claims))) {
        struct claim *c = LIST_ENTRY(l, struct claim, of_worker);

        if (list_is_linked(&c->link) && st)
            grpc_call_fail(c->call, st);
        list_del(&c->link);
        c->worker = NULL;
    }
    w->remote->n_claims = 0;
}

uint64_t claim_room(const struct worker *w)
{
    uint64_t n = 0;

    if (!w->remote)
        return 0;
    LIST_FOREACH (l, &w->remote->claims) {
        const struct claim *c = LIST_ENTRY(l, struct claim, of_worker);

        n += list_is_linked(&c->link) ? room_of(c) : 0;
    }
    return n;
}

static int check_claim(const struct claim_request *m, struct grpc_status *st)
{
    if (m->max_items > CLAIM_ITEMS_MAX)
        return hello_bad_field(st, "max_items", "is more than 1,000");
    if (m->wait.ns < 0 || m->wait.ns > CLAIM_WAIT_MAX_NS)
        return hello_bad_field(st, "wait", "must be 0 to 60 s");
    if (m->lease_ttl.is_set && (m->lease_ttl.ns < CLAIM_TTL_MIN_NS || m->lease_ttl.ns > CLAIM_TTL_MAX_NS))
        return hello_bad_field(st, "lease_ttl", "must be 1 s to 1 h");
    return 0;
}

/* Whether the worker may have one more. */
static int may_claim(const struct worker *w, struct grpc_status *st)
{
    if (w->is_draining) {
        status_set(st, GRPC_FAILED_PRECONDITION, "WORKER_DRAINING",
                   "this worker was drained: it gets nothing more, and should end");
        status_set_precondition(st, "WORKER", "hello.session_token");
        return WORKER_E_BAD;
    }
    if (w->remote->n_claims >= CLAIM_CALLS_MAX || w->holder->n_leases >= SESSION_LEASES_MAX) {
        int is_calls = w->remote->n_claims >= CLAIM_CALLS_MAX;

        status_set(st, GRPC_RESOURCE_EXHAUSTED, "WORKER_TOO_GREEDY",
                   is_calls ? "this worker has 64 calls of Claim open" : "this worker holds 10,000 leases");
        status_set_quota(st, "hello.session_token", is_calls ? "calls of Claim" : "leases");
        status_set_retry(st, 1000);
        return WORKER_E_BAD;
    }
    return 0;
}

static struct claim *new_claim(struct grpc_call *call, struct worker *w, const struct claim_request *m)
{
    struct claim *c = mem_zalloc(sizeof *c);

    if (!c)
        return NULL;
    *c = (struct claim){.call = call,
                        .worker = w,
                        .max_items = m->max_items ? (uint32_t)m->max_items : 1,
                        .is_reserve = m->reserve != 0,
                        .ttl_ns = m->lease_ttl.is_set ? m->lease_ttl.ns : CLAIM_TTL_NS,
                        .until = clock_add(grpc_call_now(call), m->wait.ns)};
    list_init(&c->link);
    list_init(&c->of_worker);
    list_push_back(&w->remote->claims, &c->of_worker);
    w->remote->n_claims++;
    w->remote->ttl_ns = c->ttl_ns;
    session_heard(w, grpc_call_now(call));
    grpc_call_set_user(call, c);
    return c;
}

static void wait_for_work(struct dispatch *d, struct claim *c)
{
    list_push_back(&d->claims, &c->link);
    d->claims_at = MIN(d->claims_at, c->until);
}

static void on_claim(struct grpc_call *call, struct span message)
{
    struct dispatch *d = grpc_call_context(call);
    struct claim_request m = {0};
    struct grpc_status st;
    struct hello hello;
    struct worker *w;
    struct claim *c;

    if (claim_read(call, &claim_table, message, &m) < 0)
        return;
    if (check_claim(&m, &st) || hello_read(m.hello.data, HELLO_OF_CLAIM, &hello, &st)) {
        grpc_call_fail(call, &st);
        return;
    }
    if (d->is_draining) {
        send_away(call);
        return;
    }
    if (session_open(d, call, &hello, WORKER_UNARY, &w, &st) || may_claim(w, &st)) {
        grpc_call_fail(call, &st);
        return;
    }
    c = new_claim(call, w, &m);
    if (!c)
        grpc_call_fail(call, worker_no_memory(&st));
    else if (serve(c))
        return;
    else if (m.wait.ns > 0)
        wait_for_work(d, c);
    else
        answer(c, NULL, 0);
}

/* What the answer of @c carried is with its worker, or (!@is_ok) never came there. */
static void deliver(const struct claim *c, int is_ok)
{
    struct worker *w = c->worker;
    struct engine *e = w->dispatch->engine;
    mono_ns_t now = grpc_call_now(c->call);

    for (struct list *l = w->holder->leases.prev, *prev = l->prev; l != &w->holder->leases;
         l = prev, prev = l->prev) {
        struct lease *lease = LIST_ENTRY(l, struct lease, of_holder);

        if (lease->user != c)
            continue;
        lease->user = NULL;
        lease->user_at = clock_add(now, c->ttl_ns);
        if (!is_ok && !lease->is_started)
            engine_release(e, lease);
        else if (is_ok && !c->is_reserve)
            (void)!engine_start(e, lease, engine_wall(e)); /* without memory it is noted with the finish */
    }
}

static void on_claim_done(struct grpc_call *call, enum grpc_end end)
{
    struct claim *c = grpc_call_user(call);

    if (!c)
        return;
    list_del(&c->link);
    if (c->worker) {
        list_del(&c->of_worker);
        c->worker->remote->n_claims--;
        deliver(c, end == GRPC_END_ANSWERED);
    }
    mem_free(c);
}

const struct grpc_handler claim_handler = {.on_message = on_claim, .on_done = on_claim_done};
