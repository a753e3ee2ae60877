// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * What a child process takes away from itself before its exec: other files, the network, calls of the kernel. All of it holds
 * for what it starts as well, and ends with the last of these: its temporary files are in memory, so the kernel removes them
 * however they end.
 */
#include "base/err.h"

#include <stdint.h>

#include <linux/filter.h>

enum {
    CONFINE_TMP = 1,     /* /tmp, /var/tmp, /dev/shm and $TMPDIR are one empty place of its own */
    CONFINE_NETWORK = 2, /* no network, and no abstract Unix sockets either */
    CONFINE_FILES = 4,   /* everything but CONFINE_TMP is read-only */
    CONFINE_CALLS = 8,   /* no calls that @calls refuses */
    CONFINE_ALL = 15,
    CONFINE_SPACES = CONFINE_TMP | CONFINE_NETWORK | CONFINE_FILES, /* those that need namespaces */
};

struct confine {
    unsigned int what;    /* CONFINE_ */
    const char *keep;     /* a directory that stays visible where CONFINE_TMP hides it; NULL = none */
    const char *tmp_also; /* $TMPDIR, where that is none of the usual; NULL */
    struct sock_fprog calls;
    char user_map[32], group_map[32], tmp_options[48];
    const char *failed; /* told: what could not be done */
};

/* confine_init: @tmp_bytes: how much there is room for in CONFINE_TMP. The rest of @ret is the caller's to set; nothing is owned. */
void confine_init(struct confine *ret, unsigned int what, uint64_t tmp_bytes);

/* confine_spaces: all but the calls, of the calling process, which has one thread. confine_calls: these; last before the exec.
 * What they do are system calls only, as is fit for a child that shares our memory.
 *   Return: 0; -1 with errno, and @failed names what. The process is good for nothing but its end then. */
MUST_CHECK int confine_spaces(struct confine *c);
MUST_CHECK int confine_calls(struct confine *c);
