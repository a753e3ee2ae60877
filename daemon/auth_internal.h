// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What auth.c keeps, and auth_measure.c tells of. */
#include "base/arena.h"
#include "base/list.h"
#include "daemon/auth.h"
#include "service/identity.h"
#include "tls/secret.h"

/* One principal that there is or was; never freed before the end. */
struct known {
    struct list link;
    struct identity identity;
    struct identity_quota quota; /* its counts go on, whatever it may */
    struct bytes *name;
};

/* What the configuration says, as of the last load. */
struct tables {
    struct arena arena;
    size_t n_tokens, n_users, n_groups, n_certificates;
    struct token {
        uint8_t hash[SECRET_BYTES];
        const struct identity *who;
    } * tokens;
    struct user {
        uint32_t uid;
        const struct identity *who;
    } * users;
    struct group {
        uint32_t gid;
        const struct identity *who;
    } * groups;
    struct certificate {
        struct span name; /* "cn:alice" */
        const struct identity *who;
    } * certificates;
    const struct identity *owner; /* root, and the daemon's own user */
};

struct auth {
    struct grpc_server *server;
    struct engine *engine;
    struct list known;
    struct tables tables;
    uint64_t generation; /* of the tables */
    int is_guarding;     /* there are principals */
    int is_new;          /* open calls are to be looked at */
};
