// SPDX-License-Identifier: Apache-2.0
#include "dispatch/hello.h"

#include "base/limit.h"

#include <stdio.h>

enum { HELLO_NAMESPACES = 9, CONTENT_TYPES_MAX = 16 };

static const struct codec_row hello_rows[] = {
        CODEC_ROW(1, CODEC_STRING, struct hello, name),
        CODEC_ROW(2, CODEC_STRING, struct hello, session_token),
        CODEC_ROW(HELLO_FUNCTIONS, CODEC_REPEATED_MESSAGE, struct hello, functions),
        CODEC_ROW(4, CODEC_UINT, struct hello, slots),
        CODEC_ROW(HELLO_LABELS, CODEC_REPEATED_MESSAGE, struct hello, labels),
        CODEC_ROW(HELLO_HELD_LEASES, CODEC_REPEATED_MESSAGE, struct hello, held_leases),
        CODEC_ROW(7, CODEC_STRING, struct hello, version),
        CODEC_ROW(8, CODEC_UINT, struct hello, epoch),
        CODEC_ROW(HELLO_NAMESPACES, CODEC_REPEATED_STRING, struct hello, namespaces),
};
static const struct codec_table hello_table = {hello_rows, ARRAY_LEN(hello_rows)};

static const struct codec_row function_rows[] = {
        CODEC_ROW(1, CODEC_STRING, struct hello_function, name),
        CODEC_ROW(2, CODEC_STRING, struct hello_function, doc),
        CODEC_ROW(HELLO_CONTENT_TYPES, CODEC_REPEATED_STRING, struct hello_function, content_types),
        CODEC_ROW(4, CODEC_MESSAGE, struct hello_function, default_options),
        CODEC_ROW(5, CODEC_STRING, struct hello_function, version),
        CODEC_ROW(6, CODEC_UINT, struct hello_function, max_running),
};
static const struct codec_table function_table = {function_rows, ARRAY_LEN(function_rows)};

int hello_bad_field(struct grpc_status *st, const char *field, const char *what)
{
    status_set(st, GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "%s: %s", field, what);
    status_add_violation(st, field, "%s", what);
    return HELLO_E_BAD;
}

static int unbuilt_field(struct grpc_status *st, const char *field)
{
    status_set(st, GRPC_UNIMPLEMENTED, "UNIMPLEMENTED_FIELD",
               "%s: this version of the daemon does not have it", field);
    status_add_violation(st, field, "this version of the daemon does not have it");
    return HELLO_E_BAD;
}

int hello_is_function_name(struct span name)
{
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.p[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
              c == '_' || c == '-'))
            return 0;
    }
    return name.len > 0 && name.len <= LIMIT_FUNCTION_NAME_BYTES;
}

int hello_is_token(struct span token)
{
    for (size_t i = 0; i < token.len; i++)
        if (token.p[i] < 0x21 || token.p[i] > 0x7e)
            return 0;
    return token.len >= HELLO_TOKEN_MIN_BYTES && token.len <= HELLO_TOKEN_MAX_BYTES;
}

static int are_content_types(const struct hello_function *f, struct span message)
{
    struct wire_reader r = wire_reader(message);
    struct span type;

    while (f->content_types && codec_each(&r, HELLO_CONTENT_TYPES, &type))
        if (type.len > LIMIT_CONTENT_TYPE_BYTES)
            return 0;
    return f->content_types <= CONTENT_TYPES_MAX;
}

static int check_function(struct span message, enum hello_of of, struct grpc_status *st)
{
    struct hello_function f = {0};
    const char *field;

    if (codec_read(&function_table, message, &f, &field) != 0 || !hello_is_function_name(f.name))
        return hello_bad_field(st, "hello.functions",
                               "a name of 1 to 255 characters of [A-Za-z0-9._-] is required");
    if (of == HELLO_OF_POOL)
        return 0;
    if (f.doc.len > HELLO_DOC_BYTES)
        return hello_bad_field(st, "hello.functions.doc", "has more than 4 KiB");
    if (f.version.len > HELLO_TEXT_BYTES)
        return hello_bad_field(st, "hello.functions.version", "has more than 255 bytes");
    if (!are_content_types(&f, message))
        return hello_bad_field(st, "hello.functions.content_types", "at most 16 of at most 255 bytes");
    return 0;
}

