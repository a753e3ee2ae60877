// SPDX-License-Identifier: Apache-2.0
#pragma once
/* A future with everything set, made by the generated code, and smaller ones. Header only. */
#include "tests/support/testing.h"

#include <futured/v1/future.pb-c.h>

enum { SAMPLE_BYTES = 4096 };

#define SAMPLE_ID "0198c2f0-1111-7000-8000-00000000000"

/* The text "0198c2f0-1111-7000-8000-00000000000N", of one of ten buffers. */
static inline char *sample_id(unsigned int n)
{
    static char ids[10][40];

    snprintf(ids[n % 10], sizeof ids[0], SAMPLE_ID "%u", n % 10);
    return ids[n % 10];
}

/* sample_small: an encoded Future in the RESULT view; the number of bytes at @out. */
static inline size_t sample_small(const char *id, Futured__V1__State state, const char *data,
                                  uint8_t out[static SAMPLE_BYTES])
{
    Futured__V1__Future future = FUTURED__V1__FUTURE__INIT;
    Futured__V1__Result result = FUTURED__V1__RESULT__INIT;
    Futured__V1__Error error = FUTURED__V1__ERROR__INIT;
    char id_copy[64], data_copy[1024], reason[] = "FUNCTION_ERROR";

    snprintf(id_copy, sizeof id_copy, "%s", id);
    snprintf(data_copy, sizeof data_copy, "%s", data);
    future.id = id_copy;
    future.state = state;
    future.revision = 7;
    if (state == FUTURED__V1__STATE__STATE_SUCCEEDED) {
        result.content_case = FUTURED__V1__RESULT__CONTENT_DATA;
        result.data = (ProtobufCBinaryData){.len = strlen(data_copy), .data = (uint8_t *)data_copy};
        result.size_bytes = strlen(data_copy);
        future.outcome_case = FUTURED__V1__FUTURE__OUTCOME_RESULT;
        future.result = &result;
    } else if (state == FUTURED__V1__STATE__STATE_FAILED) {
        error.code = GOOGLE__RPC__CODE__INTERNAL;
        error.reason = reason;
        error.message = data_copy;
        future.outcome_case = FUTURED__V1__FUTURE__OUTCOME_ERROR;
        future.error = &error;
    }
    return futured__v1__future__pack(&future, out);
}

