// SPDX-License-Identifier: Apache-2.0
#include "service/request.h"

#include "base/limit.h"
#include "service/identity.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct codec_row selector_rows[] = {
        CODEC_ROW(SELECTOR_IDS, CODEC_REPEATED_STRING, struct selector, ids),
        CODEC_ROW(2, CODEC_STRING, struct selector, group),
        CODEC_ROW(3, CODEC_STRING, struct selector, filter),
};
const struct codec_table selector_table = {selector_rows, ARRAY_LEN(selector_rows)};

static const struct codec_row get_request_rows[] = {
        CODEC_ROW(1, CODEC_STRING, struct get_request, id),
        CODEC_ROW(2, CODEC_STRING, struct get_request, idempotency_key),
        CODEC_ROW(3, CODEC_UINT, struct get_request, view),
};
const struct codec_table get_request_table = {get_request_rows, ARRAY_LEN(get_request_rows)};

static const struct codec_row wait_request_rows[] = {
        CODEC_ROW(1, CODEC_MESSAGE, struct wait_request, selector),
        CODEC_ROW(2, CODEC_UINT, struct wait_request, return_when),
        CODEC_ROW(3, CODEC_UINT, struct wait_request, count),
        CODEC_ROW(4, CODEC_UINT, struct wait_request, expect),
        CODEC_ROW(5, CODEC_DURATION, struct wait_request, timeout),
        CODEC_ROW(6, CODEC_UINT, struct wait_request, view),
};
const struct codec_table wait_request_table = {wait_request_rows, ARRAY_LEN(wait_request_rows)};

static const struct codec_row as_completed_request_rows[] = {
        CODEC_ROW(AS_COMPLETED_IDS, CODEC_REPEATED_STRING, struct as_completed_request, ids),
        CODEC_ROW(2, CODEC_UINT, struct as_completed_request, view),
};
const struct codec_table as_completed_request_table = {as_completed_request_rows,
                                                       ARRAY_LEN(as_completed_request_rows)};

static const struct codec_row watch_request_rows[] = {
        CODEC_ROW(1, CODEC_MESSAGE, struct watch_request, selector),
        CODEC_ROW(2, CODEC_UINT, struct watch_request, after_revision),
        CODEC_ROW(3, CODEC_MESSAGE, struct watch_request, cursor),
        /* 4, kinds, is packed or not: watch.c walks it */
        [4] = {.type = CODEC_NONE},
        CODEC_ROW(5, CODEC_UINT, struct watch_request, output_offset),
        CODEC_ROW(6, CODEC_UINT, struct watch_request, log_offset),
        CODEC_ROW(7, CODEC_UINT, struct watch_request, view),
};
const struct codec_table watch_request_table = {watch_request_rows, ARRAY_LEN(watch_request_rows)};

static const struct codec_row cursor_rows[] = {
        CODEC_ROW(1, CODEC_UINT, struct cursor, epoch),
        CODEC_ROW(2, CODEC_UINT, struct cursor, event),
};
const struct codec_table cursor_table = {cursor_rows, ARRAY_LEN(cursor_rows)};

static const struct codec_row list_request_rows[] = {
        CODEC_ROW(1, CODEC_MESSAGE, struct list_request, selector),
        CODEC_ROW(2, CODEC_STRING, struct list_request, order_by),
        CODEC_ROW(3, CODEC_UINT, struct list_request, page_size),
        CODEC_ROW(4, CODEC_STRING, struct list_request, page_token),
        CODEC_ROW(5, CODEC_UINT, struct list_request, view),
};
const struct codec_table list_request_table = {list_request_rows, ARRAY_LEN(list_request_rows)};

static const struct codec_row count_request_rows[] = {
        CODEC_ROW(1, CODEC_MESSAGE, struct count_request, selector),
        CODEC_ROW(2, CODEC_STRING, struct count_request, group_by),
        CODEC_ROW(3, CODEC_STRING, struct count_request, page_token),
};
const struct codec_table count_request_table = {count_request_rows, ARRAY_LEN(count_request_rows)};

static const struct codec_row cancel_many_request_rows[] = {
        CODEC_ROW(1, CODEC_MESSAGE, struct cancel_many_request, selector),
        CODEC_ROW(2, CODEC_UINT, struct cancel_many_request, dry_run),
        CODEC_ROW(3, CODEC_STRING, struct cancel_many_request, page_token),
        CODEC_ROW(4, CODEC_STRING, struct cancel_many_request, reason),
        CODEC_ROW(5, CODEC_DURATION, struct cancel_many_request, grace),
};
const struct codec_table cancel_many_request_table = {cancel_many_request_rows,
                                                      ARRAY_LEN(cancel_many_request_rows)};

