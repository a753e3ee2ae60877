// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What futures there are, and how they stand: get, list, count, explain. */
struct ctl;

int cmd_show_get(struct ctl *ctl);
int cmd_show_list(struct ctl *ctl);
int cmd_show_count(struct ctl *ctl);
int cmd_show_explain(struct ctl *ctl);
