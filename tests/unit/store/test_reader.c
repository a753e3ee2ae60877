// SPDX-License-Identifier: Apache-2.0
#include "store/reader.h"
#include "tests/unit/store/sql.h"

#define HOUR (3600 * NS_PER_S)

enum { N = 50 };

static void fill(struct fixture *fx)
{
    struct batch *b = fixture_batch(fx);

    for (uint32_t i = 1; i <= N; i++) {
        struct sample *s = sample_plain(i);

        if (i % 2)
            sample_finish(s, sample_bytes("x"), HOUR);
        fixture_put(b, i % 2 ? BATCH_FINISH : BATCH_PUT_LIVE, s);
        sample_free(s);
    }
    fixture_write(fx, b);
}

static struct reader *start(struct fixture *fx, uint32_t max)
{
    struct reader *r;

    fixture_start(fx);
    fill(fx);
    assert_int_equal(reader_start(&r, fx->store, max), 0);
    return r;
}

static void take_to(struct reader *reader, struct list *got)
{
    fixture_wait(reader_fd(reader));
    reader_take(reader, got);
}

/* The answer to the only request. */
static struct reader_request *take_one(struct reader *reader)
{
    struct list got;

    list_init(&got);
    while (list_is_empty(&got))
        take_to(reader, &got);
    assert_ptr_equal(got.next, got.prev);
    return LIST_ENTRY(list_pop_front(&got), struct reader_request, link);
}

static void end(struct fixture *fx, struct reader *reader)
{
    struct list got;

    list_init(&got);
    assert_null(reader_stop(reader, &got));
    assert_true(list_is_empty(&got));
    fixture_end(fx);
}

static void test_get(void **state)
{
    struct reader_request r = {.kind = READER_GET};
    struct fixture fx;
    struct reader *reader = start(&fx, 10);

    for (uint32_t i = 1; i <= N + 1; i++) {
        struct sample *s = sample_plain(i);

        if (i % 2)
            sample_finish(s, sample_bytes("x"), HOUR);
        r.id = s->future.id;
        assert_int_equal(reader_submit(reader, &r), 0);
        assert_ptr_equal(take_one(reader), &r);
        assert_int_equal(r.result, i <= N ? 0 : STORE_E_NOT_FOUND);
        if (i <= N) {
            struct store_item *item = LIST_ENTRY(r.items.next, struct store_item, link);

            assert_int_equal(item->is_done, i % 2);
            sample_assert(&item->record, s);
        } else {
            assert_true(list_is_empty(&r.items));
        }
        store_items_free(&r.items);
        sample_free(s);
    }
    end(&fx, reader);
}

static void test_answers_come_in_order(void **state)
{
    struct reader_request r[20];
    struct fixture fx;
    struct reader *reader = start(&fx, ARRAY_LEN(r));
    struct list got, *l;
    size_t n = 0;

    list_init(&got);
    for (size_t i = 0; i < ARRAY_LEN(r); i++) {
        r[i] = (struct reader_request){
                .kind = READER_SCAN,
                .scan = {.place = STORE_DONE,
                         .key = UINT64_MAX,
                         .limit = (uint32_t)i + 1,
                         .limit_bytes = UINT64_MAX,
                         .desc = 1},
        };
        assert_int_equal(reader_submit(reader, &r[i]), 0);
    }
    while (n < ARRAY_LEN(r)) {
        take_to(reader, &got);
        while ((l = list_pop_front(&got))) {
            size_t n_items = 0;

            assert_ptr_equal(l, &r[n].link);
            assert_int_equal(r[n].result, 0);
            LIST_FOREACH (item, &r[n].items)
                n_items++;
            assert_int_equal(n_items, n + 1);
            store_items_free(&r[n].items);
            n++;
        }
    }
    end(&fx, reader);
}

static void test_counts(void **state)
{
    struct reader_request r = {.kind = READER_COUNTS};
    struct fixture fx;
    struct reader *reader = start(&fx, 1);

    assert_int_equal(reader_submit(reader, &r), 0);
    take_one(reader);
    assert_int_equal(r.result, 0);
    assert_int_equal(r.counts.n_live, N / 2);
    assert_int_equal(r.counts.n_by_state[FUTURE_SUCCEEDED], N / 2);
    end(&fx, reader);
}

static void test_full_until_taken(void **state)
{
    struct reader_request r[3] = {{.kind = READER_COUNTS}, {.kind = READER_COUNTS}, {.kind = READER_COUNTS}};
    struct fixture fx;
    struct reader *reader = start(&fx, 2);
    struct list got;

    list_init(&got);

    assert_int_equal(reader_submit(reader, &r[0]), 0);
    assert_int_equal(reader_submit(reader, &r[1]), 0);
    assert_int_equal(reader_submit(reader, &r[2]), READER_E_FULL); /* even if it is answered already */
    take_to(reader, &got);
    assert_int_equal(reader_submit(reader, &r[2]), 0);
    for (size_t i = 0; i < ARRAY_LEN(r); i++) {
        while (list_is_empty(&got))
            take_to(reader, &got);
        assert_ptr_equal(list_pop_front(&got), &r[i].link);
    }
    end(&fx, reader);
}

/* Stopped with requests waiting: each comes back, and those that were cancelled were not read. */
static void test_stop_and_cancel(void **state)
{
    enum { MANY = 200 };
    static struct reader_request r[MANY];
    struct fixture fx;
    struct reader *reader = start(&fx, MANY);
    struct list got;
    size_t n = 0;

    list_init(&got);
    for (size_t i = 0; i < MANY; i++) {
        r[i] = (struct reader_request){.kind = READER_COUNTS};
        assert_int_equal(reader_submit(reader, &r[i]), 0);
        if (i % 2)
            reader_cancel(reader, &r[i]);
    }
    assert_null(reader_stop(reader, &got));
    LIST_FOREACH (l, &got) {
        assert_ptr_equal(l, &r[n].link);
        assert_true(r[n].result == 0 || (r[n].result == STORE_E_NOT_FOUND && r[n].is_cancelled));
        n++;
    }
    assert_int_equal(n, MANY);
    assert_null(reader_stop(NULL, NULL));
    fixture_end(&fx);
}

static void test_data_loss(void **state)
{
    struct sample *s = sample_plain(2);
    struct reader_request r = {.kind = READER_GET, .id = s->future.id};
    struct fixture fx;
    struct reader *reader = start(&fx, 1);

    sql_run(fx.path, "UPDATE live SET rec=x'0102030405060708'");
    assert_int_equal(reader_submit(reader, &r), 0);
    take_one(reader);
    assert_int_equal(r.result, STORE_E_DATA_LOSS);
    assert_true(list_is_empty(&r.items));
    end(&fx, reader);
    sample_free(s);
}

static void test_without_memory(void **state)
{
    struct reader *reader;
    struct fixture fx;

    fixture_start(&fx);
    FAIL_EACH_ALLOCATION(nth)
    {
        int r = reader_start(&reader, fx.store, 1);
        struct list got;

        list_init(&got);
        assert_int_equal(r, test_allocation_failed() ? -ENOMEM : 0);
        if (r == 0)
            reader_stop(reader, &got);
    }
    fixture_end(&fx);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_get),
            cmocka_unit_test(test_answers_come_in_order),
            cmocka_unit_test(test_counts),
            cmocka_unit_test(test_full_until_taken),
            cmocka_unit_test(test_stop_and_cancel),
            cmocka_unit_test(test_data_loss),
            cmocka_unit_test(test_without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
