// SPDX-License-Identifier: Apache-2.0
#include "worker/sandbox.h"

#include "base/orphans.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <unistd.h>

#include <linux/close_range.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

int sandbox_hide(int fd)
{
    static const int numbers[] = {1000, 200, 50, 10}; /* lower ones where the limit on open files is low */
    int moved = -1, r;

    if (fd < 0)
        return -errno;
    for (size_t i = 0; i < ARRAY_LEN(numbers) && moved < 0; i++)
        moved = fcntl(fd, F_DUPFD_CLOEXEC, numbers[i]);
    r = moved < 0 ? -errno : moved;
    close(fd);
    return r;
}

/* The socketpair remembers who made it: the daemon. If that is not our parent (any more), it died before the prctl. A
 * pid of 0 is one that this pid namespace does not show. */
static int check_parent(void)
{
    struct ucred maker;
    socklen_t len = sizeof maker;

    if (getsockopt(SANDBOX_SOCKET_FD, SOL_SOCKET, SO_PEERCRED, &maker, &len) < 0)
        return SANDBOX_E_FDS;
    return maker.pid == 0 || getppid() == 0 || getppid() == maker.pid ? 0 : SANDBOX_E_ORPHAN;
}

/* There is a page for each thread. */
static int map_pages(struct sandbox *s)
{
    struct stat st;
    void *pages;

    if (fstat(SANDBOX_PAGE_FD, &st) < 0 || st.st_size < RUNPAGE_BYTES ||
        st.st_size > RUNPAGE_PAGES_MAX * RUNPAGE_BYTES)
        return SANDBOX_E_FDS;
    s->n_threads = (uint32_t)(st.st_size / RUNPAGE_BYTES);
    pages = mmap(NULL, s->n_threads * sizeof *s->pages, PROT_READ | PROT_WRITE, MAP_SHARED, SANDBOX_PAGE_FD,
                 0);
    if (pages == MAP_FAILED)
        return -errno;
    close(SANDBOX_PAGE_FD);
    s->pages = pages;
    return 0;
}

static int hide_sockets(struct sandbox *s)
{
    for (int i = 0; i < (int)s->n_threads; i++) {
        s->sockets[i] = sandbox_hide(i == 0 ? SANDBOX_SOCKET_FD : SANDBOX_MORE_FD + i - 1);
        if (s->sockets[i] < 0)
            return s->sockets[i];
    }
    return 0;
}

int sandbox_enter(struct sandbox *ret)
{
    const struct rlimit none = {0, 0};
    struct sandbox s = {.spec_fd = SANDBOX_SPEC_FD};
    int r;

    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return -errno;
    r = check_parent();
    if (r != 0)
        return r;
    if (fcntl(SANDBOX_SPEC_FD, F_SETFD, FD_CLOEXEC) < 0)
        return SANDBOX_E_FDS;
    r = map_pages(&s);
    if (r != 0)
        return r;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || setrlimit(RLIMIT_CORE, &none) < 0 ||
        close_range(SANDBOX_MORE_FD + s.n_threads - 1, UINT_MAX, 0) < 0 ||
        signal(SIGPIPE, SIG_IGN) == SIG_ERR)
        return -errno;
    r = orphans_adopt();
    if (r == 0)
        r = hide_sockets(&s);
    if (r < 0) {
        munmap(s.pages, s.n_threads * sizeof *s.pages);
        return r;
    }
    *ret = s;
    return 0;
}
