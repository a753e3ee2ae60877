// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What changes one future: annotate, reschedule. */
struct ctl;

int cmd_change_annotate(struct ctl *ctl);
int cmd_change_reschedule(struct ctl *ctl);
