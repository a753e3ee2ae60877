// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Values of the daemon, told family by family, in one of two forms: Stat messages as fields of GetStatsResponse, or
 * OpenMetrics text. Who has values tells them the same way for both:
 *
 *     metrics_family(m, METRIC_COUNTER, "connections_refused", NULL, "Connections that were turned away.");
 *     metrics_put(m, stats.n_refused);
 *     metrics_family(m, METRIC_GAUGE, "function_workers", NULL, "Workers that serve it.");
 *     metrics_put(m, n, "function", name);
 *
 * In the text each name has "futured_" before it, and a counter "_total" behind it. Nothing is kept: what is told goes into the
 * buffer at once, as far as there is room.
 */
#include "grpc/writer.h"

/* As in the contract's enum StatKind. */
enum metric_kind { METRIC_COUNTER = 1, METRIC_GAUGE = 2 };

enum metrics_form { METRICS_STATS, METRICS_TEXT };

struct metrics {
    enum metrics_form form;
    struct writer *to;
    struct span prefix; /* only families whose name begins with it */
    size_t room;        /* bytes that may still be written */
    int is_full;        /* something had no room */
    /* the family being told */
    const char *name;
    enum metric_kind kind;
    int is_wanted;
};

struct metric_label {
    const char *key;
    struct span value;
};

/* metrics_begin: values into @to, at most @room bytes. metrics_end: what the form has at its end. A failed writer stays
 * failed; everything may be told all the same. */
struct metrics metrics_begin(enum metrics_form form, struct writer *to, struct span prefix, size_t room);
void metrics_end(struct metrics *m);

/* metrics_family: what metrics_put tells from now on. @name: lower case, digits and "_", ending in "_@unit" where there is a
 * unit; each name once. @help: a sentence. All static. */
void metrics_family(struct metrics *m, enum metric_kind kind, const char *name, const char *unit,
                    const char *help);

/* metrics_put: one value of the family, told by its labels. metrics_put_of: with one label, metrics_put_labels: with @n. */
void metrics_put(struct metrics *m, double value);
void metrics_put_of(struct metrics *m, double value, const char *key, struct span label);
void metrics_put_labels(struct metrics *m, double value, const struct metric_label *labels, size_t n);

/* metrics_histogram: a whole family: @counts[i] values of at most @bounds[i], and above the one before; the last count, of
 * @n_bounds + 1, is of all above. In Stat messages these are the counters @name_bucket (with label "le"), _sum and _count. */
void metrics_histogram(struct metrics *m, const char *name, const char *unit, const char *help,
                       const double *bounds, const uint64_t *counts, size_t n_bounds, double sum);
