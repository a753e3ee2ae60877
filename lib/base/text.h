// SPDX-License-Identifier: Apache-2.0
#pragma once
/* Texts that user code wrote, made fit for protobuf strings: valid UTF-8 and no longer than allowed. */
#include "base/arena.h"
#include "base/bytes.h"

/* text_clean: the first @max bytes of @from at most, cut between characters; every byte that is no UTF-8 becomes U+FFFD.
 * What is valid and short is only borrowed.
 *   Owns:   @a, or who owns @from.
 *   Return: the text; {NULL, 0} also when memory is short (an error's text is the first thing to do without). */
struct span text_clean(struct arena *a, struct span from, size_t max);

/* text_tail: the last @max bytes of @from at most, begun behind a newline where there is one in the first half. */
struct span text_tail(struct span from, size_t max);

/* text_last_line: the last line of @from that is not blank, without its newline. */
struct span text_last_line(struct span from);
