// SPDX-License-Identifier: Apache-2.0
#include "service/reload.h"

#include "base/mem.h"
#include "engine/right.h"
#include "service/caller.h"
#include "service/convert.h"
#include "service/request.h"

#include <stdio.h>
#include <string.h>

enum { CHANGED = 1, NEEDS_RESTART = 2, PLUGINS = 3, OMITTED = 4 };

struct reload_request {
    uint64_t dry_run;
};
static const struct codec_row reload_rows[] = {CODEC_ROW(1, CODEC_UINT, struct reload_request, dry_run)};
static const struct codec_table reload_table = {reload_rows, ARRAY_LEN(reload_rows)};

struct reload_call {
    struct list link;
    struct grpc_call *call;
    struct reload_report report;
};

void reload_report_deinit(struct reload_report *report)
{
    buf_deinit(&report->changed);
    buf_deinit(&report->needs_restart);
    buf_deinit(&report->plugins);
    buf_deinit(&report->wrong);
}

const char *reload_text_next(const struct buf *texts, const char *text)
{
    const char *first = (const char *)buf_head(texts), *end = first + buf_len(texts);
    const char *next = text ? text + strlen(text) + 1 : first;

    return next < end ? next : NULL;
}

static void put_texts(struct writer *w, uint32_t number, const struct buf *texts)
{
    for (const char *text = NULL; (text = reload_text_next(texts, text));)
        writer_text(w, number, text);
}

static void answer(const struct reload_call *c)
{
    struct writer w = writer_to(grpc_call_begin(c->call));

    if (w.out) {
        put_texts(&w, CHANGED, &c->report.changed);
        put_texts(&w, NEEDS_RESTART, &c->report.needs_restart);
        put_texts(&w, PLUGINS, &c->report.plugins);
        writer_uint(&w, OMITTED, c->report.n_omitted);
    }
    if (!w.out || w.failed) {
        if (w.out)
            grpc_call_undo(c->call);
        grpc_call_fail(c->call, convert_no_memory(&(struct grpc_status){0}));
        return;
    }
    grpc_call_end(c->call);
    grpc_call_finish(c->call);
}

void reload_tick(struct reload *r)
{
    if (LIKELY(list_is_empty(&r->calls)) || !r->world.is_settled(r->world.context))
        return;
    LIST_FOREACH_SAFE (l, &r->calls) {
        struct reload_call *c = LIST_ENTRY(l, struct reload_call, link);

        list_del(&c->link);
        answer(c);
    }
}

/* All of it in the message, as far as there is room, and the first lines one by one. */
static struct grpc_status *say_wrong(struct grpc_status *st, const struct buf *wrong)
{
    const char *line = reload_text_next(wrong, NULL);
    char text[STATUS_MESSAGE_MAX_BYTES + 1] = "";
    size_t n = 0;

    for (const char *at = line; at && n < sizeof text - 1; at = reload_text_next(wrong, at))
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", n ? "; " : "", at);
    status_set(st, GRPC_FAILED_PRECONDITION, "INVALID_CONFIGURATION",
               "nothing has changed, since the configuration is wrong: %s", text);
    return status_set_precondition(st, "CONFIGURATION", line ? line : "");
}

static void refuse(struct grpc_call *call, int e, const struct reload_report *report)
{
    struct grpc_status st;

    switch (e) {
    case RELOAD_E_WRONG: say_wrong(&st, &report->wrong); break;
    case RELOAD_E_EXITS:
        status_set(&st, GRPC_FAILED_PRECONDITION, "EXITING", "the daemon exits; that cannot be undone");
        status_set_precondition(&st, "STATE", "drain");
        break;
    default: convert_no_memory(&st); break;
    }
    grpc_call_fail(call, &st);
}

static struct reload_call *new_call(struct reload *r, struct grpc_call *call)
{
    struct grpc_status st;
    struct reload_call *c;

    if (r->n_calls >= RELOAD_CALLS_MAX) {
        status_set(&st, GRPC_RESOURCE_EXHAUSTED, "TOO_MANY_RELOADS", "%d calls of Reload wait already",
                   RELOAD_CALLS_MAX);
        grpc_call_fail(call,
                       status_set_retry(status_set_quota(&st, "calls", "calls of Reload that wait"), 1000));
        return NULL;
    }
    c = mem_zalloc(sizeof *c);
    if (!c) {
        grpc_call_fail(call, convert_no_memory(&st));
        return NULL;
    }
    c->call = call;
    list_init(&c->link);
    grpc_call_set_user(call, c);
    r->n_calls++;
    return c;
}

static void on_reload(struct grpc_call *call, struct span message)
{
    struct reload *r = grpc_call_context(call);
    struct reload_request m = {0};
    struct grpc_status st;
    struct reload_call *c;
    int e;

    if (request_read(&reload_table, message, &m, &st)) {
        grpc_call_fail(call, &st);
        return;
    }
    c = new_call(r, call);
    if (!c)
        return;
    e = r->world.reload(r->world.context, m.dry_run != 0, caller_name(call), &c->report);
    if (e)
        refuse(call, e, &c->report);
    else if (m.dry_run)
        answer(c);
    else
        list_push_back(&r->calls, &c->link); /* this turn's reload_tick answers what need not wait */
}

static void on_done(struct grpc_call *call, enum grpc_end end)
{
    struct reload *r = grpc_call_context(call);
    struct reload_call *c = grpc_call_user(call);

    if (!c)
        return;
    list_del(&c->link);
    r->n_calls--;
    reload_report_deinit(&c->report);
    mem_free(c);
}

static const struct grpc_handler reload_handler = {.on_message = on_reload, .on_done = on_done};

void reload_init(struct reload *r, const struct reload_world *world)
{
    *r = (struct reload){.world = *world};
    list_init(&r->calls);
    r->methods[0] =
            (struct grpc_method){"/futured.v1.System/Reload", GRPC_UNARY, &reload_handler, r, RIGHT_ADMIN};
}

void reload_deinit(struct reload *r)
{
    ASSERT(r->n_calls == 0);
}

const struct grpc_method *reload_methods(const struct reload *r, size_t *ret_n)
{
    *ret_n = ARRAY_LEN(r->methods);
    return r->methods;
}
