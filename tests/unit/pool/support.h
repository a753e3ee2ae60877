// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * What the tests of the pool share: worker programs that are shell scripts (they tell of themselves by a line on fd 3
 * and end when that socket does, so that none outlives the test), and a count of what the process has open.
 */
#include "tests/support/testing.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>

#include <sys/mman.h>
#include <sys/stat.h>

struct script {
    char path[64];
};

/* script_init: an executable file with the shell text @text. */
static inline void script_init(struct script *s, const char *text)
{
    int fd;

    strcpy(s->path, "/tmp/futured-script-XXXXXX");
    fd = mkstemp(s->path);
    assert_true(fd >= 0);
    assert_true(dprintf(fd, "#!/bin/sh\n%s\n", text) > 0);
    assert_int_equal(fchmod(fd, 0700), 0);
    close(fd);
}

static inline void script_deinit(struct script *s)
{
    assert_int_equal(unlink(s->path), 0);
}

/* count_fds: what this process has open. */
static inline int count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int n = 0;

    assert_non_null(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

/* assert_no_children: neither running nor zombies. */
static inline void assert_no_children(void)
{
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

/* read_line: the next line of @fd, waiting for it; "" at its end. */
static inline void read_line(int fd, char *line, size_t size)
{
    size_t n = 0;

    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        ssize_t r;

        assert_true(n + 1 < size);
        r = read(fd, line + n, 1);
        if (r < 0 && errno == EAGAIN) {
            assert_int_equal(poll(&p, 1, -1), 1);
            continue;
        }
        if (r <= 0 || line[n] == '\n')
            break;
        n++;
    }
    line[n] = '\0';
}

/* wait_end: until @fd has no writer left; what still comes is thrown away. */
static inline void wait_end(int fd)
{
    char c;

    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        ssize_t r = read(fd, &c, 1);

        if (r == 0 || (r < 0 && errno == ECONNRESET))
            return;
        if (r < 0) {
            assert_int_equal(errno, EAGAIN);
            assert_int_equal(poll(&p, 1, -1), 1);
        }
    }
}

static inline int new_spec_fd(void)
{
    int fd = memfd_create("spec", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, "spec\n", 5), 5);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}
