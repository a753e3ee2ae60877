// SPDX-License-Identifier: Apache-2.0
#pragma once
/* completion SHELL: the script of a shell. completion words: what the scripts ask for. */
struct ctl;

int cmd_completion(struct ctl *ctl);
