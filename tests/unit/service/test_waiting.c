// SPDX-License-Identifier: Apache-2.0
/* A call that waits: in the list of all, told when there is news, and held back by what its client leaves unread. */
#include "service/waiting.h"
#include "tests/unit/service/harness.h"

/* A stream whose handler counts; each request makes a reply of so many bytes. */
struct fixture {
    struct waiting waiting;
    struct list all;
    struct engine *engine;
    size_t reply_bytes, n_messages;
    int n_news;
};

static void on_news(struct waiting *w)
{
    struct fixture *f = CONTAINER_OF(w, struct fixture, waiting);

    f->n_news++;
}

static void on_start(struct grpc_call *call)
{
    struct fixture *f = grpc_call_context(call);

    waiting_init(&f->waiting, &f->all, WAITER_EACH, 0, call, on_news);
    grpc_call_set_user(call, f);
}

static void on_message(struct grpc_call *call, struct span message)
{
    struct fixture *f = grpc_call_context(call);
    struct buf *out = grpc_call_begin(call);

    assert_non_null(out);
    assert_int_equal(buf_reserve(out, f->reply_bytes + 1), 0);
    memset(buf_tail(out), 'r', f->reply_bytes);
    buf_commit(out, f->reply_bytes);
    grpc_call_end(call);
    f->n_messages++;
    waiting_pace(&f->waiting);
}

static void on_half_close(struct grpc_call *call)
{
    grpc_call_finish(call);
}

static void on_writable(struct grpc_call *call)
{
    struct fixture *f = grpc_call_context(call);

    waiting_pace(&f->waiting);
}

static void on_done(struct grpc_call *call, enum grpc_end end)
{
    struct fixture *f = grpc_call_context(call);

    waiting_deinit(&f->waiting, f->engine);
}

static const struct grpc_handler handler = {.on_start = on_start,
                                            .on_message = on_message,
                                            .on_half_close = on_half_close,
                                            .on_writable = on_writable,
                                            .on_done = on_done};

static void start(struct harness *h, struct fixture *f, struct grpc_method *method, struct loopback_call *c)
{
    harness_init(h, NULL);
    *f = (struct fixture){.engine = h->engine};
    list_init(&f->all);
    *method = (struct grpc_method){"/a.B/Stream", GRPC_BIDI, &handler, f, 0};
    assert_int_equal(grpc_server_add(h->server, method, 1), 0);
    loopback_call(&h->lo, c, "/a.B/Stream", 0);
    harness_settle(h);
    assert_ptr_equal(list_first(&f->all), &f->waiting.link);
}

static void stop(struct harness *h, struct fixture *f, struct loopback_call *c)
{
    if (!c->is_done)
        grpc_client_call_cancel(c->call);
    harness_settle(h);
    assert_true(list_is_empty(&f->all));
    assert_int_equal(engine_stats(h->engine).n_edges, 0);
    loopback_call_deinit(c);
    harness_deinit(h);
}

static void test_news(void **state)
{
    struct grpc_method method;
    struct loopback_call c;
    struct harness_id id;
    struct fixture f;
    struct harness h;

    start(&h, &f, &method, &c);
    id = harness_submit(&h, "task { function: 'echo' }");
    assert_int_equal(engine_wait(h.engine, &f.waiting.waiter, harness_find(&h, id.text), NULL, 0), 0);
    harness_settle(&h);
    assert_int_equal(f.n_news, 0);
    harness_start(&h, id.text);
    assert_int_equal(f.n_news, 0); /* it waits for ends */
    harness_succeed(&h, id.text, "r");
    assert_int_equal(f.n_news, 1); /* by futures_answer */
    stop(&h, &f, &c);
}

/* More bytes unread than there may be: nothing more is taken until they have gone. */
static void test_pace_by_bytes(void **state)
{
    enum { N = 40 };
    struct grpc_method method;
    struct loopback_call c;
    struct fixture f;
    struct harness h;

    start(&h, &f, &method, &c);
    f.reply_bytes = 1000 * 1000;
    grpc_client_call_pause(c.call, 1);
    for (int i = 0; i < N; i++)
        loopback_send(&c, "x", 1);
    harness_settle(&h);
    assert_in_range(f.n_messages, LIMIT_STREAM_UNREAD_BYTES / 1000000,
                    LIMIT_STREAM_UNREAD_BYTES / 1000000 + 4);
    grpc_client_call_pause(c.call, 0);
    harness_settle(&h);
    assert_int_equal(f.n_messages, N);
    assert_int_equal(c.n_messages, N);
    stop(&h, &f, &c);
}

/* More finished futures than there may be. */
static void test_pace_by_futures(void **state)
{
    struct grpc_method method;
    struct loopback_call c;
    struct fixture f;
    struct harness h;

    start(&h, &f, &method, &c);
    f.waiting.waiter.n_done = LIMIT_STREAM_UNREAD_REPLIES - 1;
    waiting_pace(&f.waiting);
    loopback_send(&c, "x", 1);
    harness_settle(&h);
    assert_int_equal(f.n_messages, 1);
    f.waiting.waiter.n_done = LIMIT_STREAM_UNREAD_REPLIES;
    waiting_pace(&f.waiting);
    loopback_send(&c, "x", 1);
    harness_settle(&h);
    assert_int_equal(f.n_messages, 1);
    f.waiting.waiter.n_done = 0;
    waiting_pace(&f.waiting);
    harness_settle(&h);
    assert_int_equal(f.n_messages, 2);
    stop(&h, &f, &c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_news),
            cmocka_unit_test(test_pace_by_bytes),
            cmocka_unit_test(test_pace_by_futures),
    };

    return cmocka_run_group_tests_name("service/waiting", tests, NULL, NULL);
}
