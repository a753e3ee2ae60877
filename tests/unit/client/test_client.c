// SPDX-License-Identifier: Apache-2.0
#include "client/lib/client.h"
#include "tests/unit/client/fake.h"

static void test_address(void **state)
{
    struct futured_client *client = futured_client_new("nonsense");

    assert_non_null(client);
    assert_string_equal(futured_client_address(client), "nonsense");
    assert_int_equal(futured_client_status(client)->code, FUTURED_OK);
    assert_int_equal(futured_client_connect(client), FUTURED_INVALID_ARGUMENT);
    assert_string_equal(futured_client_status(client)->reason, "BAD_ADDRESS");
    assert_non_null(strstr(futured_client_status(client)->message, "`nonsense` must be unix:/path"));
    assert_int_equal(futured_ping(client), FUTURED_INVALID_ARGUMENT);
    assert_null(futured_client_free(client));
    assert_null(futured_client_free(NULL));

    setenv("FUTURED_ADDRESS", "127.0.0.1:9", 1);
    client = futured_client_new(NULL);
    assert_string_equal(futured_client_address(client), "127.0.0.1:9");
    futured_client_free(client);
}

static void test_unreachable(void **state)
{
    struct futured_client *client = futured_client_new("unix:/nowhere/at/all");

    for (int i = 0; i < 2; i++) { /* each call tries again */
        assert_int_equal(futured_client_connect(client), FUTURED_UNAVAILABLE);
        assert_string_equal(futured_client_status(client)->reason, "UNREACHABLE");
    }
    futured_client_free(client);
}

static int listen_at(const char *path, int backlog)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(sun.sun_path, sizeof sun.sun_path, "%s", path);
    assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof sun), 0);
    assert_int_equal(listen(fd, backlog), 0);
    return fd;
}

static void test_connect(void **state)
{
    char dir[] = "/tmp/futured-test-XXXXXX", path[60], text[80];
    struct futured_client *clients[3];
    int fd;

    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/s", dir);
    snprintf(text, sizeof text, "unix:%s", path);
    fd = listen_at(path, 0);
    for (size_t i = 0; i < ARRAY_LEN(clients); i++)
        clients[i] = futured_client_new(text);
    assert_int_equal(futured_client_connect(clients[0]), FUTURED_OK);
    assert_int_equal(futured_client_connect(clients[0]), FUTURED_OK); /* again: it is */
    /* a full backlog, and nobody who accepts: the timeout ends it */
    futured_client_set_timeout(clients[1], NS_PER_MS);
    assert_int_equal(futured_client_connect(clients[1]), FUTURED_DEADLINE_EXCEEDED);
    assert_non_null(strstr(futured_client_status(clients[1])->message, path));
    futured_client_set_timeout(clients[2], NS_PER_MS);
    assert_int_equal(futured_ping(clients[2]), FUTURED_DEADLINE_EXCEEDED);
    for (size_t i = 0; i < ARRAY_LEN(clients); i++)
        futured_client_free(clients[i]);
    close(fd);
    unlink(path);
    rmdir(dir);
}

/* A connection that ended while nobody looked is replaced before the next call, which so does not fail by it. */
static void test_reconnect(void **state)
{
    struct fake *fake = *state;

    assert_int_equal(futured_client_connect(fake->client), FUTURED_OK);
    fake_hang_up(fake);
    assert_int_equal(futured_client_ensure(fake->client), FUTURED_UNAVAILABLE); /* there is nobody any more */
    assert_string_equal(futured_client_status(fake->client)->reason, "UNREACHABLE");
    fake->client->conn = futured_conn_free(fake->client->conn);
    assert_int_equal(fake_connect(fake), 0);
    assert_int_equal(futured_client_connect(fake->client), FUTURED_OK);
}

/* Different from each other, and from those of another client. */
static void test_fresh_id(void **state)
{
    struct futured_client *clients[2] = {futured_client_new("unix:/nowhere"),
                                         futured_client_new("unix:/nowhere")};
    char ids[4][FUTURED_CLIENT_ID_BYTES];

    for (int i = 0; i < 4; i++) {
        assert_int_equal(futured_client_fresh_id(clients[i % 2], ids[i]), 0);
        assert_int_equal(strspn(ids[i], "0123456789abcdef"), 32);
        for (int j = 0; j < i; j++)
            assert_string_not_equal(ids[i], ids[j]);
    }
    assert_memory_equal(ids[0], ids[2], 24); /* of one connection */
    assert_memory_not_equal(ids[0], ids[1], 24);
    for (int i = 0; i < 2; i++)
        futured_client_free(clients[i]);
}

static int never(void *arg)
{
    return 0;
}

static void test_drive(void **state)
{
    struct fake *fake = *state;

    assert_int_equal(futured_client_drive(fake->client, clock_mono(), never, NULL), FUTURED_CLIENT_E_LATE);
    assert_int_equal(futured_client_until(fake->client), CLOCK_NEVER);
    futured_client_set_timeout(fake->client, INT64_MAX);
    assert_int_equal(futured_client_until(fake->client), CLOCK_NEVER);
    futured_client_set_timeout(fake->client, NS_PER_S);
    assert_true(futured_client_until(fake->client) > clock_mono());
}

static void test_memory(void **state)
{
    FAIL_EACH_ALLOCATION(nth)
    {
        struct futured_client *client = futured_client_new("unix:/nowhere");

        int code = client ? futured_client_connect(client) : FUTURED_RESOURCE_EXHAUSTED;

        assert_int_equal(code, test_allocation_failed() ? FUTURED_RESOURCE_EXHAUSTED : FUTURED_UNAVAILABLE);
        futured_client_free(client);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_address),
            cmocka_unit_test(test_unreachable),
            cmocka_unit_test(test_connect),
            cmocka_unit_test(test_fresh_id),
            cmocka_unit_test_setup_teardown(test_reconnect, fake_setup, fake_teardown),
            cmocka_unit_test_setup_teardown(test_drive, fake_setup, fake_teardown),
            cmocka_unit_test(test_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
