// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * One call of a plugin's function in a process of its own: this program again, as `futured-worker --call`, with the limits of
 * the function. What it is asked comes on its standard input, its answer on its standard output; what the function writes there
 * goes to standard error.
 *
 * Format, both ways: the length of a head (4 bytes, little-endian), the head (protobuf), and behind it, to the end, the bytes of
 * the Task, or of the result. Both sides are one program; nothing of it is kept.
 */
#include "worker/pump.h"

/* isolate_run: @file of the plugin, @function in it; what came of it is in @call. @cgroups as in struct pump. Blocks. */
void isolate_run(const char *file, const char *function, const struct pump_limits *limits,
                 struct cgroup_home *cgroups, struct futured_call *call);

/* isolate_main: the other side, to its end. The exit code. */
int isolate_main(void);
