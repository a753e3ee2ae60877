// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"
#include "client/futurectl/mapper.h"
#include "client/futurectl/text.h"

#include <inttypes.h>
#include <unistd.h>

#include <sys/ioctl.h>

#define BAR_NS   (100 * NS_PER_MS)
#define LINES_NS (10 * NS_PER_S)

static int64_t interval(const struct mapper *m)
{
    const struct option_span *said = &m->ctl->options.interval;

    return said->is_set ? MAX(said->ns, NS_PER_MS) : m->is_bar ? BAR_NS : LINES_NS;
}

void mapper_show_init(struct mapper *m)
{
    enum option_progress how = m->ctl->options.progress;
    int is_terminal = isatty(fileno(m->ctl->err));

    m->is_bar = how == PROGRESS_BAR || (how == PROGRESS_AUTO && is_terminal);
    m->is_lines = !m->is_bar && how != PROGRESS_NONE;
    m->is_colour = output_is_colour(m->ctl->err);
    progress_init(&m->progress, clock_mono());
    m->show_due = m->is_bar || m->is_lines ? clock_add(m->progress.start, interval(m)) : CLOCK_NEVER;
}

static size_t width(const struct mapper *m)
{
    struct winsize size;

    if (ioctl(fileno(m->ctl->err), TIOCGWINSZ, &size) == 0 && size.ws_col > 1)
        return size.ws_col - 1U; /* a terminal wraps when the last column is written */
    return 79;
}

void mapper_show_hide(struct mapper *m)
{
    if (!m->is_bar_shown)
        return;
    fputs("\r\033[K", m->ctl->err);
    fflush(m->ctl->err);
    m->is_bar_shown = 0;
    m->show_due = 0; /* again, when what is to be written is there */
}

static void note(struct mapper *m)
{
    m->counts.n_in_flight = m->pipeline ? futured_pipeline_in_flight(m->pipeline) : 0;
    m->counts.total = m->is_input_over ? m->items.n : items_total(&m->items);
}

void mapper_show(struct mapper *m)
{
    mono_ns_t now = clock_mono();
    char text[PROGRESS_TEXT_BYTES];

    if (now < m->show_due)
        return;
    note(m);
    progress_note(&m->progress, now, m->counts.n_done);
    if (m->is_bar) {
        progress_bar(&m->progress, now, &m->counts, width(m), m->is_colour, text);
        fprintf(m->ctl->err, "\r%s\033[K", text);
        fflush(m->ctl->err);
        m->is_bar_shown = 1;
    } else {
        progress_line(&m->progress, now, &m->counts, text);
        ctl_complain(m->ctl, "%s", text);
        m->is_line_said = 1;
    }
    m->show_due = clock_add(now, interval(m));
}

void mapper_show_item(const struct item *item, char text[static MAPPER_ITEM_BYTES + 4])
{
    snprintf(text, MAPPER_ITEM_BYTES + 4, "%.*s%s", (int)MIN(item->text.len, (size_t)MAPPER_ITEM_BYTES),
             (const char *)item->text.p, item->text.len > MAPPER_ITEM_BYTES ? "..." : "");
}

/* --- the end */

static int is_whole(const struct mapper *m)
{
    return m->is_input_over && !m->n_again && m->counts.n_done == m->items.n;
}

static void say_rest(struct mapper *m)
{
    if (m->counts.n_failed && m->is_keyed)
        ctl_complain(m->ctl, "with --retry-failed those that failed are run again");
    else if (m->n_failed_there)
        ctl_complain(m->ctl, "`futurectl list -f 'group = %s AND state = FAILED'` lists those that failed",
                     m->group);
    if (m->counts.n_in_flight)
        ctl_complain(m->ctl, "%" PRIu64 " go%s on; `futurectl wait --group %s` waits for %s",
                     m->counts.n_in_flight, m->counts.n_in_flight == 1 ? "es" : "", m->group,
                     m->counts.n_in_flight == 1 ? "it" : "them");
    if (!is_whole(m) && m->is_keyed)
        ctl_complain(m->ctl, "with --resume only what is not done is run");
}

void mapper_show_end(struct mapper *m)
{
    char text[PROGRESS_TEXT_BYTES];
    int is_well;

    mapper_show_hide(m);
    if (m->ctl->options.is_dry_run || m->code == CTL_USAGE || m->code == CTL_NOT_FOUND)
        return; /* nothing has been done, or it has been said why */
    note(m);
    is_well = m->counts.n_failed + m->counts.n_cancelled == 0 && is_whole(m) && m->code == CTL_OK;
    if (is_well && !m->is_line_said && m->ctl->options.progress != PROGRESS_LINES)
        return;
    progress_counts(&m->counts, 0, text);
    ctl_complain(m->ctl, "%s", text);
    if (!is_well)
        say_rest(m);
}
