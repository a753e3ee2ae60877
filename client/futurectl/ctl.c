// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/ctl.h"

#include "client/futurectl/duration.h"
#include "client/futurectl/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
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

mono_ns_t ctl_until(const struct ctl *ctl)
{
    const struct option_span *timeout = &ctl->options.timeout;

    return timeout->is_set ? clock_add(clock_mono(), timeout->ns) : CLOCK_NEVER;
}

void ctl_limit_call(struct ctl *ctl, mono_ns_t until)
{
    if (until != CLOCK_NEVER) /* zero would be no timeout */
        futured_client_set_timeout(ctl->client, MAX(until - clock_mono(), INT64_C(1)));
}

/* One sentence: `ID waits (PAUSED): the function is paused by alice`. A time that only the answer has stands in front, what it
 * depends on behind. */
static void say_waiting(struct ctl *ctl, const struct futured_explanation *x)
{
    int is_time = x->next_start_time_ns != FUTURED_NO_TIME,
        is_only_time = is_time && x->pending_reason != FUTURED_PENDING_LIMITED,
        is_named = x->pending_reason == FUTURED_PENDING_BLOCKED && x->n_waits_for;
    char time[TEXT_TIME_BYTES] = "";

    if (is_time)
        text_time(x->next_start_time_ns, time);
    ctl_complain(ctl, "%s waits (%s)%s%s%s%s%s%s%s", x->id, futured_pending_reason_name(x->pending_reason),
                 is_time ? " until " : "", time, is_only_time ? "" : ": ", is_only_time ? "" : x->text,
                 is_named ? ": " : "", is_named ? x->waits_for[0] : "",
                 is_named && x->n_waits_for > 1 ? ", ..." : "");
}

/* Asked of the daemon also where the answer to the submission knew no reason yet: a limit shows when its turn comes. */
void ctl_say_waiting(struct ctl *ctl, const struct futured_future *future)
{
    struct futured_explanation *x;

    if (future->state != FUTURED_STATE_PENDING ||
        futured_explain(ctl->client, future->id, &x)) /* it is gone, or nobody answers: the next call tells */
        return;
    if (x->state == FUTURED_STATE_PENDING && x->pending_reason != FUTURED_PENDING_READY &&
        x->pending_reason != FUTURED_PENDING_UNSPECIFIED)
        say_waiting(ctl, x);
    futured_explanation_free(x);
}

static const char *or_environment(const char *value, const char *variable)
{
    if (!value)
        value = secure_getenv(variable);
    return value && *value ? value : NULL;
}

/* The first line of @path. 0; -1: complained about. */
static int read_token(struct ctl *ctl, const char *path, char *to, size_t size)
{
    FILE *f = fopen(path, "re");
    int has_line = f && fgets(to, (int)size, f);

    if (!has_line)
        ctl_complain(ctl, "the token in %s cannot be read: %s", path,
                     f && !ferror(f) ? "the file is empty" : strerror(errno));
    if (f)
        fclose(f);
    if (has_line)
        to[strcspn(to, " \t\r\n")] = '\0';
    return has_line ? 0 : -1;
}

int ctl_show_who(struct ctl *ctl, struct futured_client *client)
{
    const struct options *o = &ctl->options;
    const char *path = or_environment(o->token_file, "FUTURED_TOKEN_FILE");
    char token[2048];
    int code = futured_client_set_tls(client, or_environment(o->tls_ca, "FUTURED_TLS_CA"),
                                      or_environment(o->tls_cert, "FUTURED_TLS_CERT"),
                                      or_environment(o->tls_key, "FUTURED_TLS_KEY"));

    if (path && read_token(ctl, path, token, sizeof token) < 0)
        return -1;
    if (code == FUTURED_OK && path)
        code = futured_client_set_token(client, token);
    if (code != FUTURED_OK)
        ctl_complain(ctl, "%s", futured_client_status(client)->message);
    return code == FUTURED_OK ? 0 : -1;
}
