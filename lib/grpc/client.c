// SPDX-License-Identifier: Apache-2.0
/*
 * Calls of one connection: request headers and messages out, response headers, messages and a status in.
 *
 * A call is an object of its own (not behind its stream), because a paused call may have to be read on after
 * its stream has ended. It lives in client->calls from grpc_client_call_new to the return of its on_done, then
 * in client->spare for the next one.
 *
 *   on_headers, on_data   -> on_header, on_message; the status is noted when it is known, first come first kept
 *   on_close              -> on_done, or, when messages are still held by a pause, at the tick after they went
 *   on_tick               -> deadlines; calls in client->backlog are read on, and done when that was the end
 *
 * Invariants:
 *  1. stream is NULL before the request was submitted and after on_close; nothing is written then.
 *  2. Once has_status is set the call gets no further message unless that status came in order behind it.
 *  3. Everything received is credited but what a pause holds back.
 */
#include "grpc/client.h"

#include "base/heap.h"
#include "base/list.h"
#include "base/mem.h"
#include "grpc/framing.h"
#include "grpc/metadata.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    SPARE_CALLS = 64,
    REQUEST_HEADERS = 7,
    STATUS_OK_HTTP = 200,
    TICK_MESSAGES = 1024, /* of a resumed call, before others have their turn */
};

struct grpc_client {
    struct h2_session *session;
    char *authority, *authorization; /* the second may be NULL */
    const char *scheme;
    size_t max_message_bytes;
    struct heap deadlines; /* of calls without a status yet */
    struct list calls;
    struct list backlog; /* resumed or cancelled: go on at the next tick */
    struct list spare;
    uint32_t n_spare;
    int is_freeing;
    struct framing_pool pool;
    struct buf text; /* for building and reading header values */
    struct buf sink; /* what is written to a call whose stream is gone */
};

struct grpc_client_call {
    struct list link;  /* in calls or spare */
    struct list ready; /* in backlog */
    struct grpc_client *client;
    struct h2_stream *stream;
    const struct grpc_client_handler *handler;
    void *user;
    struct heap_item deadline;
    struct framing framing;
    size_t uncredited, begun_at;
    mono_ns_t deadline_ns;
    int http_status;
    unsigned has_status : 1;
    unsigned has_begun : 1;
    unsigned has_half_closed : 1; /* our side */
    unsigned is_paused : 1;
    unsigned is_delivering : 1;
    unsigned is_cut : 1; /* nothing more is handed over: the status did not come in order */
    struct grpc_status status;
};

/* What is embedded behind the stream. */
struct stream_user {
    struct grpc_client_call *call; /* NULL until the request was submitted */
};

static struct grpc_client_call *call_of(struct h2_stream *s)
{
    return ((struct stream_user *)h2_stream_user(s))->call;
}

/* --- the status of a call */

static void note_status(struct grpc_client_call *call)
{
    call->has_status = 1;
    heap_del(&call->client->deadlines, &call->deadline);
}

/* The call ends here, whatever the server says later. */
PRINTF_LIKE(4, 5)
static void cut(struct grpc_client_call *call, enum grpc_code code, uint32_t h2_error, const char *format,
                ...)
{
    char message[STATUS_MESSAGE_MAX_BYTES];
    va_list args;

    if (call->is_cut)
        return;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    status_set(&call->status, code, "", "%s", message);
    note_status(call);
    call->is_cut = 1;
    if (call->stream)
        h2_stream_reset(call->stream, h2_error);
}

/* The gRPC status for an answer that is none: "HTTP to gRPC Status Code Mapping" of the specification. */
static enum grpc_code code_of_http(int http_status)
{
    switch (http_status) {
    case 400: return GRPC_INTERNAL;
    case 401: return GRPC_UNAUTHENTICATED;
    case 403: return GRPC_PERMISSION_DENIED;
    case 404: return GRPC_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504: return GRPC_UNAVAILABLE;
    default: return GRPC_UNKNOWN;
    }
}

/* "Errors" of gRPC over HTTP/2: the status for a reset of the stream. */
static enum grpc_code code_of_reset(uint32_t h2_error)
{
    switch (h2_error) {
    case H2_REFUSED_STREAM: return GRPC_UNAVAILABLE;
    case H2_CANCEL: return GRPC_CANCELLED;
    case H2_ENHANCE_YOUR_CALM: return GRPC_RESOURCE_EXHAUSTED;
    case H2_INADEQUATE_SECURITY: return GRPC_PERMISSION_DENIED;
    default: return GRPC_INTERNAL;
    }
}

