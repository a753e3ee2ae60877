// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/cmd_show.h"

#include "base/err.h"
#include "base/limit.h"
#include "client/futurectl/ctl.h"

#include <stdlib.h>
#include <string.h>

/* One future, or several with a blank line between them. */
int cmd_show_get(struct ctl *ctl)
{
    const struct options *o = &ctl->options;
    int code = CTL_OK, is_list = o->n_arguments > 1;

    if (is_list)
        output_begin(&ctl->out, OUTPUT_LINES);
    for (int i = 0; i < o->n_arguments; i++) {
        struct futured_future *future;

        if (futured_get(ctl->client, o->arguments[i], o->view, &future)) {
            code = ctl_fail(ctl);
            continue;
        }
        if (o->format == OUTPUT_TEXT && ctl->out.n_items)
            fputc('\n', ctl->out.to);
        output_future(&ctl->out, future);
        futured_future_free(future);
    }
    if (is_list)
        output_end(&ctl->out);
    return code;
}

static uint32_t page_size(uint32_t limit, uint32_t n_shown)
{
    return limit ? MIN(limit - n_shown, (uint32_t)LIMIT_PAGE_SIZE) : LIMIT_PAGE_SIZE;
}

static void show_page(struct ctl *ctl, const struct futured_page *page, uint32_t *n_shown)
{
    for (size_t i = 0; i < page->n_futures; i++) {
        output_row(&ctl->out, page->futures[i]);
        ++*n_shown;
    }
}

int cmd_show_list(struct ctl *ctl)
{
    const struct options *o = &ctl->options;
    const struct futured_selector selector = ctl_selector(ctl, "*");
    struct futured_list_options list = FUTURED_LIST_OPTIONS_INIT;
    struct futured_page *page = NULL;
    int is_more = 1, code = CTL_OK;
    uint32_t n_shown = 0;

    list.ascending = o->is_oldest_first;
    list.view = o->view;
    while (is_more && (o->limit == 0 || n_shown < o->limit)) {
        struct futured_page *next;

        list.page_size = page_size(o->limit, n_shown);
        list.page_token = page ? page->next_page_token : NULL;
        if (futured_list(ctl->client, &selector, &list, &next)) {
            code = ctl_fail(ctl);
            break;
        }
        if (!page) /* nothing is shown where nothing was answered */
            output_begin(&ctl->out, OUTPUT_FUTURES);
        futured_page_free(page);
        page = next;
        show_page(ctl, page, &n_shown);
        is_more = *page->next_page_token != '\0';
    }
    if (page)
        output_end(&ctl->out);
    futured_page_free(page);
    if (code == CTL_OK && is_more && o->format == OUTPUT_TEXT)
        ctl_complain(ctl, "there are more: --limit N shows so many, --limit 0 all");
    return code;
}

int cmd_show_functions(struct ctl *ctl)
{
    const struct options *o = &ctl->options;
    struct futured_functions *page = NULL, *next;
    int code = CTL_OK;

    do {
        if (futured_list_functions(ctl->client, o->n_arguments ? o->arguments[0] : NULL,
                                   page ? page->next_page_token : NULL, &next)) {
            code = ctl_fail(ctl);
            break;
        }
        if (!page)
            output_begin(&ctl->out, OUTPUT_FUNCTIONS);
        futured_functions_free(page);
        page = next;
        for (size_t i = 0; i < page->n_functions; i++)
            output_function(&ctl->out, page->functions[i]);
    } while (*page->next_page_token);
    if (page)
        output_end(&ctl->out);
    futured_functions_free(page);
    return code;
}

int cmd_show_workers(struct ctl *ctl)
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

int cmd_show_stats(struct ctl *ctl)
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
