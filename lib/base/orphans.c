// SPDX-License-Identifier: Apache-2.0
#include "base/orphans.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <sys/prctl.h>
#include <sys/wait.h>

enum { TEXT_BYTES = 12 * ORPHANS_MAX };

int orphans_adopt(void)
{
    return prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 ? -errno : 0;
}

size_t orphans_children(pid_t pids[static ORPHANS_MAX])
{
    char path[64], text[TEXT_BYTES + 1], *at = text, *end;
    size_t n = 0, n_text = 0;
    ssize_t r = 1;
    int fd;

    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    while (r > 0 && n_text < TEXT_BYTES) {
        r = read(fd, text + n_text, TEXT_BYTES - n_text);
        n_text += r > 0 ? (size_t)r : 0;
    }
    close(fd);
    text[n_text] = '\0';
    while (n < ORPHANS_MAX) {
        long pid = strtol(at, &end, 10);

        if (end == at || *end != ' ') /* a number that was cut off is none */
            break;
        pids[n++] = (pid_t)pid;
        at = end;
    }
    return n;
}

static int is_among(pid_t pid, const pid_t *pids, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (pids[i] == pid)
            return 1;
    return 0;
}

/* One look at all of them. How many were ended; *ret_left: how many were not yet. */
static size_t sweep(const pid_t *known, size_t n_known, int is_waiting, size_t *ret_left)
{
    pid_t pids[ORPHANS_MAX], r;
    size_t n = orphans_children(pids), n_ended = 0;

    *ret_left = 0;
    for (size_t i = 0; i < n; i++)
        if (!is_among(pids[i], known, n_known))
            kill(pids[i], SIGKILL); /* all of them before one is waited for */
    for (size_t i = 0; i < n; i++) {
        if (is_among(pids[i], known, n_known))
            continue;
        do
            r = waitpid(pids[i], NULL, is_waiting ? 0 : WNOHANG);
        while (r < 0 && errno == EINTR);
        n_ended += r == pids[i];
        *ret_left += r == 0;
    }
    return n_ended;
}

size_t orphans_sweep(const pid_t *known, size_t n_known, int is_waiting)
{
    size_t left;

    while (sweep(known, n_known, is_waiting, &left) > 0)
        ; /* their children have come to us */
    return left;
}
