// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/halt.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { PERCENT_FROM = 3 /* with fewer a share says nothing */ };

/* Move *@text behind @word, where it begins with it. */
static int skip(const char **text, const char *word)
{
    size_t n = strlen(word);

    if (strncmp(*text, word, n) != 0)
        return 0;
    *text += n;
    return 1;
}

int halt_parse(const char *text, struct halt *ret)
{
    struct halt halt = {0};
    char *end;

    *ret = halt;
    if (strcmp(text, "never") == 0)
        return 0;
    if (skip(&text, "now,"))
        halt.when = HALT_NOW;
    else if (skip(&text, "soon,"))
        halt.when = HALT_SOON;
    else
        return HALT_E_SYNTAX;
    halt.on_success = skip(&text, "success=");
    if ((!halt.on_success && !skip(&text, "fail=")) || !isdigit((unsigned char)*text))
        return HALT_E_SYNTAX;
    halt.n = strtoull(text, &end, 10);
    halt.is_percent = *end == '%';
    if (halt.n == 0 || (halt.is_percent && halt.n > 100) || end[halt.is_percent])
        return HALT_E_SYNTAX;
    *ret = halt;
    return 0;
}

int halt_is_due(const struct halt *halt, uint64_t n_succeeded, uint64_t n_failed)
{
    uint64_t n = halt->on_success ? n_succeeded : n_failed, n_done = n_succeeded + n_failed;

    if (halt->when == HALT_NEVER || n == 0)
        return 0;
    if (!halt->is_percent)
        return n >= halt->n;
    return n_done >= PERCENT_FROM && (double)n * 100 >= (double)halt->n * (double)n_done;
}
