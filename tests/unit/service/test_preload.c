// SPDX-License-Identifier: Apache-2.0
/* What a request names and memory has not is fetched before it is done; a shelf in the test plays the store. */
#include "engine/restore.h"
#include "engine/state.h"
#include "service/preload.h"
#include "tests/unit/service/harness.h"

enum { SHELF = 600 };

/* The store: futures with the keys 1 .. n, and who asks for them. */
struct shelf {
    struct harness h;
    uint32_t n;                         /* on it */
    struct futures_wish *wishes[SHELF]; /* by key; NULL: not asked for */
    uint32_t n_asked, n_asked_ever, n_wishes_max;
    struct futures_wish *key_wish; /* who asks for a key */
    char key[16];
    struct futures_stretch *stretch;
    uint32_t n_stretches;
    int refuse; /* what load answers */
};

static struct id id_of(uint64_t key)
{
    return id_make(key, key * 77);
}

static struct harness_id text_of(uint64_t key)
{
    struct harness_id text;
    struct id id = id_of(key);

    id_format(&id, text.text);
    return text;
}

static int load(void *context, const struct id *id, struct futures_wish *wish)
{
    struct shelf *s = context;
    uint64_t key = id_key(id);

    if (s->refuse)
        return s->refuse;
    assert_true(key > 0 && key < SHELF && !s->wishes[key]);
    list_init(&wish->link);
    s->wishes[key] = wish;
    s->n_asked++;
    s->n_asked_ever++;
    s->n_wishes_max = MAX(s->n_wishes_max, s->n_asked);
    return 0;
}

static int load_key(void *context, struct span namespace, struct span key, struct futures_wish *wish)
{
    struct shelf *s = context;

    if (s->refuse)
        return s->refuse;
    assert_null(s->key_wish);
    assert_true(namespace.len == 0 && key.len < sizeof s->key);
    memset(s->key, 0, sizeof s->key);
    memcpy(s->key, key.p, key.len);
    list_init(&wish->link);
    s->key_wish = wish;
    return 0;
}

static int load_stretch(void *context, struct futures_stretch *stretch)
{
    struct shelf *s = context;

    assert_null(s->stretch);
    s->stretch = stretch;
    s->n_stretches++;
    stretch->handle = s->refuse ? NULL : s;
    stretch->n = 0;
    return s->refuse;
}

static void forget_stretch(void *context, struct futures_stretch *stretch)
{
    struct shelf *s = context;

    assert_ptr_equal(stretch->handle, s);
    assert_true(!s->stretch || s->stretch == stretch);
    stretch->handle = NULL;
    s->stretch = NULL;
}

static void setup(struct shelf *s, uint32_t n)
{
    const struct futures_loader loader = {.load = load,
                                          .load_key = load_key,
                                          .load_stretch = load_stretch,
                                          .forget_stretch = forget_stretch,
                                          .context = s};

    memset(s, 0, sizeof *s);
    s->n = n;
    harness_init(&s->h, NULL);
    s->h.holds_back = 1;
    harness_submit(&s->h,
                   "task { function: 'echo' options { durability: 2 } }"); /* keys of the shelf are older */
    futures_keep(s->h.futures, &loader);
}

static struct future *restore(struct shelf *s, uint64_t key)
{
    struct restored in = {
            .key = s->key_wish ? span_of_string(s->key) : (struct span){0},
            .id = id_of(key),
            .state = FUTURE_SUCCEEDED,
            .on_lost = ON_LOST_RETRY,
            .revision = 1,
            .submit_time = s->h.wall,
            .retention_ns = -1,
            .function = SPAN_LIT("echo"),
            .end_time = s->h.wall,
            .expire_time = s->h.wall + 3600 * NS_PER_S,
            .task = bytes_dup("\n\4echo", 6),
            .data = bytes_dup("r", 1),
    };
    struct future *f = NULL;

    assert_int_equal(engine_restore(s->h.engine, &in, &f), 0);
    bytes_unref(in.task);
    bytes_unref(in.data);
    return f;
}

