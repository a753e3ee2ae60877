// SPDX-License-Identifier: Apache-2.0
/*
 * The only place where a map waits: for the connection, which it drives itself, for input, and for signals, which write to an
 * eventfd, so that none is missed between two looks.
 */
#include "base/clock.h"
#include "client/futurectl/mapper.h"
#include "client/lib/client.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <sys/eventfd.h>

static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
static volatile sig_atomic_t n_signals;
static int wake_fd = -1;
static char goodbye[512];

static void on_signal(int number)
{
    const uint64_t one = 1;
    int saved = errno;

    n_signals = n_signals + 1;
    if (n_signals > 1) {
        ssize_t n = write(STDERR_FILENO, goodbye, strlen(goodbye));

        (void)n;
        _exit(CTL_INTERRUPTED);
    }
    if (write(wake_fd, &one, sizeof one) < 0)
        _exit(CTL_INTERRUPTED);
    errno = saved;
}

int mapper_wait_init(struct mapper *m)
{
    struct sigaction action = {.sa_handler = on_signal};

    snprintf(goodbye, sizeof goodbye,
             "%sfuturectl: left; `futurectl wait --group %s` waits for what goes on\n",
             m->is_bar ? "\r\033[K" : "", m->group);
    n_signals = 0;
    wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wake_fd < 0)
        return -errno;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
        struct sigaction old;

        if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN) /* as nohup has it */
            sigaction(signals[i], &action, NULL);
    }
    return 0;
}

void mapper_wait_deinit(void)
{
    for (size_t i = 0; i < ARRAY_LEN(signals); i++)
        signal(signals[i], SIG_DFL);
    err_close(&wake_fd);
}

int mapper_wait_is_interrupted(void)
{
    return n_signals > 0;
}

/* When to look again although nothing has come. */
static mono_ns_t due(const struct mapper *m, const struct futured_conn *conn)
{
    mono_ns_t t = MIN(m->until, m->show_due);

    if (conn)
        t = MIN(t, futured_conn_due(conn));
    if (m->stop == MAPPER_GOES && m->pause_until)
        t = MIN(t, m->pause_until);
    if (m->stop == MAPPER_NOW)
        t = MIN(t, m->cancel_due);
    return t;
}

void mapper_wait(struct mapper *m)
{
    struct futured_conn *conn = m->ctl->client->conn;
    struct pollfd fds[3] = {{.fd = wake_fd, .events = POLLIN}, {.fd = -1}, {.fd = -1, .events = POLLIN}};
    mono_ns_t now = clock_mono(), when;
    struct timespec span;
    uint64_t count;
    int r;

    if (conn && futured_conn_state(conn) == FUTURED_CONN_LOST)
        conn = NULL;
    if (conn) {
        futured_conn_turn(conn, 0, now); /* what was put leaves */
        fds[1].fd = futured_conn_fd(conn);
        fds[1].events = futured_conn_events(conn);
    }
    if (m->wants_input)
        fds[2].fd = m->items.fd;
    when = mapper_submit_can(m) ? now : due(m, conn);
    span = (struct timespec){.tv_sec = MAX(when - now, INT64_C(0)) / NS_PER_S,
                             .tv_nsec = MAX(when - now, INT64_C(0)) % NS_PER_S};
    r = ppoll(fds, ARRAY_LEN(fds), when == CLOCK_NEVER ? NULL : &span, NULL);
    if (r <= 0) {
        fds[1].revents = fds[2].revents = 0;
    } else if (fds[0].revents && read(wake_fd, &count, sizeof count) < 0) {
        /* nothing was there: another look does no harm */
    }
    if (conn)
        futured_conn_turn(conn, fds[1].revents, clock_mono());
    if (!fds[2].revents)
        return;
    m->wants_input = 0;
    r = items_read(&m->items);
    if (r == 0)
        return;
    mapper_show_hide(m);
    ctl_complain(m->ctl, "cannot read standard input: %s", strerror(-r));
    m->code = CTL_FAILED;
    mapper_stop(m, MAPPER_SOON);
}
