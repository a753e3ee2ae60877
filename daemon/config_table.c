// SPDX-License-Identifier: Apache-2.0
/*
 * One row a key. The default stands in the row as text and is read by the same function as a value of the
 * file, so nothing can be a default that would be refused. What is allowed is said by the row as well, so
 * every error text and every line of documentation is made from it.
 */
#include "daemon/config_table.h"

#include "base/clock.h"
#include "base/confine.h"
#include "base/runpage.h"
#include "service/identity.h"
#include "tls/secret.h"
#include "worker/spec.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define AT(member)           offsetof(struct config, member)
#define FUNCTION_AT(member)  offsetof(struct config_function, member)
#define PRINCIPAL_AT(member) offsetof(struct config_principal, member)

#define K                    UINT64_C(1024)
#define M                    (K * 1024)
#define G                    (M * 1024)
#define T                    (G * 1024)
#define MS                   (UINT64_C(1000) * 1000)
#define S                    (MS * 1000)
#define DAY                  (S * 86400)

_Static_assert(sizeof(size_t) == sizeof(uint64_t), "CONFIG_SIZE writes either");

/* clang-format off */
const struct config_key config_keys[] = {
    {"futured", "listen", CONFIG_ADDRESSES, AT(listen), .sample = "unix:/run/futured/futured.sock",
     .flag = "listen", .argument = "ADDR",
     .needs_restart = 1,
     .doc = "Where to listen: unix:/path, 127.0.0.1:4740, [::1]:4740, or tls:0.0.0.0:4741 with [tls]; port 0 is any. May be "
            "given more than once. What others than this machine can reach needs TLS, and clients that must say who they are. "
            "Default: unix:$RUNTIME_DIRECTORY/futured.sock, else unix:$XDG_RUNTIME_DIR/futured/futured.sock."},
    {"futured", "state_directory", CONFIG_PATH, AT(state_directory), .sample = "/var/lib/futured",
     .flag = "state-directory", .argument = "DIR",
     .needs_restart = 1,
     .doc = "What must survive a restart is kept here. Default: $STATE_DIRECTORY, else $XDG_STATE_HOME/futured, else "
            "$HOME/.local/state/futured."},
    {"futured", "store", CONFIG_STORE, AT(store), .preset = "sqlite", .flag = "store", .argument = "sqlite|none",
     .needs_restart = 1,
     .doc = "How futures are kept: sqlite is a database in the state directory, none is in memory only."},
    {"futured", "log_level", CONFIG_LEVEL, AT(log_level), .preset = "info", .flag = "log-level", .argument = "LEVEL",
     .doc = "What is logged: error, warning, notice, info or debug, each with all before it."},
    {"futured", "max_message", CONFIG_SIZE, AT(limits.max_message_bytes), 4 * K, LIMIT_MAX_MESSAGE_BYTES,
     .preset = "4M",
     .needs_restart = 1,
     .doc = "The largest request or reply."},
    {"futured", "unknown_functions", CONFIG_UNKNOWN, AT(unknown_functions), .preset = "refuse",
     .needs_restart = 1,
     .doc = "What becomes of a task of a function that nobody serves, or ever has: refuse, or accept, and it waits for a worker; "
            "its function is known from then on."},
    {"futured", "insecure", CONFIG_BOOL, AT(insecure), .preset = "no",
     .doc = "Whether it may listen where anybody on the network could use it: without TLS, or without asking who calls."},
    {"futured", "socket_group", CONFIG_TEXT, AT(socket_group), 1, 255, .sample = "1000",
     .needs_restart = 1,
     .doc = "The group of the Unix socket, by name or number, whose mode is 0660: who is in it can connect. Default: futured, if there is such a group "
            "and the daemon may give it, else the daemon's own. A socket of systemd's has what SocketGroup= says."},
    {"futured", "functions_directory", CONFIG_PATH, AT(functions_directory), .shipped = "/etc/futured/functions.d",
     .doc = "Every *.conf in this directory is read too, in the order of their names; [function.NAME] sections may "
            "stand there. Default: none."},

    {"limits", "connections", CONFIG_COUNT, AT(max_connections), 1, 1000000, .preset = "10000",
     .doc = "Open connections; more are accepted and closed at once."},
    {"limits", "handshakes", CONFIG_COUNT, AT(max_handshakes), 1, 1000000, .preset = "256",
     .doc = "Connections that are in their TLS handshake at a time; one more ends the one that began first."},
    {"limits", "streams_per_connection", CONFIG_COUNT, AT(h2.max_streams), 1, 1000000, .preset = "2000",
     .doc = "Calls that one connection may have open."},
    {"limits", "messages_per_turn", CONFIG_COUNT, AT(messages_per_turn), 1, 1000000, .preset = "32",
     .needs_restart = 1,
     .doc = "Messages of one connection that are handled before the others get their turn."},
    {"limits", "header_list", CONFIG_SIZE32, AT(h2.max_header_list_bytes), 4 * K, 1 * M, .preset = "16K",
     .doc = "The metadata of one call: names, values and 32 bytes for each."},
    {"limits", "memory", CONFIG_SIZE, AT(limits.max_memory_bytes), 1 * M, 1024 * T, .preset = "8G",
     .doc = "All futures held in memory."},
    {"limits", "futures", CONFIG_COUNT64, AT(limits.max_futures), 1, UINT64_C(1000000000), .preset = "50000000",
     .doc = "Futures held in memory."},
    {"limits", "waiter_edges", CONFIG_COUNT64, AT(limits.max_waiter_edges), 1, UINT64_C(1000000000),
     .preset = "10000000",
     .doc = "Pairs of a waiting call and a future that it waits for."},
    {"limits", "functions", CONFIG_COUNT, AT(limits.max_functions), 1, 1000000, .preset = "10000",
     .doc = "Names of functions that are known."},
    {"limits", "scan", CONFIG_COUNT, AT(limits.scan_limit), 1000, 100000000, .preset = "100000",
     .doc = "Futures that one List, Count or ...Many looks at before it answers with a page token."},
    {"limits", "filter_watches", CONFIG_COUNT, AT(limits.max_filter_watches), 1, 10000, .preset = "64",
     .doc = "Watches of a group or a filter at a time."},
    {"limits", "watch_events", CONFIG_COUNT, AT(limits.watch_events), 1, 100000000, .preset = "65536",
     .needs_restart = 1,
     .doc = "The newest events, which are kept for Watches of a group or a filter from the first one on, at 48 bytes each. "
            "Who falls further behind, or comes back later, begins anew with how it is."},
    {"limits", "max_output", CONFIG_SIZE, AT(limits.max_output_bytes), 1 * K, LIMIT_MAX_TOLD_BYTES, .zero = "none is kept", .preset = "256K",
     .doc = "What is kept of the output that an attempt hands out before its end, each piece counted as 64 bytes more; a future keeps "
            "as much as 4 attempts may have. 0: none is kept."},
    {"limits", "max_log", CONFIG_SIZE, AT(limits.max_log_bytes), 1 * K, LIMIT_MAX_TOLD_BYTES, .zero = "none is kept", .preset = "256K",
     .doc = "Likewise of the log of an attempt: what the function logs, or the standard error of a command."},

    {"store", "cache", CONFIG_SIZE, AT(cache_bytes), 0, 1024 * T, .preset = "256M",
     .needs_restart = 1,
     .doc = "Finished futures that stay in memory although the store has them."},
    {"store", "reserve", CONFIG_SIZE, AT(reserve_bytes), 0, 1024 * T, .preset = "64M",
     .needs_restart = 1,
     .doc = "Free space in the file system of the state directory below which no task is accepted."},
    {"store", "log", CONFIG_SIZE, AT(log_bytes), 0, 1 << 30, .preset = "16M",
     .needs_restart = 1,
     .doc = "Room that the store's log takes at the start, if there is so much; syncs are quicker within it."},

    {"timeouts", "handshake", CONFIG_SPAN, AT(handshake_timeout_ns), 100 * MS, 1 * DAY, .preset = "10s",
     .doc = "From the connection to the end of its TLS handshake."},
    {"timeouts", "preface", CONFIG_SPAN, AT(h2.preface_timeout_ns), 100 * MS, 1 * DAY, .preset = "10s",
     .doc = "From the connection to the client's first SETTINGS."},
    {"timeouts", "headers", CONFIG_SPAN, AT(h2.headers_timeout_ns), 100 * MS, 1 * DAY, .preset = "10s",
     .doc = "From the first byte of a call's headers to the last."},
    {"timeouts", "body", CONFIG_SPAN, AT(h2.body_timeout_ns), 100 * MS, 1 * DAY, .preset = "60s",
     .doc = "Silence in the middle of a request that is owed."},
    {"timeouts", "idle", CONFIG_SPAN, AT(h2.idle_timeout_ns), 1 * S, 365 * DAY, .zero = "never", .preset = "30min",
     .doc = "A connection without a call and without a frame is closed after this; 0 is never."},
    {"timeouts", "write", CONFIG_SPAN, AT(h2.write_timeout_ns), 100 * MS, 1 * DAY, .preset = "60s",
     .doc = "A peer that takes nothing of what waits for it is cut off after this."},
    {"timeouts", "keepalive", CONFIG_SPAN, AT(h2.keepalive_ns), 1 * S, 365 * DAY, .zero = "never", .preset = "2min",
     .doc = "Silence of a connection before it is asked for a sign of life; 0 is never."},
    {"timeouts", "keepalive_timeout", CONFIG_SPAN, AT(h2.keepalive_timeout_ns), 100 * MS, 1 * DAY, .preset = "20s",
     .doc = "How long that sign of life may take."},
    {"timeouts", "watch_keepalive", CONFIG_SPAN, AT(watch_keepalive_ns), 1 * S, 1 * DAY, .zero = "never", .preset = "30s",
     .doc = "A Watch that nothing was sent on for so long is sent a keepalive event; 0 is never."},
    {"timeouts", "drain", CONFIG_SPAN, AT(drain_timeout_ns), 100 * MS, 1 * DAY, .zero = "no time at all",
     .preset = "30s",
     .doc = "How long open calls may go on after SIGTERM; 0 ends them at once."},
    {"timeouts", "lease_ttl", CONFIG_SPAN, AT(lease_ttl_ns), 1 * S, S * 3600, .preset = "10s",
     .doc = "Silence of a worker that is not of the pool before what it holds is lost."},

    {"tls", "certificate", CONFIG_FILE, AT(tls_certificate), .sample = "/etc/futured/tls.crt",
     .doc = "The certificate of the daemon for addresses with tls:, with those between it and the authority behind it (PEM). A "
            "name without a slash is a credential (LoadCredential=); so also below."},
    {"tls", "key", CONFIG_FILE, AT(tls_key), .sample = "/etc/futured/tls.key",
     .doc = "Its private key (PEM, without a passphrase)."},
    {"tls", "client_ca", CONFIG_FILE, AT(tls_client_ca), .sample = "/etc/futured/clients.crt",
     .doc = "Who signs the certificates of clients (PEM). Default: clients are not asked for one."},
    {"tls", "client_certificate", CONFIG_DEMAND, AT(tls_demand), .preset = "required",
     .doc = "With client_ca: whether a client must have a certificate (required), or may come without one (optional)."},
    {"tls", "min_version", CONFIG_VERSION, AT(tls_min_version), .preset = "1.2",
     .doc = "The oldest TLS that is spoken: 1.2 or 1.3."},

    {"pool", "workers", CONFIG_COUNT, AT(workers), 0, 4096, .sample = "4", .flag = "workers", .argument = "N",
     .doc = "Processes that run functions. Default: one for each processor."},
    {"pool", "min", CONFIG_COUNT, AT(min_workers), 1, 4096, .zero = "as workers", .preset = "0",
     .doc = "So many of them there are in any case. 0: as many as `workers` says."},
    {"pool", "max", CONFIG_COUNT, AT(max_workers), 1, 4096, .zero = "as workers", .preset = "0",
     .doc = "So many there may be while work waits that they could do. 0: as many as `workers` says."},
    {"pool", "idle", CONFIG_SPAN, AT(idle_worker_ns), S / 1000, 365 * DAY, .preset = "30s",
     .doc = "Those beyond `min` that were not needed for so long end."},
    {"pool", "threads", CONFIG_COUNT, AT(threads), 1, RUNPAGE_PAGES_MAX, .preset = "1",
     .doc = "Tasks that a process runs at a time, each in a thread of its own: for plugins whose functions wait for others, or "
            "share what was loaded once, and may be called by several threads at once (docs/plugins.md). One that crashes ends the "
            "process of all."},
    {"pool", "nice", CONFIG_INTEGER, AT(nice), (uint64_t)-20, 19, .preset = "0",
     .doc = "The niceness of the processes, from -20 to 19; 0 is that of the daemon. For less than the daemon has it needs "
            "CAP_SYS_NICE or LimitNICE= of its unit."},
    {"pool", "plugin", CONFIG_PLUGINS, AT(plugins), .sample = "/usr/local/lib/thumbnails.so",
     .doc = "A shared object with functions (docs/plugins.md): its path, or the name of a file in the folder where the "
            "shipped one is. May be given more than once."},

    {"pool", "prefetch", CONFIG_COUNT, AT(prefetch), 0, 10000, .preset = "0",
     .needs_restart = 1,
     .doc = "So many tasks a worker holds for each that it runs, that one included, however long they take. 0: more than one only of "
            "functions whose tasks take less than a millisecond, and then as many as it has credit for."},

    {"pool", "max_tasks_per_worker", CONFIG_COUNT64, AT(max_tasks_per_worker), 0, UINT64_C(1000000000000), .preset = "0",
     .doc = "After so many tasks a worker ends, and another takes its place; 0 is no limit."},
    {"pool", "max_worker_age", CONFIG_SPAN, AT(max_worker_age_ns), 1 * S, 365 * DAY, .zero = "no limit", .preset = "0",
     .doc = "So old a worker ends, once what it runs has ended, and another takes its place; 0 is no limit."},
    {"pool", "start_timeout", CONFIG_SPAN, AT(start_timeout_ns), 1 * S, S * 3600, .preset = "30s",
     .doc = "How long a worker may take to load its plugins; then it is killed."},

    {"function", "command", CONFIG_TEXT, FUNCTION_AT(command), 1, 4096,
     .sample = "/usr/bin/convert - -resize 128x128 png:-",
     .doc = "The program and its arguments, quoted as in a shell but run without one. The argument of the task comes "
            "on standard input, the result goes to standard output; {argument}, {label.KEY} and others are replaced in its "
            "words (docs/plugins.md). Needed, unless the section only sets limits of a function from elsewhere."},
    {"function", "shell", CONFIG_BOOL, FUNCTION_AT(shell), .preset = "no",
     .doc = "Whether the command is a line for /bin/sh."},
    {"function", "directory", CONFIG_PATH, FUNCTION_AT(directory), .sample = "/srv/pictures",
     .doc = "Where the command runs. Default: where the daemon does."},
    {"function", "memory_max", CONFIG_SIZE, FUNCTION_AT(memory_max_bytes), 1 * M, 1024 * T, .zero = "no limit", .preset = "0",
     .doc = "Memory of an attempt. Where there are control groups all its processes have so much together, swap included, and "
            "the attempt fails with MEMORY_LIMIT; else each has so much address space. 0 is no limit."},
    {"function", "cpu_time_max", CONFIG_SPAN, FUNCTION_AT(cpu_time_max_ns), 1 * S, 365 * DAY, .zero = "no limit", .preset = "0",
     .doc = "Processor time of each process of an attempt, rounded up to seconds; then it fails with CPU_LIMIT. 0 is no limit."},
    {"function", "max_result", CONFIG_SIZE, FUNCTION_AT(max_result_bytes), 1, LIMIT_MAX_MESSAGE_BYTES, .zero = "what a message holds",
     .preset = "0",
     .doc = "The largest result of an attempt; a larger one fails with RESULT_TOO_LARGE. 0 is what a message holds."},
    {"function", "open_files", CONFIG_COUNT, FUNCTION_AT(open_files), 8, 1 << 20, .zero = "no limit", .preset = "0",
     .doc = "Files that a process of an attempt may have open; 0 is what the daemon may."},
    {"function", "isolate", CONFIG_BOOL, FUNCTION_AT(isolate), .preset = "no",
     .doc = "Whether each attempt of a plugin's function has a process of its own, as it has in any case with memory_max, "
            "cpu_time_max or open_files, and as every command has."},
    {"function", "sandbox", CONFIG_SANDBOX, FUNCTION_AT(sandbox), .sample = "all",
     .doc = "What its attempts, each a process of its own then, are kept from, with blanks between: private-tmp (/tmp is empty, in "
            "memory, and gone with the attempt), no-network, read-only (all files but those in a private /tmp), system-calls "
            "(those that no computation needs are refused), or all. What cannot be set up is an error. Default: none."},
    {"function", "tmp_max", CONFIG_SIZE, FUNCTION_AT(tmp_max_bytes), 64 * K, 1024 * T, .preset = "64M",
     .doc = "Room in the private /tmp of an attempt; what is there counts for its memory_max."},
    {"function", "doc", CONFIG_TEXT, FUNCTION_AT(doc), 0, 4096, .preset = "",
     .doc = "What the function does, for those who list functions."},
    {"function", "max_running", CONFIG_COUNT, FUNCTION_AT(max_running), 0, 1000000, .preset = "0",
     .doc = "How many of its tasks run at once, or are given to workers to be run; 0 is no limit. Others wait."},
    {"function", "max_pending", CONFIG_COUNT64, FUNCTION_AT(max_pending), 0, UINT64_C(1000000000), .preset = "0",
     .doc = "How many of its futures may be pending; beyond that nothing is accepted. 0 is no limit."},
    {"function", "rate", CONFIG_DECIMAL, FUNCTION_AT(rate), 0, UINT64_C(1000000000), .preset = "0",
     .doc = "How many of its tasks start in a second, on average; 0 is no limit. Others wait."},
    {"function", "priority", CONFIG_INTEGER, FUNCTION_AT(defaults.priority), .sample = "0",
     .doc = "The priority of its tasks that say none (or 0). This and what follows also completes what a worker says of the "
            "function, and wins over it."},
    {"function", "attempt_timeout", CONFIG_SPAN, FUNCTION_AT(defaults.attempt_timeout_ns), 1 * MS, 365 * DAY,
     .zero = "none", .sample = "5min",
     .doc = "How long an attempt may run, of tasks that do not say; 0 is as long as it takes. Default: what a worker says, "
            "else 0."},
    {"function", "max_attempts", CONFIG_COUNT, FUNCTION_AT(retry.max_attempts), 1, LIMIT_ATTEMPTS, .sample = "1",
     .doc = "How often a task that has no retry policy is tried. It and the next five are one policy. Default: what a worker "
            "says, else 1."},
    {"function", "initial_backoff", CONFIG_SPAN, FUNCTION_AT(retry.initial_backoff_ns), 1 * MS, 365 * DAY,
     .zero = "none", .preset = "1s", .doc = "The pause after the first failed attempt."},
    {"function", "multiplier", CONFIG_DECIMAL, FUNCTION_AT(retry.multiplier), 1, 1000000, .preset = "2",
     .doc = "By how much each pause is longer than the one before."},
    {"function", "max_backoff", CONFIG_SPAN, FUNCTION_AT(retry.max_backoff_ns), 1 * MS, 365 * DAY, .zero = "none",
     .preset = "5min", .doc = "The longest pause."},
    {"function", "jitter", CONFIG_DECIMAL, FUNCTION_AT(retry.jitter), 0, 1, .preset = "0.2",
     .doc = "The part of each pause that is random."},
    {"function", "non_retryable_types", CONFIG_TYPES, FUNCTION_AT(retry), 1, LIMIT_RETRY_TYPES, .sample = "ValueError",
     .doc = "Types and reasons of errors after which there is no further attempt, with blanks between."},
    {"function", "on_lost", CONFIG_ON_LOST, FUNCTION_AT(defaults.on_lost), .sample = "retry",
     .doc = "What becomes of its tasks when the worker is lost: retry, or fail (never run twice). Default: what a worker says, "
            "else retry."},
    {"function", "durability", CONFIG_DURABILITY, FUNCTION_AT(defaults.durability), .sample = "durable",
     .doc = "Of its tasks that do not say: durable, or ephemeral (lost with the daemon). Default: what a worker says, else "
            "durable with a store."},
    {"function", "retention", CONFIG_SPAN, FUNCTION_AT(defaults.retention_ns), 1 * MS, 3650 * DAY,
     .zero = "no time at all", .sample = "7d",
     .doc = "How long its finished futures are kept. Default: what a worker says, else 24h after success, 7d after failure or "
            "cancel, 10min where ephemeral."},

    {"principal", "user", CONFIG_USERS, PRINCIPAL_AT(users), .sample = "1000",
     .doc = "The user, by name or number, of who comes through a Unix socket. May be given more than once, as the next three."},
    {"principal", "group", CONFIG_USERS, PRINCIPAL_AT(groups), .sample = "1000",
     .doc = "Likewise a group of that user's, as the process had it when it connected; what a section says of the user itself wins."},
    {"principal", "certificate", CONFIG_CERTIFICATES, PRINCIPAL_AT(certificates), .sample = "dns:alice.example",
     .doc = "A name in a client's certificate: cn:NAME (the common name), dns:NAME, uri:NAME or email:NAME."},
    {"principal", "token_hash", CONFIG_TOKENS, PRINCIPAL_AT(tokens),
     .sample = "0000000000000000000000000000000000000000000000000000000000000000",
     .doc = "SHA-256 of a token, in hexadecimal; the token comes as metadata: authorization: Bearer TOKEN."},
    {"principal", "token_file", CONFIG_FILE, PRINCIPAL_AT(token_file), .sample = "/etc/futured/alice.tokens",
     .doc = "A file with more of them, one at the beginning of each line; # begins a comment. It is read at the start and at each "
            "reload."},
    {"principal", "namespace", CONFIG_TEXT, PRINCIPAL_AT(namespace), 0, 255, .preset = "",
     .doc = "Where its futures are: IDs, groups and keys are told from those of other namespaces."},
    {"principal", "rights", CONFIG_RIGHTS, PRINCIPAL_AT(rights), .sample = "submit read annotate cancel",
     .doc = "What it may, with blanks between: submit (or submit:NAME, submit:PREFIX*, for some functions), read (its own "
            "futures), read-all (those of its namespace), annotate and cancel (what it may read), worker (run tasks, of every "
            "namespace), admin (all, and the daemon itself)."},
    {"principal", "max_connections", CONFIG_COUNT, PRINCIPAL_AT(max_connections), 0, 1000000, .preset = "0",
     .doc = "How many connections of its may be open; one more is closed. A connection that shows who it is by tokens alone counts "
            "from its first call. 0 is no limit."},
    {"principal", "max_calls", CONFIG_COUNT, PRINCIPAL_AT(max_calls), 0, 100000000, .preset = "0",
     .doc = "How many of its calls may be open, streams and those that wait among them; one more is refused. 0 is no limit."},
    {"principal", "max_futures", CONFIG_COUNT64, PRINCIPAL_AT(max_futures), 0, UINT64_C(1000000000), .preset = "0",
     .doc = "How many futures of its may be pending or running; beyond that nothing of it is accepted. 0 is no limit."},
    {"principal", "max_memory", CONFIG_SIZE, PRINCIPAL_AT(max_memory_bytes), 4 * K, 1024 * T, .zero = "no limit", .preset = "0",
     .doc = "How much memory its futures may take: those that have not ended, and those that have and are kept there."},
    {"principal", "max_stored", CONFIG_SIZE, PRINCIPAL_AT(max_stored_bytes), 4 * K, 1024 * T, .zero = "no limit", .preset = "0",
     .doc = "How much its finished futures may take in the store until their retention ends, with arguments, results, output and log. "
            "Needs a store."},
    {"principal", "rate", CONFIG_DECIMAL, PRINCIPAL_AT(rate), 0, UINT64_C(1000000000), .preset = "0",
     .doc = "How many it may submit in a second, on average; 0 is no limit."},
};
/* clang-format on */
const size_t config_n_keys = ARRAY_LEN(config_keys);
_Static_assert(ARRAY_LEN(config_keys) <= CONFIG_KEYS_MAX, "raise CONFIG_KEYS_MAX");

