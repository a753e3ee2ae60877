// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What waits for futures: wait, as-completed, result, watch. */
struct ctl;

int cmd_wait(struct ctl *ctl);
int cmd_wait_as_completed(struct ctl *ctl);
int cmd_wait_result(struct ctl *ctl);
int cmd_wait_watch(struct ctl *ctl);
