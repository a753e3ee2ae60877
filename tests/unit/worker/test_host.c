// SPDX-License-Identifier: Apache-2.0
/* The worker's side of Attach against a fake daemon, the host in a thread of its own: batches, credit, recalls, pieces,
 * cancels, what is heard and told while a task takes long, and each way to end. The functions are the test's own, so that
 * a test decides when they end. */
#include "tests/unit/worker/fake_daemon.h"
#include "worker/host.h"

#include <pthread.h>

#include <sys/eventfd.h>
#include <sys/mman.h>

enum { MAX_MESSAGE = 4 * 1024 * 1024, MAX_RESULT = 1024 * 1024 };

/* --- the functions */

static int gate_fd = -1; /* "gated" waits for it */
static atomic_int n_entered, n_gone;

static int echo(const struct futured_host *host, struct futured_call *call, void *state)
{
    size_t n;
    const void *argument = host->argument(call, &n);

    return host->set_result(call, argument, n) || host->set_content_type(call, host->content_type(call));
}

static int describe(const struct futured_host *host, struct futured_call *call, void *state)
{
    char text[256];
    int n = snprintf(text, sizeof text, "%s %s %u %s %s %s %s", host->function(call), host->id(call),
                     host->attempt(call), host->group(call), host->traceparent(call),
                     host->label(call, "color"), host->label(call, "none") ? "?" : "-");

    return host->set_result(call, text, (size_t)n);
}

/* Waits for the gate; while it does, tells whether it is cancelled. */
static int gated(const struct futured_host *host, struct futured_call *call, void *state)
{
    eventfd_t n;

    atomic_fetch_add(&n_entered, 1);
    while (eventfd_read(gate_fd, &n) < 0)
        ASSERT(errno == EINTR);
    return host->set_result(call, host->cancelled(call) ? "cancelled" : "done",
                            host->cancelled(call) ? 9 : 4);
}

/* Ends only once it is cancelled. */
static int until_cancelled(const struct futured_host *host, struct futured_call *call, void *state)
{
    while (!host->cancelled(call))
        sched_yield();
    return (host->fail)(call, /* a macro of cmocka has that name */
                        "STOPPED", "told to end");
}

/* The argument is the size of the result. */
static int large(const struct futured_host *host, struct futured_call *call, void *state)
{
    char text[32] = "";
    size_t n, size;
    const void *argument = host->argument(call, &n);
    unsigned char *to;

    memcpy(text, argument, MIN(n, sizeof text - 1));
    size = strtoull(text, NULL, 10);
    to = host->reserve_result(call, size);
    if (!to)
        return -1;
    for (size_t i = 0; i < size; i++)
        to[i] = (unsigned char)(i % 251);
    return host->commit_result(call, size);
}

static int failing(const struct futured_host *host, struct futured_call *call, void *state)
{
    const struct futured_failure f = {.size = sizeof f,
                                      .type = "ValueError",
                                      .message = "no \xff good",
                                      .reason = "BAD_INPUT",
                                      .traceback = "line 1\nline 2",
                                      .code = 9,
                                      .retryable = 1};

    return host->fail_with(call, &f);
}

static int returns_7(const struct futured_host *host, struct futured_call *call, void *state)
{
    return 7;
}

static int length(const struct futured_host *host, struct futured_call *call, void *state)
{
    char text[32];
    size_t n;

    host->argument(call, &n);
    return host->set_result(call, text, (size_t)snprintf(text, sizeof text, "%zu", n));
}

static const struct futured_plugin_function plugin_functions[] = {
        {.name = "echo", .doc = "back", .run = echo},
        {.name = "describe", .run = describe},
        {.name = "gated", .run = gated},
        {.name = "until_cancelled", .run = until_cancelled},
        {.name = "large", .run = large},
        {.name = "failing", .run = failing},
        {.name = "returns_7", .run = returns_7},
        {.name = "length", .run = length},
};

/* --- the fixture */

static uint64_t max_tasks; /* of the next one */
static int64_t max_age_ns;

