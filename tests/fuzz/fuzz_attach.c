// SPDX-License-Identifier: Apache-2.0
/*
 * Workers that say anything at any time. The input is a list of steps: a byte that chooses one, a byte for whom or what it is
 * about, and what the step needs beside. Whoever breaks the rules is cut off; what it held goes back. After each step
 * the engine's books are right (engine_check), and everything that a worker is told is a message that protobuf-c reads; at
 * the end, when all workers are gone, nobody holds a task.
 */
#include "grpc/messages.h"
#include "grpc/writer.h"
#include "tests/fuzz/input.h"
#include "tests/unit/dispatch/harness.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    STEPS_MAX = 200,
    TASKS_MAX = 400,
    GONE_S = 60, /* after that nobody who has gone holds anything: leases are shorter */
};

static struct child *child_of(struct harness *h, uint8_t which)
{
    return h->n_children ? h->children[which % h->n_children] : NULL;
}

static int can_speak(const struct child *w)
{
    return w && w->has_stream && w->call.call;
}

static const struct item *item_of(const struct child *w, uint8_t which)
{
    return w->n_items ? &w->items[w->n_items - 1 - which % w->n_items] : NULL;
}

/* ---- the steps */

static void submit(struct harness *h, uint8_t how)
{
    static const char *const tasks[] = {"function: 'echo' argument: 'x'", "function: 'slow'",
                                        "function: 'echo' options { priority: 3 }",
                                        "function: 'slow' options { on_lost: ON_LOST_FAIL }"};

    harness_submit(h, "%s", tasks[how % ARRAY_LEN(tasks)]);
}

static void come(struct harness *h, uint8_t how)
{
    struct child *w;

    if (h->n_children >= HARNESS_WORKERS)
        return;
    w = how & 1 ? harness_remote(h) : harness_spawn(h, 1 + h->n_children);
    if (how & 2)
        harness_hello(w, how & 4 ? "slots: 4" : "slots: 1", how >> 3);
}

/* Any bytes as a message. */
static void say(struct child *w, struct span bytes)
{
    if (can_speak(w))
        loopback_send(&w->call, bytes.p, bytes.len);
}

/* A field about a lease that it was given once, with any bytes behind it. */
static void say_of(struct child *w, const struct item *item, uint8_t what, struct span rest)
{
    static const uint32_t fields[] = {2, 6, 7, 8, 9}; /* started, payload, finish, release, returned */
    struct buf out = BUF_INIT;
    struct writer wr = writer_to(&out);
    struct writer_mark m = writer_begin(&wr, fields[what % ARRAY_LEN(fields)], 64 + rest.len);
    struct lease_ref ref = {.id = item->id, .attempt = item->attempt, .epoch = item->epoch};

    lease_ref_write(&wr, 1, &ref);
    writer_raw(&wr, rest);
    writer_end(&wr, m);
    say(w, (struct span){buf_head(&out), buf_len(&out)});
    buf_deinit(&out);
}

/* What it writes into its page: in order and not, and rubbish. */
static void mark(struct child *w, const struct item *item, uint8_t how, struct span rubbish)
{
    uint64_t n_open = w->page.n_started - w->page.n_finished;

    if (!w->is_alive || w->key == 0)
        return;
    if (how % 4 == 0 && item && w->page.n_started - w->page.n_sent < RUNPAGE_STARTS)
        worker_starts(w, item);
    else if (how % 4 == 1 && n_open > 0 && n_open < RUNPAGE_STARTS)
        worker_ends(w);
    else if (how % 4 == 2 && w->page.n_sent < w->page.n_finished)
        runpage_sent(&w->page, 1);
    else if (how == UINT8_MAX)
        memcpy(&w->page, rubbish.p, rubbish.len);
}

enum method { CLAIM, RENEW, FINISH, LIST_WORKERS, DRAIN_WORKER, KILL_WORKER, METHODS };

