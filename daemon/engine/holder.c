// SPDX-License-Identifier: Apache-2.0
/* Workers as the engine sees them (engine.h): what each serves, and so how many serve a function. */
#include "base/mem.h"
#include "engine/engine.h"
#include "engine/state.h"
#include "engine/turn.h"

#include <errno.h>
#include <string.h>

int engine_holder_new(struct engine *e, struct span name, void *user, struct holder **ret)
{
    struct holder *h = mem_zalloc(sizeof *h);

    if (!h)
        return -ENOMEM;
    h->user = user;
    list_init(&h->leases);
    h->name = bytes_dup(name.p, name.len);
    if (!h->name) {
        mem_free(h);
        return -ENOMEM;
    }
    e->n_holders++;
    *ret = h;
    return 0;
}

int engine_holder_serve(struct engine *e, struct holder *h, struct function *f)
{
    uint32_t word = f->index / 64;
    uint64_t bit = UINT64_C(1) << (f->index % 64);

    if (word >= h->n_serves_words) {
        uint64_t *serves = h->serves ? mem_realloc(h->serves, (word + 1) * sizeof *serves)
                                     : mem_alloc((word + 1) * sizeof *serves);

        if (!serves)
            return -ENOMEM;
        memset(&serves[h->n_serves_words], 0, (word + 1 - h->n_serves_words) * sizeof *serves);
        h->serves = serves;
        h->n_serves_words = word + 1;
    }
    if (h->serves[word] & bit)
        return 0;
    h->serves[word] |= bit;
    f->n_holders++;
    if (f->ready.n > 0)
        turn_work(e, f);
    return 0;
}

void engine_holder_serve_none(struct engine *e, struct holder *h)
{
    for (uint32_t i = 0; i < h->n_serves_words * 64; i++)
        if (h->serves[i / 64] >> (i % 64) & 1)
            e->functions.at[i]->n_holders--;
    if (h->n_serves_words)
        memset(h->serves, 0, h->n_serves_words * sizeof *h->serves);
    for (uint32_t i = 0; i < h->n_shares; i++)
        h->shares[i].max = 0;
}

struct holder *engine_holder_free(struct engine *e, struct holder *h)
{
    if (!h)
        return NULL;
    ASSERT(h->n_leases == 0 && list_is_empty(&h->leases));
    engine_holder_serve_none(e, h);
    bytes_unref(h->name);
    mem_free(h->serves);
    mem_free(h->shares);
    e->n_holders--;
    return mem_free(h);
}
