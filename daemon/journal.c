// SPDX-License-Identifier: Apache-2.0
#include "daemon/journal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>

enum {
    FIELDS_FIXED = 3, /* MESSAGE, PRIORITY, FUTURED_EVENT */
    FIELDS_MAX = FIELDS_FIXED + LOG_FIELDS_MAX + 1,
    FIELD_BYTES = 64 + LOG_VALUE_MAX_BYTES,
    MESSAGE_BYTES = 4096,
};

int journal_is_stderr(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat st;
    uint64_t dev, ino;

    return stream && sscanf(stream, "%" SCNu64 ":%" SCNu64, &dev, &ino) == 2 &&
           fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
}

/* "FUTURED_PEER=127.0.0.1:50412": letters, digits and _ are what the journal takes in a name. */
static size_t format_field(char *to, const struct log_field *field)
{
    size_t n = (size_t)snprintf(to, FIELD_BYTES, "FUTURED_%.50s=", field->key);

    for (char *c = to; *c != '='; c++)
        if (*c >= 'a' && *c <= 'z')
            *c = (char)(*c - 'a' + 'A');
    if (field->str)
        snprintf(to + n, FIELD_BYTES - n, "%s", field->str);
    else
        snprintf(to + n, FIELD_BYTES - n, "%" PRId64, field->num);
    return strlen(to);
}

/* What a person reads: the line of log_format behind its time and level. */
static const char *message_of(char *line)
{
    char *at = strchr(line, ' ');

    at = at ? strchr(at + 1, ' ') : NULL;
    return at ? at + 1 : line;
}

void journal_log(enum log_level level, const char *event, const struct log_field *fields, size_t n_fields)
{
    char line[MESSAGE_BYTES], message[MESSAGE_BYTES + 16], priority[32], name[FIELD_BYTES];
    char texts[LOG_FIELDS_MAX + 1][FIELD_BYTES];
    struct iovec iov[FIELDS_MAX];
    size_t n = MIN(n_fields, ARRAY_LEN(texts));

    log_format(line, sizeof line, 0, level, event, fields, n_fields);
    iov[0].iov_base = message;
    iov[0].iov_len = (size_t)snprintf(message, sizeof message, "MESSAGE=%s", message_of(line));
    iov[1].iov_base = priority;
    iov[1].iov_len = (size_t)snprintf(priority, sizeof priority, "PRIORITY=%d", (int)level);
    iov[2].iov_base = name;
    iov[2].iov_len = (size_t)snprintf(name, sizeof name, "FUTURED_EVENT=%.500s", event);
    for (size_t i = 0; i < n; i++) {
        iov[FIELDS_FIXED + i].iov_base = texts[i];
        iov[FIELDS_FIXED + i].iov_len = format_field(texts[i], &fields[i]);
    }
    if (sd_journal_sendv(iov, (int)(FIELDS_FIXED + n)) < 0)
        log_to_stderr(level, event, fields, n_fields);
}
