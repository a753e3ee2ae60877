// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What a future's attempts have told: logs. */
struct ctl;

int cmd_logs(struct ctl *ctl);
