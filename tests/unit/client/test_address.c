// SPDX-License-Identifier: Apache-2.0
#include "client/lib/address.h"
#include "tests/support/testing.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/stat.h>

static void parses_unix(const char *text, const char *path)
{
    struct futured_address address;
    const char *why;

    assert_int_equal(futured_address_parse(text, &address, &why), 0);
    assert_true(address.is_unix);
    assert_string_equal(address.path, path);
    assert_string_equal(address.text, text);
}

static void parses_tcp(const char *text, const char *host, const char *port)
{
    struct futured_address address;
    const char *why;

    assert_int_equal(futured_address_parse(text, &address, &why), 0);
    assert_false(address.is_unix);
    assert_string_equal(address.host, host);
    assert_string_equal(address.port, port);
}

static void refuses(const char *text, const char *expect)
{
    struct futured_address address;
    const char *why = NULL;

    assert_int_equal(futured_address_parse(text, &address, &why), FUTURED_ADDRESS_E_SYNTAX);
    if (!strstr(why, expect))
        fail_msg("`%s` is refused with `%s`, not `%s`", text, why, expect);
}

static void test_parse(void **state)
{
    char path[200] = "unix:", host[600];

    parses_unix("unix:/run/futured/futured.sock", "/run/futured/futured.sock");
    parses_unix("unix:relative", "relative");
    parses_tcp("127.0.0.1:4740", "127.0.0.1", "4740");
    parses_tcp("[::1]:4740", "::1", "4740");
    parses_tcp("[fe80::1%eth0]:1", "fe80::1%eth0", "1");
    parses_tcp("host.example:65535", "host.example", "65535");

    refuses("", "is empty");
    refuses("unix:", "no path");
    refuses("nonsense", "must be unix:/path");
    refuses(":4740", "must be unix:/path");
    refuses("127.0.0.1:", "port");
    refuses("127.0.0.1:0", "from 1 to 65535");
    refuses("127.0.0.1:65536", "from 1 to 65535");
    refuses("127.0.0.1:99999999999", "port");
    refuses("127.0.0.1:80x", "port");
    refuses("127.0.0.1:-1", "port");
    refuses("::1:4740", "brackets");
    refuses("[::1:4740", "brackets");
    refuses("[]:4740", "brackets");
    refuses("http://host:80", "brackets");
    refuses("/run/futured.sock:1", "must be unix:/path");

    memset(path + 5, 'x', 107);
    path[5 + 107] = '\0';
    parses_unix(path, path + 5);
    path[5 + 107] = 'x';
    path[5 + 108] = '\0';
    refuses(path, "107 bytes");
    memset(host, 'h', sizeof host);
    snprintf(host + 256, 8, ":80");
    refuses(host, "must be unix:/path");
    memset(host, 'h', sizeof host);
    snprintf(host + 590, 8, ":80");
    refuses(host, "too long");
}

static void test_default(void **state)
{
    char text[FUTURED_ADDRESS_BYTES], dir[] = "/tmp/futured-test-XXXXXX", path[200], expect[300];
    FILE *f;

    setenv("FUTURED_ADDRESS", "127.0.0.1:1", 1);
    futured_address_default(text);
    assert_string_equal(text, "127.0.0.1:1");
    setenv("FUTURED_ADDRESS", "", 1); /* as if not set */
    setenv("XDG_RUNTIME_DIR", "/nowhere", 1);
    futured_address_default(text);
    assert_string_equal(text, "unix:/run/futured/futured.sock");
    unsetenv("FUTURED_ADDRESS");
    unsetenv("XDG_RUNTIME_DIR");
    futured_address_default(text);
    assert_string_equal(text, "unix:/run/futured/futured.sock");

    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/futured", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/futured/futured.sock", dir);
    f = fopen(path, "w");
    assert_non_null(f);
    fclose(f);
    setenv("XDG_RUNTIME_DIR", dir, 1);
    futured_address_default(text);
    snprintf(expect, sizeof expect, "unix:%s", path);
    assert_string_equal(text, expect);
    unlink(path);
    futured_address_default(text);
    assert_string_equal(text, "unix:/run/futured/futured.sock");
    snprintf(path, sizeof path, "%s/futured", dir);
    rmdir(path);
    rmdir(dir);
}

static void test_resolve(void **state)
{
    struct futured_address address;
    struct futured_targets targets;
    const struct sockaddr_in *in;
    const struct sockaddr_un *un;
    const char *why;

    assert_int_equal(futured_address_parse("127.0.0.1:4740", &address, &why), 0);
    assert_int_equal(futured_address_resolve(&address, &targets, &why), 0);
    assert_int_equal(targets.n, 1);
    in = (const void *)&targets.items[0].sa;
    assert_int_equal(in->sin_family, AF_INET);
    assert_int_equal(ntohs(in->sin_port), 4740);
    assert_int_equal(ntohl(in->sin_addr.s_addr), INADDR_LOOPBACK);

    assert_int_equal(futured_address_parse("[::1]:80", &address, &why), 0);
    assert_int_equal(futured_address_resolve(&address, &targets, &why), 0);
    assert_int_equal(targets.items[0].sa.ss_family, AF_INET6);

    assert_int_equal(futured_address_parse("unix:/x/y", &address, &why), 0);
    assert_int_equal(futured_address_resolve(&address, &targets, &why), 0);
    un = (const void *)&targets.items[0].sa;
    assert_string_equal(un->sun_path, "/x/y");

    assert_int_equal(futured_address_parse("localhost:80", &address, &why), 0);
    assert_int_equal(futured_address_resolve(&address, &targets, &why), 0);
    assert_true(targets.n >= 1);

    /* a label of DNS has no blank: no resolver need be asked */
    assert_int_equal(futured_address_parse("no such host:80", &address, &why), 0);
    assert_int_equal(futured_address_resolve(&address, &targets, &why), FUTURED_ADDRESS_E_NAME);
    assert_non_null(why);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_parse),
            cmocka_unit_test(test_default),
            cmocka_unit_test(test_resolve),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
