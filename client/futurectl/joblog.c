// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/joblog.h"

#include "client/futurectl/text.h"

#include <inttypes.h>
#include <string.h>

void joblog_head(FILE *to)
{
    fputs("Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n", to);
}

static int is_stopped(const struct futured_error *e)
{
    static const char *const reasons[] = {"TIMEOUT", "CANCELLED", "DEADLINE_EXCEEDED"};

    for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
        if (strcmp(e->reason, reasons[i]) == 0)
            return 1;
    return 0;
}

static int exit_value(const struct futured_future *f, const struct futured_attempt *a)
{
    if (!f)
        return 1;
    if (f->state == FUTURED_STATE_SUCCEEDED)
        return 0;
    if (f->error && is_stopped(f->error))
        return -1;
    return a && a->has_exit_code && a->exit_code ? a->exit_code : 1;
}

void joblog_put(FILE *to, const struct joblog_entry *e)
{
    const struct futured_future *f = e->future;
    const struct futured_attempt *a = f && f->n_attempts ? f->attempts[f->n_attempts - 1] : NULL;
    int64_t start = a && a->start_time_ns != FUTURED_NO_TIME ? a->start_time_ns : e->now,
            ran = a && a->end_time_ns > start ? a->end_time_ns - start : 0;

    fprintf(to, "%" PRIu64 "\t%s\t%" PRId64 ".%03d\t%10.3f\t%" PRIu64 "\t%" PRIu64 "\t%d\t%d\t", e->seq,
            a && *a->worker ? a->worker : "-", start / NS_PER_S, (int)(start % NS_PER_S / NS_PER_MS),
            (double)ran / (double)NS_PER_S, e->n_sent, f && f->result ? f->result->size : 0, exit_value(f, a),
            a && a->has_signal ? a->signal : 0);
    text_put_string(to, e->function);
    fputc(' ', to);
    text_put(to, e->item, 0);
    fputc('\n', to);
}
