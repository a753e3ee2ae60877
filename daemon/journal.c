// SPDX-License-Identifier: Apache-2.0
#include "daemon/journal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/stat.h>
#define SD_JOURNAL_SUPPRESS_LOCATION /* it would be this file's, always */
#include <systemd/sd-journal.h>

int journal_is_stderr(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat st;
    uint64_t dev, ino;

    return stream && sscanf(stream, "%" SCNu64 ":%" SCNu64, &dev, &ino) == 2 &&
           fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
}

/* Append the field in @text, of which at most @size - 1 bytes are there. */
static void add_field(struct journal_line *line, char *text, size_t size, int written)
{
    line->iov[line->n].iov_base = text;
    line->iov[line->n++].iov_len = MIN((size_t)MAX(written, 0), size - 1);
}

PRINTF_LIKE(2, 3) static void add(struct journal_line *line, const char *format, ...)
{
    char *to = line->fields[line->n];
    va_list args;

    va_start(args, format);
    add_field(line, to, JOURNAL_FIELD_BYTES, vsnprintf(to, JOURNAL_FIELD_BYTES, format, args));
    va_end(args);
}

/* What is looked for most has a name of its own. */
static const struct {
    const char *key, *field;
} known[] = {{"id", "FUTURE_ID"}, {"future", "FUTURE_ID"}, {"function", "FUNCTION"}, {"worker", "WORKER"}};

/* The key as the journal takes a name: letters, digits and _. */
static const char *field_name(const char *key, char name[static 64])
{
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (strcmp(known[i].key, key) == 0)
            return known[i].field;
    snprintf(name, 64, "FUTURED_%.50s", key);
    for (char *c = name; *c; c++)
        if (*c >= 'a' && *c <= 'z')
            *c = (char)(*c - 'a' + 'A');
    return name;
}

void journal_message_id(const char *event, char text[static JOURNAL_MESSAGE_ID_BYTES])
{
    static const char prefix[] = "futured.";
    /* FNV-1a of 128 bits: its offset and its prime */
    unsigned __int128 hash = (unsigned __int128)0x6c62272e07bb0142 << 64 | 0x62b821756295c58d;
    const unsigned __int128 prime = (unsigned __int128)1 << 88 | 0x13b;

    for (const char *c = prefix; *c; c++)
        hash = (hash ^ (uint8_t)*c) * prime;
    for (const char *c = event; *c; c++)
        hash = (hash ^ (uint8_t)*c) * prime;
    snprintf(text, JOURNAL_MESSAGE_ID_BYTES, "%016" PRIx64 "%016" PRIx64, (uint64_t)(hash >> 64),
             (uint64_t)hash);
}

/* What a person reads: the line of log_format behind its time and level. */
static const char *message_of(const char *line)
{
    const char *at = strchr(line, ' ');

    at = at ? strchr(at + 1, ' ') : NULL;
    return at ? at + 1 : line;
}

void journal_format(struct journal_line *line, enum log_level level, const char *event,
                    const struct log_field *fields, size_t n_fields)
{
    char text[JOURNAL_MESSAGE_BYTES], id[JOURNAL_MESSAGE_ID_BYTES];

    line->n = 0;
    log_format(text, sizeof text, 0, level, event, fields, n_fields);
    add_field(line, line->message, sizeof line->message,
              snprintf(line->message, sizeof line->message, "MESSAGE=%s", message_of(text)));
    add(line, "PRIORITY=%d", (int)level);
    journal_message_id(event, id);
    add(line, "MESSAGE_ID=%s", id);
    add(line, "FUTURED_EVENT=%s", event);
    for (size_t i = 0; i < n_fields && line->n < JOURNAL_FIELDS_MAX; i++) {
        char name[64];

        if (fields[i].str)
            add(line, "%s=%s", field_name(fields[i].key, name), fields[i].str);
        else
            add(line, "%s=%" PRId64, field_name(fields[i].key, name), fields[i].num);
    }
}

void journal_log(enum log_level level, const char *event, const struct log_field *fields, size_t n_fields)
{
    struct journal_line line;

    journal_format(&line, level, event, fields, n_fields);
    if (sd_journal_sendv(line.iov, (int)line.n) < 0)
        log_to_stderr(level, event, fields, n_fields);
}
