// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/cmd_wait.h"

#include "base/clock.h"
#include "base/err.h"
#include "client/futurectl/ctl.h"
#include "client/futurectl/duration.h"

#include <poll.h>

/* How much longer than the wait itself its answer may take. */
#define ANSWER_NS (10 * NS_PER_S)

enum { PING_PAUSE_MIN_MS = 5, PING_PAUSE_MAX_MS = 200 };

/* Both IDs and a group, or neither. */
static int check_selection(struct ctl *ctl)
{
    const struct options *o = &ctl->options;

    if (o->n_arguments && o->group) {
        ctl_complain(ctl, "both IDs and --group: give one of them");
        return CTL_USAGE;
    }
    if (!o->n_arguments && !o->group) {
        ctl_complain(ctl, "%s needs IDs or --group", o->command->name);
        return CTL_USAGE;
    }
    return CTL_OK;
}

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

int cmd_wait(struct ctl *ctl)
{
    const struct futured_selector selector = ctl_selector(ctl, NULL);
    struct futured_wait_options wait = FUTURED_WAIT_OPTIONS_INIT;
    struct futured_waited *waited;
    int code = check_selection(ctl);

    if (code == CTL_OK)
        code = wait_options(ctl, &wait);
    if (code != CTL_OK)
        return code;
    if (futured_wait(ctl->client, &selector, &wait, &waited))
        return ctl_fail(ctl);
    output_waited(&ctl->out, waited);
    code = exit_of_waited(waited);
    futured_waited_free(waited);
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

int cmd_wait_result(struct ctl *ctl)
{
    const struct futured_selector selector = ctl_selector(ctl, NULL);
    struct futured_wait_options wait = FUTURED_WAIT_OPTIONS_INIT;
    struct futured_waited *waited;
    int code = wait_options(ctl, &wait);

    if (code != CTL_OK)
        return code;
    if (futured_wait(ctl->client, &selector, &wait, &waited))
        return ctl_fail(ctl);
    futured_waited_free(waited); /* Get says what holds: it is done, it is not, or it is unknown */
    return show_result(ctl, ctl->options.arguments[0]);
}

/* --- watch */

int cmd_wait_watch(struct ctl *ctl)
{
    const struct futured_selector selector = ctl_selector(ctl, NULL);
    struct futured_watch *watch;
    struct futured_event *event;
    int code = check_selection(ctl), is_end = 0;

    if (code != CTL_OK)
        return code;
    if (futured_watch_open(ctl->client, &selector, ctl->options.view, &watch))
        return ctl_fail(ctl);
    output_begin(&ctl->out, OUTPUT_LINES);
    while (!is_end) {
        if (futured_watch_next(watch, &event)) {
            code = ctl_fail(ctl);
            break;
        }
        is_end = event == NULL;
        if (event)
            output_event(&ctl->out, event);
        futured_event_free(event);
    }
    output_end(&ctl->out);
    futured_watch_free(watch);
    return code;
}

/* --- ping */

/* Nothing tells when a daemon begins to listen, so it is asked again and again, at growing intervals. */
static int ping_until(struct ctl *ctl, mono_ns_t until)
{
    int pause_ms = PING_PAUSE_MIN_MS;

    for (;;) {
        mono_ns_t left = until - clock_mono();

        if (left > 0)
            futured_client_set_timeout(ctl->client, left);
        if (futured_ping(ctl->client) == FUTURED_OK)
            return CTL_OK;
        left = until - clock_mono();
        if (left <= 0 || futured_client_status(ctl->client)->code != FUTURED_UNAVAILABLE)
            return ctl_fail(ctl);
        poll(NULL, 0, (int)MIN((int64_t)pause_ms, left / NS_PER_MS + 1));
        pause_ms = MIN(pause_ms * 2, (int)PING_PAUSE_MAX_MS);
    }
}

int cmd_wait_ping(struct ctl *ctl)
{
    const struct options *o = &ctl->options;
    const char *address = futured_client_address(ctl->client);
    mono_ns_t start = clock_mono();
    char took[DURATION_TEXT_BYTES], text[600];
    int code;

    if (o->wait.is_set)
        code = ping_until(ctl, clock_add(start, o->wait.ns));
    else
        code = futured_ping(ctl->client) == FUTURED_OK ? CTL_OK : ctl_fail(ctl);
    if (code != CTL_OK)
        return code;
    duration_format(clock_mono() - start, took);
    snprintf(text, sizeof text, "%s is serving (%s)", address, took);
    output_fact(&ctl->out, "serving", address, text);
    return CTL_OK;
}
