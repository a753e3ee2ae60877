// SPDX-License-Identifier: Apache-2.0
#include "daemon/reloader.h"

#include "base/log.h"
#include "daemon/config_change.h"

#include <errno.h>
#include <string.h>

void reloader_init(struct reloader *r, const struct config *first)
{
    *r = (struct reloader){.config = first};
    list_init(&r->parts);
}

void reloader_deinit(struct reloader *r)
{
    r->own = config_free(r->own);
}

void reloader_add(struct reloader *r, struct reloader_part *part)
{
    list_push_back(&r->parts, &part->link);
}

/* The first @n parts. */
static void abandon(const struct reloader *r, uint32_t n)
{
    LIST_FOREACH (l, &r->parts) {
        const struct reloader_part *part = LIST_ENTRY(l, struct reloader_part, link);

        if (n-- == 0)
            return;
        if (part->abandon)
            part->abandon(part->arg);
    }
}

/* *ret_n: how many have prepared. The first result that is not 0. */
static int prepare(const struct reloader *r, const struct config *next, struct buf *wrong, uint32_t *ret_n)
{
    uint32_t n = 0;
    int e = 0;

    LIST_FOREACH (l, &r->parts) {
        const struct reloader_part *part = LIST_ENTRY(l, struct reloader_part, link);

        e = part->prepare ? part->prepare(part->arg, next, wrong) : 0;
        if (e != 0)
            break;
        n++;
    }
    *ret_n = n;
    return e;
}

static int find_plugins(const struct reloader *r, const struct config *next, struct buf *ret)
{
    int e = 0;

    LIST_FOREACH (l, &r->parts) {
        const struct reloader_part *part = LIST_ENTRY(l, struct reloader_part, link);

        if (e == 0 && part->plugins)
            e = part->plugins(part->arg, next, ret);
    }
    return e;
}

static void apply(struct reloader *r, struct config *next)
{
    LIST_FOREACH (l, &r->parts) {
        const struct reloader_part *part = LIST_ENTRY(l, struct reloader_part, link);

        part->apply(part->arg, next);
    }
    r->config = next;
    config_free(r->own);
    r->own = next;
}

/* Lines become texts that end with a NUL. */
static void split(struct buf *lines)
{
    char *text = (char *)buf_head(lines);

    for (size_t i = 0; i < buf_len(lines); i++)
        if (text[i] == '\n')
            text[i] = '\0';
}

static uint64_t n_beyond(const struct config_names *names)
{
    return names->n > CONFIG_NAMES_MAX ? names->n - CONFIG_NAMES_MAX : 0;
}

/* The names are the report's from now on. */
static void report_changes(struct config_changes *changes, struct reload_report *ret)
{
    ret->changed = changes->changed.text;
    ret->needs_restart = changes->needs_restart.text;
    ret->n_omitted = n_beyond(&changes->changed) + n_beyond(&changes->needs_restart);
    *changes = (struct config_changes){0};
}

static void log_wrong(const struct buf *wrong)
{
    for (const char *line = NULL; (line = reload_text_next(wrong, line));)
        LOG_EVENT(LOG_ERROR, "configuration_wrong", LOG_STR("text", line));
    LOG_EVENT(LOG_ERROR, "not_reloaded", LOG_STR("hint", "nothing has changed; mend it and reload again"));
}

static void log_reloaded(const struct reload_report *report, struct span who)
{
    char by[256];

    snprintf(by, sizeof by, "%.*s", (int)MIN(who.len, sizeof by - 1), who.len ? (const char *)who.p : "");
    for (const char *name = NULL; (name = reload_text_next(&report->needs_restart, name));)
        LOG_EVENT(LOG_WARNING, "needs_restart", LOG_STR("setting", name));
    for (const char *name = NULL; (name = reload_text_next(&report->changed, name));)
        LOG_EVENT(LOG_INFO, "setting_changed", LOG_STR("setting", name));
    for (const char *name = NULL; (name = reload_text_next(&report->plugins, name));)
        LOG_EVENT(LOG_INFO, "plugin_changed", LOG_STR("plugin", name));
    LOG_EVENT(LOG_NOTICE, "reloaded", LOG_STR("principal", by));
}

/* As reloader_run, of @next, which is taken where that is 0 and not @is_dry. */
static int run(struct reloader *r, struct config *next, int is_dry, struct reload_report *ret)
{
    struct config_changes changes;
    uint32_t n_prepared = 0;
    int e = config_change(r->config, next, &changes);

    report_changes(&changes, ret);
    if (e == 0)
        e = find_plugins(r, next, &ret->plugins);
    if (e == 0)
        e = prepare(r, next, &ret->wrong, &n_prepared);
    if (e == 0 && !is_dry)
        apply(r, next);
    else
        abandon(r, n_prepared);
    return e;
}

int reloader_run(struct reloader *r, int is_dry, struct span who, struct reload_report *ret)
{
    struct config *next = NULL;
    int e = config_again(r->config, &next, &ret->wrong);

    if (e == 0)
        e = run(r, next, is_dry, ret);
    if (e != 0 || is_dry)
        config_free(next);
    split(&ret->wrong);
    if (e < 0) {
        LOG_EVENT(LOG_ERROR, "not_reloaded", LOG_ERRNO(e));
        return RELOAD_E_MEMORY;
    }
    if (e > 0) {
        log_wrong(&ret->wrong);
        return RELOAD_E_WRONG;
    }
    if (!is_dry)
        log_reloaded(ret, who);
    return 0;
}
