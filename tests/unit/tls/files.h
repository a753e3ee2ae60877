// SPDX-License-Identifier: Apache-2.0
#pragma once
/* A directory with the files that the tests of this room read: an authority "ca", one that nobody knows "other", and
 * certificates of both. */
#include "tests/support/certs.h"
#include "tests/support/testing.h"
#include "tls/tls.h"

#include <limits.h>

static char files_directory[] = "/tmp/futured-tls-XXXXXX";

static const char *file(const char *name)
{
    static char paths[16][PATH_MAX];
    static unsigned int n;
    char *path = paths[n++ % ARRAY_LEN(paths)];

    snprintf(path, PATH_MAX, "%s/%s", files_directory, name);
    return path;
}

static int make_files(void **state)
{
    struct cert ca = cert_new("authority", NULL, 365, NULL),
                other = cert_new("other authority", NULL, 365, NULL);
    struct cert made[] = {
            cert_new("server", "DNS:futured.example,IP:127.0.0.1", 90, &ca),
            cert_new("old server", "DNS:futured.example,IP:127.0.0.1", -1, &ca),
            cert_new("alice", "DNS:alice.example,URI:spiffe://example/alice,email:alice@example.org", 30,
                     &ca),
            cert_new("bob", NULL, -1, &ca),
            cert_new("mallory", NULL, 30, &other),
    };
    static const char *const names[] = {"server", "old", "alice", "bob", "mallory"};

    assert_non_null(mkdtemp(files_directory));
    cert_write(&ca, file("ca.crt"), NULL);
    cert_write(&other, file("other.crt"), NULL);
    for (size_t i = 0; i < ARRAY_LEN(made); i++) {
        char crt[32], key[32];

        snprintf(crt, sizeof crt, "%s.crt", names[i]);
        snprintf(key, sizeof key, "%s.key", names[i]);
        cert_write(&made[i], file(crt), file(key));
        cert_free(&made[i]);
    }
    cert_free(&ca);
    cert_free(&other);
    return 0;
}

static int remove_files(void **state)
{
    char command[PATH_MAX + 16];

    snprintf(command, sizeof command, "rm -r %s", files_directory);
    return system(command);
}

/* A context that must be possible. @who: of whose certificate; NULL = none. @ca: file; NULL = none. */
static inline struct tls_context *context_of(enum tls_role role, const char *who, const char *ca,
                                             enum tls_demand demand)
{
    struct tls_config config = {.role = role, .demand = demand, .ca = ca ? file(ca) : NULL};
    struct tls_context *context;
    char why[TLS_WHY_BYTES] = "", crt[32], key[32];

    if (who) {
        snprintf(crt, sizeof crt, "%s.crt", who);
        snprintf(key, sizeof key, "%s.key", who);
        config.certificate = file(crt);
        config.key = file(key);
    }
    if (tls_context_new(&context, &config, why) != 0)
        fail_msg("%s", why);
    return context;
}
