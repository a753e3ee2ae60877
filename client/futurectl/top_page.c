// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/top_page.h"

#include "client/futurectl/duration.h"
#include "client/futurectl/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

static const char keys_line[] = "q quit  h help  / filter  s sort  up, down select  c cancel  r retry";
static const char *const help_lines[] = {
        "q          quit",
        "h, ?       this help; any key ends it",
        "/          show only functions whose names contain what is typed; Enter or Escape ends that",
        "s, S       sort functions by the next, the last of: rate, pending, running, failed, mean run, name",
        "up, down   select a future that runs or has failed; j and k do, too",
        "c          cancel the selected one that runs",
        "r          retry the selected one that has failed",
};

/* --- lines */

/* Cut @text after @width characters. */
static void cut(char *text, size_t width)
{
    size_t n = 0;

    for (; *text; text++)
        if ((*text & 0xc0) != 0x80 && n++ == width) {
            *text = '\0';
            return;
        }
}

PRINTF_LIKE(3, 4) static void add(struct top_page *page, enum top_style style, const char *format, ...)
{
    struct top_line *line;
    va_list args;

    if (page->n == TOP_LINES || (page->height && page->n >= page->height))
        return;
    line = &page->lines[page->n++];
    line->style = style;
    va_start(args, format);
    vsnprintf(line->text, sizeof line->text, format, args);
    va_end(args);
    cut(line->text, page->width);
}

/* What strangers wrote, harmless: each byte may become four. */
enum { SAFE_BYTES = 4 * TOP_TEXT_BYTES + 8 };

static void put_safe(const char *s, char to[static SAFE_BYTES])
{
    FILE *f = fmemopen(to, SAFE_BYTES, "w");

    to[0] = '\0';
    if (!f)
        return;
    text_put(f, span_of_string(s), TOP_TEXT_BYTES);
    fputc('\0', f);
    fclose(f);
}

static void put_rate(double rate, char *to, size_t n)
{
    if (rate < 0)
        snprintf(to, n, "-");
    else
        snprintf(to, n, rate >= 100 || rate == 0 ? "%.0f" : rate >= 10 ? "%.1f" : "%.2f", rate);
}

/* --- parts */

static void add_head(struct top_page *page, const struct top_model *m, const struct top_about *about)
{
    const struct top_totals *t = &m->totals;
    char up[DURATION_TEXT_BYTES] = "", done[32], failed[32], address[SAFE_BYTES];

    put_safe(about->address, address);
    if (!*about->version) {
        add(page, TOP_PLAIN, "%s", address);
        return;
    }
    if (about->start != FUTURED_NO_TIME && about->now >= about->start)
        duration_format(MAX(about->now - about->start, NS_PER_S) / NS_PER_S * NS_PER_S, up);
    add(page, about->is_draining ? TOP_BAD : TOP_PLAIN, "futured %s at %s, store %s, up %s%s", about->version,
        address, about->store, up, about->is_draining ? ", DRAINING" : "");
    put_rate(t->done_rate, done, sizeof done);
    put_rate(t->failed_rate, failed, sizeof failed);
    add(page, TOP_PLAIN,
        "pending %" PRIu64 "  running %" PRIu64 "  done %s/s  failed %s/s  workers %" PRIu64 " with %" PRIu64
        " slots, %" PRIu64 " crashed",
        t->pending, t->running, done, failed, t->n_workers, t->slots, t->n_crashed);
}

