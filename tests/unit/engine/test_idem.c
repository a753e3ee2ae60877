// SPDX-License-Identifier: Apache-2.0
/* Keys: the set by itself, and what a submission with a key does at the engine's door, in each state of who holds it. */
#include "engine/idem.h"
#include "engine/restore.h"
#include "tests/unit/engine/fixture.h"

/* function echo, argument and content type as given */
static struct engine_submit keyed(struct fixture *x, const char *key, const char *argument, const char *type)
{
    struct engine_submit in = fixture_in(x, NULL);
    size_t a = strlen(argument), t = strlen(type);
    uint8_t text[256];

    memcpy(text, "echo", 4);
    memcpy(text + 4, argument, a);
    memcpy(text + 4 + a, type, t);
    in.task = bytes_dup(text, 4 + a + t);
    assert_non_null(in.task);
    in.argument_at = 4;
    in.argument_field_bytes = in.argument_bytes = (uint32_t)a;
    in.content_type_at = t ? (uint32_t)(4 + a) : 0;
    in.content_type_bytes = (uint32_t)t;
    in.key = span_of_string(key);
    in.key_policy = KEY_JOIN;
    return in;
}

static struct future *submit_keyed(struct fixture *x, const char *key)
{
    struct engine_submit in = keyed(x, key, "a", "t");
    struct future *f = fixture_submit(x, &in);

    bytes_unref(in.task);
    return f;
}

/* What engine_join says; *ret is what it found. */
static int join(struct fixture *x, struct engine_submit in, enum key_policy policy, struct future **ret)
{
    int r;

    in.key_policy = policy;
    r = engine_join(x->e, &in, ret);
    bytes_unref(in.task);
    return r;
}

static void to_state(struct fixture *x, struct future *f, enum future_state state)
{
    if (state == FUTURE_PENDING)
        return;
    if (state == FUTURE_CANCELLED) {
        assert_int_equal(engine_cancel(x->e, f, x->scope, (struct span){0}, -1), 0);
        return;
    }
    fixture_start(x);
    if (state == FUTURE_SUCCEEDED)
        fixture_succeed(x, f->lease);
    else if (state == FUTURE_FAILED)
        fixture_fail(x, f->lease);
}

/* Each policy against each state. */
static void test_policies(void **state)
{
    static const struct {
        enum key_policy policy;
        int joins[6]; /* by state; 0: a new one */
    } rows[] = {
            {KEY_JOIN, {0, 1, 1, 1, 1, 1}},
            {KEY_JOIN_UNLESS_FAILED, {0, 1, 1, 1, 0, 0}},
            {KEY_JOIN_WHILE_ACTIVE, {0, 1, 1, 0, 0, 0}},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (enum future_state at = FUTURE_PENDING; at <= FUTURE_CANCELLED; at++) {
            struct future *f, *other, *found;
            struct fixture x;

            fixture_init(&x);
            f = submit_keyed(&x, "k");
            to_state(&x, f, at);
            assert_int_equal(f->state, at);
            assert_int_equal(join(&x, keyed(&x, "k", "a", "t"), KEY_REJECT, &found), ENGINE_E_KEY_IN_USE);
            assert_ptr_equal(found, f);
            assert_int_equal(join(&x, keyed(&x, "k", "a", "t"), rows[i].policy, &found), 0);
            assert_ptr_equal(found, rows[i].joins[at] ? f : NULL);
            if (!found) { /* the old one is without it from now on */
                uint64_t revision = f->revision;

                other = submit_keyed(&x, "k");
                engine_check(x.e);
                assert_ptr_equal(engine_find_key(x.e, x.scope, SPAN_LIT("k")), other);
                assert_int_equal(future_key(f).len, 0);
                assert_true(f->revision > revision && f->fact);
                engine_end(x.e);
                assert_true(x.e->effects.n_facts >= 2);
                engine_begin(x.e, x.mono, x.wall);
            }
            fixture_deinit(&x);
        }
}

static void test_the_same_task(void **state)
{
    static const struct {
        const char *argument, *type;
    } others[] = {{"b", "t"}, {"", "t"}, {"a", ""}, {"a", "u"}, {"aa", "t"}};
    struct engine_submit in;
    struct future *f, *found;
    struct fixture x;

    fixture_init(&x);
    f = submit_keyed(&x, "k");
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        assert_int_equal(join(&x, keyed(&x, "k", others[i].argument, others[i].type), KEY_JOIN, &found),
                         ENGINE_E_OTHER_TASK);
        assert_ptr_equal(found, f);
    }
    in = keyed(&x, "k", "a", "t");
    in.function = SPAN_LIT("sleep");
    assert_int_equal(join(&x, in, KEY_JOIN_WHILE_ACTIVE, &found), ENGINE_E_OTHER_TASK);
    in = keyed(&x, "k", "a", "t"); /* group, tag and options do not count */
    in.group = SPAN_LIT("g");
    in.priority = 5;
    in.durability = DURABILITY_EPHEMERAL;
    assert_int_equal(join(&x, in, KEY_JOIN, &found), 0);
    assert_ptr_equal(found, f);
    assert_int_equal(join(&x, keyed(&x, "other", "b", "t"), KEY_JOIN, &found), 0);
    assert_null(found);
    fixture_deinit(&x);
}

