// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * The daemon as a function: it knows all rooms, puts them together, starts and stops them in order. What runs
 * it (the program futured, a test server) gives the configuration, and what it wants to serve besides.
 */
#include "base/bytes.h"
#include "daemon/config.h"
#include "grpc/server.h"

struct loop;

struct app_options {
    const struct config *config;
    const struct grpc_method *methods; /* served besides the daemon's own; NULL = none */
    size_t n_methods;
    struct span descriptors; /* a FileDescriptorSet for reflection on those; {0} = none */
    void (*on_loop)(struct loop *loop, void *arg); /* the loop is there, nothing is served yet; or NULL */
    void *arg;
};

/* app_run: serve until SIGTERM or SIGINT, drain, stop. Everything in @options is borrowed. Once a process.
 *   Return: the exit status: 0 stopped as asked; 1 it could not start or go on (the log says why). */
MUST_CHECK int app_run(const struct app_options *options);
