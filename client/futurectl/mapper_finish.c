// SPDX-License-Identifier: Apache-2.0
#include "base/mem.h"
#include "client/futurectl/joblog.h"
#include "client/futurectl/keep.h"
#include "client/futurectl/mapper.h"
#include "client/futurectl/text.h"

#include <string.h>
#include <unistd.h>

void mapper_finish_drop(struct mapper *m, struct job *job)
{
    mapper_submit_forget(m, job);
    futured_finished_free(job->finished);
    items_free(job->item);
    mem_free(job);
}

/* --- printing */

/* Each line with the item in front of it. */
static void put_tagged(FILE *to, struct span tag, struct span data)
{
    int is_terminal = isatty(fileno(to));

    while (data.len) {
        const uint8_t *end = memchr(data.p, '\n', data.len);
        size_t n = end ? (size_t)(end - data.p) + 1 : data.len;

        if (is_terminal)
            text_put(to, tag, 0);
        else
            fwrite(tag.p, 1, tag.len, to);
        fputc('\t', to);
        fwrite(data.p, 1, n, to);
        data = (struct span){data.p + n, data.len - n};
    }
}

/* A result, and a newline where it has none, so that the next one begins a line. */
static void put_result(struct mapper *m, const struct item *item, struct span data)
{
    FILE *to = m->ctl->out.to;

    if (data.len == 0)
        return;
    if (m->ctl->options.tags_items)
        put_tagged(to, item->text, data);
    else
        fwrite(data.p, 1, data.len, to);
    if (data.p[data.len - 1] != '\n')
        fputc('\n', to);
}

/* The whole of a future whose answer had no room for its result. */
static struct futured_future *get_whole(struct mapper *m, const struct futured_future *f)
{
    struct futured_future *whole = NULL;

    futured_client_set_timeout(m->ctl->client, 0);
    if (f->result && f->result->size && !f->result->data.size &&
        futured_get(m->ctl->client, f->id, FUTURED_VIEW_RESULT, &whole)) {
        ctl_fail(m->ctl);
        m->code = CTL_FAILED;
    }
    return whole;
}

static void keep(struct mapper *m, const struct job *job, struct span data, const struct futured_error *e)
{
    char error[600] = "";
    struct keep_entry entry = {.seq = job->item->seq, .item = job->item->text, .result = data};
    int r;

    if (e)
        snprintf(error, sizeof error, "%s%s%s\n", e->reason, *e->message ? ": " : "", e->message);
    entry.error = span_of_string(error);
    r = keep_put(m->ctl->options.results, &entry);
    if (r == 0)
        return;
    ctl_complain(m->ctl, "cannot write below %s: %s", m->ctl->options.results, strerror(-r));
    m->code = CTL_FAILED;
    mapper_stop(m, MAPPER_NOW);
}

static void print(struct mapper *m, struct job *job)
{
    const struct futured_future *f = job->finished ? job->finished->future : NULL;
    struct futured_future *whole;
    struct span data = {0};

    if (!f)
        return;
    mapper_show_hide(m);
    whole = get_whole(m, f);
    if (whole && whole->result)
        data = (struct span){whole->result->data.data, whole->result->data.size};
    else if (f->result)
        data = (struct span){f->result->data.data, f->result->data.size};
    if (m->ctl->options.results)
        keep(m, job, data, f->error);
    if (m->ctl->options.format != OUTPUT_TEXT)
        output_future(&m->ctl->out, f);
    else
        put_result(m, job->item, data);
    futured_future_free(whole);
    if (ferror(m->ctl->out.to))
        mapper_stop(m, MAPPER_NOW); /* what has gone wrong is said at the end */
}

/* --- in their order */

static size_t result_bytes(const struct job *job)
{
    const struct futured_future *f = job->finished ? job->finished->future : NULL;

    return f ? f->wire.size : 0;
}

static void print_next(struct mapper *m)
{
    struct job **at = &m->ring[m->next_out++ % m->n_window];

    if (!*at)
        return;
    m->bytes_held -= result_bytes(*at);
    print(m, *at);
    mapper_finish_drop(m, *at);
    *at = NULL;
}

static void deliver(struct mapper *m, struct job *job)
{
    if (!m->ring) {
        print(m, job);
        mapper_finish_drop(m, job);
        return;
    }
    m->bytes_held += result_bytes(job);
    m->ring[job->item->seq % m->n_window] = job;
    while (m->ring[m->next_out % m->n_window])
        print_next(m);
}

void mapper_finish_all(struct mapper *m)
{
    while (m->ring && m->next_out <= m->items.n)
        print_next(m); /* over what never came */
}

/* --- how it went */

static int is_fatal(const struct futured_status *s)
{
    return strcmp(s->reason, "NO_SUCH_FUNCTION") == 0 || s->code == FUTURED_PERMISSION_DENIED ||
           s->code == FUTURED_UNAUTHENTICATED || s->code == FUTURED_UNIMPLEMENTED;
}