struct fixture {
    struct functions functions;
    struct function items[ARRAY_LEN(plugin_functions)];
    struct runpage *page;
    struct host_config config;
    _Atomic uint64_t n_run;
    struct fake_daemon *daemon;
    pthread_t thread;
    int worker_fd, signal_fd, result, is_running;
    char why[HOST_TEXT_BYTES];
};

static void on_gone(void *context)
{
    atomic_fetch_add(&n_gone, 1);
}

static void *run_host(void *arg)
{
    struct fixture *f = arg;

    f->result = host_run(&f->config, f->why);
    return NULL;
}

static void make_functions(struct fixture *f)
{
    const struct hash_seed seed = {1, 2};

    map_init(&f->functions.map, &seed);
    f->functions.items = f->items;
    for (size_t i = 0; i < ARRAY_LEN(plugin_functions); i++) {
        f->items[i] = (struct function){.name = plugin_functions[i].name,
                                        .doc = plugin_functions[i].doc ? plugin_functions[i].doc : "",
                                        .version = "1",
                                        .plugin = &plugin_functions[i]};
        assert_int_equal(map_insert(&f->functions.map, &f->items[i].item, span_of_string(f->items[i].name)),
                         0);
        f->functions.n_items++;
    }
}

/* A host that runs and has been heard. */
static void start(struct fixture *f)
{
    int pair[2];

    memset(f, 0, sizeof *f);
    atomic_store(&n_entered, 0);
    atomic_store(&n_gone, 0);
    gate_fd = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);
    f->signal_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    f->page = mmap(NULL, RUNPAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(f->page, MAP_FAILED);
    make_functions(f);
    f->worker_fd = pair[1];
    f->config = (struct host_config){.fd = pair[1],
                                     .page = f->page,
                                     .signal_fd = f->signal_fd,
                                     .functions = &f->functions,
                                     .name = "pool-1",
                                     .session_token = "0123456789abcdef",
                                     .max_tasks = max_tasks,
                                     .n_run = &f->n_run,
                                     .max_age_ns = max_age_ns,
                                     .on_gone = on_gone};
    f->daemon = fake_new(pair[0]);
    assert_int_equal(pthread_create(&f->thread, NULL, run_host, f), 0);
    f->is_running = 1;
    FAKE_UNTIL(f->daemon, f->daemon->n_hellos == 1);
}

static void start_welcomed(struct fixture *f)
{
    start(f);
    fake_welcome(f->daemon, MAX_MESSAGE, MAX_RESULT);
}

static void open_gate(uint64_t n)
{
    assert_int_equal(eventfd_write(gate_fd, n), 0);
}

static void join(struct fixture *f)
{
    assert_int_equal(pthread_join(f->thread, NULL), 0);
    f->is_running = 0;
    err_close(&f->worker_fd); /* as the end of the process does */
}

static void stop(struct fixture *f)
{
    if (f->is_running) {
        fake_drain(f->daemon);
        FAKE_UNTIL(f->daemon, f->daemon->is_over);
        join(f);
        assert_int_equal(f->result, 0);
        assert_int_equal(f->daemon->end, GRPC_END_ANSWERED);
    }
    fake_free(f->daemon);
    map_deinit(&f->functions.map);
    munmap(f->page, RUNPAGE_BYTES);
    close(gate_fd);
    close(f->signal_fd);
}

static uint64_t n_started(const struct fixture *f)
{
    return atomic_load(&f->page->n_started);
}

static uint64_t n_finished(const struct fixture *f)
{
    return atomic_load(&f->page->n_finished);
}

/* --- the tests */

static void test_hello(void **state)
{
    struct fixture f;

    start(&f);
    assert_string_equal(f.daemon->name.s, "pool-1");
    assert_string_equal(f.daemon->token.s, "0123456789abcdef");
    assert_string_equal(f.daemon->version.s, FUTURED_VERSION);
    assert_int_equal(f.daemon->slots, 1);
    assert_int_equal(f.daemon->credit, HOST_CREDIT);
    assert_int_equal(f.daemon->n_functions, ARRAY_LEN(plugin_functions));
    assert_string_equal(f.daemon->function_names.s,
                        "echo describe gated until_cancelled large failing returns_7 length ");
    fake_welcome(f.daemon, MAX_MESSAGE, MAX_RESULT);
    stop(&f);
}

