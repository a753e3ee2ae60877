// SPDX-License-Identifier: Apache-2.0
#include "base/runpage.h"

#include "base/err.h"

#include <stdio.h>

/* How often a search is begun again because the worker overwrote what was found. A worker that runs functions
 * does so at most once; one that has gone wild does not hold the daemon up. */
enum { SEARCHES_MAX = 4 };

void runpage_start(struct runpage *page, uint64_t key, uint32_t attempt, wall_ns_t at)
{
    uint64_t n = atomic_load_explicit(&page->n_started, memory_order_relaxed);
    struct runpage_start *s = &page->starts[n % RUNPAGE_SLOTS];

    ASSERT(n - atomic_load_explicit(&page->n_sent, memory_order_relaxed) < RUNPAGE_STARTS);
    /* each field a release: who sees one of them also sees that everything before this start is counted */
    __atomic_store_n(&s->key, key, __ATOMIC_RELEASE);
    __atomic_store_n(&s->attempt, attempt, __ATOMIC_RELEASE);
    __atomic_store_n(&s->at, at, __ATOMIC_RELEASE);
    atomic_store_explicit(&page->n_started, n + 1, memory_order_release);
}

void runpage_finish(struct runpage *page)
{
    uint64_t n = atomic_load_explicit(&page->n_finished, memory_order_relaxed);

    ASSERT(n < atomic_load_explicit(&page->n_started, memory_order_relaxed));
    atomic_store_explicit(&page->n_finished, n + 1, memory_order_release);
}

void runpage_sent(struct runpage *page, uint64_t n)
{
    uint64_t n_sent = atomic_load_explicit(&page->n_sent, memory_order_relaxed);

    ASSERT(n <= atomic_load_explicit(&page->n_finished, memory_order_relaxed) - n_sent);
    atomic_store_explicit(&page->n_sent, n_sent + n, memory_order_release);
}

static int is_entry(const struct runpage *page, uint64_t entry, uint64_t key, uint32_t attempt)
{
    const struct runpage_start *s = &page->starts[entry % RUNPAGE_SLOTS];

    return __atomic_load_n(&s->key, __ATOMIC_ACQUIRE) == key &&
           __atomic_load_n(&s->attempt, __ATOMIC_ACQUIRE) == attempt;
}

/* The number of the one of the first @n_started entries that is {key, attempt}, @n_started when none is. First @guess,
 * which is nearly always right, then newest first. */
static uint64_t search(const struct runpage *page, uint64_t n_started, uint64_t guess, uint64_t key,
                       uint32_t attempt)
{
    if (LIKELY(guess < n_started && n_started - guess < RUNPAGE_SLOTS) && is_entry(page, guess, key, attempt))
        return guess;
    for (uint64_t back = 1; back < RUNPAGE_SLOTS && back <= n_started; back++)
        if (is_entry(page, n_started - back, key, attempt))
            return n_started - back;
    return n_started;
}

enum runpage_state runpage_find(const struct runpage *page, uint64_t key, uint32_t attempt, uint64_t *next,
                                wall_ns_t *ret_at)
{
    for (int i = 0; i < SEARCHES_MAX; i++) {
        uint64_t n_started = atomic_load_explicit(&page->n_started, memory_order_acquire);
        uint64_t entry = search(page, n_started, *next, key, attempt);
        wall_ns_t at = __atomic_load_n(&page->starts[entry % RUNPAGE_SLOTS].at, __ATOMIC_ACQUIRE);

        if (entry == n_started)
            return RUNPAGE_UNKNOWN;
        /* Is it still that entry, or one that came round since and may not be counted yet? Then look again.
         */
        if (atomic_load_explicit(&page->n_started, memory_order_acquire) - entry >= RUNPAGE_SLOTS)
            continue;
        *next = entry + 1;
        *ret_at = at;
        return entry < atomic_load_explicit(&page->n_finished, memory_order_acquire) ? RUNPAGE_FINISHED
                                                                                     : RUNPAGE_RUNNING;
    }
    return RUNPAGE_UNKNOWN;
}

void runpage_give_up(struct runpage *page)
{
    uint64_t n = atomic_load_explicit(&page->n_started, memory_order_acquire);

    atomic_store_explicit(&page->n_finished, n, memory_order_release);
}

void runpage_blame(struct runpage *page)
{
    atomic_store_explicit(&page->is_blamed, 1, memory_order_relaxed);
}

int runpage_is_blamed(const struct runpage *page)
{
    return atomic_load_explicit(&page->is_blamed, memory_order_relaxed) != 0;
}

int runpage_is_running(const struct runpage *page)
{
    return atomic_load_explicit(&page->n_finished, memory_order_acquire) <
           atomic_load_explicit(&page->n_started, memory_order_acquire);
}

void runpage_load(struct runpage *page, const char *file, const char *name)
{
    char text[RUNPAGE_TEXT_BYTES];
    int n = snprintf(text, sizeof text, "%s%s%s", file, *name ? ", function " : "", name);

    for (int i = 0; i <= MIN(n, RUNPAGE_TEXT_BYTES - 1); i++)
        *(volatile char *)&page->loading[i] = text[i];
}

void runpage_loading(const struct runpage *page, char text[static RUNPAGE_TEXT_BYTES])
{
    size_t n = 0;

    for (; n < RUNPAGE_TEXT_BYTES - 1; n++) {
        char c = *(const volatile char *)&page->loading[n];

        if (!c)
            break;
        text[n] = c >= ' ' && c <= '~' ? c : '?';
    }
    text[n] = '\0';
}
