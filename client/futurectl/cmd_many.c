// SPDX-License-Identifier: Apache-2.0
/*
 * Futures named by ID are changed one by one, at once. What a group or a filter selects is counted first, by a dry run; then
 * somebody at a terminal is asked, and elsewhere -y must have said it.
 */
#include "client/futurectl/cmd_many.h"

#include "client/futurectl/select.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

struct verb {
    const char *past; /* `cancelled` */
    int (*one)(struct ctl *ctl, const char *id);
    int (*many)(struct futured_client *client, const struct futured_selector *selector,
                const struct futured_many_options *options, struct futured_changed **ret);
};

/* --- one */

static int show_line(struct ctl *ctl, struct futured_future *future)
{
    output_line(&ctl->out, future);
    futured_future_free(future);
    return CTL_OK;
}

static int cancel(struct ctl *ctl, const char *id)
{
    const struct options *o = &ctl->options;
    struct futured_future *future;

    if (futured_cancel(ctl->client, id, o->reason, o->grace.is_set ? o->grace.ns : -1, &future))
        return ctl_fail(ctl);
    return show_line(ctl, future);
}

static int retry(struct ctl *ctl, const char *id)
{
    struct futured_future *future;

    if (futured_retry(ctl->client, id, &future))
        return ctl_fail(ctl);
    return show_line(ctl, future);
}

static int delete (struct ctl *ctl, const char *id)
{
    char text[80];

    if (futured_delete(ctl->client, id))
        return ctl_fail(ctl);
    snprintf(text, sizeof text, "%s  deleted", id);
    output_fact(&ctl->out, "deleted", id, text);
    return CTL_OK;
}

/* Each by itself: one that fails does not keep the others from it. */
static int change_each(struct ctl *ctl, const struct verb *verb)
{
    const struct options *o = &ctl->options;
    int code = CTL_OK, is_list = o->n_arguments > 1;

    if (is_list)
        output_begin(&ctl->out, OUTPUT_LINES);
    for (int i = 0; i < o->n_arguments; i++) {
        char text[ID_TEXT_LEN + 1];
        const char *id;
        int r = select_id(ctl, o->arguments[i], text, &id);

        if (r == CTL_OK)
            r = verb->one(ctl, id);
        code = r == CTL_OK ? code : r;
    }
    if (is_list)
        output_end(&ctl->out);
    return code;
}

/* --- many */

/* All of @selector, call after call. */
static int change_all(struct ctl *ctl, const struct verb *verb, const struct futured_selector *selector,
                      int is_dry_run, struct futured_changed *ret)
{
    struct futured_many_options options = FUTURED_MANY_OPTIONS_INIT;
    struct futured_changed *page = NULL, *next;

    options.dry_run = is_dry_run;
    options.reason = ctl->options.reason;
    if (ctl->options.grace.is_set)
        options.grace_ns = ctl->options.grace.ns;
    *ret = (struct futured_changed){.next_page_token = ""};
    do {
        options.page_token = page ? page->next_page_token : NULL;
        if (verb->many(ctl->client, selector, &options, &next)) {
            futured_changed_free(page);
            return ctl_fail(ctl);
        }
        futured_changed_free(page);
        page = next;
        ret->matched += page->matched;
        ret->changed += page->changed;
    } while (*page->next_page_token);
    futured_changed_free(page);
    return CTL_OK;
}

/* CTL_OK: do it. */
static int ask(struct ctl *ctl, const struct verb *verb, const struct futured_changed *what)
{
    char answer[16] = "";

    if (!isatty(STDIN_FILENO) || !isatty(fileno(ctl->err))) {
        ctl_complain(ctl,
                     "%" PRIu64 " of %" PRIu64
                     " futures would be %s, and there is no terminal to ask at: -y does it "
                     "without asking, --dry-run only counts",
                     what->changed, what->matched, verb->past);
        return CTL_USAGE;
    }
    fprintf(ctl->err, "%" PRIu64 " of %" PRIu64 " futures would be %s. Go on? [y/N] ", what->changed,
            what->matched, verb->past);
    fflush(ctl->err);
    if (fgets(answer, sizeof answer, stdin) && (strcmp(answer, "y\n") == 0 || strcmp(answer, "yes\n") == 0))
        return CTL_OK;
    ctl_complain(ctl, "nothing was %s", verb->past);
    return CTL_FAILED;
}

static void show_changed(struct ctl *ctl, const struct verb *verb, const char *would,
                         const struct futured_changed *changed)
{
    char text[120];

    snprintf(text, sizeof text, "%" PRIu64 " of %" PRIu64 "%s %s", changed->changed, changed->matched, would,
             verb->past);
    output_changed(&ctl->out, changed, text);
}

static int change_selected(struct ctl *ctl, const struct verb *verb, const struct futured_selector *selector)
{
    const struct options *o = &ctl->options;
    struct futured_changed changed = {0};
    int code = CTL_OK, is_counted = o->is_dry_run || !o->is_yes;

    if (is_counted)
        code = change_all(ctl, verb, selector, 1, &changed);
    if (code == CTL_OK && is_counted && !o->is_dry_run && changed.changed)
        code = ask(ctl, verb, &changed);
    if (code == CTL_OK && !o->is_dry_run && (!is_counted || changed.changed))
        code = change_all(ctl, verb, selector, 0, &changed);
    if (code == CTL_OK)
        show_changed(ctl, verb, o->is_dry_run ? " would be" : "", &changed);
    return code;
}

static int change(struct ctl *ctl, const struct verb *verb)
{
    const struct options *o = &ctl->options;
    struct selection s;
    int code;

    if (o->n_arguments && !o->group && !o->filter && !o->is_dry_run)
        return change_each(ctl, verb);
    code = select_init(ctl, NULL, &s);
    if (code == CTL_OK)
        code = change_selected(ctl, verb, &s.selector);
    select_deinit(&s);
    return code;
}

int cmd_many_cancel(struct ctl *ctl)
{
    return change(ctl, &(struct verb){"cancelled", cancel, futured_cancel_many});
}

int cmd_many_retry(struct ctl *ctl)
{
    return change(ctl, &(struct verb){"retried", retry, futured_retry_many});
}

int cmd_many_delete(struct ctl *ctl)
{
    return change(ctl, &(struct verb){"deleted", delete, futured_delete_many});
}
