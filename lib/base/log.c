// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Set once by log_configure before the second thread exists, read-only after that. */
static enum log_level max_level = LOG_INFO;
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
    max_level = max;
    log_sink = sink ? sink : log_to_stderr;
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
    const char *text = strerrordesc_np(r < 0 ? -r : r);

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

    if (level > max_level || !site_admit(site, &n_suppressed))
        return;
    if (!n_suppressed || n_fields > LOG_FIELDS_MAX) {
        log_sink(level, event, fields, n_fields);
        return;
    }
    memcpy(with_count, fields, n_fields * sizeof *fields);
    with_count[n_fields] = LOG_NUM("suppressed", n_suppressed);
    log_sink(level, event, with_count, n_fields + 1);
}

/* A bounded writer: stops at the end of the line's room. */
struct line {
    char *at, *end;
};

static void add_char(struct line *l, char c)
{
    if (l->at < l->end)
        *l->at++ = c;
}

static void add_text(struct line *l, const char *s)
{
    while (*s)
        add_char(l, *s++);
}

static int needs_quotes(const char *s)
{
    if (!*s)
        return 1;
    for (; *s; s++)
        if ((unsigned char)*s <= ' ' || *s == '"' || *s == '=' || *s == '\\' || *s == 0x7f)
            return 1;
    return 0;
}

static void add_value(struct line *l, const char *s)
{
    size_t n = 0;

    if (!needs_quotes(s)) {
        add_text(l, s);
        return;
    }
    add_char(l, '"');
    for (; *s && n < LOG_VALUE_MAX_BYTES; s++, n++) {
        char hex[8];

        if (*s == '"' || *s == '\\') {
            add_char(l, '\\');
            add_char(l, *s);
        } else if ((unsigned char)*s < ' ' || *s == 0x7f) {
            snprintf(hex, sizeof hex, "\\x%02x", (unsigned int)(unsigned char)*s);
            add_text(l, hex);
        } else {
            add_char(l, *s);
        }
    }
    add_char(l, '"');
}

size_t log_format(char *out, size_t size, wall_ns_t now, enum log_level level, const char *event,
                  const struct log_field *fields, size_t n_fields)
{
    struct line l = {out, out + size - 1};
    time_t seconds = (time_t)(now / NS_PER_S);
    struct tm tm;
    char text[64];
    size_t n;

    ASSERT(size > 0);
    gmtime_r(&seconds, &tm);
    n = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text + n, sizeof text - n, ".%03dZ ", (int)(now % NS_PER_S / NS_PER_MS));
    add_text(&l, text);
    add_text(&l, level_name(level));
    add_char(&l, ' ');
    add_text(&l, event);
    for (size_t i = 0; i < n_fields; i++) {
        add_char(&l, ' ');
        add_text(&l, fields[i].key);
        add_char(&l, '=');
        if (fields[i].str) {
            add_value(&l, fields[i].str);
        } else {
            snprintf(text, sizeof text, "%" PRId64, fields[i].num);
            add_text(&l, text);
        }
    }
    *l.at = '\0';
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
