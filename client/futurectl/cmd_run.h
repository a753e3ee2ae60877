// SPDX-License-Identifier: Apache-2.0
#pragma once
/* run: submit, wait, print the result. submit: print the ID. */
struct ctl;

int cmd_run(struct ctl *ctl);
int cmd_run_submit(struct ctl *ctl);
