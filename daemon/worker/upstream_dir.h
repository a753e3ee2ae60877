// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * The outcomes of upstreams as files, for a command: in a directory of its own the result of the n-th, from 0 on, is the file
 * "n"; of one that did not succeed there is "n.error" instead, "REASON: message" and a newline.
 */
#include "attach/upstream.h"

#include <limits.h>

enum {
    UPSTREAM_DIR_BYTES = PATH_MAX,
    UPSTREAM_DIR_DEPTH_MAX = 100, /* of directories that a command has made in it; what is deeper stays */
};

/* upstream_dir_make: in $TMPDIR, else /tmp; mode 0700.
 *   Return: 0: @path is it, upstream_dir_remove; -errno: there is none, and @path is "". */
MUST_CHECK int upstream_dir_make(const struct upstream_list *list, char path[static UPSTREAM_DIR_BYTES]);

/* upstream_dir_remove: with all that is in it. upstream_dir_remove_stale: those of workers that are gone. */
void upstream_dir_remove(const char *path);
void upstream_dir_remove_stale(void);
