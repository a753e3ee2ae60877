// SPDX-License-Identifier: Apache-2.0
/*
 * The commit thread: order, one transaction for many, and what it does when the disk fails. The disk is a fake backend
 * that answers what the test tells it, and can be made to wait for the test; the last cases have the real one.
 */
#include "store/committer.h"
#include "tests/support/fault_vfs.h"
#include "tests/unit/store/sql.h"

#include <pthread.h>
#include <stdatomic.h>

#define HOUR (3600 * NS_PER_S)

/* --- a backend that does what the test says */

struct fake {
    struct store store;
    pthread_mutex_t lock;
    pthread_cond_t change;
    int answer; /* of the next write */
    int checkpoint_answer;
    int sweep_answer;
    int is_closed_gate; /* writes wait at the gate */
    int n_at_gate;
    uint64_t written[4096]; /* commit_seq of what was written with 0 */
    size_t n_written, n_writes, n_checkpoints, n_sweeps;
    uint64_t wal_bytes;
    wall_ns_t sweep_next;
    struct store_sweep how; /* of the last one; kept is not there any more: */
    uint64_t last_kept;
};

static struct fake *fake_of(struct store *s)
{
    return CONTAINER_OF(s, struct fake, store);
}

static void fake_lock(struct fake *f)
{
    ASSERT(pthread_mutex_lock(&f->lock) == 0);
}

static void fake_unlock(struct fake *f)
{
    ASSERT(pthread_cond_broadcast(&f->change) == 0);
    ASSERT(pthread_mutex_unlock(&f->lock) == 0);
}

static int fake_write(struct store *s, struct batch *const *batches, size_t n, struct store_problem *problem)
{
    struct fake *f = fake_of(s);
    int r;

    fake_lock(f);
    f->n_at_gate++;
    ASSERT(pthread_cond_broadcast(&f->change) == 0);
    while (f->is_closed_gate)
        ASSERT(pthread_cond_wait(&f->change, &f->lock) == 0);
    f->n_at_gate--;
    r = f->answer;
    f->n_writes++;
    for (size_t i = 0; r == 0 && i < n; i++)
        f->written[f->n_written++] = batches[i]->commit_seq;
    f->wal_bytes += 100;
    snprintf(problem->text, sizeof problem->text, "as told: %d", r);
    fake_unlock(f);
    return r;
}

static int fake_sweep(struct store *s, const struct store_sweep *how, struct store_swept *ret,
                      struct store_problem *problem)
{
    struct fake *f = fake_of(s);
    int r;

    fake_lock(f);
    f->n_sweeps++;
    f->how = *how;
    f->last_kept = how->n_kept ? how->kept[how->n_kept - 1] : 0;
    r = f->sweep_answer;
    *ret = (struct store_swept){.n_deleted = 1, .next = f->sweep_next};
    snprintf(problem->text, sizeof problem->text, "sweep as told: %d", r);
    fake_unlock(f);
    return r;
}

static int fake_checkpoint(struct store *s, struct store_problem *problem)
{
    struct fake *f = fake_of(s);
    int r;

    fake_lock(f);
    f->n_checkpoints++;
    r = f->checkpoint_answer;
    if (r == 0)
        f->wal_bytes = 0;
    snprintf(problem->text, sizeof problem->text, "checkpoint as told: %d", r);
    fake_unlock(f);
    return r;
}

static uint64_t fake_wal_bytes(struct store *s)
{
    struct fake *f = fake_of(s);
    uint64_t n;

    fake_lock(f);
    n = f->wal_bytes;
    fake_unlock(f);
    return n;
}

static void fake_init(struct fake *f)
{
    static const struct store_backend backend = {
            .write = fake_write,
            .sweep = fake_sweep,
            .checkpoint = fake_checkpoint,
            .wal_bytes = fake_wal_bytes,
    };

    *f = (struct fake){.store = {.backend = &backend}, .sweep_next = CLOCK_NEVER};
    ASSERT(pthread_mutex_init(&f->lock, NULL) == 0);
    ASSERT(pthread_cond_init(&f->change, NULL) == 0);
}

static void fake_answer(struct fake *f, int answer)
{
    fake_lock(f);
    f->answer = answer;
    fake_unlock(f);
}

