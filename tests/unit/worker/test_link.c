// SPDX-License-Identifier: Apache-2.0
/* The socket and the call on it: nothing blocks, whatever the other end does not take or does not send. */
#include "tests/unit/worker/fake_daemon.h"
#include "worker/link.h"

struct fixture {
    struct link link;
    struct fake_daemon *daemon;
    int fd, n_messages;
    size_t n_bytes;
};

static void on_message(void *context, struct span message)
{
    struct fixture *f = context;

    f->n_messages++;
    f->n_bytes += message.len;
}

static void setup(struct fixture *f)
{
    int pair[2];

    memset(f, 0, sizeof *f);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    f->fd = pair[1];
    f->daemon = fake_new(pair[0]);
    assert_int_equal(link_open(&f->link, f->fd, on_message, f, clock_mono()), 0);
}

static void teardown(struct fixture *f)
{
    link_close(&f->link);
    close(f->fd);
    fake_free(f->daemon);
}

/* Move bytes both ways until nothing moves. */
static void settle(struct fixture *f)
{
    for (int i = 0; i < 8; i++) {
        assert_int_equal(link_send(&f->link, clock_mono()), 0);
        fake_recv(f->daemon);
        fake_send(f->daemon);
        assert_int_equal(link_recv(&f->link, clock_mono()), 0);
    }
}

static void test_call(void **state)
{
    struct fixture f;

    setup(&f);
    assert_int_equal(link_recv(&f.link, clock_mono()), 0); /* nothing there: does not wait */
    settle(&f);
    assert_non_null(f.daemon->call);
    assert_true(link_is_flushed(&f.link));
    assert_int_equal(link_events(&f.link), POLLIN);
    fake_ping(f.daemon, 1);
    fake_ping(f.daemon, 2);
    settle(&f);
    assert_int_equal(f.n_messages, 2);
    assert_int_equal(grpc_client_call_half_close(f.link.call), 0);
    settle(&f);
    assert_null(f.link.call);
    assert_int_equal(f.link.status.code, GRPC_OK);
    teardown(&f);
}

static void test_status(void **state)
{
    struct fixture f;

    setup(&f);
    settle(&f);
    grpc_call_fail_code(f.daemon->call, GRPC_PERMISSION_DENIED, "TEST", "no");
    settle(&f);
    assert_null(f.link.call);
    assert_int_equal(f.link.status.code, GRPC_PERMISSION_DENIED);
    assert_string_equal(f.link.status.message, "no");
    assert_false(link_is_full(&f.link));
    teardown(&f);
}

/* The daemon reads nothing: what is written waits here, and is said to be full. */
static void test_daemon_that_does_not_read(void **state)
{
    static const uint8_t bytes[50000];
    struct fixture f;
    struct writer w;
    struct buf *out;
    int n = 0;

    setup(&f);
    settle(&f);
    while (!link_is_full(&f.link)) {
        struct writer_mark m;

        out = grpc_client_call_begin(f.link.call);
        assert_non_null(out);
        w = writer_to(out);
        m = writer_begin(&w, 6, 60000);
        lease_ref_write(&w, 1, &(struct lease_ref){.attempt = 1});
        writer_uint(&w, 3, 50000 * (uint64_t)n);
        writer_bytes(&w, 4, (struct span){bytes, sizeof bytes});
        writer_end(&w, m);
        grpc_client_call_end(f.link.call);
        assert_int_equal(link_send(&f.link, clock_mono()), 0);
        n++;
    }
    assert_true(n > 2 && n < 1000);
    assert_false(link_is_flushed(&f.link));
    while (!link_is_flushed(&f.link) || f.daemon->n_messages < n)
        settle(&f);
    assert_false(link_is_full(&f.link));
    assert_int_equal(f.daemon->n_chunks, n);
    assert_int_equal(buf_len(&f.daemon->payload), 50000 * (size_t)n);
    teardown(&f);
}

static void test_events_ask_for_room(void **state)
{
    static const uint8_t bytes[60000];
    int small = 4096;
    struct fixture f;

    setup(&f);
    settle(&f);
    assert_int_equal(setsockopt(f.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
    while (link_is_flushed(&f.link)) {
        assert_int_equal(grpc_client_call_send(f.link.call, (struct span){bytes, 0}), 0);
        for (int i = 0; i < 8; i++)
            assert_int_equal(grpc_client_call_send(f.link.call, SPAN_LIT("\x52\x00")),
                             0); /* an empty returned */
        assert_int_equal(link_send(&f.link, clock_mono()), 0);
    }
    assert_int_equal(link_events(&f.link), POLLIN | POLLOUT);
    teardown(&f);
}

static void test_daemon_gone(void **state)
{
    struct fixture f;

    setup(&f);
    settle(&f);
    fake_close(f.daemon);
    assert_int_equal(link_recv(&f.link, clock_mono()), LINK_E_GONE);
    assert_int_equal(grpc_client_call_send(f.link.call, SPAN_LIT("")), 0);
    assert_int_equal(link_send(&f.link, clock_mono()), LINK_E_GONE);
    teardown(&f);
}

/* Not HTTP/2 at all. */
static void test_nonsense(void **state)
{
    struct fixture f;
    int r;

    setup(&f);
    settle(&f);
    assert_int_equal(send(f.daemon->fd, "HTTP/1.1 400 Bad Request\r\n\r\n", 28, 0), 28);
    r = link_recv(&f.link, clock_mono());
    if (r == 0) /* our GOAWAY goes first */
        r = link_send(&f.link, clock_mono());
    assert_int_equal(r, LINK_E_GONE);
    teardown(&f);
}

static void test_many_messages_in_one_read(void **state)
{
    struct fixture f;

    setup(&f);
    settle(&f);
    for (uint64_t i = 1; i <= 5000; i++)
        fake_ping(f.daemon, i);
    while (f.n_messages < 5000)
        settle(&f);
    teardown(&f);
}

static void test_open_without_memory(void **state)
{
    FAIL_EACH_ALLOCATION(nth)
    {
        static struct link link;
        int r = link_open(&link, -1, on_message, NULL, clock_mono());

        assert_int_equal(r, test_allocation_failed() ? -ENOMEM : 0);
        if (r == 0)
            link_close(&link);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_call),
            cmocka_unit_test(test_status),
            cmocka_unit_test(test_daemon_that_does_not_read),
            cmocka_unit_test(test_events_ask_for_room),
            cmocka_unit_test(test_daemon_gone),
            cmocka_unit_test(test_nonsense),
            cmocka_unit_test(test_many_messages_in_one_read),
            cmocka_unit_test(test_open_without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