/* The items of an answer to Claim are those of the worker that asked, as if they had been assigned. */
static void take_claimed(struct child *w, const struct loopback_call *c)
{
    struct span message;
    Futured__V1__ClaimResponse *r;

    if (c->n_messages != 1)
        return;
    message = loopback_message(c, 0);
    r = futured__v1__claim_response__unpack(NULL, message.len, message.p);
    ASSERT(r);
    for (size_t i = 0; i < r->n_items && w->n_items < ARRAY_LEN(w->items); i++) {
        struct item *item = &w->items[w->n_items++];

        ASSERT(r->items[i]->lease->id.len == ID_BYTES && r->items[i]->task);
        *item = (struct item){.attempt = r->items[i]->lease->attempt, .epoch = r->items[i]->lease->epoch};
        memcpy(item->id.b, r->items[i]->lease->id.data, ID_BYTES);
    }
    futured__v1__claim_response__free_unpacked(r, NULL);
}

static void call(struct child *w, enum method method, struct span request)
{
    static const char *const methods[METHODS] = {"Claim",       "Renew",       "Finish",
                                                 "ListWorkers", "DrainWorker", "KillWorker"};
    struct loopback_call c;
    char path[64];

    if (!can_speak(w)) /* its connection may have been told to go */
        return;
    snprintf(path, sizeof path, "/futured.v1.Workers/%s", methods[method]);
    loopback_call(&w->lo, &c, path, NS_PER_S);
    loopback_send(&c, request.p, request.len);
    loopback_half_close(&c);
    harness_settle(w->harness);
    if (!c.is_done) /* a Claim that waits */
        harness_advance(w->harness, 2 * NS_PER_S);
    ASSERT(c.is_done);
    if (method == CLAIM)
        take_claimed(w, &c);
    loopback_call_deinit(&c);
}

/* Of the sessions that there may be; the last one is that of the streams. */
static const char *token(uint8_t which)
{
    static const char *const tokens[] = {"aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb", "cccccccccccccccc",
                                         "tttttttttttttttt"};

    return tokens[which % ARRAY_LEN(tokens)];
}

static void put_claim(struct writer *wr, struct input *in)
{
    uint8_t how = input_byte(in);
    struct writer_mark m = writer_begin(wr, 1, 128), f;

    writer_text(wr, 1, "claims");
    writer_text(wr, 2, token(how));
    for (int i = 0; i < 1 + (how >> 2 & 1); i++) {
        f = writer_begin(wr, 3, 32);
        writer_text(wr, 1, i ? "slow" : "echo");
        writer_end(wr, f);
    }
    if (how & 8)
        writer_raw(wr, input_some(in));
    writer_end(wr, m);
    writer_uint(wr, 2, input_byte(in));
    writer_duration(wr, 3, (int64_t)(how >> 6) * NS_PER_S / 2);
    if (how & 16)
        writer_duration(wr, 4, (int64_t)(1 + input_byte(in) % (GONE_S / 2)) * NS_PER_S);
    writer_uint(wr, 5, how >> 5 & 1);
}

/* An entry about a lease that some worker was given once, the caller or another, with any bytes behind it. */
static void put_of(struct writer *wr, uint32_t field, struct harness *h, struct input *in)
{
    struct child *w = child_of(h, input_byte(in));
    const struct item *item = w ? item_of(w, input_byte(in)) : NULL;
    struct lease_ref ref =
            item ? (struct lease_ref){item->id, item->attempt, item->epoch} : (struct lease_ref){0};
    struct writer_mark m = writer_begin(wr, field, 128);

    lease_ref_write(wr, 1, &ref);
    writer_raw(wr, input_some(in));
    writer_end(wr, m);
}

/* A lease alone, as Renew names those that it holds. */
static void put_held(struct writer *wr, struct harness *h, struct input *in)
{
    struct child *w = child_of(h, input_byte(in));
    const struct item *item = w ? item_of(w, input_byte(in)) : NULL;

    if (item)
        lease_ref_write(wr, 2, &(struct lease_ref){item->id, item->attempt, item->epoch});
}

static void put_worker(struct writer *wr, uint8_t which)
{
    char id[16];

    snprintf(id, sizeof id, "w-%u", which % (2 * HARNESS_WORKERS));
    writer_text(wr, 1, id);
}

