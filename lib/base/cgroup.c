// SPDX-License-Identifier: Apache-2.0
#include "base/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sys/stat.h>

#define LEAF   "futured-daemon"
#define PREFIX "futured-call-"

enum { TEXT_BYTES = 8192, REMOVES_MAX = 1000, REMOVE_PAUSE_NS = 1000000 };

/* --- small files */

static int join(char to[static CGROUP_PATH_BYTES], const char *a, const char *b, const char *c)
{
    int n = snprintf(to, CGROUP_PATH_BYTES, "%s%s%s%s", a, b, *c ? "/" : "", c);

    return n < 0 || n >= CGROUP_PATH_BYTES ? -ENAMETOOLONG : 0;
}

static void read_text(const char *path, char text[static TEXT_BYTES])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, TEXT_BYTES - 1);

    text[n > 0 ? n : 0] = '\0';
    if (fd >= 0)
        close(fd);
}

static int write_text(const char *folder, const char *file, const char *text)
{
    char path[CGROUP_PATH_BYTES];
    int fd, r = join(path, folder, "", file);

    if (r < 0)
        return r;
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    r = write(fd, text, strlen(text)) < 0 ? -errno : 0;
    close(fd);
    return r;
}

static int has_word(const char *text, const char *word)
{
    size_t n = strlen(word);

    for (const char *at = strstr(text, word); at; at = strstr(at + 1, word))
        if ((at == text || at[-1] == ' ' || at[-1] == ',') && strchr(" \n,:", at[n]))
            return 1;
    return 0;
}

static int offers_memory(const char *folder, const char *file)
{
    char path[CGROUP_PATH_BYTES], text[TEXT_BYTES];

    if (join(path, folder, "", file) < 0)
        return 0;
    read_text(path, text);
    return has_word(text, "memory");
}

/* The path that /proc/self/cgroup has for version 2, or for the memory controller of version 1. */
static int own_path(const char *own, int version, char to[static CGROUP_PATH_BYTES])
{
    for (const char *line = own; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        const char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;
        size_t n = path ? strcspn(path + 1, "\n") : 0;
        char names[256];

        if (!path || n == 0 || n >= CGROUP_PATH_BYTES || (size_t)(path - list) > sizeof names)
            continue;
        memcpy(names, list + 1, (size_t)(path - list - 1));
        names[path - list - 1] = '\0';
        if (version == 2 ? line[0] != '0' || *names : !has_word(names, "memory"))
            continue;
        memcpy(to, path + 1, n);
        to[n == 1 ? 0 : n] = '\0'; /* "/" is "" */
        return 0;
    }
    return -ENOENT;
}

void cgroup_own(char text[static CGROUP_OWN_BYTES])
{
    read_text("/proc/self/cgroup", text);
}

/* --- the daemon */

int cgroup_delegate(const char *root, const char *own)
{
    char path[CGROUP_PATH_BYTES], folder[CGROUP_PATH_BYTES], leaf[CGROUP_PATH_BYTES], *slash;
    int r = own_path(own, 2, path);

    if (r == 0 && (slash = strrchr(path, '/')) != NULL && strcmp(slash, "/" LEAF) == 0)
        *slash = '\0'; /* we are there already */
    if (r == 0)
        r = join(folder, root, path, "");
    if (r == 0)
        r = offers_memory(folder, "cgroup.controllers") ? join(leaf, folder, "", LEAF) : -ENOENT;
    if (r < 0)
        return r;
    if (mkdir(leaf, 0755) < 0 && errno != EEXIST)
        return -errno;
    r = write_text(leaf, "cgroup.procs", "0");
    if (r == 0)
        r = write_text(folder, "cgroup.subtree_control", "+memory");
    if (r < 0) { /* others are in @folder, so it is not ours: as it was */
        (void)write_text(folder, "cgroup.procs", "0");
        (void)rmdir(leaf);
    }
    return r;
}

/* --- workers */

