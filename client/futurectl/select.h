// SPDX-License-Identifier: Apache-2.0
#pragma once
/* Which futures the command line names: IDs, which may be cut short, --group or --filter. */
#include "base/id.h"
#include "client/futurectl/ctl.h"

/* select_id: the ID that @word stands for, in *ret: @word itself, or, where it is the beginning of one (4 to 35 characters),
 * the only future's whose ID begins so, in @text. What is no ID at all is left to the daemon to refuse.
 * Return: CTL_OK, or another exit status, with the complaint made. */
enum { SELECT_PREFIX_MIN = 4 };
MUST_CHECK int select_id(struct ctl *ctl, const char *word, char text[static ID_TEXT_LEN + 1],
                         const char **ret);

/* select_bounds: the least and the greatest ID that begins with @prefix. 0; SELECT_E_NO_PREFIX: no ID does. */
enum { SELECT_E_NO_PREFIX = 1 };
MUST_CHECK int select_bounds(const char *prefix, char least[static ID_TEXT_LEN + 1],
                             char greatest[static ID_TEXT_LEN + 1]);

struct selection {
    struct futured_selector selector;
    const char **ids;
    char (*texts)[ID_TEXT_LEN + 1];
};

/* select_init: what the arguments, --group and --filter name, exactly one of them; @everything, a filter, where none is given
 *   (NULL: that is wrong).
 *   Owns:   the caller, select_deinit, whatever it returned.
 *   Return: as select_id. */
MUST_CHECK int select_init(struct ctl *ctl, const char *everything, struct selection *ret);
void select_deinit(struct selection *s);
