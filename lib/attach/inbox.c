// SPDX-License-Identifier: Apache-2.0
/*
 * AttachResponse by tables, in the order of its field numbers. An assignment is copied once and its strings are spans of
 * the copy. The daemon is trusted to be well-meaning, not to be flawless: what makes no sense ends the stream, and
 * nothing that it sends can make this process grow without bound.
 */
#include "attach/inbox.h"

#include "base/mem.h"

#include <errno.h>
#include <string.h>

enum {
    RESPONSE_WELCOME = 1,
    RESPONSE_PAYLOAD,
    RESPONSE_ASSIGN,
    RESPONSE_CANCEL,
    RESPONSE_RECALL,
    RESPONSE_REFUSED,
    RESPONSE_DRAIN,
    RESPONSE_PING
};
enum { ASSIGN_ITEMS = 1, ASSIGNMENT_UPSTREAM = 7 };
enum { INBOX_PARTS_MAX = 1000 }; /* the task, and this many upstreams */

struct attach_response {
    struct codec_bytes welcome, assign, drain, ping;
    uint32_t payload, cancel_attempt, recall, refused;
};
static const struct codec_row attach_response_rows[] = {
        CODEC_ROW(RESPONSE_WELCOME, CODEC_MESSAGE, struct attach_response, welcome),
        CODEC_ROW(RESPONSE_PAYLOAD, CODEC_REPEATED_MESSAGE, struct attach_response, payload),
        CODEC_ROW(RESPONSE_ASSIGN, CODEC_MESSAGE, struct attach_response, assign),
        CODEC_ROW(RESPONSE_CANCEL, CODEC_REPEATED_MESSAGE, struct attach_response, cancel_attempt),
        CODEC_ROW(RESPONSE_RECALL, CODEC_REPEATED_MESSAGE, struct attach_response, recall),
        CODEC_ROW(RESPONSE_REFUSED, CODEC_REPEATED_MESSAGE, struct attach_response, refused),
        CODEC_ROW(RESPONSE_DRAIN, CODEC_MESSAGE, struct attach_response, drain),
        CODEC_ROW(RESPONSE_PING, CODEC_MESSAGE, struct attach_response, ping),
};
static const struct codec_table attach_response_table = {attach_response_rows,
                                                         ARRAY_LEN(attach_response_rows)};

static const struct codec_row welcome_rows[] = {
        CODEC_ROW(1, CODEC_STRING, struct welcome, worker_id),
        CODEC_ROW(2, CODEC_UINT, struct welcome, epoch),
        CODEC_ROW(3, CODEC_DURATION, struct welcome, heartbeat_interval),
        CODEC_ROW(4, CODEC_DURATION, struct welcome, lease_ttl),
        CODEC_ROW(WELCOME_KEPT, CODEC_REPEATED_MESSAGE, struct welcome, kept),
        CODEC_ROW(WELCOME_DROPPED, CODEC_REPEATED_MESSAGE, struct welcome, dropped),
        CODEC_ROW(7, CODEC_UINT, struct welcome, max_message_bytes),
        CODEC_ROW(8, CODEC_UINT, struct welcome, max_result_bytes),
        CODEC_ROW(9, CODEC_STRING, struct welcome, version),
        CODEC_ROW(10, CODEC_UINT, struct welcome, max_output_bytes),
        CODEC_ROW(11, CODEC_UINT, struct welcome, max_log_bytes),
};
static const struct codec_table welcome_table = {welcome_rows, ARRAY_LEN(welcome_rows)};

struct assign_message {
    uint32_t items;
};
static const struct codec_row assign_rows[] = {
        CODEC_ROW(ASSIGN_ITEMS, CODEC_REPEATED_MESSAGE, struct assign_message, items),
};
static const struct codec_table assign_table = {assign_rows, ARRAY_LEN(assign_rows)};

static const struct codec_row drain_rows[] = {
        CODEC_ROW(1, CODEC_STRING, struct drain, reason),
        CODEC_ROW(2, CODEC_DURATION, struct drain, timeout),
        CODEC_ROW(3, CODEC_UINT, struct drain, come_again),
};
static const struct codec_table drain_table = {drain_rows, ARRAY_LEN(drain_rows)};

