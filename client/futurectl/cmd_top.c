// SPDX-License-Identifier: Apache-2.0
/*
 * Samples of the daemon, drawn on a terminal, or printed where there is none. A daemon that does not answer is told of in the last
 * line and asked again with the next sample; without a terminal it is the end.
 */
#include "client/futurectl/cmd_top.h"

#include "base/mem.h"
#include "client/futurectl/text.h"
#include "client/futurectl/top_screen.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define INTERVAL_NS (1 * NS_PER_S)
#define LEAST_NS    (10 * NS_PER_MS)
#define ANSWER_NS   (5 * NS_PER_S) /* the screen stands still meanwhile */

struct top {
    struct ctl *ctl;
    struct top_model model;
    struct top_ui ui;
    struct top_page page;
    struct futured_info *info; /* NULL: it has not answered yet */
    uint64_t failed_seen;      /* of the list of those that failed; it is asked for when there are more */
    int has_failed;
    int64_t interval_ns;
};

/* --- a sample; each returns a code of the library */

static int sample_functions(struct top *t)
{
    struct futured_functions *page = NULL, *next;

    do {
        int code = futured_list_functions(t->ctl->client, NULL, page ? page->next_page_token : NULL, &next);

        futured_functions_free(page);
        if (code)
            return code;
        page = next;
        for (size_t i = 0; i < page->n_functions; i++) {
            if (top_model_function(&t->model, page->functions[i]) < 0) {
                futured_functions_free(page);
                return FUTURED_RESOURCE_EXHAUSTED;
            }
        }
    } while (*page->next_page_token);
    futured_functions_free(page);
    return FUTURED_OK;
}

static int sample_workers(struct top *t)
{
    struct futured_workers *page = NULL, *next;

    do {
        int code = futured_list_workers(t->ctl->client, NULL, page ? page->next_page_token : NULL, &next);

        futured_workers_free(page);
        if (code)
            return code;
        page = next;
        for (size_t i = 0; i < page->n_workers; i++)
            top_model_worker(&t->model, page->workers[i]);
        top_model_crashed(&t->model, page->n_crashed);
    } while (*page->next_page_token);
    futured_workers_free(page);
    return FUTURED_OK;
}

/* One page, so that a daemon with millions of futures has little to look at. */
static int sample_list(struct top *t, const char *filter, int is_ascending, struct top_list *to)
{
    struct futured_list_options options = FUTURED_LIST_OPTIONS_INIT;
    const struct futured_selector selector = {.filter = filter};
    struct futured_page *page;
    int code;

    options.page_size = TOP_PAGE;
    options.ascending = is_ascending;
    code = futured_list(t->ctl->client, &selector, &options, &page);
    if (code)
        return code;
    top_model_list(to, page);
    futured_page_free(page);
    return FUTURED_OK;
}

static int sample_info(struct top *t)
{
    struct futured_info *info;
    int code = futured_get_info(t->ctl->client, &info);

    if (code)
        return code;
    futured_info_free(t->info);
    t->info = info;
    return FUTURED_OK;
}

static int sample(struct top *t)
{
    int code = sample_info(t);

    if (code)
        return code;
    top_model_begin(&t->model, clock_mono());
    code = sample_functions(t);
    if (code == FUTURED_OK)
        code = sample_workers(t);
    top_model_end(&t->model);
    t->model.running.n = 0;
    if (code == FUTURED_OK && t->model.totals.running)
        code = sample_list(t, "state = RUNNING", 1, &t->model.running);
    /* What failed may lie on disk, so it is looked for only when there is more of it. */
    if (code == FUTURED_OK && (!t->has_failed || t->failed_seen != t->model.totals.failed)) {
        code = sample_list(t, "state = FAILED AND end_time > -1d", 0, &t->model.failed);
        t->has_failed = code == FUTURED_OK;
        t->failed_seen = t->model.totals.failed;
    }
    return code;
}

static void make_page(struct top *t, size_t width, size_t height)
{
    const struct top_about about = {
            .address = futured_client_address(t->ctl->client),
            .version = t->info ? t->info->version : "",
            .store = t->info ? t->info->store : "",
            .is_draining = t->info && t->info->is_draining,
            .start = t->info ? t->info->start_time_ns : FUTURED_NO_TIME,
            .now = clock_wall(),
    };

    top_page_make(&t->page, &t->model, &t->ui, &about, width, height);
}

/* --- without a terminal */

static void nap(int64_t ns)
{
    const struct timespec span = {.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};

    ppoll(NULL, 0, &span, NULL);
}

