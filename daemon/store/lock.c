// SPDX-License-Identifier: Apache-2.0
/* The lock is on an open file description (flock), so the kernel gives it back however the process ends, and nothing
 * that the process starts inherits it: the descriptor is closed on exec. */
#include "store/lock.h"

#include "store/db.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <sys/file.h>

/* Who holds it, as far as it has said so. */
static int in_use(struct store_problem *problem, const char *directory, int fd)
{
    char pid[24] = "";

    if (pread(fd, pid, sizeof pid - 1, 0) > 0)
        snprintf(problem->text, sizeof problem->text, "%.200s is in use by process %ld", directory,
                 strtol(pid, NULL, 10));
    else
        snprintf(problem->text, sizeof problem->text, "%.200s is in use by another process", directory);
    return STORE_E_LOCKED;
}

/* For people, and for in_use(); the lock itself is the kernel's. */
static int write_pid(int fd)
{
    char pid[24];
    int n = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    ssize_t written;

    if (ftruncate(fd, 0) < 0)
        return -errno;
    written = pwrite(fd, pid, (size_t)n, 0);
    if (written < 0)
        return -errno;
    return written == n ? 0 : -ENOSPC;
}

int lock_take(const char *directory, int is_shared, int *ret_fd, struct store_problem *problem)
{
    char path[DB_PATH_BYTES];
    int fd, r = db_path(path, directory, LOCK_NAME);

    if (r < 0)
        return db_errno(problem, directory, -r);
    fd = open(path, O_CLOEXEC | (is_shared ? O_RDONLY : O_RDWR | O_CREAT), 0600);
    if (fd < 0)
        return db_errno(problem, path, errno);
    if (flock(fd, (is_shared ? LOCK_SH : LOCK_EX) | LOCK_NB) < 0)
        r = errno == EWOULDBLOCK ? in_use(problem, directory, fd) : db_errno(problem, path, errno);
    else if (!is_shared && (r = write_pid(fd)) < 0)
        r = db_errno(problem, path, -r);
    if (r == 0)
        *ret_fd = fd;
    else
        err_close(&fd);
    return r;
}
