// SPDX-License-Identifier: Apache-2.0
/* Addresses: what is taken, what is refused and with which words, and who is at the other end of a socket. */
#include "daemon/net/address.h"
#include "tests/support/testing.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

static struct address parse(const char *text)
{
    struct address a;
    const char *why = NULL;

    if (address_parse(text, &a, &why) != 0)
        fail_msg("%s: %s", text, why);
    return a;
}

static void test_tcp(void **state)
{
    struct address a = parse("127.0.0.1:4740");
    const struct sockaddr_in *sin = (const struct sockaddr_in *)&a.sa;

    assert_int_equal(a.len, sizeof *sin);
    assert_int_equal(sin->sin_family, AF_INET);
    assert_int_equal(ntohl(sin->sin_addr.s_addr), INADDR_LOOPBACK);
    assert_int_equal(address_port(&a), 4740);
    assert_string_equal(a.text, "127.0.0.1:4740");
    assert_false(address_is_unix(&a));
    assert_int_equal(address_port(&(struct address){.sa.ss_family = AF_INET}), 0);

    a = parse("0.0.0.0:0");
    assert_string_equal(a.text, "0.0.0.0:0");
    a = parse("255.255.255.255:65535");
    assert_int_equal(address_port(&a), 65535);
}

static void test_tcp6(void **state)
{
    struct address a = parse("[::1]:80");
    const struct sockaddr_in6 *sin6 = (const struct sockaddr_in6 *)&a.sa;

    assert_int_equal(a.len, sizeof *sin6);
    assert_int_equal(sin6->sin6_family, AF_INET6);
    assert_memory_equal(&sin6->sin6_addr, &in6addr_loopback, sizeof in6addr_loopback);
    assert_int_equal(address_port(&a), 80);
    assert_string_equal(a.text, "[::1]:80");
    a = parse("[0:0:0:0:0:0:0:0]:1"); /* the text is canonical, whatever was written */
    assert_string_equal(a.text, "[::]:1");
    a = parse("[fe80::1%lo]:1");
    assert_string_equal(a.text, "[fe80::1%lo]:1");
    assert_int_not_equal(sin6->sin6_scope_id, 0);
}

static void test_unix(void **state)
{
    char path[sizeof((struct sockaddr_un *)NULL)->sun_path], text[256];
    struct address a = parse("unix:/run/futured/futured.sock");

    assert_true(address_is_unix(&a));
    assert_string_equal(address_path(&a), "/run/futured/futured.sock");
    assert_string_equal(a.text, "unix:/run/futured/futured.sock");
    a = parse("unix:///run/a");
    assert_string_equal(a.text, "unix:/run/a");

    memset(path, 'x', sizeof path);
    path[0] = '/';
    path[sizeof path - 1] = '\0'; /* 107 bytes: the longest */
    snprintf(text, sizeof text, "unix:%s", path);
    a = parse(text);
    assert_string_equal(address_path(&a), path);
    assert_string_equal(a.text, text);
}

static void test_tls(void **state)
{
    struct address a = parse("tls:127.0.0.1:4741"), b;

    assert_true(a.is_tls);
    assert_int_equal(address_port(&a), 4741);
    assert_string_equal(a.text, "tls:127.0.0.1:4741");
    assert_string_equal(address_bare(&a), "127.0.0.1:4741");
    b = parse("tls:[::1]:0");
    assert_string_equal(b.text, "tls:[::1]:0");
    address_set(&b, (const struct sockaddr *)&a.sa, a.len); /* as after a bind */
    assert_string_equal(b.text, "tls:127.0.0.1:4741");
    a = parse("127.0.0.1:1");
    assert_false(a.is_tls);
    assert_string_equal(address_bare(&a), "127.0.0.1:1");
}

