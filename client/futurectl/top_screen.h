// SPDX-License-Identifier: Apache-2.0
#pragma once
/* A page on the terminal, and the keys that are pressed there; the sole user of ncurses. One screen a process. */
#include "client/futurectl/top_page.h"

/* top_screen_init: take the terminal of standard input and output. 0; -1: it is none that ncurses knows. */
MUST_CHECK int top_screen_init(int is_colour);
/* top_screen_deinit: give it back as it was. */
void top_screen_deinit(void);

void top_screen_size(size_t *ret_width, size_t *ret_height);
void top_screen_draw(const struct top_page *page);

/* top_screen_key: a key that waits; TOP_SCREEN_NONE; TOP_SCREEN_RESIZED. */
enum { TOP_SCREEN_NONE = -1, TOP_SCREEN_RESIZED = -2 };
int top_screen_key(void);
