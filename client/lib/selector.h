// SPDX-License-Identifier: Apache-2.0
#pragma once
/* The message Selector, as a field of several requests. */
#include "grpc/writer.h"

#include <futured/client.h>

/* futured_selector_write: as field @number. What is wrong with it the daemon says. */
void futured_selector_write(const struct futured_selector *selector, struct writer *w, uint32_t number);
