// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/cmd_show.h"

#include "base/err.h"
#include "base/limit.h"
#include "client/futurectl/select.h"
#include "client/futurectl/tally.h"

#include <string.h>

/* --- get */

static int get_one(struct ctl *ctl, const char *id, const char *key)
{
    enum futured_view view = ctl->options.view;
    struct futured_future *future;
    int r = key ? futured_get_by_key(ctl->client, key, view, &future)
                : futured_get(ctl->client, id, view, &future);

    if (r)
        return ctl_fail(ctl);
    if (ctl->options.format == OUTPUT_TEXT && ctl->out.n_items)
        fputc('\n', ctl->out.to);
    output_future(&ctl->out, future);
    futured_future_free(future);
    return CTL_OK;
}

/* One future, or several with a blank line between them. */
int cmd_show_get(struct ctl *ctl)
{
    const struct options *o = &ctl->options;
    int code = CTL_OK, is_list = o->n_arguments > 1;

    if ((o->n_arguments > 0) == (o->key != NULL)) {
        ctl_complain(ctl, o->key ? "IDs and --key: give one of them" : "get needs IDs or --key");
        return CTL_USAGE;
    }
    if (o->key)
        return get_one(ctl, NULL, o->key);
    if (is_list)
        output_begin(&ctl->out, OUTPUT_LINES);
    for (int i = 0; i < o->n_arguments; i++) {
        char text[ID_TEXT_LEN + 1];
        const char *id;
        int r = select_id(ctl, o->arguments[i], text, &id);

        if (r == CTL_OK)
            r = get_one(ctl, id, NULL);
        code = r == CTL_OK ? code : r;
    }
    if (is_list)
        output_end(&ctl->out);
    return code;
}

/* --- list */

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

static int list(struct ctl *ctl, const struct futured_selector *selector)
{
    const struct options *o = &ctl->options;
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
        if (futured_list(ctl->client, selector, &list, &next)) {
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

int cmd_show_list(struct ctl *ctl)
{
    struct selection s;
    int code = select_init(ctl, "*", &s);

    if (code == CTL_OK)
        code = list(ctl, &s.selector);
    select_deinit(&s);
    return code;
}

/* --- count */

static int count(struct ctl *ctl, const struct futured_selector *selector)
{
    struct futured_count *page = NULL, *next;
    struct tally tally;
    int r = 0;

    tally_init(&tally, ctl->options.by != NULL);
    do {
        if (futured_count(ctl->client, selector, ctl->options.by, page ? page->next_page_token : NULL,
                          &next)) {
            futured_count_free(page);
            tally_deinit(&tally);
            return ctl_fail(ctl);
        }
        futured_count_free(page);
        page = next;
        r = tally_add(&tally, page);
    } while (r == 0 && *page->next_page_token);
    futured_count_free(page);
    if (r == 0)
        output_count(&ctl->out, tally_total(&tally));
    else
        ctl_complain(ctl, "out of memory");
    tally_deinit(&tally);
    return r == 0 ? CTL_OK : CTL_FAILED;
}

int cmd_show_count(struct ctl *ctl)
{
    struct selection s;
    int code = select_init(ctl, "*", &s);

    if (code == CTL_OK)
        code = count(ctl, &s.selector);
    select_deinit(&s);
    return code;
}

/* --- explain */

/* An ID, whole or cut short: the rest are names of functions. */
static int is_id(const char *word)
{
    char least[ID_TEXT_LEN + 1], greatest[ID_TEXT_LEN + 1];
    struct id id;

    return id_parse(word, strlen(word), &id) == 0 ||
           (strcspn(word, "-") >= 8 && select_bounds(word, least, greatest) == 0);
}

int cmd_show_explain(struct ctl *ctl)
{
    const char *word = ctl->options.arguments[0], *id;
    struct futured_explanation *x;
    char text[ID_TEXT_LEN + 1];
    int code;

    if (is_id(word)) {
        code = select_id(ctl, word, text, &id);
        if (code != CTL_OK)
            return code;
        code = futured_explain(ctl->client, id, &x);
    } else {
        code = futured_explain_function(ctl->client, word, &x);
    }
    if (code)
        return ctl_fail(ctl);
    output_explanation(&ctl->out, x);
    futured_explanation_free(x);
    return CTL_OK;
}
