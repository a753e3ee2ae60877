// SPDX-License-Identifier: Apache-2.0
/* The task of a future that has failed or was cancelled, once more. */
#include "base/mem.h"
#include "engine/state.h"
#include "engine/turn.h"

#include <errno.h>

int engine_retry(struct engine *e, struct future *of, const struct engine_submit *in, struct future **ret)
{
    struct engine_submit again = *in;
    int r;

    if (of->state != FUTURE_FAILED && of->state != FUTURE_CANCELLED)
        return ENGINE_E_NOT_FAILED;
    if (future_retried_by(of))
        return ENGINE_E_RETRIED;
    ASSERT(in->scope->realm == of->scope->realm && in->durability == (enum durability)of->durability);
    if (!turn_rare(e, of))
        return -ENOMEM;
    again.retry_of = of;
    again.group = future_group(of);
    if (of->labels && !(again.labels = labels_new(of->labels->at, of->labels->n)))
        return -ENOMEM;
    r = engine_submit(e, &again, ret);
    if (r != 0) {
        mem_free(again.labels);
        return r;
    }
    of->rare->retried_by = (*ret)->id;
    turn_change(e, of);          /* the submission has reserved what this needs */
    (void)engine_shown(e, *ret); /* with it in one commit */
    return 0;
}
