// SPDX-License-Identifier: Apache-2.0
/* The program itself, started as the pool starts it, against a fake daemon: that it serves, what the daemon finds in the
 * runpage after each way to die, and what it says when it cannot start. */
#include "pool/spawn.h"
#include "tests/unit/worker/fake_daemon.h"
#include "worker/spec.h"

#include <sysexits.h>

#include <sys/stat.h>

enum { MAX_MESSAGE = 4 * 1024 * 1024, MAX_RESULT = 1024 * 1024 };

struct program {
    struct spawn_child child;
    struct fake_daemon *daemon;
};

static void start_with(struct program *p, const struct spec *spec)
{
    int fd;

    assert_int_equal(spec_write(spec, &fd), 0);
    assert_int_equal(spawn_worker(WORKER_PATH, fd, 1, &p->child), 0);
    close(fd);
    p->daemon = fake_new(p->child.sockets[0]);
}

/* With the wild plugin and two commands. */
static void start(struct program *p)
{
    const char *plugins[] = {TEST_PLUGINS "/wild.so"};
    struct spec_command commands[] = {
            {.name = "upper", .line = "tr a-z A-Z"},
            {.name = "tail", .line = "echo x >&2; exec tail -f /dev/null", .is_shell = 1}};
    const struct spec spec = {.plugins = plugins, .n_plugins = 1, .commands = commands, .n_commands = 2};

    start_with(p, &spec);
    FAKE_UNTIL(p->daemon, p->daemon->n_hellos == 1);
    fake_welcome(p->daemon, MAX_MESSAGE, MAX_RESULT);
}

/* Wait for its death. The wait status. */
static int finish(struct program *p)
{
    int status;

    while (!p->daemon->is_gone)
        fake_step(p->daemon);
    assert_int_equal(waitpid(p->child.pid, &status, 0), p->child.pid);
    assert_int_equal(kill(-p->child.pid, 0), -1); /* nothing of its group is left */
    fake_free(p->daemon);
    close(p->child.pidfd);
    spawn_unmap(p->child.pages, p->child.n_threads);
    return status;
}

