// SPDX-License-Identifier: Apache-2.0
/* What a request names and memory has not is fetched before it is done; a shelf in the test plays the store. */
#include "tests/unit/service/shelf.h"

static void test_get(void **state)
{
    struct loopback_call c;
    struct shelf s;

    shelf_init(&s, 10);
    harness_unary(&s.h, &c, "Get", "id: '%s'", shelf_text(3).text);
    assert_int_equal(s.n_asked, 1);
    assert_false(c.is_done);
    shelf_answer_all(&s);
    assert_true(c.is_done);
    assert_int_equal(c.status.code, GRPC_OK);
    assert_int_equal(c.n_messages, 1);
    loopback_call_deinit(&c);
    harness_unary(&s.h, &c, "Get", "id: '%s'", shelf_text(3).text); /* it is there now */
    assert_true(c.is_done);
    assert_int_equal(s.n_asked_ever, 1);
    loopback_call_deinit(&c);
    harness_deinit(&s.h);
}

/* What cannot be there, because no such ID was ever given out, is not looked for. */
static void test_unknown(void **state)
{
    struct loopback_call c;
    struct shelf s;

    shelf_init(&s, 10);
    harness_unary(&s.h, &c, "Get", "id: 'ffffffff-ffff-7fff-bfff-ffffffffffff'");
    harness_expect(&c, GRPC_NOT_FOUND, "NO_SUCH_FUTURE", NULL);
    assert_int_equal(s.n_asked_ever, 0);
    loopback_call_deinit(&c);
    harness_deinit(&s.h);
}

static void test_what_goes_wrong(void **state)
{
    static const struct {
        int result;
        enum grpc_code code;
        const char *reason;
    } cases[] = {
            {FUTURES_E_NOT_FOUND, GRPC_NOT_FOUND, "NO_SUCH_FUTURE"},
            {FUTURES_E_DATA_LOSS, GRPC_DATA_LOSS, "DATA_LOSS"},
            {FUTURES_E_FULL, GRPC_RESOURCE_EXHAUSTED, "MEMORY_LIMIT"},
            {FUTURES_E_BUSY, GRPC_UNAVAILABLE, "STORE_BUSY"},
            {FUTURES_E_UNREADABLE, GRPC_UNAVAILABLE, "STORE_UNREADABLE"},
            {-ENOMEM, GRPC_RESOURCE_EXHAUSTED, "OUT_OF_MEMORY"},
    };
    static const char *const methods[] = {"Get", "Cancel", "Delete", "Annotate"};

    for (size_t i = 0; i < ARRAY_LEN(cases) * ARRAY_LEN(methods); i++) {
        struct loopback_call c;
        struct shelf s;

        shelf_init(&s, 10);
        harness_unary(&s.h, &c, methods[i % ARRAY_LEN(methods)], "id: '%s'", shelf_text(3).text);
        shelf_answer(&s, 3, cases[i / ARRAY_LEN(methods)].result);
        harness_settle(&s.h);
        harness_expect(&c, cases[i / ARRAY_LEN(methods)].code, cases[i / ARRAY_LEN(methods)].reason, NULL);
        loopback_call_deinit(&c);
        harness_deinit(&s.h);
    }
}

/* Refused at once: the same answers. */
static void test_refused(void **state)
{
    struct loopback_call c;
    struct shelf s;

    shelf_init(&s, 10);
    s.refuse = FUTURES_E_BUSY;
    harness_unary(&s.h, &c, "Get", "id: '%s'", shelf_text(3).text);
    harness_expect(&c, GRPC_UNAVAILABLE, "STORE_BUSY", NULL);
    loopback_call_deinit(&c);
    harness_unary(&s.h, &c, "List", "selector { filter: '*' }");
    harness_expect(&c, GRPC_UNAVAILABLE, "STORE_BUSY", NULL);
    loopback_call_deinit(&c);
    s.stretch = NULL;
    harness_deinit(&s.h);
}

/* Deleting is possible although it had to be fetched for that. */
static void test_delete(void **state)
{
    struct loopback_call c;
    struct id id = shelf_id(3);
    struct shelf s;

    shelf_init(&s, 10);
    harness_unary(&s.h, &c, "Delete", "id: '%s'", shelf_text(3).text);
    shelf_answer_all(&s);
    assert_false(c.is_done); /* it must be gone from the disk, too */
    shelf_release(&s);
    assert_true(c.is_done);
    assert_int_equal(c.status.code, GRPC_OK);
    assert_null(engine_find_any(s.h.engine, &id));
    loopback_call_deinit(&c);
    harness_deinit(&s.h);
}

