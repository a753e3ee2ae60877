// SPDX-License-Identifier: Apache-2.0
/*
 * logs: the bytes of output and log as they are, or their events as JSON. The first event of the watch is a snapshot, which
 * says how much there is: without --follow that much is printed.
 */
#include "client/futurectl/cmd_logs.h"

#include "client/futurectl/ctl.h"
#include "client/futurectl/select.h"

#include <errno.h>
#include <string.h>

/* How far a future has come: what the snapshot says, and what was seen. */
struct place {
    uint64_t output, log;
};

static int has_all(const struct place *there, const struct place *seen)
{
    return seen->output >= there->output && seen->log >= there->log;
}

/* What is not asked for counts as seen. */
static struct place place_of(const struct futured_future *f, unsigned int kinds)
{
    return (struct place){
            .output = kinds & FUTURED_WATCH_KIND(FUTURED_EVENT_OUTPUT) ? f->output_size : 0,
            .log = kinds & FUTURED_WATCH_KIND(FUTURED_EVENT_LOG) ? f->log_size : 0,
    };
}

static int show(struct ctl *ctl, const struct futured_event *event)
{
    const struct futured_chunk *c = event->chunk;

    if (ctl->options.attempt && c->attempt != ctl->options.attempt)
        return CTL_OK;
    if (ctl->options.format != OUTPUT_TEXT) {
        output_event(&ctl->out, event);
        return CTL_OK;
    }
    if (fwrite(c->data.data, 1, c->data.size, ctl->out.to) == c->data.size && fflush(ctl->out.to) == 0)
        return CTL_OK;
    ctl_complain(ctl, "cannot write the output: %s", strerror(errno));
    return CTL_FAILED;
}

static int show_all(struct ctl *ctl, struct futured_watch *watch, unsigned int kinds)
{
    struct place there = {UINT64_MAX, UINT64_MAX}, seen = {0, 0};
    mono_ns_t until = ctl_until(ctl);
    int code = CTL_OK;

    while (code == CTL_OK && (ctl->options.is_following || !has_all(&there, &seen))) {
        struct futured_event *event;

        ctl_limit_call(ctl, until);
        if (futured_watch_next(watch, &event))
            return ctl_fail(ctl);
        if (!event)
            return CTL_OK;
        if (event->kind == FUTURED_EVENT_SNAPSHOT)
            there = place_of(event->future, kinds);
        if (event->kind == FUTURED_EVENT_OUTPUT)
            seen.output = event->chunk->offset + event->chunk->data.size;
        if (event->kind == FUTURED_EVENT_LOG)
            seen.log = event->chunk->offset + event->chunk->data.size;
        if (event->chunk)
            code = show(ctl, event);
        futured_event_free(event);
    }
    return code;
}

static unsigned int kinds_of(enum option_stream stream)
{
    static const unsigned int kinds[] = {
            [STREAM_UNSAID] = FUTURED_WATCH_KIND(FUTURED_EVENT_LOG),
            [STREAM_OUTPUT] = FUTURED_WATCH_KIND(FUTURED_EVENT_OUTPUT),
            [STREAM_LOG] = FUTURED_WATCH_KIND(FUTURED_EVENT_LOG),
            [STREAM_ALL] = FUTURED_WATCH_KIND(FUTURED_EVENT_OUTPUT) | FUTURED_WATCH_KIND(FUTURED_EVENT_LOG),
    };

    return kinds[stream];
}

int cmd_logs(struct ctl *ctl)
{
    struct futured_watch_options options = FUTURED_WATCH_OPTIONS_INIT;
    struct futured_watch *watch;
    struct selection s;
    int code = select_init(ctl, NULL, &s);

    options.kinds = kinds_of(ctl->options.stream);
    options.view = FUTURED_VIEW_BASIC;
    if (code == CTL_OK && futured_watch_open_with(ctl->client, &s.selector, &options, &watch))
        code = ctl_fail(ctl);
    else if (code == CTL_OK) {
        output_begin(&ctl->out, OUTPUT_LINES);
        code = show_all(ctl, watch, options.kinds);
        output_end(&ctl->out);
        futured_watch_free(watch);
    }
    select_deinit(&s);
    return code;
}