static void test_echo_and_what_a_function_sees(void **state)
{
    struct fixture f;
    char text[ID_TEXT_LEN + 1], expected[256];
    struct lease_ref lease = fake_lease(2);

    start_welcomed(&f);
    fake_assign(f.daemon, 1, "echo", "hello");
    fake_assign(f.daemon, 2, "describe", "");
    FAKE_UNTIL(f.daemon, f.daemon->n_finishes == 2);
    fake_expect_data(fake_finish_of(f.daemon, 1), "hello");
    assert_string_equal(fake_finish_of(f.daemon, 1)->content_type.s, "text/plain");
    assert_int_equal(fake_finish_of(f.daemon, 1)->size_bytes, 5);
    assert_true(fake_finish_of(f.daemon, 1)->usage.wall.is_set);
    assert_true(fake_finish_of(f.daemon, 1)->usage.user_cpu.is_set);
    assert_true(fake_finish_of(f.daemon, 1)->usage.system_cpu.is_set);
    assert_false(fake_finish_of(f.daemon, 1)->usage.max_rss_bytes.is_set);
    assert_false(fake_finish_of(f.daemon, 1)->exit_code.is_set);
    id_format(&lease.id, text);
    snprintf(expected, sizeof expected, "describe %s 1 group-1 00-trace-span-01 red -", text);
    fake_expect_data(fake_finish_of(f.daemon, 2), expected);
    assert_string_equal(fake_finish_of(f.daemon, 2)->content_type.s, "");
    stop(&f);
}

static void test_empty_result(void **state)
{
    struct fixture f;

    start_welcomed(&f);
    fake_assign(f.daemon, 1, "echo", "");
    FAKE_UNTIL(f.daemon, f.daemon->n_finishes == 1);
    fake_expect_data(&f.daemon->finishes[0], "");
    stop(&f);
}

static void test_errors(void **state)
{
    const struct fake_finish *e;
    struct fixture f;

    start_welcomed(&f);
    fake_assign(f.daemon, 1, "failing", "");
    fake_assign(f.daemon, 2, "returns_7", "");
    fake_assign(f.daemon, 3, "no_such", "");
    fake_assign(f.daemon, 4, "large", "1048577");
    fake_assign(f.daemon, 5, "echo", "still here");
    FAKE_UNTIL(f.daemon, f.daemon->n_finishes == 5);

    e = fake_finish_of(f.daemon, 1);
    assert_string_equal(e->reason.s, ""); /* which is FUNCTION_ERROR */
    assert_string_equal(e->type.s, "ValueError");
    assert_string_equal(e->message.s, "no \xef\xbf\xbd good");
    assert_string_equal(e->function_reason.s, "BAD_INPUT");
    assert_string_equal(e->traceback.s, "line 1\nline 2");
    assert_int_equal(e->code, 9);
    assert_int_equal(e->retryable, 1);
    e = fake_finish_of(f.daemon, 2);
    assert_string_equal(e->message.s, "the function returned 7");
    assert_int_equal(e->code, GRPC_UNKNOWN);
    e = fake_finish_of(f.daemon, 3);
    assert_string_equal(e->reason.s, "NO_SUCH_FUNCTION");
    assert_non_null(strstr(e->message.s, "no_such"));
    e = fake_finish_of(f.daemon, 4);
    assert_string_equal(e->reason.s, "RESULT_TOO_LARGE");
    assert_string_equal(e->message.s, "the result has 1048577 bytes; at most 1048576 are allowed");
    assert_int_equal(e->code, GRPC_RESOURCE_EXHAUSTED);
    fake_expect_data(fake_finish_of(f.daemon, 5), "still here");
    stop(&f);
}

