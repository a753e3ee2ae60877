// SPDX-License-Identifier: Apache-2.0
#include "worker/upstream_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

int upstream_dir_make(const struct upstream_list *list, char path[static UPSTREAM_DIR_BYTES])
{
    const char *tmp = getenv("TMPDIR");
    int dir, r = 0;

    if (snprintf(path, UPSTREAM_DIR_BYTES, "%s/futured-upstream-XXXXXX", tmp && *tmp ? tmp : "/tmp") >=
        UPSTREAM_DIR_BYTES)
        return -ENAMETOOLONG;
    if (!mkdtemp(path))
        return -errno;
    dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        r = -errno;
    for (uint32_t i = 0; r == 0 && i < list->n; i++)
        r = write_one(dir, i, &list->at[i]);
    err_close(&dir);
    if (r < 0)
        upstream_dir_remove(path);
    return r;
}

void upstream_dir_remove(const char *path)
{
    DIR *dir = opendir(path);
    const struct dirent *entry;

    while (dir && (entry = readdir(dir)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            (void)unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir)
        closedir(dir);
    (void)rmdir(path);
}
