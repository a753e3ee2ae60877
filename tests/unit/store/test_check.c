// SPDX-License-Identifier: Apache-2.0
#include "store/check.h"
#include "tests/unit/store/sql.h"

#include <fcntl.h>

#define HOUR (3600 * NS_PER_S)

static void fill(struct fixture *fx)
{
    struct batch *b = fixture_batch(fx);

    for (uint32_t i = 1; i <= 40; i++) {
        struct sample *s = sample_plain(i);

        if (i % 8 == 0) {
            bytes_unref(s->future.task);
            s->future.task = sample_long(5000, (uint8_t)i);
        }
        if (i == 3)
            s->future.state = FUTURE_RUNNING;
        if (i == 20)
            sample_tell(s);
        if (i > 10)
            sample_finish(s, i % 4 == 3 ? NULL : sample_long(i * 100, 1), i * HOUR / 3);
        fixture_put(b, i > 10 ? BATCH_FINISH : BATCH_PUT_LIVE, s);
        sample_free(s);
    }
    assert_int_equal(batch_key_ceiling(b, sample_key(1000)), 0);
    fixture_write(fx, b);
}

/* Check the store of @fx, which is closed, and keep what it said in @said. */
static int check(const struct fixture *fx, char **said)
{
    size_t n;
    FILE *out = open_memstream(said, &n);
    int r;

    assert_non_null(out);
    r = check_store(fx->directory, out);
    fclose(out);
    return r;
}

static void assert_says(const struct fixture *fx, int want, const char *words)
{
    char *said;
    int r = check(fx, &said);

    if (r != want || !strstr(said, words))
        fail_msg("%d, and without \"%s\": %s", r, words, said);
    free(said);
}

static void test_a_sound_store(void **state)
{
    struct fixture fx;

    fixture_start(&fx);
    fill(&fx);
    fixture_close(&fx);
    assert_says(&fx, 0, "pending 9, running 1, succeeded 22, failed 8, cancelled 0, damaged 0\nsound\n");
    assert_says(&fx, 0, "named in expiry 30");
    fixture_end(&fx);
}

static void test_an_empty_store(void **state)
{
    struct fixture fx;

    fixture_start(&fx);
    fixture_close(&fx);
    assert_says(&fx, 0, "sound");
    fixture_end(&fx);
}

