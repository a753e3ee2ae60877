// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * System.Drain and Resume: stopping in steps, and taking that back. What a step means is the world's; here is which hold, who
 * asked, and the calls that wait until nothing runs any more. Bounded: DRAIN_CALLS_MAX of those.
 */
#include "engine/engine.h"
#include "grpc/messages.h"
#include "grpc/server.h"

enum { DRAIN_CALLS_MAX = 64 };
#define DRAIN_TIMEOUT_NS     (30 * NS_PER_S) /* unless it says otherwise */
#define DRAIN_TIMEOUT_MAX_NS (86400 * NS_PER_S)

/* Bits of struct drain.steps. */
enum drain_step { DRAIN_ACCEPT = 1, DRAIN_DISPATCH = 2, DRAIN_EXIT = 4 };

struct drain_world {
    /* These steps hold from now on, and no others (0: none); with DRAIN_EXIT, which is not taken back: what runs has @timeout_ns
     * to end. @who and @why for the log. */
    void (*steps)(void *context, unsigned int steps, int64_t timeout_ns, struct span who, struct span why);
    /* Tasks that workers have. */
    uint64_t (*n_held)(void *context);
    /* As in the contract's enum DaemonState. */
    int (*state)(void *context);
    void *context;
};

struct drain {
    struct engine *engine;
    struct drain_world world;
    unsigned int steps;
    wall_ns_t time;
    struct bytes *principal, *reason; /* of the last call; may be NULL */
    struct list calls;                /* of struct drain_call.link */
    uint32_t n_calls;
    struct grpc_method methods[2];
};

/* drain_init: @e is borrowed. drain_deinit: after the connections. */
void drain_init(struct drain *d, struct engine *e, const struct drain_world *world);
void drain_deinit(struct drain *d);

/* drain_methods: the rows for grpc_server_add. */
const struct grpc_method *drain_methods(const struct drain *d, size_t *ret_n);

/* drain_exit: the daemon ends, for a reason of its own. */
void drain_exit(struct drain *d);

/* drain_tick: answer the calls whose wait is over. Once a turn. Returns when it wants to be called next. */
mono_ns_t drain_tick(struct drain *d, mono_ns_t now);

/* drain_put: the steps that hold as a DrainStatus, as field @number; nothing where none does. */
void drain_put(const struct drain *d, struct writer *w, uint32_t number);