const struct config_key *config_key_find(const char *section, const char *name)
{
    for (size_t i = 0; i < config_n_keys; i++)
        if (strcmp(config_keys[i].section, section) == 0 && strcmp(config_keys[i].name, name) == 0)
            return &config_keys[i];
    return NULL;
}

const struct config_key *config_key_of_flag(const char *flag)
{
    for (size_t i = 0; i < config_n_keys; i++)
        if (config_keys[i].flag && strcmp(config_keys[i].flag, flag) == 0)
            return &config_keys[i];
    return NULL;
}

int config_section_exists(const char *section)
{
    for (size_t i = 0; i < config_n_keys; i++)
        if (strcmp(config_keys[i].section, section) == 0)
            return 1;
    return 0;
}

int config_section_is_named(const char *section)
{
    return strcmp(section, "function") == 0 || strcmp(section, "principal") == 0;
}

/* --- units */

struct unit {
    const char *name;
    uint64_t factor;
};

/* Largest first, so that a number is written back in the largest unit that fits. */
static const struct unit size_units[] = {{"T", T}, {"G", G}, {"M", M}, {"K", K}, {"", 1}};
static const struct unit span_units[] = {{"d", DAY}, {"h", 3600 * S}, {"min", 60 * S}, {"s", S},
                                         {"ms", MS}, {"us", 1000},    {"ns", 1}};