/* A number of at most @n_max digits, -1 when it is none. */
static int small_number(struct span s, size_t n_max)
{
    int n = 0;

    if (s.len == 0 || s.len > n_max)
        return -1;
    for (size_t i = 0; i < s.len; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return -1;
        n = n * 10 + (s.p[i] - '0');
    }
    return n;
}

/* What one header block of the server says. */
struct answer {
    struct span http_status, content_type, encoding, code, message, details;
};

static void read_answer(const struct h2_header *headers, size_t n, struct answer *ret)
{
    *ret = (struct answer){0};
    for (size_t i = 0; i < n; i++) {
        struct span name = headers[i].name, value = headers[i].value;

        if (METADATA_IS(name, ":status"))
            ret->http_status = value;
        else if (METADATA_IS(name, "content-type"))
            ret->content_type = value;
        else if (METADATA_IS(name, "grpc-encoding"))
            ret->encoding = value;
        else if (METADATA_IS(name, "grpc-status"))
            ret->code = value;
        else if (METADATA_IS(name, "grpc-message"))
            ret->message = value;
        else if (METADATA_IS(name, "grpc-status-details-bin"))
            ret->details = value;
    }
}

/* The details, where they can be read and memory allows; code and message stay those of the trailers. */
static void read_details(struct grpc_client_call *call, struct span text)
{
    struct buf *to = &call->client->text;
    struct grpc_status details;
    size_t n;

    buf_clear(to);
    if (buf_reserve(to, text.len + 2) < 0 || metadata_base64_decode(text, buf_tail(to), &n))
        return;
    if (status_decode((struct span){buf_tail(to), n}, &details))
        return;
    details.code = call->status.code;
    memcpy(details.message, call->status.message, sizeof details.message);
    call->status = details;
}

static void read_status(struct grpc_client_call *call, const struct answer *answer)
{
    struct buf *to = &call->client->text;
    int number = small_number(answer->code, 9);

    if (call->has_status)
        return;
    if (number >= 0)
        status_clear(&call->status, status_code((uint64_t)number));
    else if (answer->code.p)
        status_set(&call->status, GRPC_UNKNOWN, "", "the server sent a grpc-status that is no number");
    else if (call->http_status != STATUS_OK_HTTP)
        status_set(&call->status, code_of_http(call->http_status), "", "the server answered HTTP status %d",
                   call->http_status);
    else
        status_set(&call->status, GRPC_UNKNOWN, "", "the server sent no grpc-status");
    note_status(call);
    if (number < 0)
        return;
    buf_clear(to);
    if (answer->message.len && buf_reserve(to, answer->message.len) == 0) {
        size_t n = metadata_percent_decode(answer->message, (char *)buf_tail(to));

        status_set_message(&call->status, (struct span){buf_tail(to), n});
    }
    if (answer->details.len)
        read_details(call, answer->details);
}

/* --- the end of a call */

static void release(struct grpc_client_call *call)
{
    struct grpc_client *client = call->client;

    list_del(&call->link);
    list_del(&call->ready);
    heap_del(&client->deadlines, &call->deadline);
    framing_release(&call->framing);
    if (client->n_spare == SPARE_CALLS) {
        mem_free(call);
        return;
    }
    client->n_spare++;
    list_push_front(&client->spare, &call->link);
}

static void done(struct grpc_client_call *call)
{
    ASSERT(call->has_status && !call->stream);
    list_del(&call->ready);
    call->handler->on_done(call, &call->status);
    release(call);
}

/* --- messages in */

static void credit(struct grpc_client_call *call, size_t held)
{
    size_t n = call->uncredited - MIN(call->uncredited, held);

    call->uncredited -= n;
    if (n && call->stream)
        h2_stream_consume(call->stream, n);
}

static void cut_framing(struct grpc_client_call *call, int r)
{
    if (r == FRAMING_E_TOO_LARGE)
        cut(call, GRPC_RESOURCE_EXHAUSTED, H2_CANCEL, "a reply of %u bytes exceeds the limit of %zu bytes",
            call->framing.length, call->client->max_message_bytes);
    else if (r == FRAMING_E_COMPRESSED)
        cut(call, GRPC_INTERNAL, H2_CANCEL, "a reply has the compressed flag, and no encoding was agreed");
    else
        cut(call, GRPC_RESOURCE_EXHAUSTED, H2_CANCEL, "no memory for the reply");
}

