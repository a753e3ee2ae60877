// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Leases and who holds them: the life of a task between its queue and its end.
 *
 *   queue --claim--> reserved --start--> running --finish--> terminal
 *     ^----release-----'                    |
 *     ^----------------------lose-----------|
 *     '------- back-off <----retry----------'
 */
#include "engine/engine.h"

/* The functions of engine.h of the same names; see there. */
MUST_CHECK int lease_claim(struct engine *e, struct holder *h, int64_t max_run_ns, uint32_t max,
                           struct lease **ret_leases);
MUST_CHECK int lease_start(struct engine *e, struct lease *lease, wall_ns_t at);
MUST_CHECK int lease_finish(struct engine *e, struct lease *lease, struct finish *finish);
void lease_release(struct engine *e, struct lease *lease);
/* Why a worker is lost: nobody knows; the daemon ends; another task that it ran has taken it down; or it was killed for
 * another. */
enum lost { LOST_WORKER, LOST_BY_END, LOST_BY_ANOTHER, LOST_FOR_ANOTHER };
MUST_CHECK int lease_lose(struct engine *e, struct lease *lease, enum lost why);

/* lease_lose_restored: @f, which is in no queue and under no lease, was RUNNING, or armed to be, when an earlier start of
 * the daemon ended: as lease_lose; what goes back goes to the end of its queue. It keeps its lane (place.h).
 * 0, -ENOMEM (nothing changed). */
MUST_CHECK int lease_lose_restored(struct engine *e, struct future *f);

/* lease_stop: tell the attempt under @lease, or its worker who has not begun it, to end within @grace_ns. Once more: what
 * is stricter counts. */
void lease_stop(struct engine *e, struct lease *lease, enum stop why, int64_t grace_ns);

/* lease_end: @f, which has neither lease nor place, ends as its cancel or its deadline has made ready. */
void lease_end(struct engine *e, struct future *f);