static const struct unit count_units[] = {{"", 1}};

/* A whole number with one of the units. 1: *ret is set; 0: it is none, or it does not fit 64 bits. */
static int read_number(const char *text, const struct unit *units, size_t n_units, uint64_t *ret)
{
    uint64_t n = 0;
    const char *at = text;

    for (; *at >= '0' && *at <= '9'; at++)
        if (__builtin_mul_overflow(n, UINT64_C(10), &n) ||
            __builtin_add_overflow(n, (uint64_t)(*at - '0'), &n))
            return 0;
    if (at == text)
        return 0;
    for (size_t i = 0; i < n_units; i++)
        if (strcmp(at, units[i].name) == 0)
            return !__builtin_mul_overflow(n, units[i].factor, ret);
    return 0;
}

static const char *write_number(char *to, size_t size, uint64_t n, const struct unit *units, size_t n_units)
{
    size_t i = 0;

    while (i + 1 < n_units && (n == 0 || n % units[i].factor != 0))
        i++;
    snprintf(to, size, "%" PRIu64 "%s", n / units[i].factor, units[i].name);
    return to;
}

/* --- values */

PRINTF_LIKE(3, 4) static int refuse(char *why, const char *value, const char *format, ...)
{
    va_list args;
    int n = snprintf(why, CONFIG_WHY_BYTES, "\"%.100s%s\": ", value, strlen(value) > 100 ? "..." : "");

    va_start(args, format);
    vsnprintf(why + n, CONFIG_WHY_BYTES - (size_t)n, format, args);
    va_end(args);
    return CONFIG_E_VALUE;
}