/* Many at once: so many asked for at a time, all there together at the end, unknown ones missing. */
static void test_wait_for_many(void **state)
{
    enum { N = 500 };
    static char request[N * 48 + 64];
    Futured__V1__WaitResponse *reply;
    struct loopback_call c;
    struct shelf s;
    size_t at;

    shelf_init(&s, N - 10);
    at = (size_t)snprintf(request, sizeof request, "selector {");
    for (uint64_t key = 1; key <= N; key++)
        at += (size_t)snprintf(request + at, sizeof request - at, " ids: '%s'", shelf_text(key).text);
    snprintf(request + at, sizeof request - at, " }");
    harness_unary(&s.h, &c, "Wait", "%s", request);
    assert_false(c.is_done);
    shelf_answer_all(&s);
    assert_true(c.is_done);
    assert_true(s.n_wishes_max > 1 && s.n_wishes_max <= 32);
    assert_int_equal(s.n_asked_ever, N);
    reply = harness_message(&s.h, &c, 0, &futured__v1__wait_response__descriptor);
    assert_int_equal(reply->n_done, N - 10);
    assert_int_equal(reply->n_missing, 10);
    harness_free(reply);
    loopback_call_deinit(&c);
    harness_deinit(&s.h);
}

static void test_watch(void **state)
{
    struct loopback_call c;
    struct shelf s;

    shelf_init(&s, 10);
    harness_unary(&s.h, &c, "Watch", "selector { ids: '%s' }", shelf_text(4).text);
    assert_int_equal(c.n_messages, 0);
    shelf_answer_all(&s);
    assert_true(c.is_done);
    assert_int_equal(c.status.code, GRPC_OK);
    assert_int_equal(c.n_messages, 1);
    loopback_call_deinit(&c);
    harness_deinit(&s.h);
}

/* The end of the requests waits for what is being fetched. */
static void test_as_completed(void **state)
{
    struct loopback_call c;
    struct shelf s;

    shelf_init(&s, 10);
    harness_call(&s.h, &c, "AsCompleted");
    harness_send(&c, "AsCompleted", "ids: '%s' ids: '%s'", shelf_text(1).text, shelf_text(2).text);
    harness_send(&c, "AsCompleted", "ids: '%s' ids: '%s'", shelf_text(2).text, shelf_text(3).text);
    loopback_half_close(&c);
    harness_settle(&s.h);
    assert_false(c.is_done);
    assert_int_equal(s.n_asked, 2); /* the second message waits */
    shelf_answer_all(&s);
    shelf_answer_all(&s);
    assert_true(c.is_done);
    assert_int_equal(c.status.code, GRPC_OK);
    assert_int_equal(c.n_messages, 3);
    loopback_call_deinit(&c);
    harness_deinit(&s.h);
}

/* The client goes while its future is being fetched: nobody is told, nothing stays pinned. */
static void test_client_goes(void **state)
{
    struct loopback_call get, wait, list;
    struct id two = shelf_id(2);
    struct shelf s;

    shelf_init(&s, 10);
    harness_unary(&s.h, &get, "Get", "id: '%s'", shelf_text(1).text);
    shelf_restore(&s, 2);
    harness_unary(&s.h, &wait, "Wait", "selector { ids: '%s' ids: '%s' }", shelf_text(2).text,
                  shelf_text(3).text);
    harness_unary(&s.h, &list, "List", "selector { filter: '*' }");
    assert_int_equal(s.n_asked, 2);
    assert_non_null(s.stretch);
    harness_disconnect(&s.h, &s.h.lo);
    assert_null(s.stretch);
    loopback_call_deinit(&get);
    loopback_call_deinit(&wait);
    loopback_call_deinit(&list);
    engine_check(s.h.engine);
    assert_int_equal(engine_delete(s.h.engine, engine_find_any(s.h.engine, &two)), 0);
    harness_deinit(&s.h);
}

