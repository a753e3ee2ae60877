// SPDX-License-Identifier: Apache-2.0
/* Handing out: credit, slots against prefetch, what an assignment says, pieces, batches, and who has no room. */
#include "dispatch/internal.h"
#include "tests/unit/dispatch/harness.h"

/* Make echo known to take @ns. */
static void teach(struct harness *h, int64_t ns)
{
    struct function *f = engine_function_add(h->engine, SPAN_LIT("echo"), (struct span){0});

    assert_non_null(f);
    f->mean_run_ns = ns;
}

static void submit_many(struct harness *h, int n)
{
    for (int i = 0; i < n; i++)
        harness_submit(h, "function: 'echo' argument: '%d'", i);
    harness_settle(h);
}

/* What is not known to be fast fills the slots only. */
static void test_slots(void **state)
{
    static const int64_t means[] = {-1, NS_PER_MS, 5 * NS_PER_MS, NS_PER_S};

    for (size_t i = 0; i < ARRAY_LEN(means); i++) {
        struct child *w;
        struct harness h;

        harness_init(&h);
        teach(&h, means[i]);
        w = harness_spawn(&h, 1);
        harness_hello(w, "slots: 3", 100);
        submit_many(&h, 10);
        assert_int_equal(harness_n_open(w), 3);
        worker_starts(w, harness_take(w));
        harness_settle(&h);
        assert_int_equal(harness_n_open(w), 2);
        worker_ends(w);
        worker_finishes(w, &w->items[0], "result {} usage { wall { seconds: 1 } }");
        harness_settle(&h);
        assert_int_equal(w->n_items, 4); /* one ended, one more */
        harness_deinit(&h);
    }
}

/* What is fast is reserved ahead, as far as the credit goes. */
static void test_prefetch(void **state)
{
    struct child *w;
    struct harness h;

    harness_init(&h);
    teach(&h, NS_PER_MS - 1);
    w = harness_spawn(&h, 1);
    harness_hello(w, "slots: 1", 40);
    submit_many(&h, 100);
    assert_int_equal(w->n_items, 40);
    harness_deinit(&h);
}

/* One function is fast and one is not: the slow one never waits behind another in the same worker. */
static void test_mixed(void **state)
{
    struct child *w;
    struct harness h;
    int n_slow = 0;

    harness_init(&h);
    teach(&h, 1000);
    w = harness_spawn(&h, 1);
    harness_hello(w, "slots: 1", 50);
    for (int i = 0; i < 20; i++) {
        harness_submit(&h, "function: 'slow'");
        harness_submit(&h, "function: 'echo'");
    }
    harness_settle(&h);
    for (size_t i = 0; i < w->n_items; i++) {
        struct span task = judge_span(&w->items[i].task);

        n_slow += memmem(task.p, task.len, "slow", 4) != NULL;
    }
    assert_int_equal(n_slow, 1);
    assert_int_equal(w->n_items, 21);
    harness_deinit(&h);
}

/* Nothing is reserved behind a task that takes long. */
static void test_busy(void **state)
{
    struct child *w;
    struct harness h;

    harness_init(&h);
    teach(&h, 1000);
    w = harness_spawn(&h, 1);
    harness_hello(w, "slots: 1", 10);
    submit_many(&h, 3);
    assert_int_equal(w->n_items, 3);
    worker_starts(w, &w->items[0]);
    harness_say(w, "started { %s }", harness_lease(&w->items[0]));
    harness_settle(&h);
    submit_many(&h, 5);
    assert_int_equal(w->n_items, 3);
    harness_deinit(&h);
}

