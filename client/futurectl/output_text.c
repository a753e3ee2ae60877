// SPDX-License-Identifier: Apache-2.0
/*
 * Text for people. What comes from strangers (labels, messages, results) passes text_put, so that it can move no
 * cursor and start no escape sequence.
 */
#include "client/futurectl/duration.h"
#include "client/futurectl/output.h"
#include "client/futurectl/text.h"

#include <inttypes.h>
#include <string.h>

enum {
    KEY_WIDTH = 12,
    INLINE_BYTES = 200, /* a payload of one line up to here is shown behind its size */
    BLOCK_BYTES = 4096, /* one of several lines up to here is shown below */
    CELL_BYTES = 60,    /* of a table's last cell */
};

/* --- pieces */

static const char *colour_of(enum futured_state state)
{
    switch (state) {
    case FUTURED_STATE_SUCCEEDED: return "\033[32m";
    case FUTURED_STATE_FAILED: return "\033[31m";
    case FUTURED_STATE_CANCELLED: return "\033[33m";
    case FUTURED_STATE_RUNNING: return "\033[36m";
    default: return "";
    }
}

/* The name of a state, padded to @width. */
static void put_state(struct output *out, enum futured_state state, int width)
{
    const char *colour = out->is_colour ? colour_of(state) : "";

    fprintf(out->to, "%s%-*s%s", colour, width, futured_state_name(state), *colour ? "\033[0m" : "");
}

static void put_key(struct output *out, const char *key)
{
    fprintf(out->to, "%-*s", KEY_WIDTH, key);
}

static void line_text(struct output *out, const char *key, const char *value)
{
    if (!*value)
        return;
    put_key(out, key);
    text_put_string(out->to, value);
    fputc('\n', out->to);
}

static void line_time(struct output *out, const char *key, int64_t time_ns)
{
    char text[TEXT_TIME_BYTES];

    if (time_ns == FUTURED_NO_TIME)
        return;
    text_time(time_ns, text);
    line_text(out, key, text);
}

static void put_span(struct output *out, const char *before, int64_t span_ns)
{
    char text[DURATION_TEXT_BYTES];

    if (span_ns < 0)
        return;
    duration_format(span_ns, text);
    fprintf(out->to, "%s%s", before, text);
}

static void put_label(struct output *out, const struct futured_label *label)
{
    text_put_string(out->to, label->key);
    fputc('=', out->to);
    text_put_string(out->to, label->value);
}

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

static void lines_labels(struct output *out, const char *key, const struct futured_label *labels, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        put_key(out, i ? "" : key);
        put_label(out, &labels[i]);
        fputc('\n', out->to);
    }
}

/* Error in one line: `CRASHED: killed by SIGSEGV`. */
static void put_error(struct output *out, const struct futured_error *e)
{
    text_put_string(out->to, *e->function_reason ? e->function_reason : e->reason);
    if (*e->type) {
        fputs(" (", out->to);
        text_put_string(out->to, e->type);
        fputc(')', out->to);
    }
    if (*e->message) {
        fputs(": ", out->to);
        text_put_string(out->to, e->message);
    }
}

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

    put_key(out, key);
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

static void lines_error(struct output *out, const struct futured_error *e)
{
    if (!e)
        return;
    put_key(out, "error");
    put_error(out, e);
    fputc('\n', out->to);
    if (*e->traceback) {
        put_key(out, "traceback");
        put_block(out, span_of_string(e->traceback));
        fputc('\n', out->to);
    }
}

static void line_attempt(struct output *out, const struct futured_attempt *a)
{
    char text[TEXT_TIME_BYTES], key[24], signal[TEXT_SIGNAL_BYTES], size[TEXT_SIZE_BYTES];

    snprintf(key, sizeof key, "attempt %u", a->number);
    put_key(out, key);
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
        put_span(out, ", ran ", a->wall_ns);
    else if (a->end_time_ns != FUTURED_NO_TIME && a->start_time_ns != FUTURED_NO_TIME)
        put_span(out, ", ran ", a->end_time_ns - a->start_time_ns);
    else if (a->end_time_ns == FUTURED_NO_TIME)
        fputs(", running", out->to);
    put_span(out, ", user ", a->user_cpu_ns);
    put_span(out, ", system ", a->system_cpu_ns);
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
        put_error(out, a->error);
    }
    fputc('\n', out->to);
}

