// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/top_screen.h"

#include <ncurses.h>
#include <term.h>
#undef lines /* of a page, not of a terminal */
#include <unistd.h>

enum { PAIR_BAD = 1, PAIR_DIM = 2, ESCAPE_MS = 25 /* what follows later is no escape sequence */ };

static SCREEN *screen;
static int has_pairs;

/* Whether it is a terminal that is known and can move its cursor; newterm itself leaks where it fails. */
static int is_able(void)
{
    char *move;
    int error;

    if (setupterm(NULL, STDOUT_FILENO, &error) != OK)
        return 0;
    move = tigetstr("cup");
    del_curterm(cur_term);
    return move && move != (char *)-1; /* which says that it is no text */
}

int top_screen_init(int is_colour)
{
    if (!is_able())
        return -1;
    screen = newterm(NULL, stdout, stdin);
    if (!screen)
        return -1;
    cbreak();
    noecho();
    nodelay(stdscr, TRUE);
    keypad(stdscr, TRUE);
    set_escdelay(ESCAPE_MS);
    curs_set(0);
    has_pairs = is_colour && has_colors() && start_color() == OK && use_default_colors() == OK;
    if (has_pairs) {
        init_pair(PAIR_BAD, COLOR_RED, -1);
        init_pair(PAIR_DIM, COLOR_CYAN, -1);
    }
    return 0;
}

void top_screen_deinit(void)
{
    endwin();
    delscreen(screen);
    screen = NULL;
}

void top_screen_size(size_t *ret_width, size_t *ret_height)
{
    *ret_width = (size_t)getmaxx(stdscr);
    *ret_height = (size_t)getmaxy(stdscr);
}

static attr_t attributes(enum top_style style)
{
    switch (style) {
    case TOP_PLAIN: return A_NORMAL;
    case TOP_HEAD: return A_BOLD;
    case TOP_BAD: return has_pairs ? COLOR_PAIR(PAIR_BAD) : A_BOLD;
    case TOP_DIM: return has_pairs ? COLOR_PAIR(PAIR_DIM) : A_DIM;
    case TOP_SELECTED: return A_REVERSE;
    }
    return A_NORMAL;
}

void top_screen_draw(const struct top_page *page)
{
    erase();
    for (size_t i = 0; i < page->n; i++) {
        attrset((int)attributes(page->lines[i].style));
        mvaddstr((int)i, 0, page->lines[i].text);
    }
    attrset(A_NORMAL);
    refresh();
}

int top_screen_key(void)
{
    int key = getch();

    switch (key) {
    case ERR: return TOP_SCREEN_NONE;
    case KEY_RESIZE: return TOP_SCREEN_RESIZED;
    case KEY_UP: return TOP_KEY_UP;
    case KEY_DOWN: return TOP_KEY_DOWN;
    case KEY_BACKSPACE:
    case 0x7f:
    case '\b': return TOP_KEY_BACKSPACE;
    case KEY_ENTER:
    case '\r':
    case '\n': return TOP_KEY_ENTER;
    case 0x1b: return TOP_KEY_ESCAPE;
    default: return key;
    }
}