static void expect_stopped(struct program *p)
{
    int status;

    fake_drain(p->daemon);
    FAKE_UNTIL(p->daemon, p->daemon->is_over);
    status = finish(p);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_serves(void **state)
{
    struct program p;
    char name[32];

    start(&p);
    snprintf(name, sizeof name, "pool-%d", (int)p.child.pid);
    assert_string_equal(p.daemon->name.s, name);
    assert_int_equal(p.daemon->token.n, 32);
    assert_string_equal(
            p.daemon->function_names.s,
            "echo sleep sha256 gzip gunzip fail exit_0 abort segv close_small "
            "fork sandbox hello forever deaf nap answer_late stop children close_all write_sockets leak "
            "flood which upstreams end_thread end_alone upper "
            "tail ");
    assert_int_equal(p.daemon->load_error.n, 0);
    fake_assign(p.daemon, 1, "sha256", "abc");
    fake_assign(p.daemon, 2, "hello", "");
    fake_assign(p.daemon, 3, "upper", "abc");
    fake_assign(p.daemon, 4, "sandbox", "");
    FAKE_UNTIL(p.daemon, p.daemon->n_finishes == 4);
    fake_expect_data(fake_finish_of(p.daemon, 1),
                     "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    fake_expect_data(fake_finish_of(p.daemon, 2), "hello");
    fake_expect_data(fake_finish_of(p.daemon, 3), "ABC");
    assert_int_equal(fake_finish_of(p.daemon, 3)->exit_code.value, 0);
    fake_expect_data(fake_finish_of(p.daemon, 4), "ok");
    expect_stopped(&p);
}

/* Ten that end, one that takes the process with it, one that is never begun. */
static int die_by(const char *function)
{
    struct runpage page;
    struct program p;
    uint64_t next = 0;
    wall_ns_t at;
    int status;

    start(&p);
    fake_assign_n(p.daemon, 1, 10, "echo", SPAN_LIT("x"));
    fake_assign(p.daemon, 11, function, "");
    fake_assign(p.daemon, 12, "echo", "never");
    while (!p.daemon->is_gone)
        fake_step(p.daemon);
    page = p.child.pages[0];
    status = finish(&p);
    assert_int_equal(atomic_load(&page.n_started), 11);
    assert_int_equal(atomic_load(&page.n_finished), 10);
    assert_true(atomic_load(&page.n_sent) <= 10);
    for (uint32_t i = 1; i <= 12; i++) {
        struct lease_ref lease = fake_lease(i);

        assert_int_equal(runpage_find(&page, id_key(&lease.id), 1, &next, &at), i <= 10   ? RUNPAGE_FINISHED
                                                                                : i == 11 ? RUNPAGE_RUNNING
                                                                                          : RUNPAGE_UNKNOWN);
    }
    return status;
}

static void test_crashes(void **state)
{
    int status = die_by("segv");

    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSEGV);
    assert_false(WCOREDUMP(status));
    status = die_by("abort");
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    status = die_by("exit_0");
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* Two threads: one runs something, and the other takes the process with it; in whose page that is noted. */
static void take_along(const char *function, uint32_t culprit, int is_blamed)
{
    const char *plugins[] = {TEST_PLUGINS "/wild.so"};
    const struct spec spec = {.plugins = plugins, .n_plugins = 1};
    struct fake_daemon *daemons[2];
    struct spawn_child child;
    char name[32];
    int fd, status;

    assert_int_equal(spec_write(&spec, &fd), 0);
    assert_int_equal(spawn_worker(WORKER_PATH, fd, 2, &child), 0);
    close(fd);
    for (uint32_t i = 0; i < 2; i++) {
        daemons[i] = fake_new(child.sockets[i]);
        FAKE_UNTIL(daemons[i], daemons[i]->n_hellos == 1);
        snprintf(name, sizeof name, "pool-%d.%u", (int)child.pid, (unsigned int)i + 1);
        assert_string_equal(daemons[i]->name.s, name);
        fake_welcome(daemons[i], MAX_MESSAGE, MAX_RESULT);
    }
    assert_string_not_equal(daemons[0]->token.s, daemons[1]->token.s);
    fake_assign(daemons[!culprit], 1, "sleep", "999999999");
    FAKE_UNTIL_STARTED(daemons[!culprit], 1);
    fake_assign(daemons[culprit], 1, function, "");
    fake_send(daemons[culprit]);
    assert_int_equal(waitpid(child.pid, &status, 0), child.pid);
    for (uint32_t i = 0; i < 2; i++) {
        assert_true(runpage_is_running(&child.pages[i]));
        assert_int_equal(runpage_is_blamed(&child.pages[i]), is_blamed && i == culprit);
        fake_free(daemons[i]);
    }
    close(child.pidfd);
    spawn_unmap(child.pages, child.n_threads);
}

static void test_blame(void **state)
{
    for (uint32_t culprit = 0; culprit < 2; culprit++) {
        take_along("abort", culprit, 1);
        take_along("exit_0", culprit, 1);
        take_along("segv", culprit, 0); /* with a handler of its own */
    }
}

static void test_small_descriptors_are_not_ours(void **state)
{
    struct program p;

    start(&p);
    fake_assign(p.daemon, 1, "close_small", "");
    fake_assign(p.daemon, 2, "echo", "still here");
    fake_assign(p.daemon, 3, "upper", "and commands");
    FAKE_UNTIL(p.daemon, p.daemon->n_finishes == 3);
    fake_expect_data(fake_finish_of(p.daemon, 1), "closed");
    fake_expect_data(fake_finish_of(p.daemon, 2), "still here");
    fake_expect_data(fake_finish_of(p.daemon, 3), "AND COMMANDS");
    expect_stopped(&p);
}

static void test_child_that_returns_says_nothing(void **state)
{
    struct program p;

    start(&p);
    fake_assign(p.daemon, 1, "fork", "");
    fake_assign(p.daemon, 2, "echo", "after");
    FAKE_UNTIL(p.daemon, p.daemon->n_finishes == 2);
    fake_expect_data(fake_finish_of(p.daemon, 1), "parent");
    fake_expect_data(fake_finish_of(p.daemon, 2), "after");
    expect_stopped(&p);
}

static void test_sigterm(void **state)
{
    struct program p;
    int status;

    start(&p);
    fake_assign(p.daemon, 1, "sleep", "500"); /* long enough for the monitor to tell that it runs */
    fake_assign(p.daemon, 2, "echo", "x");
    FAKE_UNTIL_STARTED(p.daemon, 1);
    assert_int_equal(kill(p.child.pid, SIGTERM), 0);
    FAKE_UNTIL(p.daemon, p.daemon->is_over);
    assert_int_equal(p.daemon->n_finishes, 1); /* what ran has ended */
    assert_true(fake_finish_of(p.daemon, 1)->is_result);
    assert_int_equal(p.daemon->n_released, 1); /* what waited goes back */
    status = finish(&p);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* The daemon is gone: nothing of the worker stays, whatever it was doing. */
static void test_daemon_gone(void **state)
{
    static const char *const doing[] = {NULL, "tail", "sleep"};

    for (size_t i = 0; i < ARRAY_LEN(doing); i++) {
        struct program p;
        int status;

        start(&p);
        if (doing[i]) {
            fake_assign(p.daemon, 1, doing[i], "999999999");
            FAKE_UNTIL_STARTED(p.daemon, 1);
        } else {
            fake_send(p.daemon);
        }
        fake_close(p.daemon);
        assert_int_equal(waitpid(p.child.pid, &status, 0), p.child.pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
        assert_int_equal(atomic_load(&p.child.pages[0].n_started), doing[i] != NULL);
        assert_int_equal(atomic_load(&p.child.pages[0].n_finished),
                         doing[i] != NULL); /* given up, and no crash */
        fake_free(p.daemon);
        close(p.child.pidfd);
        spawn_unmap(p.child.pages, p.child.n_threads);
    }
}

static void test_cancelled_command(void **state)
{
    struct program p;

    start(&p);
    fake_assign(p.daemon, 1, "tail", "");
    FAKE_UNTIL_STARTED(p.daemon, 1);
    fake_order(p.daemon, 4, 1, 3600 * NS_PER_S);
    FAKE_UNTIL(p.daemon, p.daemon->n_finishes == 1);
    assert_string_equal(p.daemon->finishes[0].reason.s, "CANCELLED");
    assert_int_equal(p.daemon->finishes[0].signal.value, SIGTERM);
    expect_stopped(&p);
}

/* The worker is killed while a command has children of its own: the end of a fifo says that all are gone. */
static void test_killed_while_a_command_runs(void **state)
{
    char fifo[64], line[256], c;
    struct spec_command commands[] = {{.name = "family", .line = line, .is_shell = 1}};
    const struct spec spec = {.commands = commands, .n_commands = 1};
    struct program p;
    int reader, status;

    snprintf(fifo, sizeof fifo, "/tmp/futured-family-%d", (int)getpid());
    snprintf(line, sizeof line,
             "exec 7>%s; (trap '' TERM HUP; echo up >&7; exec tail -f /dev/null >/dev/null) & wait", fifo);
    unlink(fifo);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    reader = open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    start_with(&p, &spec);
    FAKE_UNTIL(p.daemon, p.daemon->n_hellos == 1);
    fake_welcome(p.daemon, 1000, 1000);
    fake_assign(p.daemon, 1, "family", "");
    fake_send(p.daemon);
    struct pollfd end = {.fd = reader, .events = POLLIN};
    assert_int_equal(poll(&end, 1, -1), 1);
    assert_int_equal(read(reader, &c, 1), 1); /* the grandchild runs */
    kill(-p.child.pid, SIGKILL);
    status = finish(&p);
    assert_int_equal(WTERMSIG(status), SIGKILL);
    while (read(reader, &c, 1) != 0)
        assert_int_equal(poll(&end, 1, -1), 1);
    close(reader);
    unlink(fifo);
}

static void test_problems_are_told(void **state)
{
    const char *plugins[] = {"/no/such.so"};
    const struct spec spec = {.plugins = plugins, .n_plugins = 1};
    struct program p;

    start_with(&p, &spec);
    FAKE_UNTIL(p.daemon, p.daemon->n_hellos == 1);
    assert_non_null(strstr(p.daemon->load_error.s, "/no/such.so"));
    assert_int_equal(p.daemon->n_functions, 6);
    fake_welcome(p.daemon, 1000, 1000);
    expect_stopped(&p);
}

static void test_unreadable_spec(void **state)
{
    struct spawn_child child;
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC), status;

    assert_int_equal(spawn_worker(WORKER_PATH, null, 1, &child), 0);
    assert_int_equal(waitpid(child.pid, &status, 0), child.pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), EX_CONFIG);
    close(null);
    close(child.sockets[0]);
    close(child.pidfd);
    spawn_unmap(child.pages, child.n_threads);
}

static void test_by_hand(void **state)
{
    char line[256], said[256];
    FILE *pipe;
    size_t n;

    snprintf(line, sizeof line, "%s --version", WORKER_PATH);
    pipe = popen(line, "r"); // NOLINT(cert-env33-c): a judge
    n = fread(said, 1, sizeof said - 1, pipe);
    said[n] = '\0';
    assert_int_equal(pclose(pipe), 0);
    assert_string_equal(said, "futured-worker " FUTURED_VERSION "\n");

    snprintf(line, sizeof line, "%s 2>&1 3>&- 4>&- 5>&-", WORKER_PATH);
    pipe = popen(line, "r"); // NOLINT(cert-env33-c): a judge
    n = fread(said, 1, sizeof said - 1, pipe);
    said[n] = '\0';
    assert_int_equal(WEXITSTATUS(pclose(pipe)), EX_USAGE);
    assert_non_null(strstr(said, "is started by futured only"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_serves),
            cmocka_unit_test(test_crashes),
            cmocka_unit_test(test_blame),
            cmocka_unit_test(test_small_descriptors_are_not_ours),
            cmocka_unit_test(test_child_that_returns_says_nothing),
            cmocka_unit_test(test_sigterm),
            cmocka_unit_test(test_daemon_gone),
            cmocka_unit_test(test_cancelled_command),
            cmocka_unit_test(test_killed_while_a_command_runs),
            cmocka_unit_test(test_problems_are_told),
            cmocka_unit_test(test_unreadable_spec),
            cmocka_unit_test(test_by_hand),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