static void add_functions(struct top_page *page, const struct top_model *m, const struct top_ui *ui,
                          size_t room)
{
    const struct top_function *rows[TOP_LINES];
    size_t n = top_model_rows(m, ui->sort, ui->filter, rows, MIN(room, (size_t)TOP_LINES)),
           name = strlen("FUNCTION");

    for (size_t i = 0; i < n; i++)
        name = MAX(name, strlen(rows[i]->name));
    name = MIN(name, (size_t)40);
    add(page, TOP_HEAD, "%-*s %9s %9s %9s %9s %11s %9s  %-9s %7s", (int)name, "FUNCTION", "PENDING",
        "RUNNING", "DONE/S", "FAILED/S", "SUCCEEDED", "FAILED", "MEAN RUN", "WORKERS");
    for (size_t i = 0; i < n; i++) {
        const struct top_function *f = rows[i];
        char mean[DURATION_TEXT_BYTES] = "", done[32], failed[32];

        if (f->mean_run_ns >= 0)
            duration_format(f->mean_run_ns, mean);
        put_rate(f->done_rate, done, sizeof done);
        put_rate(f->failed_rate, failed, sizeof failed);
        add(page, f->is_paused || f->is_broken || f->failed_rate > 0 ? TOP_BAD : TOP_PLAIN,
            "%-*.*s %9" PRIu64 " %9" PRIu64 " %9s %9s %11" PRIu64 " %9" PRIu64 "  %-9s %7u%s", (int)name,
            (int)name, f->name, f->pending, f->running, done, failed, f->succeeded, f->failed, mean,
            f->n_workers,
            f->is_broken   ? "  NOT SERVED"
            : f->is_paused ? "  PAUSED"
                           : "");
    }
}

static int matches(const struct top_future *f, const struct top_ui *ui)
{
    return strstr(f->function, ui->filter) != NULL;
}

static void add_list(struct top_page *page, const struct top_list *list, const struct top_ui *ui,
                     const struct top_about *about, const char *head, size_t room)
{
    size_t n = 0;

    for (size_t i = 0; i < list->n && n < room; i++) {
        const struct top_future *f = &list->futures[i];
        char span[DURATION_TEXT_BYTES], text[SAFE_BYTES];

        if (!matches(f, ui))
            continue;
        if (n++ == 0) {
            add(page, TOP_PLAIN, "%s", "");
            add(page, TOP_HEAD, "%-36s  %-16s  %-9s  %s", head, "FUNCTION", f->is_failed ? "AGO" : "FOR",
                f->is_failed ? "WHY" : "LABELS");
        }
        duration_format(about->now > f->time_ns ? about->now - f->time_ns : 0, span);
        put_safe(f->text, text);
        add(page, strcmp(f->id, ui->selected) == 0 ? TOP_SELECTED : TOP_PLAIN, "%-36s  %-16.16s  %-9s  %s%s",
            f->id, f->function, span, f->is_cancelling ? "(cancel asked for) " : "", text);
    }
}

static size_t count(const struct top_list *list, const struct top_ui *ui)
{
    size_t n = 0;

    for (size_t i = 0; i < list->n; i++)
        n += (size_t)matches(&list->futures[i], ui);
    return n;
}

/* --- selecting */

/* The futures that can be selected, in the order in which they stand there. */
static size_t selectable(const struct top_model *m, const struct top_ui *ui, const struct top_future **to)
{
    const struct top_list *const lists[] = {&m->running, &m->failed};
    size_t n = 0;

    for (size_t l = 0; l < ARRAY_LEN(lists); l++)
        for (size_t i = 0; i < lists[l]->n; i++)
            if (matches(&lists[l]->futures[i], ui))
                to[n++] = &lists[l]->futures[i];
    return n;
}

/* The place of the selected one; @n: it is not there. */
static size_t find_selected(const struct top_ui *ui, const struct top_future *const *all, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(all[i]->id, ui->selected) == 0)
            return i;
    return n;
}

static void move(struct top_ui *ui, const struct top_model *m, int is_down)
{
    const struct top_future *all[2 * TOP_FUTURES];
    size_t n = selectable(m, ui, all), at = find_selected(ui, all, n);

    if (n == 0)
        return;
    if (at == n)
        at = is_down ? 0 : n - 1;
    else if (is_down)
        at = MIN(at + 1, n - 1);
    else
        at -= at > 0;
    snprintf(ui->selected, sizeof ui->selected, "%s", all[at]->id);
}

static enum top_action act(struct top_ui *ui, const struct top_model *m, int wants_failed,
                           enum top_action action)
{
    const struct top_future *all[2 * TOP_FUTURES];
    size_t n = selectable(m, ui, all), at = find_selected(ui, all, n);

    if (at == n)
        snprintf(ui->said, sizeof ui->said, "select a future first, with up and down");
    else if (all[at]->is_failed != wants_failed)
        snprintf(ui->said, sizeof ui->said, wants_failed ? "it has not failed" : "it does not run any more");
    else
        return action;
    return TOP_DRAW;
}

/* --- keys */

