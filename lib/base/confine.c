// SPDX-License-Identifier: Apache-2.0
/*
 * Namespaces are made inside a user namespace, so that no privilege is needed, in which the process keeps its user and group and
 * then gives up every capability. The mounts that it sees it cannot change back: they belong to the user namespace around
 * it, and without capabilities it cannot mount at all.
 *
 * As in child.c: this runs in a child on its parent's memory, so the sanitizers leave it alone.
 */
#include "base/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/seccomp.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#define IN_CHILD __attribute__((no_sanitize("address", "thread", "undefined")))

enum { CAPABILITIES_MAX = 64 };

void confine_init(struct confine *ret, unsigned int what, uint64_t tmp_bytes)
{
    const char *tmp = getenv("TMPDIR");

    *ret = (struct confine){.what = what};
    if (tmp && *tmp == '/' && strcmp(tmp, "/tmp") != 0 && strcmp(tmp, "/var/tmp") != 0)
        ret->tmp_also = tmp;
    snprintf(ret->user_map, sizeof ret->user_map, "%u %u 1", geteuid(), geteuid());
    snprintf(ret->group_map, sizeof ret->group_map, "%u %u 1", getegid(), getegid());
    snprintf(ret->tmp_options, sizeof ret->tmp_options, "mode=1777,size=%" PRIu64, tmp_bytes);
}

/* -1, with the errno of what went before. */
IN_CHILD static int fail(struct confine *c, const char *what)
{
    c->failed = what;
    return -1;
}

IN_CHILD static int write_text(const char *path, const char *text)
{
    size_t n = 0;
    ssize_t done;
    int fd = open(path, O_WRONLY | O_CLOEXEC), error;

    if (fd < 0)
        return -1;
    while (text[n])
        n++;
    done = write(fd, text, n);
    error = errno;
    close(fd);
    errno = error;
    return done == (ssize_t)n ? 0 : -1;
}

IN_CHILD static int enter_user(struct confine *c)
{
    if (unshare(CLONE_NEWUSER) < 0)
        return fail(c, "a user namespace");
    if (write_text("/proc/self/setgroups", "deny") < 0 || write_text("/proc/self/uid_map", c->user_map) < 0 ||
        write_text("/proc/self/gid_map", c->group_map) < 0)
        return fail(c, "its user in a user namespace");
    return 0;
}

/* The same at @path; where there is no such place nothing is to be hidden. */
IN_CHILD static int bind_tmp(const char *path, int is_needed)
{
    return mount("/tmp", path, NULL, MS_BIND, NULL) < 0 && (is_needed || errno != ENOENT) ? -1 : 0;
}

IN_CHILD static int mount_tmp(struct confine *c)
{
    int keep = -1;

    if (c->keep) {
        keep = open_tree(AT_FDCWD, c->keep, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
        if (keep < 0)
            return fail(c, "a view of its upstreams' results");
    }
    if (mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, c->tmp_options) < 0)
        return fail(c, "a private /tmp");
    if (bind_tmp("/var/tmp", 0) < 0 || bind_tmp("/dev/shm", 0) < 0)
        return fail(c, "a private /var/tmp and /dev/shm");
    if (c->tmp_also) {
        (void)mkdir(c->tmp_also, 0700); /* it may have been in /tmp */
        if (bind_tmp(c->tmp_also, 1) < 0)
            return fail(c, "a private $TMPDIR");
    }
    if (keep >= 0 &&
        (mkdir(c->keep, 0700) < 0 || move_mount(keep, "", AT_FDCWD, c->keep, MOVE_MOUNT_F_EMPTY_PATH) < 0))
        return fail(c, "a place for its upstreams' results");
    return 0;
}

IN_CHILD static int enter_mounts(struct confine *c)
{
    struct mount_attr read_only = {.attr_set = MOUNT_ATTR_RDONLY};

    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
        return fail(c, "a mount namespace");
    if ((c->what & CONFINE_FILES) &&
        mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, &read_only, sizeof read_only) < 0)
        return fail(c, "read-only files");
    return c->what & CONFINE_TMP ? mount_tmp(c) : 0;
}

/* The new namespace has given it all of them. With an empty bounding set the exec takes them, and none gives any back. */
IN_CHILD static int drop_capabilities(struct confine *c)
{
    for (unsigned long i = 0; i < CAPABILITIES_MAX; i++)
        if (prctl(PR_CAPBSET_DROP, i, 0, 0, 0) < 0 && errno != EINVAL)
            return fail(c, "a life without capabilities");
    return 0;
}

IN_CHILD int confine_spaces(struct confine *c)
{
    if (!(c->what & CONFINE_SPACES))
        return 0;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return fail(c, "no new privileges");
    if (enter_user(c) < 0)
        return -1;
    if ((c->what & (CONFINE_TMP | CONFINE_FILES)) && enter_mounts(c) < 0)
        return -1;
    if ((c->what & CONFINE_NETWORK) && unshare(CLONE_NEWNET) < 0)
        return fail(c, "a network namespace");
    return drop_capabilities(c);
}

IN_CHILD int confine_calls(struct confine *c)
{
    if (!(c->what & CONFINE_CALLS))
        return 0;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return fail(c, "no new privileges");
    /* not by seccomp(), which filters around us may refuse, as that of the unit does */
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &c->calls, 0, 0) < 0)
        return fail(c, "a filter of system calls");
    return 0;
}