static void test_one_key_in_two_namespaces(void **state)
{
    struct engine_submit in;
    struct future *f, *found;
    struct fixture x;

    fixture_init(&x);
    f = submit_keyed(&x, "k");
    in = keyed(&x, "k", "b", "t");
    in.scope = engine_scope(x.e, SPAN_LIT("other"), SPAN_LIT("alice"));
    assert_int_equal(join(&x, in, KEY_JOIN, &found), 0);
    assert_null(found);
    in = keyed(&x, "k", "a", "t");
    in.scope = engine_scope(x.e, SPAN_LIT("ns"), SPAN_LIT("bob")); /* but it is not the caller's */
    assert_int_equal(join(&x, in, KEY_JOIN, &found), 0);
    assert_ptr_equal(found, f);
    fixture_deinit(&x);
}

/* A key goes with its future. */
static void test_forgotten(void **state)
{
    struct future *f, *found;
    struct fixture x;

    fixture_init(&x);
    f = submit_keyed(&x, "k");
    to_state(&x, f, FUTURE_CANCELLED);
    fixture_turn(&x);
    assert_int_equal(engine_delete(x.e, f), 0);
    assert_null(engine_find_key(x.e, x.scope, SPAN_LIT("k")));
    assert_int_equal(join(&x, keyed(&x, "k", "b", "t"), KEY_JOIN, &found), 0);
    assert_null(found);
    fixture_deinit(&x);
}

static void test_filter(void **state)
{
    struct idem_set s;
    uint32_t n = 0;

    idem_set_init(&s, &(struct hash_seed){1, 2});
    for (uint64_t i = 0; i < 1000; i++)
        assert_false(idem_may_be_stored(&s, i * 0x9e3779b97f4a7c15U));
    for (uint32_t i = 0; i < 100000; i++) {
        uint64_t h = idem_stored_hash(SPAN_LIT("ns"), (struct span){(const uint8_t *)&i, sizeof i});

        if (i % 2)
            idem_note_stored(&s, h);
    }
    for (uint32_t i = 0; i < 100000; i++) {
        uint64_t h = idem_stored_hash(SPAN_LIT("ns"), (struct span){(const uint8_t *)&i, sizeof i});

        if (i % 2)
            assert_true(idem_may_be_stored(&s, h));
        else
            n += (uint32_t)idem_may_be_stored(&s, h);
    }
    assert_true(n < 1000); /* of 50,000: about 7 */
    assert_true(idem_stored_hash(SPAN_LIT("a"), SPAN_LIT("b")) !=
                idem_stored_hash(SPAN_LIT("b"), SPAN_LIT("a")));
    assert_true(idem_stored_hash((struct span){0}, SPAN_LIT("k")) ==
                0x7d01755c858d8540U); /* it is on disks */
    idem_set_deinit(&s);
    idem_set_init(&s, &(struct hash_seed){1, 2});
    mem_fail_at(1);
    idem_note_stored(&s, 1);
    mem_fail_at(0);
    assert_true(idem_may_be_stored(&s, 2)); /* nothing is known: look */
    idem_note_stored(&s, 1);
    idem_set_deinit(&s);
}

