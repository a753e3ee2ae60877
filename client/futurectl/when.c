// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/when.h"

#include "filter/filter.h"

#include <string.h>
#include <time.h>

/* Local time from @tm, whose day may be one too far; < 0: there is none. */
static wall_ns_t from_local(struct tm *tm)
{
    time_t seconds;

    tm->tm_isdst = -1;
    seconds = mktime(tm);
    return seconds < 0 ? -1 : (wall_ns_t)seconds * NS_PER_S;
}

static int read_local(const char *text, struct tm *tm)
{
    static const char *const formats[] = {"%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S",
                                          "%Y-%m-%dT%H:%M", "%Y-%m-%d"};

    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        const char *end;

        *tm = (struct tm){0};
        end = strptime(text, formats[i], tm);
        if (end && !*end)
            return 1;
    }
    return 0;
}

/* Hours and minutes alone: of today, or of tomorrow where that has passed. */
static wall_ns_t read_clock(const char *text, wall_ns_t now)
{
    static const char *const formats[] = {"%H:%M:%S", "%H:%M"};
    time_t seconds = (time_t)(now / NS_PER_S);

    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        struct tm tm;
        const char *end;
        wall_ns_t t;

        if (!localtime_r(&seconds, &tm))
            return -1;
        tm.tm_sec = 0;
        end = strptime(text, formats[i], &tm);
        if (!end || *end)
            continue;
        t = from_local(&tm);
        if (t >= 0 && t <= now) {
            tm.tm_mday++;
            t = from_local(&tm);
        }
        return t;
    }
    return -1;
}

int when_parse(const char *text, wall_ns_t now, wall_ns_t *ret)
{
    struct tm tm;
    wall_ns_t t = read_local(text, &tm) ? from_local(&tm) : read_clock(text, now);

    if (t < 0 && (text[0] == '-' || filter_value_read_time(span_of_string(text), now, &t) != 0))
        return WHEN_E_SYNTAX;
    *ret = t;
    return 0;
}