/* What each kind of number looks like, for read_number and for those who got it wrong. */
static const struct number_kind {
    const struct unit *units;
    size_t n_units;
    const char *what;
    const char *how;
} kinds[] = {
        [CONFIG_COUNT] = {count_units, ARRAY_LEN(count_units), "a whole number", ""},
        [CONFIG_COUNT64] = {count_units, ARRAY_LEN(count_units), "a whole number", ""},
        [CONFIG_SIZE] = {size_units, ARRAY_LEN(size_units), "a size", " (bytes, or with K, M, G or T)"},
        [CONFIG_SIZE32] = {size_units, ARRAY_LEN(size_units), "a size", " (bytes, or with K, M, G or T)"},
        [CONFIG_SPAN] = {span_units, ARRAY_LEN(span_units), "a time",
                         " (a whole number with ms, s, min, h or d)"},
};

static int set_number(const struct config_key *key, void *into, const char *value, char *why)
{
    const struct number_kind *kind = &kinds[key->type];
    char min[32], max[32];
    uint64_t n;
    uint32_t n32;

    if (key->zero && strcmp(value, "0") == 0)
        n = 0;
    else if (!read_number(value, kind->units, kind->n_units, &n) || n < key->min || n > key->max)
        return refuse(why, value, "%s from %s to %s%s is allowed%s%s", kind->what,
                      write_number(min, sizeof min, key->min, kind->units, kind->n_units),
                      write_number(max, sizeof max, key->max, kind->units, kind->n_units), kind->how,
                      key->zero ? ", or 0 for " : "", key->zero ? key->zero : "");
    if (key->type == CONFIG_COUNT || key->type == CONFIG_SIZE32) {
        n32 = (uint32_t)n;
        memcpy(into, &n32, sizeof n32);
    } else {
        memcpy(into, &n, sizeof n);
    }
    return 0;
}

