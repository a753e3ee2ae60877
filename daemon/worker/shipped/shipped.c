// SPDX-License-Identifier: Apache-2.0
/* The functions that ship with futured, so that a fresh install does real work: an ordinary plugin. */
#define ZLIB_CONST
#include "client/include/futured/plugin.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zlib.h>

#include <openssl/evp.h>

enum { CODE_INVALID_ARGUMENT = 3, CODE_RESOURCE_EXHAUSTED = 8 };

static int refuse(const struct futured_host *host, struct futured_call *call, const char *message)
{
    const struct futured_failure failure = {.size = sizeof failure,
                                            .type = "INVALID_ARGUMENT",
                                            .message = message,
                                            .code = CODE_INVALID_ARGUMENT};

    return host->fail_with(call, &failure);
}

static int fail_no_memory(const struct futured_host *host, struct futured_call *call)
{
    const struct futured_failure failure = {.size = sizeof failure,
                                            .type = "NO_MEMORY",
                                            .message = "no memory",
                                            .code = CODE_RESOURCE_EXHAUSTED,
                                            .retryable = 1};

    return host->fail_with(call, &failure);
}

static int echo(const struct futured_host *host, struct futured_call *call, void *state)
{
    size_t n;
    const void *argument = host->argument(call, &n);

    return host->set_result(call, argument, n) || host->set_content_type(call, host->content_type(call));
}

/* --- sleep */

enum { SLEEP_SLICE_MS = 20, SLEEP_DIGITS_MAX = 9 };

static int sleep_refuse(const struct futured_host *host, struct futured_call *call, const char *text,
                        size_t n)
{
    char message[160];

    snprintf(message, sizeof message,
             "the argument is no number of milliseconds with 1 to %d digits: \"%.*s%s\"", SLEEP_DIGITS_MAX,
             (int)(n < 40 ? n : 40), text, n > 40 ? "..." : "");
    return refuse(host, call, message);
}

static int sleep_(const struct futured_host *host, struct futured_call *call, void *state)
{
    struct timespec end;
    size_t n;
    const char *text = host->argument(call, &n);
    long ms = 0;

    if (n == 0 || n > SLEEP_DIGITS_MAX)
        return sleep_refuse(host, call, text, n);
    for (size_t i = 0; i < n; i++) {
        if (text[i] < '0' || text[i] > '9')
            return sleep_refuse(host, call, text, n);
        ms = 10 * ms + (text[i] - '0');
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    while (ms > 0) {
        long slice = ms < SLEEP_SLICE_MS ? ms : SLEEP_SLICE_MS;

        if (host->cancelled(call))
            return host->fail(call, "CANCELLED", "the sleep was cancelled");
        ms -= slice;
        end.tv_nsec += slice * 1000000;
        if (end.tv_nsec >= 1000000000) {
            end.tv_nsec -= 1000000000;
            end.tv_sec++;
        }
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL) != 0)
            ;
    }
    return 0;
}

/* --- sha256 */

/* What is looked up and allocated once: OpenSSL's look-up of a digest costs more than a short digest. */
struct digest {
    EVP_MD *kind;
    EVP_MD_CTX *context;
};

static void sha256_fini(void *state)
{
    struct digest *d = state;

    EVP_MD_CTX_free(d->context);
    EVP_MD_free(d->kind);
    free(d);
}

static int sha256_init(const struct futured_host *host, void **ret_state)
{
    struct digest *d = calloc(1, sizeof *d);

    if (!d)
        return -1;
    d->kind = EVP_MD_fetch(NULL, "SHA256", NULL);
    d->context = EVP_MD_CTX_new();
    if (!d->kind || !d->context) {
        sha256_fini(d);
        return -1;
    }
    *ret_state = d;
    return 0;
}

static int sha256(const struct futured_host *host, struct futured_call *call, void *state)
{
    static const char digits[] = "0123456789abcdef";
    struct digest *d = state;
    unsigned char raw[EVP_MAX_MD_SIZE];
    unsigned int n_raw;
    size_t n;
    const void *argument = host->argument(call, &n);
    char *to;

    if (!EVP_DigestInit_ex2(d->context, d->kind, NULL) || !EVP_DigestUpdate(d->context, argument, n) ||
        !EVP_DigestFinal_ex(d->context, raw, &n_raw))
        return fail_no_memory(host, call);
    to = host->reserve_result(call, 2 * (size_t)n_raw);
    if (!to)
        return -1;
    for (size_t i = 0; i < n_raw; i++) {
        to[2 * i] = digits[raw[i] >> 4];
        to[2 * i + 1] = digits[raw[i] & 15];
    }
    return host->commit_result(call, 2 * (size_t)n_raw);
}

/* --- gzip, gunzip */

enum { GZIP_WINDOW_BITS = 16 + MAX_WBITS, GUNZIP_FIRST_BYTES = 64 * 1024 };

/* Point @z at the room of the result behind what it has written, at least one byte, after growing the room to @room.
 * -1: the call has failed. */
