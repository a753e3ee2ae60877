// SPDX-License-Identifier: Apache-2.0
/* Durations, times and numbers. Dates are those of the proleptic Gregorian calendar; a wall_ns_t holds 1970 to 2262. */
#include "filter/filter.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { YEAR_MIN = 1970, YEAR_MAX = 2261, DECIMAL_BYTES = 64 };

static const struct unit {
    const char *name;
    int64_t ns;
} units[] = {
        {"d", 86400 * NS_PER_S},
        {"h", 3600 * NS_PER_S},
        {"m", 60 * NS_PER_S},
        {"s", NS_PER_S},
        {"ms", NS_PER_MS},
        {"us", NS_PER_US},
        {"ns", 1},
};

static int is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* --- durations */

static const struct unit *find_unit(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (strlen(units[i].name) == n && memcmp(units[i].name, p, n) == 0)
            return &units[i];
    return NULL;
}

/* One number and its unit at *at; it is added to *sum. */
static int add_part(struct span text, size_t *at, int64_t *sum)
{
    size_t begin = *at, point = SIZE_MAX, digits_end, unit_end;
    int64_t whole = 0, part = 0, step;
    const struct unit *unit;

    for (; *at < text.len && (is_digit(text.p[*at]) || (text.p[*at] == '.' && point == SIZE_MAX)); ++*at)
        if (text.p[*at] == '.')
            point = *at;
    digits_end = *at;
    for (unit_end = *at; unit_end < text.len && text.p[unit_end] >= 'a' && text.p[unit_end] <= 'z';
         unit_end++)
        ;
    unit = find_unit(text.p + digits_end, unit_end - digits_end);
    if (!unit || digits_end == begin || point == begin || point + 1 == digits_end)
        return FILTER_E_SYNTAX;
    for (size_t i = begin; i < MIN(point, digits_end); i++)
        if (__builtin_mul_overflow(whole, 10, &whole) ||
            __builtin_add_overflow(whole, text.p[i] - '0', &whole))
            return FILTER_E_SYNTAX;
    step = unit->ns;
    for (size_t i = point == SIZE_MAX ? digits_end : point + 1; i < digits_end; i++) {
        step /= 10;
        part += (text.p[i] - '0') * step;
    }
    *at = unit_end;
    if (__builtin_mul_overflow(whole, unit->ns, &whole) || __builtin_add_overflow(whole, part, &whole) ||
        __builtin_add_overflow(*sum, whole, sum))
        return FILTER_E_SYNTAX;
    return 0;
}

int filter_value_read_span(struct span text, int64_t *ret_ns)
{
    int64_t sum = 0;
    size_t at = 0;

    do {
        if (add_part(text, &at, &sum) != 0)
            return FILTER_E_SYNTAX;
    } while (at < text.len);
    *ret_ns = sum;
    return 0;
}

/* The largest unit that it is a multiple of. */
void filter_value_print_span(int64_t ns, char text[static FILTER_TIME_TEXT_BYTES])
{
    size_t i = 0;

    ASSERT(ns >= 0);
    while (ns % units[i].ns != 0)
        i++;
    if (ns == 0)
        snprintf(text, FILTER_TIME_TEXT_BYTES, "0s");
    else
        snprintf(text, FILTER_TIME_TEXT_BYTES, "%" PRId64 "%s", ns / units[i].ns, units[i].name);
}

/* --- times */

static int64_t days_before(int64_t year, int64_t month, int64_t day)
{
    static const int16_t before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    int64_t y = year - (month <= 2 ? 1 : 0); /* leap days up to now */

    return (year - 1970) * 365 + y / 4 - y / 100 + y / 400 - 477 + before[month - 1] + day - 1;
}

static int days_in(int64_t year, int64_t month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return days[month - 1] + (month == 2 && is_leap);
}

struct reader {
    const uint8_t *p, *end;
    int is_broken;
};

/* @n digits, and the character behind them unless it is 0. */
static int64_t read_number(struct reader *r, int n, char behind)
{
    int64_t v = 0;

    for (; n > 0; n--) {
        if (r->p == r->end || !is_digit(*r->p)) {
            r->is_broken = 1;
            return 0;
        }
        v = v * 10 + (*r->p++ - '0');
    }
    if (behind) {
        if (r->p == r->end || (*r->p | 0x20) != (behind | 0x20))
            r->is_broken = 1;
        else
            r->p++;
    }
    return v;
}

