// SPDX-License-Identifier: Apache-2.0
#pragma once
/* Many tasks from many items. */
#include "client/futurectl/ctl.h"

int cmd_map(struct ctl *ctl);
