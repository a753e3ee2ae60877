// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Words of a command that stand for what is known of the attempt: {argument}, {content_type}, {id}, {attempt}, {group},
 * {function} and {label.KEY}; a label that is not there is empty. {{id}} is the text {id}. Anything else in braces is what it
 * is. What is put in is never looked at again: it is part of one word, whatever is in it.
 */
#include "worker/attempt.h"

enum { TEMPLATE_WORD_BYTES = 128 * 1024 - 1 }; /* more the kernel does not take as one word */

/* template_is: whether @word holds any; *ret_has_argument: {argument} among them. */
int template_is(const char *word, int *ret_has_argument);

/* template_expand: @word as it is for @call, in the attempt's arena.
 *   Return: 0; TEMPLATE_E_FAILED (a value has a NUL in it, or is too long: the attempt has failed). */
enum { TEMPLATE_E_FAILED = 1 };
MUST_CHECK int template_expand(const char *word, struct futured_call *call, char **ret);
