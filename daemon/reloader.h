// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * The configuration that holds, and another one in its place. Whoever keeps something of the configuration registers a part:
 * all parts prepare, each may refuse, and only then all apply. So a configuration that is wrong changes nothing.
 */
#include "base/list.h"
#include "daemon/config.h"
#include "service/reload.h"

/* prepare: load and check what @next names, beside what is in use: 0; > 0: it is wrong, and lines of config_error or
 * their like, each with a newline, were added to @wrong; -ENOMEM. apply: from now on @next holds, and it lives until the one
 * after it has been applied. abandon: what was prepared is not used. Each but apply may be NULL. */
struct reloader_part {
    struct list link;
    int (*prepare)(void *arg, const struct config *next, struct buf *wrong);
    void (*apply)(void *arg, const struct config *next);
    void (*abandon)(void *arg);
    /* Names, each with a NUL, of plugins that are to be loaded anew. 0, -ENOMEM. */
    int (*plugins)(void *arg, const struct config *next, struct buf *ret);
    void *arg;
};

struct reloader {
    const struct config *config; /* that holds */
    struct config *own;          /* it, where it is not the first */
    struct list parts;           /* of struct reloader_part.link, in the order of reloader_add */
};

/* reloader_init: @first is borrowed. reloader_deinit: after all parts are gone. */
void reloader_init(struct reloader *r, const struct config *first);
void reloader_deinit(struct reloader *r);

/* reloader_add: @part, which stays the caller's and lives as long as @r. */
void reloader_add(struct reloader *r, struct reloader_part *part);

/* reloader_run: read the configuration anew and, unless @is_dry, apply it. @who for the log, which says what came of it.
 *   Return: 0; RELOAD_E_WRONG; RELOAD_E_MEMORY: nothing has changed. */
MUST_CHECK int reloader_run(struct reloader *r, int is_dry, struct span who, struct reload_report *ret);