/* Digits, and maybe a point and digits. */
static int set_decimal(const struct config_key *key, void *into, const char *value, char *why)
{
    static const char digits[] = "0123456789";
    size_t n = strspn(value, digits), fraction = value[n] == '.' ? strspn(value + n + 1, digits) : 0;
    int is_number = n && (value[n] != '.' || fraction) && !value[n + fraction + (value[n] == '.')];
    double number = is_number ? strtod(value, NULL) : -1;

    if (!is_number || number < (double)key->min || number > (double)key->max)
        return refuse(why, value, "a number from %" PRIu64 " to %" PRIu64 " is allowed", key->min, key->max);
    memcpy(into, &number, sizeof number);
    return 0;
}

static int set_integer(const struct config_key *key, void *into, const char *value, char *why)
{
    int64_t min = key->max ? (int64_t)key->min : INT32_MIN, max = key->max ? (int64_t)key->max : INT32_MAX;
    int is_negative = *value == '-';
    int32_t number;
    uint64_t n;

    if (!read_number(value + is_negative, count_units, ARRAY_LEN(count_units), &n) ||
        n > (uint64_t)(is_negative ? -min : max))
        return refuse(why, value, "a whole number from %" PRId64 " to %" PRId64 " is allowed", min, max);
    number = (int32_t)(is_negative ? -(int64_t)n : (int64_t)n);
    memcpy(into, &number, sizeof number);
    return 0;
}

