// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/message.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/utf8.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <google/protobuf/duration.pb-c.h>
#include <google/protobuf/timestamp.pb-c.h>

/* --- leaves */

static json_t *base64(struct span s)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t n = (s.len + 2) / 3 * 4;
    char *text = mem_alloc(n + 1), *to = text;
    json_t *json;

    if (!text)
        return NULL;
    for (size_t i = 0; i < s.len; i += 3) {
        size_t left = s.len - i;
        uint32_t v = (uint32_t)s.p[i] << 16 | (left > 1 ? (uint32_t)s.p[i + 1] << 8 : 0) |
                     (left > 2 ? (uint32_t)s.p[i + 2] : 0);

        *to++ = digits[v >> 18];
        *to++ = digits[v >> 12 & 63];
        *to++ = left > 1 ? digits[v >> 6 & 63] : '=';
        *to++ = left > 2 ? digits[v & 63] : '=';
    }
    json = json_stringn(text, n);
    mem_free(text);
    return json;
}

/* A string of the daemon is UTF-8; a stranger's, which JSON could not hold, loses the bytes that are not. */
static json_t *string(const char *s)
{
    size_t n = strlen(s), len;
    char *copy;
    json_t *json;

    if (utf8_is_valid((const uint8_t *)s, n))
        return json_stringn(s, n);
    copy = mem_strndup(s, n);
    if (!copy)
        return NULL;
    for (size_t i = 0; i < n; i += len) {
        for (len = 1; len <= 4 && i + len <= n && !utf8_is_valid((const uint8_t *)s + i, len); len++)
            ;
        if (len > 4 || i + len > n) {
            copy[i] = '?';
            len = 1;
        }
    }
    json = json_stringn(copy, n);
    mem_free(copy);
    return json;
}

static json_t *unsigned_number(uint64_t v)
{
    return v <= INT64_MAX ? json_integer((json_int_t)v) : json_real((double)v);
}

static json_t *real_number(double v)
{
    if (isfinite(v))
        return json_real(v);
    return json_string(isnan(v) ? "NaN" : v > 0 ? "Infinity" : "-Infinity");
}

static json_t *enum_name(const ProtobufCEnumDescriptor *descriptor, int v)
{
    const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(descriptor, v);

    return value ? json_string(value->name) : json_integer(v);
}

/* Nanoseconds with 0, 3, 6 or 9 digits, behind a point. */
static void put_fraction(int32_t nanos, char text[static 16])
{
    unsigned int n = nanos < 0 ? (unsigned int)-nanos : (unsigned int)nanos;

    if (n == 0)
        text[0] = '\0';
    else if (n % 1000000 == 0)
        snprintf(text, 16, ".%03u", n / 1000000);
    else if (n % 1000 == 0)
        snprintf(text, 16, ".%06u", n / 1000);
    else
        snprintf(text, 16, ".%09u", n);
}

static json_t *timestamp(const Google__Protobuf__Timestamp *t)
{
    char date[40], fraction[16], text[64];
    time_t seconds = (time_t)t->seconds;
    struct tm tm;

    if (!gmtime_r(&seconds, &tm))
        return json_integer(t->seconds);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &tm);
    put_fraction(t->nanos, fraction);
    snprintf(text, sizeof text, "%s%sZ", date, fraction);
    return json_string(text);
}

static json_t *duration(const Google__Protobuf__Duration *d)
{
    const char *sign = d->seconds < 0 || d->nanos < 0 ? "-" : "";
    uint64_t seconds = d->seconds < 0 ? -(uint64_t)d->seconds : (uint64_t)d->seconds;
    char fraction[16], text[64];

    put_fraction(d->nanos, fraction);
    snprintf(text, sizeof text, "%s%" PRIu64 "%ss", sign, seconds, fraction);
    return json_string(text);
}

/* --- fields */

static json_t *sub_message(const ProtobufCMessage *message)
{
    if (message->descriptor == &google__protobuf__timestamp__descriptor)
        return timestamp((const Google__Protobuf__Timestamp *)(const void *)message);
    if (message->descriptor == &google__protobuf__duration__descriptor)
        return duration((const Google__Protobuf__Duration *)(const void *)message);
    return message_to_json(message);
}

#define LOAD(type, at)                    \
    ({                                    \
        type load_;                       \
        memcpy(&load_, at, sizeof load_); \
        load_;                            \
    })

/* One value of @field that stands at @at. Bytes are not here: they make two members. */
static json_t *value(const ProtobufCFieldDescriptor *field, const void *at)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32: return json_integer(LOAD(int32_t, at));
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64: return json_integer(LOAD(int64_t, at));
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32: return json_integer(LOAD(uint32_t, at));
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64: return unsigned_number(LOAD(uint64_t, at));
    case PROTOBUF_C_TYPE_FLOAT: return real_number((double)LOAD(float, at));
    case PROTOBUF_C_TYPE_DOUBLE: return real_number(LOAD(double, at));
    case PROTOBUF_C_TYPE_BOOL: return json_boolean(LOAD(protobuf_c_boolean, at));
    case PROTOBUF_C_TYPE_ENUM: return enum_name(field->descriptor, LOAD(int, at));
    case PROTOBUF_C_TYPE_STRING: return string(LOAD(const char *, at));
    case PROTOBUF_C_TYPE_MESSAGE: return sub_message(LOAD(const ProtobufCMessage *, at));
    case PROTOBUF_C_TYPE_BYTES: {
        ProtobufCBinaryData data = LOAD(ProtobufCBinaryData, at);

        return base64((struct span){data.data, data.len});
    }
    default: return json_null();
    }
}

