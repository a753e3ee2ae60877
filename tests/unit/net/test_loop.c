// SPDX-License-Identifier: Apache-2.0
/*
 * The loop: the order of a turn, timers on a clock of the test's own and on the real one, watches, signals,
 * mailboxes with a second thread, dirty marks, and what is counted.
 */
#include "daemon/net/loop.h"
#include "tests/support/testing.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>

#include <sys/socket.h>

/* --- what all tests share: a clock, and a protocol of what happened */

static mono_ns_t fake_now;
static char happened[4096];
static size_t n_clock_reads;

static mono_ns_t fake_clock(void *arg)
{
    n_clock_reads++;
    return fake_now;
}

PRINTF_LIKE(1, 2) static void note(const char *format, ...)
{
    size_t n = strlen(happened);
    va_list args;

    va_start(args, format);
    vsnprintf(happened + n, sizeof happened - n, format, args);
    va_end(args);
}

static void assert_happened(const char *expect)
{
    assert_string_equal(happened, expect);
    happened[0] = '\0';
}

static struct loop *new_loop(void)
{
    static const struct loop_hooks hooks = {.clock = fake_clock};
    struct loop *loop;

    happened[0] = '\0';
    fake_now = 1000;
    assert_int_equal(loop_new(&loop, &hooks), 0);
    return loop;
}

static void turn(struct loop *loop)
{
    assert_int_equal(loop_turn(loop, LOOP_NO_WAIT), 0);
}

/* --- timers */

struct named_timer {
    struct loop_timer timer;
    const char *name;
    mono_ns_t again; /* set to this from inside; 0 = no */
};

static void on_named(void *arg, mono_ns_t now)
{
    struct named_timer *t = arg;

    note("%s@%d ", t->name, (int)now);
    if (t->again)
        loop_timer_set(&t->timer, t->again);
}

static void test_timers_in_order(void **state)
{
    struct loop *loop = new_loop();
    struct named_timer t[5] = {{.name = "a"}, {.name = "b"}, {.name = "c"}, {.name = "d"}, {.name = "e"}};

    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        assert_int_equal(loop_timer_init(&t[i].timer, loop, on_named, &t[i]), 0);
    loop_timer_set(&t[0].timer, 1300);
    loop_timer_set(&t[1].timer, 1100);
    loop_timer_set(&t[2].timer, 1200);
    loop_timer_set(&t[3].timer, 1200); /* the same time: as set */
    loop_timer_set(&t[4].timer, 1150);
    assert_true(loop_timer_at(&t[0].timer) == 1300);
    turn(loop);
    assert_happened("");
    fake_now = 1099;
    turn(loop);
    assert_happened("");
    fake_now = 1100; /* at its time, not after */
    turn(loop);
    assert_happened("b@1100 ");
    assert_true(loop_timer_at(&t[1].timer) == CLOCK_NEVER);
    loop_timer_set(&t[4].timer, CLOCK_NEVER); /* taken back */
    assert_true(loop_timer_at(&t[4].timer) == CLOCK_NEVER);
    fake_now = 5000;
    turn(loop);
    assert_happened("c@5000 d@5000 a@5000 ");
    turn(loop);
    assert_happened("");
    assert_int_equal(loop_stats_get(loop).n_timers, 4);
    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        loop_timer_deinit(&t[i].timer);
    loop_free(loop);
}

static void test_timer_set_in_itself_waits_a_turn(void **state)
{
    struct loop *loop = new_loop();
    struct named_timer a = {.name = "a", .again = 1}, b = {.name = "b"};

    assert_int_equal(loop_timer_init(&a.timer, loop, on_named, &a), 0);
    assert_int_equal(loop_timer_init(&b.timer, loop, on_named, &b), 0);
    loop_timer_set(&a.timer, 1000);
    loop_timer_set(&b.timer, 1000);
    turn(loop);
    turn(loop);
    a.again = 0;
    turn(loop);
    turn(loop);
    assert_happened("a@1000 b@1000 a@1000 a@1000 "); /* set to the past, and yet behind b, and once a turn */
    loop_timer_deinit(&a.timer);
    loop_timer_deinit(&b.timer);
    loop_free(loop);
}

static void test_timer_that_goes_inside_another(void **state)
{
    struct loop *loop = new_loop();
    struct named_timer a = {.name = "a"}, zeroed = {0};

    assert_int_equal(loop_timer_init(&a.timer, loop, on_named, &a), 0);
    loop_timer_set(&a.timer, 1000);
    loop_timer_deinit(&a.timer);
    loop_timer_deinit(&a.timer);
    loop_timer_deinit(&zeroed.timer);
    turn(loop);
    assert_happened("");
    loop_free(loop);
}

static void stop_on_time(void *arg, mono_ns_t now)
{
    loop_stop(arg);
}

