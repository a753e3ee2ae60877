// SPDX-License-Identifier: Apache-2.0
/*
 * What the engine alone costs, without network, store and workers.
 *
 *   futured-engine-cost cycle N [BATCH]   N tasks submitted, waited for, claimed, started, finished and answered
 *   futured-engine-cost submit N          N pending tasks: cost among the first and the last 500,000, RSS
 *   futured-engine-cost pause N           N pending tasks: CPU time of the longest submits
 *   futured-engine-cost find N            N finds in N pending tasks, in random order
 *   futured-engine-cost retention N       N finished tasks forgotten
 *
 * Under `valgrind --tool=callgrind --toggle-collect=engine_submit` and the like a small N tells instructions.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "engine/engine.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TASK_BYTES = 100, WINDOW = 100000, WINDOWS = 5, BATCH_MAX = 1024, TURN = 256 };

struct cost {
    struct engine *e;
    struct scope *scope;
    struct function *fn;
    struct holder *holder;
    uint64_t commit_seq;
};

static void must(int r)
{
    if (r == 0)
        return;
    fprintf(stderr, "engine: %d\n", r);
    exit(1);
}

static void cost_init(struct cost *c)
{
    struct engine_config config = engine_config_default();

    config.seed = (struct hash_seed){0x0123456789abcdefU, 0xfedcba9876543210U};
    config.random = 42;
    config.limits.max_memory_bytes = UINT64_C(1) << 40;
    must(engine_new(&c->e, &config));
    engine_begin(c->e, clock_mono(), clock_wall());
    c->scope = engine_scope(c->e, SPAN_LIT(""), SPAN_LIT("bench"));
    c->fn = engine_function_add(c->e, SPAN_LIT("echo"), SPAN_LIT(""));
    must(engine_holder_new(c->e, SPAN_LIT("worker"), NULL, &c->holder));
    must(!c->scope || !c->fn || engine_holder_serve(c->e, c->holder, c->fn));
}

static struct future *submit(struct cost *c)
{
    struct engine_submit in = {
            .scope = c->scope,
            .function = SPAN_LIT("echo"),
            .task = bytes_new(TASK_BYTES),
            .durability = DURABILITY_EPHEMERAL,
            .on_lost = ON_LOST_RETRY,
            .retention_ns = -1,
    };
    struct future *f = NULL;

    must(!in.task);
    memset(in.task->data, 'x', TASK_BYTES);
    must(engine_submit(c->e, &in, &f));
    bytes_unref(in.task);
    return f;
}

/* The end of a turn, with everything drained, and the begin of the next. */
static void turn(struct cost *c)
{
    struct effects *effects = engine_end(c->e);
    struct list *l;

    while ((l = list_pop_front(&effects->answers)))
        engine_waiter_drop(c->e, LIST_ENTRY(l, struct waiter, answer));
    while (list_pop_front(&effects->work))
        ;
    if (effects->commit_seq > c->commit_seq)
        engine_durable(c->e, c->commit_seq = effects->commit_seq);
    engine_begin(c->e, clock_mono(), clock_wall());
}

static void finish(struct cost *c, uint32_t n)
{
    static struct lease *leases[BATCH_MAX];
    int got = engine_claim(c->e, c->holder, CLOCK_NEVER, n, leases);

    must(got != (int)n);
    for (uint32_t i = 0; i < n; i++) {
        struct finish f = {.data = bytes_new(TASK_BYTES), .usage = {-1, -1, -1, -1}};

        must(!f.data);
        must(engine_start(c->e, leases[i], clock_wall()));
        must(engine_finish(c->e, leases[i], &f));
    }
}

static void cycle(struct cost *c, uint64_t n, uint32_t batch)
{
    static struct waiter waiters[BATCH_MAX];
    mono_ns_t start = clock_mono();

    for (uint64_t done = 0; done < n; done += batch) {
        for (uint32_t i = 0; i < batch; i++) {
            struct future *f = submit(c);

            waiter_init(&waiters[i], WAITER_ALL, 0, NULL);
            must(engine_wait(c->e, &waiters[i], f, NULL, 0));
        }
        turn(c);
        finish(c, batch);
        turn(c);
    }
    printf("cycle: %.0f ns a task\n", (double)(clock_mono() - start) / (double)n);
}

static uint64_t rss_bytes(void)
{
    char line[256] = "";
    FILE *f = fopen("/proc/self/statm", "re");
    unsigned long long total = 0, resident = 0;

    if (f && fgets(line, sizeof line, f) && sscanf(line, "%llu %llu", &total, &resident) != 2)
        resident = 0;
    if (f)
        fclose(f);
    return resident * 4096;
}

/* The fastest of the windows that end in (@from, @to]: what the work costs when nothing else runs. */
static double best(const mono_ns_t *windows, uint64_t from, uint64_t to)
{
    mono_ns_t low = CLOCK_NEVER;

    for (uint64_t i = from; i < to; i++)
        low = MIN(low, windows[i]);
    return (double)low / WINDOW;
}

