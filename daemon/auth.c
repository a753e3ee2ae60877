// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"
#include "base/mem.h"
#include "daemon/auth_internal.h"
#include "daemon/net/conn.h"
#include "tls/secret.h"
#include "tls/tls.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <sys/socket.h>

enum { RETRY_MS = 1000 };

struct auth_credential {
    int64_t uid, gid; /* -1: none */
    int fd;           /* of the socket, whose peer's groups are asked for where groups matter; borrowed */
    struct buf names; /* of the certificate, each with its NUL */
    const struct identity *who;
    uint64_t generation; /* for which that was found */
    int is_pool_worker;
    struct known *charged; /* whose connection it is; NULL: nobody's yet */
};

/* --- the tables */

/* The identity of that namespace and name, which is made where there is none. NULL: no memory. */
static struct identity *know(struct auth *auth, const char *namespace, const char *name)
{
    struct scope *scope = engine_scope(auth->engine, span_of_string(namespace), span_of_string(name));
    struct known *k;

    LIST_FOREACH (l, &auth->known)
        if (LIST_ENTRY(l, struct known, link)->identity.scope == scope)
            return &LIST_ENTRY(l, struct known, link)->identity;
    k = scope ? mem_zalloc(sizeof *k) : NULL;
    if (!k)
        return NULL;
    k->name = bytes_dup(name, strlen(name) + 1); /* for the log it has its NUL */
    if (!k->name) {
        mem_free(k);
        return NULL;
    }
    k->identity = (struct identity){.name = {k->name->data, strlen(name)}, .scope = scope};
    list_push_back(&auth->known, &k->link);
    return &k->identity;
}

/* Room for what all principals have together. */
static int allocate(struct tables *t, const struct config *config)
{
    size_t n_tokens = 0, n_users = 0, n_groups = 0, n_certificates = 0;

    for (size_t i = 0; i < config->n_principals; i++) {
        n_tokens += config->principals[i].tokens.n;
        n_users += config->principals[i].users.n;
        n_groups += config->principals[i].groups.n;
        n_certificates += config->principals[i].certificates.n;
    }
    t->tokens = arena_alloc(&t->arena, MAX(n_tokens, (size_t)1) * sizeof *t->tokens);
    t->users = arena_alloc(&t->arena, MAX(n_users, (size_t)1) * sizeof *t->users);
    t->groups = arena_alloc(&t->arena, MAX(n_groups, (size_t)1) * sizeof *t->groups);
    t->certificates = arena_alloc(&t->arena, MAX(n_certificates, (size_t)1) * sizeof *t->certificates);
    return t->tokens && t->users && t->groups && t->certificates ? 0 : -ENOMEM;
}

/* What @p shows, as rows of @t. */
static int add_shown(struct tables *t, const struct config_principal *p, const struct identity *who)
{
    for (size_t i = 0; i < p->tokens.n; i++) {
        struct token *token = &t->tokens[t->n_tokens++];

        ASSERT(secret_read(p->tokens.at[i], token->hash) == 0); /* config_set has looked */
        token->who = who;
    }
    for (size_t i = 0; i < p->users.n; i++)
        t->users[t->n_users++] = (struct user){p->uids[i], who};
    for (size_t i = 0; i < p->groups.n; i++)
        t->groups[t->n_groups++] = (struct group){p->gids[i], who};
    for (size_t i = 0; i < p->certificates.n; i++) {
        const char *name = arena_strndup(&t->arena, p->certificates.at[i], strlen(p->certificates.at[i]));

        if (!name)
            return -ENOMEM;
        t->certificates[t->n_certificates++] = (struct certificate){span_of_string(name), who};
    }
    return 0;
}

