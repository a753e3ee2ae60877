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

static int map_page(struct runpage **ret)
{
    struct stat st;
    void *page;

    if (fstat(SANDBOX_PAGE_FD, &st) < 0 || st.st_size < RUNPAGE_BYTES)
        return SANDBOX_E_FDS;
    page = mmap(NULL, RUNPAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, SANDBOX_PAGE_FD, 0);
    if (page == MAP_FAILED)
        return -errno;
    close(SANDBOX_PAGE_FD);
    *ret = page;
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
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || setrlimit(RLIMIT_CORE, &none) < 0 ||
        close_range(SANDBOX_SPEC_FD + 1, UINT_MAX, 0) < 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
        return -errno;
    r = orphans_adopt();
    if (r < 0)
        return r;
    r = map_page(&s.page);
    if (r != 0)
        return r;
    s.socket = sandbox_hide(SANDBOX_SOCKET_FD);
    if (s.socket < 0) {
        munmap(s.page, RUNPAGE_BYTES);
        return s.socket;
    }
    *ret = s;
    return 0;
}