static void test_malformed_task_fails_alone(void **state)
{
    struct fixture f;
    struct fake_writing x;
    struct lease_ref lease = fake_lease(1);
    struct writer_mark item;

    start_welcomed(&f);
    x = fake_begin(f.daemon, 3);
    item = writer_begin(&x.w, 1, 100);
    lease_ref_write(&x.w, 1, &lease);
    writer_bytes(&x.w, 2, SPAN_LIT("\xff\xff"));
    writer_end(&x.w, item);
    fake_end(f.daemon, &x);
    fake_assign(f.daemon, 2, "echo", "x");
    FAKE_UNTIL(f.daemon, f.daemon->n_finishes == 2);
    assert_non_null(strstr(f.daemon->finishes[0].message.s, "malformed"));
    fake_expect_data(&f.daemon->finishes[1], "x");
    stop(&f);
}

/* Everything that is assigned is finished in order, in far fewer messages, and its credit comes back. */
static void test_batches_and_credit(void **state)
{
    struct fixture f;
    uint32_t given = 0;
    uint64_t spent = 0;

    start_welcomed(&f);
    while (f.daemon->n_finishes < 1000) {
        uint32_t room = (uint32_t)MIN(f.daemon->credit - spent, (uint64_t)(1000 - given));

        if (room) {
            fake_assign_n(f.daemon, 1 + given, room, "echo", SPAN_LIT("0123456789"));
            given += room;
            spent += room;
        }
        fake_step(f.daemon);
    }
    for (uint32_t i = 0; i < 1000; i++) {
        struct lease_ref lease = fake_lease(1 + i);

        assert_memory_equal(&f.daemon->finishes[i].lease.id, &lease.id, sizeof lease.id);
        fake_expect_data(&f.daemon->finishes[i], "0123456789");
    }
    assert_int_equal(f.daemon->credit, HOST_CREDIT + 1000);
    assert_int_equal(n_started(&f), 1000);
    assert_int_equal(n_finished(&f), 1000);
    fake_drain(f.daemon);
    FAKE_UNTIL(f.daemon, f.daemon->is_over);
    join(&f);
    assert_int_equal(atomic_load(&f.page->n_sent), 1000);
    stop(&f);
}

static void test_full_batch_is_sent_before_the_next_task(void **state)
{
    struct fixture f;

    start_welcomed(&f);
    /* 40 results of 1,000 bytes pass 32 KiB: a first part is told before the last task, which waits, has ended */
    static uint8_t bytes[1000];
    fake_assign_n(f.daemon, 1, 40, "echo", (struct span){bytes, sizeof bytes});
    fake_assign(f.daemon, 41, "gated", "");
    FAKE_UNTIL(f.daemon, f.daemon->n_finishes >= 32);
    open_gate(1);
    FAKE_UNTIL(f.daemon, f.daemon->n_finishes == 41);
    assert_true(f.daemon->finishes[0].message_number < f.daemon->finishes[39].message_number);
    stop(&f);
}

static void test_runpage(void **state)
{
    struct lease_ref lease = fake_lease(1);
    struct fixture f;
    uint64_t next = 0;
    wall_ns_t at;

    start_welcomed(&f);
    assert_int_equal(runpage_find(f.page, id_key(&lease.id), 1, &next, &at), RUNPAGE_UNKNOWN);
    fake_assign(f.daemon, 1, "gated", "");
    FAKE_UNTIL_STARTED(f.daemon, 1);
    assert_int_equal(runpage_find(f.page, id_key(&lease.id), 1, &next, &at), RUNPAGE_RUNNING);
    assert_true(clock_wall() - at < 3600 * NS_PER_S && at <= clock_wall());
    open_gate(1);
    FAKE_UNTIL(f.daemon, f.daemon->n_finishes == 1);
    assert_int_equal(runpage_find(f.page, id_key(&lease.id), 1, &next, &at), RUNPAGE_FINISHED);
    stop(&f);
}

