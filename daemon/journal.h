// SPDX-License-Identifier: Apache-2.0
#pragma once
/* Log lines as fields of the journal, where standard error leads there. */
#include "base/log.h"

/* journal_is_stderr: whether standard error is the journal's socket (JOURNAL_STREAM names it). */
MUST_CHECK int journal_is_stderr(void);

/* journal_log: a log_sink_fn: MESSAGE (the line as on stderr, without time and level), PRIORITY, FUTURED_EVENT, and
 * each field under its key in capitals, after FUTURED_. Falls back to stderr when the journal does not take it. */
void journal_log(enum log_level level, const char *event, const struct log_field *fields, size_t n_fields);