/* A page ends where what was fetched ends, and the next goes on there. */
static void test_list(void **state)
{
    Futured__V1__ListResponse *reply;
    struct loopback_call c;
    struct shelf s;
    char *token;

    shelf_init(&s, 300);
    harness_unary(&s.h, &c, "List", "selector { filter: '*' } order_by: 'asc' page_size: 5");
    assert_int_equal(s.stretch->key, 0);
    shelf_answer_stretch(&s, 1, 3, 0);
    assert_false(c.is_done); /* that is no page */
    assert_int_equal(s.stretch->key, 3);
    shelf_answer_stretch(&s, 4, 8, 0);
    assert_true(c.is_done);
    reply = harness_message(&s.h, &c, 0, &futured__v1__list_response__descriptor);
    assert_int_equal(reply->n_futures, 5);
    assert_string_equal(reply->futures[4]->id, shelf_text(5).text);
    token = strdup(reply->next_page_token);
    harness_free(reply);
    loopback_call_deinit(&c);
    harness_unary(&s.h, &c, "List", "selector { filter: '*' } order_by: 'asc' page_size: 5 page_token: '%s'",
                  token);
    free(token);
    assert_int_equal(s.stretch->key, 5);
    shelf_answer_stretch(&s, 6, 8, 0);
    shelf_answer_stretch(&s, 0, 0, 1);
    assert_true(c.is_done);
    reply = harness_message(&s.h, &c, 0, &futured__v1__list_response__descriptor);
    assert_int_equal(reply->n_futures, 4); /* three of them, and the one that was always in memory */
    assert_string_equal(reply->next_page_token, "");
    harness_free(reply);
    loopback_call_deinit(&c);
    harness_deinit(&s.h);
}

/* ---- what the state of the store lets be accepted */

static void test_refusals(void **state)
{
    static const struct {
        enum futures_refusal why;
        enum grpc_code code;
        const char *reason;
    } cases[] = {
            {FUTURES_STALLED, GRPC_UNAVAILABLE, "STORE_STALLED"},
            {FUTURES_BROKEN, GRPC_UNAVAILABLE, "STORE_BROKEN"},
            {FUTURES_BEHIND, GRPC_RESOURCE_EXHAUSTED, "STORE_BEHIND"},
            {FUTURES_SPACE, GRPC_RESOURCE_EXHAUSTED, "DISK_SPACE"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct loopback_call c;
        struct shelf s;

        shelf_init(&s, 10);
        shelf_restore(&s, 1);
        futures_refuse(s.h.futures, cases[i].why);
        harness_unary(&s.h, &c, "Submit", "task { function: 'echo' }");
        harness_expect(&c, cases[i].code, cases[i].reason, NULL);
        loopback_call_deinit(&c);
        harness_unary(&s.h, &c, "Submit", "task { function: 'echo' options { durability: 2 } }");
        assert_int_equal(c.status.code, GRPC_OK); /* of no interest to the store */
        loopback_call_deinit(&c);
        harness_unary(&s.h, &c, "Get", "id: '%s'", shelf_text(1).text);
        assert_int_equal(c.status.code, GRPC_OK);
        loopback_call_deinit(&c);
        harness_unary(&s.h, &c, "Delete", "id: '%s'", shelf_text(1).text);
        shelf_release(&s);
        assert_int_equal(c.status.code, i < 2 ? GRPC_UNAVAILABLE : GRPC_OK); /* it makes room */
        loopback_call_deinit(&c);
        futures_refuse(s.h.futures, FUTURES_ACCEPT);
        harness_deinit(&s.h);
    }
}

/* With a store nobody hears of a durable future before its commit: not who submitted it, nor who joined it since. */
static void test_shown_when_durable(void **state)
{
    static const char request[] = "task { function: 'echo' options { idempotency_key: 'k' } }";
    Futured__V1__SubmitResponse *reply;
    struct loopback_call first, join;
    struct shelf s;

    shelf_init(&s, 0);
    harness_unary(&s.h, &first, "Submit", request);
    harness_unary(&s.h, &join, "Submit", request);
    assert_false(first.is_done || join.is_done);
    assert_int_equal(first.n_messages + join.n_messages, 0);
    shelf_release(&s);
    assert_true(first.is_done && join.is_done);
    assert_int_equal(first.status.code, GRPC_OK);
    assert_int_equal(first.n_messages, 1);
    assert_int_equal(join.n_messages, 1);
    reply = harness_message(&s.h, &join, 0, &futured__v1__submit_response__descriptor);
    assert_true(reply->joined);
    harness_free(reply);
    loopback_call_deinit(&first);
    loopback_call_deinit(&join);
    harness_deinit(&s.h);
}

/* The store may have the key: everything that names it asks there first. @key: of the future that has it; 0: none. */
static void answer_key(struct shelf *s, uint64_t key, int result)
{
    struct future *f = key ? shelf_restore(s, key) : NULL;
    struct futures_wish *wish = TAKE_PTR(s->key_wish);

    assert_non_null(wish);
    wish->on_loaded(wish, result, f);
    harness_settle(&s->h);
}

static void key_setup(struct shelf *s)
{
    shelf_init(s, 10);
    engine_restore_keys(s->h.engine);
    s->h.engine->config.has_store = 1;
}

#define KEYED "task { function: 'echo' options { idempotency_key: 'k' durability: 2 } }"

static void test_submit_with_a_stored_key(void **state)
{
    static const char *const methods[] = {"Submit", "Run"};

    for (size_t i = 0; i < ARRAY_LEN(methods); i++)
        for (int is_there = 0; is_there < 2; is_there++) {
            struct loopback_call c;
            struct shelf s;

            key_setup(&s);
            harness_unary(&s.h, &c, methods[i], i ? "submit { " KEYED " }" : KEYED);
            assert_false(c.is_done);
            assert_int_equal(engine_stats(s.h.engine).n_accepted, 1);
            answer_key(&s, is_there ? 3 : 0, is_there ? 0 : FUTURES_E_NOT_FOUND);
            assert_int_equal(c.is_done, i == 0 || is_there);
            assert_int_equal(engine_stats(s.h.engine).n_accepted, is_there ? 1 : 2);
            if (!c.is_done) {
                const struct future *f = engine_find_key(
                        s.h.engine, engine_scope(s.h.engine, (struct span){0}, (struct span){0}),
                        SPAN_LIT("k"));
                char id[ID_TEXT_LEN + 1];

                assert_non_null(f);
                id_format(&f->id, id);
                harness_succeed(&s.h, id, "r");
            }
            assert_int_equal(c.status.code, GRPC_OK);
            loopback_call_deinit(&c);
            harness_deinit(&s.h);
        }
}

/* Answers stay in the order of requests, and what comes behind waits; a failed look-up is the item's alone. */
static void test_stream_with_stored_keys(void **state)
{
    static const char *const methods[] = {"SubmitStream", "RunStream"};

    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        const char *before = i ? "submit { " : "", *behind = i ? " }" : "";
        struct loopback_call c;
        struct shelf s;

        key_setup(&s);
        harness_call(&s.h, &c, methods[i]);
        harness_send(&c, methods[i], "%s" KEYED " tag: 'a'%s", before, behind);
        harness_send(&c, methods[i], "%stask { function: 'nope' } tag: 'b'%s", before, behind);
        harness_send(&c, methods[i],
                     "%stask { function: 'echo' options { idempotency_key: 'l' durability: 2 } } tag: 'c'%s",
                     before, behind);
        loopback_half_close(&c);
        harness_settle(&s.h);
        assert_int_equal(c.n_messages, 0);
        answer_key(&s, 3, 0); /* the one on the disk has ended */
        assert_int_equal(c.n_messages, 2);
        assert_false(c.is_done);
        assert_string_equal(s.key, "l");
        answer_key(&s, 0, FUTURES_E_UNREADABLE);
        assert_true(c.is_done);
        assert_int_equal(c.status.code, GRPC_OK);
        assert_int_equal(c.n_messages, 3);
        if (i == 0) {
            Futured__V1__SubmitResponse *r =
                    harness_message(&s.h, &c, 0, &futured__v1__submit_response__descriptor);

            assert_true(r->joined);
            assert_string_equal(r->tag, "a");
            assert_string_equal(r->future->id, shelf_text(3).text);
            harness_free(r);
            r = harness_message(&s.h, &c, 2, &futured__v1__submit_response__descriptor);
            assert_string_equal(r->tag, "c");
            assert_int_equal(r->status->code, GRPC_UNAVAILABLE);
            harness_free(r);
        }
        loopback_call_deinit(&c);
        harness_deinit(&s.h);
    }
}

