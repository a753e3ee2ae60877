// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/cmd_change.h"

#include "base/err.h"
#include "client/futurectl/ctl.h"

int cmd_change_cancel(struct ctl *ctl)
{
    const struct options *o = &ctl->options;
    int code = CTL_OK, is_list = o->n_arguments > 1;

    if (is_list)
        output_begin(&ctl->out, OUTPUT_LINES);
    for (int i = 0; i < o->n_arguments; i++) {
        struct futured_future *future;

        if (futured_cancel(ctl->client, o->arguments[i], o->reason, o->grace.is_set ? o->grace.ns : -1,
                           &future)) {
            code = ctl_fail(ctl);
            continue;
        }
        output_line(&ctl->out, future);
        futured_future_free(future);
    }
    if (is_list)
        output_end(&ctl->out);
    return code;
}

int cmd_change_delete(struct ctl *ctl)
{
    const struct options *o = &ctl->options;
    int code = CTL_OK, is_list = o->n_arguments > 1;
    char text[80];

    if (is_list)
        output_begin(&ctl->out, OUTPUT_LINES);
    for (int i = 0; i < o->n_arguments; i++) {
        if (futured_delete(ctl->client, o->arguments[i])) {
            code = ctl_fail(ctl);
            continue;
        }
        snprintf(text, sizeof text, "%s deleted", o->arguments[i]);
        output_fact(&ctl->out, "deleted", o->arguments[i], text);
    }
    if (is_list)
        output_end(&ctl->out);
    return code;
}

int cmd_change_annotate(struct ctl *ctl)
{
    const struct options *o = &ctl->options;
    struct option_label pairs[OPTIONS_LABELS_MAX];
    struct futured_label labels[OPTIONS_LABELS_MAX];
    struct futured_future *future;
    size_t n = (size_t)o->n_arguments - 1;

    if (n + o->n_remove == 0 || n > ARRAY_LEN(labels)) {
        ctl_complain(ctl, "annotate needs KEY=VALUE or --remove KEY, and at most %d of them",
                     OPTIONS_LABELS_MAX);
        return CTL_USAGE;
    }
    for (size_t i = 0; i < n; i++) {
        if (options_parse_label(o->arguments[i + 1], &pairs[i])) {
            ctl_complain(ctl, "a label is KEY=VALUE with a key of 1 to 63 characters, not `%s`",
                         o->arguments[i + 1]);
            return CTL_USAGE;
        }
        labels[i] = (struct futured_label){.key = pairs[i].key, .value = pairs[i].value};
    }
    if (futured_annotate(ctl->client, o->arguments[0], labels, n, o->remove, o->n_remove, NULL, &future))
        return ctl_fail(ctl);
    output_future(&ctl->out, future);
    futured_future_free(future);
    return CTL_OK;
}
