// SPDX-License-Identifier: Apache-2.0
#pragma once
/* When a map ends before all of it is done, as --halt of GNU parallel says it: `now,fail=1`, `soon,fail=10%`, `now,success=1`. */
#include "base/err.h"

#include <stdint.h>

enum halt_when { HALT_NEVER, HALT_SOON, HALT_NOW };

struct halt {
    enum halt_when when; /* SOON: what was submitted is waited for. NOW: it is cancelled */
    int on_success;      /* counted is what has succeeded; else what has failed */
    int is_percent;      /* n is a share of what is done, from the third on */
    uint64_t n;
};

/* halt_parse: `never`, or now|soon,fail|success=N|N%. 0; HALT_E_SYNTAX. */
enum { HALT_E_SYNTAX = 1 };
MUST_CHECK int halt_parse(const char *text, struct halt *ret);

/* halt_is_due: whether it ends with @n_succeeded and @n_failed items done. */
int halt_is_due(const struct halt *halt, uint64_t n_succeeded, uint64_t n_failed);
