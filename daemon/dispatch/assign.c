// SPDX-License-Identifier: Apache-2.0
/*
 * Handing out work: claim under leases, encode one Assign for some of them at a time, splice the tasks. A claimed task that
 * cannot be sent, for want of memory or of room in the stream, is released at once.
 */
#include "base/utf8.h"
#include "dispatch/internal.h"

enum { ATTACH_PAYLOAD = 2, ATTACH_ASSIGN = 3 };
enum {
    ITEM_BYTES = 2048, /* of an Assignment, at most, without its payloads: */
    UPSTREAM_BYTES =
            1024 +
            DISPATCH_UPSTREAM_TEXT_BYTES, /* group, principal, peer, traceparent; of an upstream likewise */
};

/* It runs a task that takes long: nothing is reserved behind that. Its leases are run in their order, so only the
 * oldest can be started. */
static int is_busy(const struct worker *w)
{
    const struct list *leases = &w->holder->leases;

    return !list_is_empty(leases) && LIST_ENTRY(leases->next, struct lease, of_holder)->is_started;
}

/* Where a function is unknown to be fast, only the slots are filled. [pool] prefetch puts a number in the place of that. */
uint32_t assign_room(const struct worker *w, int is_prefetch)
{
    uint32_t held = w->holder ? w->holder->n_leases : 0, may;

    if (!w->call || !w->holder || w->is_draining || w->is_dead || !grpc_call_is_writable(w->call))
        return 0;
    if (is_prefetch && is_busy(w))
        return 0;
    if (is_prefetch && !w->dispatch->config.prefetch)
        return (uint32_t)worker_credit(w);
    may = is_prefetch ? w->slots * w->dispatch->config.prefetch : w->slots;
    return may > held ? MIN(may - held, (uint32_t)worker_credit(w)) : 0;
}

static struct lease_ref ref_of(const struct dispatch *d, const struct lease *lease)
{
    return (struct lease_ref){
            .id = lease->future->id, .attempt = lease->attempt, .epoch = engine_epoch(d->engine)};
}

/* A payload in pieces, ahead of its item: @part 0 is the task, n the result of the n-th upstream. */
static int send_pieces(struct worker *w, const struct lease *lease, uint32_t part, const struct bytes *task)
{
    struct lease_ref ref = ref_of(w->dispatch, lease);

    for (uint32_t at = 0; at < task->len; at += DISPATCH_CHUNK_BYTES) {
        uint32_t n = MIN(task->len - at, (uint32_t)DISPATCH_CHUNK_BYTES);
        struct buf *out = grpc_call_begin(w->call);
        struct writer wr = writer_to(out);
        struct writer_mark m;

        if (!out)
            return -1;
        m = writer_begin(&wr, ATTACH_PAYLOAD, n + 64);
        lease_ref_write(&wr, 1, &ref);
        writer_uint(&wr, 2, part);
        writer_uint(&wr, 3, at);
        writer_bytes(&wr, 4, (struct span){task->data + at, n});
        writer_end(&wr, m);
        if (wr.failed) {
            grpc_call_undo(w->call);
            return -1;
        }
        grpc_call_end(w->call);
    }
    return 0;
}

/* What a lease hands on of what it depends on; NULL: nothing. */
static const struct depend *passed(const struct lease *lease)
{
    const struct future_rare *rare = lease->future->rare;

    return LIKELY(!rare || !rare->depend) || !rare->depend->passes_results ? NULL : rare->depend;
}

/* Results that together have no more than *room bytes are in the item, which is counted down; the others come ahead. */
static const struct bytes *ahead(const struct depend_edge *edge, size_t *room)
{
    const struct bytes *data =
            edge->upstream && edge->upstream->outcome ? edge->upstream->outcome->data : NULL;

    if (!data)
        return NULL;
    if (data->len > *room)
        return data;
    *room -= data->len;
    return NULL;
}