static int give_room(const struct futured_host *host, struct futured_call *call, z_stream *z, size_t room)
{
    unsigned char *to = host->reserve_result(call, room);

    if (!to)
        return -1;
    z->next_out = to + z->total_out;
    z->avail_out = (uInt)(room - z->total_out);
    return 0;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static int take_argument(const struct futured_host *host, struct futured_call *call, z_stream *z)
{
    size_t n;
    const unsigned char *argument = host->argument(call, &n);

    if (n > UINT_MAX)
        return refuse(host, call, "the argument has 4 GiB or more");
    z->next_in = argument;
    z->avail_in = (uInt)n;
    return 0;
}

static int gzip(const struct futured_host *host, struct futured_call *call, void *state)
{
    size_t max = host->max_result(call);
    z_stream z = {0};
    int r;

    if (take_argument(host, call, &z) < 0)
        return -1;
    if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW_BITS, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return fail_no_memory(host, call);
    r = give_room(host, call, &z, smaller(deflateBound(&z, z.avail_in), max));
    if (r == 0 && deflate(&z, Z_FINISH) != Z_STREAM_END) {
        host->reserve_result(call, max + 1); /* which fails, and says so */
        r = -1;
    }
    deflateEnd(&z);
    return r == 0 ? host->commit_result(call, z.total_out) || host->set_content_type(call, "application/gzip")
                  : -1;
}

/* Begin the next member where one follows; total_out goes on. 0 = that was the last. */
static int next_member(z_stream *z)
{
    uLong written = z->total_out;

    if (z->avail_in == 0 || inflateReset(z) != Z_OK)
        return 0;
    z->total_out = written;
    return 1;
}

static int inflate_all(const struct futured_host *host, struct futured_call *call, z_stream *z)
{
    size_t max = host->max_result(call), room = smaller(GUNZIP_FIRST_BYTES, max);
    char message[128];
    int r;

    if (give_room(host, call, z, room) < 0)
        return -1;
    for (;;) {
        r = inflate(z, Z_NO_FLUSH);
        if (r == Z_STREAM_END && !next_member(z))
            return 0;
        if (r == Z_MEM_ERROR)
            return fail_no_memory(host, call);
        if (r == Z_DATA_ERROR || r == Z_NEED_DICT) {
            snprintf(message, sizeof message, "the argument is no gzip data: %s",
                     z->msg ? z->msg : "it needs a dictionary");
            return refuse(host, call, message);
        }
        if (z->avail_out > 0 && z->avail_in == 0 && r != Z_STREAM_END)
            return refuse(host, call, "the argument is no gzip data: it ends too early");
        if (z->avail_out == 0) {
            room = room < max ? smaller(2 * room, max)
                              : max + 1; /* over the limit: this fails, and says so */
            if (give_room(host, call, z, room) < 0)
                return -1;
        }
    }
}

static int gunzip(const struct futured_host *host, struct futured_call *call, void *state)
{
    z_stream z = {0};
    int r;

    if (take_argument(host, call, &z) < 0)
        return -1;
    if (inflateInit2(&z, GZIP_WINDOW_BITS) != Z_OK)
        return fail_no_memory(host, call);
    r = inflate_all(host, call, &z);
    inflateEnd(&z);
    return r == 0 ? host->commit_result(call, z.total_out) : -1;
}

/* --- fail */

static int fail(const struct futured_host *host, struct futured_call *call, void *state)
{
    size_t n;
    const void *argument = host->argument(call, &n);
    char *message = malloc(n + 1);
    int r;

    if (!message)
        return fail_no_memory(host, call);
    memcpy(message, argument, n);
    message[n] = '\0';
    r = host->fail(call, "FAIL", message);
    free(message);
    return r;
}

static const char *const gzip_types[] = {"application/gzip", "application/x-gzip", "application/octet-stream",
                                         NULL};
static const char *const text_types[] = {"text/plain", NULL};

static const struct futured_plugin_function functions[] = {
        {.name = "echo", .doc = "The argument back, with its content type.", .run = echo},
        {.name = "sleep",
         .doc = "Wait. Argument: milliseconds as decimal text. The result is empty.",
         .content_types = text_types,
         .run = sleep_},
        {.name = "sha256",
         .doc = "SHA-256 of the argument: 64 lower-case hexadecimal characters.",
         .init = sha256_init,
         .run = sha256,
         .fini = sha256_fini},
        {.name = "gzip", .doc = "The argument compressed in gzip format.", .run = gzip},
        {.name = "gunzip",
         .doc = "The argument, in gzip format, decompressed.",
         .content_types = gzip_types,
         .run = gunzip},
        {.name = "fail", .doc = "Fails. Argument: the message of its error.", .run = fail},
};

const struct futured_plugin futured_plugin = {
        .abi = FUTURED_PLUGIN_ABI,
        .size = sizeof(struct futured_plugin),
        .name = "futured-functions",
        .version = FUTURED_VERSION,
        .functions = functions,
        .function_size = sizeof functions[0],
        .n_functions = sizeof functions / sizeof functions[0],
};
