// SPDX-License-Identifier: Apache-2.0
/*
 * Any text: it is refused at a column that it has, or becomes a filter that is the same when it has been printed and
 * parsed again, and answers the same of a record that is made of the same bytes. And the bytes as an encoded task.
 */
#include "filter/filter.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW (INT64_C(1790000000) * NS_PER_S)

/* Fields are made of the input: present or not, equal or not to what the filter asks for. */
static int get(const void *record, enum filter_field field, struct span label, uint32_t i,
               struct filter_value *ret)
{
    const struct span *s = record;
    uint8_t mark = s->len ? s->p[((size_t)field * 7 + i) % s->len] : 0;

    *ret = (struct filter_value){.number = mark};
    if (i > (field == FILTER_WORKER ? 3U : 0U) || (mark & 3) == 0)
        return 0;
    if (field == FILTER_STATE)
        ret->number = 1 + mark % 5;
    ret->text = (struct span){s->p + s->len / 2, MIN((size_t)(mark & 15), s->len - s->len / 2)};
    ret->id = id_make((uint64_t)mark << 40, mark);
    return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = {data, size}, value;
    struct filter_subject subject = {get, &text};
    struct buf once = BUF_INIT, twice = BUF_INIT;
    struct filter_problem problem = {0};
    struct filter *f, *g;
    uint32_t cost = 0, cost_again = 0;

    if (filter_task_label(text, SPAN_LIT("k"), &value) && value.len)
        ASSERT(value.p >= data && value.p + value.len <= data + size);
    if (filter_parse(&f, text, NOW, &problem) != 0) {
        ASSERT(problem.column >= 1 && problem.column <= size + 1 && problem.text[0]);
        return 0;
    }
    ASSERT(filter_print(f, &once) == 0);
    if (buf_len(&once) <= FILTER_BYTES_MAX) {
        ASSERT(filter_parse(&g, (struct span){buf_head(&once), buf_len(&once)}, NOW, &problem) == 0);
        ASSERT(filter_print(g, &twice) == 0);
        ASSERT(buf_len(&once) == buf_len(&twice) &&
               memcmp(buf_head(&once), buf_head(&twice), buf_len(&once)) == 0);
        ASSERT(filter_match(f, &subject, &cost) == filter_match(g, &subject, &cost_again) &&
               cost == cost_again);
        ASSERT(filter_hints(f).states == filter_hints(g).states &&
               filter_hints(f).key_min == filter_hints(g).key_min);
        filter_unref(g);
    }
    filter_unref(f);
    buf_deinit(&once);
    buf_deinit(&twice);
    return 0;
}