/* One of two words, of which the first is 1. */
static int set_word(void *into, const char *const words[2], const char *value, char *why)
{
    uint8_t n = strcmp(value, words[0]) == 0 ? 1 : 2;

    if (n == 2 && strcmp(value, words[1]) != 0)
        return refuse(why, value, "%s or %s is allowed", words[0], words[1]);
    memcpy(into, &n, sizeof n);
    return 0;
}

static int set_types(const struct config_key *key, struct retry_policy *into, struct arena *arena,
                     const char *value, char *why)
{
    const char *copy = arena_strndup(arena, value, strlen(value)), *at = copy;
    struct span *types = arena_alloc(arena, (size_t)key->max * sizeof *types);
    uint32_t n = 0;

    if (!copy || !types)
        return -ENOMEM;
    while (*(at += strspn(at, " \t"))) {
        size_t len = strcspn(at, " \t");

        if (n == key->max || len > LIMIT_KEY_BYTES)
            return refuse(why, value, "%" PRIu64 " to %" PRIu64 " words of at most %d bytes are allowed",
                          key->min, key->max, LIMIT_KEY_BYTES);
        types[n++] = (struct span){(const uint8_t *)at, len};
        at += len;
    }
    into->types = types;
    into->n_types = n;
    return 0;
}

static int set_bool(void *into, const char *value, char *why)
{
    static const char *const words[][2] = {{"no", "yes"}, {"false", "true"}, {"off", "on"}, {"0", "1"}};

    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        for (int is_true = 0; is_true < 2; is_true++)
            if (strcmp(value, words[i][is_true]) == 0) {
                memcpy(into, &is_true, sizeof is_true);
                return 0;
            }
    return refuse(why, value, "yes or no is allowed");
}