static void test_get_by_a_stored_key(void **state)
{
    struct loopback_call c;
    struct shelf s;

    key_setup(&s);
    harness_unary(&s.h, &c, "Get", "idempotency_key: 'k'");
    assert_false(c.is_done);
    answer_key(&s, 4, 0);
    assert_int_equal(c.status.code, GRPC_OK);
    loopback_call_deinit(&c);
    harness_unary(&s.h, &c, "Get", "idempotency_key: 'l'");
    answer_key(&s, 0, FUTURES_E_NOT_FOUND);
    harness_expect(&c, GRPC_NOT_FOUND, "NO_SUCH_FUTURE", NULL);
    loopback_call_deinit(&c);
    harness_deinit(&s.h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_get),
            cmocka_unit_test(test_unknown),
            cmocka_unit_test(test_what_goes_wrong),
            cmocka_unit_test(test_refused),
            cmocka_unit_test(test_delete),
            cmocka_unit_test(test_wait_for_many),
            cmocka_unit_test(test_watch),
            cmocka_unit_test(test_as_completed),
            cmocka_unit_test(test_client_goes),
            cmocka_unit_test(test_list),
            cmocka_unit_test(test_refusals),
            cmocka_unit_test(test_shown_when_durable),
            cmocka_unit_test(test_submit_with_a_stored_key),
            cmocka_unit_test(test_stream_with_stored_keys),
            cmocka_unit_test(test_get_by_a_stored_key),
    };

    test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
