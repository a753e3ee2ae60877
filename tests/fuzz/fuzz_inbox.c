// SPDX-License-Identifier: Apache-2.0
/*
 * What a worker is told on its stream: lib/attach/inbox. The input is a list of steps: a byte that chooses one, a byte for the lease it
 * is about, and what it needs beside. Whatever comes, the queue is as long as it says, every task in it can be read to its last
 * byte (the sanitizer looks), and what makes no sense is an error with a text.
 */
#include "attach/answer.h"
#include "attach/inbox.h"
#include "grpc/writer.h"
#include "tests/fuzz/input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STEPS_MAX = 300, LEASES = 8 };

static uint64_t sum; /* of all bytes that were handed out, so that they are read */

static void look(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        sum += s.p[i];
}

static void on_welcome(void *context, const struct welcome *welcome)
{
    struct wire_reader r = wire_reader(welcome->message);
    struct lease_ref ref;

    look(welcome->worker_id);
    look(welcome->version);
    while (inbox_next_lease(&r, WELCOME_KEPT, &ref))
        sum += ref.attempt;
}

static void on_recalled(void *context, const struct lease_ref *lease)
{
    sum += lease->attempt;
}

static void on_cancel(void *context, const struct lease_ref *lease, int64_t grace_ns, struct span reason)
{
    struct inbox *in = context;

    look(reason);
    ASSERT(!inbox_drop(in, lease)); /* what is still in the queue is recalled instead */
}

static void on_refused(void *context, const struct lease_ref *lease)
{
    (void)inbox_drop(context, lease);
}

static void on_drain(void *context, const struct drain *drain)
{
    look(drain->reason);
}

static void on_ping(void *context, uint64_t number)
{
    sum += number;
}

static struct lease_ref lease_of(uint8_t n)
{
    return (struct lease_ref){
            .id = id_make(1000 + n % LEASES, n % LEASES), .attempt = 1 + n / LEASES % 2, .epoch = 3};
}

static void put_lease(struct writer *w, uint8_t n)
{
    struct lease_ref ref = lease_of(n);

    lease_ref_write(w, 1, &ref);
}

static void put_welcome(struct writer *w, uint8_t n, struct input *in)
{
    writer_text(w, 1, "w-1");
    writer_uint(w, 2, 3);
    writer_uint(w, 7, (uint64_t)n * 16);
    writer_uint(w, 8, input_byte(in));
}

static void put_piece(struct writer *w, uint8_t n, struct input *in)
{
    put_lease(w, n);
    writer_uint(w, 2, input_byte(in) & 3);
    writer_uint(w, 3, input_byte(in));
    writer_bytes(w, 4, input_some(in));
}

static void put_upstream(struct writer *w, uint8_t how, struct input *in)
{
    struct writer_mark m = writer_begin(w, 7, 64), part;

    writer_text(w, 1, "an-id");
    part = writer_begin(w, how & 1 ? 2 : 3, 64);
    writer_raw(w, input_some(in));
    writer_end(w, part);
    writer_uint(w, 4, how >> 1 & 1);
    writer_end(w, m);
}

static void put_assign(struct writer *w, uint8_t n, struct input *in)
{
    uint8_t how = input_byte(in);
    struct writer_mark m;

    for (uint8_t i = 0; i <= (how & 1); i++) {
        m = writer_begin(w, 1, 64);
        put_lease(w, (uint8_t)(n + i));
        if (how & 2)
            writer_bytes_always(w, 2, input_some(in));
        writer_uint(w, 12, how >> 2 & 1);
        for (uint8_t u = 0; u < (how >> 3 & 3); u++)
            put_upstream(w, input_byte(in), in);
        if (how & 32)
            writer_raw(w, input_some(in));
        writer_end(w, m);
    }
}

static void put_order(struct writer *w, uint8_t n, struct input *in)
{
    put_lease(w, n);
    writer_raw(w, input_some(in));
}

/* One message. After what makes no sense the worker begins another stream. */
static void take(struct inbox *in, struct span message)
{
    const char *why = NULL;

    if (inbox_take(in, message, &why) != INBOX_E_BAD)
        return;
    ASSERT(why && *why);
    inbox_restart(in);
}

/* A message with one field of each kind that the bits of @what choose, in the order of their numbers. */
static void say(struct inbox *in, uint8_t what, uint8_t n, struct input *input)
{
    static void (*const puts[])(struct writer *, uint8_t, struct input *) = {
            put_welcome, put_piece, put_assign, put_order, put_order, put_order};
    struct buf out = BUF_INIT;
    struct writer w = writer_to(&out);

    for (uint32_t i = 0; i < ARRAY_LEN(puts); i++)
        if (what >> i & 1) {
            struct writer_mark m = writer_begin(&w, i + 1, 64);

            puts[i](&w, n, input);
            writer_end(&w, m);
        }
    if (what >> 6)
        writer_raw(&w, input_some(input));
    take(in, (struct span){buf_head(&out), buf_len(&out)});
    buf_deinit(&out);
}

/* The next task, as a worker looks at it, and its answer. */
static void work(struct inbox *in)
{
    static const struct answer_usage usage = {.user_ns = -1, .system_ns = -1, .wall_ns = 1};
    struct item *item = inbox_pop(in);
    struct buf out = BUF_INIT;
    struct writer w = writer_to(&out);

    if (!item)
        return;
    look(item->task);
    look(item->group);
    look(item->traceparent);
    for (uint32_t i = 0; item->upstreams && i < item->upstreams->n; i++) {
        const struct upstream *u = &item->upstreams->at[i];

        look(u->id);
        look(u->data);
        look(u->content_type);
        look(u->error.message);
        upstream_write(&w, 7, u);
    }
    answer_write(&w, &(struct answer){.lease = &item->lease, .result = item->task, .usage = &usage});
    buf_deinit(&out);
    inbox_item_free(item);
}

static void check(const struct inbox *in)
{
    uint32_t n = 0;

    for (const struct list *l = in->queue.next; l != &in->queue; l = l->next)
        n++;
    ASSERT(n == in->n_queued && n <= INBOX_QUEUE_MAX);
    n = 0;
    for (const struct list *l = in->partial.next; l != &in->partial; l = l->next)
        n++;
    ASSERT(n == in->n_partial && n <= INBOX_QUEUE_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, data + size};
    struct inbox in;
    const struct inbox_ops ops = {.on_welcome = on_welcome,
                                  .on_recalled = on_recalled,
                                  .on_cancel = on_cancel,
                                  .on_refused = on_refused,
                                  .on_drain = on_drain,
                                  .on_ping = on_ping,
                                  .context = &in};

    inbox_init(&in, &ops);
    for (int i = 0; i < STEPS_MAX && input.at < input.end; i++) {
        uint8_t what = input_byte(&input), n = input_byte(&input);

        switch (what >> 5) {
        case 7: work(&in); break;
        case 6: (void)!inbox_drop(&in, &(struct lease_ref){lease_of(n).id, lease_of(n).attempt, 3}); break;
        case 5: inbox_restart(&in); break;
        case 4: take(&in, input_some(&input)); break;
        default: say(&in, what & 127, n, &input); break;
        }
        check(&in);
    }
    inbox_deinit(&in);
    return 0;
}