/* The bits and patterns of "submit:a* read". */
static int read_rights(struct tables *t, const struct config_principal *p, struct identity *ret)
{
    struct span *patterns = arena_alloc(&t->arena, MAX(p->rights.n, (size_t)1) * sizeof *patterns);
    int all_functions = 0;

    if (!patterns)
        return -ENOMEM;
    *ret = (struct identity){.patterns = patterns};
    ret->quota = arena_alloc(&t->arena, sizeof *ret->quota);
    if (!ret->quota)
        return -ENOMEM;
    *ret->quota = (struct identity_quota){.max_connections = p->max_connections,
                                          .max_calls = p->max_calls,
                                          .max_futures = p->max_futures,
                                          .max_memory_bytes = p->max_memory_bytes,
                                          .max_stored_bytes = p->max_stored_bytes,
                                          .rate = p->rate};
    for (size_t i = 0; i < p->rights.n; i++) {
        const char *word = p->rights.at[i], *colon = strchr(word, ':'), *pattern;
        struct span head = {(const uint8_t *)word, colon ? (size_t)(colon - word) : strlen(word)};

        ret->rights |= 1U << identity_right(head);
        all_functions |= !colon && identity_right(head) == RIGHT_SUBMIT;
        all_functions |= identity_right(head) == RIGHT_ADMIN;
        if (!colon)
            continue;
        pattern = arena_strndup(&t->arena, colon + 1, strlen(colon + 1));
        if (!pattern)
            return -ENOMEM;
        patterns[ret->n_patterns++] = span_of_string(pattern);
    }
    if (all_functions)
        ret->n_patterns = 0;
    return 0;
}

static void grant(struct identity *who, const struct identity *what)
{
    who->rights = what->rights;
    who->quota = what->quota ? &CONTAINER_OF(who, struct known, identity)->quota : NULL;
    if (what->quota) { /* what is left of the rate stays, and what it has open */
        who->quota->max_connections = what->quota->max_connections;
        who->quota->max_calls = what->quota->max_calls;
        who->quota->max_futures = what->quota->max_futures;
        who->quota->max_memory_bytes = what->quota->max_memory_bytes;
        who->quota->max_stored_bytes = what->quota->max_stored_bytes;
        who->quota->rate = what->quota->rate;
    }
    who->patterns = what->patterns;
    who->n_patterns = what->n_patterns;
    who->scope->is_confined = !identity_may(who, RIGHT_READ_ALL);
}

/* Everything that may fail comes before anything is changed. @ret: of each principal. */
static int fill(struct auth *auth, struct tables *t, const struct config *config, struct identity **who,
                struct identity *what)
{
    int r = allocate(t, config);

    t->owner = know(auth, "", "");
    for (size_t i = 0; r == 0 && i < config->n_principals; i++) {
        const struct config_principal *p = &config->principals[i];

        who[i] = know(auth, p->namespace, p->name);
        r = who[i] ? read_rights(t, p, &what[i]) : -ENOMEM;
        if (r == 0)
            r = add_shown(t, p, who[i]);
    }
    return t->owner ? r : -ENOMEM;
}

static int check(void *arg, struct grpc_call *call, struct span authorization);
static void on_over(void *arg, const void *who);

int auth_reload(struct auth *auth, const struct config *config)
{
    static const struct identity all = {.rights = 1U << RIGHT_ADMIN}, nothing = {0};
    struct tables t = {0};
    struct identity **who, *what;
    int r;

    arena_init(&t.arena, 0);
    who = arena_alloc(&t.arena, (config->n_principals + 1) * sizeof(struct identity *));
    what = arena_alloc(&t.arena, (config->n_principals + 1) * sizeof *what);
    r = who && what ? fill(auth, &t, config, who, what) : -ENOMEM;
    if (r < 0) {
        arena_deinit(&t.arena);
        return r;
    }
    LIST_FOREACH (
            l,
            &auth->known) { /* confined too: what it may see is of no use to it, but to nobody else either */
        grant(&LIST_ENTRY(l, struct known, link)->identity, &nothing);
    }
    for (size_t i = 0; i < config->n_principals; i++)
        grant(who[i], &what[i]);
    grant((struct identity *)(uintptr_t)t.owner, &all);
    arena_deinit(&auth->tables.arena);
    auth->tables = t;
    auth->generation++;
    auth->is_new = 1;
    auth->is_guarding = config->n_principals > 0;
    grpc_server_guard(auth->server, auth->is_guarding ? check : NULL, on_over, auth);
    return 0;
}