static void fake_gate(struct fake *f, int is_closed)
{
    fake_lock(f);
    f->is_closed_gate = is_closed;
    fake_unlock(f);
}

/* Wait until a write stands at the gate. */
static void fake_wait_at_gate(struct fake *f)
{
    fake_lock(f);
    while (f->n_at_gate == 0)
        ASSERT(pthread_cond_wait(&f->change, &f->lock) == 0);
    fake_unlock(f);
}

static void fake_wait_for(struct fake *f, const size_t *counter, size_t n)
{
    fake_lock(f);
    while (*counter < n)
        ASSERT(pthread_cond_wait(&f->change, &f->lock) == 0);
    fake_unlock(f);
}

/* --- the owner */

static wall_ns_t fixed_wall(void)
{
    return SAMPLE_TIME;
}

static struct committer *start_with(struct store *s, uint64_t checkpoint_wal_bytes)
{
    struct committer_config config = COMMITTER_CONFIG_DEFAULT;
    struct committer *c;

    config.wall = fixed_wall;
    config.checkpoint_wal_bytes = checkpoint_wal_bytes;
    config.max_waiting_bytes = 10000;
    assert_int_equal(committer_start(&c, s, &config), 0);
    return c;
}

static struct committer *start(struct store *s)
{
    return start_with(s, 1000);
}

static struct batch *submit_part(struct committer *c, uint64_t seq, uint64_t n_bytes, int is_continued)
{
    struct batch *b = batch_new();

    assert_non_null(b);
    assert_int_equal(batch_key_ceiling(b, seq), 0);
    b->commit_seq = seq;
    b->n_bytes += n_bytes;
    b->is_continued = is_continued;
    committer_submit(c, b);
    return b;
}

static struct batch *submit(struct committer *c, uint64_t seq)
{
    return submit_part(c, seq, 0, 0);
}

/* Take batches until @n have come, and check that they are @from, @from + 1, ... with @result. */
static void take(struct committer *c, uint64_t from, size_t n, int result)
{
    struct list got, *l;
    size_t i = 0;

    list_init(&got);
    while (i < n) {
        fixture_wait(committer_fd(c));
        committer_take(c, &got, NULL);
        while ((l = list_pop_front(&got))) {
            struct batch *b = LIST_ENTRY(l, struct batch, link);

            assert_int_equal(b->commit_seq, from + i++);
            assert_int_equal(b->result, result);
            batch_free(b);
        }
    }
    assert_int_equal(i, n);
}

static struct committer_status status_of(struct committer *c)
{
    struct committer_status status;
    struct list got;

    list_init(&got);
    committer_take(c, &got, &status);
    assert_true(list_is_empty(&got));
    return status;
}

static struct committer_status wait_for_state(struct committer *c, enum committer_state state)
{
    struct committer_status status;

    while ((status = status_of(c)).state != state)
        fixture_wait(committer_fd(c));
    return status;
}

static size_t stop(struct committer *c, int result)
{
    struct list got, *l;
    size_t n = 0;

    list_init(&got);
    assert_null(committer_stop(c, &got));
    while ((l = list_pop_front(&got))) {
        struct batch *b = LIST_ENTRY(l, struct batch, link);

        assert_int_equal(b->result, result);
        batch_free(b);
        n++;
    }
    return n;
}

/* --- cases */

static void test_batches_come_back_in_order(void **state)
{
    struct fake f;
    struct committer *c;

    fake_init(&f);
    c = start(&f.store);
    for (uint64_t seq = 1; seq <= 3000; seq++)
        submit(c, seq);
    take(c, 1, 3000, 0);
    assert_int_equal(status_of(c).durable_seq, 3000);
    assert_int_equal(status_of(c).n_waiting, 0);
    assert_int_equal(status_of(c).waiting_bytes, 0);
    assert_int_equal(f.n_written, 3000);
    for (uint64_t i = 0; i < 3000; i++)
        assert_int_equal(f.written[i], i + 1);
    assert_int_equal(stop(c, 0), 0);
}