static int check_functions(const struct hello *hello, enum hello_of of, struct grpc_status *st)
{
    struct wire_reader r = wire_reader(hello->message);
    struct span function;

    if (hello->functions == 0 || hello->functions > HELLO_FUNCTIONS_MAX)
        return hello_bad_field(st, "hello.functions", "must be 1 to 10,000");
    while (codec_each(&r, HELLO_FUNCTIONS, &function))
        if (check_function(function, of, st))
            return HELLO_E_BAD;
    return 0;
}

static int check_labels(const struct hello *hello, struct grpc_status *st)
{
    struct wire_reader r = wire_reader(hello->message);
    struct span key, value;
    int n = 0, e;

    while ((e = task_next_label(&r, HELLO_LABELS, &key, &value)) > 0)
        if (++n > LIMIT_LABELS || key.len == 0 || key.len > LIMIT_LABEL_KEY_BYTES ||
            value.len > LIMIT_LABEL_VALUE_BYTES)
            return hello_bad_field(st, "hello.labels",
                                   "at most 64, with keys of 1 to 63 bytes and values of at most 1 KiB");
    return e < 0 ? hello_bad_field(st, "hello.labels", "is malformed") : 0;
}

/* A worker runs tasks of every namespace: to choose some is not built. */
static int check_namespaces(const struct hello *hello, struct grpc_status *st)
{
    struct wire_reader r = wire_reader(hello->message);
    struct span name;

    while (hello->namespaces && codec_each(&r, HELLO_NAMESPACES, &name))
        if (name.len)
            return unbuilt_field(st, "hello.namespaces");
    return 0;
}

static int check_held(const struct hello *hello, struct grpc_status *st)
{
    struct wire_reader r = wire_reader(hello->message);
    struct lease_ref ref;
    struct span lease;

    while (hello->held_leases && codec_each(&r, HELLO_HELD_LEASES, &lease))
        if (lease_ref_read(lease, &ref) != 0)
            return hello_bad_field(st, "hello.held_leases",
                                   "each needs id, attempt and epoch, as it was given");
    return 0;
}

int hello_read(struct span message, enum hello_of of, struct hello *ret, struct grpc_status *st)
{
    struct hello hello = {.message = message};
    char field_of[64] = "hello";
    const char *field;
    int e = codec_read(&hello_table, message, &hello, &field);

    if (e) {
        if (*field)
            snprintf(field_of, sizeof field_of, "hello.%s", field);
        return hello_bad_field(st, field_of, *field ? codec_error_text(e) : "is malformed");
    }
    if (hello.name.len > HELLO_TEXT_BYTES || hello.version.len > HELLO_TEXT_BYTES)
        return hello_bad_field(st, hello.name.len > HELLO_TEXT_BYTES ? "hello.name" : "hello.version",
                               "has more than 255 bytes");
    if (of != HELLO_OF_POOL && !hello_is_token(hello.session_token))
        return hello_bad_field(st, "hello.session_token", "must be 16 to 64 printable characters");
    if (of != HELLO_OF_CLAIM && (hello.slots == 0 || hello.slots > HELLO_SLOTS_MAX))
        return hello_bad_field(st, "hello.slots", "must be 1 to 1,024");
    if (check_functions(&hello, of, st) || check_labels(&hello, st) || check_namespaces(&hello, st) ||
        check_held(&hello, st))
        return HELLO_E_BAD;
    *ret = hello;
    return 0;
}

int hello_next_function(struct wire_reader *r, struct hello_function *ret)
{
    const char *field;

    *ret = (struct hello_function){0};
    return codec_each(r, HELLO_FUNCTIONS, &ret->message) &&
           codec_read(&function_table, ret->message, ret, &field) == 0;
}
