// SPDX-License-Identifier: Apache-2.0
#pragma once
/* Until something happens: wait, result, watch, ping. */
struct ctl;

int cmd_wait(struct ctl *ctl);
int cmd_wait_result(struct ctl *ctl);
int cmd_wait_watch(struct ctl *ctl);
int cmd_wait_ping(struct ctl *ctl);
