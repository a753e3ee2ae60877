// SPDX-License-Identifier: Apache-2.0
#include "service/metrics.h"

#include <stdio.h>
#include <string.h>

enum { STATS = 3, STAT_NAME = 1, STAT_KIND = 2, STAT_VALUE = 3, STAT_LABELS = 4 };
enum { NUMBER_BYTES = 32, LABEL_OVERHEAD_BYTES = 16, SAMPLE_BYTES = 64, HEAD_BYTES = 512, END_BYTES = 8 };
#define EXACT_MAX 9007199254740992.0 /* up to here a double holds every whole number */

struct metrics metrics_begin(enum metrics_form form, struct writer *to, struct span prefix, size_t room)
{
    return (struct metrics){
            .form = form, .to = to, .prefix = prefix, .room = room - MIN(room, (size_t)END_BYTES)};
}

/* Whether there is room for @n more bytes. */
static int has_room(struct metrics *m, size_t n)
{
    if (n <= m->room)
        return 1;
    m->is_full = 1;
    return 0;
}

/* So much has been written since the buffer had @before bytes. */
static void take(struct metrics *m, size_t before)
{
    m->room -= MIN(m->room, buf_len(m->to->out) - before);
}

static void add(struct metrics *m, const char *text, size_t n)
{
    struct writer *to = m->to;

    if (!to->failed)
        to->failed = buf_append(to->out, text, n);
}

static void add_text(struct metrics *m, const char *text)
{
    add(m, text, strlen(text));
}

void metrics_end(struct metrics *m)
{
    if (m->form == METRICS_TEXT)
        add_text(m, "# EOF\n");
}

/* --- families */

/* "# TYPE futured_NAME counter", and unit and help. */
static void put_head(struct metrics *m, const char *type, const char *unit, const char *help)
{
    char text[HEAD_BYTES];
    int n = snprintf(text, sizeof text, "# TYPE futured_%s %s\n", m->name, type);

    if (unit)
        n += snprintf(text + n, sizeof text - (size_t)n, "# UNIT futured_%s %s\n", m->name, unit);
    n += snprintf(text + n, sizeof text - (size_t)n, "# HELP futured_%s %s\n", m->name, help);
    ASSERT((size_t)n < sizeof text);
    m->is_wanted = has_room(m, (size_t)n);
    if (!m->is_wanted)
        return;
    add(m, text, (size_t)n);
    m->room -= (size_t)n;
}

static void begin_family(struct metrics *m, enum metric_kind kind, const char *name)
{
    size_t n = m->prefix.len;

    m->name = name;
    m->kind = kind;
    m->is_wanted = strlen(name) >= n && (n == 0 || memcmp(name, m->prefix.p, n) == 0);
}

void metrics_family(struct metrics *m, enum metric_kind kind, const char *name, const char *unit,
                    const char *help)
{
    begin_family(m, kind, name);
    if (m->is_wanted && m->form == METRICS_TEXT)
        put_head(m, kind == METRIC_COUNTER ? "counter" : "gauge", unit, help);
}

/* --- values */

static void put_number(struct metrics *m, double value)
{
    char text[NUMBER_BYTES];
    int is_whole = value > -EXACT_MAX && value < EXACT_MAX && value == (double)(int64_t)value;
    int n = snprintf(text, sizeof text, is_whole ? " %.0f\n" : " %.12g\n", value);

    add(m, text, (size_t)n);
}

static void put_escaped(struct metrics *m, struct span value)
{
    for (size_t i = 0; i < value.len; i++) {
        char c = (char)value.p[i];

        if (c == '\\' || c == '"')
            add(m, "\\", 1);
        if (c == '\n')
            add(m, "\\n", 2);
        else
            add(m, &c, 1);
    }
}