static void test_all_that_wait_are_one_transaction(void **state)
{
    struct committer_status status;
    struct fake f;
    struct committer *c;

    fake_init(&f);
    fake_gate(&f, 1);
    c = start(&f.store);
    submit(c, 1);
    fake_wait_at_gate(&f);
    for (uint64_t seq = 2; seq <= 100; seq++)
        submit(c, seq);
    assert_int_equal(status_of(c).n_waiting, 100);
    fake_gate(&f, 0);
    take(c, 1, 100, 0);
    status = status_of(c);
    assert_int_equal(status.n_commits, 2);
    assert_int_equal(status.n_batches, 100);
    assert_int_equal(status.n_ops, 100);
    assert_int_equal(status.n_by_operations[0], 1); /* one alone, ... */
    assert_int_equal(status.n_by_operations[4], 1); /* ... 99 are more than 64 and not more than 256 */
    status = committer_get_status(c);
    for (size_t i = 0; i <= COMMITTER_BOUNDS; i++)
        status.n_commits -= status.n_by_seconds[i];
    assert_int_equal(status.n_commits, 0);
    assert_true(status.commit_ns > 0);
    assert_int_equal(stop(c, 0), 0);
}

/* However much there is of it. */
static void test_what_is_continued_is_one_transaction(void **state)
{
    struct fake f;
    struct committer *c;

    fake_init(&f);
    fake_gate(&f, 1);
    c = start(&f.store);
    submit(c, 1);
    fake_wait_at_gate(&f);
    submit_part(c, 2, 1 << 30, 1);
    submit_part(c, 3, 1 << 30, 1);
    submit_part(c, 4, 1, 0);
    submit(c, 5);
    fake_gate(&f, 0);
    take(c, 1, 5, 0);
    assert_int_equal(status_of(c).n_commits, 3);
    assert_int_equal(status_of(c).n_by_operations[1], 1); /* of three */
    assert_int_equal(stop(c, 0), 0);
}

static void test_full(void **state)
{
    struct fake f;
    struct committer *c;
    uint64_t seq = 0;

    fake_init(&f);
    fake_gate(&f, 1);
    c = start(&f.store);
    while (!committer_is_full(c))
        submit(c, ++seq);
    assert_true(seq > 10 && seq < 10000);
    fake_gate(&f, 0);
    take(c, 1, seq, 0);
    assert_false(committer_is_full(c));
    assert_int_equal(stop(c, 0), 0);
}

static void test_stop_commits_what_waits(void **state)
{
    struct fake f;
    struct committer *c;

    fake_init(&f);
    c = start(&f.store);
    for (uint64_t seq = 1; seq <= 50; seq++)
        submit(c, seq);
    assert_int_equal(stop(c, 0), 50);
    assert_int_equal(f.n_written, 50);
    assert_null(committer_stop(NULL, NULL));
}

static void test_rolled_back_is_tried_again_in_order(void **state)
{
    struct committer_status status;
    struct fake f;
    struct committer *c;

    fake_init(&f);
    fake_answer(&f, STORE_E_ROLLED_BACK);
    c = start(&f.store);
    submit(c, 1);
    status = wait_for_state(c, COMMITTER_STALLED);
    assert_string_equal(status.problem.text, "as told: 7");
    assert_int_equal(status.durable_seq, 0);
    assert_int_equal(status.n_waiting, 1);
    fake_wait_for(&f, &f.n_checkpoints, 1); /* it may make room */
    submit(c, 2);                           /* never before 1, and not tried without being told */
    for (size_t n = 2; n < 5; n++) {
        committer_retry(c);
        fake_wait_for(&f, &f.n_writes, n);
        wait_for_state(c, COMMITTER_STALLED);
    }
    assert_int_equal(f.n_written, 0);
    fake_answer(&f, 0);
    submit(c, 3);
    committer_retry(c);
    take(c, 1, 3, 0);
    status = wait_for_state(c, COMMITTER_RUNNING);
    assert_int_equal(status.durable_seq, 3);
    assert_int_equal(status.n_stalls, 1);
    assert_int_equal(f.n_written, 3);
    for (uint64_t i = 0; i < 3; i++)
        assert_int_equal(f.written[i], i + 1);
    assert_int_equal(stop(c, 0), 0);
}

static void test_retry_means_nothing_while_it_runs(void **state)
{
    struct fake f;
    struct committer *c;

    fake_init(&f);
    c = start(&f.store);
    committer_retry(c);
    submit(c, 1);
    take(c, 1, 1, 0);
    committer_retry(c);
    fake_answer(&f, STORE_E_ROLLED_BACK);
    submit(c, 2);
    wait_for_state(c, COMMITTER_STALLED);
    assert_int_equal(f.n_writes, 2); /* the retries of before have not been kept */
    fake_answer(&f, 0);
    committer_retry(c);
    take(c, 2, 1, 0);
    assert_int_equal(stop(c, 0), 0);
}

