// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * What `futurectl top` shows, as lines of text with a style each, and what keys do to it. Pure: neither a terminal nor a daemon is
 * known here.
 */
#include "client/futurectl/top_model.h"

enum { TOP_LINES = 300, TOP_LINE_BYTES = 512, TOP_WIDTH = 200, TOP_FILTER_BYTES = 64 };

enum top_style { TOP_PLAIN, TOP_HEAD, TOP_BAD, TOP_DIM, TOP_SELECTED };

struct top_line {
    enum top_style style;
    char text[TOP_LINE_BYTES];
};

struct top_page {
    struct top_line lines[TOP_LINES];
    size_t n, width, height;
};

/* What its user has chosen. */
struct top_ui {
    enum top_sort sort;
    char filter[TOP_FILTER_BYTES];
    int is_typing, shows_help;
    char selected[ID_TEXT_LEN + 1]; /* a future; "": none */
    char said[TOP_LINE_BYTES];      /* the last line, until the next key */
};

/* What is known of the daemon beside the model. */
struct top_about {
    const char *address, *version, *store; /* version "": it has not answered yet */
    int is_draining;
    wall_ns_t now, start;
};

/* top_page_make: all of it in @width columns and @height lines; height 0: as many as it takes, and no keys are named. */
void top_page_make(struct top_page *page, const struct top_model *m, struct top_ui *ui,
                   const struct top_about *about, size_t width, size_t height);

enum top_action { TOP_NOTHING, TOP_DRAW, TOP_CANCEL, TOP_RETRY, TOP_QUIT };

/* Keys that are no characters. */
enum top_key { TOP_KEY_UP = 0x10000, TOP_KEY_DOWN, TOP_KEY_BACKSPACE, TOP_KEY_ENTER, TOP_KEY_ESCAPE };

/* top_page_key: what a key means; what it changes in @ui is done. TOP_CANCEL and TOP_RETRY are for ui->selected. */
enum top_action top_page_key(struct top_ui *ui, const struct top_model *m, int key);