static void test_long_task_is_served_by_the_monitor(void **state)
{
    struct fixture f;

    start_welcomed(&f);
    fake_assign_n(f.daemon, 1, 3, "echo", SPAN_LIT("fast"));
    fake_assign(f.daemon, 4, "gated", "");
    fake_assign_n(f.daemon, 5, 3, "echo", SPAN_LIT("queued"));
    /* what was finished before is told, then that it runs */
    FAKE_UNTIL_STARTED(f.daemon, 4);
    assert_int_equal(f.daemon->n_finishes, 3);
    assert_true(f.daemon->finishes[2].message_number < f.daemon->started_messages[f.daemon->n_started - 1]);
    fake_ping(f.daemon, 99);
    FAKE_UNTIL(f.daemon, f.daemon->pong == 99);
    fake_order(f.daemon, 5, 6, 0); /* recall one from the middle of the queue */
    FAKE_UNTIL(f.daemon, f.daemon->n_returned == 1);
    assert_true(fake_is_among(f.daemon->returned, 1, 6));
    fake_order(f.daemon, 5, 4, 0); /* too late: it runs */
    fake_order(f.daemon, 5, 1, 0); /* too late: it has ended */
    fake_order(f.daemon, 4, 7, 0); /* a cancel of what has not started is a recall */
    FAKE_UNTIL(f.daemon, f.daemon->n_returned == 2);
    assert_true(fake_is_among(f.daemon->returned, 2, 7));
    fake_assign(f.daemon, 8, "echo", "late");
    fake_ping(f.daemon, 100);
    FAKE_UNTIL(f.daemon, f.daemon->pong == 100);
    assert_int_equal(f.daemon->n_finishes, 3);
    open_gate(1);
    FAKE_UNTIL(f.daemon, f.daemon->n_finishes == 6);
    fake_expect_data(fake_finish_of(f.daemon, 4), "done");
    fake_expect_data(fake_finish_of(f.daemon, 5), "queued");
    fake_expect_data(fake_finish_of(f.daemon, 8), "late");
    assert_null(fake_finish_of(f.daemon, 6));
    assert_null(fake_finish_of(f.daemon, 7));
    assert_int_equal(f.daemon->n_returned, 2);
    assert_int_equal(f.daemon->credit, HOST_CREDIT + 8);
    stop(&f);
}

/* The hand-over many times, in both directions, with messages under way: for the thread sanitizer above all. */
static void test_hand_over_again_and_again(void **state)
{
    struct fixture f;

    start_welcomed(&f);
    for (uint32_t i = 0; i < 30; i++) {
        fake_assign(f.daemon, 2 * i + 1, "gated", "");
        fake_assign(f.daemon, 2 * i + 2, "echo", "between");
        fake_ping(f.daemon, i + 1);
        if (i % 3) /* else whether the monitor comes in time does not matter */
            FAKE_UNTIL_STARTED(f.daemon, 2 * i + 1);
        if (i % 3 == 1) {
            fake_order(f.daemon, 4, 2 * i + 1, 0);
            fake_ping(f.daemon, 1000 + i);
            FAKE_UNTIL(f.daemon, f.daemon->pong == 1000 + i);
        }
        open_gate(1);
        FAKE_UNTIL(f.daemon, f.daemon->n_finishes == (int)(2 * i + 2));
        fake_expect_data(fake_finish_of(f.daemon, 2 * i + 1), i % 3 == 1 ? "cancelled" : "done");
    }
    stop(&f);
}

static void test_cancel(void **state)
{
    const struct fake_finish *e;
    struct fixture f;

    start_welcomed(&f);
    fake_assign(f.daemon, 1, "until_cancelled", "");
    fake_assign(f.daemon, 2, "gated", "");
    FAKE_UNTIL_STARTED(f.daemon, 1);
    fake_order(f.daemon, 4, 99, 0); /* of another: nothing */
    fake_order(f.daemon, 4, 1, NS_PER_S);
    FAKE_UNTIL(f.daemon, f.daemon->n_finishes == 1);
    e = fake_finish_of(f.daemon, 1);
    assert_string_equal(e->reason.s, "CANCELLED");
    assert_int_equal(e->code, GRPC_CANCELLED);
    assert_string_equal(e->message.s, "told to end");
    FAKE_UNTIL_STARTED(f.daemon, 2);
    fake_order(f.daemon, 4, 1, 0); /* of the one that has ended */
    fake_ping(f.daemon, 5);
    FAKE_UNTIL(f.daemon, f.daemon->pong == 5);
    open_gate(1);
    FAKE_UNTIL(f.daemon, f.daemon->n_finishes == 2);
    fake_expect_data(fake_finish_of(f.daemon, 2), "done");
    stop(&f);
}