static void test_every_kind_of_problem(void **state)
{
    static const struct {
        const char *damage, *words;
    } cases[] = {
            {"UPDATE live SET rec=substr(rec, 1, 30) || x'00' || substr(rec, 32) WHERE k=(SELECT max(k) FROM "
             "live)",
             "live future"},
            {"UPDATE done SET rec=x'' WHERE k=(SELECT min(k) FROM done)", "finished future"},
            {"UPDATE done SET fn='other' WHERE k=(SELECT min(k) FROM done)", "function or state differ"},
            {"UPDATE done SET state=5 WHERE k=(SELECT min(k) FROM done)", "function or state differ"},
            {"UPDATE done SET grp=x'0061' WHERE k=(SELECT min(k) FROM done)", "the group differs"},
            {"UPDATE blob SET data=zeroblob(length(data)) WHERE rowid=1", "fail their checksum"},
            {"UPDATE blob SET n=1-n WHERE rowid=1", "fail their checksum"},
            {"DELETE FROM blob WHERE rowid=1", "fail their checksum"},
            {"INSERT INTO blob VALUES(1, 0, 0, x'00')", "1 blobs belong to no future"},
            {"UPDATE chunk SET attempt=2 WHERE n=1", "fail their checksum"},
            {"UPDATE chunk SET data=x'01' WHERE n=0", "fail their checksum"},
            {"DELETE FROM chunk WHERE n=1", "fail their checksum"},
            {"INSERT INTO chunk SELECT k, 3, kind, attempt, stream, offset, time, crc, data FROM chunk WHERE "
             "n=0",
             "fail their checksum"},
            {"INSERT INTO chunk VALUES(1, 0, 0, 1, 1, 0, 0, 0, x'00')",
             "1 pieces of output or log belong to no future"},
            {"INSERT INTO chunk SELECT (SELECT min(k) FROM live), 0, kind, attempt, stream, offset, time, "
             "crc, data FROM "
             "chunk WHERE n=0",
             "4 pieces of output or log are there, and 3 are known"},
            {"DELETE FROM expiry WHERE hour=(SELECT min(hour) FROM expiry)",
             "no row of expiry names it in time"},
            {"UPDATE expiry SET hour=hour+1000000", "no row of expiry names it in time"},
            {"UPDATE expiry SET ks=x'80'", "a row of expiry"},
            {"INSERT INTO done SELECT k, id, 'echo', 1, NULL, rec FROM live LIMIT 1",
             "1 futures are live and finished"},
            {"UPDATE live SET k=k+1 WHERE k=(SELECT max(k) FROM live)", "live future"},
            {"UPDATE meta SET epoch=0", "meta makes no sense"},
            {"UPDATE meta SET commit_seq=1", "1 commits are lost"},
            {"UPDATE meta SET k_ceiling=5", "its key is above the ceiling"},
            {"INSERT INTO meta SELECT * FROM meta", "meta has 2 rows"},
            {"DELETE FROM settings WHERE name='stored.uid:1000/'",
             "bytes less than its finished futures take"},
            {"UPDATE settings SET value=value+7 WHERE name='stored.uid:1000/'",
             "the account of uid:1000/ has 7 bytes more than its finished futures take"},
            {"INSERT INTO settings(name, value, who, at, why) VALUES('stored.uid:7/other', '5', '', 0, '')",
             "the account of uid:7/other has 5 bytes more"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture fx;

        fixture_start(&fx);
        fill(&fx);
        fixture_close(&fx);
        sql_run(fx.path, cases[i].damage);
        assert_says(&fx, CHECK_E_PROBLEMS, cases[i].words);
        assert_says(&fx, CHECK_E_PROBLEMS, "not sound");
        fixture_end(&fx);
    }
}

/* A failed future and a live one that retries it; each names the other if it is said to. */
static void put_pair(struct fixture *fx, int retry_names, int retried_names)
{
    struct batch *b = fixture_batch(fx);
    struct sample *failed = sample_plain(1), *retry = sample_plain(2);

    sample_finish(failed, NULL, 24 * HOUR);
    sample_retry(failed, 0, 1);
    sample_retry(retry, 1, 0);
    if (retried_names)
        failed->rare.retried_by = retry->future.id;
    if (retry_names)
        retry->rare.retry_of = failed->future.id;
    fixture_put(b, BATCH_FINISH, failed);
    fixture_put(b, BATCH_PUT_LIVE, retry);
    assert_int_equal(batch_key_ceiling(b, sample_key(1000)), 0);
    fixture_write(fx, b);
    sample_free(failed);
    sample_free(retry);
}

static void test_retries(void **state)
{
    static const struct {
        int retry_names, retried_names, want;
        const char *words;
    } cases[] = {
            {1, 1, 0, "sound"},
            {0, 0, 0, "sound"}, /* what they name is gone */
            {1, 0, CHECK_E_PROBLEMS, "what it retries names another retry, or none"},
            {0, 1, CHECK_E_PROBLEMS, "its retry is not one of it"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture fx;

        fixture_start(&fx);
        put_pair(&fx, cases[i].retry_names, cases[i].retried_names);
        fixture_close(&fx);
        assert_says(&fx, cases[i].want, cases[i].words);
        fixture_end(&fx);
    }
}

static void test_what_cannot_be_read(void **state)
{
    struct fixture fx;
    uint8_t page[4096] = {1, 2, 3};
    int fd;

    fixture_init(&fx, NULL);
    assert_says(&fx, CHECK_E_UNREADABLE, "cannot be read");
    fixture_open(&fx);
    fill(&fx);
    assert_says(&fx, CHECK_E_UNREADABLE, "is in use by process");
    fixture_close(&fx);
    sql_run(fx.path, "UPDATE meta SET schema=7");
    assert_says(&fx, CHECK_E_UNREADABLE, "schema 7");
    sql_run(fx.path, "UPDATE meta SET schema=2");
    assert_says(&fx, 0, "sound");
    fd = open(fx.path, O_WRONLY | O_CLOEXEC); /* a page of each table, one after the other */
    assert_true(fd >= 0);
    for (off_t at = 4096; at < 10 * 4096; at += 4096)
        assert_int_equal(pwrite(fd, page, sizeof page, at), sizeof page);
    err_close(&fd);
    assert_says(&fx, CHECK_E_UNREADABLE, "malformed");
    fixture_end(&fx);
}

static void test_a_flipped_bit_anywhere_is_no_silence(void **state)
{
    struct test_random random = {test_seed()};
    struct fixture fx;
    struct stat st;
    int fd, n_seen = 0;

    fixture_start(&fx);
    fill(&fx);
    fixture_close(&fx);
    assert_int_equal(stat(fx.path, &st), 0);
    fd = open(fx.path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    for (int i = 0; i < 300; i++) {
        off_t at = (off_t)test_random_below(&random, (uint64_t)st.st_size);
        uint8_t was, is;
        char *said;
        int r;

        assert_int_equal(pread(fd, &was, 1, at), 1);
        is = was ^ (uint8_t)(1 << test_random_below(&random, 8));
        assert_int_equal(pwrite(fd, &is, 1, at), 1);
        r = check(&fx, &said);
        if (r != 0)
            n_seen++;
        else /* it was in a byte that nothing uses */
            assert_non_null(
                    strstr(said, "pending 9, running 1, succeeded 22, failed 8, cancelled 0, damaged 0"));
        free(said);
        assert_int_equal(pwrite(fd, &was, 1, at), 1);
    }
    err_close(&fd);
    assert_true(n_seen > 100);
    assert_says(&fx, 0, "sound");
    fixture_end(&fx);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_a_sound_store),
            cmocka_unit_test(test_an_empty_store),
            cmocka_unit_test(test_every_kind_of_problem),
            cmocka_unit_test(test_retries),
            cmocka_unit_test(test_what_cannot_be_read),
            cmocka_unit_test(test_a_flipped_bit_anywhere_is_no_silence),
    };

    test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
