// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Futures made by hand, for the tests of the store: sample_plain is what most are, sample_full has everything that a
 * future can have. All memory of a sample is its own; sample_free.
 */
#include "base/mem.h"
#include "engine/engine.h"
#include "engine/group.h"
#include "engine/idem.h"
#include "engine/slot.h"
#include "store/record.h"
#include "store/store.h"
#include "tests/support/testing.h"

#define SAMPLE_TIME (INT64_C(1767225600) * NS_PER_S) /* 2026-01-01T00:00:00Z */

struct sample {
    struct future future;
    struct function function;
    struct scope scope;
    struct group group;
    struct membership membership;
    struct future_rare rare;
    struct slot slot;
    struct timing timing;
    struct retry_policy retry;
    struct cancel_request cancel;
    struct outcome outcome;
    struct attempt attempts[3];
    struct labels *labels;
    struct told told;
    struct told_chunk chunks[3];
};

static inline struct bytes *sample_bytes(const char *text)
{
    struct bytes *b = bytes_dup(text, strlen(text));

    assert_non_null(b);
    return b;
}

/* @n bytes that differ from place to place and from @seed to @seed. */
static inline struct bytes *sample_long(size_t n, uint8_t seed)
{
    struct bytes *b = bytes_new(n);

    assert_non_null(b);
    for (size_t i = 0; i < n; i++)
        b->data[i] = (uint8_t)(i * 7 + i / 251 + seed);
    return b;
}

static inline uint64_t sample_key(uint32_t number)
{
    return (uint64_t)(SAMPLE_TIME / NS_PER_MS) << 12 | number;
}

/* A PENDING future, the @number th of the samples. */
static inline struct sample *sample_plain(uint32_t number)
{
    struct sample *s = mem_zalloc(sizeof *s);

    assert_non_null(s);
    s->function.name = sample_bytes("echo");
    s->scope.namespace = sample_bytes("");
    s->scope.principal = sample_bytes("uid:1000");
    s->future = (struct future){
            .id = id_make(sample_key(number), number * UINT64_C(0x9e3779b97f4a7c15)),
            .task = sample_bytes("\x0a\x04"
                                 "echo"
                                 "\x12\x05"
                                 "hello"),
            .function = &s->function,
            .scope = &s->scope,
            .argument_at = 6,
            .argument_field_bytes = 7,
            .argument_bytes = 5,
            .submit_time = SAMPLE_TIME + (int64_t)number * NS_PER_MS,
            .revision = (UINT64_C(1) << 40) + number,
            .state = FUTURE_PENDING,
            .durability = DURABILITY_DURABLE,
            .on_lost = ON_LOST_RETRY,
    };
    return s;
}

/* It has finished: SUCCEEDED with @data (taken), or FAILED without. It expires @retention_ns after its submission. */
static inline void sample_finish(struct sample *s, struct bytes *data, int64_t retention_ns)
{
    static const struct future_error error = {
            .code = 2,
            .reason = REASON_FUNCTION_ERROR,
            .type = SPAN_LIT("ValueError"),
            .message = SPAN_LIT("no such thing"),
    };

    s->attempts[0] = (struct attempt){
            .number = 1,
            .worker = sample_bytes("worker-1"),
            .start_time = s->future.submit_time + NS_PER_MS,
            .end_time = s->future.submit_time + 2 * NS_PER_MS,
            .usage = {-1, -1, NS_PER_MS, -1},
            .error = data ? NULL : future_error_new(&error),
    };
    s->outcome = (struct outcome){
            .end_time = s->future.submit_time + 2 * NS_PER_MS,
            .expire_time = s->future.submit_time + retention_ns,
            .data = data,
            .error = future_error_ref(s->attempts[0].error),
    };
    s->future.attempts = &s->attempts[0];
    s->future.outcome = &s->outcome;
    s->future.n_claims = 1;
    s->future.revision += 1000;
    s->future.state = data ? FUTURE_SUCCEEDED : FUTURE_FAILED;
}

