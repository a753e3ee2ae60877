// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What a reload changes: one configuration against another, key by key. */
#include "daemon/config.h"

enum { CONFIG_NAMES_MAX = 1000 };

/* Names, each with a NUL: "section.key", "function.NAME.key", "function.NAME" for one that has come or gone, or
 * "principal.NAME". Beyond
 * CONFIG_NAMES_MAX they are only counted. */
struct config_names {
    struct buf text;
    uint32_t n;
};

struct config_changes {
    struct config_names changed, needs_restart;
};
void config_change_deinit(struct config_changes *changes);

/* config_change: how @next differs from @now. What needs a restart is in @next as it is in @now afterwards: it belongs to the first
 * of a chain of configurations, which must outlive them all. 0, -ENOMEM (@ret is to be freed all the same). */
MUST_CHECK int config_change(const struct config *now, struct config *next, struct config_changes *ret);

/* config_change_each_gone: @on_gone for each function of @now that is none of @next. 0, -ENOMEM. */
MUST_CHECK int config_change_each_gone(const struct config *now, const struct config *next,
                                       void (*on_gone)(void *arg, const struct config_function *f),
                                       void *arg);

/* config_change_add_name: one more name. 0, -ENOMEM. */
MUST_CHECK int config_change_add_name(struct config_names *names, const char *format, ...) PRINTF_LIKE(2, 3);
