// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Messages for tests, written as text with the names of the contract:
 *
 *     text_encode(&buf, &futured__v1__submit_request__descriptor,
 *                 "task { function: 'echo' argument: '%s' 3 * labels { key: 'k$' } } view: VIEW_FULL", argument);
 *
 *   'text'           bytes as they stand between the quotes; $ in it is the index of a repetition, twelve hex digits
 *   #00ff            bytes in hexadecimal
 *   x300             300 times the letter x
 *   -5 1.5 true      numbers by the type of the field; an enum by name or number
 *   3 * name ...     the field three times
 *   @7: 5            a field by number, for what the contract does not have or has otherwise: a varint or bytes
 *
 * What is no such text fails the test. Encoded by grpc/wire.h, which has tests of its own. Header only.
 */
#include "base/buf.h"
#include "grpc/wire.h"
#include "tests/support/testing.h"

#include <ctype.h>

#include <protobuf-c/protobuf-c.h>

struct text_parser {
    const char *at;
    unsigned long index;
};

static inline void text_skip(struct text_parser *t)
{
    while (isspace((unsigned char)*t->at))
        t->at++;
}

static inline void text_wrong(const struct text_parser *t, const char *what)
{
    fail_msg("text: %s at \"%.60s\"", what, t->at);
}

static inline void text_put(struct buf *out, const void *p, size_t n)
{
    assert_int_equal(buf_append(out, p, n), 0);
}

static inline void text_put_field(struct buf *out, uint32_t number, struct span bytes)
{
    assert_int_equal(buf_reserve(out, bytes.len + 16), 0);
    buf_commit(out, (size_t)(wire_put_bytes(buf_tail(out), number, bytes.p, bytes.len) - buf_tail(out)));
}

static inline void text_put_varint(struct buf *out, uint32_t number, uint64_t v)
{
    assert_int_equal(buf_reserve(out, 16), 0);
    buf_commit(out, (size_t)(wire_put_uint(buf_tail(out), number, v) - buf_tail(out)));
}

static inline int text_hex(char c)
{
    return isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10;
}

/* The bytes of 'text', #hex or x300. */
static inline void text_bytes(struct text_parser *t, struct buf *out)
{
    static const char many[] = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
    char *end;

    if (*t->at == 'x') {
        unsigned long n = strtoul(t->at + 1, &end, 10);

        for (; n > 0; n -= MIN(n, sizeof many - 1))
            text_put(out, many, MIN(n, sizeof many - 1));
        t->at = end;
        return;
    }
    if (*t->at == '#') {
        for (t->at++; isxdigit((unsigned char)*t->at); t->at += 2) {
            char c = (char)(text_hex(t->at[0]) << 4 | text_hex(t->at[1]));

            text_put(out, &c, 1);
        }
        return;
    }
    if (*t->at != '\'')
        text_wrong(t, "no bytes");
    for (t->at++; *t->at != '\''; t->at++) {
        char index[16];

        if (!*t->at)
            text_wrong(t, "the quote does not end");
        if (*t->at == '$')
            text_put(out, index, (size_t)snprintf(index, sizeof index, "%012lx", t->index));
        else
            text_put(out, t->at, 1);
    }
    t->at++;
}

/* A word: the name of a field, an enum's value, true. */
static inline size_t text_word(struct text_parser *t, char word[static 64])
{
    size_t n = 0;

    while ((isalnum((unsigned char)t->at[n]) || t->at[n] == '_') && n < 63) {
        word[n] = t->at[n];
        n++;
    }
    word[n] = '\0';
    return n;
}

static inline uint64_t text_integer(struct text_parser *t, const ProtobufCFieldDescriptor *f)
{
    char word[64], *end;
    uint64_t v;

    if (isalpha((unsigned char)*t->at)) {
        size_t n = text_word(t, word);

        t->at += n;
        if (strcmp(word, "true") == 0 || strcmp(word, "false") == 0)
            return word[0] == 't';
        if (f && f->type == PROTOBUF_C_TYPE_ENUM) {
            const ProtobufCEnumValue *value =
                    protobuf_c_enum_descriptor_get_value_by_name(f->descriptor, word);

            if (value)
                return (uint64_t)value->value;
        }
        fail_msg("text: \"%s\" is no value of %s", word, f ? f->name : "a field by number");
    }
    v = *t->at == '-' ? (uint64_t)strtoll(t->at, &end, 10) : strtoull(t->at, &end, 10);
    if (end == t->at)
        text_wrong(t, "no number");
    t->at = end;
    if (f && (f->type == PROTOBUF_C_TYPE_SINT32 || f->type == PROTOBUF_C_TYPE_SINT64))
        v = v << 1 ^ (uint64_t)((int64_t)v >> 63);
    return v;
}

