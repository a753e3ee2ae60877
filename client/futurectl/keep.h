// SPDX-License-Identifier: Apache-2.0
#pragma once
/* Results as files, laid out as those of GNU parallel's --results: DIR/1/ITEM/stdout, stderr and seq. */
#include "base/bytes.h"

struct keep_entry {
    uint64_t seq;
    struct span item, result, error;
};

/* keep_name: @item as the name of a folder: / is \_, \ is \\, a tab \t, a newline \n, a NUL \0; `.` and `..` begin with a backslash;
 * what is longer than KEEP_NAME_BYTES is cut, and ends with a hash of the whole. */
enum { KEEP_NAME_BYTES = 200 };
void keep_name(struct span item, char name[static KEEP_NAME_BYTES + 1]);

/* keep_put: write the three files below @dir, made where they are not there. 0, -errno. */
MUST_CHECK int keep_put(const char *dir, const struct keep_entry *e);