static void line_span(struct output *out, const char *key, int64_t span_ns)
{
    if (span_ns < 0)
        return;
    put_key(out, key);
    put_span(out, "", span_ns);
    fputc('\n', out->to);
}

static void lines_options(struct output *out, const struct futured_future *f)
{
    const struct futured_task_options *o = f->effective_options;

    if (f->priority) {
        put_key(out, "priority");
        fprintf(out->to, "%d\n", f->priority);
    }
    line_time(out, "not before", f->not_before_ns);
    line_time(out, "next start", f->next_start_time_ns);
    line_time(out, "deadline", f->deadline_ns);
    if (!o)
        return;
    if (o->durability == FUTURED_EPHEMERAL)
        line_text(out, "durability", "ephemeral: lost when the daemon stops");
    if (o->max_attempts > 1) {
        put_key(out, "attempts");
        fprintf(out->to, "%u at most\n", o->max_attempts);
    }
    if (o->attempt_timeout_ns > 0)
        line_span(out, "timeout", o->attempt_timeout_ns);
    line_text(out, "key", o->idempotency_key);
    line_text(out, "one at once", o->concurrency_key);
    for (size_t i = 0; i < o->n_depends_on; i++)
        line_text(out, i ? "" : "depends on", o->depends_on[i]);
}

static void line_cancel(struct output *out, const struct futured_cancellation *c)
{
    char text[TEXT_TIME_BYTES];

    if (!c)
        return;
    text_time(c->time_ns, text);
    put_key(out, "cancel");
    fprintf(out->to, "asked for at %s", text);
    if (*c->principal) {
        fputs(" by ", out->to);
        text_put_string(out->to, c->principal);
    }
    if (*c->reason) {
        fputs(": ", out->to);
        text_put_string(out->to, c->reason);
    }
    fputc('\n', out->to);
}

static void line_progress(struct output *out, const struct futured_progress *p)
{
    if (!p)
        return;
    put_key(out, "progress");
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
        put_key(out, "submitted");
        fputs(text, out->to);
        if (*f->principal || *f->peer) {
            fputs(" by ", out->to);
            text_put_string(out->to, *f->principal ? f->principal : f->peer);
        }
        fputc('\n', out->to);
    }
    line_time(out, "started", f->start_time_ns);
    line_time(out, "ended", f->end_time_ns);
    line_time(out, "kept until", f->expire_time_ns);
}

static void line_state(struct output *out, const struct futured_future *f)
{
    put_key(out, "state");
    put_state(out, f->state, 0);
    if (f->state == FUTURED_STATE_PENDING && f->pending_reason != FUTURED_PENDING_UNSPECIFIED)
        fprintf(out->to, " (%s)", futured_pending_reason_name(f->pending_reason));
    fputc('\n', out->to);
}

static void future(struct output *out, const struct futured_future *f)
{
    const struct futured_task *t = f->task;

    line_text(out, "future", f->id);
    line_state(out, f);
    if (t) {
        line_text(out, "function", t->function);
        line_payload(out, "argument", t->argument, f->argument_size, t->content_type, NULL, NULL);
    }
    lines_labels(out, "labels", f->labels, f->n_labels);
    if (t && !same_labels(f))
        lines_labels(out, "as asked", t->labels, t->n_labels);
    line_text(out, "group", f->group);
    line_text(out, "tag", f->tag);
    line_text(out, "namespace", f->name_space);
    lines_options(out, f);
    lines_times(out, f);
    line_cancel(out, f->cancel_requested);
    line_progress(out, f->progress);
    for (size_t i = 0; i < f->n_attempts; i++)
        line_attempt(out, f->attempts[i]);
    line_text(out, "retry of", f->retry_of);
    line_text(out, "retried by", f->retried_by);
    lines_error(out, f->error);
    if (f->result)
        line_payload(out, "result", f->result->data, f->result->size, f->result->content_type, "result",
                     f->id);
}

/* --- lists */

