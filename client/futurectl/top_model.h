// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * What `futurectl top` knows: samples of the daemon, one after the other, and what follows from two of them. Pure: the time comes
 * with the sample.
 *
 *     top_model_begin(&m, now);  top_model_function(...) each;  top_model_worker(...) each;  top_model_end(&m);
 */
#include "base/clock.h"
#include "base/err.h"
#include "base/id.h"

#include <futured/client.h>

enum {
    TOP_FUTURES = 20, /* running longest, failed last: so many of each, */
    TOP_PAGE = 1000,  /* of so many that are looked at */
    TOP_NAME_BYTES = 256,
    TOP_TEXT_BYTES = 256,
};

struct top_function {
    char name[TOP_NAME_BYTES];
    uint64_t pending, running, succeeded, failed, cancelled;
    uint32_t n_workers;
    int64_t mean_run_ns;
    int is_paused, is_broken;
    double done_rate, failed_rate; /* a second; < 0: not known yet */
};

struct top_future {
    char id[ID_TEXT_LEN + 1], function[TOP_NAME_BYTES];
    char text[TOP_TEXT_BYTES]; /* labels of one that runs, the error of one that failed */
    int64_t time_ns;           /* when it started, or ended */
    int is_failed, is_cancelling;
};

struct top_list {
    struct top_future futures[TOP_FUTURES];
    size_t n;
};

struct top_totals {
    uint64_t pending, running, succeeded, failed, cancelled;
    uint64_t n_workers, slots, n_crashed;
    double done_rate, failed_rate;
};

struct top_model {
    struct top_function *functions, *before; /* by name; before: of the last sample */
    size_t n, n_before, cap, cap_before;
    mono_ns_t now, then; /* of the sample, of the last one; then is CLOCK_NEVER in the first */
    struct top_totals totals;
    struct top_list running, failed;
};

void top_model_init(struct top_model *m);
void top_model_deinit(struct top_model *m);

/* top_model_begin: a new sample, of @now. top_model_function: by name, as the daemon lists them. 0, -ENOMEM. */
void top_model_begin(struct top_model *m, mono_ns_t now);
MUST_CHECK int top_model_function(struct top_model *m, const struct futured_function *f);
void top_model_worker(struct top_model *m, const struct futured_worker_info *w);
void top_model_crashed(struct top_model *m, uint64_t n_crashed);
void top_model_end(struct top_model *m);

/* top_model_list: of @page, of TOP_PAGE futures at most, what runs longest or failed last. */
void top_model_list(struct top_list *list, const struct futured_page *page);

/* --- the order of functions */

enum top_sort {
    TOP_BY_RATE,
    TOP_BY_PENDING,
    TOP_BY_RUNNING,
    TOP_BY_FAILED,
    TOP_BY_MEAN,
    TOP_BY_NAME,
    TOP_SORTS
};
const char *top_model_sort_name(enum top_sort sort);

/* top_model_rows: the functions whose names contain @filter, the first of @sort first; at most @max. Return: how many. */
size_t top_model_rows(const struct top_model *m, enum top_sort sort, const char *filter,
                      const struct top_function **rows, size_t max);
