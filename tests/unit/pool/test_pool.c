// SPDX-License-Identifier: Apache-2.0
/* The pool on virtual time with workers that are shell scripts: how many there are, how they end, how those that die at
 * start are held back, and that nothing is left of any. */
#include "base/log.h"
#include "pool/pool.h"
#include "tests/unit/pool/support.h"

enum { MAX_CHILDREN = 64 };

struct child {
    uint64_t key;
    pid_t pid;
    int fd; /* of its first thread; -1 once closed */
    uint32_t n_threads;
    int is_dead, status, asked;
    int had_page; /* at its death */
};

struct fixture {
    struct pool *pool;
    struct script script;
    struct child children[MAX_CHILDREN];
    int n_children, n_throttles, n_fds, spec, throttle_status;
    int is_mute; /* children are not ready, unless the test says so */
    mono_ns_t now, throttled_until;
};

static void on_spawn(void *context, uint64_t key, pid_t pid, const int *fds, uint32_t n_threads)
{
    struct fixture *f = context;

    ASSERT(f->n_children < MAX_CHILDREN);
    f->children[f->n_children++] =
            (struct child){.key = key, .pid = pid, .fd = fds[0], .n_threads = n_threads};
    for (uint32_t i = 1; i < n_threads; i++)
        close(fds[i]);
    if (!f->is_mute)
        pool_ready(f->pool, key);
}

static void on_exit_(void *context, uint64_t key, pid_t pid, int wait_status, int asked)
{
    struct fixture *f = context;
    uint32_t n_threads;

    for (int i = 0; i < f->n_children; i++) {
        struct child *c = &f->children[i];

        if (c->key != key)
            continue;
        ASSERT(c->pid == pid && !c->is_dead);
        c->is_dead = 1;
        c->status = wait_status;
        c->asked = asked;
        c->had_page = pool_pages(f->pool, key, &n_threads) != NULL && n_threads == c->n_threads;
        err_close(&c->fd);
        return;
    }
    ASSERT(0);
}

static const struct runpage *pages_of(const struct fixture *f, int i)
{
    uint32_t n;
    const struct runpage *pages = pool_pages(f->pool, f->children[i].key, &n);

    assert_int_equal(n, pages ? f->children[i].n_threads : 0);
    return pages;
}

static void on_throttle(void *context, int last_wait_status, mono_ns_t until)
{
    struct fixture *f = context;

    f->n_throttles++;
    f->throttle_status = last_wait_status;
    f->throttled_until = until;
}

static void setup(struct fixture *f, const char *text, uint32_t n_workers)
{
    const struct pool_ops ops = {
            .on_spawn = on_spawn, .on_exit = on_exit_, .on_throttle = on_throttle, .context = f};
    struct pool_config config = {.n_workers = n_workers,
                                 .n_threads = 1,
                                 .grace_ns = 5 * NS_PER_S,
                                 .start_ns = 30 * NS_PER_S,
                                 .burst = 3};

    *f = (struct fixture){.now = 100 * NS_PER_S, .n_fds = count_fds()};
    script_init(&f->script, text);
    config.worker_path = f->script.path;
    config.spec_fd = f->spec = new_spec_fd();
    assert_int_equal(pool_new(&f->pool, &config, &ops), 0);
}

static void teardown(struct fixture *f)
{
    f->pool = pool_free(f->pool);
    for (int i = 0; i < f->n_children; i++)
        err_close(&f->children[i].fd);
    close(f->spec);
    script_deinit(&f->script);
    assert_int_equal(count_fds(), f->n_fds);
    assert_no_children();
}

/* Turn until child @i is dead, in real time; virtual time stands still. */
static mono_ns_t turn_until_dead(struct fixture *f, int i)
{
    mono_ns_t next = 0;

    while (!f->children[i].is_dead) {
        struct pollfd p = {.fd = pool_fd(f->pool), .events = POLLIN};

        assert_int_equal(poll(&p, 1, -1), 1);
        next = pool_turn(f->pool, f->now);
    }
    return next;
}

static void expect_line(const struct fixture *f, int i, const char *expected)
{
    char line[256];

    read_line(f->children[i].fd, line, sizeof line);
    assert_string_equal(line, expected);
}