static void test_refused_is_told_to_stop(void **state)
{
    struct fixture f;

    start_welcomed(&f);
    fake_assign(f.daemon, 1, "until_cancelled", "");
    FAKE_UNTIL_STARTED(f.daemon, 1);
    fake_order(f.daemon, 6, 1, 0);
    FAKE_UNTIL(f.daemon, f.daemon->n_finishes == 1);
    stop(&f);
}

/* --- payloads in pieces */

static void test_large_result_comes_in_pieces(void **state)
{
    static const char *const sizes[] = {"65536", "65537", "131072", "1048576"};
    static const int chunks[] = {0, 2, 2, 16};
    struct fixture f;

    start_welcomed(&f);
    for (uint32_t i = 0; i < ARRAY_LEN(sizes); i++) {
        const struct fake_finish *e;
        size_t size = strtoull(sizes[i], NULL, 10);

        f.daemon->n_chunks = 0;
        fake_assign(f.daemon, 2 * i + 1, "echo", "before");
        fake_assign(f.daemon, 2 * i + 2, "large", sizes[i]);
        FAKE_UNTIL(f.daemon, f.daemon->n_finishes == (int)(2 * i + 2));
        e = fake_finish_of(f.daemon, 2 * i + 2);
        assert_true(e->is_result);
        assert_int_equal(f.daemon->n_chunks, chunks[i]);
        assert_int_equal(e->chunked, chunks[i] > 0);
        assert_int_equal(e->size_bytes, size);
        assert_int_equal(buf_len(&e->data), size);
        for (size_t k = 0; k < size; k++)
            if (buf_head(&e->data)[k] != k % 251)
                fail_msg("byte %zu of %zu differs", k, size);
    }
    stop(&f);
}

static struct span make_task(struct buf *to, const char *function, size_t n)
{
    struct writer w = writer_to(to);
    uint8_t *argument = calloc(1, n);

    writer_text(&w, TASK_FUNCTION, function);
    writer_bytes(&w, TASK_ARGUMENT, (struct span){argument, n});
    assert_int_equal(w.failed, 0);
    free(argument);
    return (struct span){buf_head(to), buf_len(to)};
}

static void test_large_task_comes_in_pieces(void **state)
{
    struct buf a = BUF_INIT, b = BUF_INIT;
    struct span task_a = make_task(&a, "length", 300000), task_b = make_task(&b, "length", 70000);
    struct fixture f;

    start_welcomed(&f);
    /* two at a time, with others between */
    for (size_t at = 0; at < task_a.len; at += 65536) {
        fake_piece(f.daemon, 1, task_a, at, MIN(at + 65536, task_a.len));
        if (at < task_b.len)
            fake_piece(f.daemon, 2, task_b, at, MIN(at + 65536, task_b.len));
        fake_ping(f.daemon, at + 1);
    }
    fake_assign_chunked(f.daemon, 2);
    fake_assign_chunked(f.daemon, 1);
    FAKE_UNTIL(f.daemon, f.daemon->n_finishes == 2);
    fake_expect_data(fake_finish_of(f.daemon, 1), "300000");
    fake_expect_data(fake_finish_of(f.daemon, 2), "70000");
    stop(&f);
    buf_deinit(&a);
    buf_deinit(&b);
}

static void test_recall_drops_pieces(void **state)
{
    struct buf a = BUF_INIT;
    struct span task = make_task(&a, "length", 100000);
    struct fixture f;

    start_welcomed(&f);
    fake_piece(f.daemon, 1, task, 0, 65536);
    fake_order(f.daemon, 5, 1, 0);
    FAKE_UNTIL(f.daemon, f.daemon->n_returned == 1);
    /* and from the beginning */
    fake_piece(f.daemon, 1, task, 0, 65536);
    fake_piece(f.daemon, 1, task, 65536, task.len);
    fake_assign_chunked(f.daemon, 1);
    FAKE_UNTIL(f.daemon, f.daemon->n_finishes == 1);
    fake_expect_data(fake_finish_of(f.daemon, 1), "100000");
    stop(&f);
    buf_deinit(&a);
}

