// SPDX-License-Identifier: Apache-2.0
/* Health over a loopback connection; requests are made and answers read by the generated code, as a judge. */
#include "service/health.h"
#include "tests/support/loopback.h"
#include "tests/support/testing.h"

#include <grpc/health/v1/health.pb-c.h>

#define CHECK "/grpc.health.v1.Health/Check"
#define WATCH "/grpc.health.v1.Health/Watch"

static const struct grpc_method other_methods[] = {
        {"/a.v1.Things/Get", GRPC_UNARY, NULL, NULL, 0},
        {"/a.v1.Things/Put", GRPC_UNARY, NULL, NULL, 0},
        {"/a.v1.ThingsToo/Get", GRPC_UNARY, NULL, NULL, 0},
};

struct fixture {
    struct grpc_server *server;
    struct health *health;
    struct loopback lo;
};

static int setup(void **state)
{
    const struct grpc_server_config config = {.max_message_bytes = 1 << 20};
    struct fixture *f = mem_zalloc(sizeof *f);
    const struct grpc_method *methods;
    size_t n;

    assert_non_null(f);
    assert_int_equal(grpc_server_new(&f->server, &config), 0);
    assert_int_equal(health_new(&f->health, f->server), 0);
    methods = health_methods(f->health, &n);
    assert_int_equal(grpc_server_add(f->server, methods, n), 0);
    assert_int_equal(grpc_server_add(f->server, other_methods, ARRAY_LEN(other_methods)), 0);
    loopback_init(&f->lo, f->server);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    loopback_deinit(&f->lo);
    assert_null(health_free(f->health));
    grpc_server_free(f->server);
    mem_free(f);
    return 0;
}

static size_t request_pack(const char *service, uint8_t out[static 512])
{
    Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    char name[256];

    snprintf(name, sizeof name, "%s", service);
    request.service = name;
    return grpc__health__v1__health_check_request__pack(&request, out);
}

/* The status in the call's @i-th answer. */
static int status_at(const struct loopback_call *c, size_t i)
{
    struct span message = loopback_message(c, i);
    Grpc__Health__V1__HealthCheckResponse *response =
            grpc__health__v1__health_check_response__unpack(NULL, message.len, message.p);
    int status;

    assert_non_null(response);
    status = (int)response->status;
    grpc__health__v1__health_check_response__free_unpacked(response, NULL);
    return status;
}

/* What Check answers: a status, or minus a gRPC code. */
static int check(struct fixture *f, const char *service)
{
    uint8_t request[512];
    struct loopback_call c;
    int result;

    loopback_unary(&f->lo, &c, CHECK, request, request_pack(service, request));
    assert_true(c.is_done);
    if (c.status.code == GRPC_OK) {
        assert_int_equal(c.n_messages, 1);
        result = status_at(&c, 0);
    } else {
        assert_int_equal(c.n_messages, 0);
        result = -(int)c.status.code;
    }
    loopback_call_deinit(&c);
    return result;
}

static void watch(struct fixture *f, struct loopback_call *c, const char *service)
{
    uint8_t request[512];

    loopback_unary(&f->lo, c, WATCH, request, request_pack(service, request));
}

static void test_check(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(check(f, ""), HEALTH_NOT_SERVING);
    assert_int_equal(check(f, "a.v1.Things"), HEALTH_NOT_SERVING);
    assert_int_equal(check(f, "a.v1.Thing"), -GRPC_NOT_FOUND);
    assert_int_equal(check(f, "a.v1.Things/Get"), -GRPC_NOT_FOUND);
    assert_int_equal(check(f, "b"), -GRPC_NOT_FOUND);

    health_set_all(f->health, HEALTH_SERVING);
    assert_int_equal(check(f, ""), HEALTH_SERVING);
    assert_int_equal(check(f, "a.v1.Things"), HEALTH_SERVING);
    assert_int_equal(check(f, "a.v1.ThingsToo"), HEALTH_SERVING);
    assert_int_equal(check(f, "grpc.health.v1.Health"), HEALTH_SERVING);
    assert_int_equal(check(f, "b"), -GRPC_NOT_FOUND);
}

static void test_set_one(void **state)
{
    struct fixture *f = *state;

    health_set_all(f->health, HEALTH_SERVING);
    assert_int_equal(health_set(f->health, "a.v1.Things", HEALTH_NOT_SERVING), 0);
    assert_int_equal(check(f, "a.v1.Things"), HEALTH_NOT_SERVING);
    assert_int_equal(check(f, "a.v1.ThingsToo"), HEALTH_SERVING);
    assert_int_equal(check(f, ""), HEALTH_SERVING);
    assert_int_equal(health_set(f->health, "", HEALTH_NOT_SERVING), 0);
    assert_int_equal(check(f, ""), HEALTH_NOT_SERVING);
    assert_int_equal(check(f, "a.v1.ThingsToo"), HEALTH_SERVING);
    assert_int_equal(health_set(f->health, "b", HEALTH_SERVING), HEALTH_E_UNKNOWN);
    health_set_all(f->health, HEALTH_SERVING);
    assert_int_equal(check(f, "a.v1.Things"), HEALTH_SERVING);
}