static int64_t read_fraction(struct reader *r)
{
    int64_t ns = 0, step = NS_PER_S;

    if (r->p == r->end || *r->p != '.')
        return 0;
    r->p++;
    r->is_broken |= r->p == r->end || !is_digit(*r->p);
    for (; r->p < r->end && is_digit(*r->p); r->p++) {
        step /= 10;
        ns += (*r->p - '0') * step;
    }
    return ns;
}

/* "Z" or "+HH:MM": seconds east of it. */
static int64_t read_zone(struct reader *r)
{
    int64_t hours, minutes;
    int is_west;

    if (r->p == r->end) {
        r->is_broken = 1;
        return 0;
    }
    if ((*r->p | 0x20) == 'z') {
        r->p++;
        return 0;
    }
    is_west = *r->p == '-';
    r->is_broken |= !is_west && *r->p != '+';
    r->p++;
    hours = read_number(r, 2, ':');
    minutes = read_number(r, 2, 0);
    r->is_broken |= hours > 23 || minutes > 59;
    return (hours * 60 + minutes) * 60 * (is_west ? -1 : 1);
}

static int read_time(struct span text, wall_ns_t *ret)
{
    struct reader r = {text.p, text.p + text.len, 0};
    int64_t year = read_number(&r, 4, '-'), month = read_number(&r, 2, '-'), day = read_number(&r, 2, 0);
    int64_t hour = 0, minute = 0, second = 0, ns = 0, zone = 0;

    if (!r.is_broken && r.p < r.end) {
        r.is_broken |= (*r.p++ | 0x20) != 't';
        hour = read_number(&r, 2, ':');
        minute = read_number(&r, 2, ':');
        second = read_number(&r, 2, 0);
        ns = read_fraction(&r);
        zone = read_zone(&r);
    }
    if (r.is_broken || r.p != r.end || year < YEAR_MIN || year > YEAR_MAX || month < 1 || month > 12 ||
        day < 1 || day > days_in(year, month) || hour > 23 || minute > 59 || second > 60)
        return FILTER_E_SYNTAX;
    second += days_before(year, month, day) * 86400 + hour * 3600 + minute * 60 - zone;
    *ret = MAX(second * NS_PER_S + ns, INT64_C(0));
    return 0;
}

int filter_value_read_time(struct span text, wall_ns_t now, wall_ns_t *ret)
{
    int64_t ns;

    if (text.len < 2 || text.p[0] != '-')
        return read_time(text, ret);
    if (filter_value_read_span((struct span){text.p + 1, text.len - 1}, &ns) != 0)
        return FILTER_E_SYNTAX;
    *ret = MAX(now - ns, INT64_C(0));
    return 0;
}

void filter_value_print_time(wall_ns_t t, char text[static FILTER_TIME_TEXT_BYTES])
{
    int64_t days = t / (86400 * NS_PER_S), second = t / NS_PER_S % 86400, ns = t % NS_PER_S, year, month = 1;
    int n;

    ASSERT(t >= 0);
    year = YEAR_MIN + days / 366;
    while (days_before(year + 1, 1, 1) <= days)
        year++;
    days -= days_before(year, 1, 1);
    for (; days >= days_in(year, month); month++)
        days -= days_in(year, month);
    n = snprintf(text, FILTER_TIME_TEXT_BYTES,
                 "%04" PRId64 "-%02" PRId64 "-%02" PRId64 "T%02" PRId64 ":%02" PRId64 ":%02" PRId64, year,
                 month, days + 1, second / 3600, second / 60 % 60, second % 60);
    ASSERT(n > 0 && n < FILTER_TIME_TEXT_BYTES - 12);
    if (ns)
        n += snprintf(text + n, (size_t)(FILTER_TIME_TEXT_BYTES - n), ".%09" PRId64, ns);
    snprintf(text + n, (size_t)(FILTER_TIME_TEXT_BYTES - n), "Z");
}

/* --- numbers */

int filter_value_read_decimal(struct span text, double *ret)
{
    char copy[DECIMAL_BYTES], *end;

    if (text.len == 0 || text.len >= sizeof copy)
        return 0;
    memcpy(copy, text.p, text.len);
    copy[text.len] = '\0';
    if (strspn(copy, "0123456789+-.eE") != text.len) /* neither "inf" nor hexadecimal */
        return 0;
    *ret = strtod(copy, &end);
    return end == copy + text.len;
}
