// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What a watch over IDs has told its user, so that after a lost connection each thing is told once. */
#include <futured/client.h>

struct futured_seen;

/* futured_seen_new: over @ids, with @options. Owns: the caller, futured_seen_free. NULL: no memory. */
struct futured_seen *futured_seen_new(const char *const *ids, size_t n_ids,
                                      const struct futured_watch_options *options);
struct futured_seen *futured_seen_free(struct futured_seen *seen);

/* futured_seen_take: whether @event is news; what it brings is noted. Of a chunk only the part that is news is left. */
int futured_seen_take(struct futured_seen *seen, struct futured_event *event);

/* futured_seen_drop: @id is not there any more: nothing more is told of it. Its text, @seen's; NULL: it is none of them. */
const char *futured_seen_drop(struct futured_seen *seen, const char *id);

/* futured_seen_open: those of which not all was told, their end and what they have said before it; the list is @seen's, and
 * valid until the next call. */
const char *const *futured_seen_open(struct futured_seen *seen, size_t *ret_n);