/* A request that makes sense, but for what the input adds. */
static void ask(struct harness *h, struct child *w, enum method method, struct input *in)
{
    struct buf out = BUF_INIT;
    struct writer wr = writer_to(&out);
    uint8_t how = input_byte(in);

    switch (method) {
    case CLAIM: put_claim(&wr, in); break;
    case RENEW:
        writer_text(&wr, 1, token(how));
        for (uint8_t i = 0; i < (how >> 2 & 3); i++)
            put_held(&wr, h, in);
        for (uint32_t field = 3; field <= 6; field++)
            if (how >> field & 1)
                put_of(&wr, field, h, in);
        break;
    case FINISH:
        writer_text(&wr, 1, token(how));
        for (uint8_t i = 0; i < (how >> 2 & 3); i++)
            put_of(&wr, 2, h, in);
        for (uint8_t i = 0; i < (how >> 4 & 3); i++)
            put_of(&wr, 3, h, in);
        break;
    case LIST_WORKERS:
        writer_uint(&wr, 1, how & 3);
        if (how & 4)
            writer_text(&wr, 3, how & 8 ? "echo" : "nothing");
        if (how & 16)
            writer_bytes(&wr, 2, input_some(in));
        break;
    default:
        put_worker(&wr, how);
        writer_raw(&wr, input_some(in));
        break;
    }
    call(w, method, (struct span){buf_head(&out), buf_len(&out)});
    buf_deinit(&out);
}

/* As the input has it, or made sense of. */
static void call_any(struct harness *h, struct child *w, uint8_t which, struct input *in)
{
    if (which & 0x80)
        ask(h, w, which % METHODS, in);
    else
        call(w, which % METHODS, input_some(in));
}

static void cancel(struct harness *h, uint8_t which)
{
    struct child *w = child_of(h, which);
    const struct item *item = w ? item_of(w, which >> 4) : NULL;
    struct future *f = item ? engine_find(h->engine, h->scope, &item->id) : NULL;

    if (f)
        ASSERT(engine_cancel(h->engine, f, h->scope, SPAN_LIT("changed my mind"),
                             (int64_t)which * NS_PER_MS) == 0);
}

static void go(struct child *w, uint8_t how)
{
    if (w && w->has_stream && how & 1)
        harness_hang_up(w);
    if (w && w->is_alive && how & 2)
        harness_die(w, how & 4 ? 9 : 1 << 8, how & 8);
}

static void step(struct harness *h, struct input *in, uint32_t *n_tasks)
{
    uint8_t what = input_byte(in), which = input_byte(in);
    struct child *w = child_of(h, which);
    const struct item *item = w ? item_of(w, which >> 3) : NULL;

    switch (what % 9) {
    case 0: come(h, which); break;
    case 1:
        if (++*n_tasks < TASKS_MAX)
            submit(h, which);
        break;
    case 2: say(w, input_some(in)); break;
    case 3:
        if (item)
            say_of(w, item, what / 9, input_some(in));
        break;
    case 4:
        if (w)
            mark(w, item, input_byte(in), input_some(in));
        break;
    case 5: harness_advance(h, (int64_t)which * 50 * NS_PER_MS); break;
    case 6: call_any(h, w, input_byte(in), in); break;
    case 7: cancel(h, which); break;
    default: go(w, what / 9); break;
    }
    harness_settle(h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, data + size};
    uint32_t n_tasks = 0;
    struct harness h;

    harness_init(&h);
    for (int i = 0; i < STEPS_MAX && in.at < in.end; i++)
        step(&h, &in, &n_tasks);
    for (size_t i = 0; i < h.n_children; i++)
        go(h.children[i], 3 | 8);
    for (int i = 0; i < GONE_S; i++) /* a jump would look as if the daemon had been stopped */
        harness_advance(&h, NS_PER_S);
    ASSERT(dispatch_n_leases(h.dispatch) == 0);
    harness_deinit(&h);
    return 0;
}
