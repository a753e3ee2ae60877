// SPDX-License-Identifier: Apache-2.0
#pragma once
/* The daemon itself: workers, stats, reload, drain, ping. */
struct ctl;

int cmd_daemon_workers(struct ctl *ctl);
int cmd_daemon_stats(struct ctl *ctl);
int cmd_daemon_reload(struct ctl *ctl);
int cmd_daemon_drain(struct ctl *ctl);
int cmd_daemon_ping(struct ctl *ctl);