static void remove_stale(const char *home)
{
    DIR *dir = opendir(home);
    const struct dirent *entry;
    char path[CGROUP_PATH_BYTES];

    while (dir && (entry = readdir(dir)) != NULL) {
        int pid = strncmp(entry->d_name, PREFIX, sizeof PREFIX - 1) ? 0
                                                                    : atoi(entry->d_name + sizeof PREFIX - 1);

        if (pid > 0 && kill(pid, 0) < 0 && errno == ESRCH && join(path, home, "", entry->d_name) == 0)
            (void)rmdir(path); /* unless something is in it */
    }
    if (dir)
        closedir(dir);
}

void cgroup_find(struct cgroup_home *ret, const char *root, const char *own)
{
    char path[CGROUP_PATH_BYTES], *slash;
    struct cgroup_home home = {0};

    if (own_path(own, 2, path) == 0 && (slash = strrchr(path, '/')) != NULL && strcmp(slash, "/" LEAF) == 0) {
        *slash = '\0';
        if (join(home.path, root, path, "") == 0 && offers_memory(home.path, "cgroup.subtree_control"))
            home.version = 2;
    }
    if (!home.version && own_path(own, 1, path) == 0 && join(home.path, root, "/memory", "") == 0 &&
        strlen(home.path) + strlen(path) < sizeof home.path) {
        strcat(home.path, path);
        home.version = access(home.path, W_OK) == 0 ? 1 : 0;
    }
    if (home.version)
        remove_stale(home.path);
    *ret = home;
}

static int set_limit(const struct cgroup *c, uint64_t bytes)
{
    char number[32];
    int r;

    snprintf(number, sizeof number, "%" PRIu64, bytes);
    if (c->version == 2) {
        r = write_text(c->path, "memory.max", number);
        (void)write_text(c->path, "memory.swap.max", "0"); /* these two are not there on every system */
        (void)write_text(c->path, "memory.oom.group", "1");
        return r;
    }
    r = write_text(c->path, "memory.limit_in_bytes", number);
    (void)write_text(c->path, "memory.memsw.limit_in_bytes", number);
    return r;
}

int cgroup_make(struct cgroup_home *home, uint64_t memory_bytes, struct cgroup *ret)
{
    struct cgroup c = {.version = home->version, .procs_fd = -1};
    char name[64], procs[CGROUP_PATH_BYTES];
    int r;

    if (!home->version)
        return -ENOENT;
    snprintf(name, sizeof name, PREFIX "%d-%u", (int)getpid(),
             __atomic_fetch_add(&home->n_made, 1, __ATOMIC_RELAXED));
    r = join(c.path, home->path, "", name);
    if (r == 0)
        r = join(procs, c.path, "", "cgroup.procs");
    if (r < 0)
        return r;
    if (mkdir(c.path, 0755) < 0)
        return -errno;
    r = set_limit(&c, memory_bytes);
    if (r == 0) {
        c.procs_fd = open(procs, O_WRONLY | O_CLOEXEC);
        r = c.procs_fd < 0 ? -errno : 0;
    }
    if (r < 0) {
        cgroup_remove(&c);
        return r;
    }
    *ret = c;
    return 0;
}

uint64_t cgroup_n_killed(const struct cgroup *c)
{
    char path[CGROUP_PATH_BYTES], text[TEXT_BYTES], *at;

    if (join(path, c->path, "", c->version == 2 ? "memory.events" : "memory.oom_control") < 0)
        return 0;
    read_text(path, text);
    at = strstr(text, "oom_kill ");
    return at ? strtoull(at + 9, NULL, 10) : 0;
}

static void kill_all(const struct cgroup *c)
{
    char path[CGROUP_PATH_BYTES], text[TEXT_BYTES], *at = text, *end;

    if (join(path, c->path, "", "cgroup.procs") < 0)
        return;
    read_text(path, text);
    for (long pid = strtol(at, &end, 10); end != at && *end == '\n'; at = end, pid = strtol(at, &end, 10))
        if (pid > 0)
            kill((pid_t)pid, SIGKILL);
}

void cgroup_remove(struct cgroup *c)
{
    const struct timespec pause = {.tv_nsec = REMOVE_PAUSE_NS};

    if (!c->version)
        return;
    err_close(&c->procs_fd);
    /* one that has been killed is in it until it is really gone */
    for (int i = 0; i < REMOVES_MAX && rmdir(c->path) < 0 && errno == EBUSY; i++) {
        kill_all(c);
        nanosleep(&pause, NULL);
    }
    c->version = 0;
}
