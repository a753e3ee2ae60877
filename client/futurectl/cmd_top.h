// SPDX-License-Identifier: Apache-2.0
#pragma once
/* How the daemon does, live. */
#include "client/futurectl/ctl.h"

int cmd_top(struct ctl *ctl);
