// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/text.h"

#include "base/utf8.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

/* The bytes of the character at @p, 0 when it is not valid UTF-8. */
static size_t char_len(const uint8_t *p, size_t n)
{
    for (size_t len = 1; len <= 4 && len <= n; len++)
        if (utf8_is_valid(p, len))
            return len;
    return 0;
}

/* C0, DEL and, in two bytes of UTF-8, C1. */
static int is_control(const uint8_t *p, size_t len)
{
    return (len == 1 && (*p < 0x20 || *p == 0x7f)) || (len == 2 && p[0] == 0xc2 && p[1] < 0xa0);
}

void text_put(FILE *to, struct span s, size_t max_bytes)
{
    size_t end = max_bytes && s.len > max_bytes ? max_bytes : s.len, i = 0;

    while (i < end) {
        size_t len = char_len(s.p + i, s.len - i);

        if (len > end - i)
            break;
        if (len && !is_control(s.p + i, len))
            fwrite(s.p + i, 1, len, to);
        else if (s.p[i] == '\n')
            fputs("\\n", to);
        else if (s.p[i] == '\t')
            fputs("\\t", to);
        else
            for (size_t k = 0; k < (len ? len : 1); k++)
                fprintf(to, "\\x%02x", s.p[i + k]);
        i += len ? len : 1;
    }
    if (i < s.len)
        fputs("...", to);
}

void text_put_string(FILE *to, const char *s)
{
    text_put(to, span_of_string(s), 0);
}

int text_is_printable(struct span s)
{
    size_t len;

    if (!utf8_is_valid(s.p, s.len))
        return 0;
    for (size_t i = 0; i < s.len; i += len) {
        len = char_len(s.p + i, s.len - i);
        if (is_control(s.p + i, len) && s.p[i] != '\n' && s.p[i] != '\r' && s.p[i] != '\t')
            return 0;
    }
    return 1;
}

void text_time(wall_ns_t t, char text[static TEXT_TIME_BYTES])
{
    time_t seconds = (time_t)(t / NS_PER_S);
    char offset[8];
    struct tm tm;
    size_t n;

    if (t < 0 || !localtime_r(&seconds, &tm)) {
        snprintf(text, TEXT_TIME_BYTES, "%" PRId64 " ns", t);
        return;
    }
    n = strftime(text, TEXT_TIME_BYTES, "%Y-%m-%d %H:%M:%S", &tm);
    strftime(offset, sizeof offset, "%z", &tm);
    snprintf(text + n, TEXT_TIME_BYTES - n, ".%03d %s", (int)(t % NS_PER_S / NS_PER_MS), offset);
}

void text_size(uint64_t n, char text[static TEXT_SIZE_BYTES])
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
    double v = (double)n / 1024;
    size_t i = 0;

    if (n < 1024) {
        snprintf(text, TEXT_SIZE_BYTES, "%" PRIu64 " byte%s", n, n == 1 ? "" : "s");
        return;
    }
    while (v >= 1024 && i + 1 < ARRAY_LEN(units)) {
        v /= 1024;
        i++;
    }
    snprintf(text, TEXT_SIZE_BYTES, "%.1f %s", v, units[i]);
}

void text_signal(int number, char text[static TEXT_SIGNAL_BYTES])
{
    const char *name = sigabbrev_np(number);

    if (name)
        snprintf(text, TEXT_SIGNAL_BYTES, "SIG%s", name);
    else
        snprintf(text, TEXT_SIGNAL_BYTES, "signal %d", number);
}
