// SPDX-License-Identifier: Apache-2.0
/* Reading; what the door promises of it is in test_store.c. */
#include "store/view.h"
#include "tests/support/fault_vfs.h"
#include "tests/unit/store/sql.h"

#include <fcntl.h>

#define HOUR (3600 * NS_PER_S)

static void test_what_cannot_be_opened(void **state)
{
    struct store_view *v = NULL;
    struct fixture fx;

    fixture_init(&fx, NULL);
    assert_int_equal(view_open(&v, fx.path, NULL), -EIO);
    assert_null(v);
    assert_int_equal(mkdir(fx.directory, 0700), 0);
    sql_run(fx.path, "CREATE TABLE meta(x)");
    assert_int_equal(view_open(&v, fx.path, NULL), STORE_E_CORRUPT);
    assert_null(v);
    fixture_end(&fx);
}

/* A future that moves from live to done is never nowhere, and nobody sees half a transaction. */
static void test_a_get_is_of_one_moment(void **state)
{
    struct store_item *item;
    struct store_view *v;
    struct fixture fx;

    fixture_start(&fx);
    assert_int_equal(view_open(&v, fx.path, NULL), 0);
    for (uint32_t i = 1; i <= 20; i++) {
        struct sample *s = sample_plain(i);

        fixture_write_one(&fx, BATCH_PUT_LIVE, s);
        assert_int_equal(store_get(v, &s->future.id, 0, &item), 0);
        assert_false(item->is_done);
        store_item_free(item);
        sample_finish(s, sample_bytes("x"), HOUR);
        fixture_write_one(&fx, BATCH_FINISH, s);
        assert_int_equal(store_get(v, &s->future.id, 0, &item), 0);
        assert_true(item->is_done);
        store_item_free(item);
        sample_free(s);
    }
    assert_int_equal(store_checkpoint(fx.store, &fx.problem), 0); /* the view holds nothing */
    store_view_close(v);
    fixture_end(&fx);
}

/* The bytes of @k as a row's number in a page. */
static void put_row_number(uint8_t out[static 8], uint64_t k)
{
    for (int i = 7; i >= 0; i--, k >>= 7)
        out[i] = (uint8_t)((k & 0x7f) | (i < 7 ? 0x80 : 0));
}

/* A page whose rows are out of order: who reads on behind the last key would read them again and again. */
static void test_rows_out_of_order(void **state)
{
    struct store_scan scan = {.place = STORE_LIVE, .limit = 10, .limit_bytes = UINT64_MAX};
    struct sample *one = sample_plain(1), *two = sample_plain(2);
    uint8_t first[8], changed[8], *at;
    struct store_view *v;
    struct fixture fx;
    struct list items;
    uint8_t file[65536];
    ssize_t n;
    int fd;

    list_init(&items);
    fixture_start(&fx);
    fixture_write_one(&fx, BATCH_PUT_LIVE, one);
    fixture_write_one(&fx, BATCH_PUT_LIVE, two);
    fixture_close(&fx);
    put_row_number(first, sample_key(1));
    put_row_number(changed, sample_key(9));
    fd = open(fx.path, O_RDWR | O_CLOEXEC);
    n = read(fd, file, sizeof file);
    assert_true(n > 0 && n < (ssize_t)sizeof file);
    at = memmem(file, (size_t)n, first, sizeof first);
    assert_non_null(at);
    assert_int_equal(pwrite(fd, changed, sizeof changed, at - file), sizeof changed);
    err_close(&fd);
    assert_int_equal(view_open(&v, fx.path, NULL), 0);
    assert_int_equal(store_scan(v, &scan, &items), STORE_E_CORRUPT);
    store_items_free(&items);
    store_view_close(v);
    fixture_end(&fx);
    sample_free(one);
    sample_free(two);
}

static void test_extreme_keys(void **state)
{
    struct store_scan scan = {.place = STORE_LIVE, .limit = 10, .limit_bytes = UINT64_MAX};
    struct id id = id_make((UINT64_C(1) << 60) - 1, 0);
    struct store_item *item;
    struct store_view *v;
    struct fixture fx;
    struct list items;

    list_init(&items);
    fixture_start(&fx);
    assert_int_equal(view_open(&v, fx.path, NULL), 0);
    assert_int_equal(store_get(v, &id, 0, &item), STORE_E_NOT_FOUND);
    scan.key = UINT64_MAX;
    assert_int_equal(store_scan(v, &scan, &items), 0);
    scan.desc = 1;
    assert_int_equal(store_scan(v, &scan, &items), 0);
    scan.key = 0;
    assert_int_equal(store_scan(v, &scan, &items), 0);
    assert_true(list_is_empty(&items));
    store_view_close(v);
    fixture_end(&fx);
}

static void test_each_read_fails(void **state)
{
    struct sample *s = sample_plain(1);
    struct fault_plan plan = {.what = FAULT_READ, .n_times = UINT64_MAX, .system_errno = EIO};
    struct fixture fx;
    int r = -1;

    bytes_unref(s->future.task);
    s->future.task = sample_long(20000, 1);
    fixture_init(&fx, FAULT_VFS);
    fixture_open(&fx);
    fixture_write_one(&fx, BATCH_PUT_LIVE, s);
    for (plan.nth = 1; r != 0; plan.nth++) {
        struct store_item *item = NULL;
        struct store_view *v = NULL;
        int is_hit;

        fault_set(&plan);
        r = view_open(&v, fx.path, FAULT_VFS);
        if (r == 0)
            r = store_get(v, &s->future.id, STORE_WANT_TASK, &item);
        is_hit = fault_has_hit();
        fault_set(&(struct fault_plan){0});
        assert_int_equal(r, is_hit ? -EIO : 0); /* never "not found" */
        if (r == 0)
            sample_assert(&item->record, s);
        store_item_free(item);
        if (v) { /* and it can be used again */
            assert_int_equal(store_get(v, &s->future.id, STORE_WANT_TASK, &item), 0);
            store_item_free(item);
        }
        store_view_close(v);
    }
    assert_true(plan.nth > 5);
    fixture_close(&fx);
    fault_reset();
    fixture_end(&fx);
    sample_free(s);
}

