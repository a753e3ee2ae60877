// SPDX-License-Identifier: Apache-2.0
#pragma once
/* An input as a list of what the steps of a target ask for; when it has come to its end there are only zeros. */
#include "base/bytes.h"

struct input {
    const uint8_t *at, *end;
};

static inline uint8_t input_byte(struct input *in)
{
    return in->at < in->end ? *in->at++ : 0;
}

/* As many bytes as the next one says. */
static inline struct span input_some(struct input *in)
{
    size_t n = MIN((size_t)input_byte(in), (size_t)(in->end - in->at));
    struct span s = {in->at, n};

    in->at += n;
    return s;
}
