// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/mapper.h"

#include <stdio.h>

#define CANCEL_EVERY_NS (NS_PER_S / 2)

/* --- stopping */

void mapper_stop(struct mapper *m, enum mapper_stop how)
{
    if (how > m->stop)
        m->stop = how;
    m->wants_input = 0;
}

/* What the group has of this function, and what is still on its way to the daemon, by asking again. */
static void cancel(struct mapper *m)
{
    struct futured_many_options options = FUTURED_MANY_OPTIONS_INIT;
    char filter[2048];
    const struct futured_selector selector = {.filter = filter};
    struct futured_changed *changed = NULL, *next;

    snprintf(filter, sizeof filter, "group = %s AND function = %s AND (state = PENDING OR state = RUNNING)",
             m->group_quoted, m->function);
    options.reason = "futurectl map was stopped";
    futured_client_set_timeout(m->ctl->client, 10 * NS_PER_S);
    do {
        options.page_token = changed ? changed->next_page_token : NULL;
        if (futured_cancel_many(m->ctl->client, &selector, &options, &next)) {
            mapper_show_hide(m);
            ctl_fail(m->ctl);
            mapper_stop(m, MAPPER_LEAVES);
            break;
        }
        futured_changed_free(changed);
        changed = next;
    } while (*changed->next_page_token);
    futured_changed_free(changed);
    m->cancel_due = clock_add(clock_mono(), CANCEL_EVERY_NS);
}

void mapper_away(struct mapper *m, const struct futured_status *status)
{
    mono_ns_t now = clock_mono();

    if (m->away_since == CLOCK_NEVER) {
        m->away_since = now;
        mapper_show_hide(m);
        ctl_complain(m->ctl, "%s; trying again",
                     *status->message ? status->message : futured_code_name(status->code));
    }
    if (now - m->away_since > MAPPER_AWAY_NS) {
        m->code = CTL_UNREACHABLE;
        mapper_stop(m, MAPPER_LEAVES);
    }
    m->pause_until = clock_add(now, MIN(MAX((now - m->away_since) / 4, 100 * NS_PER_MS), 2 * NS_PER_S));
}

void mapper_back(struct mapper *m)
{
    if (m->away_since == CLOCK_NEVER)
        return;
    m->away_since = CLOCK_NEVER;
    mapper_show_hide(m);
    ctl_complain(m->ctl, "%s answers again", futured_client_address(m->ctl->client));
}

/* --- the loop */

static size_t in_flight(const struct mapper *m)
{
    return m->pipeline ? futured_pipeline_in_flight(m->pipeline) : 0;
}

/* What has come. */
static void take(struct mapper *m)
{
    struct futured_finished *finished = NULL;

    while (in_flight(m)) {
        futured_client_set_timeout(m->ctl->client, 1); /* no time: mapper_wait waits */
        if (futured_pipeline_take(m->pipeline, &finished))
            return;
        mapper_finish(m, finished->user, finished, NULL);
    }
}

static int is_over(const struct mapper *m)
{
    if (m->stop == MAPPER_LEAVES)
        return 1;
    return in_flight(m) == 0 && (m->stop != MAPPER_GOES || (m->is_input_over && !m->again));
}

static void look_around(struct mapper *m)
{
    if (mapper_wait_is_interrupted() && m->code != CTL_INTERRUPTED) {
        m->code = CTL_INTERRUPTED;
        mapper_show_hide(m);
        ctl_complain(m->ctl, "interrupted: what is in flight (%zu) is cancelled; once more leaves at once",
                     in_flight(m));
        mapper_stop(m, MAPPER_NOW);
    }
    if (clock_mono() >= m->until && m->stop < MAPPER_LEAVES) {
        m->code = CTL_TIMED_OUT;
        mapper_stop(m, MAPPER_LEAVES);
    }
    if (m->stop == MAPPER_NOW && in_flight(m) && clock_mono() >= m->cancel_due)
        cancel(m);
}

int mapper_run(struct mapper *m)
{
    for (;;) {
        mapper_submit(m);
        take(m);
        look_around(m);
        if (is_over(m))
            break;
        mapper_show(m);
        fflush(m->ctl->out.to);
        mapper_wait(m);
    }
    mapper_finish_all(m);
    mapper_show_end(m);
    if (m->code != CTL_OK)
        return m->code;
    if (m->is_halted_well)
        return CTL_OK;
    if (m->counts.n_failed)
        return CTL_FAILED;
    return m->counts.n_cancelled ? CTL_CANCELLED : CTL_OK;
}
