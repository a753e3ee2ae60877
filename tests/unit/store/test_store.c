// SPDX-License-Identifier: Apache-2.0
/* Through the door: what is written is there, also after the next start, and nothing else is. */
#include "tests/unit/store/sql.h"

#include <fcntl.h>

#define HOUR (3600 * NS_PER_S)

static void reopen(struct fixture *fx)
{
    fixture_close(fx);
    fixture_open(fx);
}

static void test_a_new_store(void **state)
{
    struct fixture fx;
    struct stat st;

    fixture_start(&fx);
    assert_int_equal(stat(fx.directory, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(stat(fx.path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(fx.store->meta.schema, 2);
    assert_int_equal(fx.store->meta.epoch, 1);
    assert_int_equal(fx.store->meta.k_ceiling, 0);
    assert_int_equal(fx.store->meta.n_lost, 0);
    assert_int_equal(sql_number(fx.path, "PRAGMA journal_mode='wal'"), 0); /* the answer is the text wal */
    reopen(&fx);
    assert_int_equal(fx.store->meta.epoch, 2);
    assert_int_equal(fx.store->meta.commits, 2);
    fixture_end(&fx);
}

static void test_a_life(void **state)
{
    struct sample *s = sample_plain(1);
    struct fixture fx;

    fixture_start(&fx);
    fixture_assert_not(&fx, s);
    fixture_write_one(&fx, BATCH_PUT_LIVE, s);
    fixture_assert_has(&fx, s);
    s->future.state = FUTURE_RUNNING;
    s->future.revision++;
    fixture_write_one(&fx, BATCH_PUT_LIVE, s);
    fixture_assert_has(&fx, s);
    reopen(&fx);
    fixture_assert_has(&fx, s);
    sample_finish(s, sample_bytes("hello"), HOUR);
    fixture_write_one(&fx, BATCH_FINISH, s);
    fixture_assert_has(&fx, s);
    assert_int_equal(fixture_counts(&fx).n_live, 0);
    assert_int_equal(fixture_counts(&fx).n_by_state[FUTURE_SUCCEEDED], 1);
    s->future.revision++;
    s->future.labels = s->labels = labels_new(&(struct label){SPAN_LIT("a"), SPAN_LIT("b")}, 1);
    fixture_write_one(&fx, BATCH_PUT_DONE, s);
    reopen(&fx);
    fixture_assert_has(&fx, s);
    assert_int_equal(sql_number(fx.path, "SELECT count(*) FROM expiry"), 1);
    fixture_end(&fx);
    sample_free(s);
}

static void test_accept_and_finish_in_one_batch(void **state)
{
    struct sample *s = sample_plain(1);
    struct fixture fx;
    struct batch *b;

    fixture_start(&fx);
    b = fixture_batch(&fx);
    fixture_put(b, BATCH_PUT_LIVE, s);
    sample_finish(s, NULL, HOUR);
    fixture_put(b, BATCH_FINISH, s);
    fixture_write(&fx, b);
    fixture_assert_has(&fx, s);
    assert_int_equal(fixture_counts(&fx).n_live, 0);
    fixture_end(&fx);
    sample_free(s);
}

/* It was never live, and nobody looks for it there. */
static void test_finish_of_a_new_one(void **state)
{
    struct sample *s = sample_plain(1), *other = sample_plain(2);
    struct fixture fx;

    fixture_start(&fx);
    fixture_write_one(&fx, BATCH_PUT_LIVE, other);
    sample_finish(s, sample_long(5000, 2), HOUR);
    fixture_write_one(&fx, BATCH_FINISH_NEW, s);
    reopen(&fx);
    fixture_assert_has(&fx, s);
    fixture_assert_has(&fx, other);
    assert_int_equal(fixture_counts(&fx).n_live, 1);
    assert_int_equal(sql_number(fx.path, "SELECT count(*) FROM blob"), 1);
    assert_int_equal(sql_number(fx.path, "SELECT count(*) FROM expiry"), 1);
    fixture_end(&fx);
    sample_free(s);
    sample_free(other);
}

static void test_everything_a_future_can_have(void **state)
{
    struct sample *s = sample_full(1);
    struct fixture fx;

    fixture_start(&fx);
    fixture_write_one(&fx, BATCH_FINISH, s);
    reopen(&fx);
    fixture_assert_has(&fx, s);
    fixture_end(&fx);
    sample_free(s);
}

static void test_large_payloads_are_written_once(void **state)
{
    struct sample *s = sample_plain(1);
    struct fixture fx;

    bytes_unref(s->future.task);
    s->future.task = sample_long(300000, 1);
    fixture_start(&fx);
    fixture_write_one(&fx, BATCH_PUT_LIVE, s);
    fixture_assert_has(&fx, s);
    assert_int_equal(sql_number(fx.path, "SELECT count(*) FROM blob"), 1);
    assert_true(sql_number(fx.path, "SELECT length(rec) FROM live") < 200);
    sql_run(fx.path, "UPDATE blob SET rowid=77"); /* a second writing would give it a new one, or fail */
    s->future.state = FUTURE_RUNNING;
    fixture_write_one(&fx, BATCH_PUT_LIVE, s);
    sample_finish(s, sample_long(5000, 2), HOUR);
    fixture_write_one(&fx, BATCH_FINISH, s);
    assert_int_equal(sql_number(fx.path, "SELECT count(*) FROM blob"), 2);
    assert_int_equal(sql_number(fx.path, "SELECT rowid FROM blob WHERE n=0"), 77);
    reopen(&fx);
    fixture_assert_has(&fx, s);
    fixture_end(&fx);
    sample_free(s);
}

static void test_blobs_are_loaded_when_wanted(void **state)
{
    struct sample *s = sample_plain(1);
    struct store_item *item = NULL;
    struct store_view *v;
    struct fixture fx;

    bytes_unref(s->future.task);
    s->future.task = sample_long(5000, 1);
    sample_finish(s, sample_long(6000, 2), HOUR);
    fixture_start(&fx);
    fixture_write_one(&fx, BATCH_FINISH, s);
    assert_int_equal(store_view_open(fx.store, &v), 0);
    for (uint8_t want = 0; want < 4; want++) {
        assert_int_equal(store_get(v, &s->future.id, want, &item), 0);
        assert_int_equal(item->task != NULL, want & STORE_WANT_TASK ? 1 : 0);
        assert_int_equal(item->data != NULL, want & STORE_WANT_DATA ? 1 : 0);
        assert_int_equal(item->record.data_bytes, 6000);
        sample_assert(&item->record, s);
        store_item_free(item);
    }
    store_view_close(v);
    fixture_end(&fx);
    sample_free(s);
}

static void assert_chunks(struct fixture *fx, int64_t want)
{
    assert_int_equal(sql_number(fx->path, "SELECT count(*) FROM chunk"), want);
}

/* Output and log come a piece at a time, stay when the future ends, and go with it. */
static void test_chunks(void **state)
{
    struct sample *s = sample_plain(1), *swept = sample_plain(2);
    struct store_swept how = {0};
    struct fixture fx;
    struct batch *b;

    fixture_start(&fx);
    sample_tell(s);
    s->told.n_chunks = 1;
    s->chunks[0].next = NULL;
    fixture_write_one(&fx, BATCH_PUT_LIVE, s);
    fixture_assert_has(&fx, s);
    s->told.n_chunks = 3;
    s->chunks[0].next = s->told.unstored = &s->chunks[1];
    sample_finish(s, sample_bytes("data"), NS_PER_S);
    fixture_write_one(&fx, BATCH_FINISH, s);
    s->told.unstored = NULL;
    fixture_assert_has(&fx, s);
    assert_chunks(&fx, 3);
    b = fixture_batch(&fx);
    assert_int_equal(batch_delete(b, &s->future.id), 0);
    fixture_write(&fx, b);
    assert_chunks(&fx, 0);
    sample_tell(swept);
    sample_finish(swept, NULL, NS_PER_S);
    fixture_write_one(&fx, BATCH_FINISH_NEW, swept);
    assert_chunks(&fx, 3);
    assert_int_equal(store_sweep(fx.store,
                                 &(struct store_sweep){.now = SAMPLE_TIME + 24 * 3600 * NS_PER_S, .max = 10},
                                 &how, &fx.problem),
                     0);
    assert_int_equal(how.n_deleted, 1);
    assert_chunks(&fx, 0);
    sample_free(s);
    sample_free(swept);
    fixture_end(&fx);
}

static void test_delete(void **state)
{
    struct sample *live = sample_plain(1), *done = sample_plain(2);
    struct id other;
    struct fixture fx;
    struct batch *b;

    sample_finish(done, sample_long(4000, 1), HOUR);
    fixture_start(&fx);
    b = fixture_batch(&fx);
    fixture_put(b, BATCH_PUT_LIVE, live);
    fixture_put(b, BATCH_FINISH, done);
    fixture_write(&fx, b);
    other = done->future.id; /* the same key is not enough */
    other.b[15] ^= 1;
    b = fixture_batch(&fx);
    assert_int_equal(batch_delete(b, &other), 0);
    fixture_write(&fx, b);
    fixture_assert_has(&fx, done);
    b = fixture_batch(&fx);
    assert_int_equal(batch_delete(b, &live->future.id), 0);
    assert_int_equal(batch_delete(b, &done->future.id), 0);
    fixture_write(&fx, b);
    fixture_assert_not(&fx, live);
    fixture_assert_not(&fx, done);
    assert_int_equal(sql_number(fx.path, "SELECT count(*) FROM blob"), 0);
    fixture_end(&fx);
    sample_free(live);
    sample_free(done);
}

static void test_the_whole_id_is_compared(void **state)
{
    struct sample *s = sample_plain(1);
    struct store_item *item;
    struct fixture fx;

    fixture_start(&fx);
    fixture_write_one(&fx, BATCH_PUT_LIVE, s);
    s->future.id.b[12] ^= 0x40;
    assert_int_equal(fixture_try_get(&fx, &s->future.id, &item), STORE_E_NOT_FOUND);
    fixture_end(&fx);
    sample_free(s);
}

static void test_nothing_finishes_twice(void **state)
{
    struct sample *s = sample_plain(1), *other = sample_plain(2);
    struct fixture fx;
    struct batch *b;

    sample_finish(s, sample_bytes("once"), HOUR);
    fixture_start(&fx);
    fixture_write_one(&fx, BATCH_FINISH, s);
    b = fixture_batch(&fx);
    fixture_put(b, BATCH_PUT_LIVE, other);
    fixture_put(b, BATCH_FINISH, s);
    assert_int_equal(fixture_try_write(&fx, b), STORE_E_CORRUPT);
    assert_non_null(strstr(fx.problem.text, "finished before"));
    fixture_assert_not(&fx, other); /* all or nothing */
    b = fixture_batch(&fx);
    fixture_put(b, BATCH_PUT_LIVE, other);
    assert_int_equal(fixture_try_write(&fx, b), STORE_E_CORRUPT); /* and nothing ever after */
    fixture_assert_has(&fx, s);
    fixture_end(&fx);
    sample_free(s);
    sample_free(other);
}

static int copy_setting(void *user, const struct store_setting *s)
{
    char *to = user;

    snprintf(to + strlen(to), 200 - strlen(to), "%.*s=%.*s by %.*s at %" PRId64 " because %.*s;",
             (int)s->name.len, s->name.len ? (const char *)s->name.p : "", (int)s->value.len,
             s->value.len ? (const char *)s->value.p : "", (int)s->who.len,
             s->who.len ? (const char *)s->who.p : "", s->at, (int)s->why.len,
             s->why.len ? (const char *)s->why.p : "");
    return 0;
}

static int stop_at_once(void *user, const struct store_setting *s)
{
    return 77;
}

static void test_settings_and_key_ceiling(void **state)
{
    struct span value = SPAN_LIT("paused"), empty = {0};
    struct store_view *v;
    struct fixture fx;
    struct batch *b;
    char text[200] = "";

    fixture_start(&fx);
    b = fixture_batch(&fx);
    assert_int_equal(batch_setting(b, SPAN_LIT("f/echo"), &value, SPAN_LIT("root"), 5, SPAN_LIT("it smokes")),
                     0);
    assert_int_equal(batch_setting(b, SPAN_LIT("f/cat"), &empty, SPAN_LIT(""), 6, SPAN_LIT("")), 0);
    assert_int_equal(batch_setting(b, SPAN_LIT("f/gone"), &value, SPAN_LIT(""), 7, SPAN_LIT("")), 0);
    assert_int_equal(batch_setting(b, SPAN_LIT("f/gone"), NULL, SPAN_LIT(""), 8, SPAN_LIT("")), 0);
    assert_int_equal(batch_key_ceiling(b, 1000), 0);
    assert_int_equal(batch_key_ceiling(b, 10), 0);
    fixture_write(&fx, b);
    b = fixture_batch(&fx);
    assert_int_equal(batch_key_ceiling(b, 500), 0);
    fixture_write(&fx, b);
    reopen(&fx);
    assert_int_equal(fx.store->meta.k_ceiling, 1000);
    assert_int_equal(store_view_open(fx.store, &v), 0);
    assert_int_equal(store_settings(v, copy_setting, text), 0);
    assert_string_equal(text, "f/cat= by  at 6 because ;f/echo=paused by root at 5 because it smokes;");
    assert_int_equal(store_settings(v, stop_at_once, NULL), 77);
    store_view_close(v);
    fixture_end(&fx);
}

/* --- scans */

static void fill(struct fixture *fx, enum batch_kind kind, uint32_t from, uint32_t n)
{
    struct batch *b = fixture_batch(fx);

    for (uint32_t i = from; i < from + n; i++) {
        struct sample *s = sample_plain(i);

        if (kind == BATCH_FINISH)
            sample_finish(s, sample_bytes("x"), HOUR);
        fixture_put(b, kind, s);
        sample_free(s);
    }
    fixture_write(fx, b);
}

/* All keys of a scan in pages of @limit, as numbers of samples. */
static uint32_t scan_all(struct fixture *fx, enum store_place place, uint8_t desc, uint32_t limit,
                         uint32_t *out)
{
    struct store_scan scan = {.place = place,
                              .key = desc ? UINT64_MAX : 0,
                              .limit = limit,
                              .limit_bytes = UINT64_MAX,
                              .desc = desc};
    struct list items, *l;
    struct store_view *v;
    uint32_t n = 0, before;

    list_init(&items);
    assert_int_equal(store_view_open(fx->store, &v), 0);
    do {
        before = n;
        assert_int_equal(store_scan(v, &scan, &items), 0);
        while ((l = list_pop_front(&items))) {
            struct store_item *item = LIST_ENTRY(l, struct store_item, link);

            assert_int_equal(item->result, 0);
            assert_int_equal(item->is_done, place == STORE_DONE);
            scan.key = id_key(&item->id);
            out[n++] = (uint32_t)(scan.key - sample_key(0));
            store_item_free(item);
        }
        assert_true(n - before <= limit);
    } while (n > before);
    store_view_close(v);
    return n;
}

static void test_scans(void **state)
{
    uint32_t got[40];
    struct fixture fx;

    fixture_start(&fx);
    fill(&fx, BATCH_PUT_LIVE, 1, 25);
    fill(&fx, BATCH_FINISH, 101, 30);
    for (uint32_t limit = 1; limit < 40; limit++) {
        assert_int_equal(scan_all(&fx, STORE_LIVE, 0, limit, got), 25);
        for (uint32_t i = 0; i < 25; i++)
            assert_int_equal(got[i], 1 + i);
        assert_int_equal(scan_all(&fx, STORE_DONE, 1, limit, got), 30);
        for (uint32_t i = 0; i < 30; i++)
            assert_int_equal(got[i], 130 - i);
    }
    assert_int_equal(scan_all(&fx, STORE_LIVE, 1, 7, got), 25);
    assert_int_equal(got[0], 25);
    assert_int_equal(scan_all(&fx, STORE_DONE, 0, 7, got), 30);
    assert_int_equal(got[0], 101);
    assert_int_equal(fixture_counts(&fx).n_live, 25);
    assert_int_equal(fixture_counts(&fx).n_by_state[FUTURE_SUCCEEDED], 30);
    fixture_end(&fx);
}

static void test_a_scan_ends_by_its_bytes(void **state)
{
    struct store_scan scan = {.place = STORE_LIVE, .limit = 1000, .limit_bytes = 1};
    struct store_view *v;
    struct fixture fx;
    struct list items;

    list_init(&items);
    fixture_start(&fx);
    fill(&fx, BATCH_PUT_LIVE, 1, 5);
    assert_int_equal(store_view_open(fx.store, &v), 0);
    assert_int_equal(store_scan(v, &scan, &items), 0);
    assert_ptr_equal(items.next, items.prev); /* one, so that the caller gets on */
    assert_false(list_is_empty(&items));
    store_items_free(&items);
    store_view_close(v);
    fixture_end(&fx);
}

/* --- retention */

static struct store_swept sweep(struct fixture *fx, wall_ns_t now, uint32_t max)
{
    struct store_swept swept = {0};
    const struct store_sweep how = {.now = now, .max = max};
    int r = store_sweep(fx->store, &how, &swept, &fx->problem);

    if (r != 0)
        fail_msg("store_sweep: %d: %s", r, fx->problem.text);
    return swept;
}

static void test_sweep(void **state)
{
    struct sample *s = sample_plain(1), *later = sample_plain(2);
    wall_ns_t expire;
    struct store_swept swept;
    struct fixture fx;

    fixture_start(&fx);
    assert_true(sweep(&fx, SAMPLE_TIME, 100).next == CLOCK_NEVER);
    sample_finish(s, sample_long(3000, 1), HOUR / 2);
    sample_finish(later, sample_bytes("x"), 3 * HOUR);
    fixture_write_one(&fx, BATCH_FINISH, s);
    fixture_write_one(&fx, BATCH_FINISH, later);
    expire = s->outcome.expire_time;
    swept = sweep(&fx, expire + 1, 100); /* expired, but its hour is not over */
    assert_int_equal(swept.n_deleted, 0);
    assert_true(swept.next > expire && swept.next <= expire + HOUR);
    swept = sweep(&fx, swept.next, 100);
    assert_int_equal(swept.n_deleted, 1);
    assert_true(swept.next > later->outcome.expire_time);
    fixture_assert_not(&fx, s);
    fixture_assert_has(&fx, later);
    assert_int_equal(sql_number(fx.path, "SELECT count(*) FROM blob"), 0);
    swept = sweep(&fx, swept.next, 100);
    assert_int_equal(swept.n_deleted, 1);
    assert_true(swept.next == CLOCK_NEVER);
    assert_int_equal(sql_number(fx.path, "SELECT count(*) FROM expiry"), 0);
    fixture_end(&fx);
    sample_free(s);
    sample_free(later);
}

static void test_sweep_looks_at_the_record_itself(void **state)
{
    struct sample *s = sample_plain(1);
    struct store_swept swept;
    struct fixture fx;

    fixture_start(&fx);
    sample_finish(s, sample_bytes("x"), HOUR);
    fixture_write_one(&fx, BATCH_FINISH, s);
    s->outcome.expire_time += 10 * HOUR;
    fixture_write_one(&fx, BATCH_PUT_DONE, s);
    swept = sweep(&fx, SAMPLE_TIME + 5 * HOUR, 100);
    assert_int_equal(swept.n_deleted, 0);
    assert_int_equal(swept.n_kept, 1);
    fixture_assert_has(&fx, s);
    s->outcome.expire_time = SAMPLE_TIME + 6 * HOUR; /* and earlier again than the row that it has now */
    fixture_write_one(&fx, BATCH_PUT_DONE, s);
    swept = sweep(&fx, SAMPLE_TIME + 7 * HOUR, 100);
    assert_int_equal(swept.n_deleted, 1);
    fixture_assert_not(&fx, s);
    fixture_end(&fx);
    sample_free(s);
}

/* What is to be kept is looked at again when the hour is over, and as long as it is to be kept the store is sound. */
static void test_sweep_keeps(void **state)
{
    struct sample *kept = sample_plain(1), *other = sample_plain(2);
    uint64_t keys[] = {1, sample_key(1), UINT64_MAX};
    struct store_sweep how = {
            .now = SAMPLE_TIME + 5 * HOUR, .max = 100, .kept = keys, .n_kept = ARRAY_LEN(keys)};
    struct store_swept swept;
    struct fixture fx;

    fixture_start(&fx);
    sample_finish(kept, sample_bytes("x"), HOUR);
    sample_finish(other, sample_bytes("x"), HOUR);
    fixture_write_one(&fx, BATCH_FINISH, kept);
    fixture_write_one(&fx, BATCH_FINISH, other);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(store_sweep(fx.store, &how, &swept, &fx.problem), 0);
        assert_int_equal(swept.n_kept, 1);
        assert_int_equal(swept.n_deleted, i == 0);
        fixture_assert_has(&fx, kept);
        fixture_assert_not(&fx, other);
        how.now += HOUR;
    }
    how.n_kept = 0;
    assert_int_equal(store_sweep(fx.store, &how, &swept, &fx.problem), 0);
    assert_int_equal(swept.n_deleted, 1);
    fixture_assert_not(&fx, kept);
    fixture_end(&fx);
    sample_free(kept);
    sample_free(other);
}

static void test_sweep_in_small_steps(void **state)
{
    struct fixture fx;
    uint32_t n = 0, n_steps = 0;
    struct store_swept swept;

    fixture_start(&fx);
    for (uint32_t i = 0; i < 10; i++)
        fill(&fx, BATCH_FINISH, 1 + i * 100, 100);
    do {
        swept = sweep(&fx, SAMPLE_TIME + 5 * HOUR, 150);
        assert_true(swept.n_deleted < 300);
        n += swept.n_deleted;
        n_steps++;
    } while (swept.next <= SAMPLE_TIME + 5 * HOUR);
    assert_int_equal(n, 1000);
    assert_true(n_steps >= 5);
    fixture_end(&fx);
}

static void test_sweep_keeps_what_is_damaged(void **state)
{
    struct sample *s = sample_plain(1);
    struct store_item *item;
    struct store_swept swept;
    struct fixture fx;

    fixture_start(&fx);
    sample_finish(s, sample_bytes("x"), HOUR);
    fixture_write_one(&fx, BATCH_FINISH, s);
    sql_run(fx.path, "UPDATE done SET rec=x'01'");
    swept = sweep(&fx, SAMPLE_TIME + 5 * HOUR, 100);
    assert_int_equal(swept.n_damaged, 1);
    assert_true(swept.next > SAMPLE_TIME + 24 * HOUR);
    assert_int_equal(fixture_try_get(&fx, &s->future.id, &item), STORE_E_DATA_LOSS);
    fixture_end(&fx);
    sample_free(s);
}

static void test_annotating_what_was_swept_brings_it_back_whole(void **state)
{
    struct sample *s = sample_plain(1);
    struct fixture fx;

    fixture_start(&fx);
    sample_finish(s, sample_long(3000, 1), HOUR);
    fixture_write_one(&fx, BATCH_FINISH, s);
    assert_int_equal(sweep(&fx, SAMPLE_TIME + 5 * HOUR, 100).n_deleted, 1);
    s->outcome.expire_time = SAMPLE_TIME + 9 * HOUR;
    fixture_write_one(&fx, BATCH_PUT_DONE, s);
    fixture_assert_has(&fx, s);
    assert_int_equal(sweep(&fx, SAMPLE_TIME + 20 * HOUR, 100).n_deleted, 1);
    fixture_end(&fx);
    sample_free(s);
}

/* --- what is damaged is seen */

static void test_damaged_records(void **state)
{
    static const char *const damages[] = {
            "UPDATE live SET rec=substr(rec, 1, 20) || x'ff' || substr(rec, 22)",
            "UPDATE live SET rec=(SELECT rec FROM live WHERE k=(SELECT max(k) FROM live))",
            "UPDATE live SET id=x'0102' WHERE k=(SELECT min(k) FROM live)",
            "UPDATE blob SET data=zeroblob(length(data))",
            "UPDATE blob SET data=data || x'00'",
            "DELETE FROM blob",
    };

    for (size_t i = 0; i < ARRAY_LEN(damages); i++) {
        struct sample *s = sample_plain(1), *other = sample_plain(2);
        struct store_scan scan = {
                .place = STORE_LIVE, .limit = 10, .limit_bytes = UINT64_MAX, .want = STORE_WANT_TASK};
        struct store_item *item;
        struct store_view *v;
        struct fixture fx;
        struct list items;

        list_init(&items);
        bytes_unref(s->future.task);
        s->future.task = sample_long(5000, 1);
        fixture_start(&fx);
        fixture_write_one(&fx, BATCH_PUT_LIVE, s);
        fixture_write_one(&fx, BATCH_PUT_LIVE, other);
        sql_run(fx.path, damages[i]);
        assert_int_equal(fixture_try_get(&fx, &s->future.id, &item), STORE_E_DATA_LOSS);
        assert_int_equal(store_view_open(fx.store, &v), 0);
        assert_int_equal(store_scan(v, &scan, &items), 0);
        item = LIST_ENTRY(items.next, struct store_item, link);
        assert_int_equal(item->result, STORE_E_DATA_LOSS);
        assert_true(id_key(&item->id) == id_key(&s->future.id));
        store_items_free(&items);
        store_view_close(v);
        fixture_end(&fx);
        sample_free(s);
        sample_free(other);
    }
}

static void test_what_is_no_database(void **state)
{
    struct fixture fx;
    int fd;

    fixture_start(&fx);
    fixture_close(&fx);
    fd = open(fx.path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_true(fd >= 0);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(write(fd, "not a database; ", 16), 16);
    err_close(&fd);
    assert_int_equal(fixture_try_open(&fx, 0), STORE_E_CORRUPT);
    assert_true(fx.problem.text[0] != '\0');
    fixture_end(&fx);
}

static void test_error_texts(void **state)
{
    for (int e = 0; e <= STORE_E_POISONED; e++)
        assert_true(strlen(store_error_text(e)) > 3);
    assert_string_equal(store_error_text(-ENOSPC), "No space left on device");
    assert_string_equal(store_error_text(99), "an unknown error");
    assert_null(store_close(NULL));
    assert_null(store_item_free(NULL));
    assert_null(store_view_close(NULL));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_a_new_store),
            cmocka_unit_test(test_a_life),
            cmocka_unit_test(test_accept_and_finish_in_one_batch),
            cmocka_unit_test(test_finish_of_a_new_one),
            cmocka_unit_test(test_everything_a_future_can_have),
            cmocka_unit_test(test_large_payloads_are_written_once),
            cmocka_unit_test(test_blobs_are_loaded_when_wanted),
            cmocka_unit_test(test_chunks),
            cmocka_unit_test(test_delete),
            cmocka_unit_test(test_the_whole_id_is_compared),
            cmocka_unit_test(test_nothing_finishes_twice),
            cmocka_unit_test(test_settings_and_key_ceiling),
            cmocka_unit_test(test_scans),
            cmocka_unit_test(test_a_scan_ends_by_its_bytes),
            cmocka_unit_test(test_sweep),
            cmocka_unit_test(test_sweep_looks_at_the_record_itself),
            cmocka_unit_test(test_sweep_keeps),
            cmocka_unit_test(test_sweep_in_small_steps),
            cmocka_unit_test(test_sweep_keeps_what_is_damaged),
            cmocka_unit_test(test_annotating_what_was_swept_brings_it_back_whole),
            cmocka_unit_test(test_damaged_records),
            cmocka_unit_test(test_what_is_no_database),
            cmocka_unit_test(test_error_texts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
