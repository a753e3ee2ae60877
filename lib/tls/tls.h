// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * TLS without I/O, for both roles: what a socket gave goes in, what it is to be given comes out, and between
 * them is the plain text of an HTTP/2 session. The door to OpenSSL.
 *
 * Rules:
 *  1. Only h2 is spoken: a peer that does not offer it by ALPN has no connection.
 *  2. TLS 1.2 with forward secrecy and an AEAD, or 1.3; no renegotiation, no compression, no early data.
 *  3. A context never changes. New files make a new one, and connections keep the one they began with; a
 *     session of one is not resumed in another, so nobody returns by what an older one had let in.
 *  4. What tls_feed is given is consumed by tls_handshake and tls_read until they say TLS_E_MORE; an idle
 *     connection holds no buffer.
 */
#include "base/buf.h"

struct tls_context;
struct tls;

enum tls_role { TLS_SERVER, TLS_CLIENT };
enum tls_version { TLS_1_2, TLS_1_3 };
/* What is asked of the peers of a server; a server is always asked for its certificate. */
enum tls_demand { TLS_PEER_ANY, TLS_PEER_OPTIONAL, TLS_PEER_REQUIRED };

struct tls_config {
    enum tls_role role;
    enum tls_version min_version;
    enum tls_demand demand;
    const char *certificate, *key; /* PEM files, the chain behind the first; NULL: none (a client) */
    const char *ca; /* PEM file: who may have signed the peer; NULL: a client trusts the system's */
};

enum { TLS_WHY_BYTES = 512, TLS_NAMES_MAX = 64, TLS_NAME_BYTES = 255 };

/* tls_context_new: read the files of @config.
 *   Return: 0; TLS_E_CONFIG (@why is a sentence: the file, what is wrong, what to do). Blocks on the disk. */
enum { TLS_E_CONFIG = 1 };
MUST_CHECK int tls_context_new(struct tls_context **ret, const struct tls_config *config,
                               char why[static TLS_WHY_BYTES]);
/* tls_context_free: its connections go on. NULL allowed. */
struct tls_context *tls_context_free(struct tls_context *context);
/* tls_context_days_left: of our certificate; negative: it has ended. 0 without one. */
int tls_context_days_left(const struct tls_context *context);

/* tls_new: a connection. @host: of a client: the name or numeric address that the peer's certificate must have.
 * 0, -ENOMEM. */
MUST_CHECK int tls_new(struct tls **ret, const struct tls_context *context, const char *host);
struct tls *tls_free(struct tls *t);

/* tls_feed: @n bytes came from the socket, in the place of any that were not consumed; borrowed until they are. */
void tls_feed(struct tls *t, const uint8_t *p, size_t n);

/* What the next three return beside 0. With each, @out may have got bytes to send (an alert, too). */
enum {
    TLS_E_MORE = 1, /* all that was fed is used up */
    TLS_E_CLOSED,   /* the peer said that nothing more comes */
    TLS_E_FAILED,   /* it is over; tls_why */
};
/* tls_handshake: go on with it. 0: it is complete; TLS_E_MORE, TLS_E_FAILED. */
MUST_CHECK int tls_handshake(struct tls *t, struct buf *out);
/* tls_read: decrypt into @to (@size > 0). 0: *ret_n bytes; TLS_E_MORE, TLS_E_CLOSED, TLS_E_FAILED. */
MUST_CHECK int tls_read(struct tls *t, uint8_t *to, size_t size, size_t *ret_n, struct buf *out);
/* tls_write: encrypt all of @p. 0; TLS_E_FAILED. */
MUST_CHECK int tls_write(struct tls *t, const uint8_t *p, size_t n, struct buf *out);
/* tls_close: say that nothing more comes. */
void tls_close(struct tls *t, struct buf *out);

/* tls_why: after TLS_E_FAILED, a text of one line. It lives as long as @t. */
const char *tls_why(const struct tls *t);

/* tls_peer_names: of a verified certificate of the peer, each with a NUL behind it: "cn:NAME", "dns:NAME", "uri:NAME",
 * "email:NAME"; at most TLS_NAMES_MAX, and none that is empty, longer than TLS_NAME_BYTES, or has a control character.
 * 0 (@to is as it was: there is no certificate); -ENOMEM. */
MUST_CHECK int tls_peer_names(const struct tls *t, struct buf *to);

/* tls_has_peer: whether the peer has shown a certificate, and it was verified. */
int tls_has_peer(const struct tls *t);

/* tls_is_resumed: whether the handshake was the short one. tls_version_text: "TLSv1.3"; static. */
int tls_is_resumed(const struct tls *t);
const char *tls_version_text(const struct tls *t);
