// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/progress.h"

#include "base/err.h"
#include "client/futurectl/duration.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { BAR_MIN = 10, BAR_MAX = 40 };

void progress_init(struct progress *p, mono_ns_t now)
{
    *p = (struct progress){.start = now, .n = 1};
    p->samples[0].t = now;
}

void progress_note(struct progress *p, mono_ns_t now, uint64_t n_done)
{
    size_t last = (p->n - 1) % PROGRESS_SAMPLES;

    if (now - p->samples[last].t < PROGRESS_SAMPLE_NS)
        return;
    p->samples[p->n % PROGRESS_SAMPLES].t = now;
    p->samples[p->n % PROGRESS_SAMPLES].n_done = n_done;
    p->n++;
}

double progress_rate(const struct progress *p, mono_ns_t now, uint64_t n_done)
{
    size_t oldest = p->n > PROGRESS_SAMPLES ? p->n % PROGRESS_SAMPLES : 0;
    int64_t span = now - p->samples[oldest].t;

    if (span <= 0)
        return 0;
    return (double)(n_done - p->samples[oldest].n_done) * (double)NS_PER_S / (double)span;
}

int64_t progress_left(const struct progress *p, mono_ns_t now, const struct progress_counts *c)
{
    double rate = progress_rate(p, now, c->n_done), ns;

    if (c->total == 0 || c->n_done > c->total || rate <= 0)
        return -1;
    ns = (double)(c->total - c->n_done) / rate * (double)NS_PER_S;
    return ns < (double)(INT64_MAX / 2) ? (int64_t)ns : -1;
}

void progress_counts(const struct progress_counts *c, int is_colour, char text[static PROGRESS_LINE_BYTES])
{
    size_t n = (size_t)snprintf(text, PROGRESS_LINE_BYTES, "%" PRIu64, c->n_done);

    if (c->total)
        n += (size_t)snprintf(text + n, PROGRESS_LINE_BYTES - n, " of %" PRIu64, c->total);
    n += (size_t)snprintf(text + n, PROGRESS_LINE_BYTES - n, " done");
    if (c->n_failed)
        n += (size_t)snprintf(text + n, PROGRESS_LINE_BYTES - n, ", %s%" PRIu64 " failed%s",
                              is_colour ? "\033[31m" : "", c->n_failed, is_colour ? "\033[0m" : "");
    if (c->n_cancelled)
        n += (size_t)snprintf(text + n, PROGRESS_LINE_BYTES - n, ", %" PRIu64 " cancelled", c->n_cancelled);
    if (c->n_in_flight)
        snprintf(text + n, PROGRESS_LINE_BYTES - n, ", %" PRIu64 " in flight", c->n_in_flight);
}

/* What stands behind the counts. */
static void put_speed(const struct progress *p, mono_ns_t now, const struct progress_counts *c, char *text,
                      size_t n)
{
    double rate = progress_rate(p, now, c->n_done);
    int64_t left = progress_left(p, now, c);
    char span[DURATION_TEXT_BYTES];
    size_t at = (size_t)snprintf(text, n,
                                 rate >= 10  ? ", %.0f/s"
                                 : rate >= 1 ? ", %.1f/s"
                                             : ", %.2f/s",
                                 rate);

    if (left < 0 || c->n_done == c->total)
        return;
    duration_format(left < NS_PER_S ? left : left - left % NS_PER_S, span);
    snprintf(text + at, n - at, ", %s left", span);
}

static void put_line(const struct progress *p, mono_ns_t now, const struct progress_counts *c, int is_colour,
                     char text[static PROGRESS_LINE_BYTES])
{
    size_t n;

    progress_counts(c, is_colour, text);
    n = strlen(text);
    put_speed(p, now, c, text + n, PROGRESS_LINE_BYTES - n);
}

void progress_line(const struct progress *p, mono_ns_t now, const struct progress_counts *c,
                   char text[static PROGRESS_LINE_BYTES])
{
    put_line(p, now, c, 0, text);
}

/* [=====>    ] with @n columns inside. */
static char *put_bar(const struct progress_counts *c, size_t n, char *to)
{
    size_t full = (size_t)((double)n * (double)MIN(c->n_done, c->total) / (double)c->total);

    *to++ = '[';
    for (size_t i = 0; i < n; i++)
        *to++ = i < full ? '=' : i == full ? '>' : ' ';
    memcpy(to, "] ", 2);
    return to + 2;
}

void progress_bar(const struct progress *p, mono_ns_t now, const struct progress_counts *c, size_t width,
                  int is_colour, char text[static PROGRESS_TEXT_BYTES])
{
    size_t n, inside;

    progress_line(p, now, c, text); /* what it takes, without colour */
    n = strlen(text);
    if (n >= width) {
        text[MIN(width, (size_t)PROGRESS_TEXT_BYTES - 1)] = '\0';
        return;
    }
    inside = c->total && width - n >= BAR_MIN + 3 ? MIN(width - n - 3, (size_t)BAR_MAX) : 0;
    if (inside)
        text = put_bar(c, inside, text);
    put_line(p, now, c, is_colour, text);
}