/* CancelAttempt, Recall and Refused: a lease, and for the first a reason and a grace. */
struct order_message {
    struct codec_bytes lease;
    struct span reason;
    struct codec_time grace;
};
static const struct codec_row order_rows[] = {
        CODEC_ROW(1, CODEC_MESSAGE, struct order_message, lease),
        CODEC_ROW(2, CODEC_STRING, struct order_message, reason),
        CODEC_ROW(3, CODEC_DURATION, struct order_message, grace),
};
static const struct codec_table order_table = {order_rows, ARRAY_LEN(order_rows)};

struct ping_message {
    uint64_t number;
};
static const struct codec_row ping_rows[] = {CODEC_ROW(1, CODEC_UINT, struct ping_message, number)};
static const struct codec_table ping_table = {ping_rows, ARRAY_LEN(ping_rows)};

/* The payloads of a lease that come in pieces, one after the other, in the order of their parts. */
struct partial {
    struct list link;
    struct lease_ref lease;
    struct buf pieces;
    struct buf parts; /* of struct upstream_part */
};

int inbox_is_same_lease(const struct lease_ref *a, const struct lease_ref *b)
{
    return memcmp(&a->id, &b->id, sizeof a->id) == 0 && a->attempt == b->attempt && a->epoch == b->epoch;
}

struct item *inbox_item_free(struct item *item)
{
    if (item) {
        buf_deinit(&item->pieces);
        mem_free(item->upstreams);
    }
    return mem_free(item);
}

static void partial_drop(struct inbox *in, struct partial *p)
{
    list_del(&p->link);
    in->n_partial--;
    buf_deinit(&p->pieces);
    buf_deinit(&p->parts);
    mem_free(p);
}

void inbox_init(struct inbox *in, const struct inbox_ops *ops)
{
    *in = (struct inbox){.ops = ops};
    list_init(&in->queue);
    list_init(&in->partial);
}

void inbox_deinit(struct inbox *in)
{
    inbox_restart(in);
    for (struct item *item = inbox_pop(in); item; item = inbox_pop(in))
        inbox_item_free(item);
}

void inbox_restart(struct inbox *in)
{
    LIST_FOREACH_SAFE (l, &in->partial)
        partial_drop(in, LIST_ENTRY(l, struct partial, link));
    in->max_task_bytes = in->max_result_bytes = 0;
}

int inbox_next_lease(struct wire_reader *r, uint32_t number, struct lease_ref *ret)
{
    struct span message;

    while (codec_each(r, number, &message))
        if (lease_ref_read(message, ret) == 0)
            return 1;
    return 0;
}

struct item *inbox_pop(struct inbox *in)
{
    struct list *l = list_pop_front(&in->queue);

    if (!l)
        return NULL;
    in->n_queued--;
    return LIST_ENTRY(l, struct item, link);
}

static struct partial *partial_find(const struct inbox *in, const struct lease_ref *lease)
{
    LIST_FOREACH (l, &in->partial) {
        struct partial *p = LIST_ENTRY(l, struct partial, link);

        if (inbox_is_same_lease(&p->lease, lease))
            return p;
    }
    return NULL;
}

static struct item *item_find(const struct inbox *in, const struct lease_ref *lease)
{
    LIST_FOREACH (l, &in->queue) {
        struct item *item = LIST_ENTRY(l, struct item, link);

        if (inbox_is_same_lease(&item->lease, lease))
            return item;
    }
    return NULL;
}

int inbox_drop(struct inbox *in, const struct lease_ref *lease)
{
    struct item *item = item_find(in, lease);
    struct partial *p = item ? NULL : partial_find(in, lease);

    if (item) {
        list_del(&item->link);
        in->n_queued--;
        inbox_item_free(item);
    } else if (p) {
        partial_drop(in, p);
    }
    return item || p;
}

/* --- the fields, each 0, < 0, or INBOX_E_BAD with *why */

static int bad(const char **why, const char *text)
{
    *why = text;
    return INBOX_E_BAD;
}

static int on_welcome(struct inbox *in, struct span message, const char **why)
{
    struct welcome w = {0};
    const char *field;

    if (in->max_task_bytes)
        return bad(why, "a second welcome");
    if (codec_read(&welcome_table, message, &w, &field) != 0 || w.max_message_bytes == 0)
        return bad(why, "a malformed welcome");
    w.message = message;
    in->max_task_bytes = w.max_message_bytes;
    in->max_result_bytes = MAX(w.max_message_bytes, w.max_result_bytes);
    in->ops->on_welcome(in->ops->context, &w);
    return 0;
}