static void begin(struct output *out, enum output_list kind)
{
    if (kind == OUTPUT_FUTURES)
        fprintf(out->to, "%-36s  %-9s  %-16s  %-29s  %-8s  %s\n", "ID", "STATE", "FUNCTION", "SUBMITTED",
                "TOOK", "LABELS");
    else if (kind == OUTPUT_FUNCTIONS)
        fprintf(out->to, "%-20s  %-8s  %7s  %7s  %9s  %6s  %-8s  %s\n", "FUNCTION", "KIND", "PENDING",
                "RUNNING", "SUCCEEDED", "FAILED", "MEAN RUN", "WHAT IT DOES");
    else if (kind == OUTPUT_WORKERS)
        fprintf(out->to, "%-8s  %-20s  %-12s  %5s  %7s  %8s  %9s  %-29s  %s\n", "WORKER", "NAME", "STATE",
                "SLOTS", "RUNNING", "RESERVED", "FINISHED", "SINCE", "FUNCTIONS");
}

static void end(struct output *out)
{
}

/* @s, padded to @width columns as far as it is ASCII. */
static void put_cell(struct output *out, const char *s, int width)
{
    text_put_string(out->to, s);
    for (int i = (int)strlen(s); i < width; i++)
        fputc(' ', out->to);
    fputs("  ", out->to);
}

static void row(struct output *out, const struct futured_future *f)
{
    char time[TEXT_TIME_BYTES] = "", took[DURATION_TEXT_BYTES] = "";

    put_cell(out, f->id, 36);
    put_state(out, f->state, f->task ? 9 : 0);
    if (!f->task) {
        fputc('\n', out->to);
        return;
    }
    fputs("  ", out->to);
    put_cell(out, f->task->function, 16);
    if (f->submit_time_ns != FUTURED_NO_TIME)
        text_time(f->submit_time_ns, time);
    put_cell(out, time, 29);
    if (f->end_time_ns != FUTURED_NO_TIME && f->start_time_ns != FUTURED_NO_TIME)
        duration_format(f->end_time_ns - f->start_time_ns, took);
    put_cell(out, took, 8);
    for (size_t i = 0; i < f->n_labels; i++) {
        fputs(i ? " " : "", out->to);
        put_label(out, &f->labels[i]);
    }
    fputc('\n', out->to);
}

static const char *kind_of(const struct futured_function *f)
{
    static const char *const names[] = {"?", "plugin", "command", "remote"};

    if (f->n_kinds == 0)
        return "none";
    if (f->n_kinds > 1)
        return "several";
    return f->kinds[0] < ARRAY_LEN(names) ? names[f->kinds[0]] : names[0];
}

static void function(struct output *out, const struct futured_function *f)
{
    char mean[DURATION_TEXT_BYTES] = "";

    if (f->mean_run_ns >= 0)
        duration_format(f->mean_run_ns, mean);
    put_cell(out, f->name, 20);
    fprintf(out->to, "%-8s  %7" PRIu64 "  %7" PRIu64 "  %9" PRIu64 "  %6" PRIu64 "  %-8s  ", kind_of(f),
            f->pending, f->running, f->succeeded, f->failed, mean);
    if (f->failure) {
        fputs("NOT SERVED: ", out->to);
        put_error(out, f->failure);
    } else if (f->is_paused) {
        fputs("PAUSED: ", out->to);
        text_put_string(out->to, f->pause_reason);
    } else {
        text_put(out->to, span_of_string(f->doc), CELL_BYTES);
    }
    fputc('\n', out->to);
}

static void worker(struct output *out, const struct futured_worker *w)
{
    static const char *const states[] = {"", "STARTING", "READY", "DRAINING", "DISCONNECTED"};
    char since[TEXT_TIME_BYTES] = "";

    if (w->attach_time_ns != FUTURED_NO_TIME)
        text_time(w->attach_time_ns, since);
    put_cell(out, w->id, 8);
    put_cell(out, w->name, 20);
    fprintf(out->to, "%-12s  %5u  %7u  %8u  %9" PRIu64 "  %-29s ",
            (unsigned int)w->state < ARRAY_LEN(states) ? states[w->state] : "?", w->slots, w->running,
            w->reserved, w->finished, since);
    for (size_t i = 0; i < w->n_functions; i++) {
        fputc(' ', out->to);
        text_put_string(out->to, w->functions[i]);
    }
    fputc('\n', out->to);
}

