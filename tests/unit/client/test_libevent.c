// SPDX-License-Identifier: Apache-2.0
/* The adapter to libevent where the next connection has the number of the last one. */
#include "tests/support/testing.h"

#include <futured/libevent.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { N_ASKED = 3 };

struct app {
    struct event_base *base;
    struct futured_client *client;
    struct futured_libevent loop;
    struct futured_future *future;
    int listener, fds[N_ASKED];
    int n_asked, n_done;
};

static void ask(struct app *app);

/* No patience: whoever is told asks again, and there is another connection before the adapter looks at it. */
static void on_done(void *arg, int code)
{
    struct app *app = arg;

    assert_int_equal(code, FUTURED_UNAVAILABLE);
    if (++app->n_done < N_ASKED)
        ask(app);
}

static void ask(struct app *app)
{
    struct futured_interest interest;

    futured_client_async(app->client, on_done, app);
    assert_int_equal(futured_get(app->client, "i", FUTURED_VIEW_FULL, &app->future), FUTURED_AGAIN);
    futured_client_interest(app->client, &interest);
    app->fds[app->n_asked++] = interest.fd;
}

/* Who connects is hung up on. */
static void on_connect(evutil_socket_t fd, short what, void *arg)
{
    close(accept4((int)fd, NULL, NULL, SOCK_CLOEXEC));
}

static void listen_at(struct app *app, const struct sockaddr_un *address)
{
    app->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(app->listener >= 0);
    assert_int_equal(bind(app->listener, (const struct sockaddr *)address, sizeof *address), 0);
    assert_int_equal(listen(app->listener, N_ASKED), 0);
}

static void test_same_descriptor(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char folder[] = "/tmp/futured-libevent-XXXXXX", text[sizeof address.sun_path + 8];
    struct app app = {.base = event_base_new()};
    struct event *connect;

    assert_non_null(mkdtemp(folder));
    snprintf(address.sun_path, sizeof address.sun_path, "%s/s", folder);
    snprintf(text, sizeof text, "unix:%s", address.sun_path);
    listen_at(&app, &address);
    connect = event_new(app.base, app.listener, EV_READ | EV_PERSIST, on_connect, NULL);
    assert_int_equal(event_add(connect, NULL), 0);
    app.client = futured_client_new(text);
    assert_int_equal(futured_libevent_init(&app.loop, app.base, app.client, NULL, NULL), 0);
    ask(&app);
    futured_libevent_update(&app.loop);
    /* all is there when it is looked for: without this number the timer of the connection would be waited for */
    for (int turn = 0; turn < 1000 && app.n_done < N_ASKED; turn++)
        event_base_loop(app.base, EVLOOP_NONBLOCK);
    assert_int_equal(app.n_done, N_ASKED);
    assert_true(app.fds[0] >= 0);
    for (int i = 1; i < N_ASKED; i++)
        assert_int_equal(app.fds[i], app.fds[0]); /* else this shows nothing */
    futured_libevent_deinit(&app.loop);
    futured_client_free(app.client);
    event_free(connect);
    event_base_free(app.base);
    close(app.listener);
    unlink(address.sun_path);
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_same_descriptor)};

    return cmocka_run_group_tests_name("client/libevent", tests, NULL, NULL);
}