static const struct upstream_part *parts_of(const struct partial *p, uint32_t *ret_n)
{
    *ret_n = (uint32_t)(buf_len(&p->parts) / sizeof(struct upstream_part));
    return (const struct upstream_part *)(const void *)buf_head(&p->parts);
}

/* Where the payload @part of @p begins: now, if it is a new one. 0, -ENOMEM, INBOX_E_BAD. */
static int begin_part(struct partial *p, uint64_t number, size_t *ret_at, const char **why)
{
    uint32_t n;
    const struct upstream_part *parts = parts_of(p, &n);
    struct upstream_part part = {(uint32_t)number, buf_len(&p->pieces)};

    if (n > 0 && parts[n - 1].part == number) {
        *ret_at = parts[n - 1].at;
        return 0;
    }
    if (number > INBOX_PARTS_MAX || (n > 0 && parts[n - 1].part > number))
        return bad(why, "payloads out of order");
    *ret_at = part.at;
    return buf_append(&p->parts, &part, sizeof part);
}

static int on_payload(struct inbox *in, struct span message, const char **why)
{
    struct payload_message m = {0};
    struct lease_ref lease;
    struct partial *p;
    const char *field;
    size_t at, max;
    int r;

    if (codec_read(&payload_table, message, &m, &field) != 0 || lease_ref_read(m.lease.data, &lease) != 0 ||
        m.data.data.len == 0)
        return bad(why, "a malformed piece of a payload");
    p = partial_find(in, &lease);
    if (!p) {
        if (in->n_partial == INBOX_QUEUE_MAX)
            return bad(why, "too many payloads in pieces");
        p = mem_zalloc(sizeof *p);
        if (!p)
            return -ENOMEM;
        p->lease = lease;
        list_push_back(&in->partial, &p->link);
        in->n_partial++;
    }
    r = begin_part(p, m.part, &at, why);
    if (r != 0)
        return r;
    max = m.part ? in->max_result_bytes : in->max_task_bytes;
    at = buf_len(&p->pieces) - at;
    if (m.offset != at || m.data.data.len > max - at)
        return bad(why, "a payload with a gap, or over max_message_bytes");
    return buf_append(&p->pieces, m.data.data.p, m.data.data.len);
}

/* What came ahead of @item becomes part of it. 0, -ENOMEM, UPSTREAM_E_MALFORMED. */
static int take_payloads(struct inbox *in, struct item *item, size_t n_bytes,
                         const struct assignment_message *m)
{
    struct partial none = {.pieces = BUF_INIT, .parts = BUF_INIT}, *p = partial_find(in, &item->lease), *from;
    const struct upstream_part *parts;
    struct span pieces;
    uint32_t n;
    int r = 0;

    from = p ? p : &none;
    parts = parts_of(from, &n);
    pieces = (struct span){buf_head(&from->pieces), buf_len(&from->pieces)};
    if (m->task_chunked)
        r = upstream_part_find(pieces, parts, n, 0, &item->task);
    if (r == 0 && m->upstream)
        r = upstream_read((struct span){item->bytes, n_bytes}, ASSIGNMENT_UPSTREAM, m->upstream, pieces,
                          parts, n, &item->upstreams);
    if (r != 0 || !p)
        return r;
    item->pieces = p->pieces; /* the bytes stay where they are */
    p->pieces = BUF_INIT;
    partial_drop(in, p);
    return 0;
}

static int on_assignment(struct inbox *in, struct span message, const char **why)
{
    struct assignment_message m = {0};
    struct item *item;
    const char *field;

    if (in->n_queued == INBOX_QUEUE_MAX)
        return bad(why, "more assignments than credit");
    item = mem_alloc(sizeof *item + message.len);
    if (!item)
        return -ENOMEM;
    *item = (struct item){.pieces = BUF_INIT};
    list_init(&item->link);
    memcpy(item->bytes, message.p, message.len);
    if (codec_read(&assignment_table, (struct span){item->bytes, message.len}, &m, &field) != 0 ||
        lease_ref_read(m.lease.data, &item->lease) != 0) {
        inbox_item_free(item);
        return bad(why, "a malformed assignment");
    }
    item->task = m.task.data;
    item->attempt_timeout = m.attempt_timeout;
    item->deadline = m.deadline;
    item->group = m.group;
    item->traceparent = m.traceparent;
    if (m.task_chunked || m.upstream) {
        int r = take_payloads(in, item, message.len, &m);

        if (r != 0) {
            inbox_item_free(item);
            return r < 0 ? r : bad(why, "an assignment without its payload");
        }
    }
    list_push_back(&in->queue, &item->link);
    in->n_queued++;
    return 0;
}