static void test_stop_while_stalled(void **state)
{
    struct fake f;
    struct committer *c;

    fake_init(&f);
    fake_answer(&f, STORE_E_ROLLED_BACK);
    c = start(&f.store);
    submit(c, 1);
    wait_for_state(c, COMMITTER_STALLED);
    submit(c, 2);
    assert_int_equal(stop(c, STORE_E_ROLLED_BACK), 2);
    assert_int_equal(f.n_writes, 2); /* one more try */

    fake_init(&f);
    fake_answer(&f, STORE_E_ROLLED_BACK);
    c = start(&f.store);
    submit(c, 1);
    wait_for_state(c, COMMITTER_STALLED);
    submit(c, 2);
    fake_answer(&f, 0);
    assert_int_equal(stop(c, 0), 2); /* which may succeed */
}

static void test_fatal_answers(void **state)
{
    static const struct {
        int answer;
        enum committer_state state;
    } cases[] = {{STORE_E_POISONED, COMMITTER_POISONED}, {STORE_E_CORRUPT, COMMITTER_CORRUPT}};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct committer_status status;
        struct fake f;
        struct committer *c;

        fake_init(&f);
        c = start(&f.store);
        submit(c, 1);
        take(c, 1, 1, 0);
        fake_answer(&f, cases[i].answer);
        fake_gate(&f, 1);
        submit(c, 2);
        fake_wait_at_gate(&f);
        submit(c, 3);
        fake_gate(&f, 0);
        take(c, 2, 2, cases[i].answer);
        status = wait_for_state(c, cases[i].state);
        assert_int_equal(status.durable_seq, 1);
        assert_int_equal(status.n_waiting, 0);
        fake_answer(&f, 0); /* nobody asks again */
        submit(c, 4);
        take(c, 4, 1, cases[i].answer);
        committer_retry(c);
        assert_int_equal(committer_sweep(c, SAMPLE_TIME, NULL, 0), 0);
        submit(c, 5);
        assert_int_equal(stop(c, cases[i].answer), 1);
        assert_int_equal(f.n_writes, 2);
    }
}

static void test_checkpoint_when_the_log_is_long(void **state)
{
    struct committer_status status;
    struct fake f;
    struct committer *c;

    fake_init(&f);
    c = start(&f.store);
    for (uint64_t seq = 1; seq <= 9; seq++) {
        submit(c, seq);
        take(c, seq, 1, 0);
    }
    assert_int_equal(f.n_checkpoints, 0);
    submit(c, 10);
    take(c, 10, 1, 0);
    fake_wait_for(&f, &f.n_checkpoints, 1);
    do
        status = status_of(c);
    while (status.n_checkpoints == 0);
    assert_int_equal(status.n_checkpoints, 1);
    assert_int_equal(stop(c, 0), 0);
}

static void test_checkpoint_that_fails(void **state)
{
    struct fake f;
    struct committer *c;

    fake_init(&f);
    f.checkpoint_answer = STORE_E_POISONED;
    c = start(&f.store);
    for (uint64_t seq = 1; seq <= 10; seq++) {
        submit(c, seq);
        take(c, seq, 1, 0);
    }
    assert_string_equal(wait_for_state(c, COMMITTER_POISONED).problem.text, "checkpoint as told: 8");
    submit(c, 11);
    take(c, 11, 1, STORE_E_POISONED);
    assert_int_equal(stop(c, 0), 0);
}

static void test_checkpoint_that_is_in_the_way_of_a_reader(void **state)
{
    struct fake f;
    struct committer *c;

    fake_init(&f);
    f.checkpoint_answer = STORE_E_ROLLED_BACK;
    c = start(&f.store);
    for (uint64_t seq = 1; seq <= 10; seq++) {
        submit(c, seq);
        take(c, seq, 1, 0);
    }
    fake_wait_for(&f, &f.n_checkpoints, 1);
    while (status_of(c).problem.text[0] == '\0') /* it has been noted */
        ;
    for (uint64_t seq = 11; seq <= 15; seq++) {
        submit(c, seq);
        take(c, seq, 1, 0);
    }
    assert_int_equal(f.n_checkpoints, 1); /* not at every commit */
    for (uint64_t seq = 16; seq <= 20; seq++) {
        submit(c, seq);
        take(c, seq, 1, 0);
    }
    fake_wait_for(&f, &f.n_checkpoints, 2);
    assert_int_equal(status_of(c).state, COMMITTER_RUNNING);
    assert_int_equal(stop(c, 0), 0);
}