static void test_keeps_n_alive(void **state)
{
    struct fixture f;

    setup(&f, "echo up >&3; read line <&3", 3);
    assert_int_equal(pool_n_alive(f.pool), 0);
    assert_true(pool_turn(f.pool, f.now) == CLOCK_NEVER);
    assert_int_equal(f.n_children, 3);
    assert_int_equal(pool_n_alive(f.pool), 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(f.children[i].key, i + 1);
        assert_int_equal(pool_pid(f.pool, f.children[i].key), f.children[i].pid);
        assert_non_null(pages_of(&f, i));
        expect_line(&f, i, "up");
    }
    pool_turn(f.pool, f.now);
    assert_int_equal(f.n_children, 3);

    f.now += 2 * NS_PER_S; /* old enough */
    err_close(&f.children[1].fd);
    turn_until_dead(&f, 1);
    assert_true(WIFEXITED(f.children[1].status));
    assert_false(f.children[1].asked);
    assert_true(f.children[1].had_page);
    assert_null(pages_of(&f, 1));
    assert_int_equal(pool_pid(f.pool, f.children[1].key), 0);
    assert_int_equal(f.n_children, 4);
    assert_int_equal(f.children[3].key, 4); /* never a key twice */
    assert_int_equal(pool_n_alive(f.pool), 3);
    assert_int_equal(f.n_throttles, 0);
    teardown(&f);
}

static void test_many_are_spawned_in_portions(void **state)
{
    struct fixture f;

    setup(&f, "read line <&3", 10);
    assert_true(pool_turn(f.pool, f.now) == f.now);
    assert_true(pool_n_alive(f.pool) < 10);
    assert_true(pool_turn(f.pool, f.now) == CLOCK_NEVER);
    assert_int_equal(pool_n_alive(f.pool), 10);
    teardown(&f);
}

static void test_exit_code_and_signal(void **state)
{
    struct fixture f;

    setup(&f, "read how <&3; case $how in exit) exit 7;; *) kill -$how $$;; esac", 1);
    pool_turn(f.pool, f.now);
    f.now += 2 * NS_PER_S;
    assert_int_equal(write(f.children[0].fd, "exit\n", 5), 5);
    turn_until_dead(&f, 0);
    assert_true(WIFEXITED(f.children[0].status));
    assert_int_equal(WEXITSTATUS(f.children[0].status), 7);

    f.now += 2 * NS_PER_S;
    assert_int_equal(write(f.children[1].fd, "SEGV\n", 5), 5);
    turn_until_dead(&f, 1);
    assert_true(WIFSIGNALED(f.children[1].status));
    assert_int_equal(WTERMSIG(f.children[1].status), SIGSEGV);
    assert_int_equal(f.n_throttles, 0);
    teardown(&f);
}

static void test_early_deaths_are_throttled(void **state)
{
    int64_t delay = NS_PER_S;
    struct fixture f;
    mono_ns_t next = 0;

    setup(&f, "exit 3", 1);
    pool_turn(f.pool, f.now);
    for (int i = 0; i < 3; i++) /* the row is full with the third */
        next = turn_until_dead(&f, i);
    assert_int_equal(f.n_children, 3);
    assert_int_equal(f.n_throttles, 1);
    assert_int_equal(WEXITSTATUS(f.throttle_status), 3);
    for (int i = 3; i < 12; i++) {
        assert_true(next == f.now + delay);
        assert_true(f.throttled_until == next);
        assert_int_equal(pool_n_alive(f.pool), 0);
        f.now = next - 1;
        assert_true(pool_turn(f.pool, f.now) == next); /* no spin, nothing spawned */
        assert_int_equal(f.n_children, i);
        f.now = next;
        pool_turn(f.pool, f.now);
        assert_int_equal(f.n_children, i + 1); /* one is tried */
        next = turn_until_dead(&f, i);
        assert_int_equal(f.n_throttles, i - 1);
        delay = MIN(2 * delay, 30 * NS_PER_S);
    }
    assert_true(delay == 30 * NS_PER_S);
    teardown(&f);
}

