// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * System.Reload: the configuration is read anew by whoever knows how; here are the calls, which wait until what has
 * changed is in use. Bounded: RELOAD_CALLS_MAX of those.
 */
#include "base/buf.h"
#include "base/list.h"
#include "grpc/messages.h"
#include "grpc/server.h"

enum { RELOAD_CALLS_MAX = 64 };

/* What came of it. Each of the texts is a row of names, or of lines, that end with a NUL. */
struct reload_report {
    struct buf changed, needs_restart, plugins;
    struct buf wrong;   /* lines about what is wrong with the configuration */
    uint64_t n_omitted; /* names that have no room in the first two */
};
void reload_report_deinit(struct reload_report *report);

/* reload_text_next: the text behind @text in @texts, the first one for NULL; NULL: there is none. */
const char *reload_text_next(const struct buf *texts, const char *text);

enum { RELOAD_E_WRONG = 1, RELOAD_E_EXITS, RELOAD_E_MEMORY };
struct reload_world {
    /* Read, and unless @is_dry apply. 0; RELOAD_E_WRONG (report.wrong says what; nothing has changed); RELOAD_E_EXITS: it is
     * too late; RELOAD_E_MEMORY. */
    int (*reload)(void *context, int is_dry, struct span who, struct reload_report *ret);
    /* Whether all that was changed is in use, or will not be for now. */
    int (*is_settled)(void *context);
    void *context;
};

struct reload {
    struct reload_world world;
    struct list calls; /* of struct reload_call.link */
    uint32_t n_calls;
    struct grpc_method methods[1];
};

/* reload_init: reload_deinit is after the connections. */
void reload_init(struct reload *r, const struct reload_world *world);
void reload_deinit(struct reload *r);

/* reload_methods: the rows for grpc_server_add. */
const struct grpc_method *reload_methods(const struct reload *r, size_t *ret_n);

/* reload_tick: answer the calls whose wait is over. Once a turn. */
void reload_tick(struct reload *r);