static inline struct future_error *sample_error(enum future_reason reason)
{
    struct future_error error = {
            .code = 13,
            .reason = reason,
            .retryable = 1,
            .type = SPAN_LIT("OSError"),
            .message = SPAN_LIT("a message"),
            .traceback = SPAN_LIT("line 1\nline 2\n"),
            .function_reason = SPAN_LIT("DISK"),
            .details = SPAN_LIT("\x42\x02\x0a\x00"),
    };
    struct future_error *e = future_error_new(&error);

    assert_non_null(e);
    return e;
}

/* Everything at once: three attempts, cancelled, own labels and retention, group, tag, traceparent, peer. */
static inline struct sample *sample_full(uint32_t number)
{
    static const struct label labels[] = {{SPAN_LIT("team"), SPAN_LIT("blue")}, {SPAN_LIT("empty"), {0}}};
    struct sample *s = sample_plain(number);
    struct future *f = &s->future;

    bytes_unref(s->scope.namespace);
    s->scope.namespace = sample_bytes("staging");
    s->group.name = sample_bytes("nightly");
    s->membership = (struct membership){.future = f, .group = &s->group};
    s->labels = labels_new(labels, ARRAY_LEN(labels));
    assert_non_null(s->labels);
    s->cancel = (struct cancel_request){
            .time = f->submit_time + 5 * NS_PER_S,
            .grace_ns = ENGINE_GRACE_NS,
            .principal = sample_bytes("uid:0"),
            .reason = sample_bytes("too late"),
    };
    s->rare = (struct future_rare){
            .future = f,
            .retention_ns = 0,
            .traceparent = sample_bytes("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
            .tag = sample_bytes("row 7"),
            .cancel_requested = &s->cancel,
            .n_losses = 2,
    };
    s->attempts[0] = (struct attempt){
            .next = &s->attempts[1],
            .number = 9,
            .has_exit_code = 1,
            .exit_code = -3,
            .worker = sample_bytes("worker-1"),
            .start_time = f->submit_time - 1, /* a clock that went back */
            .end_time = f->submit_time + 7 * NS_PER_S,
            .error = sample_error(REASON_CANCELLED),
            .usage = {0, 1, 2, INT64_MAX},
    };
    s->attempts[1] = (struct attempt){
            .next = &s->attempts[2],
            .number = 4,
            .has_signal = 1,
            .signal = 9,
            .worker = sample_bytes(""),
            .start_time = f->submit_time + 1,
            .end_time = f->submit_time + 2,
            .error = sample_error(REASON_CRASHED),
            .usage = {-1, -1, -1, -1},
    };
    s->attempts[2] = (struct attempt){
            .number = 1,
            .start_time = f->submit_time,
            .usage = {5, -1, INT64_MAX - 1, 4096},
    };
    s->outcome = (struct outcome){
            .end_time = f->submit_time + 7 * NS_PER_S,
            .expire_time = INT64_MAX,
            .content_type = sample_bytes("text/plain"),
            .error = future_error_ref(s->attempts[0].error),
    };
    f->group = &s->membership;
    f->labels = s->labels;
    f->rare = &s->rare;
    f->peer = sample_bytes("unix:pid=77");
    f->attempts = &s->attempts[0];
    f->outcome = &s->outcome;
    f->n_claims = UINT32_MAX;
    f->priority = -7;
    f->on_lost = ON_LOST_FAIL;
    f->armed = ARMED_READY;
    f->durability = DURABILITY_EPHEMERAL;
    f->state = FUTURE_CANCELLED;
    f->revision = UINT64_MAX;
    return s;
}

/* It holds the idempotency @key, and was made by a request with an ID. */
static inline void sample_hold_key(struct sample *s, const char *key)
{
    struct idem *idem = mem_zalloc(sizeof *idem + strlen(key));

    assert_non_null(idem);
    idem->future = &s->future;
    idem->content_type_at = 2;
    idem->content_type_bytes = 3;
    idem->len = (uint8_t)strlen(key);
    memcpy(idem->text, key, strlen(key));
    if (!s->future.rare)
        s->rare = (struct future_rare){.future = &s->future, .retention_ns = -1};
    s->rare.idem = idem;
    s->rare.request_id = sample_bytes("request 1");
    s->future.rare = &s->rare;
}

/* It has told something: two pieces of its log and one of output, and how far it is. */
static inline void sample_tell(struct sample *s)
{
    static const struct told_chunk chunks[] = {
            {.kind = TOLD_LOG, .stream = TOLD_FROM_STDERR, .time = SAMPLE_TIME},
            {.kind = TOLD_OUTPUT, .stream = TOLD_FROM_OUTPUT, .time = -1},
            {.kind = TOLD_LOG, .stream = TOLD_FROM_LOG, .time = 77},
    };

    for (uint32_t i = 0; i < ARRAY_LEN(chunks); i++) {
        struct told_chunk *c = &s->chunks[i];

        *c = chunks[i];
        c->attempt = 1;
        c->data = sample_long(i * 3000 + 1, (uint8_t)i);
        c->next = i + 1 < ARRAY_LEN(chunks) ? c + 1 : NULL;
        c->offset = s->told.n_bytes[c->kind];
        s->told.n_bytes[c->kind] += c->data->len;
    }
    s->told.first = s->told.unstored = s->chunks;
    s->told.n_chunks = ARRAY_LEN(chunks);
    s->told.progress = (struct told_progress){
            .completed = UINT64_MAX, .total = 7, .attempt = 1, .message = sample_bytes("on and on")};
    if (!s->future.rare)
        s->rare = (struct future_rare){.future = &s->future, .retention_ns = -1};
    s->future.rare = &s->rare;
    s->rare.told = &s->told;
    s->future.n_claims = MAX(s->future.n_claims, 1U);
}

/* It retries, or has been retried, or both. */
static inline void sample_retry(struct sample *s, int is_retry, int is_retried)
{
    if (!s->future.rare)
        s->rare = (struct future_rare){.future = &s->future, .retention_ns = -1};
    s->rare.retry_of = is_retry ? id_make(sample_key(0) - 1, 3) : (struct id){0};
    s->rare.retried_by = is_retried ? id_make(sample_key(9999), 4) : (struct id){0};
    s->future.rare = &s->rare;
}

/* The full one with times and retries as well. */
static inline struct sample *sample_timed(uint32_t number)
{
    static const struct span types[] = {SPAN_LIT("ValueError"), {0}};
    struct sample *s = sample_full(number);

    s->retry = (struct retry_policy){
            .max_attempts = 1000,
            .initial_backoff_ns = 0,
            .max_backoff_ns = INT64_MAX,
            .multiplier = 1.5,
            .jitter = 0.25,
            .n_types = ARRAY_LEN(types),
            .types = types,
    };
    s->timing = (struct timing){
            .future = &s->future,
            .not_before = s->future.submit_time + NS_PER_S,
            .deadline = s->future.submit_time + 3600 * NS_PER_S,
            .attempt_timeout_ns = INT64_MAX,
            .retry = &s->retry,
            .next_try = s->future.submit_time + 60 * NS_PER_S,
            .n_counted = 3,
    };
    s->cancel.grace_ns = 0;
    s->rare.timing = &s->timing;
    return s;
}

/* A PENDING one with keys. */
static inline struct sample *sample_keyed(uint32_t number)
{
    struct sample *s = sample_plain(number);

    s->slot.key = sample_bytes("account-7");
    s->rare = (struct future_rare){
            .future = &s->future, .retention_ns = -1, .fairness_key = sample_bytes("blue"), .slot = &s->slot};
    s->future.rare = &s->rare;
    return s;
}

/* Its bytes, at the end of @out. */
static inline struct span sample_encode(const struct sample *s, struct buf *out)
{
    struct record_place place;
    size_t before = buf_len(out);

    assert_int_equal(record_encode(&s->future, out, &place), 0);
    assert_int_equal(place.at, before);
    assert_int_equal(place.at + place.len, buf_len(out));
    assert_memory_equal(buf_head(out) + place.function_at, s->function.name->data, s->function.name->len);
    return (struct span){buf_head(out) + place.at, place.len};
}

/* It depends on @n others, the first of which have ended in various ways. */
static inline void sample_depend(struct sample *s, uint32_t n)
{
    struct depend *d = mem_zalloc(sizeof *d + n * sizeof d->at[0]);

    assert_non_null(d);
    d->future = &s->future;
    d->policy = DEPEND_ON_FINISH;
    d->passes_results = 1;
    d->n = n;
    for (uint32_t i = 0; i < n; i++) {
        d->at[i].id = id_make(sample_key(0) - n + i, i);
        d->at[i].state = (uint8_t)(i < 4 ? FUTURE_SUCCEEDED + i : 0);
    }
    if (!s->future.rare)
        s->rare = (struct future_rare){.future = &s->future, .retention_ns = -1};
    s->rare.depend = d;
    s->future.rare = &s->rare;
}

static inline struct sample *sample_free(struct sample *s)
{
    for (size_t i = 0; i < ARRAY_LEN(s->attempts); i++) {
        bytes_unref(s->attempts[i].worker);
        future_error_unref(s->attempts[i].error);
    }
    bytes_unref(s->outcome.data);
    bytes_unref(s->outcome.content_type);
    future_error_unref(s->outcome.error);
    bytes_unref(s->cancel.principal);
    bytes_unref(s->cancel.reason);
    bytes_unref(s->rare.traceparent);
    bytes_unref(s->rare.tag);
    bytes_unref(s->rare.fairness_key);
    bytes_unref(s->slot.key);
    bytes_unref(s->rare.request_id);
    for (size_t i = 0; i < ARRAY_LEN(s->chunks); i++)
        bytes_unref(s->chunks[i].data);
    bytes_unref(s->told.progress.message);
    mem_free(s->rare.idem);
    mem_free(s->rare.depend);
    bytes_unref(s->group.name);
    bytes_unref(s->function.name);
    bytes_unref(s->scope.namespace);
    bytes_unref(s->scope.principal);
    bytes_unref(s->future.task);
    bytes_unref(s->future.peer);
    mem_free(s->labels);
    return mem_free(s);
}

static inline void sample_assert_bytes(struct span got, const struct bytes *want)
{
    assert_true(span_eq(got, SPAN_OF_BYTES(want)));
    assert_true((got.p == NULL) == (got.len == 0));
}

static inline void sample_assert_error(const struct future_error *got, const struct future_error *want)
{
    assert_int_equal(got->code, want->code);
    assert_int_equal(got->reason, want->reason);
    assert_int_equal(got->retryable, want->retryable);
    assert_true(span_eq(got->type, want->type));
    assert_true(span_eq(got->message, want->message));
    assert_true(span_eq(got->traceback, want->traceback));
    assert_true(span_eq(got->function_reason, want->function_reason));
    assert_true(span_eq(got->details, want->details));
}

static inline void sample_assert_attempts(const struct record *got, const struct attempt *want)
{
    uint32_t i = 0;

    for (; want; want = want->next, i++) {
        const struct restored_attempt *a = &got->attempts[i];

        assert_true(i < got->n_attempts);
        assert_int_equal(a->number, want->number);
        assert_int_equal(a->has_exit_code, want->has_exit_code);
        assert_int_equal(a->exit_code, want->exit_code);
        assert_int_equal(a->has_signal, want->has_signal);
        assert_int_equal(a->signal, want->signal);
        assert_true(a->start_time == want->start_time && a->end_time == want->end_time);
        assert_true(a->usage.user_cpu_ns == want->usage.user_cpu_ns);
        assert_true(a->usage.system_cpu_ns == want->usage.system_cpu_ns);
        assert_true(a->usage.wall_ns == want->usage.wall_ns);
        assert_true(a->usage.max_rss_bytes == want->usage.max_rss_bytes);
        sample_assert_bytes(a->worker, want->worker);
        assert_int_equal(a->has_error, want->error != NULL);
        if (want->error)
            sample_assert_error(&a->error, want->error);
    }
    assert_int_equal(got->n_attempts, i);
}

static inline void sample_assert_timing(const struct record *got, const struct timing *want)
{
    static const struct timing none;

    want = want ? want : &none;
    assert_true(got->not_before == want->not_before && got->deadline == want->deadline);
    assert_true(got->attempt_timeout_ns == want->attempt_timeout_ns && got->next_try == want->next_try);
    assert_int_equal(got->n_counted, want->n_counted);
    assert_int_equal(got->has_retry, want->retry != NULL);
    if (!want->retry)
        return;
    assert_int_equal(got->retry.max_attempts, want->retry->max_attempts);
    assert_true(got->retry.initial_backoff_ns == want->retry->initial_backoff_ns);
    assert_true(got->retry.max_backoff_ns == want->retry->max_backoff_ns);
    assert_memory_equal(&got->retry.multiplier, &want->retry->multiplier, sizeof(double));
    assert_memory_equal(&got->retry.jitter, &want->retry->jitter, sizeof(double));
    assert_int_equal(got->retry.n_types, want->retry->n_types);
    for (uint32_t i = 0; i < got->retry.n_types; i++)
        assert_true(span_eq(got->retry.types[i], want->retry->types[i]));
}

static inline void sample_assert_rare(const struct record *got, const struct future *want)
{
    const struct future_rare none = {.retention_ns = -1}, *rare = want->rare ? want->rare : &none;
    const struct cancel_request *cancel = rare->cancel_requested;

    assert_int_equal(got->n_losses, rare->n_losses);
    assert_true(got->retention_ns == rare->retention_ns);
    sample_assert_bytes(got->traceparent, rare->traceparent);
    sample_assert_bytes(got->tag, rare->tag);
    assert_int_equal(got->n_depends, rare->depend ? rare->depend->n : 0);
    for (uint32_t i = 0; i < got->n_depends; i++) {
        assert_memory_equal(&got->depends[i].id, &rare->depend->at[i].id, sizeof(struct id));
        assert_int_equal(got->depends[i].state, rare->depend->at[i].state);
    }
    if (rare->depend) {
        assert_int_equal(got->depend_policy, rare->depend->policy);
        assert_int_equal(got->passes_results, rare->depend->passes_results);
    }
    sample_assert_bytes(got->fairness_key, want->outcome ? NULL : rare->fairness_key);
    sample_assert_bytes(got->concurrency_key, rare->slot ? rare->slot->key : NULL);
    assert_memory_equal(&got->retry_of, &rare->retry_of, sizeof got->retry_of);
    assert_memory_equal(&got->retried_by, &rare->retried_by, sizeof got->retried_by);
    assert_true(span_eq(got->key, idem_span(rare->idem)));
    assert_int_equal(got->content_type_at, rare->idem ? rare->idem->content_type_at : 0);
    assert_int_equal(got->content_type_bytes, rare->idem ? rare->idem->content_type_bytes : 0);
    sample_assert_bytes(got->request_id, rare->request_id);
    assert_int_equal(got->has_cancel, cancel != NULL);
    if (cancel) {
        assert_true(got->cancel_time == cancel->time && got->cancel_grace_ns == cancel->grace_ns);
        sample_assert_bytes(got->cancel_principal, cancel->principal);
        sample_assert_bytes(got->cancel_reason, cancel->reason);
    }
    sample_assert_timing(got, rare->timing);
    assert_int_equal(got->has_labels, want->labels != NULL);
    assert_int_equal(got->n_labels, want->labels ? want->labels->n : 0);
    for (uint32_t i = 0; i < got->n_labels; i++) {
        assert_true(span_eq(got->labels[i].key, want->labels->at[i].key));
        assert_true(span_eq(got->labels[i].value, want->labels->at[i].value));
    }
}

/* Whether @got says all that @want is; the blobs only if they are in it. */
static inline void sample_assert_told(const struct record *got, const struct told *want)
{
    assert_int_equal(got->n_chunks, want ? want->n_chunks : 0);
    assert_int_equal(got->progress.attempt, want ? want->progress.attempt : 0);
    if (!want || !want->progress.attempt)
        return;
    assert_true(got->progress.completed == want->progress.completed &&
                got->progress.total == want->progress.total);
    sample_assert_bytes(got->progress.message, want->progress.message);
}

/* @got: what the store has of what @s has told. */
static inline void sample_assert_chunks(const struct restored_chunk *got, const struct sample *s)
{
    for (const struct told_chunk *c = s->told.first; c; c = c->next, got++) {
        assert_true(span_eq(SPAN_OF_BYTES(got->data), SPAN_OF_BYTES(c->data)) && got->time == c->time);
        assert_true(got->attempt == c->attempt && got->kind == c->kind && got->stream == c->stream);
    }
}

static inline void sample_assert(const struct record *got, const struct sample *sample)
{
    const struct future *want = &sample->future;
    const struct outcome *o = want->outcome;

    sample_assert_told(got, future_told(want));
    assert_memory_equal(&got->id, &want->id, sizeof want->id);
    assert_int_equal(got->state, want->state);
    assert_int_equal(got->durability, want->durability);
    assert_int_equal(got->on_lost, want->on_lost);
    assert_int_equal(got->is_armed, want->armed != ARMED_NOT);
    assert_true(got->revision == want->revision);
    assert_true(got->submit_time == want->submit_time);
    assert_int_equal(got->priority, want->priority);
    assert_true(got->n_claims == want->n_claims);
    assert_int_equal(got->argument_at, want->argument_at);
    assert_int_equal(got->argument_field_bytes, want->argument_field_bytes);
    assert_int_equal(got->argument_bytes, want->argument_bytes);
    sample_assert_bytes(got->function, want->function->name);
    sample_assert_bytes(got->namespace, want->scope->namespace);
    sample_assert_bytes(got->principal, want->scope->principal);
    sample_assert_bytes(got->group, want->group ? want->group->group->name : NULL);
    sample_assert_bytes(got->peer, want->peer);
    sample_assert_rare(got, want);
    sample_assert_attempts(got, want->attempts);
    assert_int_equal(got->task_bytes, want->task->len);
    assert_int_equal(got->task_in_blob, want->task->len > BATCH_INLINE_BYTES);
    if (!got->task_in_blob || got->task.p)
        sample_assert_bytes(got->task, want->task);
    assert_int_equal(got->has_outcome, o != NULL);
    if (!o)
        return;
    assert_true(got->end_time == o->end_time && got->expire_time == o->expire_time);
    sample_assert_bytes(got->content_type, o->content_type);
    assert_int_equal(got->has_data, o->data != NULL);
    assert_int_equal(got->data_bytes, o->data ? o->data->len : 0);
    assert_int_equal(got->data_in_blob, o->data && o->data->len > BATCH_INLINE_BYTES);
    if (o->data && (!got->data_in_blob || got->data.p))
        sample_assert_bytes(got->data, o->data);
    assert_int_equal(got->has_error, o->error != NULL);
    if (o->error)
        sample_assert_error(&got->error, o->error);
    assert_int_equal(got->error_is_shared, o->error && want->attempts && want->attempts->error == o->error);
}
