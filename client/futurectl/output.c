// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/output.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int output_is_colour(FILE *to)
{
    const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");

    return isatty(fileno(to)) && (!no_color || !*no_color) && term && strcmp(term, "dumb") != 0;
}

void output_init(struct output *out, enum output_format format, FILE *to)
{
    *out = (struct output){
            .ops = format == OUTPUT_TEXT ? &output_text_ops : &output_json_ops,
            .to = to,
            .is_colour = format == OUTPUT_TEXT && output_is_colour(to),
            .is_line = format == OUTPUT_JSONL,
    };
}

int output_close(struct output *out)
{
    if (fflush(out->to) == EOF || ferror(out->to))
        return errno ? -errno : -EIO;
    return out->failed ? OUTPUT_E_MEMORY : 0;
}