/* The pool is known once something is said of it, and fails alone. */
static void test_pool(void **state)
{
    struct fixture *f = *state;
    struct loopback_call c;

    health_set_all(f->health, HEALTH_SERVING);
    assert_int_equal(check(f, HEALTH_POOL), -GRPC_NOT_FOUND);
    health_set_pool(f->health, 0);
    assert_int_equal(check(f, HEALTH_POOL), HEALTH_SERVING);
    watch(f, &c, HEALTH_POOL);
    health_set_pool(f->health, 1);
    loopback_pump(&f->lo);
    assert_int_equal(c.n_messages, 2);
    assert_int_equal(status_at(&c, 1), HEALTH_NOT_SERVING);
    assert_int_equal(check(f, HEALTH_POOL), HEALTH_NOT_SERVING);
    assert_int_equal(check(f, ""), HEALTH_SERVING);
    health_set_pool(f->health, 0);
    assert_int_equal(check(f, HEALTH_POOL), HEALTH_SERVING);
    health_set_all(f->health, HEALTH_NOT_SERVING);
    assert_int_equal(check(f, HEALTH_POOL), HEALTH_NOT_SERVING);
    grpc_client_call_cancel(c.call);
    loopback_pump(&f->lo);
    loopback_call_deinit(&c);
}

static void test_malformed(void **state)
{
    /* field 1 as a varint; a length beyond the end; not UTF-8 */
    static const uint8_t bad[][3] = {{0x08, 0x01, 0x00}, {0x0a, 0x7f, 0x00}, {0x0a, 0x01, 0xff}};
    struct fixture *f = *state;
    struct loopback_call c;

    for (size_t i = 0; i < 2 * ARRAY_LEN(bad); i++) {
        loopback_unary(&f->lo, &c, i % 2 ? WATCH : CHECK, bad[i / 2], i / 2 ? 3 : 2);
        assert_true(c.is_done);
        assert_int_equal(c.status.code, GRPC_INVALID_ARGUMENT);
        loopback_call_deinit(&c);
    }
}

static void test_watch(void **state)
{
    struct fixture *f = *state;
    struct loopback_call whole, things, unknown;

    watch(f, &whole, "");
    watch(f, &things, "a.v1.Things");
    watch(f, &unknown, "b");
    assert_int_equal(whole.n_messages, 1);
    assert_int_equal(status_at(&whole, 0), HEALTH_NOT_SERVING);
    assert_int_equal(unknown.n_messages, 1);
    assert_int_equal(status_at(&unknown, 0),
                     GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN);

    health_set_all(f->health, HEALTH_SERVING);
    loopback_pump(&f->lo);
    assert_int_equal(health_set(f->health, "a.v1.Things", HEALTH_NOT_SERVING), 0);
    assert_int_equal(health_set(f->health, "a.v1.Things", HEALTH_NOT_SERVING), 0);
    loopback_pump(&f->lo);
    assert_int_equal(whole.n_messages, 2);
    assert_int_equal(status_at(&whole, 1), HEALTH_SERVING);
    assert_int_equal(things.n_messages, 3);
    assert_int_equal(status_at(&things, 2), HEALTH_NOT_SERVING);
    assert_int_equal(unknown.n_messages, 1);
    assert_false(whole.is_done || things.is_done || unknown.is_done);

    grpc_client_call_cancel(things.call);
    loopback_pump(&f->lo);
    assert_true(things.is_done);
    health_set_all(f->health, HEALTH_NOT_SERVING);
    loopback_pump(&f->lo);
    assert_int_equal(whole.n_messages, 3);
    assert_int_equal(things.n_messages, 3);

    grpc_client_call_cancel(whole.call);
    grpc_client_call_cancel(unknown.call);
    loopback_pump(&f->lo);
    loopback_call_deinit(&whole);
    loopback_call_deinit(&things);
    loopback_call_deinit(&unknown);
}

static void test_connection_lost(void **state)
{
    struct fixture *f = *state;
    struct loopback_call c;

    watch(f, &c, "");
    loopback_deinit(&f->lo);
    health_set_all(f->health, HEALTH_SERVING); /* a watcher left behind would be written to */
    loopback_call_deinit(&c);
    loopback_init(&f->lo, f->server);
}

/* A client that does not read: its window and the stream's buffer fill, and from then on it costs nothing.
 * Once it has caught up it knows how things are. */