/* sample_whole: an encoded Future that FAILED, with every field of the record set. */
static inline size_t sample_whole(uint8_t out[static SAMPLE_BYTES])
{
    Google__Protobuf__Timestamp submitted = GOOGLE__PROTOBUF__TIMESTAMP__INIT, started = submitted,
                                ended = submitted, expires = submitted;
    Google__Protobuf__Duration span = GOOGLE__PROTOBUF__DURATION__INIT, cpu = span;
    Futured__V1__Future future = FUTURED__V1__FUTURE__INIT;
    Futured__V1__Task task = FUTURED__V1__TASK__INIT;
    Futured__V1__TaskOptions options = FUTURED__V1__TASK_OPTIONS__INIT;
    Futured__V1__RetryPolicy retry = FUTURED__V1__RETRY_POLICY__INIT;
    Futured__V1__Task__LabelsEntry file = FUTURED__V1__TASK__LABELS_ENTRY__INIT, n = file, *task_labels[2];
    Futured__V1__Future__LabelsEntry seen = FUTURED__V1__FUTURE__LABELS_ENTRY__INIT, *labels[1] = {&seen};
    Futured__V1__Attempt first = FUTURED__V1__ATTEMPT__INIT, second = first, *attempts[2] = {&first, &second};
    Futured__V1__Usage usage = FUTURED__V1__USAGE__INIT;
    Futured__V1__Error error = FUTURED__V1__ERROR__INIT, exited = error;
    Futured__V1__Progress progress = FUTURED__V1__PROGRESS__INIT;
    Futured__V1__Schedule schedule = FUTURED__V1__SCHEDULE__INIT;
    Futured__V1__Cancellation cancel = FUTURED__V1__CANCELLATION__INIT;
    Futured__V1__Submitter submitter = FUTURED__V1__SUBMITTER__INIT;
    char id[] = SAMPLE_ID "1", function[] = "crash", type[] = "text/plain", key_file[] = "file",
         key_n[] = "n", path[] = "/usr/share/x", number[] = "3", yes[] = "yes", key_seen[] = "seen",
         worker[] = "pool-3", crashed[] = "CRASHED", died[] = "the worker died",
         function_error[] = "FUNCTION_ERROR", status_1[] = "exit code 1", kind[] = "ValueError",
         half[] = "half way", group[] = "nightly", tag[] = "t1", space[] = "blue", trace[] = "00-aa-bb-01",
         before[] = SAMPLE_ID "0", after[] = SAMPLE_ID "2", alice[] = "alice", why[] = "too slow",
         peer[] = "unix:uid=0,pid=7", dependency[] = SAMPLE_ID "9", key[] = "job-1", one[] = "disk",
         fair[] = "team-a", argument[] = "hello\nworld";
    char *depends_on[1] = {dependency}, *never[1] = {kind};

    submitted.seconds = 1769860800; /* 2026-01-31T12:00:00Z */
    submitted.nanos = 123000000;
    started.seconds = 1769860801;
    ended.seconds = 1769860861;
    ended.nanos = 500000000;
    expires.seconds = 1770465661;
    span.seconds = 1;
    span.nanos = 500000000;
    cpu.nanos = 2000000;
    file.key = key_file;
    file.value = path;
    n.key = key_n;
    n.value = number;
    task_labels[0] = &n;
    task_labels[1] = &file;
    seen.key = key_seen;
    seen.value = yes;
    retry.max_attempts = 2;
    retry.initial_backoff = &span;
    retry.multiplier = 1.5;
    retry.jitter_presence_case = FUTURED__V1__RETRY_POLICY__JITTER_PRESENCE_JITTER;
    retry.jitter = 0.5;
    retry.n_non_retryable_types = 1;
    retry.non_retryable_types = never;
    retry.max_backoff = &span;
    options.durability = FUTURED__V1__DURABILITY__DURABILITY_EPHEMERAL;
    options.priority = -5;
    options.start_case = FUTURED__V1__TASK_OPTIONS__START_DELAY;
    options.delay = &span;
    options.deadline = &expires;
    options.attempt_timeout = &span;
    options.retry = &retry;
    options.on_lost = FUTURED__V1__ON_LOST__ON_LOST_FAIL;
    options.n_depends_on = 1;
    options.depends_on = depends_on;
    options.depend_policy = FUTURED__V1__DEPEND_POLICY__DEPEND_POLICY_ON_FINISH;
    options.pass_results = 1;
    options.idempotency_key = key;
    options.key_policy = FUTURED__V1__KEY_POLICY__KEY_POLICY_REJECT;
    options.retention = &span;
    options.concurrency_key = one;
    options.fairness_key = fair;
    task.function = function;
    task.input_case = FUTURED__V1__TASK__INPUT_ARGUMENT;
    task.argument = (ProtobufCBinaryData){.len = strlen(argument), .data = (uint8_t *)argument};
    task.content_type = type;
    task.n_labels = 2;
    task.labels = task_labels;
    task.options = &options;
    usage.user_cpu = &cpu;
    usage.system_cpu = &cpu;
    usage.wall = &span;
    usage.max_rss_bytes_presence_case = FUTURED__V1__USAGE__MAX_RSS_BYTES_PRESENCE_MAX_RSS_BYTES;
    usage.max_rss_bytes = 3 << 20;
    exited.code = GOOGLE__RPC__CODE__UNKNOWN;
    exited.reason = function_error;
    exited.type = kind;
    exited.message = status_1;
    error.code = GOOGLE__RPC__CODE__INTERNAL;
    error.reason = crashed;
    error.message = died;
    error.retryable = 1;
    first.number = 1;
    first.worker = worker;
    first.start_time = &started;
    first.end_time = &ended;
    first.error = &exited;
    first.exit_code_presence_case = FUTURED__V1__ATTEMPT__EXIT_CODE_PRESENCE_EXIT_CODE;
    first.exit_code = 1;
    first.usage = &usage;
    second.number = 2;
    second.worker = worker;
    second.start_time = &started;
    second.end_time = &ended;
    second.error = &error;
    second.signal_presence_case = FUTURED__V1__ATTEMPT__SIGNAL_PRESENCE_SIGNAL;
    second.signal = SIGSEGV;
    progress.completed = 5;
    progress.total = 10;
    progress.message = half;
    schedule.priority = 9;
    schedule.not_before = &started;
    schedule.deadline = &expires;
    schedule.retention = &span;
    schedule.next_start_time = &ended;
    cancel.time = &started;
    cancel.principal = alice;
    cancel.reason = why;
    cancel.grace = &span;
    submitter.principal = alice;
    submitter.peer = peer;
    future.id = id;
    future.state = FUTURED__V1__STATE__STATE_FAILED;
    future.revision = 42;
    future.outcome_case = FUTURED__V1__FUTURE__OUTCOME_ERROR;
    future.error = &error;
    future.task = &task;
    future.submit_time = &submitted;
    future.start_time = &started;
    future.end_time = &ended;
    future.expire_time = &expires;
    future.n_attempts = 2;
    future.attempts = attempts;
    future.n_labels = 1;
    future.labels = labels;
    future.group = group;
    future.progress = &progress;
    future.omitted = 1;
    future.namespace_ = space;
    future.effective_options = &options;
    future.schedule = &schedule;
    future.cancel_requested = &cancel;
    future.submitter = &submitter;
    future.traceparent = trace;
    future.retry_of = before;
    future.retried_by = after;
    future.argument_size_bytes = 11;
    future.tag = tag;
    ASSERT(futured__v1__future__get_packed_size(&future) <= SAMPLE_BYTES);
    return futured__v1__future__pack(&future, out);
}
