// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Structured log lines: a stable event name and key=value fields, never payloads. Only app, net, pool and
 * service log; other rooms return what happened. Each place in the code may write LOG_SITE_BURST lines a
 * second; what it suppressed is said with its next line. Where lines go is the sink's business (stderr here,
 * the journal by app).
 */
#include "base/clock.h"
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

/* The syslog priorities of the same meaning, so that a sink can pass them on. */
enum log_level { LOG_ERROR = 3, LOG_WARNING = 4, LOG_NOTICE = 5, LOG_INFO = 6, LOG_DEBUG = 7 };

enum { LOG_SITE_BURST = 20, LOG_FIELDS_MAX = 16, LOG_VALUE_MAX_BYTES = 512 };

struct log_field {
    const char *key; /* lower_snake */
    const char *str; /* the value, or NULL: then num */
    int64_t num;
};

#define LOG_STR(k, v) ((struct log_field){.key = (k), .str = (v)})
#define LOG_NUM(k, v) ((struct log_field){.key = (k), .num = (int64_t)(v)})
#define LOG_ERRNO(r)  LOG_STR("error", log_errno_text(r))

/* One per place in the code; counts its lines of the current second. Threads that race when the second
 * changes may miscount a few. */
struct log_site {
    int64_t second;
    uint32_t n_lines, n_suppressed;
};

/* A sink writes one line. @fields is only borrowed. Any thread may call it. */
typedef void (*log_sink_fn)(enum log_level level, const char *event, const struct log_field *fields,
                            size_t n_fields);

/* log_configure: what is written (up to @max) and where to; NULL = log_to_stderr. Before threads start. */
void log_configure(enum log_level max, log_sink_fn sink);

/* log_set_level: what is written from now on. Any thread. */
void log_set_level(enum log_level max);

/* log_level_parse: error, warning, notice, info, debug. 0; LOG_E_LEVEL (none of these). */
enum { LOG_E_LEVEL = 1 };
MUST_CHECK int log_level_parse(const char *text, enum log_level *ret_level);

/* log_emit: what LOG_EVENT does: write the line, unless the level or the site's limit is against it. At most
 * LOG_FIELDS_MAX fields; the sink may get one more, `suppressed`. Any thread. */
void log_emit(struct log_site *site, enum log_level level, const char *event, const struct log_field *fields,
              size_t n_fields);

/* log_to_stderr: `2026-01-31T12:00:00.000Z info event key=value ...` and a newline, by one write(2). */
void log_to_stderr(enum log_level level, const char *event, const struct log_field *fields, size_t n_fields);

/* log_format: that line without the newline into @out (@size > 0, always NUL-terminated); its length. Values
 * are quoted where needed; control characters and what is no UTF-8 become \xNN. A value is cut at
 * LOG_VALUE_MAX_BYTES and a line at @size, between characters, and ends in `...` then. */
size_t log_format(char *out, size_t size, wall_ns_t now, enum log_level level, const char *event,
                  const struct log_field *fields, size_t n_fields);

/* log_errno_text: the text of errno or -errno @r; valid for ever. */
const char *log_errno_text(int r);

#define LOG_EVENT(level, event, ...)                                                 \
    do {                                                                             \
        static struct log_site log_site_;                                            \
        const struct log_field log_fields_[] = {__VA_ARGS__};                        \
        _Static_assert(ARRAY_LEN(log_fields_) <= LOG_FIELDS_MAX, "too many fields"); \
        log_emit(&log_site_, level, event, log_fields_, ARRAY_LEN(log_fields_));     \
    } while (0)
