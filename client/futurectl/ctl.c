// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/ctl.h"

#include "client/futurectl/duration.h"
#include "client/futurectl/text.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

void ctl_complain(struct ctl *ctl, const char *format, ...)
{
    char text[2048];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fputs("futurectl: ", ctl->err);
    text_put_string(ctl->err, text);
    fputc('\n', ctl->err);
}

int ctl_exit_of(const struct futured_status *status)
{
    if (strcmp(status->reason, "NO_SUCH_FUNCTION") == 0)
        return CTL_NOT_FOUND;
    switch (status->code) {
    case FUTURED_OK: return CTL_OK;
    case FUTURED_INVALID_ARGUMENT: return CTL_USAGE;
    case FUTURED_NOT_FOUND: return CTL_NOT_FOUND;
    case FUTURED_UNAVAILABLE: return CTL_UNREACHABLE;
    case FUTURED_DEADLINE_EXCEEDED: return CTL_TIMED_OUT;
    default: return CTL_FAILED;
    }
}

/* What to do about it, where the message does not say; NULL: nothing. */
static const char *advice(const struct futured_status *status)
{
    if (strcmp(status->reason, "NO_SUCH_FUNCTION") == 0)
        return "`futurectl functions` lists what there is";
    if (strcmp(status->reason, "BAD_ADDRESS") == 0)
        return "give another with --address or FUTURED_ADDRESS";
    switch (status->code) {
    case FUTURED_DEADLINE_EXCEEDED: return "--timeout gives it more time";
    default: return NULL;
    }
}

int ctl_fail(struct ctl *ctl)
{
    const struct futured_status *status = futured_client_status(ctl->client);
    const char *what_to_do = advice(status);
    char span[DURATION_TEXT_BYTES];

    if (*status->message)
        ctl_complain(ctl, "%s", status->message);
    else
        ctl_complain(ctl, "the daemon answered %s", futured_code_name(status->code));
    for (size_t i = 0; i < status->n_violations; i++)
        if (!strstr(status->message, status->violations[i].field))
            ctl_complain(ctl, "%s: %s", status->violations[i].field, status->violations[i].description);
    if (status->retry_delay_ns >= 0) {
        duration_format(status->retry_delay_ns, span);
        ctl_complain(ctl, "try again in %s", span);
    }
    if (what_to_do)
        ctl_complain(ctl, "%s", what_to_do);
    if (*status->future_id)
        ctl_complain(ctl, "the task was accepted and goes on as %s; `futurectl result %s` waits for it",
                     status->future_id, status->future_id);
    return ctl_exit_of(status);
}

int ctl_outcome(struct ctl *ctl, const struct futured_future *future)
{
    const struct futured_error *e = future->error;
    const char *state = futured_state_name(future->state);

    switch (future->state) {
    case FUTURED_STATE_SUCCEEDED: return CTL_OK;
    case FUTURED_STATE_FAILED:
    case FUTURED_STATE_CANCELLED:
        ctl_complain(ctl, "%s %s%s%s%s%s; `futurectl get %s` shows the record", future->id, state,
                     e && strcmp(e->reason, state) != 0 ? ", " : "",
                     e && strcmp(e->reason, state) != 0 ? e->reason : "", e && *e->message ? ": " : "",
                     e ? e->message : "", future->id);
        return future->state == FUTURED_STATE_FAILED ? CTL_FAILED : CTL_CANCELLED;
    default:
        ctl_complain(ctl, "%s is still %s; `futurectl wait %s` waits for it", future->id, state, future->id);
        return CTL_TIMED_OUT;
    }
}

int ctl_write_result(struct ctl *ctl, struct futured_bytes data)
{
    const char *path = ctl->options.output;
    FILE *to = path ? fopen(path, "wbe") : ctl->out.to;
    int is_bad;

    if (!to) {
        ctl_complain(ctl, "cannot write %s: %s", path, strerror(errno));
        return CTL_FAILED;
    }
    is_bad = data.size && fwrite(data.data, 1, data.size, to) != data.size;
    if (!path && isatty(fileno(to)) && (data.size == 0 || data.data[data.size - 1] != '\n'))
        fputc('\n', to);
    if (path)
        is_bad |= fclose(to) == EOF;
    else
        is_bad |= fflush(to) == EOF;
    if (!is_bad)
        return CTL_OK;
    ctl_complain(ctl, "cannot write %s: %s", path ? path : "the result", strerror(errno));
    if (!path)
        clearerr(to); /* it has been told */
    return CTL_FAILED;
}

struct futured_selector ctl_selector(const struct ctl *ctl, const char *everything)
{
    const struct options *o = &ctl->options;

    return (struct futured_selector){
            .ids = o->n_arguments ? (const char *const *)o->arguments : NULL,
            .n_ids = (size_t)o->n_arguments,
            .group = o->group,
            .filter = o->n_arguments || o->group ? NULL : everything,
    };
}
