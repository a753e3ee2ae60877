// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/top_model.h"

#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void top_model_init(struct top_model *m)
{
    *m = (struct top_model){.now = CLOCK_NEVER, .then = CLOCK_NEVER};
}

void top_model_deinit(struct top_model *m)
{
    m->functions = mem_free(m->functions);
    m->before = mem_free(m->before);
}

/* --- a sample */

void top_model_begin(struct top_model *m, mono_ns_t now)
{
    struct top_function *functions = m->before;
    size_t cap = m->cap_before;

    m->before = m->functions;
    m->cap_before = m->cap;
    m->n_before = m->n;
    m->functions = functions;
    m->cap = cap;
    m->n = 0;
    m->then = m->now;
    m->now = now;
    m->totals = (struct top_totals){.done_rate = -1, .failed_rate = -1};
}

static int compare_name(const void *key, const void *item)
{
    return strcmp(key, ((const struct top_function *)item)->name);
}

/* So much more a second than in the last sample; less is another daemon, of which nothing is known yet. */
static double rate(const struct top_model *m, uint64_t now, uint64_t before)
{
    if (m->then == CLOCK_NEVER || m->now <= m->then || now < before)
        return -1;
    return (double)(now - before) * (double)NS_PER_S / (double)(m->now - m->then);
}

static void set_rates(const struct top_model *m, struct top_function *f)
{
    const struct top_function none = {0}, *before;

    before = m->n_before ? bsearch(f->name, m->before, m->n_before, sizeof *m->before, compare_name) : NULL;
    if (!before)
        before = &none;
    f->failed_rate = rate(m, f->failed, before->failed);
    f->done_rate = rate(m, f->succeeded + f->failed + f->cancelled,
                        before->succeeded + before->failed + before->cancelled);
}

int top_model_function(struct top_model *m, const struct futured_function *f)
{
    struct top_function *to;

    if (m->n == m->cap) {
        size_t cap = m->cap ? 2 * m->cap : 32;
        void *more = mem_realloc(m->functions, cap * sizeof *m->functions);

        if (!more)
            return -ENOMEM;
        m->functions = more;
        m->cap = cap;
    }
    to = &m->functions[m->n++];
    *to = (struct top_function){
            .pending = f->pending,
            .running = f->running,
            .succeeded = f->succeeded,
            .failed = f->failed,
            .cancelled = f->cancelled,
            .n_workers = f->n_workers,
            .mean_run_ns = f->mean_run_ns,
            .is_paused = f->is_paused,
            .is_broken = f->failure != NULL,
    };
    snprintf(to->name, sizeof to->name, "%s", f->name);
    set_rates(m, to);
    return 0;
}

void top_model_worker(struct top_model *m, const struct futured_worker_info *w)
{
    m->totals.n_workers++;
    m->totals.slots += w->slots;
}

void top_model_crashed(struct top_model *m, uint64_t n_crashed)
{
    m->totals.n_crashed = n_crashed;
}

static void add_rate(double *to, double more)
{
    if (more >= 0)
        *to = MAX(*to, 0.0) + more;
}

void top_model_end(struct top_model *m)
{
    struct top_totals *t = &m->totals;

    for (size_t i = 0; i < m->n; i++) {
        const struct top_function *f = &m->functions[i];

        t->pending += f->pending;
        t->running += f->running;
        t->succeeded += f->succeeded;
        t->failed += f->failed;
        t->cancelled += f->cancelled;
        add_rate(&t->done_rate, f->done_rate);
        add_rate(&t->failed_rate, f->failed_rate);
    }
}

/* --- futures */

static void set_text(struct top_future *to, const struct futured_future *f)
{
    size_t n = 0;

    if (f->error)
        snprintf(to->text, sizeof to->text, "%s%s%s", f->error->reason, *f->error->message ? ": " : "",
                 f->error->message);
    for (size_t i = 0; !f->error && i < f->n_labels && n < sizeof to->text; i++)
        n += (size_t)snprintf(to->text + n, sizeof to->text - n, "%s%s=%s", i ? " " : "", f->labels[i].key,
                              f->labels[i].value);
}

static int64_t time_of(const struct futured_future *f)
{
    return f->state == FUTURED_STATE_FAILED ? f->end_time_ns : f->start_time_ns;
}

/* The first to start, the last to end; what is equal by ID. */
static int compare_time(const void *a, const void *b)
{
    const struct futured_future *f = *(const struct futured_future *const *)a,
                                *g = *(const struct futured_future *const *)b;
    int is_later = time_of(f) > time_of(g);

    if (time_of(f) == time_of(g))
        return strcmp(f->id, g->id);
    return is_later == (f->state == FUTURED_STATE_FAILED) ? -1 : 1;
}

void top_model_list(struct top_list *list, const struct futured_page *page)
{
    const struct futured_future *futures[TOP_PAGE];
    size_t n = MIN(page->n_futures, (size_t)TOP_PAGE);

    for (size_t i = 0; i < n; i++)
        futures[i] = page->futures[i];
    qsort(futures, n, sizeof(struct futured_future *), compare_time);
    list->n = MIN(n, (size_t)TOP_FUTURES);
    for (size_t i = 0; i < list->n; i++) {
        const struct futured_future *f = futures[i];
        struct top_future *to = &list->futures[i];

        *to = (struct top_future){
                .is_failed = f->state == FUTURED_STATE_FAILED,
                .is_cancelling = f->cancel_requested != NULL,
                .time_ns = time_of(f),
        };
        snprintf(to->id, sizeof to->id, "%s", f->id);
        snprintf(to->function, sizeof to->function, "%s", f->task ? f->task->function : "");
        set_text(to, f);
    }
}

/* --- the order of functions */

const char *top_model_sort_name(enum top_sort sort)
{
    static const char *const names[] = {"rate", "pending", "running", "failed", "mean run", "name"};

    return names[sort];
}

static double key_of(const struct top_function *f, enum top_sort sort)
{
    switch (sort) {
    case TOP_BY_RATE: return f->done_rate;
    case TOP_BY_PENDING: return (double)f->pending;
    case TOP_BY_RUNNING: return (double)f->running;
    case TOP_BY_FAILED: return (double)f->failed;
    case TOP_BY_MEAN: return (double)f->mean_run_ns;
    case TOP_BY_NAME:
    case TOP_SORTS: break;
    }
    return 0;
}

/* The most first, what is equal by name. */
static int compare(const void *a, const void *b, void *sort)
{
    const struct top_function *f = *(const struct top_function *const *)a,
                              *g = *(const struct top_function *const *)b;
    double x = key_of(f, *(enum top_sort *)sort), y = key_of(g, *(enum top_sort *)sort);

    return x > y ? -1 : x < y ? 1 : strcmp(f->name, g->name);
}

size_t top_model_rows(const struct top_model *m, enum top_sort sort, const char *filter,
                      const struct top_function **rows, size_t max)
{
    const struct top_function **all = m->n ? mem_alloc(m->n * sizeof(struct top_function *)) : NULL;
    size_t n = 0;

    if (!all)
        return 0;
    for (size_t i = 0; i < m->n; i++)
        if (strstr(m->functions[i].name, filter))
            all[n++] = &m->functions[i];
    qsort_r(all, n, sizeof(struct top_function *), compare, &sort);
    n = MIN(n, max);
    memcpy(rows, all, n * sizeof(struct top_function *));
    mem_free(all);
    return n;
}