/* Hand over messages out of what is stored and @in, up to @n_max; hold back the rest. Returns whether that was
 * all there is. */
static int read_on(struct grpc_client_call *call, struct span in, uint32_t n_max)
{
    struct span message;
    int r = 0, is_all;

    call->is_delivering = 1;
    while (n_max-- > 0 && !call->is_cut && !call->is_paused) {
        r = framing_next(&call->framing, &in, call->client->max_message_bytes, &message);
        if (r)
            break;
        call->handler->on_message(call, message);
    }
    if (r == 0 && !call->is_cut)
        r = framing_hold(&call->framing, in);
    call->is_delivering = 0;
    if (UNLIKELY(r < 0 || r > FRAMING_E_MORE))
        cut_framing(call, r);
    is_all = r == FRAMING_E_MORE || call->is_cut || (!call->is_paused && framing_stored(&call->framing) == 0);
    credit(call, is_all ? 0 : framing_stored(&call->framing));
    if (call->is_cut || framing_stored(&call->framing) == 0)
        framing_release(&call->framing);
    return is_all;
}

static void enqueue(struct grpc_client_call *call)
{
    if (call->client->is_freeing)
        return;
    if (!list_is_linked(&call->ready))
        list_push_back(&call->client->backlog, &call->ready);
    h2_session_wake(call->client->session);
}

/* A call of the backlog. */
static void go_on(struct grpc_client_call *call)
{
    if (!read_on(call, (struct span){0}, TICK_MESSAGES)) {
        if (!call->is_paused)
            enqueue(call);
        return;
    }
    if (call->stream)
        return;
    if (framing_stored(&call->framing) && call->status.code == GRPC_OK)
        cut(call, GRPC_INTERNAL, H2_CANCEL, "the answer ends inside a message");
    done(call);
}

/* --- events of the session */

static int is_reserved(struct span name)
{
    return name.len == 0 || name.p[0] == ':' || METADATA_IS(name, "content-type") ||
           (name.len > 5 && memcmp(name.p, "grpc-", 5) == 0);
}

static void give_headers(struct grpc_client_call *call, const struct h2_header *headers, size_t n)
{
    struct buf *to = &call->client->text;

    if (!call->handler->on_header)
        return;
    for (size_t i = 0; i < n && !call->is_cut; i++) {
        struct span value = headers[i].value;

        if (is_reserved(headers[i].name))
            continue;
        if (metadata_is_binary(headers[i].name)) {
            buf_clear(to);
            if (buf_reserve(to, value.len + 2) < 0) {
                cut(call, GRPC_RESOURCE_EXHAUSTED, H2_CANCEL, "no memory for metadata");
                return;
            }
            if (metadata_base64_decode(value, buf_tail(to), &value.len)) {
                cut(call, GRPC_INTERNAL, H2_CANCEL, "metadata is not base64");
                return;
            }
            value.p = buf_tail(to);
        }
        call->handler->on_header(call, headers[i].name, value);
    }
}

static void on_response(struct grpc_client_call *call, const struct h2_header *headers, size_t n, int flags)
{
    struct answer answer;

    read_answer(headers, n, &answer);
    call->http_status = small_number(answer.http_status, 3);
    if (flags & H2_END) /* trailers-only */
        read_status(call, &answer);
    else if (call->http_status != STATUS_OK_HTTP)
        cut(call, code_of_http(call->http_status), H2_CANCEL, "the server answered HTTP status %d",
            call->http_status);
    else if (!metadata_is_grpc(answer.content_type))
        cut(call, GRPC_UNKNOWN, H2_CANCEL, "the server's answer is not gRPC");
    else if (answer.encoding.len && !METADATA_IS(answer.encoding, "identity"))
        cut(call, GRPC_INTERNAL, H2_CANCEL, "the server's answer has an encoding that was not offered");
    else
        give_headers(call, headers, n);
}

/* The server has ended: when our side is open still, it is of no use any more. */
static void server_ended(struct grpc_client_call *call)
{
    if (!call->has_status) {
        status_set(&call->status, GRPC_INTERNAL, "", "the server ended the call without a status");
        note_status(call);
    }
    if (!call->has_half_closed && call->stream) {
        call->has_half_closed = 1;
        h2_stream_reset(call->stream, H2_NO_ERROR);
    }
}

