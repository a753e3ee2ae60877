// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/cmd_completion.h"

#include "base/clock.h"
#include "client/futurectl/commands.h"
#include "client/futurectl/completion.h"
#include "client/futurectl/ctl.h"
#include "client/futurectl/text.h"

#include <string.h>

enum { IDS_SHOWN = 50, WHAT_BYTES = 80 };

/* Somebody waits at a prompt. */
#define ASK_NS (2 * NS_PER_S)

static void show(void *arg, const char *word, const char *what)
{
    struct ctl *ctl = arg;

    text_put_string(ctl->out.to, word);
    if (*what)
        fputc('\t', ctl->out.to);
    text_put(ctl->out.to, (struct span){(const uint8_t *)what, strcspn(what, "\n")}, WHAT_BYTES);
    fputc('\n', ctl->out.to);
}

static void show_live_word(struct ctl *ctl, const struct completion_live *live, const char *word,
                           const char *what)
{
    text_put_string(ctl->out.to, live->before);
    show(ctl, word, what);
}

static void show_functions(struct ctl *ctl, struct futured_client *client, const struct completion_live *live)
{
    struct futured_functions *functions;

    if (futured_list_functions(client, *live->prefix ? live->prefix : NULL, NULL, &functions))
        return;
    for (size_t i = 0; i < functions->n_functions; i++)
        show_live_word(ctl, live, functions->functions[i]->name, functions->functions[i]->doc);
    futured_functions_free(functions);
}

static void show_ids(struct ctl *ctl, struct futured_client *client, const struct completion_live *live)
{
    const struct futured_selector all = {.filter = "*"};
    struct futured_list_options list = FUTURED_LIST_OPTIONS_INIT;
    struct futured_page *page;

    list.page_size = IDS_SHOWN;
    if (futured_list(client, &all, &list, &page))
        return;
    for (size_t i = 0; i < page->n_futures; i++) {
        const struct futured_future *f = page->futures[i];
        char what[300];

        snprintf(what, sizeof what, "%s %s", f->task ? f->task->function : "", futured_state_name(f->state));
        if (strncmp(f->id, live->prefix, strlen(live->prefix)) == 0)
            show_live_word(ctl, live, f->id, what);
    }
    futured_page_free(page);
}

/* What cannot be asked is not offered; a prompt is no place to complain. */
static void show_live(struct ctl *ctl, const struct completion_live *live)
{
    int is_either = live->kind == ARGUMENT_ID_OR_FUNCTION;
    struct futured_client *client;

    if (live->kind != ARGUMENT_FUNCTION && live->kind != ARGUMENT_ID && !is_either)
        return;
    client = futured_client_new(ctl->options.address);
    if (!client)
        return;
    futured_client_set_timeout(client, ASK_NS);
    (void)!ctl_show_who(ctl, client);
    if (live->kind == ARGUMENT_FUNCTION || is_either)
        show_functions(ctl, client, live);
    if (live->kind == ARGUMENT_ID || is_either)
        show_ids(ctl, client, live);
    futured_client_free(client);
}

int cmd_completion(struct ctl *ctl)
{
    struct options *o = &ctl->options;
    const char *script = completion_script(o->arguments[0]);
    struct completion_live live;

    if (strcmp(o->arguments[0], "words") == 0) {
        completion_find(commands, commands_n, o->arguments + 1, o->n_arguments - 1, show, ctl, o, &live);
        show_live(ctl, &live);
        return CTL_OK;
    }
    if (!script || o->n_arguments > 1) {
        ctl_complain(ctl, "completion takes bash, zsh or fish, not `%s`", o->arguments[script ? 1 : 0]);
        return CTL_USAGE;
    }
    fputs(script, ctl->out.to);
    return CTL_OK;
}
