// SPDX-License-Identifier: Apache-2.0
#include "client/lib/client.h"

#include "base/limit.h"
#include "base/mem.h"
#include "client/lib/retry.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <sys/random.h>

enum { TOKEN_BYTES = 1024 };
#define TOKEN_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/="

/* --- how calls end */

int futured_client_fail(struct futured_client *client, const struct grpc_status *status,
                        const char *future_id)
{
    client->last.raw = *status;
    snprintf(client->last.future_id, sizeof client->last.future_id, "%s", future_id);
    return futured_status_fill(&client->last);
}

static int fail_here(struct futured_client *client, enum grpc_code code, const char *reason,
                     const char *message)
{
    status_set(&client->last.raw, code, reason, "%s", message);
    client->last.future_id[0] = '\0';
    return futured_status_fill(&client->last);
}

int futured_client_again(struct futured_client *client)
{
    (void)fail_here(client, GRPC_OK, "", "");
    client->last.view.code = FUTURED_AGAIN;
    return FUTURED_AGAIN;
}

int futured_client_done(struct futured_client *client)
{
    if (client->last.view.code == FUTURED_OK && !client->last.future_id[0])
        return FUTURED_OK;
    return fail_here(client, GRPC_OK, "", "");
}

int futured_client_no_memory(struct futured_client *client)
{
    return fail_here(client, GRPC_RESOURCE_EXHAUSTED, "NO_MEMORY", "this process is out of memory");
}

const struct futured_status *futured_client_status(const struct futured_client *client)
{
    return &client->last.view;
}

/* --- the connection */

mono_ns_t futured_client_until(const struct futured_client *client)
{
    return client->timeout_ns > 0 ? clock_add(clock_mono(), client->timeout_ns) : CLOCK_NEVER;
}

int futured_client_ensure(struct futured_client *client)
{
    char text[FUTURED_ADDRESS_BYTES + 128];

    if (client->conn) /* it may have ended while nobody looked */
        futured_conn_turn(client->conn, POLLIN, clock_mono());
    if (client->conn && futured_conn_state(client->conn) == FUTURED_CONN_LOST)
        client->conn = futured_conn_free(client->conn);
    if (client->conn)
        return FUTURED_OK;
    if (client->address_error) {
        snprintf(text, sizeof text, "the address `%s` %s", client->address.text, client->address_error);
        return fail_here(client, GRPC_INVALID_ARGUMENT, "BAD_ADDRESS", text);
    }
    client->n_ids = 0;
    client->n_connections++;
    if (futured_conn_new(&client->conn, &client->address, clock_mono()) < 0)
        return futured_client_no_memory(client);
    if (futured_conn_state(client->conn) == FUTURED_CONN_LOST)
        return futured_client_fail(client, futured_conn_why(client->conn), "");
    return FUTURED_OK;
}

/* @n bytes as hexadecimal digits, without a NUL. */
static char *put_hex(char *to, const uint8_t *p, size_t n)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < n; i++) {
        *to++ = digits[p[i] >> 4];
        *to++ = digits[p[i] & 15];
    }
    return to;
}

int futured_client_fresh_id(struct futured_client *client, char id[static FUTURED_CLIENT_ID_BYTES])
{
    uint8_t number[4], random[sizeof client->id_prefix / 2];

    if (client->n_ids == 0) {
        if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
            return errno ? -errno : -EIO;
        put_hex(client->id_prefix, random, sizeof random);
    }
    for (size_t i = 0; i < sizeof number; i++)
        number[i] = (uint8_t)(client->n_ids >> (8 * i));
    client->n_ids++; /* from 0 again it is behind another prefix */
    memcpy(id, client->id_prefix, sizeof client->id_prefix);
    *put_hex(id + sizeof client->id_prefix, number, sizeof number) = '\0';
    return 0;
}

int futured_client_adopt(struct futured_client *client, int fd)
{
    ASSERT(!client->conn);
    return futured_conn_new_fd(&client->conn, &client->address, fd, clock_mono());
}

/* --- patience */

#define RETRY_PAUSE_MIN_NS (50 * NS_PER_MS)
#define RETRY_PAUSE_MAX_NS (5 * NS_PER_S)

