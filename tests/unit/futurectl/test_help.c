// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/commands.h"
#include "client/futurectl/help.h"
#include "tests/unit/futurectl/written.h"

static const struct command *find(const char *name)
{
    for (size_t i = 0; i < commands_n; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static void test_command(void **state)
{
    struct written w;

    written_init(&w);
    help_print_command(w.to, find("ping"));
    written_expect(
            &w,
            "Usage: futurectl ping [OPTION]...\n"
            "\n"
            "Ask whether the daemon is there and takes calls.\n"
            "\n"
            "Examples:\n"
            "  futurectl ping --wait 10s && start-what-needs-it\n"
            "\n"
            "Options:\n"
            "      --wait DURATION             wait up to that time until it is there and takes calls\n"
            "      --timeout DURATION          give up waiting after that time, with exit status 124\n"
            "  -a, --address ADDRESS           unix:/path, 127.0.0.1:4740, [::1]:4740, host:4740 or\n"
            "                                  tls:host:4741;\n"
            "                                  default $FUTURED_ADDRESS, else the socket of the user's or\n"
            "                                  of the system's daemon\n"
            "      --tls-ca FILE               who may have signed the daemon's certificate; default\n"
            "                                  $FUTURED_TLS_CA, else whom the system trusts\n"
            "      --tls-cert FILE             the certificate to show; default $FUTURED_TLS_CERT\n"
            "      --tls-key FILE              its key; default $FUTURED_TLS_KEY\n"
            "      --token-file FILE           a file with the token that says who calls;\n"
            "                                  default $FUTURED_TOKEN_FILE\n"
            "      --json                      print JSON: one value, indented\n"
            "      --jsonl                     print JSON: one value a line, as it comes\n"
            "  -h, --help                      print this help\n"
            "      --version                   print the version\n");
    for (size_t i = 0; i < commands_n; i++) {
        help_print_command(w.to, &commands[i]);
        written_has(&w, commands[i].summary);
    }
    written_deinit(&w);
}

/* Each of the commands in a line of 100 columns at most, and of the help of each. */
static void test_program(void **state)
{
    struct written w;
    size_t width = 0;

    written_init(&w);
    help_print_program(w.to, commands, commands_n);
    for (size_t i = 0; i < commands_n; i++)
        help_print_command(w.to, &commands[i]);
    fflush(w.to);
    for (const char *p = w.text; *p; p++) {
        width = *p == '\n' ? 0 : width + 1;
        if (width > 110)
            fail_msg("a line of the help is too long: %.110s", p - 109);
    }
    written_has(&w, "\n  annotate      Set and remove labels of a future\n");
    written_deinit(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_command), cmocka_unit_test(test_program)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