static void wait_for_wish(struct committer *c)
{
    while (!status_of(c).wants_sweep)
        fixture_wait(committer_fd(c));
}

/* It asks for leave by itself, from the start, and then sweeps until nothing is due. */
static void test_sweep(void **state)
{
    const uint64_t kept[] = {3, 5};
    struct fake f;
    struct committer *c;

    fake_init(&f);
    f.sweep_next = SAMPLE_TIME - 1; /* there is always more */
    c = start(&f.store);
    wait_for_wish(c);
    assert_int_equal(f.n_sweeps, 0);
    assert_int_equal(committer_sweep(c, SAMPLE_TIME, kept, 2), 0);
    assert_int_equal(committer_sweep(c, SAMPLE_TIME, kept, 1), 0); /* one at a time */
    fake_wait_for(&f, &f.n_sweeps, 5);
    submit(c, 1); /* and between them it commits */
    take(c, 1, 1, 0);
    fake_lock(&f);
    assert_int_equal(f.how.now, SAMPLE_TIME);
    assert_int_equal(f.how.n_kept, 2);
    assert_int_equal(f.last_kept, 5);
    f.sweep_next = CLOCK_NEVER;
    fake_unlock(&f);
    assert_int_equal(stop(c, 0), 0);

    fake_init(&f);
    c = start(&f.store);
    wait_for_wish(c);
    assert_int_equal(committer_sweep(c, SAMPLE_TIME, NULL, 0), 0);
    fake_wait_for(&f, &f.n_sweeps, 1);
    while (status_of(c).n_sweeps < 1)
        ;
    assert_int_equal(committer_sweep(c, SAMPLE_TIME, NULL, 0), 0);
    fake_wait_for(&f, &f.n_sweeps, 2);
    assert_int_equal(stop(c, 0), 0);

    fake_init(&f);
    f.sweep_answer = STORE_E_CORRUPT;
    c = start(&f.store);
    wait_for_wish(c);
    assert_int_equal(committer_sweep(c, SAMPLE_TIME, NULL, 0), 0);
    wait_for_state(c, COMMITTER_CORRUPT);
    assert_int_equal(stop(c, 0), 0);
}

static void submit_backwards(void *arg)
{
    struct fake f;
    struct committer *c;

    fake_init(&f);
    c = start(&f.store);
    submit(c, 2);
    submit(c, 1);
}

static void test_order_is_the_owners_duty(void **state)
{
    test_aborts(submit_backwards, NULL, "last_seq");
}

static void test_without_memory(void **state)
{
    struct committer_config config = COMMITTER_CONFIG_DEFAULT;
    struct fake f;
    struct committer *c;

    fake_init(&f);
    FAIL_EACH_ALLOCATION(nth)
    {
        int r = committer_start(&c, &f.store, &config);

        assert_int_equal(r, test_allocation_failed() ? -ENOMEM : 0);
        if (r == 0)
            stop(c, 0);
    }
}

/* --- with the real backend */

static void submit_sample(struct fixture *fx, struct committer *c, enum batch_kind kind,
                          const struct sample *s)
{
    struct batch *b = fixture_batch(fx);

    fixture_put(b, kind, s);
    committer_submit(c, b);
}

static void test_real_store_with_checkpoints_and_readers(void **state)
{
    enum { N = 400 };
    struct store_item *item;
    struct store_view *v;
    struct fixture fx;
    struct committer *c;

    fixture_start(&fx);
    c = start(fx.store);
    assert_int_equal(store_view_open(fx.store, &v), 0);
    for (uint32_t i = 1; i <= N; i++) {
        struct sample *s = sample_plain(i);

        submit_sample(&fx, c, BATCH_PUT_LIVE, s);
        sample_finish(s, sample_bytes("x"), HOUR);
        submit_sample(&fx, c, BATCH_FINISH, s);
        take(c, 2 * i - 1, 2, 0);
        assert_int_equal(store_get(v, &s->future.id, 0, &item), 0); /* what is acknowledged is there */
        assert_true(item->is_done);
        store_item_free(item);
        sample_free(s);
    }
    assert_true(status_of(c).n_checkpoints > 0);
    store_view_close(v);
    assert_int_equal(stop(c, 0), 0);
    assert_int_equal(fixture_counts(&fx).n_by_state[FUTURE_SUCCEEDED], N);
    fixture_end(&fx);
}