static void stop_on_ready(void *arg, int what)
{
    loop_stop(arg);
}

/* On the real clock: a wait ends for a timer, and never before its time. */
static void test_real_timer_ends_the_wait(void **state)
{
    static const struct loop_hooks hooks = {0};
    struct loop *loop;
    struct loop_timer t, later;
    struct loop_watch w;
    int fds[2];

    assert_int_equal(loop_new(&loop, &hooks), 0);
    assert_int_equal(loop_timer_init(&t, loop, stop_on_time, loop), 0);
    assert_int_equal(loop_timer_init(&later, loop, stop_on_time, loop), 0);
    for (int i = 0; i < 20; i++) {
        mono_ns_t at = clock_mono() + i * NS_PER_MS / 10;

        loop_timer_set(&later,
                       at + 3600 * NS_PER_S); /* armed for another one first, then for an earlier one */
        loop_timer_set(&t, at);
        assert_int_equal(loop_run(loop), 0);
        assert_true(loop_now(loop) >= at);
        assert_true(loop_timer_at(&t) == CLOCK_NEVER);
    }
    loop_timer_set(&t, 1); /* long past: at once */
    assert_int_equal(loop_run(loop), 0);

    /* the wait ends for something else while it is armed for later; then comes an earlier one */
    assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    loop_watch_init(&w, loop, fds[1], stop_on_ready, loop);
    assert_int_equal(loop_watch_set(&w, LOOP_WRITE), 0);
    assert_int_equal(loop_run(loop), 0);
    loop_watch_deinit(&w);
    loop_timer_set(&t, clock_mono() + NS_PER_MS);
    assert_int_equal(loop_run(loop), 0);
    assert_true(loop_timer_at(&t) == CLOCK_NEVER);
    close(fds[0]);
    close(fds[1]);
    loop_timer_deinit(&t);
    loop_timer_deinit(&later);
    loop_free(loop);
}

/* --- the order of a turn */

struct stage {
    struct loop *loop;
    struct loop_watch watch;
    struct loop_timer timer;
    struct loop_dirty dirty, other;
    int fd;
    int is_pending;
};

static void stage_on_ready(void *arg, int what)
{
    struct stage *s = arg;
    char c;

    assert_int_equal(what, LOOP_READ);
    assert_int_equal(read(s->fd, &c, 1), 1);
    note("event ");
    loop_mark_dirty(s->loop, &s->dirty);
    loop_mark_dirty(s->loop, &s->dirty); /* twice is once */
    loop_timer_set(&s->timer, loop_now(s->loop));
}

static void stage_on_time(void *arg, mono_ns_t now)
{
    note("timer ");
}

static void stage_on_turn(void *arg, mono_ns_t now)
{
    struct stage *s = arg;

    note("turn%s ", s->is_pending ? "!" : "");
    s->is_pending = 0;
}

static int stage_is_pending(void *arg)
{
    return ((struct stage *)arg)->is_pending;
}

static void stage_flush(void *arg, mono_ns_t now)
{
    struct stage *s = arg;

    note("flush ");
    loop_mark_dirty(s->loop, &s->other); /* while flushing: the next turn */
}

static void stage_flush_other(void *arg, mono_ns_t now)
{
    struct stage *s = arg;

    note("other ");
    s->is_pending = 1;
}

static void test_order_of_a_turn(void **state)
{
    struct stage s = {0};
    const struct loop_hooks hooks = {.on_turn = stage_on_turn, .is_pending = stage_is_pending, .arg = &s};
    int fds[2];

    happened[0] = '\0';
    assert_int_equal(loop_new(&s.loop, &hooks), 0);
    assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    s.fd = fds[0];
    loop_watch_init(&s.watch, s.loop, fds[0], stage_on_ready, &s);
    assert_int_equal(loop_watch_set(&s.watch, LOOP_READ), 0);
    assert_int_equal(loop_timer_init(&s.timer, s.loop, stage_on_time, &s), 0);
    loop_dirty_init(&s.dirty, stage_flush, &s);
    loop_dirty_init(&s.other, stage_flush_other, &s);

    assert_int_equal(write(fds[1], "x", 1), 1);
    assert_int_equal(loop_turn(s.loop, LOOP_WAIT), 0);
    assert_happened("event timer turn flush ");
    assert_int_equal(loop_turn(s.loop, LOOP_WAIT), 0); /* does not sleep: something is dirty */
    assert_happened("turn other ");
    assert_int_equal(loop_turn(s.loop, LOOP_WAIT), 0); /* nor here: on_turn has work */
    assert_happened("turn! ");

    loop_mark_dirty(s.loop, &s.dirty);
    loop_dirty_deinit(&s.dirty);
    turn(s.loop);
    assert_happened("turn ");
    assert_int_equal(loop_stats_get(s.loop).n_turns, 4);
    loop_timer_deinit(&s.timer);
    loop_watch_deinit(&s.watch);
    loop_free(s.loop);
    close(fds[0]);
    close(fds[1]);
}

