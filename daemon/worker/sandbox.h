// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * What a worker does to itself before it loads any foreign code: posix_spawn cannot do it for it.
 */
#include "base/err.h"
#include "base/runpage.h"

enum { SANDBOX_SOCKET_FD = 3, SANDBOX_PAGE_FD = 4, SANDBOX_SPEC_FD = 5 };

struct sandbox {
    int socket; /* fd 3, moved to a high CLOEXEC number: what closes or writes to small numbers does not hit it */
    int spec_fd;
    struct runpage *page;
};

/* sandbox_enter: die with the daemon, never gain privileges, leave no core, have no descriptor that was not meant.
 *   Return: 0; SANDBOX_E_ORPHAN (the daemon has died already); SANDBOX_E_FDS (fd 3 to 5 are not what the pool gives);
 *           -errno. */
enum { SANDBOX_E_ORPHAN = 1, SANDBOX_E_FDS };
MUST_CHECK int sandbox_enter(struct sandbox *ret);