static const struct codec_row delete_many_request_rows[] = {
        CODEC_ROW(1, CODEC_MESSAGE, struct delete_many_request, selector),
        CODEC_ROW(2, CODEC_UINT, struct delete_many_request, dry_run),
        CODEC_ROW(3, CODEC_STRING, struct delete_many_request, page_token),
};
const struct codec_table delete_many_request_table = {delete_many_request_rows,
                                                      ARRAY_LEN(delete_many_request_rows)};

static const struct codec_row retry_request_rows[] = {
        CODEC_ROW(RETRY_ID, CODEC_STRING, struct retry_request, id),
        CODEC_ROW(2, CODEC_MESSAGE, struct retry_request, options),
};
const struct codec_table retry_request_table = {retry_request_rows, ARRAY_LEN(retry_request_rows)};

static const struct codec_row retry_many_request_rows[] = {
        CODEC_ROW(1, CODEC_MESSAGE, struct retry_many_request, selector),
        CODEC_ROW(2, CODEC_UINT, struct retry_many_request, dry_run),
        CODEC_ROW(3, CODEC_STRING, struct retry_many_request, page_token),
        CODEC_ROW(4, CODEC_MESSAGE, struct retry_many_request, options),
};
const struct codec_table retry_many_request_table = {retry_many_request_rows,
                                                     ARRAY_LEN(retry_many_request_rows)};

static const struct codec_row annotate_request_rows[] = {
        CODEC_ROW(1, CODEC_STRING, struct annotate_request, id),
        CODEC_ROW(ANNOTATE_SET, CODEC_REPEATED_MESSAGE, struct annotate_request, set_labels),
        CODEC_ROW(ANNOTATE_REMOVE, CODEC_REPEATED_STRING, struct annotate_request, remove_labels),
        CODEC_ROW(4, CODEC_NUMBER, struct annotate_request, if_revision),
};
const struct codec_table annotate_request_table = {annotate_request_rows, ARRAY_LEN(annotate_request_rows)};

static const struct codec_row cancel_request_rows[] = {
        CODEC_ROW(1, CODEC_STRING, struct cancel_request_message, id),
        CODEC_ROW(2, CODEC_STRING, struct cancel_request_message, reason),
        CODEC_ROW(3, CODEC_DURATION, struct cancel_request_message, grace),
};
const struct codec_table cancel_request_table = {cancel_request_rows, ARRAY_LEN(cancel_request_rows)};

static const struct codec_row reschedule_request_rows[] = {
        CODEC_ROW(1, CODEC_STRING, struct reschedule_request, id),
        CODEC_ROW(2, CODEC_NUMBER, struct reschedule_request, priority),
        CODEC_ROW(3, CODEC_TIMESTAMP, struct reschedule_request, not_before),
        CODEC_ROW(4, CODEC_TIMESTAMP, struct reschedule_request, deadline),
        CODEC_ROW(5, CODEC_UINT, struct reschedule_request, clear_deadline),
        CODEC_ROW(6, CODEC_DURATION, struct reschedule_request, retention),
        CODEC_ROW(7, CODEC_NUMBER, struct reschedule_request, if_revision),
};
const struct codec_table reschedule_request_table = {reschedule_request_rows,
                                                     ARRAY_LEN(reschedule_request_rows)};

static const struct codec_row delete_request_rows[] = {
        CODEC_ROW(1, CODEC_STRING, struct delete_request, id),
};
const struct codec_table delete_request_table = {delete_request_rows, ARRAY_LEN(delete_request_rows)};

int request_bad_field(struct grpc_status *ret, const char *field, const char *format, ...)
{
    char what[STATUS_TEXT_MAX_BYTES];
    va_list ap;

    va_start(ap, format);
    vsnprintf(what, sizeof what, format, ap);
    va_end(ap);
    status_set(ret, GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "%s: %s", field, what);
    status_add_violation(ret, field, "%s", what);
    return REQUEST_E_BAD;
}

int request_bad_in(struct grpc_status *ret, const char *parent, const char *field, const char *format, ...)
{
    char what[STATUS_TEXT_MAX_BYTES], name[128];
    va_list ap;

    va_start(ap, format);
    vsnprintf(what, sizeof what, format, ap);
    va_end(ap);
    snprintf(name, sizeof name, "%s.%s", parent, field);
    return request_bad_field(ret, name, "%s", what);
}