static void test_loopback(void **state)
{
    static const char *const inside[] = {"unix:/a", "127.0.0.1:1", "127.8.9.1:1", "[::1]:1",
                                         "tls:127.0.0.1:1"};
    static const char *const outside[] = {"0.0.0.0:1", "10.0.0.1:1",           "128.0.0.1:1",
                                          "[::]:1",    "[::ffff:127.0.0.1]:1", "tls:0.0.0.0:1"};

    for (size_t i = 0; i < ARRAY_LEN(inside); i++) {
        struct address a = parse(inside[i]);

        assert_true(address_is_loopback(&a));
    }
    for (size_t i = 0; i < ARRAY_LEN(outside); i++) {
        struct address a = parse(outside[i]);

        assert_false(address_is_loopback(&a));
    }
}

static void test_refused(void **state)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
            {"", "no port; "},
            {"4740", "no port; "},
            {"localhost", "no port; "},
            {"localhost:4740", "names are not looked up"},
            {"*:4740", "names are not looked up"},
            {":4740", "names are not looked up"},
            {"127.1:4740", "names are not looked up"},
            {"127.0.0.1:", "the port is a number"},
            {"127.0.0.1:65536", "the port is a number"},
            {"127.0.0.1:100000", "the port is a number"},
            {"127.0.0.1:+1", "the port is a number"},
            {"127.0.0.1: 1", "the port is a number"},
            {"127.0.0.1:1 ", "the port is a number"},
            {"127.0.0.1:0x1", "the port is a number"},
            {"::1:4740", "stands in brackets"},
            {"[::1]", "the port is a number"},
            {"[::1:80", "stands in brackets"},
            {"[]:80", "no IPv6 address"},
            {"[127.0.0.1]:80", "no IPv6 address"},
            {"[::1%nosuchif0]:80", "no IPv6 address"},
            {"[fe80:0000:0000:0000:0000:0000:0000:0001%averyverylongnamethatisnone]:80", "too long"},
            {"tls:unix:/a", "needs no TLS"},
            {"tls:", "no port; "},
            {"tls:tls:127.0.0.1:1", "stands in brackets"},
            {"unix:", "starts with /"},
            {"unix:relative", "starts with /"},
            {"unix://host/path", "starts with /"},
            {"unix:@abstract", "starts with /"},
            {"unix:/run/", "not a directory"},
            {"unix:/", "not a directory"},
            {"unix:/"
             "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
             "x"
             "xxxxxxxxxxx",
             "at most 107 bytes"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct address a = {.len = 77};
        const char *why = NULL;

        if (address_parse(cases[i].text, &a, &why) != ADDRESS_E_SYNTAX)
            fail_msg("\"%s\" was taken", cases[i].text);
        if (!strstr(why, cases[i].why))
            fail_msg("\"%s\": \"%s\" does not say \"%s\"", cases[i].text, why, cases[i].why);
        assert_int_equal(a.len, 77); /* untouched */
    }
}

static void test_peer(void **state)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(50412)};
    char text[ADDRESS_TEXT_BYTES], expect[ADDRESS_TEXT_BYTES];
    int64_t uid = 0, gid = 0;
    int fds[2];

    sin.sin_addr.s_addr = htonl(0x0a000001);
    address_of_peer(-1, (const struct sockaddr *)&sin, sizeof sin, text, &uid, &gid);
    assert_true(uid == -1 && gid == -1);
    assert_string_equal(text, "10.0.0.1:50412");

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    address_of_peer(fds[0], NULL, 0, text, &uid, &gid);
    assert_true(uid == getuid() && gid == getgid());
    snprintf(expect, sizeof expect, "unix:uid=%u,pid=%d", getuid(), (int)getpid());
    assert_string_equal(text, expect);
    close(fds[0]);
    close(fds[1]);
    address_of_peer(-1, NULL, 0, text, &uid, &gid);
    assert_true(uid == -1 && gid == -1);
    assert_string_equal(text, "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_tcp),  cmocka_unit_test(test_tcp6),     cmocka_unit_test(test_unix),
            cmocka_unit_test(test_tls),  cmocka_unit_test(test_loopback), cmocka_unit_test(test_refused),
            cmocka_unit_test(test_peer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
