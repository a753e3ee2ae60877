// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * The machine that the daemon's files run on: what they would get from the loop, from threads, from the clock, from the
 * file system and from the server, defined here instead, so that nothing happens but when the simulator says so. The
 * committer and the reader are the real ones, without their threads.
 */
#include "base/clock.h"

struct loop;
struct grpc_server;

enum { MACHINE_TIMERS = 8, MACHINE_WATCHES = 8, MACHINE_THREADS = 8 };

struct machine {
    mono_ns_t mono;
    wall_ns_t wall;
    int is_space_low;
    void (*on_release)(void *arg, uint64_t seq); /* grpc_server_release */
    void *arg;
    struct loop_timer *timers[MACHINE_TIMERS];
    struct loop_watch *watches[MACHINE_WATCHES];
    struct thread {
        int (*step)(void *object); /* NULL = none, or not to be run */
        void *object;
    } threads[MACHINE_THREADS];
    uint32_t n_timers, n_watches, n_threads;
};

/* machine_use: @m is the machine from now on. */
void machine_use(struct machine *m);

/* What the daemon's files take for the loop and the server. */
struct loop *machine_loop(struct machine *m);
struct grpc_server *machine_server(struct machine *m);

/* machine_step: let thread @i, modulo how many there are, do one thing. Whether it did. machine_mail: call who watches
 * descriptor @i, likewise; it may find nothing. machine_timers: what is due. */
int machine_step(struct machine *m, uint64_t i);
void machine_mail(struct machine *m, uint64_t i);
void machine_timers(struct machine *m);
