// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * A peer that speaks plain HTTP/2 and says whatever the test wants: as a client against our gRPC server, or as
 * a server against our gRPC client. It keeps what it is told about each stream.
 */
#include "h2/session.h"
#include "tests/support/testing.h"

enum { RAW_HEADERS_MAX = 24 };

/* Behind each stream of the raw side: nothing; what is known about the last one stands here. */
struct raw {
    struct h2_session *session;
    struct h2_stream *stream; /* the newest that is open */
    unsigned int n_headers, n_data, n_end, n_close;
    struct {
        char name[64], value[12288];
    } headers[RAW_HEADERS_MAX]; /* of all blocks of the last stream */
    size_t n_fields;
    size_t n_bytes;
    int was_trailers_only;
    uint32_t error;
};

static inline void raw_on_headers(struct h2_stream *s, const struct h2_header *headers, size_t n, int flags)
{
    struct raw *raw = h2_session_user(h2_stream_session(s));

    raw->stream = s;
    raw->n_headers++;
    raw->was_trailers_only = raw->n_headers == 1 && (flags & H2_END);
    for (size_t i = 0; i < n; i++) {
        assert_true(raw->n_fields < RAW_HEADERS_MAX);
        snprintf(raw->headers[raw->n_fields].name, sizeof raw->headers[0].name, "%.*s",
                 (int)headers[i].name.len, (const char *)headers[i].name.p);
        snprintf(raw->headers[raw->n_fields++].value, sizeof raw->headers[0].value, "%.*s",
                 (int)headers[i].value.len, (const char *)headers[i].value.p);
    }
    raw->n_end += (flags & H2_END) != 0;
}

static inline void raw_on_data(struct h2_stream *s, struct span data)
{
    struct raw *raw = h2_session_user(h2_stream_session(s));

    raw->n_data++;
    raw->n_bytes += data.len;
    h2_stream_consume(s, data.len);
}

static inline void raw_on_end(struct h2_stream *s)
{
    struct raw *raw = h2_session_user(h2_stream_session(s));

    raw->n_end++;
}

static inline void raw_on_close(struct h2_stream *s, uint32_t error)
{
    struct raw *raw = h2_session_user(h2_stream_session(s));

    if (raw->stream == s)
        raw->stream = NULL;
    raw->n_close++;
    raw->error = error;
}

static const struct h2_ops raw_ops = {
        .on_headers = raw_on_headers,
        .on_data = raw_on_data,
        .on_end = raw_on_end,
        .on_close = raw_on_close,
};

static inline void raw_init(struct raw *raw, enum h2_role role, mono_ns_t now)
{
    struct h2_config config = role == H2_SERVER ? h2_config_server() : h2_config_client();

    memset(raw, 0, sizeof *raw);
    assert_int_equal(h2_session_new(&raw->session, role, &config, &raw_ops, raw, now), 0);
}

/* Forget what was seen. */
static inline void raw_clear(struct raw *raw)
{
    struct h2_session *session = raw->session;
    struct h2_stream *stream = raw->stream;

    memset(raw, 0, sizeof *raw);
    raw->session = session;
    raw->stream = stream;
}

/* The value of a header of the last stream, NULL when it did not come. */
static inline const char *raw_header(const struct raw *raw, const char *name)
{
    for (size_t i = 0; i < raw->n_fields; i++)
        if (strcmp(raw->headers[i].name, name) == 0)
            return raw->headers[i].value;
    return NULL;
}

/* "name: value" lines as headers; a string per header. */
static inline size_t raw_parse(const char *const *lines, size_t n, struct h2_header *to)
{
    for (size_t i = 0; i < n; i++) {
        const char *colon = strstr(lines[i], ": ");

        assert_non_null(colon);
        to[i].name = (struct span){(const uint8_t *)lines[i], (size_t)(colon - lines[i])};
        to[i].value = span_of_string(colon + 2);
    }
    return n;
}

static inline void raw_write(struct raw *raw, const void *p, size_t n)
{
    assert_non_null(raw->stream);
    assert_int_equal(buf_append(h2_stream_out(raw->stream), p, n), 0);
    h2_stream_flush(raw->stream);
}
