// SPDX-License-Identifier: Apache-2.0
/* What a worker takes of one function (engine.h): its own limit, and credit for that function alone. */
#include "base/mem.h"
#include "engine/engine.h"
#include "engine/state.h"
#include "engine/turn.h"

#include <errno.h>
#include <string.h>

/* Room for a share of @f; what it holds is counted. */
static int make_shares(struct holder *h, const struct function *f)
{
    struct holder_share *shares;
    uint32_t n = f->index + 1, before = h->n_shares;

    if (n <= before)
        return 0;
    shares = h->shares ? mem_realloc(h->shares, n * sizeof *shares) : mem_alloc(n * sizeof *shares);
    if (!shares)
        return -ENOMEM;
    memset(&shares[before], 0, (n - before) * sizeof *shares);
    h->shares = shares;
    h->n_shares = n;
    LIST_FOREACH (l, &h->leases) {
        uint32_t i = LIST_ENTRY(l, struct lease, of_holder)->future->function->index;

        if (i >= before && i < n)
            shares[i].n++;
    }
    return 0;
}

int engine_share_bound(struct engine *e, struct holder *h, const struct function *f, uint32_t max)
{
    int r = max ? make_shares(h, f) : 0;

    if (r == 0 && f->index < h->n_shares)
        h->shares[f->index].max = max;
    return r;
}

int engine_share_credit(struct engine *e, struct holder *h, struct function *f, uint32_t n)
{
    int r = n ? make_shares(h, f) : 0;

    if (r < 0 || n == 0)
        return r;
    h->shares[f->index].own += n;
    h->own += n;
    if (f->ready.n > 0)
        turn_work(e, f);
    return 0;
}

void engine_share_uncredit(struct holder *h)
{
    for (uint32_t i = 0; h->own && i < h->n_shares; i++)
        h->shares[i].own = 0;
    h->own = 0;
}
