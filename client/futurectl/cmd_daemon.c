// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/cmd_daemon.h"

#include "base/clock.h"
#include "base/err.h"
#include "client/futurectl/ctl.h"
#include "client/futurectl/duration.h"

#include <poll.h>

#define DRAIN_NS  (30 * NS_PER_S) /* the daemon's default */
#define ANSWER_NS (5 * NS_PER_S)

enum { PING_PAUSE_MIN_MS = 5, PING_PAUSE_MAX_MS = 200 };

int cmd_daemon_workers(struct ctl *ctl)
{
    const struct options *o = &ctl->options;
    struct futured_workers *page = NULL, *next;
    int code = CTL_OK;

    do {
        if (futured_list_workers(ctl->client, o->n_arguments ? o->arguments[0] : NULL,
                                 page ? page->next_page_token : NULL, &next)) {
            code = ctl_fail(ctl);
            break;
        }
        if (!page)
            output_begin(&ctl->out, OUTPUT_WORKERS);
        futured_workers_free(page);
        page = next;
        for (size_t i = 0; i < page->n_workers; i++)
            output_worker(&ctl->out, page->workers[i]);
    } while (*page->next_page_token);
    if (page)
        output_end(&ctl->out);
    futured_workers_free(page);
    return code;
}

int cmd_daemon_stats(struct ctl *ctl)
{
    const struct options *o = &ctl->options;
    struct futured_stats *stats;

    if (futured_get_stats(ctl->client, o->n_arguments ? o->arguments[0] : NULL, &stats))
        return ctl_fail(ctl);
    if (o->format == OUTPUT_TEXT)
        fputs(stats->openmetrics, ctl->out.to);
    else
        output_fact(&ctl->out, "openmetrics", stats->openmetrics, "");
    if (stats->is_omitted)
        ctl_complain(ctl, "there are more than one answer holds: name a PREFIX");
    futured_stats_free(stats);
    return CTL_OK;
}

int cmd_daemon_reload(struct ctl *ctl)
{
    struct futured_reloaded *reloaded;

    if (futured_reload(ctl->client, ctl->options.is_dry_run, &reloaded))
        return ctl_fail(ctl);
    output_reloaded(&ctl->out, reloaded);
    futured_reloaded_free(reloaded);
    return CTL_OK;
}

/* --- drain */

/* What runs still, for people: the newest of it. */
static int show_running(struct ctl *ctl)
{
    struct futured_list_options list = FUTURED_LIST_OPTIONS_INIT;
    struct futured_selector selector = {.filter = "state = RUNNING"};
    struct futured_page *page;

    if (ctl->options.format != OUTPUT_TEXT)
        return CTL_TIMED_OUT;
    if (futured_list(ctl->client, &selector, &list, &page))
        return ctl_fail(ctl);
    output_begin(&ctl->out, OUTPUT_FUTURES);
    for (size_t i = 0; i < page->n_futures; i++)
        output_row(&ctl->out, page->futures[i]);
    output_end(&ctl->out);
    futured_page_free(page);
    return CTL_TIMED_OUT;
}

static int undo(struct ctl *ctl)
{
    if (futured_resume(ctl->client, ctl->options.reason))
        return ctl_fail(ctl);
    output_fact(&ctl->out, "drain", "undone", "accepting and starting tasks");
    return CTL_OK;
}

int cmd_daemon_drain(struct ctl *ctl)
{
    struct futured_drain_options drain = FUTURED_DRAIN_OPTIONS_INIT;
    const struct options *o = &ctl->options;
    int is_any = o->is_stop_accept || o->is_stop_dispatch || o->is_exit, code = CTL_OK;
    struct futured_drained *drained;

    if (o->is_undo && is_any) {
        ctl_complain(ctl, "--undo excludes --stop-accept, --stop-dispatch and --exit");
        return CTL_USAGE;
    }
    if (o->is_undo)
        return undo(ctl);
    drain.stop_accept = o->is_stop_accept || !is_any;
    drain.stop_dispatch = o->is_stop_dispatch || !is_any;
    drain.exit = o->is_exit;
    drain.reason = o->reason;
    if (o->timeout.is_set)
        drain.timeout_ns = o->timeout.ns;
    futured_client_set_timeout(ctl->client,
                               clock_add(o->timeout.is_set ? o->timeout.ns : DRAIN_NS, ANSWER_NS));
    if (futured_drain(ctl->client, &drain, &drained))
        return ctl_fail(ctl);
    output_drained(&ctl->out, drained);
    if (drained->stop_dispatch && drained->running)
        code = show_running(ctl);
    futured_drained_free(drained);
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

int cmd_daemon_ping(struct ctl *ctl)
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
