// SPDX-License-Identifier: Apache-2.0
/* Who calls: the cache against the engine's scopes, with callers that share a slot, and without memory. */
#include "service/caller.h"
#include "tests/support/loopback.h"

static const struct hash_seed seed = {3, 4};

struct fixture {
    struct engine *engine;
    struct grpc_server *server;
    struct caller_cache cache;
    /* what the handler saw at the last call */
    const struct caller *caller;
    struct span address, principal;
};

static void on_message(struct grpc_call *call, struct span message)
{
    struct fixture *f = grpc_call_context(call);

    f->caller = caller_of(&f->cache, call);
    grpc_call_finish(call);
}

static const struct grpc_handler handler = {.on_message = on_message};

static int setup(void **state)
{
    static struct grpc_method method = {"/a.B/C", GRPC_UNARY, &handler, NULL, 0};
    const struct grpc_server_config server_config = {.max_message_bytes = 1 << 20};
    struct engine_config config = engine_config_default();
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    config.seed = seed;
    assert_int_equal(engine_new(&f->engine, &config), 0);
    engine_begin(f->engine, 1, 1);
    assert_int_equal(grpc_server_new(&f->server, &server_config), 0);
    method.context = f;
    assert_int_equal(grpc_server_add(f->server, &method, 1), 0);
    caller_cache_init(&f->cache, f->engine, &seed);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    caller_cache_deinit(&f->cache);
    grpc_server_free(f->server);
    engine_free(f->engine);
    free(f);
    return 0;
}

/* One call of a peer. */
static const struct caller *call_as(struct fixture *f, const char *address, const char *principal)
{
    struct grpc_peer peer = {0};
    struct loopback_call c;
    struct loopback lo;

    snprintf(peer.address, sizeof peer.address, "%s", address);
    snprintf(peer.principal, sizeof peer.principal, "%s", principal);
    loopback_init_as(&lo, f->server, &peer);
    f->caller = NULL;
    loopback_unary(&lo, &c, "/a.B/C", "", 0);
    assert_true(c.is_done);
    loopback_call_deinit(&c);
    loopback_deinit(&lo);
    return f->caller;
}

static void expect(struct fixture *f, const char *address, const char *principal)
{
    const struct caller *c = call_as(f, address, principal);

    assert_non_null(c);
    assert_ptr_equal(c->scope, engine_scope(f->engine, (struct span){0}, span_of_string(principal)));
    assert_true(span_eq(SPAN_OF_BYTES(c->address), span_of_string(address)));
}

static void test_same_again(void **state)
{
    struct fixture *f = *state;
    const struct caller *first;
    struct bytes *address;

    expect(f, "unix:uid=1000,pid=5", "");
    first = f->caller;
    address = first->address;
    expect(f, "unix:uid=1000,pid=5", "");
    assert_ptr_equal(f->caller, first);
    assert_ptr_equal(f->caller->address, address); /* all its futures share it */
}

/* Another principal behind the same address is another caller, each time. */
static void test_same_address(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 3; i++) {
        expect(f, "127.0.0.1:5", "ann");
        expect(f, "127.0.0.1:5", "bob");
        expect(f, "127.0.0.1:5", "");
    }
}

/* Many more callers than slots: each gets its own, whoever was in the slot before. */
static void test_many(void **state)
{
    struct fixture *f = *state;

    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 4 * CALLER_CACHE_SLOTS; i++) {
            char address[64], principal[64];

            snprintf(address, sizeof address, "127.0.0.1:%d", 40000 + i);
            snprintf(principal, sizeof principal, "p%d", i % 7);
            expect(f, address, principal);
        }
}

/* The longest that there can be. */
static void test_long(void **state)
{
    struct fixture *f = *state;
    struct grpc_peer peer;
    char address[sizeof peer.address], principal[sizeof peer.principal];

    memset(address, 'a', sizeof address - 1);
    memset(principal, 'p', sizeof principal - 1);
    address[sizeof address - 1] = principal[sizeof principal - 1] = '\0';
    expect(f, address, principal);
    address[sizeof address - 2] = 'b';
    expect(f, address, principal);
}

/* A reference that a future took outlives its slot. */
static void test_reference(void **state)
{
    struct fixture *f = *state;
    struct bytes *mine;

    expect(f, "127.0.0.1:1", "");
    mine = bytes_ref(f->caller->address);
    for (int i = 0; i < 4 * CALLER_CACHE_SLOTS; i++) {
        char address[64];

        snprintf(address, sizeof address, "127.0.0.1:%d", 50000 + i);
        expect(f, address, "");
    }
    assert_true(span_eq(SPAN_OF_BYTES(mine), SPAN_LIT("127.0.0.1:1")));
    bytes_unref(mine);
}

/* The call itself allocates too, so the failure is planned inside: in the handler. */
static uint64_t fail_nth;

static void on_message_without_memory(struct grpc_call *call, struct span message)
{
    struct fixture *f = grpc_call_context(call);

    mem_fail_at(fail_nth);
    f->caller = caller_of(&f->cache, call);
    if (mem_fail_pending()) {
        mem_fail_at(0);
        fail_nth = 0; /* it was not reached: enough */
        assert_non_null(f->caller);
    } else {
        assert_null(f->caller);
    }
    grpc_call_finish(call);
}

static void test_no_memory(void **state)
{
    static const struct grpc_handler failing = {.on_message = on_message_without_memory};
    struct fixture *f = *state;
    struct grpc_method method = {"/a.B/D", GRPC_UNARY, &failing, f, 0};
    struct grpc_peer peer = {.address = "x"};
    uint64_t n;

    assert_int_equal(grpc_server_add(f->server, &method, 1), 0);
    expect(f, "kept", "who");
    for (n = 1, fail_nth = 1; fail_nth; fail_nth = fail_nth ? ++n : 0) {
        struct loopback_call c;
        struct loopback lo;

        snprintf(peer.principal, sizeof peer.principal, "new%d", (int)n);
        loopback_init_as(&lo, f->server, &peer);
        loopback_unary(&lo, &c, "/a.B/D", "", 0);
        loopback_call_deinit(&c);
        loopback_deinit(&lo);
    }
    assert_true(n > 2);
    expect(f, "kept", "who");
    expect(f, "x", "another");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(test_same_again, setup, teardown),
            cmocka_unit_test_setup_teardown(test_same_address, setup, teardown),
            cmocka_unit_test_setup_teardown(test_many, setup, teardown),
            cmocka_unit_test_setup_teardown(test_long, setup, teardown),
            cmocka_unit_test_setup_teardown(test_reference, setup, teardown),
            cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
    };

    return cmocka_run_group_tests_name("service/caller", tests, NULL, NULL);
}
