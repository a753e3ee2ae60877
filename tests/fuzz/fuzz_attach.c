// SPDX-License-Identifier: Apache-2.0
/*
 * Workers that say anything at any time. The input is a list of steps: a byte that chooses one, a byte for whom or what it is
 * about, and what the step needs beside. Whoever breaks the rules is cut off; what it held goes back. After each step
 * the engine's books are right (engine_check), and everything that a worker is told is a message that protobuf-c reads; at
 * the end, when all workers are gone, nobody holds a task.
 */
#include "grpc/messages.h"
#include "grpc/writer.h"
#include "tests/unit/dispatch/harness.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STEPS_MAX = 200, TASKS_MAX = 400 };

struct input {
    const uint8_t *at, *end;
};

static uint8_t byte(struct input *in)
{
    return in->at < in->end ? *in->at++ : 0;
}

/* As many bytes as the next one says. */
static struct span some(struct input *in)
{
    size_t n = MIN((size_t)byte(in), (size_t)(in->end - in->at));
    struct span s = {in->at, n};

    in->at += n;
    return s;
}

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

static void call(struct child *w, uint8_t which, struct span request)
{
    static const char *const methods[] = {"Claim",       "Renew",       "Finish",
                                          "ListWorkers", "DrainWorker", "KillWorker"};
    struct loopback_call c;
    char path[64];

    if (!can_speak(w)) /* its connection may have been told to go */
        return;
    snprintf(path, sizeof path, "/futured.v1.Workers/%s", methods[which % ARRAY_LEN(methods)]);
    loopback_call(&w->lo, &c, path, NS_PER_S);
    loopback_send(&c, request.p, request.len);
    loopback_half_close(&c);
    harness_settle(w->harness);
    if (!c.is_done) /* a Claim that waits */
        harness_advance(w->harness, 2 * NS_PER_S);
    if (c.is_done)
        loopback_call_deinit(&c);
    else
        abort();
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
    uint8_t what = byte(in), which = byte(in);
    struct child *w = child_of(h, which);
    const struct item *item = w ? item_of(w, which >> 3) : NULL;

    switch (what % 9) {
    case 0: come(h, which); break;
    case 1:
        if (++*n_tasks < TASKS_MAX)
            submit(h, which);
        break;
    case 2: say(w, some(in)); break;
    case 3:
        if (item)
            say_of(w, item, what / 9, some(in));
        break;
    case 4:
        if (w)
            mark(w, item, byte(in), some(in));
        break;
    case 5: harness_advance(h, (int64_t)which * 50 * NS_PER_MS); break;
    case 6: call(w, byte(in), some(in)); break;
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
    for (int i = 0; i < 60; i++) /* a jump would look as if the daemon had been stopped */
        harness_advance(&h, NS_PER_S);
    ASSERT(dispatch_n_leases(h.dispatch) == 0);
    harness_deinit(&h);
    return 0;
}
