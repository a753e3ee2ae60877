// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What is done to one future or to many: cancel, retry, delete. */
struct ctl;

int cmd_many_cancel(struct ctl *ctl);
int cmd_many_retry(struct ctl *ctl);
int cmd_many_delete(struct ctl *ctl);
