// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/select.h"

#include "base/mem.h"

#include <ctype.h>
#include <string.h>

/* --- IDs that are cut short */

int select_bounds(const char *prefix, char least[static ID_TEXT_LEN + 1],
                  char greatest[static ID_TEXT_LEN + 1])
{
    static const char low[] = "00000000-0000-7000-8000-000000000000";
    static const char high[] = "ffffffff-ffff-7fff-bfff-ffffffffffff";
    size_t n = strlen(prefix);

    if (n < SELECT_PREFIX_MIN || n >= ID_TEXT_LEN)
        return SELECT_E_NO_PREFIX;
    memcpy(least, low, sizeof low);
    memcpy(greatest, high, sizeof high);
    for (size_t i = 0; i < n; i++) {
        char c = (char)tolower((unsigned char)prefix[i]);

        if ((low[i] == '-') != (c == '-') || (c != '-' && !isxdigit((unsigned char)c)) || c < low[i] ||
            (high[i] != 'f' && c > high[i]))
            return SELECT_E_NO_PREFIX;
        least[i] = greatest[i] = c;
    }
    return 0;
}

static int take_only(struct ctl *ctl, const char *prefix, const struct futured_page *page,
                     char text[static ID_TEXT_LEN + 1])
{
    if (page->n_futures == 0) {
        ctl_complain(ctl, "there is no future whose ID begins with %s", prefix);
        return CTL_NOT_FOUND;
    }
    if (page->n_futures > 1) {
        ctl_complain(ctl, "more than one future's ID begins with %s: %s and %s", prefix, page->futures[0]->id,
                     page->futures[1]->id);
        return CTL_USAGE;
    }
    snprintf(text, ID_TEXT_LEN + 1, "%s", page->futures[0]->id);
    return CTL_OK;
}

/* A page may be empty although more follow. */
static int find_prefix(struct ctl *ctl, const char *prefix, const char *filter,
                       char text[static ID_TEXT_LEN + 1])
{
    struct futured_list_options list = FUTURED_LIST_OPTIONS_INIT;
    const struct futured_selector selector = {.filter = filter};
    struct futured_page *page = NULL, *next;
    int code;

    list.page_size = 2;
    list.view = FUTURED_VIEW_RESULT;
    do {
        list.page_token = page ? page->next_page_token : NULL;
        if (futured_list(ctl->client, &selector, &list, &next)) {
            futured_page_free(page);
            return ctl_fail(ctl);
        }
        futured_page_free(page);
        page = next;
    } while (page->n_futures == 0 && *page->next_page_token);
    code = take_only(ctl, prefix, page, text);
    futured_page_free(page);
    return code;
}

int select_id(struct ctl *ctl, const char *word, char text[static ID_TEXT_LEN + 1], const char **ret)
{
    char least[ID_TEXT_LEN + 1], greatest[ID_TEXT_LEN + 1], filter[2 * ID_TEXT_LEN + 32];

    *ret = word;
    if (select_bounds(word, least, greatest) != 0)
        return CTL_OK;
    snprintf(filter, sizeof filter, "id >= %s AND id <= %s", least, greatest);
    *ret = text;
    return find_prefix(ctl, word, filter, text);
}

/* --- selections */

static int check(struct ctl *ctl, const char *everything)
{
    const struct options *o = &ctl->options;
    int n_ways = (o->n_arguments > 0) + (o->group != NULL) + (o->filter != NULL);

    if (n_ways > 1)
        ctl_complain(ctl, "%s%s%s: give one of them", o->n_arguments ? "IDs and " : "",
                     o->group ? "--group" : "--filter", o->group && o->filter ? " and --filter" : "");
    else if (n_ways == 0 && !everything)
        ctl_complain(ctl, "%s needs IDs, --group or --filter", o->command->name);
    else
        return CTL_OK;
    return CTL_USAGE;
}

int select_init(struct ctl *ctl, const char *everything, struct selection *ret)
{
    const struct options *o = &ctl->options;
    size_t n = (size_t)o->n_arguments;
    int code = check(ctl, everything);

    *ret = (struct selection){0};
    if (code != CTL_OK)
        return code;
    ret->selector = (struct futured_selector){
            .group = o->group,
            .filter = o->filter       ? o->filter
                      : n || o->group ? NULL
                                      : everything,
    };
    if (n == 0)
        return CTL_OK;
    ret->ids = mem_zalloc(n * sizeof *ret->ids);
    ret->texts = mem_zalloc(n * sizeof *ret->texts);
    if (!ret->ids || !ret->texts) {
        ctl_complain(ctl, "out of memory");
        return CTL_FAILED;
    }
    for (size_t i = 0; i < n && code == CTL_OK; i++)
        code = select_id(ctl, o->arguments[i], ret->texts[i], &ret->ids[i]);
    ret->selector.ids = ret->ids;
    ret->selector.n_ids = n;
    return code;
}

void select_deinit(struct selection *s)
{
    mem_free(s->ids);
    mem_free(s->texts);
}
