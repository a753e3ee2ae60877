// SPDX-License-Identifier: Apache-2.0
#pragma once
/* Functions: functions, pause, resume, limits. */
struct ctl;

int cmd_function_list(struct ctl *ctl);
int cmd_function_pause(struct ctl *ctl);
int cmd_function_resume(struct ctl *ctl);
int cmd_function_limits(struct ctl *ctl);
