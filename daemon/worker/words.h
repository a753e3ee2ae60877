// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * A command line cut into words by the quoting rules of the shell, and by nothing else of it: no expansion, no
 * operators, no comments.
 */
#include "base/arena.h"
#include "base/err.h"

enum { WORDS_MAX = 1024 };

/* words_split: cut @line at blanks (space, tab, newline). Within '' everything is literal; within "" a backslash quotes
 * " \ $ ` and newline; elsewhere it quotes any character (a newline is dropped with it). *ret_words ends with NULL.
 *   Owns:   @a has all of it.
 *   Return: 0; WORDS_E_QUOTE (not closed); WORDS_E_BACKSLASH (the last character); WORDS_E_EMPTY (no word);
 *           WORDS_E_MANY (over WORDS_MAX); -ENOMEM. */
enum { WORDS_E_QUOTE = 1, WORDS_E_BACKSLASH, WORDS_E_EMPTY, WORDS_E_MANY };
MUST_CHECK int words_split(const char *line, struct arena *a, char ***ret_words);

/* words_error_text: what a WORDS_E_ result means. */
const char *words_error_text(int error);