/* --- ends */

static void test_drain_releases_what_waits(void **state)
{
    struct fixture f;

    start_welcomed(&f);
    fake_assign(f.daemon, 1, "gated", "");
    fake_assign_n(f.daemon, 2, 3, "echo", SPAN_LIT("x"));
    FAKE_UNTIL_STARTED(f.daemon, 1);
    fake_drain(f.daemon);
    FAKE_UNTIL(f.daemon, f.daemon->n_released == 3);
    for (uint32_t i = 2; i <= 4; i++)
        assert_true(fake_is_among(f.daemon->released, 3, i));
    assert_false(f.daemon->is_half_closed); /* the first one runs on */
    uint64_t credit = f.daemon->credit;
    open_gate(1);
    FAKE_UNTIL(f.daemon, f.daemon->is_over);
    assert_int_equal(f.daemon->n_finishes, 1);
    fake_expect_data(&f.daemon->finishes[0], "done");
    assert_int_equal(f.daemon->credit, credit); /* none given back any more */
    join(&f);
    assert_int_equal(f.result, 0);
    stop(&f);
}

static void test_signal_is_a_drain(void **state)
{
    struct fixture f;

    start_welcomed(&f);
    fake_assign(f.daemon, 1, "gated", "");
    fake_assign(f.daemon, 2, "echo", "x");
    FAKE_UNTIL_STARTED(f.daemon, 1);
    assert_int_equal(eventfd_write(f.signal_fd, 1), 0);
    FAKE_UNTIL(f.daemon, f.daemon->n_released == 1);
    open_gate(1);
    FAKE_UNTIL(f.daemon, f.daemon->is_over);
    assert_int_equal(f.daemon->n_finishes, 1);
    join(&f);
    assert_int_equal(f.result, 0);
    stop(&f);
}

static void test_max_tasks(void **state)
{
    struct fixture f;

    max_tasks = 3;
    start_welcomed(&f);
    max_tasks = 0;
    fake_assign_n(f.daemon, 1, 5, "echo", SPAN_LIT("x"));
    FAKE_UNTIL(f.daemon, f.daemon->is_over);
    assert_int_equal(f.daemon->n_finishes, 3);
    assert_int_equal(f.daemon->n_released, 2); /* what waited goes back */
    join(&f);
    assert_int_equal(f.result, 0);
    stop(&f);
}

/* With and without something to do. */
static void test_max_age(void **state)
{
    for (uint32_t n = 0; n < 2; n++) {
        struct fixture f;

        max_age_ns = 20 * NS_PER_MS;
        start(&f);
        max_age_ns = 0;
        if (!f.daemon->is_over) /* on a busy machine its time is over with its hello */
            fake_welcome(f.daemon, MAX_MESSAGE, MAX_RESULT);
        if (n && !f.daemon->is_over)
            fake_assign(f.daemon, 1, "gated", "");
        open_gate(1);
        FAKE_UNTIL(f.daemon, f.daemon->is_over);
        assert_true((uint32_t)(f.daemon->n_finishes + f.daemon->n_released) <=
                    n); /* what comes after its end is not heard */
        join(&f);
        assert_int_equal(f.result, 0);
        stop(&f);
    }
}

static void test_signal_while_idle(void **state)
{
    struct fixture f;

    start_welcomed(&f);
    assert_int_equal(eventfd_write(f.signal_fd, 1), 0);
    FAKE_UNTIL(f.daemon, f.daemon->is_over);
    assert_int_equal(f.daemon->end, GRPC_END_ANSWERED);
    join(&f);
    assert_int_equal(f.result, 0);
    stop(&f);
}

