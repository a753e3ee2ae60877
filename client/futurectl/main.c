// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/commands.h"

#include <locale.h>

int main(int argc, char **argv)
{
    setlocale(LC_ALL, "");
    setlocale(LC_NUMERIC, "C"); /* JSON has points */
    return commands_main(argc, argv, stdout, stderr);
}