static void put_sample(struct metrics *m, const char *suffix, double value, const struct metric_label *labels,
                       size_t n)
{
    add_text(m, "futured_");
    add_text(m, m->name);
    add_text(m, suffix);
    for (size_t i = 0; i < n; i++) {
        add(m, i ? "," : "{", 1);
        add_text(m, labels[i].key);
        add(m, "=\"", 2);
        put_escaped(m, labels[i].value);
        add(m, i + 1 < n ? "\"" : "\"}", i + 1 < n ? 1 : 2);
    }
    put_number(m, value);
}

static void put_stat(struct metrics *m, const char *suffix, double value, const struct metric_label *labels,
                     size_t n)
{
    struct writer_mark stat = writer_begin(m->to, STATS, 100);
    char name[128];

    snprintf(name, sizeof name, "%s%s", m->name, suffix);
    writer_text(m->to, STAT_NAME, name);
    writer_uint(m->to, STAT_KIND, m->kind);
    writer_double(m->to, STAT_VALUE, value);
    for (size_t i = 0; i < n; i++) {
        struct writer_mark label = writer_begin(m->to, STAT_LABELS, 32);

        writer_text(m->to, 1, labels[i].key);
        writer_bytes(m->to, 2, labels[i].value);
        writer_end(m->to, label);
    }
    writer_end(m->to, stat);
}

/* An upper bound. Escaping at most doubles a label. */
static size_t size_of(const struct metrics *m, const struct metric_label *labels, size_t n)
{
    size_t size = SAMPLE_BYTES + NUMBER_BYTES + strlen(m->name);

    for (size_t i = 0; i < n; i++)
        size += LABEL_OVERHEAD_BYTES + strlen(labels[i].key) + 2 * labels[i].value.len;
    return size;
}

static void put(struct metrics *m, const char *suffix, double value, const struct metric_label *labels,
                size_t n)
{
    size_t before = buf_len(m->to->out);

    if (!m->is_wanted || !has_room(m, size_of(m, labels, n)))
        return;
    if (m->form == METRICS_TEXT)
        put_sample(m, suffix, value, labels, n);
    else
        put_stat(m, suffix, value, labels, n);
    take(m, before);
}

void metrics_put_labels(struct metrics *m, double value, const struct metric_label *labels, size_t n)
{
    put(m, m->form == METRICS_TEXT && m->kind == METRIC_COUNTER ? "_total" : "", value, labels, n);
}

void metrics_put(struct metrics *m, double value)
{
    metrics_put_labels(m, value, NULL, 0);
}

void metrics_put_of(struct metrics *m, double value, const char *key, struct span label)
{
    metrics_put_labels(m, value, &(struct metric_label){key, label}, 1);
}

/* A bound as OpenMetrics wants it: always with a point. */
static struct span bound_text(char text[static NUMBER_BYTES], double bound)
{
    snprintf(text, NUMBER_BYTES, bound == (double)(int64_t)bound ? "%.1f" : "%g", bound);
    return span_of_string(text);
}

void metrics_histogram(struct metrics *m, const char *name, const char *unit, const char *help,
                       const double *bounds, const uint64_t *counts, size_t n_bounds, double sum)
{
    char text[NUMBER_BYTES];
    uint64_t n = 0;

    begin_family(m, METRIC_COUNTER, name);
    /* all of it or nothing: a part of a histogram is none */
    if (m->is_wanted)
        m->is_wanted = has_room(m, HEAD_BYTES + (n_bounds + 3) * (size_of(m, NULL, 0) + NUMBER_BYTES));
    if (m->is_wanted && m->form == METRICS_TEXT)
        put_head(m, "histogram", unit, help);
    for (size_t i = 0; i <= n_bounds; i++) {
        struct metric_label le = {"le", i < n_bounds ? bound_text(text, bounds[i]) : span_of_string("+Inf")};

        n += counts[i];
        put(m, "_bucket", (double)n, &le, 1);
    }
    put(m, "_sum", sum, NULL, 0);
    put(m, "_count", (double)n, NULL, 0);
}
