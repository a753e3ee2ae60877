// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/template.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum part_kind {
    PART_TEXT,
    PART_ITEM,
    PART_NAME,
    PART_FOLDER,
    PART_STEM,
    PART_NAME_STEM,
    PART_SEQ,
    PART_COLUMN
};

struct template_part {
    enum part_kind kind;
    struct span text; /* PART_TEXT */
    size_t column;
};

/* --- reading */

static const struct {
    const char *text;
    enum part_kind kind;
} places[] = {
        {"", PART_ITEM},  {"/", PART_NAME},       {"//", PART_FOLDER},
        {".", PART_STEM}, {"/.", PART_NAME_STEM}, {"#", PART_SEQ},
};

/* What can be taken for a name; other things in braces, such as JSON, stand for themselves. */
static int is_name(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!isalnum(s.p[i]) && s.p[i] != '_' && s.p[i] != '-')
            return 0;
    return s.len > 0;
}

/* What stands between braces. 0; TEMPLATE_E_COLUMN; -1: it stands for itself. */
static int read_place(struct span inside, const struct item *columns, struct template_part *ret)
{
    for (size_t i = 0; columns && i < columns->n_fields; i++) {
        if (inside.len && span_eq(inside, columns->fields[i])) {
            *ret = (struct template_part){.kind = PART_COLUMN, .column = i};
            return 0;
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        if (span_eq(inside, span_of_string(places[i].text))) {
            *ret = (struct template_part){.kind = places[i].kind};
            return 0;
        }
    }
    return columns && is_name(inside) ? TEMPLATE_E_COLUMN : -1;
}

static void say_columns(struct span name, const struct item *columns, char error[static TEMPLATE_ERROR_BYTES])
{
    size_t n = (size_t)snprintf(error, TEMPLATE_ERROR_BYTES, "the table has no column %.*s, but",
                                (int)MIN(name.len, (size_t)60), (const char *)name.p);

    for (size_t i = 0; i < columns->n_fields && n < TEMPLATE_ERROR_BYTES; i++)
        n += (size_t)snprintf(error + n, TEMPLATE_ERROR_BYTES - n, "%s %.*s", i ? "," : "",
                              (int)MIN(columns->fields[i].len, (size_t)60),
                              (const char *)columns->fields[i].p);
}

static void add(struct template *t, struct template_part part)
{
    struct template_part *last = t->n ? &t->parts[t->n - 1] : NULL;

    if (part.kind == PART_TEXT && part.text.len == 0)
        return;
    if (last && last->kind == PART_TEXT && part.kind == PART_TEXT)
        last->text.len += part.text.len; /* it stands behind it */
    else
        t->parts[t->n++] = part;
}

int template_parse(struct template *t, const char *text, const struct item *columns, int is_json,
                   char error[static TEMPLATE_ERROR_BYTES])
{
    const char *open, *close;

    *t = (struct template){.parts = mem_zalloc((2 * strlen(text) + 1) * sizeof *t->parts)};
    if (!t->parts)
        return -ENOMEM;
    for (; (open = strchr(text, '{')) && (close = strchr(open, '}')); text = close + 1) {
        struct span inside, before;
        struct template_part part;
        int r;

        for (const char *inner; (inner = memchr(open + 1, '{', (size_t)(close - open - 1)));)
            open = inner; /* the innermost pair: {"a": {}} */
        inside = (struct span){(const uint8_t *)open + 1, (size_t)(close - open - 1)};
        r = read_place(inside, columns, &part);
        if (r == TEMPLATE_E_COLUMN) {
            say_columns(inside, columns, error);
            template_deinit(t);
            return r;
        }
        before = (struct span){(const uint8_t *)text, (size_t)((r ? close + 1 : open) - text)};
        add(t, (struct template_part){.kind = PART_TEXT, .text = before});
        if (r == 0)
            add(t, part);
    }
    add(t, (struct template_part){.kind = PART_TEXT, .text = span_of_string(text)});
    t->is_json = is_json && !(t->n == 1 && t->parts[0].kind == PART_ITEM);
    return 0;
}

void template_deinit(struct template *t)
{
    t->parts = mem_free(t->parts);
    t->n = 0;
}

/* --- filling */

static int put(struct buf *to, const void *p, size_t n)
{
    return n ? buf_append(to, p, n) : 0;
}

/* As the inside of a string of JSON. */
static int put_escaped(struct buf *to, struct span s)
{
    if (!utf8_is_valid(s.p, s.len))
        return TEMPLATE_E_TEXT;
    for (size_t i = 0, from = 0; i <= s.len; i++) {
        char escape[8];
        int r;

        if (i < s.len && s.p[i] >= 0x20 && s.p[i] != '"' && s.p[i] != '\\')
            continue;
        r = put(to, s.p + from, i - from);
        from = i + 1;
        if (r == 0 && i < s.len)
            r = put(to, escape,
                    (size_t)snprintf(escape, sizeof escape, s.p[i] < 0x20 ? "\\u%04x" : "\\%c", s.p[i]));
        if (r)
            return r;
    }
    return 0;
}

static const uint8_t *last_of(struct span s, uint8_t c)
{
    return s.len ? memrchr(s.p, c, s.len) : NULL;
}

/* What is behind the last slash. */
static struct span name_of(struct span path)
{
    const uint8_t *slash = last_of(path, '/');

    return slash ? (struct span){slash + 1, (size_t)(path.p + path.len - slash) - 1} : path;
}

static struct span folder_of(struct span path)
{
    const uint8_t *slash = last_of(path, '/');

    if (!slash)
        return SPAN_LIT(".");
    return (struct span){path.p, slash == path.p ? 1 : (size_t)(slash - path.p)};
}

/* Without the last `.` of its name and what is behind it; a name that begins with it has no other. */
static struct span stem_of(struct span path)
{
    struct span name = name_of(path);
    const uint8_t *dot = last_of(name, '.');

    return dot && dot > name.p ? (struct span){path.p, (size_t)(dot - path.p)} : path;
}

int template_fill(const struct template *t, const struct item *item, struct buf *to)
{
    int r = 0;

    for (size_t i = 0; i < t->n && r == 0; i++) {
        const struct template_part *part = &t->parts[i];
        struct span s = item->text;
        char number[24];

        switch (part->kind) {
        case PART_TEXT: s = part->text; break;
        case PART_ITEM: break;
        case PART_NAME: s = name_of(s); break;
        case PART_FOLDER: s = folder_of(s); break;
        case PART_STEM: s = stem_of(s); break;
        case PART_NAME_STEM: s = stem_of(name_of(s)); break;
        case PART_SEQ:
            s.len = (size_t)snprintf(number, sizeof number, "%" PRIu64, item->seq);
            s.p = (const uint8_t *)number;
            break;
        case PART_COLUMN: s = item->fields[part->column]; break;
        }
        r = t->is_json && part->kind != PART_TEXT ? put_escaped(to, s) : put(to, s.p, s.len);
    }
    return r;
}

int template_fill_object(const struct item *columns, const struct item *item, struct buf *to)
{
    int r = put(to, "{", 1);

    for (size_t i = 0; i < item->n_fields && r == 0; i++) {
        r = i ? put(to, ",\"", 2) : put(to, "\"", 1);
        if (r == 0)
            r = put_escaped(to, columns->fields[i]);
        if (r == 0)
            r = put(to, "\":\"", 3);
        if (r == 0)
            r = put_escaped(to, item->fields[i]);
        if (r == 0)
            r = put(to, "\"", 1);
    }
    return r ? r : put(to, "}", 1);
}