static void fill(struct cost *c, uint64_t n)
{
    uint64_t before = rss_bytes(), n_windows = n / WINDOW, some = MIN(n_windows, (uint64_t)WINDOWS);
    mono_ns_t *windows = mem_alloc((n_windows + 1) * sizeof *windows);
    mono_ns_t window = clock_mono();
    double first, last;

    must(!windows || n_windows == 0);
    for (uint64_t i = 0; i < n_windows * WINDOW; i++) {
        submit(c);
        if ((i + 1) % TURN == 0)
            turn(c);
        if ((i + 1) % WINDOW == 0) {
            windows[i / WINDOW] = clock_mono() - window;
            window = clock_mono();
        }
    }
    first = best(windows, 0, some);
    last = best(windows, n_windows - some, n_windows);
    printf("submit: %.0f ns among the first, %.0f ns among the last (ratio of rates %.3f)\n", first, last,
           first / last);
    printf("memory: %.1f bytes of RSS a future beyond %d of task; charged %.1f; table %.1f\n",
           (double)(rss_bytes() - before) / (double)n - TASK_BYTES, TASK_BYTES,
           (double)engine_stats(c->e).n_bytes / (double)n - TASK_BYTES,
           (double)engine_stats(c->e).table_slots * 16 / (double)n);
    printf("table: %" PRIu64 " slots, %.2f moved a submit, at most %u by one\n",
           engine_stats(c->e).table_slots, (double)engine_stats(c->e).table_moved / (double)n,
           engine_stats(c->e).table_max_moved);
    mem_free(windows);
}

static int64_t thread_cpu_ns(void)
{
    struct timespec t;

    must(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t));
    return t.tv_sec * NS_PER_S + t.tv_nsec;
}

/* How many submissions take longer than 10, 100, 1000 us. The kernel's work is in it: page faults, interrupts. */
static void pauses(struct cost *c, uint64_t n)
{
    int64_t longest = 0;
    uint64_t over[3] = {0};

    for (uint64_t i = 0; i < n; i++) {
        int64_t took = thread_cpu_ns();

        submit(c);
        took = thread_cpu_ns() - took;
        longest = MAX(longest, took);
        for (int64_t j = 0, limit = 10 * NS_PER_US; j < 3; j++, limit *= 10)
            over[j] += took > limit;
        if ((i + 1) % TURN == 0)
            turn(c);
    }
    printf("pause: of %" PRIu64 " submits %" PRIu64 " over 10 us, %" PRIu64 " over 100, %" PRIu64
           " over 1000; longest %" PRId64 " us\n",
           n, over[0], over[1], over[2], longest / NS_PER_US);
}

static void find(struct cost *c, uint64_t n)
{
    mono_ns_t windows[WINDOWS];
    struct id *ids = mem_alloc(n * sizeof *ids);
    uint64_t at = 0;

    must(!ids);
    for (uint64_t i = 0; i < n; i++)
        ids[i] = submit(c)->id;
    for (int i = 0; i < WINDOWS; i++) {
        mono_ns_t start = clock_mono();

        for (int j = 0; j < WINDOW; j++) {
            at = at * 6364136223846793005U + 1442695040888963407U;
            must(!engine_find(c->e, c->scope, &ids[(at >> 33) % n]));
        }
        windows[i] = clock_mono() - start;
    }
    printf("find: %.0f ns each\n", best(windows, 0, WINDOWS));
    mem_free(ids);
}

static void retention(struct cost *c, uint64_t n)
{
    mono_ns_t start, longest = 0;

    for (uint64_t i = 0; i < n; i += TURN) {
        for (int j = 0; j < TURN; j++)
            submit(c);
        finish(c, TURN);
        turn(c);
    }
    start = clock_mono();
    while (engine_stats(c->e).n_futures > 0) {
        mono_ns_t at = clock_mono();

        engine_begin(c->e, at, clock_wall() + 660 * NS_PER_S);
        engine_end(c->e);
        longest = MAX(longest, clock_mono() - at);
    }
    printf("retention: %.0f ns a future, longest turn %" PRId64 " us\n",
           (double)(clock_mono() - start) / (double)n, longest / NS_PER_US);
}

int main(int argc, char **argv)
{
    uint64_t n = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    uint32_t batch = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : TURN;
    struct cost c = {0};

    if (n == 0 || batch == 0 || batch > BATCH_MAX) {
        fprintf(stderr, "usage: %s cycle|submit|pause|find|retention N [BATCH of at most %d]\n", argv[0],
                BATCH_MAX);
        return 2;
    }
    cost_init(&c);
    if (strcmp(argv[1], "cycle") == 0)
        cycle(&c, n, batch);
    else if (strcmp(argv[1], "submit") == 0)
        fill(&c, n);
    else if (strcmp(argv[1], "pause") == 0)
        pauses(&c, n);
    else if (strcmp(argv[1], "find") == 0)
        find(&c, n);
    else if (strcmp(argv[1], "retention") == 0)
        retention(&c, n);
    engine_holder_free(c.e, c.holder);
    if (strcmp(argv[1], "cycle") == 0) /* the others would only take long */
        engine_free(c.e);
    return 0;
}