static void test_daemon_gone_while_idle(void **state)
{
    struct fixture f;

    start_welcomed(&f);
    fake_close(f.daemon);
    join(&f);
    assert_int_equal(f.result, HOST_E_GONE);
    assert_int_equal(atomic_load(&n_gone), 0);
    stop(&f);
}

static void test_daemon_gone_while_a_task_runs(void **state)
{
    struct fixture f;

    start_welcomed(&f);
    fake_assign(f.daemon, 1, "gated", "");
    FAKE_UNTIL_STARTED(f.daemon, 1);
    fake_close(f.daemon);
    while (!atomic_load(&n_gone)) /* in the program this is the end */
        sched_yield();
    open_gate(1);
    join(&f);
    assert_int_equal(f.result, HOST_E_GONE);
    assert_int_equal(atomic_load(&n_gone), 1);
    assert_int_equal(atomic_load(&f.page->n_sent), 0);
    stop(&f);
}

static void test_daemon_ends_the_stream(void **state)
{
    struct fixture f;

    start_welcomed(&f);
    grpc_call_fail_code(f.daemon->call, GRPC_INVALID_ARGUMENT, "TEST", "no good");
    fake_send(f.daemon);
    join(&f);
    assert_int_equal(f.result, HOST_E_PROTOCOL);
    assert_string_equal(f.why, "the daemon has ended the stream: INVALID_ARGUMENT: no good");
    stop(&f);
}

static void end_by_protocol(struct fixture *f, const char *why)
{
    fake_send(f->daemon);
    join(f);
    assert_int_equal(f->result, HOST_E_PROTOCOL);
    assert_string_equal(f->why, why);
    stop(f);
}

static void test_no_welcome(void **state)
{
    struct fixture f;

    start(&f);
    fake_assign(f.daemon, 1, "echo", "");
    end_by_protocol(&f, "the daemon has sent no welcome in the first message");
}

static void test_more_than_its_credit(void **state)
{
    struct fixture f;

    start_welcomed(&f);
    fake_assign_n(f.daemon, 1, HOST_CREDIT + 1, "gated", SPAN_LIT(""));
    end_by_protocol(&f, "the daemon has sent more than its credit");
}

static void test_payload_over_the_limit(void **state)
{
    struct buf a = BUF_INIT;
    struct span task = make_task(&a, "length", 100000);
    struct fixture f;

    start(&f);
    fake_welcome(f.daemon, 70000, MAX_RESULT);
    fake_piece(f.daemon, 1, task, 0, 65536);
    fake_piece(f.daemon, 1, task, 65536, task.len);
    end_by_protocol(&f, "the daemon has sent a payload with a gap, or over max_message_bytes");
    buf_deinit(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_hello),
            cmocka_unit_test(test_echo_and_what_a_function_sees),
            cmocka_unit_test(test_empty_result),
            cmocka_unit_test(test_errors),
            cmocka_unit_test(test_malformed_task_fails_alone),
            cmocka_unit_test(test_batches_and_credit),
            cmocka_unit_test(test_full_batch_is_sent_before_the_next_task),
            cmocka_unit_test(test_runpage),
            cmocka_unit_test(test_long_task_is_served_by_the_monitor),
            cmocka_unit_test(test_hand_over_again_and_again),
            cmocka_unit_test(test_cancel),
            cmocka_unit_test(test_refused_is_told_to_stop),
            cmocka_unit_test(test_large_result_comes_in_pieces),
            cmocka_unit_test(test_large_task_comes_in_pieces),
            cmocka_unit_test(test_recall_drops_pieces),
            cmocka_unit_test(test_drain_releases_what_waits),
            cmocka_unit_test(test_signal_is_a_drain),
            cmocka_unit_test(test_max_tasks),
            cmocka_unit_test(test_max_age),
            cmocka_unit_test(test_signal_while_idle),
            cmocka_unit_test(test_daemon_gone_while_idle),
            cmocka_unit_test(test_daemon_gone_while_a_task_runs),
            cmocka_unit_test(test_daemon_ends_the_stream),
            cmocka_unit_test(test_no_welcome),
            cmocka_unit_test(test_more_than_its_credit),
            cmocka_unit_test(test_payload_over_the_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