/* Whatever happens, in any order: never more than the credit, and each task once. */
static void test_credit(void **state)
{
    struct test_random rnd = {test_seed()};

    for (int round = 0; round < 30; round++) {
        uint64_t credit[3] = {0}, n_submitted = 0;
        struct child *w[3];
        struct harness h;

        harness_init(&h);
        teach(&h, round % 2 ? 1000 : -1);
        for (size_t i = 0; i < 3; i++) {
            w[i] = harness_spawn(&h, i + 1);
            harness_hello(w[i], "slots: 4", 0);
        }
        for (int step = 0; step < 200; step++) {
            size_t i = test_random_below(&rnd, 3);
            uint64_t n = test_random_below(&rnd, 5);

            switch (test_random_below(&rnd, 4)) {
            case 0:
                harness_say(w[i], "ready { credit: %d }", (int)n);
                credit[i] += n;
                break;
            case 1:
                n_submitted += n;
                submit_many(&h, (int)n);
                break;
            case 2:
                if (harness_n_open(w[i])) {
                    struct item *item = harness_take(w[i]);

                    worker_starts(w[i], item);
                    worker_ends(w[i]);
                    worker_finishes(w[i], item, "result {} usage { wall { nanos: 1000 } }");
                }
                break;
            default:
                if (harness_n_open(w[i]))
                    harness_say(w[i], "release { %s }", harness_lease(harness_take(w[i])));
                break;
            }
            harness_settle(&h);
            for (size_t k = 0; k < 3; k++)
                assert_true(w[k]->n_items <= credit[k]); /* a release gives none back */
        }
        assert_int_equal(engine_stats(h.engine).n_futures, n_submitted);
        harness_deinit(&h);
    }
}

static void test_too_much_credit(void **state)
{
    struct child *w;
    struct harness h;

    harness_init(&h);
    w = harness_spawn(&h, 1);
    harness_hello(w, "slots: 1", 65536);
    assert_false(w->call.is_done);
    harness_say(w, "ready { credit: 1 }");
    harness_settle(&h);
    harness_expect_cut(w, GRPC_INVALID_ARGUMENT, "rules");
    harness_deinit(&h);
}

/* --- what it says */