int auth_new(struct auth **ret, const struct config *config, struct grpc_server *server,
             struct engine *engine)
{
    struct auth *auth = mem_zalloc(sizeof *auth);
    int r;

    if (!auth)
        return -ENOMEM;
    auth->server = server;
    auth->engine = engine;
    list_init(&auth->known);
    arena_init(&auth->tables.arena, 0);
    r = auth_reload(auth, config);
    if (r < 0) {
        auth_free(auth);
        return r;
    }
    *ret = auth;
    return 0;
}

struct auth *auth_free(struct auth *auth)
{
    struct list *l;

    if (!auth)
        return NULL;
    while ((l = list_pop_front(&auth->known)) != NULL) {
        struct known *k = LIST_ENTRY(l, struct known, link);

        bytes_unref(k->name);
        mem_free(k);
    }
    arena_deinit(&auth->tables.arena);
    return mem_free(auth);
}

/* --- who it is */

static const struct identity *find_certificate(const struct tables *t, const struct buf *names)
{
    const char *at = (const char *)buf_head(names), *end = at + buf_len(names);

    for (; at < end; at += strlen(at) + 1)
        for (size_t i = 0; i < t->n_certificates; i++)
            if (span_eq(t->certificates[i].name, span_of_string(at)))
                return t->certificates[i].who;
    return NULL;
}

static const struct identity *find_user(const struct tables *t, int64_t uid)
{
    if (uid < 0)
        return NULL;
    for (size_t i = 0; i < t->n_users; i++)
        if (t->users[i].uid == uid)
            return t->users[i].who;
    return uid == 0 || uid == geteuid() ? t->owner : NULL;
}

/* The first section that names any of the peer's groups, as they were when it connected. */
static const struct identity *find_groups(const struct tables *t, const struct auth_credential *c)
{
    gid_t few[64], *groups = few, *many = NULL;
    socklen_t bytes = sizeof few;
    const struct identity *who = NULL;
    int r;

    if (c->gid < 0 || !t->n_groups)
        return NULL;
    r = getsockopt(c->fd, SOL_SOCKET, SO_PEERGROUPS, few, &bytes);
    if (r < 0 && errno == ERANGE) { /* then it has said how many there are */
        groups = many = mem_alloc(bytes);
        r = many ? getsockopt(c->fd, SOL_SOCKET, SO_PEERGROUPS, many, &bytes) : -1;
    }
    for (size_t i = 0; !who && i < t->n_groups; i++) {
        if (t->groups[i].gid == c->gid)
            who = t->groups[i].who;
        for (size_t k = 0; !who && r == 0 && k < bytes / sizeof *groups; k++)
            if (groups[k] == t->groups[i].gid)
                who = t->groups[i].who;
    }
    mem_free(many);
    return who;
}

/* What a call keeps of its token, to know it again after a reload; 0 is a call without. */
static uint64_t proof_of(const uint8_t hash[static SECRET_BYTES])
{
    uint64_t proof;

    memcpy(&proof, hash, sizeof proof);
    return proof | 1;
}

static int has_token(const struct tables *t, const struct identity *who, uint64_t proof)
{
    for (size_t i = 0; i < t->n_tokens; i++)
        if (t->tokens[i].who == who && proof_of(t->tokens[i].hash) == proof)
            return 1;
    return 0;
}

/* All of them are looked at, each to its end, so that how long it takes says nothing about any of them. */
static const struct identity *find_token(const struct tables *t, struct span token, uint64_t *ret_proof)
{
    const struct identity *who = NULL;
    uint8_t hash[SECRET_BYTES];

    if (secret_hash(token, hash) < 0)
        return NULL;
    for (size_t i = 0; i < t->n_tokens; i++)
        if (secret_is_equal(t->tokens[i].hash, hash))
            who = t->tokens[i].who;
    *ret_proof = proof_of(hash);
    return who;
}