static void test_unread(void **state)
{
    struct fixture *f = *state;
    struct h2_session *server = grpc_conn_session(f->lo.conn);
    struct loopback_call c;
    size_t most = 0;

    watch(f, &c, "");
    for (int i = 0; i < 200000; i++) {
        health_set_all(f->health, i % 2 ? HEALTH_NOT_SERVING : HEALTH_SERVING);
        most = MAX(most, h2_session_pending_bytes(server));
    }
    assert_in_range(most, 1, H2_STREAM_HIGH_BYTES + 64);
    health_set_all(f->health, HEALTH_SERVING);
    loopback_pump(&f->lo);
    assert_in_range(c.n_messages, 2, 100000);
    assert_int_equal(status_at(&c, c.n_messages - 1), HEALTH_SERVING);
    grpc_client_call_cancel(c.call);
    loopback_pump(&f->lo);
    loopback_call_deinit(&c);
}

static void test_limit(void **state)
{
    struct fixture *f = *state;
    enum { CONNECTIONS = HEALTH_WATCHERS_MAX / 64 };
    struct loopback *lo = mem_zalloc(CONNECTIONS * sizeof *lo);
    struct loopback_call *calls = mem_zalloc(HEALTH_WATCHERS_MAX * sizeof *calls), one_more;
    uint8_t request[512];
    size_t n = request_pack("", request);

    assert_non_null(lo);
    assert_non_null(calls);
    for (size_t i = 0; i < CONNECTIONS; i++) {
        loopback_init(&lo[i], f->server);
        loopback_pump(&lo[i]);
        for (size_t k = i * 64; k < (i + 1) * 64; k++)
            loopback_unary(&lo[i], &calls[k], WATCH, request, n);
    }
    watch(f, &one_more, "");
    assert_true(one_more.is_done);
    assert_int_equal(one_more.status.code, GRPC_RESOURCE_EXHAUSTED);
    loopback_call_deinit(&one_more);

    health_set_all(f->health, HEALTH_SERVING);
    for (size_t i = 0; i < CONNECTIONS; i++)
        loopback_pump(&lo[i]);
    for (size_t k = 0; k < HEALTH_WATCHERS_MAX; k++)
        assert_int_equal(calls[k].n_messages, 2);

    loopback_deinit(&lo[0]);
    watch(f, &one_more, ""); /* there is room again */
    assert_false(one_more.is_done);
    for (size_t i = 1; i < CONNECTIONS; i++)
        loopback_deinit(&lo[i]);
    for (size_t k = 0; k < HEALTH_WATCHERS_MAX; k++)
        loopback_call_deinit(&calls[k]);
    grpc_client_call_cancel(one_more.call);
    loopback_pump(&f->lo);
    loopback_call_deinit(&one_more);
    mem_free(calls);
    mem_free(lo);
}

static void test_shutdown(void **state)
{
    struct fixture *f = *state;
    struct loopback_call c, late;

    health_set_all(f->health, HEALTH_SERVING);
    watch(f, &c, "");
    health_shutdown(f->health);
    loopback_pump(&f->lo);
    assert_true(c.is_done);
    assert_int_equal(c.status.code, GRPC_UNAVAILABLE);
    assert_int_equal(c.n_messages, 2);
    assert_int_equal(status_at(&c, 1), HEALTH_NOT_SERVING);
    loopback_call_deinit(&c);

    health_set_all(f->health, HEALTH_SERVING);
    assert_int_equal(health_set(f->health, "", HEALTH_SERVING), 0);
    assert_int_equal(check(f, ""), HEALTH_NOT_SERVING);
    watch(f, &late, "a.v1.Things");
    assert_true(late.is_done);
    assert_int_equal(late.n_messages, 1);
    assert_int_equal(status_at(&late, 0), HEALTH_NOT_SERVING);
    assert_int_equal(late.status.code, GRPC_UNAVAILABLE);
    loopback_call_deinit(&late);
}

/* Each allocation of set and Watch in turn fails: nothing leaks, nothing aborts, and the next call works. */
static void test_no_memory(void **state)
{
    struct fixture *f = *state;
    struct health *h;

    FAIL_EACH_ALLOCATION(nth)
    {
        int r = health_new(&h, f->server);

        assert_int_equal(r, test_allocation_failed() ? -ENOMEM : 0);
        if (r == 0) {
            r = health_set(h, "a.v1.Things", HEALTH_SERVING);
            assert_int_equal(r, test_allocation_failed() ? -ENOMEM : 0);
            health_free(h);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(test_check, setup, teardown),
            cmocka_unit_test_setup_teardown(test_set_one, setup, teardown),
            cmocka_unit_test_setup_teardown(test_pool, setup, teardown),
            cmocka_unit_test_setup_teardown(test_malformed, setup, teardown),
            cmocka_unit_test_setup_teardown(test_watch, setup, teardown),
            cmocka_unit_test_setup_teardown(test_connection_lost, setup, teardown),
            cmocka_unit_test_setup_teardown(test_unread, setup, teardown),
            cmocka_unit_test_setup_teardown(test_limit, setup, teardown),
            cmocka_unit_test_setup_teardown(test_shutdown, setup, teardown),
            cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
    };

    return cmocka_run_group_tests_name("service/health", tests, NULL, NULL);
}
