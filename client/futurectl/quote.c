// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/quote.h"

#include "client/futurectl/text.h"

#include <ctype.h>
#include <string.h>

/* What means nothing to any shell. */
static int is_plain(uint8_t c)
{
    return isalnum(c) || (c && strchr("_-./:=@%+,", c)) || c >= 0x80;
}

static int is_all(struct span s, int (*is)(uint8_t c))
{
    for (size_t i = 0; i < s.len; i++)
        if (!is(s.p[i]))
            return 0;
    return 1;
}

static int is_shown(uint8_t c)
{
    return c >= 0x20 && c != 0x7f;
}

static void put_escaped(FILE *to, struct span s)
{
    fputs("$'", to);
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.p[i];

        if (c == '\'' || c == '\\')
            fprintf(to, "\\%c", c);
        else if (c == '\n' || c == '\t')
            fputs(c == '\n' ? "\\n" : "\\t", to);
        else if (c < 0x20 || c >= 0x7f)
            fprintf(to, "\\x%02x", c);
        else
            fputc(c, to);
    }
    fputc('\'', to);
}

void quote_put(FILE *to, struct span s)
{
    if (!is_all(s, is_shown) || !text_is_printable(s)) {
        put_escaped(to, s);
    } else if (s.len && is_all(s, is_plain)) {
        fwrite(s.p, 1, s.len, to);
    } else {
        fputc('\'', to);
        for (size_t i = 0; i < s.len; i++)
            fputs(s.p[i] == '\'' ? "'\\''" : (const char[]){(char)s.p[i], '\0'}, to);
        fputc('\'', to);
    }
}