static void test_time_is_read_once_a_turn(void **state)
{
    struct loop *loop = new_loop();
    size_t before = n_clock_reads;

    turn(loop);
    assert_int_equal(n_clock_reads - before, 2); /* after the wait, and at the end for what the turn took */
    fake_now = 900;                              /* a clock that goes back does not take the loop with it */
    turn(loop);
    assert_true(loop_now(loop) == 1000);
    loop_free(loop);
}

static void take_3_ms(void *arg, mono_ns_t now)
{
    fake_now += 3 * NS_PER_MS;
}

static void test_stats_measure_turns(void **state)
{
    struct loop *loop = new_loop();
    struct loop_timer t;

    assert_int_equal(loop_timer_init(&t, loop, take_3_ms, NULL), 0);
    loop_timer_set(&t, 1000);
    turn(loop);
    turn(loop);
    assert_int_equal(loop_stats_get(loop).n_turns, 2);
    assert_int_equal(loop_stats_get(loop).longest_turn_ns, 3 * NS_PER_MS);
    assert_int_equal(loop_stats_get(loop).busy_ns, 3 * NS_PER_MS);
    loop_timer_deinit(&t);
    loop_free(loop);
}

/* --- watches */

static void note_ready(void *arg, int what)
{
    if (arg)
        assert_true(loop_now(arg) == fake_now); /* the time of this turn, not of the last one */
    note("%s%s ", what & LOOP_READ ? "r" : "", what & LOOP_WRITE ? "w" : "");
}

static void test_watch(void **state)
{
    struct loop *loop = new_loop();
    struct loop_watch w, zeroed = {0};
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
    loop_watch_init(&w, loop, fds[0], note_ready, loop);
    turn(loop);
    assert_happened("");
    assert_int_equal(loop_watch_set(&w, LOOP_WRITE), 0);
    fake_now += 77;
    turn(loop);
    turn(loop); /* level-triggered */
    assert_happened("w w ");
    assert_int_equal(loop_watch_set(&w, LOOP_READ), 0);
    turn(loop);
    assert_happened("");
    assert_int_equal(write(fds[1], "x", 1), 1);
    turn(loop);
    turn(loop);
    assert_happened("r r ");
    assert_int_equal(loop_watch_set(&w, 0), 0);
    turn(loop);
    assert_happened("");
    assert_int_equal(loop_watch_set(&w, LOOP_READ), 0); /* what came meanwhile is not lost */
    turn(loop);
    assert_happened("r ");
    assert_int_equal(loop_watch_set(&w, LOOP_READ | LOOP_WRITE), 0);
    turn(loop);
    assert_true(strstr(happened, "r ") && strstr(happened, "w "));
    happened[0] = '\0';
    assert_int_equal(loop_watch_set(&w, LOOP_WRITE), 0);
    close(fds[1]); /* unread bytes in fds[1]: none, in fds[0]: one; the peer is gone: said to who writes */
    turn(loop);
    assert_happened("w ");
    loop_watch_deinit(&w);
    loop_watch_deinit(&w);
    loop_watch_deinit(&zeroed);
    turn(loop);
    assert_happened("");
    close(fds[0]);
    loop_free(loop);
}

static void test_watch_of_what_cannot_be_watched(void **state)
{
    struct loop *loop = new_loop();
    struct loop_watch w;
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

    loop_watch_init(&w, loop, fd, note_ready, NULL);
    assert_int_equal(loop_watch_set(&w, LOOP_READ), -EPERM); /* epoll takes no files */
    loop_watch_deinit(&w);
    close(fd);
    loop_free(loop);
}

static struct loop_watch goes_inside[2];
static int goes_fds[2];

static void on_ready_both_go(void *arg, int what)
{
    note("one ");
    loop_watch_deinit(&goes_inside[0]);
    loop_watch_deinit(&goes_inside[1]);
    err_close(&goes_fds[0]);
    err_close(&goes_fds[1]);
}

/* Two are ready in the same turn and the first to be told ends both: the second must not be told. */
static void test_watch_that_goes_inside(void **state)
{
    struct loop *loop = new_loop();

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, goes_fds), 0);
    for (int i = 0; i < 2; i++) {
        loop_watch_init(&goes_inside[i], loop, goes_fds[i], on_ready_both_go, NULL);
        assert_int_equal(loop_watch_set(&goes_inside[i], LOOP_READ | LOOP_WRITE), 0);
    }
    turn(loop);
    turn(loop);
    assert_happened("one ");
    loop_free(loop);
}

/* --- signals */

static void note_signal(void *arg, int signo)
{
    note("signal %d ", signo);
    loop_stop(arg);
}