/* --- events */

static void put_change(struct output *out, const struct futured_future *f)
{
    char size[TEXT_SIZE_BYTES];

    put_state(out, f->state, 0);
    if (f->state == FUTURED_STATE_PENDING && f->pending_reason != FUTURED_PENDING_UNSPECIFIED)
        fprintf(out->to, " (%s)", futured_pending_reason_name(f->pending_reason));
    if (f->state == FUTURED_STATE_RUNNING && f->n_attempts)
        fprintf(out->to, " attempt %u", f->attempts[f->n_attempts - 1]->number);
    if (f->cancel_requested && !futured_future_is_done(f))
        fputs(" (cancel asked for)", out->to);
    if (f->result) {
        text_size(f->result->size, size);
        fprintf(out->to, " with a result of %s", size);
    }
    if (!f->error)
        return;
    if (strcmp(f->error->reason, futured_state_name(f->state)) != 0) {
        fputc(' ', out->to);
        put_error(out, f->error);
    } else if (*f->error->message) {
        fputs(": ", out->to);
        text_put_string(out->to, f->error->message);
    }
}

static void put_chunk(struct output *out, const struct futured_event *e)
{
    static const char *const streams[] = {"", "output", "stdout", "stderr", "log"};
    int stream = e->chunk->stream;

    fprintf(out->to, "attempt %u %s: ", e->chunk->attempt,
            stream > 0 && stream < (int)ARRAY_LEN(streams) ? streams[stream]
            : e->kind == FUTURED_EVENT_LOG                 ? "log"
                                                           : "output");
    text_put(out->to, (struct span){e->chunk->data.data, e->chunk->data.size}, 0);
}

static void event(struct output *out, const struct futured_event *e)
{
    char time[TEXT_TIME_BYTES];

    if (e->time_ns != FUTURED_NO_TIME) {
        text_time(e->time_ns, time);
        fprintf(out->to, "%s  ", time);
    }
    put_cell(out, e->id, 0);
    switch (e->kind) {
    case FUTURED_EVENT_SNAPSHOT:
    case FUTURED_EVENT_STATE: put_change(out, e->future); break;
    case FUTURED_EVENT_LABELS:
        fputs("labels", out->to);
        for (size_t i = 0; i < e->future->n_labels; i++) {
            fputc(' ', out->to);
            put_label(out, &e->future->labels[i]);
        }
        break;
    case FUTURED_EVENT_PROGRESS:
        fprintf(out->to, "progress %" PRIu64, e->progress->completed);
        if (e->progress->total)
            fprintf(out->to, " of %" PRIu64, e->progress->total);
        fputc(' ', out->to);
        text_put_string(out->to, e->progress->message);
        break;
    case FUTURED_EVENT_OUTPUT:
    case FUTURED_EVENT_LOG: put_chunk(out, e); break;
    case FUTURED_EVENT_LOST:
        fputs("events were lost", out->to);
        if (e->n_lost)
            fprintf(out->to, ": %" PRIu64, e->n_lost);
        break;
    default: fputs("an event that this futurectl does not know", out->to); break;
    }
    fputc('\n', out->to);
    fflush(out->to); /* one who watches wants to see it now */
}

/* --- the rest */

static void line(struct output *out, const struct futured_future *f)
{
    put_cell(out, f->id, 36);
    put_change(out, f);
    fputc('\n', out->to);
}

static void waited(struct output *out, const struct futured_waited *w)
{
    for (size_t i = 0; i < w->n_done; i++)
        line(out, w->done[i]);
    for (size_t i = 0; i < w->n_not_done; i++) {
        put_cell(out, w->not_done[i], 36);
        fputs("not done\n", out->to);
    }
    for (size_t i = 0; i < w->n_missing; i++) {
        put_cell(out, w->missing[i], 36);
        fputs("not found\n", out->to);
    }
}

static void fact(struct output *out, const char *key, const char *value, const char *text)
{
    fprintf(out->to, "%s\n", text);
}

const struct output_ops output_text_ops = {
        .begin = begin,
        .end = end,
        .future = future,
        .row = row,
        .line = line,
        .function = function,
        .worker = worker,
        .event = event,
        .waited = waited,
        .fact = fact,
};