static int print(struct top *t)
{
    uint32_t count = t->ctl->options.count;
    FILE *to = t->ctl->out.to;

    for (uint32_t i = 0; !count || i < count; i++) {
        char time[TEXT_TIME_BYTES];

        if (i)
            nap(t->interval_ns);
        if (sample(t))
            return ctl_fail(t->ctl);
        make_page(t, TOP_WIDTH, 0);
        text_time(clock_wall(), time);
        fprintf(to, "%s%s\n", i ? "\n" : "", time);
        for (size_t l = 0; l < t->page.n; l++)
            fprintf(to, "%s\n", t->page.lines[l].text);
        if (fflush(to) == EOF)
            return CTL_FAILED;
    }
    return CTL_OK;
}

/* --- with one */

static volatile sig_atomic_t is_interrupted;

static void on_signal(int number)
{
    is_interrupted = 1;
}

static void draw(struct top *t)
{
    size_t width, height;

    top_screen_size(&width, &height);
    make_page(t, width, height);
    top_screen_draw(&t->page);
}

static void say_failure(struct top *t)
{
    snprintf(t->ui.said, sizeof t->ui.said, "%s", futured_client_status(t->ctl->client)->message);
}

static void act(struct top *t, enum top_action action)
{
    struct futured_future *future = NULL;
    int code;

    if (action == TOP_CANCEL)
        code = futured_cancel(t->ctl->client, t->ui.selected, "futurectl top", -1, &future);
    else
        code = futured_retry(t->ctl->client, t->ui.selected, &future);
    if (code)
        say_failure(t);
    else if (action == TOP_CANCEL)
        snprintf(t->ui.said, sizeof t->ui.said, "%s is asked to end", t->ui.selected);
    else
        snprintf(t->ui.said, sizeof t->ui.said, "retried as %s", future->id);
    futured_future_free(future);
}

/* All keys that wait. 1: the end. */
static int take_keys(struct top *t)
{
    for (int key; (key = top_screen_key()) != TOP_SCREEN_NONE;) {
        enum top_action action = key == TOP_SCREEN_RESIZED ? TOP_DRAW : top_page_key(&t->ui, &t->model, key);

        if (action == TOP_QUIT)
            return 1;
        if (action == TOP_CANCEL || action == TOP_RETRY)
            act(t, action);
        if (action != TOP_NOTHING)
            draw(t);
    }
    return 0;
}

static int show(struct top *t)
{
    uint32_t left = t->ctl->options.count;
    mono_ns_t due = 0;

    for (;;) {
        struct pollfd fd = {.fd = STDIN_FILENO, .events = POLLIN};
        mono_ns_t now = clock_mono();
        struct timespec span;

        if (now >= due) {
            if (sample(t))
                say_failure(t);
            draw(t);
            due = clock_add(clock_mono(), t->interval_ns);
            if (t->ctl->options.count && left-- == 1)
                return CTL_OK;
        }
        now = clock_mono();
        span = (struct timespec){.tv_sec = MAX(due - now, INT64_C(0)) / NS_PER_S,
                                 .tv_nsec = MAX(due - now, INT64_C(0)) % NS_PER_S};
        if (ppoll(&fd, 1, &span, NULL) < 0 && errno != EINTR)
            return CTL_FAILED;
        if (is_interrupted || (fd.revents & (POLLHUP | POLLERR)))
            return CTL_INTERRUPTED;
        if (take_keys(t))
            return CTL_OK;
    }
}

static int on_screen(struct top *t)
{
    const struct sigaction action = {.sa_handler = on_signal};
    int code;

    if (top_screen_init(output_is_colour(t->ctl->out.to)) < 0)
        return print(t); /* a terminal that cannot move its cursor */
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    futured_client_set_timeout(t->ctl->client, ANSWER_NS);
    code = show(t);
    top_screen_deinit();
    return code;
}

static int run(struct ctl *ctl, struct top *t)
{
    const struct options *o = &ctl->options;
    int code;

    *t = (struct top){.ctl = ctl,
                      .interval_ns = o->interval.is_set ? MAX(o->interval.ns, LEAST_NS) : INTERVAL_NS};
    top_model_init(&t->model);
    if (o->n_arguments)
        snprintf(t->ui.filter, sizeof t->ui.filter, "%s", o->arguments[0]);
    if (isatty(STDIN_FILENO) && isatty(fileno(ctl->out.to)))
        code = on_screen(t);
    else
        code = print(t);
    top_model_deinit(&t->model);
    futured_info_free(t->info);
    return code;
}

int cmd_top(struct ctl *ctl)
{
    struct top *t;
    int code = CTL_FAILED;

    if (ctl->options.format != OUTPUT_TEXT) {
        ctl_complain(ctl, "top is for people; for programs there are `futurectl functions --json` and "
                          "`futurectl stats`");
        return CTL_USAGE;
    }
    t = mem_zalloc(sizeof *t);
    if (t)
        code = run(ctl, t);
    else
        ctl_complain(ctl, "out of memory");
    mem_free(t);
    return code;
}
