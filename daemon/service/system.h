// SPDX-License-Identifier: Apache-2.0
#pragma once
/* futured.v1.System: GetInfo and GetStats. One struct system serves all connections. */
#include "engine/engine.h"
#include "grpc/server.h"
#include "service/drain.h"
#include "service/metrics.h"

struct identity;

struct system;

/* As in the contract's enum DaemonState. */
enum daemon_state {
    DAEMON_RECOVERING = 1,
    DAEMON_SERVING = 2,
    DAEMON_DRAINING = 3,
    DAEMON_READ_ONLY = 4,
};

/* What the service cannot see itself. */
struct system_world {
    enum daemon_state (*state)(void *context);
    /* Tell what there is beside engine, functions and calls, to @who (NULL: there are no principals); how many workers are
     * attached. */
    uint32_t (*measure)(void *context, const struct identity *who, struct metrics *m);
    void *context;
};

struct system_config {
    struct limits limits;
    size_t max_result_bytes;
    int has_store;
    wall_ns_t start_time; /* and of the last reload, until system_reloaded */
    uint32_t pid;
    struct system_world world;
    const struct drain *drain; /* whose steps GetInfo tells; NULL = none ever */
};

/* system_new: 0, -ENOMEM. @e and @server are borrowed. Free after the connections. */
MUST_CHECK int system_new(struct system **ret, struct engine *e, struct grpc_server *server,
                          const struct system_config *config);
struct system *system_free(struct system *s);

/* system_set_limits: those that are told from now on. */
void system_set_limits(struct system *s, const struct limits *limits);
/* system_reloaded: a configuration took effect at @time. */
void system_reloaded(struct system *s, wall_ns_t time);

/* system_methods: the rows for grpc_server_add; they live as long as @s. */
const struct grpc_method *system_methods(const struct system *s, size_t *ret_n);

/* system_add_address: the daemon listens there, too. 0, -ENOMEM. */
MUST_CHECK int system_add_address(struct system *s, const char *text);