static enum top_action type(struct top_ui *ui, int key)
{
    size_t n = strlen(ui->filter);

    if (key == TOP_KEY_ENTER || key == TOP_KEY_ESCAPE)
        ui->is_typing = 0;
    if (key == TOP_KEY_ESCAPE)
        ui->filter[0] = '\0';
    if (key == TOP_KEY_BACKSPACE && n)
        ui->filter[n - 1] = '\0';
    if (key > ' ' && key < 0x7f && n + 1 < sizeof ui->filter) {
        ui->filter[n] = (char)key;
        ui->filter[n + 1] = '\0';
    }
    return TOP_DRAW;
}

enum top_action top_page_key(struct top_ui *ui, const struct top_model *m, int key)
{
    ui->said[0] = '\0';
    if (ui->is_typing)
        return type(ui, key);
    if (ui->shows_help) {
        ui->shows_help = 0;
        return key == 'q' ? TOP_QUIT : TOP_DRAW;
    }
    switch (key) {
    case 'q': return TOP_QUIT;
    case 'h':
    case '?': ui->shows_help = 1; return TOP_DRAW;
    case '/': ui->is_typing = 1; return TOP_DRAW;
    case TOP_KEY_ESCAPE: ui->filter[0] = ui->selected[0] = '\0'; return TOP_DRAW;
    case 's': ui->sort = (ui->sort + 1) % TOP_SORTS; return TOP_DRAW;
    case 'S': ui->sort = (ui->sort + TOP_SORTS - 1) % TOP_SORTS; return TOP_DRAW;
    case TOP_KEY_UP:
    case 'k': move(ui, m, 0); return TOP_DRAW;
    case TOP_KEY_DOWN:
    case 'j': move(ui, m, 1); return TOP_DRAW;
    case 'c': return act(ui, m, 0, TOP_CANCEL);
    case 'r': return act(ui, m, 1, TOP_RETRY);
    default: return TOP_NOTHING;
    }
}

/* --- the whole */

static void add_foot(struct top_page *page, const struct top_ui *ui)
{
    if (!page->height)
        return;
    page->n = MIN(page->n, page->height - 1);
    while (page->n + 1 < page->height)
        add(page, TOP_PLAIN, "%s", "");
    if (*ui->said)
        add(page, TOP_BAD, "%s", ui->said);
    else if (ui->is_typing)
        add(page, TOP_PLAIN, "filter: %s_", ui->filter);
    else if (*ui->filter)
        add(page, TOP_DIM, "filter: %s (Escape ends it)  sorted by %s", ui->filter,
            top_model_sort_name(ui->sort));
    else
        add(page, TOP_DIM, "%s  (by %s)", keys_line, top_model_sort_name(ui->sort));
}

/* How many functions there is room for: the lists of futures have a third of the lines each, at most. */
static size_t room_of_functions(const struct top_page *page, size_t n_running, size_t n_failed)
{
    size_t third = page->height / 3, taken = page->n + 2;

    if (!page->height)
        return TOP_LINES;
    taken += n_running ? MIN(n_running + 2, third) : 0;
    taken += n_failed ? MIN(n_failed + 2, third) : 0;
    return page->height > taken ? page->height - taken : 1;
}

void top_page_make(struct top_page *page, const struct top_model *m, struct top_ui *ui,
                   const struct top_about *about, size_t width, size_t height)
{
    size_t n_running = count(&m->running, ui), n_failed = count(&m->failed, ui),
           third = height ? height / 3 : TOP_FUTURES + 2;

    *page = (struct top_page){.width = width, .height = MIN(height, (size_t)TOP_LINES)};
    add_head(page, m, about);
    if (ui->shows_help) {
        add(page, TOP_PLAIN, "%s", "");
        for (size_t i = 0; i < ARRAY_LEN(help_lines); i++)
            add(page, TOP_PLAIN, "%s", help_lines[i]);
    } else if (*about->version) {
        add_functions(page, m, ui, room_of_functions(page, n_running, n_failed));
        add_list(page, &m->running, ui, about, "RUNNING LONGEST", third > 2 ? third - 2 : 1);
        add_list(page, &m->failed, ui, about, "FAILED LAST", third > 2 ? third - 2 : 1);
    }
    add_foot(page, ui);
}
