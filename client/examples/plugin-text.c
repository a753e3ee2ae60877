// SPDX-License-Identifier: Apache-2.0
/*
 * A plugin in C: functions about text and numbers.
 *
 *     cc -shared -fPIC -o text.so plugin-text.c
 *
 * and in futured.conf
 *
 *     [pool]
 *     plugin = /path/to/text.so
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <futured/plugin.h>

enum { INVALID_ARGUMENT = 3 }; /* google.rpc.Code */

/* An error that says all there is to say. It would come again, so no other attempt is made. */
static int refuse(const struct futured_host *host, struct futured_call *call, const char *reason,
                  const char *message)
{
    const struct futured_failure failure = {
            .size = sizeof failure,
            .type = "ValueError",
            .message = message,
            .reason = reason,
            .traceback = "plugin-text.c: parse",
            .code = INVALID_ARGUMENT,
            .retryable = -1,
    };

    return host->fail_with(call, &failure);
}

/* text.count: the argument's words and lines, as JSON. */
static int count(const struct futured_host *host, struct futured_call *call, void *state)
{
    size_t n, n_words = 0, n_lines = 0, i;
    const char *text = (const char *)host->argument(call, &n);
    char json[100];
    int in_word = 0;

    (void)state;
    for (i = 0; i < n; i++) {
        int is_blank = memchr(" \t\n", text[i], 3) != NULL;

        n_words += !is_blank && !in_word;
        n_lines += text[i] == '\n';
        in_word = !is_blank;
    }
    snprintf(json, sizeof json, "{\"words\": %zu, \"lines\": %zu}", n_words, n_lines);
    return host->set_content_type(call, "application/json") || host->set_result(call, json, strlen(json));
}

/* text.join: the results of what the task depends on, with the argument between them. Submit it with pass_results. */
static int join(const struct futured_host *host, struct futured_call *call, void *state)
{
    size_t n_separator, size = 0, i, n = host->n_upstreams(call);
    const char *separator = (const char *)host->argument(call, &n_separator);

    (void)state;
    for (i = 0; i < n; i++) {
        struct futured_upstream from = {.size = sizeof from};
        size_t between = i > 0 ? n_separator : 0;
        char *to;

        if (host->upstream(call, i, &from) != 0 || !from.succeeded)
            return host->fail(call, "UpstreamError", "one of the parts is missing");
        to = (char *)host->reserve_result(call, size + between + from.data_size);
        if (!to)
            return -1;
        memcpy(to + size, separator, between);
        memcpy(to + size + between, from.data, from.data_size);
        size += between + from.data_size;
    }
    return host->commit_result(call, size);
}

/* primes.count: how many primes there are up to the argument. Looks now and then whether it should end. */
static int primes(const struct futured_host *host, struct futured_call *call, void *state)
{
    unsigned long up_to, at, divisor, n_primes = 0;
    char text[20] = "", *end;
    size_t n;
    const void *argument = host->argument(call, &n);

    (void)state;
    if (n == 0 || n > 10)
        return refuse(host, call, "NOT_A_NUMBER", "the argument is no decimal number of at most 10 digits");
    memcpy(text, argument, n);
    up_to = strtoul(text, &end, 10);
    if (*end)
        return refuse(host, call, "NOT_A_NUMBER", "the argument is no decimal number of at most 10 digits");
    for (at = 2; at <= up_to; at++) {
        if (host->cancelled(call))
            return host->fail(call, "Stopped", "it was told to end");
        for (divisor = 2; divisor * divisor <= at && at % divisor != 0;)
            divisor++;
        n_primes += divisor * divisor > at;
    }
    snprintf(text, sizeof text, "%lu", n_primes);
    return host->set_result(call, text, strlen(text));
}

static const char *const text_types[] = {"text/plain", NULL};
static const char *const final_types[] = {"UpstreamError", NULL};

/* A task of primes.count gets a minute, and is tried up to three times. */
static const struct futured_options primes_options = {
        .size = sizeof primes_options,
        .attempt_timeout_ms = 60000,
        .max_attempts = 3,
        .initial_backoff_ms = 100,
        .non_retryable_types = final_types,
};

static const struct futured_plugin_function functions[] = {
        {.name = "text.count",
         .doc = "Words and lines of the argument, as JSON.",
         .content_types = text_types,
         .run = count},
        {.name = "text.join", .doc = "The results of the upstreams, the argument between them.", .run = join},
        {.name = "primes.count",
         .doc = "How many primes there are up to the argument.",
         .content_types = text_types,
         .run = primes,
         .options = &primes_options},
};

const struct futured_plugin futured_plugin = {
        .abi = FUTURED_PLUGIN_ABI,
        .size = sizeof(struct futured_plugin),
        .name = "text",
        .version = "1.0",
        .functions = functions,
        .function_size = sizeof functions[0],
        .n_functions = sizeof functions / sizeof functions[0],
};