static size_t size_of(const ProtobufCFieldDescriptor *field)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32: return sizeof(uint32_t);
    case PROTOBUF_C_TYPE_FLOAT: return sizeof(float);
    case PROTOBUF_C_TYPE_BOOL: return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_ENUM: return sizeof(int);
    case PROTOBUF_C_TYPE_STRING: return sizeof(char *);
    case PROTOBUF_C_TYPE_MESSAGE: return sizeof(ProtobufCMessage *);
    case PROTOBUF_C_TYPE_BYTES: return sizeof(ProtobufCBinaryData);
    default: return sizeof(uint64_t);
    }
}

/* A map is a list of messages KeyEntry{key = 1; value = 2}; the generated code does not say so otherwise. */
static int is_map(const ProtobufCFieldDescriptor *field)
{
    const ProtobufCMessageDescriptor *entry = field->descriptor;
    size_t n;

    if (field->type != PROTOBUF_C_TYPE_MESSAGE || entry->n_fields != 2)
        return 0;
    n = strlen(entry->short_name);
    return n > 5 && strcmp(entry->short_name + n - 5, "Entry") == 0 &&
           strcmp(entry->fields[0].name, "key") == 0 && strcmp(entry->fields[1].name, "value") == 0 &&
           entry->fields[0].type == PROTOBUF_C_TYPE_STRING;
}

static json_t *map(const ProtobufCFieldDescriptor *field, const ProtobufCMessage *const *entries, size_t n)
{
    const ProtobufCMessageDescriptor *entry = field->descriptor;
    json_t *object = json_object();

    for (size_t i = 0; object && i < n; i++) {
        const char *base = (const char *)entries[i];
        json_t *key = string(LOAD(const char *, base + entry->fields[0].offset));

        if (!key || json_object_set_new(object, json_string_value(key),
                                        value(&entry->fields[1], base + entry->fields[1].offset)) < 0) {
            json_decref(object);
            object = NULL;
        }
        json_decref(key);
    }
    return object;
}

static json_t *repeated(const ProtobufCFieldDescriptor *field, const char *base)
{
    size_t n = LOAD(size_t, base + field->quantifier_offset);
    const char *items = LOAD(const char *, base + field->offset);
    json_t *array;

    if (is_map(field))
        return map(field, (const ProtobufCMessage *const *)(const void *)items, n);
    array = json_array();
    for (size_t i = 0; array && i < n; i++) {
        if (json_array_append_new(array, value(field, items + i * size_of(field))) < 0) {
            json_decref(array);
            array = NULL;
        }
    }
    return array;
}

static int is_set(const ProtobufCFieldDescriptor *field, const char *base)
{
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return 1;
    if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
        return LOAD(uint32_t, base + field->quantifier_offset) == field->id;
    return field->type != PROTOBUF_C_TYPE_MESSAGE || LOAD(const void *, base + field->offset) != NULL;
}

/* 0, or -1 without memory. */
static int add_field(json_t *object, const ProtobufCFieldDescriptor *field, const char *base)
{
    ProtobufCBinaryData data;
    char name[128];

    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return json_object_set_new(object, field->name, repeated(field, base));
    if (json_object_set_new(object, field->name, value(field, base + field->offset)) < 0)
        return -1;
    if (field->type != PROTOBUF_C_TYPE_BYTES)
        return 0;
    data = LOAD(ProtobufCBinaryData, base + field->offset);
    if (!utf8_is_valid(data.data, data.len))
        return 0;
    snprintf(name, sizeof name, "%s_text", field->name);
    return json_object_set_new(object, name, json_stringn(data.len ? (const char *)data.data : "", data.len));
}

json_t *message_to_json(const ProtobufCMessage *message)
{
    const ProtobufCMessageDescriptor *descriptor = message->descriptor;
    const char *base = (const char *)message;
    json_t *object = json_object();

    for (unsigned int i = 0; object && i < descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &descriptor->fields[i];

        if (is_set(field, base) && add_field(object, field, base) < 0) {
            json_decref(object);
            object = NULL;
        }
    }
    return object;
}

json_t *message_read_json(const ProtobufCMessageDescriptor *descriptor, struct span wire)
{
    ProtobufCMessage *message = protobuf_c_message_unpack(descriptor, NULL, wire.len, wire.p);
    json_t *json;

    if (!message)
        return NULL;
    json = message_to_json(message);
    protobuf_c_message_free_unpacked(message, NULL);
    return json;
}
