// SPDX-License-Identifier: Apache-2.0
#include "base/runpage.h"

#include "base/err.h"

void runpage_start(struct runpage *page, uint64_t key, uint32_t attempt, wall_ns_t at)
{
    uint64_t n = atomic_load_explicit(&page->n_started, memory_order_relaxed);

    ASSERT(n - atomic_load_explicit(&page->n_sent, memory_order_relaxed) < RUNPAGE_STARTS);
    page->starts[n % RUNPAGE_STARTS] = (struct runpage_start){.key = key, .attempt = attempt, .at = at};
    atomic_store_explicit(&page->n_started, n + 1, memory_order_release);
}

void runpage_finish(struct runpage *page)
{
    atomic_fetch_add_explicit(&page->n_finished, 1, memory_order_release);
}

void runpage_sent(struct runpage *page, uint64_t n)
{
    atomic_fetch_add_explicit(&page->n_sent, n, memory_order_release);
}

enum runpage_state runpage_find(const struct runpage *page, uint64_t key, uint32_t attempt, wall_ns_t *ret_at)
{
    uint64_t n_started = atomic_load_explicit(&page->n_started, memory_order_acquire);
    uint64_t n_finished = atomic_load_explicit(&page->n_finished, memory_order_acquire);

    /* newest first: what runs now is nearly always what is asked for */
    for (uint64_t back = 1; back <= RUNPAGE_STARTS && back <= n_started; back++) {
        const struct runpage_start *s = &page->starts[(n_started - back) % RUNPAGE_STARTS];

        if (s->key == key && s->attempt == attempt) {
            *ret_at = s->at;
            return n_started - back < n_finished ? RUNPAGE_FINISHED : RUNPAGE_RUNNING;
        }
    }
    return RUNPAGE_UNKNOWN;
}
