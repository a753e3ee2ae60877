// SPDX-License-Identifier: Apache-2.0
#include "pair.h"
int main(void)
{
    return 0;
}
