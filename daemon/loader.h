// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Finished futures that have left memory, or were never in that of this start, come back when a call asks for them: by ID,
 * or as a stretch of all in the order of IDs. This is struct futures_loader of the service (futures.h) on the reader thread
 * of the store.
 */
#include "service/futures.h"

struct loader;
struct loop;
struct store;

/* loader_new: 0, -errno. @e and @s are borrowed. loader_free: no wish may be left. */
MUST_CHECK int loader_new(struct loader **ret, struct store *s, struct engine *e, struct loop *loop,
                          const struct hash_seed *seed);
struct loader *loader_free(struct loader *l);

/* loader_interface: for futures_keep. */
struct futures_loader loader_interface(struct loader *l);

/* loader_turn: once a turn: reads that waited for a commit are begun. */
void loader_turn(struct loader *l);
