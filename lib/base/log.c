// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include "base/utf8.h"

#include <inttypes.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static _Atomic int max_level = LOG_INFO;
/* Set once by log_configure before the second thread exists, read-only after that. */
static log_sink_fn log_sink = log_to_stderr;

static const struct {
    const char *name;
    enum log_level level;
} levels[] = {{"error", LOG_ERROR},
              {"warning", LOG_WARNING},
              {"notice", LOG_NOTICE},
              {"info", LOG_INFO},
              {"debug", LOG_DEBUG}};

void log_configure(enum log_level max, log_sink_fn sink)
{
    log_set_level(max);
    log_sink = sink ? sink : log_to_stderr;
}

void log_set_level(enum log_level max)
{
    atomic_store_explicit(&max_level, (int)max, memory_order_relaxed);
}

int log_level_parse(const char *text, enum log_level *ret_level)
{
    for (size_t i = 0; i < ARRAY_LEN(levels); i++)
        if (strcmp(text, levels[i].name) == 0) {
            *ret_level = levels[i].level;
            return 0;
        }
    return LOG_E_LEVEL;
}

static const char *level_name(enum log_level level)
{
    for (size_t i = 0; i < ARRAY_LEN(levels); i++)
        if (levels[i].level == level)
            return levels[i].name;
    return "info";
}

const char *log_errno_text(int r)
{
    const char *text = r > INT_MIN ? strerrordesc_np(abs(r)) : NULL;

    return text ? text : "unknown error";
}

/* Whether the site may write now; *ret_suppressed is what it kept back since its last line. */
static int site_admit(struct log_site *site, uint32_t *ret_suppressed)
{
    int64_t second = clock_mono() / NS_PER_S;

    if (__atomic_load_n(&site->second, __ATOMIC_RELAXED) != second) {
        __atomic_store_n(&site->second, second, __ATOMIC_RELAXED);
        __atomic_store_n(&site->n_lines, 0, __ATOMIC_RELAXED);
    }
    if (__atomic_fetch_add(&site->n_lines, 1, __ATOMIC_RELAXED) >= LOG_SITE_BURST) {
        __atomic_fetch_add(&site->n_suppressed, 1, __ATOMIC_RELAXED);
        return 0;
    }
    *ret_suppressed = __atomic_exchange_n(&site->n_suppressed, 0, __ATOMIC_RELAXED);
    return 1;
}

void log_emit(struct log_site *site, enum log_level level, const char *event, const struct log_field *fields,
              size_t n_fields)
{
    struct log_field with_count[LOG_FIELDS_MAX + 1];
    uint32_t n_suppressed;

    ASSERT(n_fields <= LOG_FIELDS_MAX);
    if ((int)level > atomic_load_explicit(&max_level, memory_order_relaxed) ||
        !site_admit(site, &n_suppressed))
        return;
    if (!n_suppressed) {
        log_sink(level, event, fields, n_fields);
        return;
    }
    if (n_fields)
        memcpy(with_count, fields, n_fields * sizeof *fields);
    with_count[n_fields] = LOG_NUM("suppressed", n_suppressed);
    log_sink(level, event, with_count, n_fields + 1);
}

/* A bounded writer: stops at the end of the line's room, and remembers that it had to. */
struct line {
    char *start, *at, *end;
    int is_cut;
};

static void add_char(struct line *l, char c)
{
    if (l->at < l->end)
        *l->at++ = c;
    else
        l->is_cut = 1;
}

static void add_text(struct line *l, const char *s)
{
    while (*s)
        add_char(l, *s++);
}

/* Show that the line was cut, without leaving half a character before the dots. */
static void end_line(struct line *l)
{
    if (l->is_cut) {
        size_t n_dots = MIN((size_t)3, (size_t)(l->at - l->start));

        l->at -= n_dots;
        while (l->at > l->start && (*l->at & 0xc0) == 0x80)
            l->at--;
        for (; n_dots; n_dots--)
            *l->at++ = '.';
    }
    *l->at = '\0';
}

/* The length of the character at @s, or 0 when its first byte must be escaped: what a terminal obeys (C0,
 * DEL, C1) and what is no UTF-8. A value may come from a plugin, a file or a peer. */
static size_t plain_len(const char *s)
{
    const uint8_t *p = (const uint8_t *)s;
    size_t n = *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : 4;

    if (*p < 0x80)
        return *p >= ' ' && *p != 0x7f;
    if (strnlen(s, n) < n || !utf8_is_valid(p, n) || (p[0] == 0xc2 && p[1] < 0xa0))
        return 0;
    return n;
}

/* How many bytes of @s are written: all, or LOG_VALUE_MAX_BYTES less what would be half a character. */
static size_t value_len(const char *s, int *ret_needs_quotes)
{
    size_t len = 0;

    *ret_needs_quotes = !*s;
    while (s[len]) {
        size_t n = plain_len(s + len);

        if (len + MAX(n, (size_t)1) > LOG_VALUE_MAX_BYTES)
            break;
        if (!n || strchr(" \"=\\", s[len]))
            *ret_needs_quotes = 1;
        len += MAX(n, (size_t)1);
    }
    return len;
}

static void add_value(struct line *l, const char *s)
{
    int needs_quotes;
    size_t len = value_len(s, &needs_quotes);

    if (needs_quotes)
        add_char(l, '"');
    for (size_t i = 0; i < len;) {
        size_t n = plain_len(s + i);
        char hex[8];

        if (!n) {
            snprintf(hex, sizeof hex, "\\x%02x", (unsigned int)(uint8_t)s[i++]);
            add_text(l, hex);
            continue;
        }
        if (s[i] == '"' || s[i] == '\\')
            add_char(l, '\\');
        for (; n; n--)
            add_char(l, s[i++]);
    }
    if (s[len])
        add_text(l, "...");
    if (needs_quotes)
        add_char(l, '"');
}

static void add_time(struct line *l, wall_ns_t now)
{
    int64_t ms = now / NS_PER_MS - (now % NS_PER_MS < 0); /* rounded down, before 1970 too */
    time_t seconds = (time_t)(ms / 1000 - (ms % 1000 < 0));
    struct tm tm;
    char text[64];
    size_t n;

    gmtime_r(&seconds, &tm);
    n = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text + n, sizeof text - n, ".%03dZ ", (int)(ms - seconds * 1000));
    add_text(l, text);
}

size_t log_format(char *out, size_t size, wall_ns_t now, enum log_level level, const char *event,
                  const struct log_field *fields, size_t n_fields)
{
    struct line l;

    ASSERT(size > 0);
    l = (struct line){.start = out, .at = out, .end = out + size - 1};
    add_time(&l, now);
    add_text(&l, level_name(level));
    add_char(&l, ' ');
    add_text(&l, event);
    for (size_t i = 0; i < n_fields; i++) {
        char number[24];

        add_char(&l, ' ');
        add_text(&l, fields[i].key);
        add_char(&l, '=');
        if (fields[i].str) {
            add_value(&l, fields[i].str);
        } else {
            snprintf(number, sizeof number, "%" PRId64, fields[i].num);
            add_text(&l, number);
        }
    }
    end_line(&l);
    return (size_t)(l.at - out);
}

void log_to_stderr(enum log_level level, const char *event, const struct log_field *fields, size_t n_fields)
{
    char line[4096];
    size_t n = log_format(line, sizeof line - 1, clock_wall(), level, event, fields, n_fields);
    ssize_t r;

    line[n++] = '\n';
    r = write(STDERR_FILENO, line, n);
    (void)r; /* nowhere left to complain */
}
