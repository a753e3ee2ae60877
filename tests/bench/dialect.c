// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/dialect.h"

#include "grpc/wire.h"

#include <string.h>

enum { VIEW_RESULT = 1, STATE_PENDING = 1, STATE_SUCCEEDED = 3, ID_TEXT_BYTES = 36 };

static size_t put_payload(uint8_t *to, uint32_t number, size_t n, size_t *ret_at)
{
    uint8_t *at = wire_put_len(to, number, n);

    *ret_at = (size_t)(at - to);
    memset(at, 'x', n);
    return *ret_at + n;
}

static size_t write_echo(uint8_t *to, const char *function, size_t n, size_t *ret_at)
{
    return put_payload(to, 1, n, ret_at);
}

/* SubmitRequest {task {function, argument: payload, options {fairness_key}}, view: RESULT}, with a tag where answers
 * may overtake. */
static size_t write_submit_with(uint8_t *to, const char *function, size_t n, size_t *ret_at, const char *tag,
                                const char *key)
{
    size_t options = *key ? wire_len_field(16, strlen(key)) : 0, at;
    size_t task = wire_len_field(1, strlen(function)) + wire_len_field(2, n) +
                  (options ? wire_len_field(6, options) : 0);
    uint8_t *end = wire_put_bytes(wire_put_len(to, 1, task), 1, function, strlen(function));

    at = put_payload(end, 2, n, ret_at);
    *ret_at += (size_t)(end - to);
    end += at;
    if (options)
        end = wire_put_bytes(wire_put_len(end, 6, options), 16, key, strlen(key));
    if (*tag)
        end = wire_put_bytes(end, 3, tag, strlen(tag));
    end = wire_put_uint(end, 5, VIEW_RESULT);
    return (size_t)(end - to);
}

static size_t write_submit(uint8_t *to, const char *function, size_t n, size_t *ret_at)
{
    return write_submit_with(to, function, n, ret_at, "", "");
}

static size_t write_submit_many(uint8_t *to, const char *function, size_t n, size_t *ret_at)
{
    return write_submit_with(to, function, n, ret_at, "", "many");
}

/* RunRequest {submit}. The length of the inner message is known after it is written: written once to learn it. */
static size_t write_run_tagged(uint8_t *to, const char *function, size_t n, size_t *ret_at, const char *tag)
{
    size_t inner = write_submit_with(to, function, n, ret_at, tag, "");
    uint8_t *at = wire_put_len(to, 1, inner);

    inner = write_submit_with(at, function, n, ret_at, tag, "");
    *ret_at += (size_t)(at - to);
    return (size_t)(at - to) + inner;
}

static size_t write_run(uint8_t *to, const char *function, size_t n, size_t *ret_at)
{
    return write_run_tagged(to, function, n, ret_at, "");
}

static size_t write_run_item(uint8_t *to, const char *function, size_t n, size_t *ret_at)
{
    return write_run_tagged(to, function, n, ret_at, "00000001");
}

/* GetRequest {id}. */
static size_t write_get(uint8_t *to, const char *function, size_t n, size_t *ret_at)
{
    return put_payload(to, 1, ID_TEXT_BYTES, ret_at);
}

/* The length-delimited field @number of @message; its varint field 2 (state) into *ret_state where that is asked for. */
static struct span field(struct span message, uint32_t number, uint64_t *ret_state)
{
    struct wire_reader r = wire_reader(message);
    struct span found = {0};
    struct wire_field f;

    while (wire_next(&r, &f) == 0) {
        if (f.number == number && f.type == WIRE_BYTES)
            found = f.bytes;
        else if (ret_state && f.number == 2 && f.type == WIRE_VARINT)
            *ret_state = f.value;
    }
    return found;
}

static struct span read_echo(struct span answer)
{
    return field(answer, 1, NULL);
}

static struct span read_future(struct span future)
{
    uint64_t state = 0;
    struct span result = field(future, 4, &state);

    return state == STATE_SUCCEEDED ? field(result, 1, NULL) : (struct span){0};
}

static struct span read_run_item(struct span answer)
{
    return read_future(field(answer, 1, NULL));
}

static struct span read_id(struct span future)
{
    return field(future, 1, NULL);
}

static struct span read_submit(struct span answer)
{
    uint64_t state = 0;
    struct span id = field(field(answer, 1, NULL), 1, &state);

    return state == STATE_PENDING && id.len == ID_TEXT_BYTES ? id : (struct span){0};
}

static const struct dialect dialects[] = {
        {"echo", "/futured.test.v1.Echo/Unary", 0, 0, write_echo, read_echo, 0, 0},
        {"echo-stream", "/futured.test.v1.Echo/Bidi", 1, 1, write_echo, read_echo, 0, 0},
        {"run", "/futured.v1.Futures/Run", 0, 0, write_run, read_future, 0, 0},
        {"run-stream", "/futured.v1.Futures/RunStream", 1, 0, write_run_item, read_run_item, 0, 0},
        {"submit-stream", "/futured.v1.Futures/SubmitStream", 1, 1, write_submit, read_submit, 1, 0},
        {"submit-stream-many", "/futured.v1.Futures/SubmitStream", 1, 1, write_submit_many, read_submit, 1,
         0},
        {"get", "/futured.v1.Futures/Get", 0, 0, write_get, read_id, 0, 1},
};

const struct dialect *dialect_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(dialects); i++)
        if (strcmp(name, dialects[i].name) == 0)
            return &dialects[i];
    return NULL;
}

const char *dialect_names(void)
{
    return "echo, echo-stream, run, run-stream, submit-stream, submit-stream-many, get";
}
