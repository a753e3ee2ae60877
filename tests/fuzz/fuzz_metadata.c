// SPDX-License-Identifier: Apache-2.0
/*
 * What this room reads out of header values and protobuf bytes. The first byte chooses the reader; the rest is
 * read, and what could be read is written again and must come back the same.
 */
#include "base/utf8.h"
#include "grpc/metadata.h"
#include "grpc/status.h"
#include "grpc/wire.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Exactly @n bytes, so that the address sanitizer sees one too many. */
static void *room(size_t n)
{
    void *p = malloc(n ? n : 1);

    ASSERT(p);
    return p;
}

static void fuzz_timeout(struct span in)
{
    char text[METADATA_TIMEOUT_BYTES];
    int64_t ns, again;
    size_t n;

    if (metadata_timeout_parse(in, &ns))
        return;
    ASSERT(ns >= 0 && in.len >= 2 && in.len <= 9);
    n = metadata_timeout_format(ns, text);
    ASSERT(metadata_timeout_parse((struct span){(uint8_t *)text, n}, &again) == 0);
    ASSERT(again >= ns && again - ns <= ns / 50000);
    ASSERT(ns > 99999999 * NS_PER_S || again == ns); /* what eight digits wrote fits in eight digits */
}

static void fuzz_base64(struct span in)
{
    size_t n_text = metadata_base64_len(in.len), n;
    uint8_t *bytes = room(in.len / 4 * 3 + 2), *back = room(n_text / 4 * 3 + 2);
    char *text = room(n_text);

    metadata_base64_encode(in.p, in.len, text);
    ASSERT(metadata_base64_decode((struct span){(uint8_t *)text, n_text}, back, &n) == 0);
    ASSERT(n == in.len && memcmp(back, in.p, n) == 0);
    free(text);
    if (metadata_base64_decode(in, bytes, &n) == 0) { /* one text a value, but for the padding */
        size_t n_again = metadata_base64_len(n);
        char *again = room(n_again);

        ASSERT(n <= in.len / 4 * 3 + 2);
        metadata_base64_encode(bytes, n, again);
        ASSERT(n_again <= in.len && in.len - n_again <= 2 && memcmp(again, in.p, n_again) == 0);
        free(again);
    }
    free(bytes);
    free(back);
}

static void fuzz_percent(struct span in)
{
    char *text = room(3 * in.len), *back = room(3 * in.len), *decoded = room(in.len);
    size_t n = metadata_percent_encode((const char *)in.p, in.len, text);

    for (size_t i = 0; i < n; i++)
        ASSERT(text[i] >= ' ' && text[i] <= '~');
    ASSERT(n == 0 || (text[0] != ' ' && text[n - 1] != ' '));
    ASSERT(metadata_percent_decode((struct span){(uint8_t *)text, n}, back) == in.len);
    ASSERT(memcmp(back, in.p, in.len) == 0);
    ASSERT(metadata_percent_decode(in, decoded) <= in.len);
    free(text);
    free(back);
    free(decoded);
}

static void check_text(const char *s, size_t size)
{
    ASSERT(strnlen(s, size) < size && utf8_is_valid((const uint8_t *)s, strlen(s)));
}

static void fuzz_status(struct span in)
{
    struct buf first = BUF_INIT, second = BUF_INIT;
    struct grpc_status st, again;

    if (status_decode(in, &st) == 0 && st.reason[0]) {
        check_text(st.message, sizeof st.message);
        check_text(st.reason, sizeof st.reason);
        for (uint32_t i = 0; i < st.n_violations; i++)
            check_text(st.violations[i].description, sizeof st.violations[i].description);
        ASSERT(status_encode(&st, &first) == 0);
        ASSERT(status_decode((struct span){buf_head(&first), buf_len(&first)}, &again) == 0);
        ASSERT(status_encode(&again, &second) == 0);
        ASSERT(buf_len(&first) == buf_len(&second));
        ASSERT(memcmp(buf_head(&first), buf_head(&second), buf_len(&first)) == 0);
    }
    status_set_message(&st, in);
    check_text(st.message, sizeof st.message);
    buf_deinit(&first);
    buf_deinit(&second);
}

static void fuzz_wire(struct span in)
{
    struct wire_reader r = wire_reader(in);
    const uint8_t *at = in.p;
    struct wire_field f, g;
    int got;

    while ((got = wire_next(&r, &f)) == 0) {
        size_t n = f.bytes.len + WIRE_TAG_MAX + WIRE_VARINT_MAX;
        uint8_t *out = room(n), *end;

        ASSERT(f.raw.p == at && f.raw.len > 0 && f.number > 0 && f.number < 1U << 29);
        at += f.raw.len;
        ASSERT(at == r.at && at <= in.p + in.len);
        if (f.type == WIRE_VARINT || f.type == WIRE_BYTES) {
            struct wire_reader again;

            end = f.type == WIRE_VARINT ? wire_put_uint(out, f.number, f.value)
                                        : wire_put_bytes(out, f.number, f.bytes.p, f.bytes.len);
            ASSERT((size_t)(end - out) == (f.type == WIRE_VARINT ? wire_uint_field(f.number, f.value)
                                                                 : wire_len_field(f.number, f.bytes.len)));
            again = wire_reader((struct span){out, (size_t)(end - out)});
            ASSERT(wire_next(&again, &g) == 0 && again.at == end);
            ASSERT(g.number == f.number && g.type == f.type && g.value == f.value);
            ASSERT(span_eq(g.bytes, f.bytes));
        }
        free(out);
    }
    ASSERT(r.at == at && (got == WIRE_E_MALFORMED || at == in.p + in.len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const readers[])(struct span) = {fuzz_timeout, fuzz_base64, fuzz_percent, fuzz_status,
                                                   fuzz_wire};
    struct span in;

    if (size == 0)
        return 0;
    in = (struct span){data + 1, size - 1};
    readers[data[0] % ARRAY_LEN(readers)](in);
    (void)!metadata_is_grpc(in);
    (void)!metadata_is_binary(in);
    return 0;
}
