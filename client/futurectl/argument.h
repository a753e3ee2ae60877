// SPDX-License-Identifier: Apache-2.0
#pragma once
/* The argument of a task, from the command line, standard input or a file. */
#include "base/buf.h"
#include "client/futurectl/ctl.h"

/* argument_read: of `run FUNCTION [ARGUMENT | - | @FILE]` and --argument, into @to, which the caller frees. Standard
 * input is read only for `-`. Return: CTL_OK, or another exit status, with the complaint made. */
__attribute__((warn_unused_result)) int argument_read(struct ctl *ctl, struct buf *to);