void futured_client_is_well(struct futured_client *client)
{
    client->trouble_at = CLOCK_NEVER;
    client->retry_at = 0;
    futured_backoff_reset(&client->backoff);
}

int futured_client_may_retry(struct futured_client *client, const struct grpc_status *status, int is_safe)
{
    mono_ns_t now = clock_mono();
    int64_t pause;

    if (client->patience_ns <= 0 || status->code != GRPC_UNAVAILABLE)
        return 0;
    if (!is_safe && strcmp(status->reason, "CONNECTION_LOST") == 0)
        return 0; /* it may have been done; of any other refusal it is known that it was not */
    if (client->trouble_at == CLOCK_NEVER)
        client->trouble_at = now;
    if (client->retry_at <= now) { /* else somebody else has set it */
        pause = futured_backoff_next(&client->backoff, RETRY_PAUSE_MIN_NS, RETRY_PAUSE_MAX_NS);
        if (status->retry_delay_ms > 0)
            pause = MAX(pause, MIN(status->retry_delay_ms * NS_PER_MS, RETRY_PAUSE_MAX_NS));
        client->retry_at = clock_add(now, pause);
    }
    return client->retry_at <= clock_add(client->trouble_at, client->patience_ns);
}

static int never(void *arg)
{
    return 0;
}

int futured_client_pause(struct futured_client *client, mono_ns_t until)
{
    struct pollfd none = {.fd = -1};

    for (;;) {
        mono_ns_t now = clock_mono(), end = MIN(client->retry_at, until);
        int64_t span = end > now ? end - now : 0;
        const struct timespec timeout = {.tv_sec = span / NS_PER_S, .tv_nsec = span % NS_PER_S};

        if (now >= client->retry_at)
            return 0;
        if (now >= until || client->is_nonblocking)
            return FUTURED_CLIENT_E_LATE;
        if (client->conn && futured_conn_state(client->conn) != FUTURED_CONN_LOST)
            (void)!futured_client_drive(client, end, never, NULL);
        else
            (void)client->wait(client->wait_arg, &none, &timeout);
    }
}

/* --- turns */

static int wait_ppoll(void *arg, struct pollfd *fd, const struct timespec *timeout)
{
    return ppoll(fd, 1, timeout, NULL);
}

static short wait_for(struct futured_client *client, mono_ns_t now, mono_ns_t due)
{
    struct pollfd fd = {.fd = futured_conn_fd(client->conn), .events = futured_conn_events(client->conn)};
    int64_t span = due > now ? due - now : 0;
    const struct timespec timeout = {.tv_sec = span / NS_PER_S, .tv_nsec = span % NS_PER_S};

    if (client->wait(client->wait_arg, &fd, due == CLOCK_NEVER ? NULL : &timeout) <= 0)
        return 0; /* time, or a signal: the caller looks at the clock */
    return fd.revents;
}

int futured_client_drive(struct futured_client *client, mono_ns_t until, int (*is_done)(void *arg), void *arg)
{
    short revents = 0;

    while (client->conn) {
        mono_ns_t now = clock_mono();

        futured_conn_turn(client->conn, revents, now);
        if (is_done(arg) || futured_conn_state(client->conn) == FUTURED_CONN_LOST)
            break;
        if (now >= until || client->is_nonblocking)
            return FUTURED_CLIENT_E_LATE;
        revents = wait_for(client, now, MIN(until, futured_conn_due(client->conn)));
    }
    return 0;
}

void futured_client_poke(struct futured_client *client)
{
    if (client->conn)
        futured_conn_turn(client->conn, 0, clock_mono());
}

static int is_open(void *arg)
{
    const struct futured_client *client = arg;

    return futured_conn_state(client->conn) == FUTURED_CONN_OPEN;
}

int futured_client_connect(struct futured_client *client)
{
    struct grpc_status late;
    int code = futured_client_ensure(client);

    if (code)
        return code;
    if (futured_client_drive(client, futured_client_until(client), is_open, client)) {
        if (client->is_nonblocking)
            return futured_client_again(client);
        status_set(&late, GRPC_DEADLINE_EXCEEDED, "", "cannot connect to %s within the time given",
                   client->address.text);
        return futured_client_fail(client, &late, "");
    }
    if (futured_conn_state(client->conn) == FUTURED_CONN_LOST)
        return futured_client_fail(client, futured_conn_why(client->conn), "");
    return futured_client_done(client);
}