static int set_text(const struct config_key *key, void *into, struct arena *arena, const char *value,
                    char *why)
{
    size_t n = strlen(value);
    char *copy;

    if (key->type == CONFIG_PATH && (*value != '/' || n >= PATH_MAX))
        return refuse(why, value, "an absolute path is allowed, shorter than %d bytes", PATH_MAX);
    if (key->type == CONFIG_TEXT && (n < key->min || n > key->max))
        return refuse(why, value, "a text of %" PRIu64 " to %" PRIu64 " bytes is allowed", key->min,
                      key->max);
    copy = arena_strndup(arena, value, n);
    if (!copy)
        return -ENOMEM;
    memcpy(into, &copy, sizeof copy);
    return 0;
}

/* A path, or a name in the directory that systemd puts credentials into. */
static int set_file(void *into, struct arena *arena, const char *value, char *why)
{
    const char *directory = getenv("CREDENTIALS_DIRECTORY");
    char path[PATH_MAX];
    const char *copy;
    int n = 0;

    if (*value == '/')
        n = snprintf(path, sizeof path, "%s", value);
    else if (!*value || strchr(value, '/') || *value == '.')
        return refuse(why, value, "an absolute path is allowed, or the name of a credential");
    else if (!directory || *directory != '/')
        return refuse(why, value,
                      "it is the name of a credential, and CREDENTIALS_DIRECTORY is not set; LoadCredential= "
                      "of the unit sets it; or give an absolute path");
    else
        n = snprintf(path, sizeof path, "%s/%s", directory, value);
    if (n < 0 || (size_t)n >= sizeof path)
        return refuse(why, value, "the path is longer than %d bytes", PATH_MAX - 1);
    copy = arena_strndup(arena, path, (size_t)n);
    if (!copy)
        return -ENOMEM;
    memcpy(into, &copy, sizeof copy);
    return 0;
}

/* The list and its length lie side by side in struct config. */
static int add_address(struct config *c, struct arena *arena, const char *value, char *why)
{
    struct address address, *list;
    const char *wrong;

    if (address_parse(value, &address, &wrong) != 0)
        return refuse(why, value, "%s", wrong);
    for (size_t i = 0; i < c->n_listen; i++)
        if (strcmp(c->listen[i].text, address.text) == 0 &&
            (address_is_unix(&address) || address_port(&address)))
            return refuse(why, value, "it is there already");
    list = arena_alloc(arena, (c->n_listen + 1) * sizeof *list);
    if (!list)
        return -ENOMEM;
    if (c->n_listen)
        memcpy(list, c->listen, c->n_listen * sizeof *list);
    list[c->n_listen++] = address;
    c->listen = list;
    return 0;
}

int config_list_add(struct config_list *list, struct arena *arena, const char *value, size_t n)
{
    const char **at = list->at;

    if ((list->n & (list->n - 1)) == 0) { /* a power of two is full */
        at = arena_alloc(arena, MAX(list->n * 2, (size_t)1) * sizeof(char *));
        if (!at)
            return -ENOMEM;
        if (list->n)
            memcpy(at, list->at, list->n * sizeof(char *));
        list->at = at;
    }
    at[list->n] = arena_strndup(arena, value, n);
    return at[list->n++] ? 0 : -ENOMEM;
}

static int add_certificate(void *into, struct arena *arena, const char *value, char *why)
{
    static const char *const kinds_of_names[] = {"cn:", "dns:", "uri:", "email:"};

    for (size_t i = 0; i < ARRAY_LEN(kinds_of_names); i++)
        if (strncmp(value, kinds_of_names[i], strlen(kinds_of_names[i])) == 0 &&
            value[strlen(kinds_of_names[i])])
            return config_list_add(into, arena, value, strlen(value));
    return refuse(why, value, "cn:NAME, dns:NAME, uri:NAME or email:NAME is allowed");
}

static int add_token(void *into, struct arena *arena, const char *value, char *why)
{
    uint8_t hash[SECRET_BYTES];

    if (secret_read(value, hash) != 0) /* what stands there may be the secret itself: it is not shown again */
        return refuse(why, "...", "64 hexadecimal digits are allowed, as of: printf %%s TOKEN | sha256sum");
    return config_list_add(into, arena, value, strlen(value));
}

static int set_rights(struct config_list *into, struct arena *arena, const char *value, char *why)
{
    *into = (struct config_list){0};
    for (const char *at = value; *(at += strspn(at, " \t"));) {
        size_t len = strcspn(at, " \t"), head = strcspn(at, ": \t");
        enum right right = identity_right((struct span){(const uint8_t *)at, head});

        if (right == RIGHT_UNNAMED || (head < len && right != RIGHT_SUBMIT) ||
            (head < len && head + 1 == len))
            return refuse(why, value,
                          "submit, submit:FUNCTION, read, read-all, annotate, cancel, worker and admin are "
                          "allowed, with "
                          "blanks between");
        if (config_list_add(into, arena, at, len) < 0)
            return -ENOMEM;
        at += len;
    }
    return 0;
}

