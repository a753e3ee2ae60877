// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/cmd_change.h"

#include "client/futurectl/select.h"

/* Call @change for the future that the first argument names, and show what it has become. */
static int change_one(struct ctl *ctl,
                      int (*change)(struct ctl *ctl, const char *id, struct futured_future **ret))
{
    struct futured_future *future;
    char text[ID_TEXT_LEN + 1];
    const char *id;
    int code = select_id(ctl, ctl->options.arguments[0], text, &id);

    if (code != CTL_OK)
        return code;
    if (change(ctl, id, &future))
        return ctl_fail(ctl);
    output_future(&ctl->out, future);
    futured_future_free(future);
    return CTL_OK;
}

/* --- annotate */

static int annotate(struct ctl *ctl, const char *id, struct futured_future **ret)
{
    const struct options *o = &ctl->options;
    struct futured_label labels[OPTIONS_LABELS_MAX];

    for (size_t i = 0; i < o->n_labels; i++)
        labels[i] = (struct futured_label){.key = o->labels[i].key, .value = o->labels[i].value};
    return futured_annotate(ctl->client, id, labels, o->n_labels, o->remove, o->n_remove, NULL, ret);
}

/* The words behind the ID are labels. */
int cmd_change_annotate(struct ctl *ctl)
{
    struct options *o = &ctl->options;
    int n = o->n_arguments - 1;

    if ((n == 0 && o->n_remove == 0) || n > OPTIONS_LABELS_MAX) {
        ctl_complain(ctl, "annotate needs KEY=VALUE or --remove KEY, and at most %d of them",
                     OPTIONS_LABELS_MAX);
        return CTL_USAGE;
    }
    for (; o->n_labels < (size_t)n; o->n_labels++) {
        const char *word = o->arguments[1 + o->n_labels];

        if (options_parse_label(word, &o->labels[o->n_labels])) {
            ctl_complain(ctl, "a label is KEY=VALUE with a key of 1 to 63 characters, not `%s`", word);
            return CTL_USAGE;
        }
    }
    return change_one(ctl, annotate);
}

/* --- reschedule */

static int reschedule(struct ctl *ctl, const char *id, struct futured_future **ret)
{
    struct futured_reschedule_options options = FUTURED_RESCHEDULE_OPTIONS_INIT;
    const struct options *o = &ctl->options;

    options.has_priority = o->priority.is_set;
    options.priority = (int32_t)o->priority.n;
    if (o->in.is_set)
        options.not_before_ns = clock_add(clock_wall(), o->in.ns);
    if (o->at.is_set)
        options.not_before_ns = o->at.t;
    if (o->deadline.is_set)
        options.deadline_ns = o->deadline.t;
    options.clear_deadline = o->is_without_deadline;
    if (o->retention.is_set)
        options.retention_ns = o->retention.ns;
    return futured_reschedule(ctl->client, id, &options, ret);
}

int cmd_change_reschedule(struct ctl *ctl)
{
    const struct options *o = &ctl->options;

    if (o->in.is_set && o->at.is_set)
        ctl_complain(ctl, "--in and --at exclude each other");
    else if (o->deadline.is_set && o->is_without_deadline)
        ctl_complain(ctl, "--deadline and --no-deadline exclude each other");
    else if (!o->priority.is_set && !o->in.is_set && !o->at.is_set && !o->deadline.is_set &&
             !o->is_without_deadline && !o->retention.is_set)
        ctl_complain(ctl,
                     "reschedule needs --priority, --in, --at, --deadline, --no-deadline or --retention");
    else
        return change_one(ctl, reschedule);
    return CTL_USAGE;
}