/* Answer who asks for @key: 0: here it is. */
static void answer(struct shelf *s, uint64_t key, int result)
{
    struct futures_wish *wish = s->wishes[key];
    struct future *f = result ? NULL : restore(s, key);

    assert_non_null(wish);
    s->wishes[key] = NULL;
    s->n_asked--;
    wish->on_loaded(wish, result, f);
}

static void answer_all(struct shelf *s)
{
    while (s->n_asked)
        for (uint64_t key = 1; key < SHELF; key++)
            if (s->wishes[key])
                answer(s, key, key <= s->n ? 0 : FUTURES_E_NOT_FOUND);
    harness_settle(&s->h);
}

/* All commits so far are on disk. */
static void release(struct shelf *s)
{
    harness_settle(&s->h);
    grpc_server_release(s->h.server, engine_durable_seq(s->h.engine));
    harness_settle(&s->h);
}

static void test_get(void **state)
{
    struct loopback_call c;
    struct shelf s;

    setup(&s, 10);
    harness_unary(&s.h, &c, "Get", "id: '%s'", text_of(3).text);
    assert_int_equal(s.n_asked, 1);
    assert_false(c.is_done);
    answer_all(&s);
    assert_true(c.is_done);
    assert_int_equal(c.status.code, GRPC_OK);
    assert_int_equal(c.n_messages, 1);
    loopback_call_deinit(&c);
    harness_unary(&s.h, &c, "Get", "id: '%s'", text_of(3).text); /* it is there now */
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

    setup(&s, 10);
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

        setup(&s, 10);
        harness_unary(&s.h, &c, methods[i % ARRAY_LEN(methods)], "id: '%s'", text_of(3).text);
        answer(&s, 3, cases[i / ARRAY_LEN(methods)].result);
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

    setup(&s, 10);
    s.refuse = FUTURES_E_BUSY;
    harness_unary(&s.h, &c, "Get", "id: '%s'", text_of(3).text);
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
    struct id id = id_of(3);
    struct shelf s;

    setup(&s, 10);
    harness_unary(&s.h, &c, "Delete", "id: '%s'", text_of(3).text);
    answer_all(&s);
    assert_false(c.is_done); /* it must be gone from the disk, too */
    release(&s);
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

    setup(&s, N - 10);
    at = (size_t)snprintf(request, sizeof request, "selector {");
    for (uint64_t key = 1; key <= N; key++)
        at += (size_t)snprintf(request + at, sizeof request - at, " ids: '%s'", text_of(key).text);
    snprintf(request + at, sizeof request - at, " }");
    harness_unary(&s.h, &c, "Wait", "%s", request);
    assert_false(c.is_done);
    answer_all(&s);
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

    setup(&s, 10);
    harness_unary(&s.h, &c, "Watch", "selector { ids: '%s' }", text_of(4).text);
    assert_int_equal(c.n_messages, 0);
    answer_all(&s);
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

    setup(&s, 10);
    harness_call(&s.h, &c, "AsCompleted");
    harness_send(&c, "AsCompleted", "ids: '%s' ids: '%s'", text_of(1).text, text_of(2).text);
    harness_send(&c, "AsCompleted", "ids: '%s' ids: '%s'", text_of(2).text, text_of(3).text);
    loopback_half_close(&c);
    harness_settle(&s.h);
    assert_false(c.is_done);
    assert_int_equal(s.n_asked, 2); /* the second message waits */
    answer_all(&s);
    answer_all(&s);
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
    struct id two = id_of(2);
    struct shelf s;

    setup(&s, 10);
    harness_unary(&s.h, &get, "Get", "id: '%s'", text_of(1).text);
    restore(&s, 2);
    harness_unary(&s.h, &wait, "Wait", "selector { ids: '%s' ids: '%s' }", text_of(2).text, text_of(3).text);
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

/* Give the page's stretch the keys from @from to @to. */
static void answer_stretch(struct shelf *s, uint64_t from, uint64_t to, int is_end)
{
    struct futures_stretch *stretch = s->stretch;

    s->stretch = NULL;
    for (uint64_t key = from; !is_end && key <= to; key++) {
        struct id id = id_of(key);
        struct future *f = engine_find_any(s->h.engine, &id);

        f = f ? f : restore(s, key);
        engine_pin(s->h.engine, f);
        stretch->found[stretch->n++] = (struct futures_found){.id = id, .future = f};
        stretch->last = key;
    }
    stretch->is_end = is_end;
    stretch->on_loaded(stretch, 0);
    harness_settle(&s->h);
}

/* A page ends where what was fetched ends, and the next goes on there. */
static void test_list(void **state)
{
    Futured__V1__ListResponse *reply;
    struct loopback_call c;
    struct shelf s;
    char *token;

    setup(&s, 300);
    harness_unary(&s.h, &c, "List", "selector { filter: '*' } order_by: 'asc' page_size: 5");
    assert_int_equal(s.stretch->key, 0);
    answer_stretch(&s, 1, 3, 0);
    assert_false(c.is_done); /* that is no page */
    assert_int_equal(s.stretch->key, 3);
    answer_stretch(&s, 4, 8, 0);
    assert_true(c.is_done);
    reply = harness_message(&s.h, &c, 0, &futured__v1__list_response__descriptor);
    assert_int_equal(reply->n_futures, 5);
    assert_string_equal(reply->futures[4]->id, text_of(5).text);
    token = strdup(reply->next_page_token);
    harness_free(reply);
    loopback_call_deinit(&c);
    harness_unary(&s.h, &c, "List", "selector { filter: '*' } order_by: 'asc' page_size: 5 page_token: '%s'",
                  token);
    free(token);
    assert_int_equal(s.stretch->key, 5);
    answer_stretch(&s, 6, 8, 0);
    answer_stretch(&s, 0, 0, 1);
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

        setup(&s, 10);
        restore(&s, 1);
        futures_refuse(s.h.futures, cases[i].why);
        harness_unary(&s.h, &c, "Submit", "task { function: 'echo' }");
        harness_expect(&c, cases[i].code, cases[i].reason, NULL);
        loopback_call_deinit(&c);
        harness_unary(&s.h, &c, "Submit", "task { function: 'echo' options { durability: 2 } }");
        assert_int_equal(c.status.code, GRPC_OK); /* of no interest to the store */
        loopback_call_deinit(&c);
        harness_unary(&s.h, &c, "Get", "id: '%s'", text_of(1).text);
        assert_int_equal(c.status.code, GRPC_OK);
        loopback_call_deinit(&c);
        harness_unary(&s.h, &c, "Delete", "id: '%s'", text_of(1).text);
        release(&s);
        assert_int_equal(c.status.code, i < 2 ? GRPC_UNAVAILABLE : GRPC_OK); /* it makes room */
        loopback_call_deinit(&c);
        futures_refuse(s.h.futures, FUTURES_ACCEPT);
        harness_deinit(&s.h);
    }
}

/* With a store nobody hears of a durable future before its commit. */
static void test_shown_when_durable(void **state)
{
    struct loopback_call c;
    struct shelf s;

    setup(&s, 0);
    harness_unary(&s.h, &c, "Submit", "task { function: 'echo' }");
    assert_false(c.is_done);
    assert_int_equal(c.n_messages, 0);
    release(&s);
    assert_true(c.is_done);
    assert_int_equal(c.status.code, GRPC_OK);
    assert_int_equal(c.n_messages, 1);
    loopback_call_deinit(&c);
    harness_deinit(&s.h);
}

/* The store may have the key: everything that names it asks there first. @key: of the future that has it; 0: none. */
static void answer_key(struct shelf *s, uint64_t key, int result)
{
    struct future *f = key ? restore(s, key) : NULL;
    struct futures_wish *wish = TAKE_PTR(s->key_wish);

    assert_non_null(wish);
    wish->on_loaded(wish, result, f);
    harness_settle(&s->h);
}

static void key_setup(struct shelf *s)
{
    setup(s, 10);
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
            assert_string_equal(r->future->id, text_of(3).text);
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
