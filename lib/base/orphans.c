// SPDX-License-Identifier: Apache-2.0
#include "base/orphans.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
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

uint64_t orphans_now(void)
{
    uint64_t per_s = (uint64_t)sysconf(_SC_CLK_TCK);
    struct timespec now;

    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * per_s + (uint64_t)now.tv_nsec * per_s / 1000000000;
}

/* UINT64_MAX where the system does not say. */
static uint64_t started_at(pid_t pid)
{
    enum { STARTED_FIELDS = 20 }; /* behind the name, which ends with the last parenthesis */
    char path[64], text[1024];
    const char *at;
    ssize_t n;
    int fd;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    at = strrchr(text, ')');
    for (int i = 0; at && i < STARTED_FIELDS; i++)
        at = strchr(at + 1, ' ');
    return at ? strtoull(at, NULL, 10) : UINT64_MAX;
}

/* One look at all of them. How many were ended; *ret_left: how many were not yet. */
static size_t sweep(const pid_t *known, size_t n_known, uint64_t before, int is_waiting, size_t *ret_left)
{
    pid_t pids[ORPHANS_MAX], r;
    size_t n_all = orphans_children(pids), n = 0, n_ended = 0;

    *ret_left = 0;
    for (size_t i = 0; i < n_all; i++)
        if (!is_among(pids[i], known, n_known) &&
            (before == ORPHANS_OF_ANY_AGE || started_at(pids[i]) < before))
            pids[n++] = pids[i];
    for (size_t i = 0; i < n; i++)
        kill(pids[i], SIGKILL); /* all of them before one is waited for */
    for (size_t i = 0; i < n; i++) {
        do
            r = waitpid(pids[i], NULL, is_waiting ? 0 : WNOHANG);
        while (r < 0 && errno == EINTR);
        n_ended += r == pids[i];
        *ret_left += r == 0;
    }
    return n_ended;
}

size_t orphans_sweep(const pid_t *known, size_t n_known, uint64_t before, int is_waiting)
{
    size_t left;

    while (sweep(known, n_known, before, is_waiting, &left) > 0)
        ; /* their children have come to us */
    return left;
}