static int on_assign(struct inbox *in, struct span message, const char **why)
{
    struct assign_message m = {0};
    struct wire_reader r = wire_reader(message);
    struct span item;
    const char *field;
    int e = 0;

    if (codec_read(&assign_table, message, &m, &field) != 0)
        return bad(why, "a malformed assign");
    while (e == 0 && codec_each(&r, ASSIGN_ITEMS, &item))
        e = on_assignment(in, item, why);
    return e;
}

static int on_order(struct inbox *in, struct span message, int is_cancel, const char **why)
{
    struct order_message m = {0};
    struct lease_ref lease;
    const char *field;

    if (codec_read(&order_table, message, &m, &field) != 0 || lease_ref_read(m.lease.data, &lease) != 0)
        return bad(why, "a malformed recall or cancel");
    if (inbox_drop(in, &lease))
        in->ops->on_recalled(in->ops->context, &lease);
    else if (is_cancel)
        in->ops->on_cancel(in->ops->context, &lease, MAX(m.grace.ns, (int64_t)0), m.reason);
    return 0;
}

static int on_cancel(struct inbox *in, struct span message, const char **why)
{
    return on_order(in, message, 1, why);
}

static int on_recall(struct inbox *in, struct span message, const char **why)
{
    return on_order(in, message, 0, why);
}

/* Its reason is for people. */
static int on_refused(struct inbox *in, struct span message, const char **why)
{
    static const struct codec_row rows[] = {CODEC_ROW(1, CODEC_MESSAGE, struct order_message, lease)};
    static const struct codec_table table = {rows, ARRAY_LEN(rows)};
    struct order_message m = {0};
    struct lease_ref lease;
    const char *field;

    if (codec_read(&table, message, &m, &field) != 0 || lease_ref_read(m.lease.data, &lease) != 0)
        return bad(why, "a malformed refused");
    in->ops->on_refused(in->ops->context, &lease);
    return 0;
}

static int for_each(struct inbox *in, struct span message, uint32_t number, uint32_t n,
                    int (*on_item)(struct inbox *, struct span, const char **), const char **why)
{
    struct wire_reader r = wire_reader(message);
    struct span item;
    int e = 0;

    while (n && e == 0 && codec_each(&r, number, &item))
        e = on_item(in, item, why);
    return e;
}

static int on_ping(struct inbox *in, struct span message, const char **why)
{
    struct ping_message m = {0};
    const char *field;

    if (codec_read(&ping_table, message, &m, &field) != 0)
        return bad(why, "a malformed ping");
    in->ops->on_ping(in->ops->context, m.number);
    return 0;
}

static int on_drain(struct inbox *in, struct span message, const char **why)
{
    struct drain m = {0};
    const char *field;

    if (codec_read(&drain_table, message, &m, &field) != 0)
        return bad(why, "a malformed drain");
    in->ops->on_drain(in->ops->context, &m);
    return 0;
}

int inbox_take(struct inbox *in, struct span message, const char **ret_why)
{
    struct attach_response m = {0};
    const char *field;
    int e = 0;

    if (codec_read(&attach_response_table, message, &m, &field) != 0)
        return bad(ret_why, "a malformed message");
    if (m.welcome.is_set)
        e = on_welcome(in, m.welcome.data, ret_why);
    else if (in->max_task_bytes == 0)
        e = bad(ret_why, "no welcome in the first message");
    if (e == 0)
        e = for_each(in, message, RESPONSE_PAYLOAD, m.payload, on_payload, ret_why);
    if (e == 0 && m.assign.is_set)
        e = on_assign(in, m.assign.data, ret_why);
    if (e == 0)
        e = for_each(in, message, RESPONSE_CANCEL, m.cancel_attempt, on_cancel, ret_why);
    if (e == 0)
        e = for_each(in, message, RESPONSE_RECALL, m.recall, on_recall, ret_why);
    if (e == 0)
        e = for_each(in, message, RESPONSE_REFUSED, m.refused, on_refused, ret_why);
    if (e == 0 && m.drain.is_set)
        e = on_drain(in, m.drain.data, ret_why);
    if (e == 0 && m.ping.is_set)
        e = on_ping(in, m.ping.data, ret_why);
    return e;
}