static void test_item(void **state)
{
    Futured__V1__AttachResponse *m;
    const Futured__V1__Assignment *item;
    struct engine_submit in = {.function = SPAN_LIT("echo"),
                               .group = SPAN_LIT("the group"),
                               .traceparent =
                                       SPAN_LIT("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
                               .durability = DURABILITY_EPHEMERAL,
                               .on_lost = ON_LOST_RETRY,
                               .retention_ns = -1};
    struct buf text = BUF_INIT;
    struct future *f;
    struct child *w;
    struct harness h;
    struct span message;

    harness_init(&h);
    w = harness_spawn(&h, 1);
    harness_hello(w, "slots: 1", 1);
    text_encode(&text, &futured__v1__task__descriptor,
                "labels { key: 'a' value: 'b' } function: 'echo' argument: 'abc' @99: 'unknown'");
    in.scope = h.scope;
    in.task = bytes_dup(buf_head(&text), buf_len(&text));
    in.peer = bytes_dup("127.0.0.1:9", 11);
    assert_int_equal(engine_submit(h.engine, &in, &f), 0);
    bytes_unref(in.task);
    bytes_unref(in.peer);
    harness_settle(&h);
    message = loopback_message(&w->call, w->call.n_messages - 1);
    m = futured__v1__attach_response__unpack(NULL, message.len, message.p);
    assert_non_null(m);
    assert_int_equal(m->assign->n_items, 1);
    item = m->assign->items[0];
    assert_memory_equal(item->lease->id.data, f->id.b, ID_BYTES);
    assert_int_equal(item->lease->attempt, 1);
    assert_int_equal(item->attempt, 1);
    assert_int_equal(item->lease->epoch, HARNESS_EPOCH);
    assert_string_equal(item->group, "the group");
    assert_string_equal(item->namespace_, "");
    assert_string_equal(item->traceparent, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    assert_string_equal(item->submitter->principal, "ann");
    assert_string_equal(item->submitter->peer, "127.0.0.1:9");
    assert_null(item->attempt_timeout);
    assert_null(item->deadline);
    assert_int_equal(item->n_upstream, 0);
    assert_false(item->task_chunked);
    /* the bytes as they came */
    assert_non_null(memmem(message.p, message.len, buf_head(&text), buf_len(&text)));
    futured__v1__attach_response__free_unpacked(m, NULL);
    buf_deinit(&text);
    harness_deinit(&h);
}

/* Assign reserves: nothing of the future is seen to change. */
static void test_reserves(void **state)
{
    struct future *f;
    struct child *w;
    struct harness h;
    uint64_t revision;

    harness_init(&h);
    w = harness_spawn(&h, 1);
    harness_hello(w, "slots: 1", 1);
    f = harness_submit(&h, "function: 'echo'");
    revision = f->revision;
    harness_settle(&h);
    assert_int_equal(w->n_items, 1);
    assert_int_equal(f->state, FUTURE_PENDING);
    assert_true(f->revision == revision);
    assert_null(f->attempts);
    harness_deinit(&h);
}

/* Large tasks travel ahead in pieces; all arrive as they were submitted, in order. */
static void test_pieces(void **state)
{
    static const int sizes[] = {0, 1, 65000, 65520, 65535, 65536, 65537, 70000, 131072, 300000, 1000000, 5};
    struct future *f[ARRAY_LEN(sizes)];
    struct child *w;
    struct harness h;

    harness_init(&h);
    w = harness_spawn(&h, 1);
    harness_hello(w, "slots: 100", 100);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        f[i] = harness_submit(&h, "function: 'echo' argument: x%d", sizes[i]);
    harness_settle(&h);
    assert_int_equal(w->n_items, ARRAY_LEN(sizes));
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        assert_memory_equal(&w->items[i].id, &f[i]->id, sizeof(struct id));
        assert_true(span_eq(judge_span(&w->items[i].task), SPAN_OF_BYTES(f[i]->task)));
    }
    assert_true(w->largest < 2 * 64 * 1024 + 1024); /* nothing is long stuck behind another */
    harness_deinit(&h);
}

/* Let @f, which runs nowhere yet, end with @n bytes, or with an error. */
static void end_with(struct harness *h, struct holder *holder, struct future *f, size_t n, const char *error)
{
    struct finish finish = {.usage = {-1, -1, -1, -1}};
    struct lease *lease;

    assert_int_equal(engine_claim(h->engine, holder, CLOCK_NEVER, 1, &lease), 1);
    assert_ptr_equal(lease->future, f);
    if (error)
        finish.error = future_error_new(&(struct future_error){.code = 2, .message = span_of_string(error)});
    else
        finish.data = bytes_new(n);
    if (finish.data)
        memset(finish.data->data, 'a' + (int)(n % 26), n);
    assert_int_equal(engine_finish(h->engine, lease, &finish), 0);
}

static struct future *submit_dependent(struct harness *h, struct future *const *upstreams, uint32_t n,
                                       int passes)
{
    struct engine_submit in = {
            .scope = h->scope,
            .function = SPAN_LIT("echo"),
            .task = bytes_dup("\x0a\x04"
                              "echo",
                              6),
            .durability = DURABILITY_EPHEMERAL,
            .on_lost = ON_LOST_RETRY,
            .retention_ns = -1,
            .upstreams = upstreams,
            .n_upstreams = n,
            .depend_policy = DEPEND_ON_FINISH,
            .passes_results = passes != 0,
    };
    struct future *f;

    assert_int_equal(engine_submit(h->engine, &in, &f), 0);
    bytes_unref(in.task);
    return f;
}

/* What a task depends on comes with it where that was asked for: in its order, what is large ahead of it in pieces. */
static void test_upstreams(void **state)
{
    static const size_t sizes[] = {10, 65500, 100, 0, 200000};
    struct future *up[ARRAY_LEN(sizes) + 1], *f;
    struct function *late;
    struct holder *holder;
    struct child *w;
    struct harness h;
    char id[ID_TEXT_LEN + 1];

    harness_init(&h);
    late = engine_function_add(h.engine, SPAN_LIT("late"), (struct span){0});
    assert_int_equal(engine_holder_new(h.engine, SPAN_LIT("other"), NULL, &holder), 0);
    assert_int_equal(engine_holder_serve(h.engine, holder, late), 0);
    for (size_t i = 0; i < ARRAY_LEN(up); i++) {
        up[i] = harness_submit(&h, "function: 'late'");
        end_with(&h, holder, up[i], i < ARRAY_LEN(sizes) ? sizes[i] : 0, i < ARRAY_LEN(sizes) ? NULL : "sad");
    }
    w = harness_spawn(&h, 1);
    harness_hello(w, "slots: 10", 10);
    f = submit_dependent(&h, up, ARRAY_LEN(up), 1);
    harness_settle(&h);
    assert_int_equal(w->n_items, 1);
    assert_memory_equal(&w->items[0].id, &f->id, sizeof f->id);
    assert_int_equal(w->n_passed_on, ARRAY_LEN(up));
    for (size_t i = 0; i < ARRAY_LEN(up); i++) {
        const struct passed_on *p = &w->passed_on[i];

        id_format(&up[i]->id, id);
        assert_string_equal(p->id, id);
        assert_int_equal(p->is_result, i < ARRAY_LEN(sizes));
        assert_int_equal(p->was_ahead, i == 4 || i == 2); /* the first two leave no room for the third */
        if (p->is_result)
            assert_true(span_eq(judge_span(&p->data), SPAN_OF_BYTES(up[i]->outcome->data)));
        else
            assert_string_equal(p->message, "sad");
    }
    submit_dependent(&h, up, ARRAY_LEN(up), 0);
    harness_settle(&h);
    assert_int_equal(w->n_items, 2);
    assert_int_equal(w->n_passed_on, 0);
    engine_holder_free(h.engine, holder);
    harness_deinit(&h);
}

/* Small ones go together; a message is closed once it has passed 64 KiB. */
static void test_batches(void **state)
{
    struct child *w;
    struct harness h;

    harness_init(&h);
    w = harness_spawn(&h, 1);
    harness_hello(w, "slots: 1000", 1000);
    submit_many(&h, 50);
    assert_int_equal(w->n_items, 50);
    assert_int_equal(w->n_assigns, 1);
    for (int i = 0; i < 50; i++)
        harness_submit(&h, "function: 'echo' argument: x10000");
    harness_settle(&h);
    assert_int_equal(w->n_items, 100);
    assert_in_range(w->n_assigns, 1 + 7, 1 + 9);
    assert_true(w->largest < 64 * 1024 + 10000 + 4096);
    harness_deinit(&h);
}

/* A worker that does not read is given no more than its stream has room for; what was claimed for it goes to others. */
static void test_unread(void **state)
{
    struct child *slow, *other;
    struct harness h;

    harness_init(&h);
    slow = harness_spawn(&h, 1);
    harness_hello(slow, "slots: 64", 64);
    grpc_client_call_pause(slow->call.call, 1);
    for (int i = 0; i < 64; i++)
        harness_submit(&h, "function: 'echo' argument: x200000");
    harness_settle(&h);
    assert_true(h2_session_pending_bytes(grpc_conn_session(slow->lo.conn)) < H2_STREAM_HIGH_BYTES + 300000);
    assert_in_range(dispatch_n_leases(h.dispatch), 1, 20);
    other = harness_spawn(&h, 2);
    harness_hello(other, "slots: 64", 64);
    harness_settle(&h);
    assert_true(other->n_items > 40);
    grpc_client_call_pause(slow->call.call, 0);
    harness_settle(&h);
    assert_int_equal(slow->n_items + other->n_items, 64); /* each once */
    harness_deinit(&h);
}

/* --- no memory */

static void assign_without_memory(struct harness *h)
{
    struct child *w;

    harness_init(h);
    w = harness_spawn(h, 1);
    harness_hello(w, "slots: 10", 10);
    for (int i = 0; i < 4; i++)
        harness_submit(h, "function: 'echo' argument: x%d", i % 2 ? 70000 : 3000);
    harness_arm(h);
    harness_settle(h);
    h->fail_nth = 0;
    /* what could not be sent is not lost */
    while (harness_n_open(w)) {
        struct item *item = harness_take(w);

        worker_starts(w, item);
        worker_ends(w);
        worker_finishes(w, item, "result {}");
        harness_settle(h);
    }
    if (!w->call.is_done)
        harness_say(w, "heartbeat {}");
    harness_settle(h);
    for (size_t i = w->n_taken; i < w->n_items; i++)
        worker_runs(w, harness_take(w));
    harness_hang_up(w);
    harness_die(w, 0, 1);
    harness_settle(h);
}

static void test_no_memory(void **state)
{
    harness_fail_allocations(assign_without_memory, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_slots),     cmocka_unit_test(test_prefetch),
            cmocka_unit_test(test_mixed),     cmocka_unit_test(test_busy),
            cmocka_unit_test(test_credit),    cmocka_unit_test(test_too_much_credit),
            cmocka_unit_test(test_item),      cmocka_unit_test(test_reserves),
            cmocka_unit_test(test_pieces),    cmocka_unit_test(test_upstreams),
            cmocka_unit_test(test_batches),   cmocka_unit_test(test_unread),
            cmocka_unit_test(test_no_memory),
    };

    test_seed();
    return cmocka_run_group_tests_name("dispatch/assign", tests, NULL, NULL);
}
