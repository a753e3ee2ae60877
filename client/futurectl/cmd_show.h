// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What there is: get, list, functions, workers, stats. */
struct ctl;

int cmd_show_get(struct ctl *ctl);
int cmd_show_list(struct ctl *ctl);
int cmd_show_functions(struct ctl *ctl);
int cmd_show_workers(struct ctl *ctl);
int cmd_show_stats(struct ctl *ctl);