/* It joined a future of the group that had been cancelled before this run, and nobody else has run it. */
static int is_left_over(const struct mapper *m, const struct job *job, const struct futured_future *f)
{
    return m->stop == MAPPER_GOES && !job->is_second && f->state == FUTURED_STATE_CANCELLED && m->newest[0] &&
           strcmp(f->id, m->newest) <= 0;
}

/* Whether @job, which is not done, goes back to be sent again; else it is over. */
static int goes_again(struct mapper *m, struct job *job, struct futured_finished *finished)
{
    const struct futured_status *s = finished->status;
    int is_full = s->code == FUTURED_RESOURCE_EXHAUSTED && s->retry_delay_ns >= 0;

    if (finished->code == FUTURED_OK) {
        if (!is_left_over(m, job, finished->future))
            return 0;
        job->is_second = 1;
        job->request_id[0] = '\0'; /* it is another future now */
        mapper_submit_again(m, job, 0);
    } else if (s->code == FUTURED_UNAVAILABLE || is_full) {
        if (*finished->request_id)
            snprintf(job->request_id, sizeof job->request_id, "%s", finished->request_id);
        if (!is_full)
            mapper_away(m, s);
        mapper_submit_again(m, job, MAX(s->retry_delay_ns, INT64_C(0)));
    } else {
        return 0;
    }
    futured_finished_free(finished);
    return 1;
}

static void say_failed(struct mapper *m, const struct job *job, const char *id, const char *state,
                       const char *reason, const char *message)
{
    char item[MAPPER_ITEM_BYTES + 4];

    mapper_show_hide(m);
    mapper_show_item(job->item, item);
    ctl_complain(m->ctl, "%s: %s%s%s%s%s%s%s", item, id, *id ? " " : "", state, *state && *reason ? ", " : "",
                 reason, *message && (*state || *reason) ? ": " : "", message);
}

static void say_refused(struct mapper *m, const struct job *job)
{
    const struct futured_status *s = job->finished->status;

    if (is_fatal(s)) { /* once, and all ends */
        if (m->code == CTL_OK) {
            mapper_show_hide(m);
            ctl_complain(m->ctl, "%s", s->message);
            if (strcmp(s->reason, "NO_SUCH_FUNCTION") == 0)
                ctl_complain(m->ctl, "`futurectl functions` lists what there is");
        }
        m->code = ctl_exit_of(s);
        mapper_stop(m, MAPPER_SOON);
        return;
    }
    say_failed(m, job, "", "", "", *s->message ? s->message : futured_code_name(s->code));
}

static void note_joblog(struct mapper *m, const struct job *job, size_t n_sent)
{
    const struct joblog_entry entry = {
            .seq = job->item->seq,
            .future = job->finished ? job->finished->future : NULL,
            .n_sent = n_sent,
            .function = m->function,
            .item = job->item->text,
            .now = clock_wall(),
    };

    if (m->joblog)
        joblog_put(m->joblog, &entry);
}

static void note_halt(struct mapper *m)
{
    const struct halt *halt = &m->ctl->options.halt;

    if (m->stop != MAPPER_GOES || !halt_is_due(halt, m->n_succeeded, m->counts.n_failed))
        return;
    m->is_halted_well = halt->on_success;
    mapper_stop(m, halt->when == HALT_NOW ? MAPPER_NOW : MAPPER_SOON);
}

static void note_outcome(struct mapper *m, const struct job *job, const char *why)
{
    const struct futured_future *f = job->finished ? job->finished->future : NULL;
    const struct futured_error *e = f ? f->error : NULL;

    m->counts.n_done++;
    if (f && f->state == FUTURED_STATE_SUCCEEDED) {
        m->n_succeeded++;
        return;
    }
    if (f && f->state == FUTURED_STATE_CANCELLED) {
        m->counts.n_cancelled++;
        if (m->stop != MAPPER_NOW) /* which is why */
            say_failed(m, job, f->id, "CANCELLED", "", e ? e->message : "");
        return;
    }
    m->counts.n_failed++;
    m->n_failed_there += f != NULL;
    if (f)
        say_failed(m, job, f->id, futured_state_name(f->state), e ? e->reason : "", e ? e->message : "");
    else if (job->finished)
        say_refused(m, job);
    else
        say_failed(m, job, "", "", "", why ? why : "out of memory");
}

void mapper_finish(struct mapper *m, struct job *job, struct futured_finished *finished, char *why)
{
    size_t n_sent = job->n_bytes;

    if (finished) {
        m->bytes_in_flight -= n_sent;
        mapper_submit_forget(m, job);
        if (finished->code == FUTURED_OK)
            mapper_back(m);
        if (goes_again(m, job, finished))
            return;
    }
    job->finished = finished;
    if (finished || why || !m->ctl->options.is_dry_run) {
        note_outcome(m, job, why);
        note_joblog(m, job, n_sent);
        note_halt(m);
    } else {
        m->counts.n_done++;
    }
    mem_free(why);
    deliver(m, job);
}
