// SPDX-License-Identifier: Apache-2.0
/* What is asked for, checked and made ready; the work is the mapper's. */
#include "client/futurectl/cmd_map.h"

#include "base/limit.h"
#include "base/mem.h"
#include "client/futurectl/joblog.h"
#include "client/futurectl/mapper.h"
#include "client/futurectl/task.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int check(struct ctl *ctl)
{
    const struct options *o = &ctl->options;
    int is_words = o->has_items || o->n_arguments > 1;

    if (is_words && (o->is_csv || o->is_null))
        ctl_complain(ctl, "--%s reads standard input, but items are given as well",
                     o->is_csv ? "csv" : "null");
    else if (o->is_csv && o->is_null)
        ctl_complain(ctl, "--csv and --null exclude each other");
    else if (o->is_csv && o->is_files && !o->argument)
        ctl_complain(ctl,
                     "--csv and --files need --argument, such as '{path}', which names the file of a record");
    else if ((o->resumes || o->retries_failed) && !o->group)
        ctl_complain(ctl, "--%s needs --group: which group?", o->resumes ? "resume" : "retry-failed");
    else if ((o->group && strlen(o->group) > MAPPER_GROUP_BYTES) ||
             strlen(o->arguments[0]) > MAPPER_GROUP_BYTES)
        ctl_complain(ctl, "%s is longer than %d bytes",
                     o->group ? "--group, or the function," : "the function", MAPPER_GROUP_BYTES);
    else
        return task_check(ctl);
    return CTL_USAGE;
}

/* --- what is made ready */

static void quote_group(struct mapper *m)
{
    char *to = m->group_quoted;

    *to++ = '"';
    for (const char *c = m->group; *c; c++) {
        if (*c == '"' || *c == '\\')
            *to++ = '\\';
        *to++ = *c;
    }
    memcpy(to, "\"", 2);
}

static void name_group(struct mapper *m)
{
    time_t now = time(NULL);
    struct tm tm;
    char text[40] = "";

    m->group = m->ctl->options.group;
    m->is_keyed = m->group != NULL;
    if (!m->group) {
        if (gmtime_r(&now, &tm))
            strftime(text, sizeof text, "%Y%m%d-%H%M%S", &tm);
        snprintf(m->made_group, sizeof m->made_group, "map-%s-%d", text, (int)getpid());
        m->group = m->made_group;
    }
    quote_group(m);
}

static void take_items(struct mapper *m)
{
    const struct options *o = &m->ctl->options;

    if (o->has_items || o->n_arguments > 1) {
        items_init_words(&m->items, o->arguments + 1, (size_t)o->n_arguments - 1);
        return;
    }
    if (isatty(STDIN_FILENO))
        ctl_complain(m->ctl, "reading items from the terminal, one a line; Ctrl-D ends them");
    items_init_fd(&m->items, STDIN_FILENO, o->is_csv ? ITEMS_TABLE : o->is_null ? ITEMS_NULS : ITEMS_LINES);
}

static int open_joblog(struct mapper *m)
{
    const struct options *o = &m->ctl->options;
    const char *path = o->joblog;

    if (!path)
        return CTL_OK;
    m->joblog = fopen(path, o->resumes || o->retries_failed ? "ae" : "we");
    if (!m->joblog) {
        ctl_complain(m->ctl, "cannot write %s: %s", path, strerror(errno));
        return CTL_USAGE;
    }
    setvbuf(m->joblog, NULL, _IOLBF, 0);
    if (ftell(m->joblog) == 0)
        joblog_head(m->joblog);
    return CTL_OK;
}

/* So that it is known whether a future of the group is of this run. */
static int find_newest(struct mapper *m)
{
    struct futured_list_options options = FUTURED_LIST_OPTIONS_INIT;
    const struct futured_selector selector = {.group = m->group};
    struct futured_page *page;

    if (!m->is_keyed)
        return CTL_OK;
    options.page_size = 1;
    options.view = FUTURED_VIEW_RESULT;
    if (futured_list(m->ctl->client, &selector, &options, &page))
        return ctl_fail(m->ctl);
    if (page->n_futures)
        snprintf(m->newest, sizeof m->newest, "%s", page->futures[0]->id);
    futured_page_free(page);
    return CTL_OK;
}

