// SPDX-License-Identifier: Apache-2.0
#pragma once
/* futurectl worker: serve functions by a command. */
struct ctl;

int cmd_worker(struct ctl *ctl);
