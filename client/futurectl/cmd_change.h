// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What changes futures that are there: cancel, delete, annotate. */
struct ctl;

int cmd_change_cancel(struct ctl *ctl);
int cmd_change_delete(struct ctl *ctl);
int cmd_change_annotate(struct ctl *ctl);
