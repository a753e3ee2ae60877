// SPDX-License-Identifier: Apache-2.0
#pragma once
/* Words as a shell reads them. */
#include "base/bytes.h"

#include <stdio.h>

/* quote_put: write @s as one word of bash or zsh, harmless for a terminal: as it is, in '' or, with bytes that do not print, in $''. */
void quote_put(FILE *to, struct span s);