static int ask_daemon(struct mapper *m)
{
    struct futured_info *info;

    m->max_message_bytes = LIMIT_MAX_MESSAGE_BYTES;
    if (m->ctl->options.is_dry_run)
        return CTL_OK;
    ctl_limit_call(m->ctl, m->until);
    if (futured_get_info(m->ctl->client, &info))
        return ctl_fail(m->ctl);
    if (info->max_message_bytes)
        m->max_message_bytes = info->max_message_bytes;
    futured_info_free(info);
    return find_newest(m);
}

static int make_request(struct mapper *m)
{
    const struct options *o = &m->ctl->options;
    int is_object = o->is_csv && !o->argument && !o->is_files && !o->content_type;

    m->request = futured_request_new(m->function);
    task_set(o, m->request);
    futured_request_set_group(m->request, m->group);
    if (is_object)
        futured_request_set_content_type(m->request, "application/json");
    futured_request_set_view(m->request,
                             o->format != OUTPUT_TEXT || o->joblog ? FUTURED_VIEW_FULL : FUTURED_VIEW_RESULT);
    if (!o->max_in_flight)
        m->ctl->options.max_in_flight = MAPPER_IN_FLIGHT;
    if (!o->keeps_order)
        return CTL_OK;
    m->n_window = (uint64_t)MAPPER_WINDOWS * o->max_in_flight;
    m->next_out = 1;
    m->ring = mem_zalloc(m->n_window * sizeof(struct job *));
    if (m->ring)
        return CTL_OK;
    ctl_complain(m->ctl, "out of memory");
    return CTL_FAILED;
}

static void clean(struct mapper *m)
{
    while (m->again) {
        struct job *job = m->again;

        m->again = job->next;
        mapper_finish_drop(m, job);
    }
    while (!list_is_empty(&m->flying)) /* they go on in the daemon */
        mapper_finish_drop(m, CONTAINER_OF(list_first(&m->flying), struct job, link));
    futured_pipeline_free(m->pipeline);
    futured_request_free(m->request);
    template_deinit(&m->argument);
    for (size_t i = 0; i < m->ctl->options.n_labels; i++)
        template_deinit(&m->labels[i]);
    map_deinit(&m->keys);
    buf_deinit(&m->text);
    buf_deinit(&m->data);
    items_deinit(&m->items);
    mem_free(m->ring);
}

static int close_joblog(struct mapper *m, int code)
{
    if (!m->joblog || fclose(m->joblog) == 0)
        return code;
    ctl_complain(m->ctl, "cannot write %s: %s", m->ctl->options.joblog, strerror(errno));
    return code == CTL_OK ? CTL_FAILED : code;
}

static int run(struct mapper *m)
{
    struct output *out = &m->ctl->out;
    int r, code;

    mapper_show_init(m);
    r = mapper_wait_init(m);
    if (r < 0) {
        ctl_complain(m->ctl, "cannot wait: %s", strerror(-r));
        return CTL_FAILED;
    }
    if (m->ctl->options.format != OUTPUT_TEXT)
        output_begin(out, OUTPUT_LINES);
    code = mapper_run(m);
    if (m->ctl->options.format != OUTPUT_TEXT)
        output_end(out);
    mapper_wait_deinit();
    return code;
}

int cmd_map(struct ctl *ctl)
{
    static const struct hash_seed seed = {5, 6}; /* its keys are hashes of our own */
    struct mapper m = {.ctl = ctl, .function = ctl->options.arguments[0], .away_since = CLOCK_NEVER};
    int code = check(ctl);

    if (code != CTL_OK)
        return code;
    m.until = ctl_until(ctl);
    m.again_end = &m.again;
    list_init(&m.flying);
    map_init(&m.keys, &seed);
    name_group(&m);
    take_items(&m);
    code = ask_daemon(&m);
    if (code == CTL_OK)
        code = open_joblog(&m);
    if (code == CTL_OK)
        code = make_request(&m);
    if (code == CTL_OK)
        code = run(&m);
    clean(&m);
    return close_joblog(&m, code);
}
