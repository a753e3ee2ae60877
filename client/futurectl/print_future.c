// SPDX-License-Identifier: Apache-2.0
/* The record of one future. */
#include "client/futurectl/print.h"
#include "client/futurectl/text.h"

#include <inttypes.h>
#include <string.h>

enum {
    INLINE_BYTES = 200, /* a payload of one line up to here is shown behind its size */
    BLOCK_BYTES = 4096, /* one of several lines up to here is shown below */
};

/* --- payloads */

static int has_lines(struct span s)
{
    return memchr(s.p, '\n', s.len ? s.len - 1 : 0) != NULL;
}

static void put_block(struct output *out, struct span s)
{
    while (s.len) {
        const uint8_t *end = memchr(s.p, '\n', s.len);
        size_t n = end ? (size_t)(end - s.p) : s.len;

        fputs("\n  | ", out->to);
        text_put(out->to, (struct span){s.p, n}, 0);
        n += end != NULL;
        s.p += n;
        s.len -= n;
    }
}

/* @hint: the command that writes the bytes; NULL: there is none. */
static void line_payload(struct output *out, const char *key, struct futured_bytes data, uint64_t size,
                         const char *content_type, const char *hint, const char *id)
{
    struct span s = {data.data, data.size};
    char text[TEXT_SIZE_BYTES];

    print_key(out, key);
    text_size(size, text);
    fputs(text, out->to);
    if (*content_type) {
        fputs(", ", out->to);
        text_put_string(out->to, content_type);
    }
    if (s.len == 0 && size)
        fputs(" (not in this view)", out->to);
    else if (s.len && text_is_printable(s) && s.len <= INLINE_BYTES && !has_lines(s)) {
        fputs(": ", out->to);
        text_put(out->to, s, 0);
    } else if (s.len && text_is_printable(s) && s.len <= BLOCK_BYTES)
        put_block(out, s);
    else if (s.len && hint)
        fprintf(out->to, " (%s; `futurectl %s %s` writes it)", text_is_printable(s) ? "long" : "binary", hint,
                id);
    else if (s.len)
        fputs(text_is_printable(s) ? " (long)" : " (binary)", out->to);
    fputc('\n', out->to);
}

/* --- a future, whole */

/* Whether the labels are still those of the task. */
static int same_labels(const struct futured_future *f)
{
    if (f->task->n_labels != f->n_labels)
        return 0;
    for (size_t i = 0; i < f->n_labels; i++)
        if (strcmp(f->labels[i].key, f->task->labels[i].key) != 0 ||
            strcmp(f->labels[i].value, f->task->labels[i].value) != 0)
            return 0;
    return 1;
}

static void lines_error(struct output *out, const struct futured_error *e)
{
    if (!e)
        return;
    print_key(out, "error");
    print_error_text(out->to, e);
    fputc('\n', out->to);
    if (*e->traceback) {
        print_key(out, "traceback");
        put_block(out, span_of_string(e->traceback));
        fputc('\n', out->to);
    }
}

static void line_attempt(struct output *out, const struct futured_attempt *a)
{
    char text[TEXT_TIME_BYTES], key[24], signal[TEXT_SIGNAL_BYTES], size[TEXT_SIZE_BYTES];

    snprintf(key, sizeof key, "attempt %u", a->number);
    print_key(out, key);
    if (a->start_time_ns != FUTURED_NO_TIME) {
        text_time(a->start_time_ns, text);
        fprintf(out->to, "started %s", text);
    } else {
        fputs("not started", out->to);
    }
    if (*a->worker) {
        fputs(" on worker ", out->to);
        text_put_string(out->to, a->worker);
    }
    if (a->wall_ns >= 0)
        print_span(out, ", ran ", a->wall_ns);
    else if (a->end_time_ns != FUTURED_NO_TIME && a->start_time_ns != FUTURED_NO_TIME)
        print_span(out, ", ran ", a->end_time_ns - a->start_time_ns);
    else if (a->end_time_ns == FUTURED_NO_TIME)
        fputs(", running", out->to);
    print_span(out, ", user ", a->user_cpu_ns);
    print_span(out, ", system ", a->system_cpu_ns);
    if (a->has_max_rss) {
        text_size(a->max_rss_bytes, size);
        fprintf(out->to, ", %s", size);
    }
    if (a->has_exit_code)
        fprintf(out->to, ", exit code %d", a->exit_code);
    if (a->has_signal) {
        text_signal(a->signal, signal);
        fprintf(out->to, ", killed by %s", signal);
    }
    if (a->error) {
        fputs("; ", out->to);
        print_error_text(out->to, a->error);
    }
    fputc('\n', out->to);
}

