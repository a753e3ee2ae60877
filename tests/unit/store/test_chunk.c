// SPDX-License-Identifier: Apache-2.0
/* The rows of output and log: written, and read as they were or not at all. That they go with their future: test_store.c. */
#include "store/chunk.h"
#include "tests/unit/store/fixture.h"

struct scene {
    struct fixture fx;
    sqlite3 *db;
    struct sample *sample;
};

static void scene_init(struct scene *s)
{
    fixture_start(&s->fx);
    s->sample = sample_plain(1);
    sample_tell(s->sample);
    fixture_write_one(&s->fx, BATCH_PUT_LIVE, s->sample);
    fixture_close(&s->fx);
    assert_int_equal(sqlite3_open(s->fx.path, &s->db), SQLITE_OK);
}

static void scene_deinit(struct scene *s)
{
    sqlite3_close(s->db);
    sample_free(s->sample);
    fixture_end(&s->fx);
}

static int load(struct scene *s, uint32_t n)
{
    struct restored_chunk *chunks = NULL;
    sqlite3_stmt *get;
    int r;

    assert_int_equal(sqlite3_prepare_v2(s->db, CHUNK_GET, -1, &get, NULL), SQLITE_OK);
    r = chunk_load(s->db, get, id_key(&s->sample->future.id), n, &chunks);
    sqlite3_finalize(get);
    if (r == 0 && n) {
        sample_assert_chunks(chunks, s->sample);
        assert_int_equal(chunk_bytes(chunks, n), 1 + 3001 + 6001);
    }
    assert_null(chunk_free(chunks, n));
    return r;
}

static void test_all_or_nothing(void **state)
{
    static const char *const damages[] = {
            "UPDATE chunk SET k=k+1 WHERE n=0",    "UPDATE chunk SET kind=1-kind WHERE n=1",
            "UPDATE chunk SET offset=5 WHERE n=2", "UPDATE chunk SET time=time+1 WHERE n=1",
            "UPDATE chunk SET stream=1 WHERE n=0", "UPDATE chunk SET data=x'' WHERE n=2",
            "UPDATE chunk SET n=7 WHERE n=2",
    };
    struct scene s;

    scene_init(&s);
    assert_int_equal(load(&s, 3), 0);
    assert_int_equal(load(&s, 0), 0);
    assert_int_equal(load(&s, 2), STORE_E_DATA_LOSS);
    assert_int_equal(load(&s, 4), STORE_E_DATA_LOSS);
    for (size_t i = 0; i < ARRAY_LEN(damages); i++) {
        assert_int_equal(sqlite3_exec(s.db, "BEGIN", NULL, NULL, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_exec(s.db, damages[i], NULL, NULL, NULL), SQLITE_OK);
        assert_int_equal(load(&s, 3), STORE_E_DATA_LOSS);
        assert_int_equal(sqlite3_exec(s.db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    }
    assert_int_equal(load(&s, 3), 0);
    scene_deinit(&s);
}

static void test_without_memory(void **state)
{
    struct scene s;
    int r;

    scene_init(&s);
    FAIL_EACH_ALLOCATION(nth)
    {
        r = load(&s, 3);
        assert_int_equal(r, test_allocation_failed() ? -ENOMEM : 0);
    }
    scene_deinit(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_all_or_nothing),
            cmocka_unit_test(test_without_memory),
    };

    test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
