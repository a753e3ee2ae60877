// SPDX-License-Identifier: Apache-2.0
#pragma once
/* How far a map has come: what is drawn as a bar or said as a line. Pure: counts and the time come as arguments. */
#include "base/clock.h"

#include <stddef.h>
#include <stdint.h>

enum { PROGRESS_SAMPLES = 32, PROGRESS_LINE_BYTES = 400, PROGRESS_TEXT_BYTES = 512 };
#define PROGRESS_SAMPLE_NS (250 * NS_PER_MS)

struct progress_counts {
    uint64_t n_done, n_failed, n_cancelled; /* done is all that ended */
    uint64_t n_in_flight;
    uint64_t total; /* 0: not known */
};

struct progress {
    struct {
        mono_ns_t t;
        uint64_t n_done;
    } samples[PROGRESS_SAMPLES]; /* a ring; the oldest is at n % PROGRESS_SAMPLES once it is full */
    size_t n;
    mono_ns_t start;
};

void progress_init(struct progress *p, mono_ns_t now);

/* progress_note: that so many are done now. The rate is that of the last PROGRESS_SAMPLES * PROGRESS_SAMPLE_NS. */
void progress_note(struct progress *p, mono_ns_t now, uint64_t n_done);
/* progress_rate: so many a second; 0 where nothing is known. */
double progress_rate(const struct progress *p, mono_ns_t now, uint64_t n_done);
/* progress_left: how long the rest takes; < 0: not known. */
int64_t progress_left(const struct progress *p, mono_ns_t now, const struct progress_counts *c);

/* progress_counts: `4512 of 10000 done, 2 failed, 256 in flight`; @is_colour: what failed is red. */
void progress_counts(const struct progress_counts *c, int is_colour, char text[static PROGRESS_LINE_BYTES]);

/* progress_line: `4512 of 10000 done, 2 failed, 256 in flight, 5021/s, 1.1 s left`. */
void progress_line(const struct progress *p, mono_ns_t now, const struct progress_counts *c,
                   char text[static PROGRESS_LINE_BYTES]);

/* progress_bar: the same with a bar in front of it, in @width columns at most; @is_colour: what failed is red. */
void progress_bar(const struct progress *p, mono_ns_t now, const struct progress_counts *c, size_t width,
                  int is_colour, char text[static PROGRESS_TEXT_BYTES]);