static void test_one_is_tried_and_proves_itself(void **state)
{
    struct fixture f;
    mono_ns_t next;

    /* a file that is there makes it live */
    setup(&f, "test -e $0.good && { echo up >&3; read line <&3; }", 4);
    pool_turn(f.pool, f.now);
    assert_int_equal(f.n_children, 4);
    for (int i = 0; i < f.n_children; i++)
        turn_until_dead(&f, i);
    assert_int_equal(f.n_throttles, 1); /* those of before the throttle do not prolong it */
    assert_true(f.throttled_until == f.now + NS_PER_S);

    char good[80];
    snprintf(good, sizeof good, "%s.good", f.script.path);
    close(open(good, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    int first = f.n_children;
    f.now = f.throttled_until;
    next = pool_turn(f.pool, f.now);
    assert_int_equal(f.n_children, first + 1);
    assert_true(next == f.now + NS_PER_S); /* when it will have proved itself */
    expect_line(&f, first, "up");
    assert_true(pool_turn(f.pool, next - 1) == next);
    assert_int_equal(f.n_children, first + 1);
    f.now = next;
    assert_true(pool_turn(f.pool, f.now) == CLOCK_NEVER);
    assert_int_equal(pool_n_alive(f.pool), 4);
    for (int i = first + 1; i < f.n_children; i++)
        expect_line(&f, i, "up");

    /* and the row starts again: two early deaths (one is left over) are replaced at once */
    assert_int_equal(unlink(good), 0);
    teardown(&f);
}

static void test_who_started_a_task_is_no_early_death(void **state)
{
    struct fixture f;

    setup(&f, "printf '\\001' | dd of=/dev/fd/4 conv=notrunc 2>/dev/null; kill -ABRT $$", 1);
    pool_turn(f.pool, f.now);
    for (int i = 0; i < 10; i++)
        turn_until_dead(&f, i); /* replaced each time */
    assert_int_equal(f.n_throttles, 0);
    teardown(&f);
}

static void test_program_is_missing(void **state)
{
    struct pool_ops ops = {.on_spawn = on_spawn, .on_exit = on_exit_, .on_throttle = on_throttle};
    struct pool_config config = {.worker_path = "/no/such/worker",
                                 .n_workers = 2,
                                 .n_threads = 1,
                                 .grace_ns = NS_PER_S,
                                 .start_ns = NS_PER_S,
                                 .burst = 3};
    struct fixture f;

    setup(&f, "exit 0", 1);
    pool_free(f.pool);
    config.spec_fd = f.spec;
    ops.context = &f;
    assert_int_equal(pool_new(&f.pool, &config, &ops), 0);
    assert_true(pool_turn(f.pool, f.now) == f.now + NS_PER_S);
    assert_int_equal(f.n_throttles, 1);
    assert_int_equal(WEXITSTATUS(f.throttle_status), 127);
    f.now += NS_PER_S;
    assert_true(pool_turn(f.pool, f.now) == f.now + 2 * NS_PER_S);
    assert_int_equal(f.n_children, 0);
    teardown(&f);
}

static void test_stop(void **state)
{
    struct fixture f;

    /* told to end, it still waits for a line, wherever the signal met it */
    setup(&f, "trap : TERM; echo up >&3; until read line <&3; do :; done", 2);
    pool_turn(f.pool, f.now);
    expect_line(&f, 0, "up");
    pool_stop(f.pool, f.children[0].key, f.now);
    pool_stop(f.pool, 99, f.now); /* unknown: nothing */
    assert_true(pool_turn(f.pool, f.now) <= f.now + 5 * NS_PER_S);
    assert_int_equal(write(f.children[0].fd, "\n", 1), 1);
    turn_until_dead(&f, 0);
    assert_true(WIFEXITED(f.children[0].status));
    assert_true(f.children[0].asked);
    assert_int_equal(f.n_children, 3); /* replaced, and no early death */
    assert_int_equal(f.n_throttles, 0);
    teardown(&f);
}

static void test_ignores_term_and_is_killed_after_the_grace(void **state)
{
    struct fixture f;
    mono_ns_t due;

    setup(&f, "trap '' TERM; echo up >&3; while read line <&3; do echo alive >&3; done", 1);
    pool_turn(f.pool, f.now);
    expect_line(&f, 0, "up");
    pool_stop(f.pool, f.children[0].key, f.now);
    due = f.now + 5 * NS_PER_S;
    assert_true(pool_turn(f.pool, f.now) == due);
    f.now += NS_PER_S;
    pool_stop(f.pool, f.children[0].key, f.now); /* again: the first grace holds */
    assert_true(pool_turn(f.pool, f.now) == due);
    assert_true(pool_turn(f.pool, due - 1) == due);
    assert_int_equal(write(f.children[0].fd, "\n", 1), 1);
    expect_line(&f, 0, "alive");
    f.now = due;
    pool_turn(f.pool, f.now);
    turn_until_dead(&f, 0);
    assert_int_equal(WTERMSIG(f.children[0].status), SIGKILL);
    assert_true(f.children[0].asked);
    teardown(&f);
}

static void test_kill(void **state)
{
    struct fixture f;

    setup(&f, "trap '' TERM; echo up >&3; while read line <&3; do :; done", 1);
    pool_turn(f.pool, f.now);
    expect_line(&f, 0, "up");
    pool_kill(f.pool, 99);
    pool_kill(f.pool, f.children[0].key);
    turn_until_dead(&f, 0);
    assert_int_equal(WTERMSIG(f.children[0].status), SIGKILL);
    assert_true(f.children[0].asked);
    assert_int_equal(f.n_throttles, 0);
    teardown(&f);
}

/* The whole group is asked, nothing is killed, and it counts as asked. */
static void test_term(void **state)
{
    struct fixture f;

    setup(&f, "trap 'echo asked >&3; exit 3' TERM; echo up >&3; while :; do read line <&3; done", 1);
    pool_turn(f.pool, f.now);
    expect_line(&f, 0, "up");
    pool_term(f.pool, 99);
    pool_term(f.pool, f.children[0].key);
    expect_line(&f, 0, "asked");
    turn_until_dead(&f, 0);
    assert_int_equal(WEXITSTATUS(f.children[0].status), 3);
    assert_true(f.children[0].asked);
    assert_int_equal(f.n_throttles, 0);
    teardown(&f);
}

/* What a child leaves behind holds the write end of @fds; its end says that the whole group is gone. */
static void group_dies(const char *how)
{
    char text[256], name[64];
    struct fixture f;
    int reader;

    snprintf(name, sizeof name, "/tmp/futured-fifo-%d", (int)getpid());
    unlink(name);
    assert_int_equal(mkfifo(name, 0600), 0);
    reader = open(name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    /* the orphan reads a pipe that nobody writes, for ever */
    snprintf(text, sizeof text,
             "(trap '' TERM HUP; exec 7>%s; echo orphan >&7; exec tail -f /dev/null) & read line <&3", name);
    setup(&f, text, 1);
    f.n_fds--; /* the reader is closed before the count */
    pool_turn(f.pool, f.now);
    char line[16];
    struct pollfd p = {.fd = reader, .events = POLLIN};
    assert_int_equal(poll(&p, 1, -1), 1);
    read_line(reader, line, sizeof line);
    assert_string_equal(line, "orphan");
    f.now += 2 * NS_PER_S;
    if (strcmp(how, "exit") == 0)
        assert_int_equal(write(f.children[0].fd, "\n", 1), 1);
    else
        pool_kill(f.pool, f.children[0].key);
    turn_until_dead(&f, 0);
    pool_stop_all(f.pool, f.now);
    f.pool = pool_free(f.pool);
    wait_end(reader);
    close(reader);
    unlink(name);
    teardown(&f);
}

static void test_group_dies_when_the_worker_exits(void **state)
{
    group_dies("exit");
}

static void test_group_dies_when_the_worker_is_killed(void **state)
{
    group_dies("kill");
}

static struct pool_counts counts(const struct fixture *f)
{
    return pool_counts(f->pool);
}

/* A new generation is there beside the old one; who is retired is gone when its owner has ended it. */
static void test_generations(void **state)
{
    struct fixture f;
    int spec;

    setup(&f, "read spec </proc/self/fd/5; echo $spec >&3; read line <&3", 2);
    pool_turn(f.pool, f.now);
    for (int i = 0; i < 2; i++)
        expect_line(&f, i, "spec");
    assert_int_equal(counts(&f).n_ready, 2);
    assert_int_equal(pool_next(f.pool, 0, 0), 1);
    assert_int_equal(pool_next(f.pool, 1, 0), 2);
    assert_int_equal(pool_next(f.pool, 2, 0), 0);
    assert_int_equal(pool_next(f.pool, 0, 1), 0);

    spec = memfd_create("spec", MFD_CLOEXEC);
    assert_int_equal(write(spec, "next\n", 5), 5);
    f.is_mute = 1;
    pool_renew(f.pool, spec, 1, f.now);
    assert_int_equal(counts(&f).n_stale, 2);
    assert_int_equal(pool_next(f.pool, 0, 1), 1);
    pool_turn(f.pool, f.now);
    assert_int_equal(f.n_children, 4);
    expect_line(&f, 2, "next");
    assert_int_equal(counts(&f).n_starting, 2);
    assert_int_equal(counts(&f).n_ready, 0);
    pool_ready(f.pool, 3);
    assert_int_equal(counts(&f).n_ready, 1);
    pool_retire(f.pool, 1);
    assert_int_equal(counts(&f).n_stale, 1);
    pool_stop(f.pool, 1, f.now);
    turn_until_dead(&f, 0);
    assert_int_equal(f.n_children, 4); /* nobody in its place */

    /* once more: who was not ready is stopped, and the old ones stay */
    pool_renew(f.pool, spec, 1, f.now);
    assert_int_equal(counts(&f).n_stale, 2);
    turn_until_dead(&f, 3);
    assert_true(f.children[3].asked);
    assert_int_equal(counts(&f).n_starting, 2);
    assert_int_equal(f.n_throttles, 0);
    close(spec);
    teardown(&f);
}

/* What is left of old generations holds new ones up when there is much of it. */
static void test_generations_are_bounded(void **state)
{
    struct fixture f;

    setup(&f, "read line <&3", 1);
    for (int i = 0; i < 6; i++) {
        pool_turn(f.pool, f.now);
        pool_renew(f.pool, f.spec, 1, f.now);
    }
    assert_int_equal(f.n_children, POOL_ALIVE_FACTOR);
    assert_int_equal(counts(&f).n_stale, POOL_ALIVE_FACTOR);
    pool_stop(f.pool, 1, f.now);
    turn_until_dead(&f, 0);
    assert_int_equal(f.n_children, POOL_ALIVE_FACTOR + 1);
    assert_int_equal(counts(&f).n_ready, 1);
    teardown(&f);
}

/* Early deaths of a new generation leave the old one alone, and those of the old one count no more. */
static void test_early_deaths_of_a_generation(void **state)
{
    struct fixture f;

    setup(&f, "read line <&3; exit 7", 2);
    pool_turn(f.pool, f.now);
    f.is_mute = 1;
    pool_renew(f.pool, f.spec, 1, f.now);
    pool_turn(f.pool, f.now);
    for (int i = 2; f.n_throttles == 0; i++) {
        f.now += 10 * NS_PER_S; /* not ready: it is early however late it is */
        err_close(&f.children[i].fd);
        turn_until_dead(&f, i);
    }
    assert_int_equal(counts(&f).n_early, 3);
    assert_int_equal(counts(&f).n_stale, 2);
    err_close(&f.children[0].fd);
    turn_until_dead(&f, 0);
    assert_int_equal(counts(&f).n_early, 3);
    pool_renew(f.pool, f.spec, 1, f.now);
    assert_int_equal(counts(&f).n_early, 0);
    teardown(&f);
}

/* A child has a socket and a page for each of its threads, is ready when all of them are, and has as many as its generation. */
static void test_threads(void **state)
{
    struct fixture f;

    setup(&f,
          "printf '\\001' | dd of=/dev/fd/4 bs=4096 seek=2 conv=notrunc 2>/dev/null\n"
          "for fd in 3 4 5 6 7 8 9; do test -e /proc/$$/fd/$fd && printf \"$fd \" >&3; done; echo >&3; read "
          "line "
          "<&3",
          1);
    f.is_mute = 1;
    pool_renew(f.pool, f.spec, 3, f.now);
    pool_turn(f.pool, f.now);
    assert_int_equal(f.children[0].n_threads, 3);
    expect_line(&f, 0, "3 4 5 6 7 ");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pool_is_ready(f.pool, 1), 0);
        pool_ready(f.pool, 1);
    }
    assert_true(pool_is_ready(f.pool, 1));
    assert_int_equal(atomic_load(&pages_of(&f, 0)[0].n_started), 0);
    assert_int_equal(atomic_load(&pages_of(&f, 0)[2].n_started), 1);
    err_close(&f.children[0].fd);
    turn_until_dead(&f, 0); /* one thread had begun something, so that is no early death */
    assert_int_equal(counts(&f).n_early, 0);
    pool_renew(f.pool, f.spec, 1, f.now);
    turn_until_dead(&f, 1);
    assert_int_equal(f.children[1].n_threads, 3);
    assert_int_equal(f.children[2].n_threads, 1);
    teardown(&f);
}

static void test_resize(void **state)
{
    struct fixture f;

    setup(&f, "read line <&3", 0);
    assert_true(pool_turn(f.pool, f.now) == CLOCK_NEVER);
    assert_int_equal(pool_resize(f.pool, 20, NS_PER_S), 0);
    while (pool_turn(f.pool, f.now) == f.now)
        ;
    assert_int_equal(counts(&f).n_ready, 20);
    assert_int_equal(pool_resize(f.pool, 1, NS_PER_S), 0);
    pool_retire(f.pool, 1);
    pool_stop(f.pool, 1, f.now);
    turn_until_dead(&f, 0);
    assert_int_equal(f.n_children, 20);
    teardown(&f);
}

/* A start that takes too long is ended, and counts as an early death. */
static void test_start_timeout(void **state)
{
    struct fixture f;

    setup(&f, "echo up >&3; trap '' TERM; while :; do sleep 1000; done", 1);
    f.is_mute = 1;
    assert_true(pool_turn(f.pool, f.now) == f.now + 30 * NS_PER_S);
    expect_line(&f, 0, "up");
    f.now += 30 * NS_PER_S - 1;
    assert_true(pool_turn(f.pool, f.now) == f.now + 1);
    assert_false(pool_is_overdue(f.pool, 1));
    f.now++;
    pool_turn(f.pool, f.now);
    assert_true(pool_is_overdue(f.pool, 1));
    turn_until_dead(&f, 0);
    assert_true(WIFSIGNALED(f.children[0].status));
    assert_false(f.children[0].asked);
    assert_int_equal(counts(&f).n_early, 1);
    assert_int_equal(f.n_children, 2);
    pool_ready(f.pool, 2);
    f.now += 31 * NS_PER_S;
    pool_turn(f.pool, f.now);
    assert_false(pool_is_overdue(f.pool, 2));
    teardown(&f);
}

static void test_stop_all(void **state)
{
    struct fixture f;

    setup(&f, "echo up >&3; read line <&3", 3);
    pool_turn(f.pool, f.now);
    for (int i = 0; i < 3; i++)
        expect_line(&f, i, "up");
    pool_stop_all(f.pool, f.now);
    for (int i = 0; i < 3; i++)
        turn_until_dead(&f, i);
    assert_int_equal(pool_n_alive(f.pool), 0);
    assert_true(pool_turn(f.pool, f.now) == CLOCK_NEVER);
    assert_int_equal(f.n_children, 3);
    for (int i = 0; i < 3; i++)
        assert_true(f.children[i].asked);
    teardown(&f);
}

static void test_sigchld_ignored_by_our_parent(void **state)
{
    struct fixture f;

    signal(SIGCHLD, SIG_IGN);
    setup(&f, "exit 7", 1);
    pool_turn(f.pool, f.now);
    turn_until_dead(&f, 0);
    assert_int_equal(WEXITSTATUS(f.children[0].status), 7);
    teardown(&f);
}

static void test_new_without_memory(void **state)
{
    const struct pool_ops ops = {.on_spawn = on_spawn, .on_exit = on_exit_};
    struct pool_config config = {
            .worker_path = "/bin/true", .n_workers = 1, .n_threads = 1, .start_ns = NS_PER_S, .burst = 1};
    int before = count_fds();

    config.spec_fd = new_spec_fd();
    FAIL_EACH_ALLOCATION(nth)
    {
        struct pool *p = NULL;
        int r = pool_new(&p, &config, &ops);

        assert_int_equal(r, test_allocation_failed() ? -ENOMEM : 0);
        pool_free(p);
    }
    close(config.spec_fd);
    assert_int_equal(count_fds(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_keeps_n_alive),
            cmocka_unit_test(test_many_are_spawned_in_portions),
            cmocka_unit_test(test_exit_code_and_signal),
            cmocka_unit_test(test_early_deaths_are_throttled),
            cmocka_unit_test(test_one_is_tried_and_proves_itself),
            cmocka_unit_test(test_who_started_a_task_is_no_early_death),
            cmocka_unit_test(test_program_is_missing),
            cmocka_unit_test(test_stop),
            cmocka_unit_test(test_ignores_term_and_is_killed_after_the_grace),
            cmocka_unit_test(test_kill),
            cmocka_unit_test(test_term),
            cmocka_unit_test(test_group_dies_when_the_worker_exits),
            cmocka_unit_test(test_group_dies_when_the_worker_is_killed),
            cmocka_unit_test(test_generations),
            cmocka_unit_test(test_generations_are_bounded),
            cmocka_unit_test(test_early_deaths_of_a_generation),
            cmocka_unit_test(test_threads),
            cmocka_unit_test(test_resize),
            cmocka_unit_test(test_start_timeout),
            cmocka_unit_test(test_stop_all),
            cmocka_unit_test(test_sigchld_ignored_by_our_parent),
            cmocka_unit_test(test_new_without_memory),
    };

    log_configure(LOG_ERROR, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