static void on_headers(struct h2_stream *s, const struct h2_header *headers, size_t n, int flags)
{
    struct grpc_client_call *call = call_of(s);
    struct answer answer;

    if (flags & H2_TRAILERS) {
        read_answer(headers, n, &answer);
        read_status(call, &answer);
    } else {
        on_response(call, headers, n, flags);
    }
    if (flags & H2_END)
        server_ended(call);
}

static void on_data(struct h2_stream *s, struct span data)
{
    struct grpc_client_call *call = call_of(s);

    call->uncredited += data.len;
    (void)read_on(call, data, UINT32_MAX);
}

static void on_end(struct h2_stream *s)
{
    server_ended(call_of(s));
}

static void on_writable(struct h2_stream *s)
{
    struct grpc_client_call *call = call_of(s);

    if (call->handler->on_writable && !call->is_cut)
        call->handler->on_writable(call);
}

static void on_close(struct h2_stream *s, uint32_t error)
{
    struct grpc_client_call *call = call_of(s);
    struct grpc_client *client;

    if (!call)
        return;
    client = call->client;
    credit(call, 0);
    call->stream = NULL;
    if (!call->has_status) {
        /* the rest of what is held is of no use: the answer has no end */
        if (client->is_freeing || h2_session_end_reason(client->session)[0])
            cut(call, GRPC_UNAVAILABLE, H2_CANCEL, "the connection was lost");
        else if (error == H2_CANCEL && h2_session_now(client->session) >= call->deadline_ns)
            cut(call, GRPC_DEADLINE_EXCEEDED, H2_CANCEL, "the deadline has passed");
        else
            cut(call, code_of_reset(error), H2_CANCEL, "the call was reset (HTTP/2 error %u)", error);
    }
    if (call->is_cut)
        framing_release(&call->framing);
    if (framing_stored(&call->framing) == 0)
        done(call);
    else if (call->is_paused)
        ; /* grpc_client_call_pause goes on */
    else
        go_on(call);
}

static mono_ns_t on_tick(void *user, mono_ns_t now)
{
    struct grpc_client *client = user;
    struct heap_item *item;
    struct list ready, *l;

    while ((item = heap_min(&client->deadlines)) && item->key <= now)
        cut(CONTAINER_OF(item, struct grpc_client_call, deadline), GRPC_DEADLINE_EXCEEDED, H2_CANCEL,
            "the deadline has passed");
    list_init(&ready);
    list_splice_back(&ready, &client->backlog);
    while ((l = list_pop_front(&ready)))
        go_on(LIST_ENTRY(l, struct grpc_client_call, ready));
    if (!list_is_empty(&client->backlog))
        return now;
    item = heap_min(&client->deadlines);
    return item ? item->key : CLOCK_NEVER;
}

static const struct h2_ops client_ops = {
        .on_headers = on_headers,
        .on_data = on_data,
        .on_end = on_end,
        .on_writable = on_writable,
        .on_close = on_close,
        .on_tick = on_tick,
};

/* --- the client */

int grpc_client_new(struct grpc_client **ret, const struct grpc_client_config *config,
                    const struct h2_config *h2, mono_ns_t now)
{
    struct grpc_client *client = mem_zalloc(sizeof *client);
    struct h2_config h2_own = *h2;
    int r = -ENOMEM;

    if (!client)
        return r;
    client->scheme = config->is_tls ? "https" : "http";
    client->max_message_bytes = config->max_message_bytes;
    list_init(&client->calls);
    list_init(&client->backlog);
    list_init(&client->spare);
    h2_own.stream_user_bytes = sizeof(struct stream_user);
    client->authority = mem_strndup(config->authority, strlen(config->authority));
    if (config->authorization)
        client->authorization = mem_strndup(config->authorization, strlen(config->authorization));
    if (client->authority && (client->authorization || !config->authorization))
        r = h2_session_new(&client->session, H2_CLIENT, &h2_own, &client_ops, client, now);
    if (r < 0) {
        mem_free(client->authorization);
        mem_free(client->authority);
        mem_free(client);
        return r;
    }
    *ret = client;
    return 0;
}

struct grpc_client *grpc_client_free(struct grpc_client *client)
{
    struct list *l;