static const struct identity *of_connection(const struct auth *auth, struct auth_credential *c)
{
    if (c->generation != auth->generation) {
        c->who = find_certificate(&auth->tables, &c->names);
        if (!c->who)
            c->who = find_user(&auth->tables, c->uid);
        if (!c->who)
            c->who = find_groups(&auth->tables, c);
        c->generation = auth->generation;
    }
    return c->who;
}

/* --- what it uses */

static struct known *known_of(const struct identity *who)
{
    return CONTAINER_OF((struct identity *)(uintptr_t)who, struct known, identity);
}

/* One more connection of @who's; 0: it has as many as it may. */
static int charge_connection(struct auth_credential *c, const struct identity *who)
{
    struct known *k = known_of(who);

    if (who->quota && k->quota.max_connections && k->quota.n_connections >= k->quota.max_connections)
        return 0;
    k->quota.n_connections++;
    c->charged = k;
    return 1;
}

static void on_over(void *arg, const void *who)
{
    struct known *k = known_of(who);

    ASSERT(k->quota.n_calls > 0);
    k->quota.n_calls--;
}

/* --- whether it may */

static int turn_away(struct grpc_call *call, struct grpc_status *st, const char *who)
{
    LOG_EVENT(LOG_INFO, "call_refused", LOG_STR("peer", grpc_call_peer(call)->address),
              LOG_STR("method", grpc_call_method(call)->path), LOG_STR("principal", who),
              LOG_STR("text", st->message));
    grpc_call_fail(call, st);
    return 1;
}

static struct grpc_status *deny(struct grpc_status *st, const struct identity *who, enum right right)
{
    status_set(st, GRPC_PERMISSION_DENIED, "PERMISSION_DENIED",
               "principal \"%.*s\" does not have the right \"%s\"", (int)who->name.len,
               (const char *)who->name.p, identity_right_word(right));
    status_add_metadata(st, "right", "%s", identity_right_word(right));
    return st;
}

static int is_bearer(struct span authorization, struct span *ret_token)
{
    static const char scheme[] = "Bearer ";
    size_t n = sizeof scheme - 1;

    if (authorization.len <= n || strncasecmp((const char *)authorization.p, scheme, n) != 0)
        return 0;
    *ret_token = (struct span){authorization.p + n, authorization.len - n};
    return 1;
}

/* @who may call; unless it has as much open as it may. */
static int begin_call(struct grpc_call *call, struct auth_credential *credential, const struct identity *who,
                      uint64_t proof)
{
    struct known *k = known_of(who);
    struct grpc_status st;

    if (UNLIKELY(!credential->charged) && !charge_connection(credential, who)) {
        grpc_call_drain(call); /* else it would stay, and be nobody's */
        return turn_away(call, identity_refuse(who, QUOTA_CONNECTIONS, RETRY_MS, &st),
                         (const char *)who->name.p);
    }
    if (who->quota && k->quota.max_calls && k->quota.n_calls >= k->quota.max_calls)
        return turn_away(call, identity_refuse(who, QUOTA_CALLS, RETRY_MS, &st), (const char *)who->name.p);
    k->quota.n_calls++;
    grpc_call_set_who(call, who, proof);
    return 0;
}