/* --- birth and death */

struct futured_client *futured_client_new(const char *address)
{
    struct futured_client *client = mem_zalloc(sizeof *client);
    char text[FUTURED_ADDRESS_BYTES];

    if (!client)
        return NULL;
    client->wait = wait_ppoll;
    client->trouble_at = CLOCK_NEVER;
    list_init(&client->operations);
    if (!address) {
        futured_address_default(text);
        address = text;
    }
    if (futured_address_parse(address, &client->address, &client->address_error) == 0)
        client->address_error = NULL;
    (void)fail_here(client, GRPC_OK, "", "");
    return client;
}

/* A copy of @value in @place; NULL: none. Connections that there are keep what they have. */
static int set_text(struct futured_client *client, char **place, const char *value)
{
    char *copy = value ? mem_strndup(value, strlen(value)) : NULL;

    if (value && !copy)
        return futured_client_no_memory(client);
    mem_free(*place);
    *place = copy;
    return FUTURED_OK;
}

int futured_client_set_tls(struct futured_client *client, const char *ca, const char *certificate,
                           const char *key)
{
    int code = set_text(client, &client->address.ca, ca);

    if (code == FUTURED_OK)
        code = set_text(client, &client->address.certificate, certificate);
    return code == FUTURED_OK ? set_text(client, &client->address.key, key) : code;
}

int futured_client_set_token(struct futured_client *client, const char *token)
{
    char text[TOKEN_BYTES + sizeof "Bearer "];
    int code;

    if (!token)
        return set_text(client, &client->address.authorization, NULL);
    if (!*token || strlen(token) > TOKEN_BYTES || token[strspn(token, TOKEN_CHARACTERS)])
        return fail_here(client, GRPC_INVALID_ARGUMENT, "BAD_TOKEN",
                         "a token has 1 to 1024 letters, digits and - . _ ~ + / =");
    snprintf(text, sizeof text, "Bearer %s", token);
    code = set_text(client, &client->address.authorization, text);
    explicit_bzero(text, sizeof text);
    return code;
}

/* By "Trace Context" of the W3C: version-trace-parent-flags, all in hexadecimal. */
static int is_traceparent(const char *text)
{
    size_t n = strlen(text);

    return n >= 55 && n <= LIMIT_KEY_BYTES && text[strspn(text, "0123456789abcdef-")] == '\0' &&
           text[2] == '-' && text[35] == '-' && text[52] == '-';
}

int futured_client_set_traceparent(struct futured_client *client, const char *traceparent)
{
    struct bytes *copy = NULL;

    if (traceparent && !is_traceparent(traceparent))
        return fail_here(client, GRPC_INVALID_ARGUMENT, "BAD_TRACEPARENT",
                         "a traceparent has the form 00-TRACE-PARENT-FLAGS, in hexadecimal");
    if (traceparent) {
        copy = bytes_dup(traceparent, strlen(traceparent));
        if (!copy)
            return futured_client_no_memory(client);
    }
    bytes_unref(client->traceparent);
    client->traceparent = copy;
    return FUTURED_OK;
}

struct futured_client *futured_client_free(struct futured_client *client)
{
    if (!client)
        return NULL;
    futured_retry_drop_all(client);
    futured_conn_free(client->conn);
    bytes_unref(client->traceparent);
    mem_free(client->address.ca);
    mem_free(client->address.certificate);
    mem_free(client->address.key);
    mem_free(client->address.authorization);
    return mem_free(client);
}

void futured_client_set_timeout(struct futured_client *client, int64_t timeout_ns)
{
    client->timeout_ns = timeout_ns;
}

void futured_client_set_patience(struct futured_client *client, int64_t patience_ns)
{
    client->patience_ns = patience_ns;
}

const char *futured_client_address(const struct futured_client *client)
{
    return client->address.text;
}