int request_unbuilt_field(struct grpc_status *ret, const char *field)
{
    status_set(ret, GRPC_UNIMPLEMENTED, "UNIMPLEMENTED_FIELD",
               "%s: this version of the daemon does not have this feature; leave the field out", field);
    status_add_violation(ret, field, "not implemented");
    return REQUEST_E_BAD;
}

int request_read(const struct codec_table *table, struct span message, void *ret,
                 struct grpc_status *ret_status)
{
    const char *field;
    int e = codec_read(table, message, ret, &field);

    if (e == 0)
        return 0;
    if (*field)
        return request_bad_field(ret_status, field, "%s", codec_error_text(e));
    status_set(ret_status, GRPC_INVALID_ARGUMENT, "MALFORMED_MESSAGE", "the request %s", codec_error_text(e));
    return REQUEST_E_BAD;
}

int request_read_in(const struct codec_table *table, struct span message, void *ret, const char *parent,
                    struct grpc_status *ret_status)
{
    char path[STATUS_TEXT_MAX_BYTES];
    const char *field;
    int e = codec_read(table, message, ret, &field);

    if (e == 0)
        return 0;
    snprintf(path, sizeof path, "%s%s%s", parent, *field ? "." : "", field);
    return request_bad_field(ret_status, path, "%s", codec_error_text(e));
}

int request_view(uint64_t value, enum view otherwise, const char *field, enum view *ret,
                 struct grpc_status *ret_status)
{
    if (value > VIEW_FULL)
        return request_bad_field(ret_status, field, "%llu is no View: RESULT 1, BASIC 2, TASK 3, FULL 4",
                                 (unsigned long long)value);
    *ret = value == VIEW_DEFAULT ? otherwise : (enum view)value;
    return 0;
}

int request_id(struct span text, const char *field, struct id *ret, struct grpc_status *ret_status)
{
    if (text.len == 0)
        return request_bad_field(ret_status, field, "is required: the ID of a future");
    if (id_parse((const char *)text.p, text.len, ret) != 0)
        return request_bad_field(ret_status, field,
                                 "\"%.*s\" is no future ID: 36 characters, a UUID of version 7",
                                 (int)MIN(text.len, (size_t)64), (const char *)text.p);
    return 0;
}

static int is_text_char(uint8_t c, const char *charset)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr(charset, c));
}

int request_text(struct span text, size_t max, int may_be_empty, const char *charset, const char *field,
                 struct grpc_status *st)
{
    if (text.len == 0 && !may_be_empty)
        return request_bad_field(st, field, "is required");
    if (text.len > max)
        return request_bad_field(st, field, "has %zu bytes; at most %zu are allowed", text.len, max);
    for (size_t i = 0; charset && i < text.len; i++)
        if (UNLIKELY(!is_text_char(text.p[i], charset)))
            return request_bad_field(st, field, "byte %zu is not a letter, a digit or one of %s", i, charset);
    return 0;
}

int request_selector(const struct codec_bytes *message, struct selector *ret, struct grpc_status *st)
{
    int n;

    *ret = (struct selector){0};
    if (message->is_set && request_read_in(&selector_table, message->data, ret, "selector", st))
        return REQUEST_E_BAD;
    n = (ret->ids > 0) + (ret->group.len > 0) + (ret->filter.len > 0);
    if (n != 1)
        return request_bad_field(
                st, "selector",
                "%s; exactly one of ids, group and filter is required, and filter \"*\" is all",
                n ? "more than one is given" : "is empty");
    if (ret->ids > LIMIT_SELECTOR_IDS)
        return request_bad_field(st, "selector.ids", "%u IDs; at most %d are allowed", ret->ids,
                                 LIMIT_SELECTOR_IDS);
    return request_text(ret->group, LIMIT_GROUP_BYTES, 1, NULL, "selector.group", st);
}

int request_forbidden_function(const struct identity *who, struct span function, struct grpc_status *st)
{
    status_set(st, GRPC_PERMISSION_DENIED, "PERMISSION_DENIED",
               "principal \"%.*s\" may not submit tasks of function \"%.*s\"", (int)who->name.len,
               (const char *)who->name.p, (int)function.len, (const char *)function.p);
    status_add_metadata(st, "right", "submit:%.*s", (int)function.len, (const char *)function.p);
    return REQUEST_E_BAD;
}
