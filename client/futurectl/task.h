// SPDX-License-Identifier: Apache-2.0
#pragma once
/* The options that every way to submit a task has. */
#include "client/futurectl/ctl.h"

/* task_check: CTL_OK; CTL_USAGE, said: they exclude each other. */
int task_check(struct ctl *ctl);

/* task_set: put them into @request; not its argument, labels, tag, key and view. */
void task_set(const struct options *o, struct futured_request *request);