static void test_signals(void **state)
{
    static const struct loop_hooks hooks = {0};
    struct loop *loop;
    struct loop_signal term, hup, zeroed = {0};

    happened[0] = '\0';
    assert_int_equal(loop_new(&loop, &hooks), 0);
    assert_int_equal(loop_signal_init(&term, loop, SIGTERM, note_signal, loop), 0);
    assert_int_equal(loop_signal_init(&hup, loop, SIGHUP, note_signal, loop), 0);
    assert_int_equal(kill(getpid(), SIGTERM), 0);
    assert_int_equal(loop_run(loop), 0);
    assert_happened("signal 15 ");
    assert_int_equal(kill(getpid(), SIGHUP), 0);
    assert_int_equal(loop_run(loop), 0);
    assert_happened("signal 1 ");
    loop_signal_deinit(&term);
    loop_signal_deinit(&hup);
    loop_signal_deinit(&hup);
    loop_signal_deinit(&zeroed);
    loop_free(loop);
}

/* --- mailboxes */

struct letter {
    struct list link;
    int n;
};

enum { LETTERS = 1000 };

static struct mailbox box;
static struct letter letters[LETTERS];
static int n_read;

static void *write_letters(void *arg)
{
    for (int i = 0; i < LETTERS; i++) {
        letters[i].n = i;
        mailbox_post(&box, &letters[i].link);
    }
    return NULL;
}

static void on_mail(void *arg, struct list *messages)
{
    struct list *l;

    while ((l = list_pop_front(messages)) != NULL)
        n_read += LIST_ENTRY(l, struct letter, link)->n == n_read ? 1 : -LETTERS;
    if (n_read == LETTERS)
        loop_stop(arg);
}

/* Another thread wakes a loop that sleeps; everything arrives, in order. */
static void test_mailbox_wakes(void **state)
{
    static const struct loop_hooks hooks = {0};
    struct loop *loop;
    struct loop_mailbox m;
    pthread_t thread;

    n_read = 0;
    assert_int_equal(loop_new(&loop, &hooks), 0);
    assert_int_equal(mailbox_init(&box), 0);
    assert_int_equal(loop_mailbox_init(&m, loop, &box, on_mail, loop), 0);
    assert_int_equal(pthread_create(&thread, NULL, write_letters, NULL), 0);
    assert_int_equal(loop_run(loop), 0);
    assert_int_equal(n_read, LETTERS);
    assert_int_equal(pthread_join(thread, NULL), 0);
    loop_mailbox_deinit(&m);
    mailbox_deinit(&box);
    loop_free(loop);
}

/* --- failures */

static void test_each_allocation_fails(void **state)
{
    static const struct loop_hooks hooks = {0};

    happened[0] = '\0';
    FAIL_EACH_ALLOCATION(nth)
    {
        struct loop *loop = NULL;
        struct loop_timer t = {0};
        struct loop_watch w = {0};
        int fds[2], r;

        assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
        r = loop_new(&loop, &hooks);
        if (r == 0)
            r = loop_timer_init(&t, loop, on_named, NULL);
        if (r == 0) {
            loop_watch_init(&w, loop, fds[1], note_ready, NULL);
            r = loop_watch_set(&w, LOOP_WRITE);
        }
        if (r < 0) { /* libevent can do without some that fail */
            assert_true(test_allocation_failed());
            assert_int_equal(r, -ENOMEM);
        } else {
            turn(loop);
            assert_happened("w ");
        }
        loop_watch_deinit(&w);
        loop_timer_deinit(&t);
        loop_free(loop);
        close(fds[0]);
        close(fds[1]);
    }
}

static void free_with_timer(void *arg)
{
    loop_free(arg);
}

static void test_a_forgotten_timer_aborts(void **state)
{
    struct loop *loop = new_loop();
    struct loop_timer t;

    assert_int_equal(loop_timer_init(&t, loop, on_named, NULL), 0);
    test_aborts(free_with_timer, loop, "n_timers == 0");
    loop_timer_deinit(&t);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_timers_in_order),
            cmocka_unit_test(test_timer_set_in_itself_waits_a_turn),
            cmocka_unit_test(test_timer_that_goes_inside_another),
            cmocka_unit_test(test_real_timer_ends_the_wait),
            cmocka_unit_test(test_order_of_a_turn),
            cmocka_unit_test(test_time_is_read_once_a_turn),
            cmocka_unit_test(test_stats_measure_turns),
            cmocka_unit_test(test_watch),
            cmocka_unit_test(test_watch_of_what_cannot_be_watched),
            cmocka_unit_test(test_watch_that_goes_inside),
            cmocka_unit_test(test_signals),
            cmocka_unit_test(test_mailbox_wakes),
            cmocka_unit_test(test_each_allocation_fails),
            cmocka_unit_test(test_a_forgotten_timer_aborts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