static void lines_options(struct output *out, const struct futured_future *f)
{
    const struct futured_task_options *o = f->effective_options;

    if (f->priority) {
        print_key(out, "priority");
        fprintf(out->to, "%d\n", f->priority);
    }
    print_time_line(out, "not before", f->not_before_ns);
    print_time_line(out, "next start", f->next_start_time_ns);
    print_time_line(out, "deadline", f->deadline_ns);
    if (!o)
        return;
    if (o->durability == FUTURED_EPHEMERAL)
        print_line(out, "durability", "ephemeral: lost when the daemon stops");
    if (o->max_attempts > 1) {
        print_key(out, "attempts");
        fprintf(out->to, "%u at most\n", o->max_attempts);
    }
    if (o->attempt_timeout_ns > 0)
        print_span_line(out, "timeout", o->attempt_timeout_ns);
    print_line(out, "key", o->idempotency_key);
    print_line(out, "one at once", o->concurrency_key);
    for (size_t i = 0; i < o->n_depends_on; i++)
        print_line(out, i ? "" : "depends on", o->depends_on[i]);
}

static void line_cancel(struct output *out, const struct futured_cancellation *c)
{
    if (c)
        print_change(out, "cancel", c->time_ns, c->principal, c->reason);
}

static void line_progress(struct output *out, const struct futured_progress *p)
{
    if (!p)
        return;
    print_key(out, "progress");
    fprintf(out->to, "%" PRIu64, p->completed);
    if (p->total)
        fprintf(out->to, " of %" PRIu64, p->total);
    if (*p->message) {
        fputs(", ", out->to);
        text_put_string(out->to, p->message);
    }
    fputc('\n', out->to);
}

static void lines_times(struct output *out, const struct futured_future *f)
{
    char text[TEXT_TIME_BYTES];

    if (f->submit_time_ns != FUTURED_NO_TIME) {
        text_time(f->submit_time_ns, text);
        print_key(out, "submitted");
        fputs(text, out->to);
        if (*f->principal || *f->peer) {
            fputs(" by ", out->to);
            text_put_string(out->to, *f->principal ? f->principal : f->peer);
        }
        fputc('\n', out->to);
    }
    print_time_line(out, "started", f->start_time_ns);
    print_time_line(out, "ended", f->end_time_ns);
    print_time_line(out, "kept until", f->expire_time_ns);
}

static void line_state(struct output *out, const struct futured_future *f)
{
    print_key(out, "state");
    print_state(out, out->to, f);
    fputc('\n', out->to);
}

void print_future(struct output *out, const struct futured_future *f)
{
    const struct futured_task *t = f->task;

    print_line(out, "future", f->id);
    line_state(out, f);
    if (t) {
        print_line(out, "function", t->function);
        line_payload(out, "argument", t->argument, f->argument_size, t->content_type, NULL, NULL);
    }
    print_labels(out, "labels", f->labels, f->n_labels);
    if (t && !same_labels(f))
        print_labels(out, "as asked", t->labels, t->n_labels);
    print_line(out, "group", f->group);
    print_line(out, "tag", f->tag);
    print_line(out, "namespace", f->name_space);
    lines_options(out, f);
    lines_times(out, f);
    line_cancel(out, f->cancel_requested);
    line_progress(out, f->progress);
    for (size_t i = 0; i < f->n_attempts; i++)
        line_attempt(out, f->attempts[i]);
    print_line(out, "retry of", f->retry_of);
    print_line(out, "retried by", f->retried_by);
    lines_error(out, f->error);
    if (f->result)
        line_payload(out, "result", f->result->data, f->result->size, f->result->content_type, "result",
                     f->id);
}
