// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/cmd_wait.h"

#include "base/clock.h"
#include "base/err.h"
#include "client/futurectl/ctl.h"
#include "client/futurectl/select.h"

/* How much longer than the wait itself its answer may take. */
#define ANSWER_NS (10 * NS_PER_S)

/* --- wait */

static int wait_options(struct ctl *ctl, struct futured_wait_options *to)
{
    const struct options *o = &ctl->options;

    if (o->is_any + o->is_first_exception + (o->count > 0) > 1) {
        ctl_complain(ctl, "--any, --first-exception and --count exclude each other");
        return CTL_USAGE;
    }
    if (o->is_any)
        to->return_when = FUTURED_FIRST_COMPLETED;
    if (o->is_first_exception)
        to->return_when = FUTURED_FIRST_EXCEPTION;
    if (o->count) {
        to->return_when = FUTURED_COUNT;
        to->count = o->count;
    }
    to->expect = o->expect;
    to->view = o->view;
    if (o->timeout.is_set) {
        to->timeout_ns = o->timeout.ns;
        futured_client_set_timeout(ctl->client, clock_add(o->timeout.ns, ANSWER_NS));
    }
    return CTL_OK;
}

/* The worst of what was waited for. */
static int exit_of_waited(const struct futured_waited *w)
{
    if (w->timed_out)
        return CTL_TIMED_OUT;
    if (w->n_missing)
        return CTL_NOT_FOUND;
    if (w->failed)
        return CTL_FAILED;
    return w->cancelled ? CTL_CANCELLED : CTL_OK;
}

static int wait_for(struct ctl *ctl, const struct futured_selector *selector)
{
    struct futured_wait_options wait = FUTURED_WAIT_OPTIONS_INIT;
    struct futured_waited *waited;
    int code = wait_options(ctl, &wait);

    if (code != CTL_OK)
        return code;
    if (futured_wait(ctl->client, selector, &wait, &waited))
        return ctl_fail(ctl);
    output_waited(&ctl->out, waited);
    code = exit_of_waited(waited);
    futured_waited_free(waited);
    return code;
}

int cmd_wait(struct ctl *ctl)
{
    struct selection s;
    int code = select_init(ctl, NULL, &s);

    if (code == CTL_OK)
        code = wait_for(ctl, &s.selector);
    select_deinit(&s);
    return code;
}

/* --- as-completed */

/* How bad an exit status is: of several futures the worst one counts. */
static int worse(int a, int b)
{
    static const int order[] = {CTL_OK, CTL_CANCELLED, CTL_FAILED, CTL_NOT_FOUND};
    size_t at_a = 0, at_b = 0;

    for (size_t i = 0; i < ARRAY_LEN(order); i++) {
        at_a = order[i] == a ? i : at_a;
        at_b = order[i] == b ? i : at_b;
    }
    return at_a > at_b ? a : b;
}

static int show_completion(struct ctl *ctl, const struct futured_completion *c)
{
    char text[80];

    if (!c->future) {
        snprintf(text, sizeof text, "%s  not found", c->missing);
        output_fact(&ctl->out, "missing", c->missing, text);
        return CTL_NOT_FOUND;
    }
    output_line(&ctl->out, c->future);
    return c->future->state == FUTURED_STATE_FAILED      ? CTL_FAILED
           : c->future->state == FUTURED_STATE_CANCELLED ? CTL_CANCELLED
                                                         : CTL_OK;
}

static int show_completions(struct ctl *ctl, struct futured_completions *completions)
{
    mono_ns_t until = ctl_until(ctl);
    struct futured_completion *c;
    int code = CTL_OK;

    for (;;) {
        ctl_limit_call(ctl, until);
        if (futured_completions_next(completions, &c))
            return ctl_fail(ctl);
        if (!c)
            return code;
        code = worse(code, show_completion(ctl, c));
        futured_completion_free(c);
    }
}

int cmd_wait_as_completed(struct ctl *ctl)
{
    enum futured_view view = ctl->options.view ? ctl->options.view : FUTURED_VIEW_BASIC;
    struct futured_completions *completions;
    struct selection s;
    int code = select_init(ctl, NULL, &s);

    if (code == CTL_OK && futured_as_completed(ctl->client, s.ids, s.selector.n_ids, view, &completions))
        code = ctl_fail(ctl);
    else if (code == CTL_OK) {
        output_begin(&ctl->out, OUTPUT_LINES);
        code = show_completions(ctl, completions);
        output_end(&ctl->out);
        futured_completions_free(completions);
    }
    select_deinit(&s);
    return code;
}

/* --- result */

static int show_result(struct ctl *ctl, const char *id)
{
    struct futured_future *future;
    int code;

    if (futured_get(ctl->client, id, FUTURED_VIEW_FULL, &future))
        return ctl_fail(ctl);
    code = ctl_outcome(ctl, future);
    if (ctl->options.format != OUTPUT_TEXT)
        output_future(&ctl->out, future);
    else if (code == CTL_OK && future->result)
        code = ctl_write_result(ctl, future->result->data);
    futured_future_free(future);
    return code;
}

/* Wait, then Get, which says what holds: it is done, it is not, or it is unknown. */
int cmd_wait_result(struct ctl *ctl)
{
    struct futured_wait_options wait = FUTURED_WAIT_OPTIONS_INIT;
    struct futured_waited *waited;
    struct selection s;
    int code = select_init(ctl, NULL, &s);

    if (code == CTL_OK)
        code = wait_options(ctl, &wait);
    if (code == CTL_OK && futured_wait(ctl->client, &s.selector, &wait, &waited))
        code = ctl_fail(ctl);
    else if (code == CTL_OK) {
        futured_waited_free(waited);
        code = show_result(ctl, s.ids[0]);
    }
    select_deinit(&s);
    return code;
}

/* --- watch */

static int show_events(struct ctl *ctl, struct futured_watch *watch)
{
    mono_ns_t until = ctl_until(ctl);
    struct futured_event *event;

    for (;;) {
        ctl_limit_call(ctl, until);
        if (futured_watch_next(watch, &event))
            return ctl_fail(ctl);
        if (!event)
            return CTL_OK;
        output_event(&ctl->out, event);
        futured_event_free(event);
    }
}

int cmd_wait_watch(struct ctl *ctl)
{
    struct futured_watch *watch;
    struct selection s;
    int code = select_init(ctl, NULL, &s);

    if (code == CTL_OK && futured_watch_open(ctl->client, &s.selector, ctl->options.view, &watch))
        code = ctl_fail(ctl);
    else if (code == CTL_OK) {
        output_begin(&ctl->out, OUTPUT_LINES);
        code = show_events(ctl, watch);
        output_end(&ctl->out);
        futured_watch_free(watch);
    }
    select_deinit(&s);
    return code;
}