/* The one place where it is decided; for each call before it begins. */
static int check(void *arg, struct grpc_call *call, struct span authorization)
{
    const struct auth *auth = arg;
    struct auth_credential *credential = grpc_call_peer(call)->credential;
    enum right right = (enum right)grpc_call_method(call)->right;
    const struct identity *who = NULL;
    uint64_t proof = 0;
    struct span token;
    struct grpc_status st;

    if (right == RIGHT_NONE || (credential->is_pool_worker && right == RIGHT_WORKER))
        return 0;
    if (authorization.p && !is_bearer(authorization, &token))
        return turn_away(call,
                         status_set(&st, GRPC_UNAUTHENTICATED, "BAD_CREDENTIALS",
                                    "the metadata \"authorization\" is \"Bearer TOKEN\""),
                         "");
    who = authorization.p ? find_token(&auth->tables, token, &proof) : of_connection(auth, credential);
    if (!who || !who->rights)
        return turn_away(
                call,
                authorization.p
                        ? status_set(&st, GRPC_UNAUTHENTICATED, "BAD_CREDENTIALS",
                                     "no principal has this token")
                        : status_set(&st, GRPC_UNAUTHENTICATED, "NO_CREDENTIALS",
                                     "no principal is known by what this connection shows; a token, a "
                                     "client certificate or a Unix socket can say who calls"),
                "");
    if (!identity_may(who, right))
        return turn_away(call, deny(&st, who, right), (const char *)who->name.p);
    return begin_call(call, credential, who, proof);
}

/* As check, of a call that is open. */
static int review(void *arg, struct grpc_call *call, const void *caller, uint64_t proof,
                  struct grpc_status *ret)
{
    const struct auth *auth = arg;
    const struct identity *who = caller;
    enum right right = (enum right)grpc_call_method(call)->right;

    if (!auth->is_guarding)
        return 0;
    if (proof ? !has_token(&auth->tables, who, proof)
              : of_connection(auth, grpc_call_peer(call)->credential) != who)
        status_set(ret, GRPC_UNAUTHENTICATED, "REVOKED",
                   "what this call showed is no longer that of principal \"%.*s\"", (int)who->name.len,
                   (const char *)who->name.p);
    else if (!identity_may(who, right))
        deny(ret, who, right);
    else
        return 0;
    LOG_EVENT(LOG_INFO, "call_ended", LOG_STR("peer", grpc_call_peer(call)->address),
              LOG_STR("method", grpc_call_method(call)->path),
              LOG_STR("principal", (const char *)who->name.p), LOG_STR("text", ret->message));
    return 1;
}

void auth_turn(struct auth *auth)
{
    if (LIKELY(!auth->is_new))
        return;
    auth->is_new = 0;
    grpc_server_review(auth->server, review, auth);
}

/* --- connections */

/* Where what the connection shows says whose it is. */
static int charge_at_once(const struct auth *auth, struct auth_credential *c, const char *address)
{
    const struct identity *who = of_connection(auth, c);

    if (!who || !who->rights || charge_connection(c, who))
        return 0;
    who->quota->n_refused[QUOTA_CONNECTIONS]++;
    LOG_EVENT(LOG_INFO, "connection_refused", LOG_STR("peer", address),
              LOG_STR("principal", (const char *)who->name.p),
              LOG_STR("quota", identity_quota_word(QUOTA_CONNECTIONS)));
    return -EUSERS;
}

int auth_open(struct auth *auth, const struct conn_peer *peer, struct auth_credential **ret)
{
    struct auth_credential *c = mem_zalloc(sizeof *c);
    int r;

    if (!c)
        return -ENOMEM;
    c->uid = peer->trust == CONN_LOCAL ? peer->uid : -1;
    c->gid = peer->trust == CONN_LOCAL ? peer->gid : -1;
    c->fd = peer->fd;
    c->is_pool_worker = peer->trust == CONN_OWN;
    r = peer->tls ? tls_peer_names(peer->tls, &c->names) : 0;
    if (r == 0 && auth->is_guarding)
        r = charge_at_once(auth, c, peer->address);
    if (r < 0) {
        auth_close(c);
        return r;
    }
    *ret = c;
    return 0;
}

void auth_close(struct auth_credential *credential)
{
    if (!credential)
        return;
    if (credential->charged)
        credential->charged->quota.n_connections--;
    buf_deinit(&credential->names);
    mem_free(credential);
}
