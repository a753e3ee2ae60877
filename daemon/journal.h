// SPDX-License-Identifier: Apache-2.0
#pragma once
/* Log lines as fields of the journal, where standard error leads there. */
#include "base/log.h"

#include <sys/uio.h>

enum {
    JOURNAL_MESSAGE_BYTES = 4096,
    JOURNAL_FIELD_BYTES = 64 + LOG_VALUE_MAX_BYTES,
    JOURNAL_FIELDS_MAX = LOG_FIELDS_MAX + 5,
    JOURNAL_MESSAGE_ID_BYTES = 33, /* 32 hexadecimal digits and NUL */
};

/* One line as the journal takes it: "NAME=value" each. */
struct journal_line {
    char message[JOURNAL_MESSAGE_BYTES];
    char fields[JOURNAL_FIELDS_MAX][JOURNAL_FIELD_BYTES];
    struct iovec iov[JOURNAL_FIELDS_MAX + 1]; /* into the above */
    size_t n;
};

/* journal_is_stderr: whether standard error is the journal's socket (JOURNAL_STREAM names it). */
MUST_CHECK int journal_is_stderr(void);

/* journal_message_id: the MESSAGE_ID of an event, which is made of its name alone and so never changes. */
void journal_message_id(const char *event, char text[static JOURNAL_MESSAGE_ID_BYTES]);

/* journal_format: MESSAGE (the line as on stderr, without time and level), PRIORITY, MESSAGE_ID, FUTURED_EVENT, and each
 * field as FUTURED_ and its key in capitals; but FUTURE_ID, FUNCTION and WORKER. What is too long is cut. */
void journal_format(struct journal_line *line, enum log_level level, const char *event,
                    const struct log_field *fields, size_t n_fields);

/* journal_log: a log_sink_fn; to stderr after all when the journal does not take it. */
void journal_log(enum log_level level, const char *event, const struct log_field *fields, size_t n_fields);
