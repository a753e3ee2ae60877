// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * The threads of a worker, each with a life on a stream of its own (host.h): to the daemon so many workers, that live and die
 * together.
 */
#include "worker/host.h"
#include "worker/sandbox.h"

/* threads_run: as many as @sandbox has sockets, until all have ended; a single one is the calling thread. @config: what all have in
 * common; what each has for itself is filled in. With several blame_init was called.
 *   Return: the exit code of the process. Does not return where one of several has lost its stream: the process ends. */
MUST_CHECK int threads_run(const struct sandbox *sandbox, const struct host_config *config);
