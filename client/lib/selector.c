// SPDX-License-Identifier: Apache-2.0
#include "client/lib/selector.h"

enum { SELECTOR_IDS = 1, SELECTOR_GROUP = 2, SELECTOR_FILTER = 3, ID_FIELD_BYTES = 38 };

void futured_selector_write(const struct futured_selector *selector, struct writer *w, uint32_t number)
{
    struct writer_mark mark = writer_begin(w, number, selector->n_ids * ID_FIELD_BYTES + 16);

    for (size_t i = 0; i < selector->n_ids; i++)
        writer_bytes_always(w, SELECTOR_IDS, span_of_string(selector->ids[i]));
    if (selector->group)
        writer_text(w, SELECTOR_GROUP, selector->group);
    if (selector->filter)
        writer_text(w, SELECTOR_FILTER, selector->filter);
    writer_end(w, mark);
}