    if (!client)
        return NULL;
    client->is_freeing = 1;
    client->session = h2_session_free(client->session);
    while ((l = list_first(&client->calls))) { /* paused behind the end of their streams */
        struct grpc_client_call *call = LIST_ENTRY(l, struct grpc_client_call, link);

        if (framing_stored(&call->framing))
            cut(call, GRPC_UNAVAILABLE, H2_CANCEL, "the connection was closed before all replies were read");
        done(call);
    }
    while ((l = list_pop_front(&client->spare)))
        mem_free(LIST_ENTRY(l, struct grpc_client_call, link));
    heap_deinit(&client->deadlines);
    framing_pool_deinit(&client->pool);
    buf_deinit(&client->text);
    buf_deinit(&client->sink);
    mem_free(client->authorization);
    mem_free(client->authority);
    return mem_free(client);
}

struct h2_session *grpc_client_session(const struct grpc_client *client)
{
    return client->session;
}

static struct grpc_client_call *take_spare(struct grpc_client *client)
{
    struct list *l = list_pop_front(&client->spare);
    struct grpc_client_call *call;

    if (l) {
        client->n_spare--;
        call = LIST_ENTRY(l, struct grpc_client_call, link);
    } else {
        call = mem_alloc(sizeof *call);
        if (!call)
            return NULL;
    }
    /* all but the status, which is large and set when it is known */
    memset(call, 0, offsetof(struct grpc_client_call, status));
    list_init(&call->link);
    list_init(&call->ready);
    call->client = client;
    framing_init(&call->framing, &client->pool);
    call->deadline_ns = CLOCK_NEVER;
    return call;
}

/* Encode the values of -bin names into client->text. @to: the headers as they go out. */
static int encode_metadata(struct grpc_client *client, const struct h2_header *md, size_t n,
                           struct h2_header *to)
{
    size_t n_bytes = 0;
    char *text;
    int r;

    for (size_t i = 0; i < n; i++)
        if (metadata_is_binary(md[i].name))
            n_bytes += metadata_base64_len(md[i].value.len);
    buf_clear(&client->text);
    r = buf_reserve(&client->text, n_bytes);
    if (r < 0)
        return r;
    text = (char *)buf_tail(&client->text);
    for (size_t i = 0; i < n; i++) {
        to[i] = md[i];
        if (!metadata_is_binary(md[i].name))
            continue;
        metadata_base64_encode(md[i].value.p, md[i].value.len, text);
        to[i].value = (struct span){(const uint8_t *)text, metadata_base64_len(md[i].value.len)};
        text += to[i].value.len;
    }
    return 0;
}

static int submit_request(struct grpc_client_call *call, const char *path,
                          const struct grpc_client_call_options *options)
{
    struct h2_header headers[REQUEST_HEADERS + 2 + GRPC_CLIENT_METADATA_MAX] = {
            {SPAN_LIT(":method"), SPAN_LIT("POST")},
            {SPAN_LIT(":scheme"), span_of_string(call->client->scheme)},
            {SPAN_LIT(":path"), span_of_string(path)},
            {SPAN_LIT(":authority"), span_of_string(call->client->authority)},
            {SPAN_LIT("te"), SPAN_LIT("trailers")},
            {SPAN_LIT("content-type"), SPAN_LIT("application/grpc")},
            {SPAN_LIT("user-agent"), SPAN_LIT("futured/" FUTURED_VERSION)},
    };
    struct grpc_client *client = call->client;
    char timeout[METADATA_TIMEOUT_BYTES];
    size_t n = REQUEST_HEADERS;
    int r;

    if (options && options->timeout_ns > 0) {
        headers[n].name = SPAN_LIT("grpc-timeout");
        headers[n].value.len = metadata_timeout_format(options->timeout_ns, timeout);
        headers[n++].value.p = (const uint8_t *)timeout;
    }
    if (client->authorization)
        headers[n++] = (struct h2_header){SPAN_LIT("authorization"), span_of_string(client->authorization)};
    if (options && options->n_metadata) {
        ASSERT(options->n_metadata <= GRPC_CLIENT_METADATA_MAX);
        r = encode_metadata(client, options->metadata, options->n_metadata, headers + n);
        if (r < 0)
            return r;
        n += options->n_metadata;
    }
    r = h2_session_request(client->session, headers, n, 0, &call->stream);
    if (r)
        return r;
    ((struct stream_user *)h2_stream_user(call->stream))->call = call;
    return 0;
}