static void test_real_store_on_a_full_disk(void **state)
{
    struct fault_plan full = {.what = FAULT_WRITE, .nth = 1, .n_times = UINT64_MAX, .system_errno = ENOSPC};
    struct sample *s = sample_plain(1), *t = sample_plain(2);
    struct fixture fx;
    struct committer *c;

    fixture_init(&fx, FAULT_VFS);
    fixture_open(&fx);
    c = start(fx.store);
    fault_set(&full);
    submit_sample(&fx, c, BATCH_PUT_LIVE, s);
    assert_non_null(strstr(wait_for_state(c, COMMITTER_STALLED).problem.text, "full"));
    submit_sample(&fx, c, BATCH_PUT_LIVE, t);
    fixture_assert_not(&fx, s);
    fault_set(&(struct fault_plan){0});
    committer_retry(c);
    take(c, 1, 2, 0);
    fixture_assert_has(&fx, s);
    fixture_assert_has(&fx, t);
    assert_int_equal(stop(c, 0), 0);
    fixture_close(&fx);
    fault_reset();
    fixture_end(&fx);
    sample_free(s);
    sample_free(t);
}

static void test_real_store_whose_sync_fails(void **state)
{
    struct fault_plan once = {.what = FAULT_SYNC, .nth = 1, .n_times = 1, .system_errno = EIO};
    struct sample *s = sample_plain(1), *t = sample_plain(2);
    struct fixture fx;
    struct committer *c;
    uint64_t n_changes;

    fixture_init(&fx, FAULT_VFS);
    fixture_open(&fx);
    c = start_with(fx.store, UINT64_MAX);
    submit_sample(&fx, c, BATCH_PUT_LIVE, s);
    take(c, 1, 1, 0);
    fault_set(&once);
    submit_sample(&fx, c, BATCH_PUT_LIVE, t);
    take(c, 2, 1, STORE_E_POISONED);
    wait_for_state(c, COMMITTER_POISONED);
    fault_set(&(struct fault_plan){.what = FAULT_CHANGES});
    submit_sample(&fx, c, BATCH_PUT_LIVE, t);
    take(c, 3, 1, STORE_E_POISONED);
    assert_int_equal(stop(c, 0), 0);
    fixture_assert_has(&fx, s); /* reading goes on */
    fixture_close(&fx);
    n_changes = fault_count();
    assert_int_equal(n_changes, 0); /* nothing was written after it, not even by closing */
    fault_reset();
    fixture_open(&fx);
    fixture_assert_has(&fx, s);
    fixture_end(&fx);
    fault_reset();
    sample_free(s);
    sample_free(t);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_batches_come_back_in_order),
            cmocka_unit_test(test_all_that_wait_are_one_transaction),
            cmocka_unit_test(test_what_is_continued_is_one_transaction),
            cmocka_unit_test(test_full),
            cmocka_unit_test(test_stop_commits_what_waits),
            cmocka_unit_test(test_rolled_back_is_tried_again_in_order),
            cmocka_unit_test(test_retry_means_nothing_while_it_runs),
            cmocka_unit_test(test_stop_while_stalled),
            cmocka_unit_test(test_fatal_answers),
            cmocka_unit_test(test_checkpoint_when_the_log_is_long),
            cmocka_unit_test(test_checkpoint_that_fails),
            cmocka_unit_test(test_checkpoint_that_is_in_the_way_of_a_reader),
            cmocka_unit_test(test_sweep),
            cmocka_unit_test(test_order_is_the_owners_duty),
            cmocka_unit_test(test_without_memory),
            cmocka_unit_test(test_real_store_with_checkpoints_and_readers),
            cmocka_unit_test(test_real_store_on_a_full_disk),
            cmocka_unit_test(test_real_store_whose_sync_fails),
    };

    fault_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
