// SPDX-License-Identifier: Apache-2.0
#include "worker/template.h"

#include <stdio.h>
#include <string.h>

#define LABEL "label."

static const char *const names[] = {"argument", "content_type", "id", "attempt", "group", "function"};

/* The name that stands at @at behind its brace, up to "}"; empty: none that is known. */
static struct span name_at(const char *at)
{
    struct span name = {(const uint8_t *)at, strcspn(at, "{}")};

    if (at[name.len] != '}')
        return (struct span){0};
    if (name.len > sizeof LABEL - 1 && memcmp(at, LABEL, sizeof LABEL - 1) == 0)
        return name;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (span_eq(name, span_of_string(names[i])))
            return name;
    return (struct span){0};
}

/* The next piece of *at, which moves behind it: a template's name, or in *ret_literal what stands for itself. */
static struct span next(const char **at, struct span *ret_literal)
{
    const char *from = *at;
    struct span name;
    size_t n = *from == '{' ? 1 : strcspn(from, "{");

    *ret_literal = (struct span){0};
    if (*from == '{' && from[1] == '{') {
        name = name_at(from + 2);
        if (name.len && from[2 + name.len + 1] == '}') {
            *ret_literal = (struct span){(const uint8_t *)from + 1, name.len + 2};
            *at = from + name.len + 4;
            return (struct span){0};
        }
    }
    name = *from == '{' ? name_at(from + 1) : (struct span){0};
    if (name.len) {
        *at = from + name.len + 2;
        return name;
    }
    *ret_literal = (struct span){(const uint8_t *)from, n};
    *at = from + n;
    return (struct span){0};
}

int template_is(const char *word, int *ret_has_argument)
{
    int is_template = 0;

    *ret_has_argument = 0;
    while (*word) {
        struct span literal, name = next(&word, &literal);

        is_template |=
                name.len > 0 || (literal.len > 1 && literal.p[0] == '{'); /* {{id}} too is not what it says */
        *ret_has_argument |= span_eq(name, SPAN_LIT("argument"));
    }
    return is_template;
}

static struct span label_of(const struct futured_call *call, struct span wanted)
{
    struct wire_reader r = wire_reader(call->task_bytes);
    struct span key, value;

    while (task_next_label(&r, TASK_LABELS, &key, &value) > 0)
        if (span_eq(key, wanted))
            return value;
    return (struct span){0};
}

static struct span value_of(struct futured_call *call, struct span name, char number[static 16])
{
    if (span_eq(name, SPAN_LIT("argument")))
        return call->task.argument.data;
    if (span_eq(name, SPAN_LIT("content_type")))
        return call->task.content_type;
    if (span_eq(name, SPAN_LIT("id")))
        return span_of_string(attempt_host.id(call));
    if (span_eq(name, SPAN_LIT("group")))
        return call->group;
    if (span_eq(name, SPAN_LIT("function")))
        return span_of_string(call->function);
    if (span_eq(name, SPAN_LIT("attempt"))) {
        snprintf(number, 16, "%u", call->lease.attempt);
        return span_of_string(number);
    }
    return label_of(call, (struct span){name.p + sizeof LABEL - 1, name.len - (sizeof LABEL - 1)});
}

static int fail(struct futured_call *call, const char *reason, struct span name, const char *why)
{
    attempt_fail(call, reason, GRPC_INVALID_ARGUMENT, *reason ? "" : "INVALID_ARGUMENT", "{%.*s} %s",
                 (int)name.len, (const char *)name.p, why);
    call->failure.is_retryable = -1;
    return TEMPLATE_E_FAILED;
}

int template_expand(const char *word, struct futured_call *call, char **ret)
{
    struct buf text CLEANUP(buf_deinit) = BUF_INIT;
    char number[16];
    int r = 0;

    while (r == 0 && *word) {
        struct span piece, name = next(&word, &piece);

        if (name.len)
            piece = value_of(call, name, number);
        if (name.len && piece.len && memchr(piece.p, 0, piece.len))
            return fail(call, "", name, "has a NUL byte in it, which no word of a command can have");
        if (buf_len(&text) + piece.len > TEMPLATE_WORD_BYTES)
            return fail(call, span_eq(name, SPAN_LIT("argument")) ? "ARGUMENT_TOO_LARGE" : "", name,
                        "makes a word of over 131,071 bytes, which the system does not take; standard input "
                        "takes more");
        r = buf_append(&text, piece.p, piece.len);
    }
    *ret = r == 0 ? arena_strndup(&call->texts, (const char *)buf_head(&text), buf_len(&text)) : NULL;
    if (*ret)
        return 0;
    attempt_fail(call, "", GRPC_RESOURCE_EXHAUSTED, "NO_MEMORY", "the worker could not allocate memory");
    return TEMPLATE_E_FAILED;
}