static int send_upstreams(struct worker *w, const struct lease *lease)
{
    const struct depend *d = passed(lease);
    size_t room = DISPATCH_CHUNK_BYTES;

    for (uint32_t i = 0; d && i < d->n; i++) {
        const struct bytes *data = ahead(&d->at[i], &room);

        if (data && send_pieces(w, lease, i + 1, data) < 0)
            return -1;
    }
    return 0;
}

/* An error without what may be long, and what there is to say of an upstream that is not known any more. */
static void put_error(struct writer *w, const struct future_error *error)
{
    struct writer_mark m = writer_begin(w, 3, 64 + DISPATCH_UPSTREAM_TEXT_BYTES);
    struct span text = error ? error->message : SPAN_LIT("it is not known any more");

    text.len = utf8_cut(text.p, text.len, DISPATCH_UPSTREAM_TEXT_BYTES);
    writer_uint(w, 1, error ? (uint64_t)error->code : GRPC_NOT_FOUND);
    if (error) {
        writer_text(w, 2, future_reason_text(error->reason));
        writer_bytes(w, 3, error->type);
    }
    writer_bytes(w, 4, text);
    if (error) {
        writer_bytes(w, 6, error->function_reason);
        writer_uint(w, 7, error->retryable != 0);
    }
    writer_end(w, m);
}

static void put_upstream(struct writer *w, const struct depend_edge *edge, size_t *room)
{
    const struct outcome *o = edge->upstream ? edge->upstream->outcome : NULL;
    int is_ahead = ahead(edge, room) != NULL;
    struct writer_mark m = writer_begin(w, 7, 512 + (o && o->data && !is_ahead ? o->data->len : 0)), result;
    char id[ID_TEXT_LEN + 1];

    id_format(&edge->id, id);
    writer_bytes(w, 1, (struct span){(const uint8_t *)id, ID_TEXT_LEN});
    if (o && o->data) {
        result = writer_begin(w, 2, 300 + (is_ahead ? 0 : o->data->len));
        if (!is_ahead)
            writer_bytes_always(w, 1, SPAN_OF_BYTES(o->data));
        writer_bytes(w, 3, SPAN_OF_BYTES(o->content_type));
        writer_uint(w, 4, o->data->len);
        writer_end(w, result);
    } else {
        put_error(w, o ? o->error : NULL);
    }
    writer_uint(w, 4, is_ahead != 0);
    writer_end(w, m);
}

static void put_upstreams(struct writer *w, const struct depend *d, size_t inline_bytes)
{
    for (uint32_t i = 0; i < d->n; i++)
        put_upstream(w, &d->at[i], &inline_bytes);
}

static void put_times(struct writer *w, const struct timing *t)
{
    if (t && t->attempt_timeout_ns)
        writer_duration(w, 5, t->attempt_timeout_ns);
    if (t && t->deadline)
        writer_timestamp(w, 6, t->deadline);
}

void assign_put_item(struct writer *w, const struct dispatch *d, const struct lease *lease,
                     size_t inline_bytes)
{
    const struct future *f = lease->future;
    struct lease_ref ref = ref_of(d, lease);
    int is_chunked = f->task->len > inline_bytes;
    struct writer_mark m = writer_begin(w, 1, 192 + (is_chunked ? 0 : f->task->len)), submitter;
    char id[ID_TEXT_LEN + 1];

    lease_ref_write(w, 1, &ref);
    if (!is_chunked)
        writer_bytes_always(w, 2, SPAN_OF_BYTES(f->task));
    id_format(&f->id, id);
    writer_bytes_always(w, 3, (struct span){(const uint8_t *)id, ID_TEXT_LEN});
    writer_uint(w, 4, lease->attempt);
    put_times(w, future_timing(f));
    if (UNLIKELY(passed(lease)))
        put_upstreams(w, passed(lease), inline_bytes);
    if (f->rare)
        writer_bytes(w, 8, SPAN_OF_BYTES(f->rare->traceparent));
    writer_bytes(w, 9, future_group(f));
    writer_bytes(w, 10, future_namespace(f));
    submitter = writer_begin(w, 11, 64);
    writer_bytes(w, 1, future_principal(f));
    writer_bytes(w, 2, SPAN_OF_BYTES(f->peer));
    writer_end(w, submitter);
    writer_uint(w, 12, is_chunked != 0);
    writer_end(w, m);
}

