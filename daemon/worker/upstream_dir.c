// SPDX-License-Identifier: Apache-2.0
#include "worker/upstream_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/stat.h>

#define PREFIX "futured-upstream-"

static int write_all(int fd, struct span data)
{
    while (data.len > 0) {
        ssize_t n = write(fd, data.p, data.len);

        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0)
            data = (struct span){data.p + n, data.len - (size_t)n};
    }
    return 0;
}

static int write_one(int dir, uint32_t number, const struct upstream *u)
{
    static const struct span between = SPAN_LIT(": "), end = SPAN_LIT("\n");
    char name[32];
    int fd, r;

    snprintf(name, sizeof name, u->is_result ? "%u" : "%u.error", number);
    fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    if (u->is_result) {
        r = write_all(fd, u->data);
    } else {
        r = write_all(fd, u->error.reason);
        r = r < 0 ? r : write_all(fd, between);
        r = r < 0 ? r : write_all(fd, u->error.message);
        r = r < 0 ? r : write_all(fd, end);
    }
    err_close(&fd);
    return r;
}

/* What all their names begin with, before the pid of the worker. */
static int put_prefix(char to[static UPSTREAM_DIR_BYTES])
{
    const char *tmp = getenv("TMPDIR");
    int n = snprintf(to, UPSTREAM_DIR_BYTES, "%s/" PREFIX, tmp && *tmp ? tmp : "/tmp");

    return n < UPSTREAM_DIR_BYTES ? n : -ENAMETOOLONG;
}

static int make(char path[static UPSTREAM_DIR_BYTES])
{
    int n = put_prefix(path);

    if (n < 0 || snprintf(path + n, UPSTREAM_DIR_BYTES - (size_t)n, "%d-XXXXXX", (int)getpid()) >=
                         UPSTREAM_DIR_BYTES - n)
        return -ENAMETOOLONG;
    return mkdtemp(path) ? 0 : -errno;
}

int upstream_dir_make(const struct upstream_list *list, char path[static UPSTREAM_DIR_BYTES])
{
    int dir, r = make(path);

    if (r < 0) {
        *path = '\0';
        return r;
    }
    dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        r = -errno;
    for (uint32_t i = 0; r == 0 && i < list->n; i++)
        r = write_one(dir, i, &list->at[i]);
    err_close(&dir);
    if (r < 0) {
        upstream_dir_remove(path);
        *path = '\0';
    }
    return r;
}

/* Never through a symbolic link. A command may have taken its own right to a directory away. */
static void remove_tree(int parent, const char *name, int depth)
{
    const struct dirent *entry;
    DIR *dir;
    int fd;

    (void)!fchmodat(parent, name, 0700, AT_SYMLINK_NOFOLLOW);
    fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    dir = fd < 0 ? NULL : fdopendir(fd);
    while (dir && (entry = readdir(dir)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            unlinkat(fd, entry->d_name, 0) < 0 && errno == EISDIR && depth < UPSTREAM_DIR_DEPTH_MAX)
            remove_tree(fd, entry->d_name, depth + 1);
    if (dir)
        closedir(dir);
    else
        err_close(&fd);
    (void)unlinkat(parent, name, AT_REMOVEDIR);
}

void upstream_dir_remove(const char *path)
{
    remove_tree(AT_FDCWD, path, 0);
}

void upstream_dir_remove_stale(void)
{
    char path[UPSTREAM_DIR_BYTES];
    const struct dirent *entry;
    DIR *dir;

    if (put_prefix(path) < 0)
        return;
    *strrchr(path, '/') = '\0';
    dir = opendir(path);
    while (dir && (entry = readdir(dir))) {
        int pid = strncmp(entry->d_name, PREFIX, sizeof PREFIX - 1) ? 0
                                                                    : atoi(entry->d_name + sizeof PREFIX - 1);

        if (pid > 0 && kill(pid, 0) < 0 && errno == ESRCH)
            remove_tree(dirfd(dir), entry->d_name, 0);
    }
    if (dir)
        closedir(dir);
}