static inline void text_scalar(struct text_parser *t, struct buf *out, uint32_t number,
                               const ProtobufCFieldDescriptor *f)
{
    struct buf bytes = BUF_INIT;

    if (f && f->type == PROTOBUF_C_TYPE_DOUBLE) {
        char *end;
        double v = strtod(t->at, &end);

        t->at = end;
        assert_int_equal(buf_reserve(out, 16), 0);
        buf_commit(out, (size_t)(wire_put_varint(buf_tail(out), (uint64_t)number << 3 | WIRE_FIXED64) -
                                 buf_tail(out)));
        text_put(out, &v, sizeof v);
        return;
    }
    if (*t->at == '\'' || *t->at == '#' || *t->at == 'x') {
        text_bytes(t, &bytes);
        text_put_field(out, number, (struct span){buf_head(&bytes), buf_len(&bytes)});
        buf_deinit(&bytes);
        return;
    }
    if (f && (f->type == PROTOBUF_C_TYPE_STRING || f->type == PROTOBUF_C_TYPE_BYTES))
        text_wrong(t, "no bytes");
    text_put_varint(out, number, text_integer(t, f));
}

static inline void text_message(struct text_parser *t, struct buf *out, const ProtobufCMessageDescriptor *d);

/* One field, from its name on. */
static inline void text_field(struct text_parser *t, struct buf *out, const ProtobufCMessageDescriptor *d)
{
    const ProtobufCFieldDescriptor *f = NULL;
    struct buf inner = BUF_INIT;
    uint32_t number;
    char word[64];
    char *end;

    if (*t->at == '@') {
        number = (uint32_t)strtoul(t->at + 1, &end, 10);
        t->at = end;
    } else {
        size_t n = text_word(t, word);

        f = d ? protobuf_c_message_descriptor_get_field_by_name(d, word) : NULL;
        if (!f)
            text_wrong(t, "no field of the message");
        t->at += n;
        number = f ? f->id : 0;
    }
    text_skip(t);
    if (*t->at == ':') {
        t->at++;
        text_skip(t);
        text_scalar(t, out, number, f);
    } else if (*t->at == '{') {
        t->at++;
        text_message(t, &inner, f && f->type == PROTOBUF_C_TYPE_MESSAGE ? f->descriptor : NULL);
        if (*t->at != '}')
            text_wrong(t, "no }");
        t->at++;
        text_put_field(out, number, (struct span){buf_head(&inner), buf_len(&inner)});
        buf_deinit(&inner);
    } else {
        text_wrong(t, "neither : nor {");
    }
}

static inline void text_message(struct text_parser *t, struct buf *out, const ProtobufCMessageDescriptor *d)
{
    unsigned long outer = t->index;

    for (text_skip(t); *t->at && *t->at != '}'; text_skip(t)) {
        const char *again;
        unsigned long n = 1;
        char *end;

        if (isdigit((unsigned char)*t->at)) {
            n = strtoul(t->at, &end, 10);
            t->at = end;
            text_skip(t);
            if (*t->at != '*')
                text_wrong(t, "no * behind the number");
            t->at++;
            text_skip(t);
        }
        again = t->at;
        for (unsigned long i = 0; i < n; i++) {
            t->at = again;
            if (n > 1)
                t->index = i;
            text_field(t, out, d);
        }
        t->index = outer;
    }
}

/* text_encode: append the message to @out. text_encode_v: with its arguments in a list. */
PRINTF_LIKE(3, 0)
static inline void text_encode_v(struct buf *out, const ProtobufCMessageDescriptor *d, const char *format,
                                 va_list args)
{
    struct text_parser t = {0};
    char *text;

    assert_true(vasprintf(&text, format, args) >= 0);
    t.at = text;
    text_message(&t, out, d);
    if (*t.at)
        text_wrong(&t, "a } too many");
    free(text);
}

PRINTF_LIKE(3, 4)
static inline void text_encode(struct buf *out, const ProtobufCMessageDescriptor *d, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    text_encode_v(out, d, format, args);
    va_end(args);
}
