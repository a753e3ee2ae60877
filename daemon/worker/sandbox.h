// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * What a worker does to itself before it loads any foreign code: posix_spawn cannot do it for it.
 */
#include "base/err.h"
#include "base/runpage.h"

enum { SANDBOX_SOCKET_FD = 3, SANDBOX_PAGE_FD = 4, SANDBOX_SPEC_FD = 5, SANDBOX_MORE_FD = 6 };

struct sandbox {
    uint32_t n_threads;
    int sockets[RUNPAGE_PAGES_MAX]; /* one for each: fd 3, and 6 and so on, hidden */
    struct runpage *pages;          /* as many */
    int spec_fd;
};

/* sandbox_enter: die with the daemon, never gain privileges, leave no core, have no descriptor that was not meant, and be
 * the one to whom orphans of what runs here come.
 *   Return: 0; SANDBOX_E_ORPHAN (the daemon has died already); SANDBOX_E_FDS (the descriptors are not what the pool gives);
 *           -errno. */
enum { SANDBOX_E_ORPHAN = 1, SANDBOX_E_FDS };
MUST_CHECK int sandbox_enter(struct sandbox *ret);

/* sandbox_hide: move @fd to a high CLOEXEC number, out of the way of code that closes or overwrites small ones.
 *   Owns:   @fd is closed in any case (< 0 is allowed: the failure of the call that made it, with its errno).
 *   Return: the new number; -errno. */
MUST_CHECK int sandbox_hide(int fd);
