// SPDX-License-Identifier: Apache-2.0
/*
 * The codec tables. The first byte of the input chooses one, the rest is a message. Whatever it is, reading it ends; and
 * what protobuf-c reads from it we read too, with the same values, but for what we refuse by intent: strings that are
 * not UTF-8, singular messages and bytes given twice, times out of range, tags that name no field.
 */
#include "base/utf8.h"
#include "futured/v1/futures.pb-c.h"
#include "futured/v1/workers.pb-c.h"
#include "service/request.h"
#include "tests/support/judge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct {
    const struct codec_table *table;
    const ProtobufCMessageDescriptor *descriptor;
    size_t size;
} targets[] = {
        {&task_options_table, &futured__v1__task_options__descriptor, sizeof(struct task_options)},
        {&task_table, &futured__v1__task__descriptor, sizeof(struct task)},
        {&submit_request_table, &futured__v1__submit_request__descriptor, sizeof(struct submit_request)},
        {&run_request_table, &futured__v1__run_request__descriptor, sizeof(struct run_request)},
        {&result_table, &futured__v1__result__descriptor, sizeof(struct result_message)},
        {&error_table, &futured__v1__error__descriptor, sizeof(struct error_message)},
        {&usage_table, &futured__v1__usage__descriptor, sizeof(struct usage_message)},
        {&finish_table, &futured__v1__finish__descriptor, sizeof(struct finish_message)},
        {&assignment_table, &futured__v1__assignment__descriptor, sizeof(struct assignment_message)},
        {&selector_table, &futured__v1__selector__descriptor, sizeof(struct selector)},
        {&get_request_table, &futured__v1__get_request__descriptor, sizeof(struct get_request)},
        {&wait_request_table, &futured__v1__wait_request__descriptor, sizeof(struct wait_request)},
        {&as_completed_request_table, &futured__v1__as_completed_request__descriptor,
         sizeof(struct as_completed_request)},
        {&watch_request_table, &futured__v1__watch_request__descriptor, sizeof(struct watch_request)},
        {&list_request_table, &futured__v1__list_request__descriptor, sizeof(struct list_request)},
        {&annotate_request_table, &futured__v1__annotate_request__descriptor,
         sizeof(struct annotate_request)},
        {&cancel_request_table, &futured__v1__cancel_request__descriptor,
         sizeof(struct cancel_request_message)},
        {&delete_request_table, &futured__v1__delete_request__descriptor, sizeof(struct delete_request)},
};

/* Somewhere a varint of more than 64 bits, or a tag of more than 32 or of number 0: decoders differ there. */
static int is_odd(struct span bytes)
{
    struct wire_reader r = wire_reader(bytes);
    struct wire_field f;
    uint64_t tag;
    int e;

    while ((e = wire_next(&r, &f)) == 0)
        if (f.type == WIRE_VARINT && f.raw.len > WIRE_VARINT_MAX && f.raw.p[f.raw.len - 1] > 1)
            return 1;
    return e == WIRE_E_MALFORMED && wire_get_varint(&r, &tag) == 0 && (tag > UINT32_MAX || tag >> 3 == 0);
}

static int is_singular(enum codec_type type)
{
    return type == CODEC_BYTES || type == CODEC_MESSAGE || type == CODEC_DURATION || type == CODEC_TIMESTAMP;
}

/* Whether we may refuse @bytes although protobuf-c takes them as @m. */
static int may_refuse(const struct codec_table *table, const ProtobufCMessage *m, struct span bytes)
{
    struct wire_reader r = wire_reader(bytes);
    uint32_t n_given[64] = {0};
    struct wire_field f;

    ASSERT(table->n_rows <= ARRAY_LEN(n_given));
    if (is_odd(bytes))
        return 1;
    while (wire_next(&r, &f) == 0) {
        const struct codec_row *row = f.number < table->n_rows ? &table->rows[f.number] : NULL;
        const ProtobufCFieldDescriptor *d = protobuf_c_message_descriptor_get_field(m->descriptor, f.number);
        int64_t ns;

        if (!row || row->type == CODEC_NONE || !d)
            continue;
        if ((row->type == CODEC_STRING || row->type == CODEC_REPEATED_STRING) &&
            !utf8_is_valid(f.bytes.p, f.bytes.len))
            return 1;
        if (d->type == PROTOBUF_C_TYPE_BOOL && f.type != WIRE_VARINT)
            return 1; /* protobuf-c looks at the wire type of all but these */
        if (is_singular(row->type) && ++n_given[f.number] > 1)
            return 1;
        if (row->type != CODEC_DURATION && row->type != CODEC_TIMESTAMP)
            continue;
        if (is_odd(f.bytes) || (judge_in_oneof(d) && !judge_is_case(m, d)) ||
            !judge_time(*(ProtobufCMessage *const *)judge_member(m, d), &ns))
            return 1;
    }
    return 0;
}

static void compare(const struct codec_table *table, const ProtobufCMessageDescriptor *d, size_t size,
                    struct span bytes)
{
    ProtobufCMessage *m = protobuf_c_message_unpack(d, NULL, bytes.len, bytes.p);
    void *ours = judge_alloc(size);
    const char *field = NULL;
    int e = codec_read(table, bytes, ours, &field);

    if (e) {
        ASSERT(field && codec_error_text(e)[0]);
        ASSERT(!m || may_refuse(table, m, bytes));
    } else if (m && !is_odd(bytes)) {
        judge_compare(table, ours, m, bytes, 0);
    }
    if (m)
        protobuf_c_message_free_unpacked(m, NULL);
    free(ours);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span bytes = {data + 1, size - 1}, key, value;
    struct wire_reader r;
    struct lease_ref ref;

    if (size == 0)
        return 0;
    compare(targets[data[0] % ARRAY_LEN(targets)].table, targets[data[0] % ARRAY_LEN(targets)].descriptor,
            targets[data[0] % ARRAY_LEN(targets)].size, bytes);
    r = wire_reader(bytes);
    while (task_next_label(&r, TASK_LABELS, &key, &value) > 0)
        ASSERT(utf8_is_valid(key.p, key.len) && utf8_is_valid(value.p, value.len));
    if (lease_ref_read(bytes, &ref) == 0)
        ASSERT(size > ID_BYTES);
    return 0;
}