static void test_without_memory(void **state)
{
    struct sample *s = sample_full(1);
    struct store_item *item;
    struct store_view *v;
    struct fixture fx;

    fixture_start(&fx);
    fixture_write_one(&fx, BATCH_FINISH, s);
    FAIL_EACH_ALLOCATION(nth)
    {
        int r = view_open(&v, fx.path, NULL);

        if (r == 0) {
            r = store_get(v, &s->future.id, 0, &item);
            if (r == 0)
                store_item_free(item);
            store_view_close(v);
        }
        assert_int_equal(r, test_allocation_failed() ? -ENOMEM : 0);
    }
    fixture_end(&fx);
    sample_free(s);
}

static int get_key(struct store_view *v, const char *namespace, const char *key, struct id *ret)
{
    struct store_item *item = NULL;
    int r = store_get_key(v, span_of_string(namespace), span_of_string(key), STORE_WANT_TASK, &item);

    if (r == 0)
        *ret = item->id;
    store_item_free(item);
    return r;
}

/* Who holds a key is found as long as it is stored, in its own namespace; the newest of several. */
static void test_keys(void **state)
{
    struct sample *s[4];
    struct store_view *v;
    struct fixture fx;
    struct batch *b;
    uint64_t k = 0, hashes[8];
    struct id id;
    uint32_t n;

    fixture_start(&fx);
    assert_int_equal(view_open(&v, fx.path, NULL), 0);
    for (uint32_t i = 0; i < 4; i++) {
        s[i] = sample_plain(i + 1);
        sample_hold_key(s[i], i < 3 ? "key" : "other");
        fixture_write_one(&fx, BATCH_PUT_LIVE, s[i]);
    }
    assert_int_equal(get_key(v, "", "key", &id), STORE_E_NOT_FOUND); /* those that live are not asked for */
    for (uint32_t i = 0; i < 4; i++) {
        sample_finish(s[i], sample_bytes("x"), HOUR);
        fixture_write_one(&fx, BATCH_FINISH, s[i]);
    }
    assert_int_equal(get_key(v, "", "key", &id), 0);
    assert_memory_equal(&id, &s[2]->future.id, sizeof id);
    assert_int_equal(get_key(v, "ns", "key", &id), STORE_E_NOT_FOUND);
    assert_int_equal(get_key(v, "", "ke", &id), STORE_E_NOT_FOUND);
    assert_int_equal(store_keys(v, &k, hashes, 3, &n), 0);
    assert_int_equal(n, 3);
    assert_true(hashes[0] == idem_stored_hash((struct span){0}, SPAN_LIT("key")) && hashes[2] == hashes[0]);
    assert_int_equal(store_keys(v, &k, hashes, 3, &n), 0);
    assert_int_equal(n, 1);
    mem_free(TAKE_PTR(s[2]->rare.idem)); /* given up */
    fixture_write_one(&fx, BATCH_PUT_DONE, s[2]);
    b = fixture_batch(&fx);
    assert_int_equal(batch_delete(b, &s[1]->future.id), 0);
    fixture_write(&fx, b);
    assert_int_equal(get_key(v, "", "key", &id), 0);
    assert_memory_equal(&id, &s[0]->future.id, sizeof id);
    sql_run(fx.path, "UPDATE done SET rec=x'00' WHERE k=(SELECT min(k) FROM done)");
    assert_int_equal(get_key(v, "", "key", &id), STORE_E_DATA_LOSS); /* never "not found" */
    k = 0;
    assert_int_equal(store_keys(v, &k, hashes, 8, &n), 0);
    assert_int_equal(n, 2);
    store_view_close(v);
    for (uint32_t i = 0; i < 4; i++)
        sample_free(s[i]);
    fixture_end(&fx);
}

/* The sweep takes a key with its future. */
static void test_swept_keys(void **state)
{
    const struct store_sweep how = {.now = SAMPLE_TIME + 3 * HOUR, .max = 100};
    struct sample *s = sample_plain(1);
    struct store_swept swept;
    struct store_view *v;
    struct fixture fx;
    struct id id;

    fixture_start(&fx);
    assert_int_equal(view_open(&v, fx.path, NULL), 0);
    sample_hold_key(s, "key");
    sample_finish(s, sample_bytes("x"), HOUR);
    fixture_write_one(&fx, BATCH_FINISH, s);
    assert_int_equal(get_key(v, "", "key", &id), 0);
    assert_int_equal(store_sweep(fx.store, &how, &swept, &fx.problem), 0);
    assert_int_equal(swept.n_deleted, 1);
    assert_int_equal(get_key(v, "", "key", &id), STORE_E_NOT_FOUND);
    assert_int_equal(sql_number(fx.path, "SELECT count(*) FROM idem"), 0);
    store_view_close(v);
    sample_free(s);
    fixture_end(&fx);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_what_cannot_be_opened),
            cmocka_unit_test(test_a_get_is_of_one_moment),
            cmocka_unit_test(test_rows_out_of_order),
            cmocka_unit_test(test_extreme_keys),
            cmocka_unit_test(test_each_read_fails),
            cmocka_unit_test(test_without_memory),
            cmocka_unit_test(test_keys),
            cmocka_unit_test(test_swept_keys),
    };

    fault_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