static struct restored stored(const struct fixture *x, uint64_t key, struct bytes *task, struct bytes *data)
{
    return (struct restored){
            .id = id_make(key, key),
            .state = FUTURE_SUCCEEDED,
            .on_lost = ON_LOST_RETRY,
            .submit_time = x->wall,
            .retention_ns = -1,
            .function = SPAN_LIT("echo"),
            .namespace = SPAN_LIT("ns"),
            .key = SPAN_LIT("k"),
            .request_id = SPAN_LIT("r"),
            .end_time = x->wall,
            .expire_time = x->wall + 3600 * NS_PER_S,
            .task = task,
            .data = data,
    };
}

/* What comes back from the store holds its key again, unless somebody else does by now. */
static void test_restored(void **state)
{
    struct bytes *task = bytes_dup("task", 4), *data = bytes_dup("data", 4);
    struct restored in;
    struct future *f, *late;
    struct fixture x;

    fixture_init(&x);
    in = stored(&x, 1, task, data);
    assert_int_equal(engine_restore(x.e, &in, &f), 0);
    engine_check(x.e);
    assert_ptr_equal(engine_find_key(x.e, x.scope, SPAN_LIT("k")), f);
    assert_memory_equal(
            engine_find_request(x.e, engine_scope(x.e, SPAN_LIT("ns"), (struct span){0}), SPAN_LIT("r")),
            &f->id, sizeof f->id);
    in = stored(&x, 2, task, data);
    assert_int_equal(engine_restore(x.e, &in, &late), 0);
    engine_check(x.e);
    assert_ptr_equal(engine_find_key(x.e, x.scope, SPAN_LIT("k")), f);
    assert_int_equal(future_key(late).len, 0);
    bytes_unref(task);
    bytes_unref(data);
    fixture_deinit(&x);
}

/* What leaves memory because the store has it is looked for there. */
static void test_evicted(void **state)
{
    struct fixture x;
    struct future *f;

    fixture_init(&x);
    x.e->config.has_store = 1;
    f = submit_keyed(&x, "k");
    to_state(&x, f, FUTURE_CANCELLED);
    assert_false(engine_key_may_be_stored(x.e, x.scope, SPAN_LIT("k")));
    engine_end(x.e);
    engine_taken(x.e);
    engine_durable(x.e, x.e->effects.commit_seq);
    engine_begin(x.e, x.mono, x.wall);
    assert_int_equal(x.e->n_evicted, 1);
    assert_null(engine_find_key(x.e, x.scope, SPAN_LIT("k")));
    assert_true(engine_key_may_be_stored(x.e, x.scope, SPAN_LIT("k")));
    assert_false(engine_key_may_be_stored(x.e, x.scope, SPAN_LIT("l")));
    fixture_deinit(&x);
}

static void test_fail_each_allocation(void **state)
{
    int has_failed = 1;

    for (uint64_t nth = 1; has_failed; nth++) {
        struct engine_submit in;
        struct future *old, *f = NULL;
        struct fixture x;
        int r;

        fixture_init(&x);
        old = submit_keyed(&x, "k");
        to_state(&x, old, FUTURE_CANCELLED);
        in = keyed(&x, "k", "a", "t");
        in.request_id = SPAN_LIT("r");
        mem_fail_at(nth);
        r = engine_submit(x.e, &in, &f);
        has_failed = test_allocation_failed();
        mem_fail_at(0);
        engine_check(x.e);
        assert_int_equal(r, has_failed ? -ENOMEM : 0);
        assert_ptr_equal(engine_find_key(x.e, x.scope, SPAN_LIT("k")), has_failed ? old : f);
        if (has_failed)
            assert_int_equal(engine_submit(x.e, &in, &f), 0);
        assert_ptr_equal(engine_find_key(x.e, x.scope, SPAN_LIT("k")), f);
        bytes_unref(in.task);
        fixture_deinit(&x);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_policies),  cmocka_unit_test(test_the_same_task),
            cmocka_unit_test(test_forgotten), cmocka_unit_test(test_one_key_in_two_namespaces),
            cmocka_unit_test(test_filter),    cmocka_unit_test(test_restored),
            cmocka_unit_test(test_evicted),   cmocka_unit_test(test_fail_each_allocation),
    };

    test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