static int set_sandbox(uint8_t *into, const char *value, char *why)
{
    static const struct {
        const char *word;
        uint8_t what;
    } words[] = {{"private-tmp", CONFINE_TMP}, {"no-network", CONFINE_NETWORK},
                 {"read-only", CONFINE_FILES}, {"system-calls", CONFINE_CALLS},
                 {"all", CONFINE_ALL},         {"none", 0}};

    *into = 0;
    for (const char *at = value; *(at += strspn(at, " \t"));) {
        size_t len = strcspn(at, " \t"), i = 0;

        while (i < ARRAY_LEN(words) && (strlen(words[i].word) != len || strncmp(at, words[i].word, len) != 0))
            i++;
        if (i == ARRAY_LEN(words))
            return refuse(why, value,
                          "all, none, or any of private-tmp, no-network, read-only and system-calls with "
                          "blanks between is allowed");
        *into |= words[i].what;
        at += len;
    }
    return 0;
}

/* As for addresses. */
static int add_plugin(struct config *c, struct arena *arena, const char *value, char *why)
{
    const char **list;

    if (!*value || (*value != '/' && strchr(value, '/')) || strlen(value) >= PATH_MAX)
        return refuse(why, value, "an absolute path is allowed, or the name of a file, shorter than %d bytes",
                      PATH_MAX);
    for (size_t i = 0; i < c->n_plugins; i++)
        if (strcmp(c->plugins[i], value) == 0)
            return refuse(why, value, "it is there already");
    if (c->n_plugins == SPEC_PLUGINS_MAX - 1)
        return refuse(why, value, "it is one too many; %d are allowed", SPEC_PLUGINS_MAX - 1);
    list = arena_alloc(arena, (c->n_plugins + 1) * sizeof *list);
    if (!list)
        return -ENOMEM;
    if (c->n_plugins)
        memcpy(list, c->plugins, c->n_plugins * sizeof *list);
    list[c->n_plugins] = arena_strndup(arena, value, strlen(value));
    if (!list[c->n_plugins])
        return -ENOMEM;
    c->n_plugins++;
    c->plugins = list;
    return 0;
}

static int set_store(void *into, const char *value, char *why)
{
    enum config_store store = CONFIG_STORE_NONE;

    if (strcmp(value, "sqlite") == 0)
        store = CONFIG_STORE_SQLITE;
    else if (strcmp(value, "none") != 0)
        return refuse(why, value, "sqlite (durable) or none (in memory only) is allowed");
    memcpy(into, &store, sizeof store);
    return 0;
}

int config_set(const struct config_key *key, void *into, struct arena *arena, const char *value,
               char why[static CONFIG_WHY_BYTES])
{
    static const char *const durabilities[] = {"durable", "ephemeral"}, *const on_losts[] = {"retry", "fail"},
                             *const demands[] = {"required", "optional"}, *const versions[] = {"1.2", "1.3"},
                             *const answers[] = {"refuse", "accept"};
    void *place = (char *)into + key->offset;
    enum log_level level;

    switch (key->type) {
    case CONFIG_ADDRESSES: return add_address(into, arena, value, why);
    case CONFIG_PLUGINS: return add_plugin(into, arena, value, why);
    case CONFIG_BOOL: return set_bool(place, value, why);
    case CONFIG_COUNT:
    case CONFIG_COUNT64:
    case CONFIG_SIZE:
    case CONFIG_SIZE32:
    case CONFIG_SPAN: return set_number(key, place, value, why);
    case CONFIG_DECIMAL: return set_decimal(key, place, value, why);
    case CONFIG_INTEGER: return set_integer(key, place, value, why);
    case CONFIG_DURABILITY: return set_word(place, durabilities, value, why);
    case CONFIG_CERTIFICATES: return add_certificate(place, arena, value, why);
    case CONFIG_TOKENS: return add_token(place, arena, value, why);
    case CONFIG_RIGHTS: return set_rights(place, arena, value, why);
    case CONFIG_SANDBOX: return set_sandbox(place, value, why);
    case CONFIG_USERS: return config_list_add(place, arena, value, strlen(value));
    case CONFIG_DEMAND: return set_word(place, demands, value, why);
    case CONFIG_VERSION: return set_word(place, versions, value, why);
    case CONFIG_UNKNOWN: return set_word(place, answers, value, why);
    case CONFIG_FILE: return set_file(place, arena, value, why);
    case CONFIG_ON_LOST: return set_word(place, on_losts, value, why);
    case CONFIG_TYPES: return set_types(key, place, arena, value, why);
    case CONFIG_LEVEL:
        if (log_level_parse(value, &level) != 0)
            return refuse(why, value, "error, warning, notice, info or debug is allowed");
        memcpy(place, &level, sizeof level);
        return 0;
    case CONFIG_PATH:
    case CONFIG_TEXT: return set_text(key, place, arena, value, why);
    case CONFIG_STORE: return set_store(place, value, why);
    }
    err_assert_failed("a type of the table", __FILE__, __LINE__, __func__);
}