size_t assign_item_bytes(const struct lease *lease)
{
    const struct future *f = lease->future;
    const struct depend *d = passed(lease);
    size_t n = ITEM_BYTES + f->task->len;

    for (uint32_t i = 0; d && i < d->n; i++) {
        const struct outcome *o = d->at[i].upstream ? d->at[i].upstream->outcome : NULL;

        n += UPSTREAM_BYTES + (o && o->data ? o->data->len : 0);
    }
    return n;
}

/* One Assign for leases[0..n). < 0: none of it was sent. */
static int send_items(struct worker *w, struct lease **leases, uint32_t n)
{
    struct buf *out = grpc_call_begin(w->call);
    struct writer wr = writer_to(out);
    struct writer_mark m;

    if (!out)
        return -1;
    m = writer_begin(&wr, ATTACH_ASSIGN, 16384);
    for (uint32_t i = 0; i < n; i++)
        assign_put_item(&wr, w->dispatch, leases[i], DISPATCH_CHUNK_BYTES);
    writer_end(&wr, m);
    if (wr.failed) {
        grpc_call_undo(w->call);
        return -1;
    }
    grpc_call_end(w->call);
    return 0;
}

/* As many of leases[0..n) as one message should hold, sent; returns how many, 0 = no memory. */
static uint32_t send_some(struct worker *w, struct lease **leases, uint32_t n)
{
    size_t size = 0;
    uint32_t i;

    for (i = 0; i < n && (i == 0 || size < DISPATCH_ASSIGN_BYTES); i++) {
        const struct bytes *task = leases[i]->future->task;

        if (task->len > DISPATCH_CHUNK_BYTES && send_pieces(w, leases[i], 0, task) < 0)
            break;
        if (UNLIKELY(passed(leases[i])) && send_upstreams(w, leases[i]) < 0)
            break;
        size += MIN(task->len, (uint32_t)DISPATCH_CHUNK_BYTES);
        if (UNLIKELY(passed(leases[i])))
            size += DISPATCH_ASSIGN_BYTES; /* it is the last one of its message */
    }
    return i > 0 && send_items(w, leases, i) == 0 ? i : 0;
}

uint32_t assign_to(struct worker *w, uint32_t max, int is_prefetch)
{
    uint32_t room = MIN(assign_room(w, is_prefetch), max), sent = 0;
    int is_any = !is_prefetch || w->dispatch->config.prefetch;
    struct lease *leases[DISPATCH_CLAIM_MAX];
    int n;

    ASSERT(max <= DISPATCH_CLAIM_MAX);
    if (!room)
        return 0;
    w->holder->common = w->credit;
    n = engine_claim(w->dispatch->engine, w->holder, is_any ? CLOCK_NEVER : DISPATCH_PREFETCH_MAX_RUN_NS,
                     room, leases);
    /* what a worker that does not read has no room for goes back: it may run elsewhere, and need not wait in memory */
    while (n > 0 && sent < (uint32_t)n && (sent == 0 || grpc_call_is_writable(w->call))) {
        uint32_t some = send_some(w, leases + sent, (uint32_t)n - sent);

        if (!some)
            break;
        sent += some;
    }
    for (uint32_t i = n > 0 ? (uint32_t)n : 0; i > sent; i--)
        engine_unclaim(w->dispatch->engine, leases[i - 1]);
    w->credit = w->holder->common;
    if (sent && w->look_at == CLOCK_NEVER && worker_is_pool(w))
        w->look_at = clock_add(grpc_call_now(w->call), DISPATCH_LOOK_NS);
    return sent;
}
