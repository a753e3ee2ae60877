// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * A disk that fails on demand, under SQLite: a VFS called FAULT_VFS that passes everything on to the default one, counts
 * operations, fails the n-th, and remembers what each file would hold after a power loss. One for the process; its
 * functions are for the test's thread, the files for any.
 *
 * The power: fault_power(n) takes it away before the n-th operation that changes something, from then on everything
 * fails. fault_power_back then gives every file the content that a disk might have: what was synced last, and of what
 * was written since then a random choice of sectors (FAULT_KEEP_SOME) or nothing (FAULT_KEEP_NONE).
 */
#include <stdint.h>

#define FAULT_VFS "fault"

enum fault_what {
    FAULT_OPEN = 1 << 0,
    FAULT_READ = 1 << 1,
    FAULT_WRITE = 1 << 2,
    FAULT_SYNC = 1 << 3,
    FAULT_TRUNCATE = 1 << 4,
    FAULT_DELETE = 1 << 5,
    FAULT_CHANGES = FAULT_WRITE | FAULT_SYNC | FAULT_TRUNCATE | FAULT_DELETE,
};

struct fault_plan {
    uint32_t what;    /* of enum fault_what: operations that count */
    uint64_t nth;     /* from 1; 0 = none fails */
    uint64_t n_times; /* so many from there on fail; UINT64_MAX = all */
    int system_errno; /* ENOSPC: the disk is full; else what the errno says */
    int is_short;     /* a write that fails has written half of its bytes */
    const char *file; /* only of files whose name ends so; NULL = of all */
};

/* fault_install: register the VFS; once. fault_reset: no plan, power on, all files forgotten: none may be open. */
void fault_install(void);
void fault_reset(void);

/* fault_set: from now on @plan holds, and counting begins. fault_count: operations that counted since.
 * fault_has_hit: whether one has failed. */
void fault_set(const struct fault_plan *plan);
uint64_t fault_count(void);
int fault_has_hit(void);

enum fault_keep { FAULT_KEEP_NONE, FAULT_KEEP_SOME };

/* fault_power: as above; 0 = never. fault_power_back: all files must be closed; forgets them, and the plan. */
void fault_power(uint64_t nth);
int fault_is_power_lost(void);
void fault_power_back(enum fault_keep keep, uint64_t seed);
