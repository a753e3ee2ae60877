// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/duration.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct unit {
    char name[3];
    int64_t ns;
} units[] = {
        {"ns", 1},
        {"us", NS_PER_US},
        {"ms", NS_PER_MS},
        {"s", NS_PER_S},
        {"m", 60 * NS_PER_S},
        {"h", 3600 * NS_PER_S},
        {"d", 86400 * NS_PER_S},
};

static const struct unit *find_unit(const char *name, size_t n)
{
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (strlen(units[i].name) == n && memcmp(units[i].name, name, n) == 0)
            return &units[i];
    return NULL;
}

/* A decimal number times @unit_ns, exactly as far as nanoseconds go. */
static int scale(const char *digits, size_t n, int64_t unit_ns, int64_t *ret)
{
    int64_t whole = 0, part = 0, step = unit_ns;
    size_t i = 0;

    for (; i < n && digits[i] != '.'; i++)
        if (__builtin_mul_overflow(whole, 10, &whole) ||
            __builtin_add_overflow(whole, digits[i] - '0', &whole))
            return DURATION_E_RANGE;
    if (__builtin_mul_overflow(whole, unit_ns, &whole))
        return DURATION_E_RANGE;
    for (i++; i < n; i++) {
        step /= 10; /* of a day, 10 digits are exact; more are below a nanosecond */
        part += (digits[i] - '0') * step;
    }
    return __builtin_add_overflow(whole, part, ret) ? DURATION_E_RANGE : 0;
}

/* The length of a number at @s: digits, and perhaps a point and digits. 0: none. */
static size_t number_len(const char *s)
{
    size_t whole = strspn(s, "0123456789"), part;

    if (whole == 0 || s[whole] != '.')
        return whole;
    part = strspn(s + whole + 1, "0123456789");
    return part ? whole + 1 + part : 0;
}

int duration_parse(const char *text, int64_t *ret_ns)
{
    int64_t sum = 0, ns;
    const char *s = text;

    do {
        size_t n = number_len(s), n_unit = strcspn(s + n, "0123456789.");
        const struct unit *unit = find_unit(s + n, n_unit);
        int r;

        if (n_unit == 0 && s == text && s[n] == '\0')
            unit = find_unit("s", 1);
        if (n == 0 || !unit)
            return DURATION_E_SYNTAX;
        r = scale(s, n, unit->ns, &ns);
        if (r || __builtin_add_overflow(sum, ns, &sum))
            return DURATION_E_RANGE;
        s += n + n_unit;
    } while (*s);
    *ret_ns = sum;
    return 0;
}

/* Three digits of ns / unit, without trailing zeros. */
static void format_decimal(int64_t ns, int64_t unit, const char *name, char *text)
{
    int64_t milli = ns / (unit / 1000); /* thousandths of the unit */
    int decimals = milli < 10000 ? 2 : milli < 100000 ? 1 : 0;
    int64_t step = decimals == 2 ? 10 : decimals == 1 ? 100 : 1000, part;

    milli -= milli % step;
    part = milli % 1000 / step;
    while (decimals && part % 10 == 0) {
        part /= 10;
        decimals--;
    }
    if (decimals)
        snprintf(text, DURATION_TEXT_BYTES, "%" PRId64 ".%0*" PRId64 " %s", milli / 1000, decimals, part,
                 name);
    else
        snprintf(text, DURATION_TEXT_BYTES, "%" PRId64 " %s", milli / 1000, name);
}

/* The two largest of days, hours, minutes and seconds. */
static void format_pair(int64_t seconds, char *text)
{
    static const struct {
        int64_t seconds;
        const char *name;
    } steps[] = {{86400, "d"}, {3600, "h"}, {60, "m"}, {1, "s"}};
    size_t i = 0;
    int64_t rest;

    while (seconds < steps[i].seconds)
        i++;
    rest = seconds % steps[i].seconds;
    if (i + 1 < ARRAY_LEN(steps) && rest / steps[i + 1].seconds)
        snprintf(text, DURATION_TEXT_BYTES, "%" PRId64 " %s %" PRId64 " %s", seconds / steps[i].seconds,
                 steps[i].name, rest / steps[i + 1].seconds, steps[i + 1].name);
    else
        snprintf(text, DURATION_TEXT_BYTES, "%" PRId64 " %s", seconds / steps[i].seconds, steps[i].name);
}

void duration_format(int64_t ns, char text[static DURATION_TEXT_BYTES])
{
    if (ns < 0)
        snprintf(text, DURATION_TEXT_BYTES, "-");
    else if (ns < NS_PER_US)
        snprintf(text, DURATION_TEXT_BYTES, "%" PRId64 " ns", ns);
    else if (ns < NS_PER_MS)
        format_decimal(ns, NS_PER_US, "us", text);
    else if (ns < NS_PER_S)
        format_decimal(ns, NS_PER_MS, "ms", text);
    else if (ns < 60 * NS_PER_S)
        format_decimal(ns, NS_PER_S, "s", text);
    else
        format_pair(ns / NS_PER_S, text);
}
