// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * What the daemon is told: defaults, then the file, then the command line, each winning over the one before;
 * checked as a whole and never changed after: a reload (config_change.h) makes another one. Every key has one row in a table (config_table.c) that is also
 * its documentation, in --help and in systemd/futured.conf.
 */
#include "base/arena.h"
#include "base/buf.h"
#include "base/limit.h"
#include "base/log.h"
#include "daemon/net/address.h"
#include "engine/defaults.h"
#include "h2/session.h"

#include <stdio.h>

enum config_store { CONFIG_STORE_NONE, CONFIG_STORE_SQLITE };

/* [function.NAME]: a function that is a command, or the limits and the defaults of another one. */
struct config_function {
    const char *name;
    const char *command;               /* the line as written; NULL: it is none */
    const char *doc;                   /* "" = none */
    const char *directory;             /* where the command runs; NULL: where the daemon does */
    uint32_t max_running;              /* 0 = no limit */
    uint64_t max_pending;              /* likewise */
    double rate;                       /* starts a second; likewise */
    uint64_t memory_max_bytes;         /* likewise, of an attempt */
    int64_t cpu_time_max_ns;           /* likewise */
    uint64_t max_result_bytes;         /* likewise */
    uint32_t open_files;               /* likewise */
    int isolate;                       /* each attempt in a process of its own */
    uint8_t sandbox;                   /* CONFINE_ of base/confine.h */
    uint64_t tmp_max_bytes;            /* of the sandbox's /tmp */
    int shell;                         /* the command is a line for /bin/sh */
    struct function_defaults defaults; /* of its tasks; its retry is NULL, and instead: */
    struct retry_policy retry;         /* max_attempts 0 = not said */
    const char *file;                  /* where it stands */
    unsigned int line;
};

/* Texts, in the order of reading. */
struct config_list {
    const char **at;
    size_t n;
};

/* [principal.NAME]: somebody who may call. */
struct config_principal {
    const char *name;
    const char *namespace;
    struct config_list users, groups, certificates, tokens; /* what it shows: names; "cn:NAME"; hashes */
    const char *token_file;                                 /* whose hashes are in tokens too; NULL = none */
    struct config_list rights;                              /* words */
    uint32_t *uids, *gids;                                  /* of users, of groups */
    uint32_t max_connections, max_calls;                    /* 0 = no limit */
    uint64_t max_futures, max_memory_bytes;                 /* likewise */
    uint64_t max_stored_bytes;                              /* likewise */
    double rate;                                            /* likewise */
    const char *file;                                       /* where it stands */
    unsigned int line;
};

struct config {
    struct arena arena; /* of every string and array below */
    struct address *listen;
    size_t n_listen;
    int insecure;                /* others may reach what is not protected */
    const char *socket_group;    /* NULL = not given */
    int64_t socket_gid;          /* of that, or of the default one; -1 = the daemon's own */
    int is_listen_default;       /* it is in a directory of the user's that may have to be made */
    const char *state_directory; /* NULL: none, and none needed */
    int is_state_default;        /* nobody named it: the directories above it may have to be made */
    enum config_store store;
    uint64_t cache_bytes;   /* of finished futures that the store has */
    uint64_t reserve_bytes; /* of free space in the state directory */
    uint64_t log_bytes;     /* that the store's log has from the start */
    int accept_loss;        /* start although the store has lost commits */
    enum log_level log_level;
    uint8_t unknown_functions;       /* as of CONFIG_UNKNOWN */
    const char *functions_directory; /* "" = none */
    struct limits limits;
    uint32_t max_connections, max_handshakes, messages_per_turn;
    struct h2_config h2;                                   /* of a stranger's connection */
    const char *tls_certificate, *tls_key, *tls_client_ca; /* paths; NULL = not given */
    uint8_t tls_demand, tls_min_version;                   /* as of CONFIG_DEMAND, CONFIG_VERSION */
    int64_t handshake_timeout_ns;
    int64_t drain_timeout_ns;
    int64_t watch_keepalive_ns;
    int64_t lease_ttl_ns; /* of workers on a stream that is not the pool's */
    uint32_t workers;
    uint32_t min_workers, max_workers; /* 0 = as workers; config_pool_size has both in one */
    int64_t idle_worker_ns;            /* so long not needed one beyond the least is too many */
    uint32_t threads;                  /* tasks that a process runs at a time */
    int32_t nice;                      /* 0 = as the daemon */
    const char **plugins;              /* paths, or names of files in the plugins' folder */
    size_t n_plugins;
    uint32_t prefetch;             /* tasks that a worker holds for each that it runs; 0 = as is best */
    uint64_t max_tasks_per_worker; /* 0 = no limit */
    int64_t max_worker_age_ns;     /* likewise */
    int64_t start_timeout_ns;
    struct config_function *functions; /* in the order of reading */
    size_t n_functions;
    struct config_principal *principals; /* likewise */
    size_t n_principals;
    const char *port_file; /* NULL = none */
    int argc;              /* the command line, borrowed, for config_again */
    char *const *argv;
};

/* config_needs_certificates: whether every client over TLS must show one. */
static inline int config_needs_certificates(const struct config *c)
{
    return c->tls_client_ca && c->tls_demand == 1;
}

/* config_function_has_attempt_limits: whether something is said of what an attempt of it may use, or where it runs. */
int config_function_has_attempt_limits(const struct config_function *f);

/* config_pool_size: the least and the most workers that @c asks for; 0 and 0: none. */
void config_pool_size(const struct config *c, uint32_t *ret_min, uint32_t *ret_max);

enum { CONFIG_E_USAGE = 1, CONFIG_E_INVALID = 2 };

/* config_check_address: whether it may listen on @a: nobody that @c knows nothing of may use it from elsewhere.
 *   Return: 0; CONFIG_E_INVALID, and @why is a sentence. */
MUST_CHECK int config_check_address(const struct config *c, const struct address *a, char *why, size_t size);

/* config_load: the configuration for the command line @argv (without the program's name), which is borrowed as long as it lives. @errors gets one
 * line for each thing that is wrong.
 *   Owns:   the caller of *ret, config_free.
 *   Return: 0; CONFIG_E_USAGE (the command line), CONFIG_E_INVALID (a file, or the whole); -ENOMEM. */
MUST_CHECK int config_load(struct config **ret, int argc, char *const argv[], struct buf *errors);
struct config *config_free(struct config *c);

/* config_again: the same command line, and what is in the files now. As config_load. */
MUST_CHECK int config_again(const struct config *c, struct config **ret, struct buf *errors);

/* config_main: config_load for a main function: says what is wrong on stderr, does what --help, --version,
 * --check-config, --check-store and --backup ask on stdout.
 *   Return: < 0: *ret is there, run; else the exit status. */
MUST_CHECK int config_main(struct config **ret, int argc, char *const argv[]);

/* config_write_help: the text of --help. config_write_example: systemd/futured.conf, every key as a comment. */
void config_write_help(FILE *to);
void config_write_example(FILE *to);