int grpc_client_call_new(struct grpc_client_call **ret, struct grpc_client *client, const char *path,
                         const struct grpc_client_call_options *options,
                         const struct grpc_client_handler *handler, void *user, mono_ns_t now)
{
    struct grpc_client_call *call;
    int r = 0;

    if (client->is_freeing)
        return H2_E_REFUSED;
    call = take_spare(client);
    if (!call)
        return -ENOMEM;
    call->handler = handler;
    call->user = user;
    if (options && options->timeout_ns > 0) {
        call->deadline_ns = clock_add(now, options->timeout_ns);
        r = heap_set(&client->deadlines, &call->deadline, call->deadline_ns);
    }
    if (r == 0)
        r = submit_request(call, path, options);
    if (r) {
        release(call);
        return r;
    }
    list_push_back(&client->calls, &call->link);
    if (heap_min(&client->deadlines) == &call->deadline)
        h2_session_wake(client->session);
    *ret = call;
    return 0;
}

void *grpc_client_call_user(const struct grpc_client_call *call)
{
    return call->user;
}

/* --- requests out */

/* Whether what is written can still reach the server. */
static int is_open(const struct grpc_client_call *call)
{
    return call->stream && !call->has_half_closed && !call->is_cut;
}

static struct buf *out_of(struct grpc_client_call *call)
{
    return is_open(call) ? h2_stream_out(call->stream) : &call->client->sink;
}

struct buf *grpc_client_call_begin(struct grpc_client_call *call)
{
    struct buf *out = out_of(call);

    ASSERT(!call->has_begun);
    if (UNLIKELY(buf_reserve(out, FRAMING_HEAD_BYTES) < 0))
        return NULL;
    call->begun_at = buf_len(out);
    buf_commit(out, FRAMING_HEAD_BYTES);
    call->has_begun = 1;
    return out;
}

void grpc_client_call_undo(struct grpc_client_call *call)
{
    struct buf *out = out_of(call);

    ASSERT(call->has_begun);
    call->has_begun = 0;
    if (is_open(call))
        out->end = out->start + call->begun_at;
    else
        buf_deinit(out);
}

void grpc_client_call_end(struct grpc_client_call *call)
{
    struct buf *out = out_of(call);

    ASSERT(call->has_begun);
    if (UNLIKELY(!is_open(call))) {
        grpc_client_call_undo(call);
        return;
    }
    call->has_begun = 0;
    framing_put_head(buf_head(out) + call->begun_at, buf_len(out) - call->begun_at - FRAMING_HEAD_BYTES);
    h2_stream_flush(call->stream);
}

int grpc_client_call_send(struct grpc_client_call *call, struct span message)
{
    struct buf *out = out_of(call);
    int r;

    if (UNLIKELY(!is_open(call)))
        return 0;
    r = buf_reserve(out, FRAMING_HEAD_BYTES + message.len);
    if (UNLIKELY(r < 0))
        return r;
    out = grpc_client_call_begin(call);
    if (message.len)
        memcpy(buf_tail(out), message.p, message.len);
    buf_commit(out, message.len);
    grpc_client_call_end(call);
    return 0;
}

int grpc_client_call_half_close(struct grpc_client_call *call)
{
    int r;

    ASSERT(!call->has_begun);
    if (!is_open(call))
        return 0;
    r = h2_stream_finish(call->stream, NULL, 0, 1);
    if (r < 0)
        return r;
    call->has_half_closed = 1;
    return 0;
}

void grpc_client_call_cancel(struct grpc_client_call *call)
{
    if (call->has_begun)
        grpc_client_call_undo(call);
    cut(call, GRPC_CANCELLED, H2_CANCEL, "the call was cancelled");
    if (!call->stream)
        enqueue(call); /* paused behind the end of its stream: on_done comes from the next tick */
}

int grpc_client_call_is_writable(const struct grpc_client_call *call)
{
    return !is_open(call) || h2_stream_is_writable(call->stream);
}

void grpc_client_call_pause(struct grpc_client_call *call, int paused)
{
    int was = call->is_paused;

    call->is_paused = paused != 0;
    if (paused)
        list_del(&call->ready);
    else if (was && !call->is_delivering && (framing_stored(&call->framing) || !call->stream))
        enqueue(call);
}
