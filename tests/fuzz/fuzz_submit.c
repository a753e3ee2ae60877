// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes as the requests that make futures. The input is a list of steps: a byte that chooses one, a byte for what it is
 * about, and the bytes of a request, or of a part of one that makes sense beside. Each request is answered or refused; the
 * engine's books are right after it (engine_check), and a future that is made is what protobuf-c reads in the request.
 */
#include "grpc/writer.h"
#include "tests/fuzz/input.h"
#include "tests/unit/service/harness.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STEPS_MAX = 40, KNOWN_MAX = STEPS_MAX };

struct world {
    struct harness h;
    struct harness_id known[KNOWN_MAX]; /* what was made */
    uint32_t n_known;
};

static const char *known(const struct world *w, uint8_t which)
{
    return w->n_known ? w->known[which % w->n_known].text : "";
}

/* ---- what became of it */

/* protobuf-c's texts end at their first NUL, which a key may have. */
static int is(struct span found, const char *expected)
{
    size_t n = strlen(expected);

    return found.len >= n && (n == 0 || memcmp(found.p, expected, n) == 0) &&
           (found.len == n || found.p[n] == '\0');
}

static int64_t ns_of(const Google__Protobuf__Duration *d)
{
    return d->seconds * NS_PER_S + d->nanos;
}

static void compare_retry(const struct retry_policy *p, const Futured__V1__RetryPolicy *m)
{
    ASSERT(p->max_attempts == MAX(m->max_attempts, 1U) && p->n_types == m->n_non_retryable_types);
    for (uint32_t i = 0; i < p->n_types; i++)
        ASSERT(is(p->types[i], m->non_retryable_types[i]));
}

static void compare_options(const struct future *f, const Futured__V1__TaskOptions *m)
{
    const struct timing *t = future_timing(f);
    const struct depend *d = f->rare ? f->rare->depend : NULL;

    ASSERT(f->priority == m->priority && is(future_key(f), m->idempotency_key));
    ASSERT((f->on_lost == ON_LOST_FAIL) == (m->on_lost == FUTURED__V1__ON_LOST__ON_LOST_FAIL));
    ASSERT((d ? d->n : 0) == m->n_depends_on);
    for (size_t i = 0; d && i < d->n; i++) {
        char text[ID_TEXT_LEN + 1];

        id_format(&d->at[i].id, text);
        ASSERT(strcasecmp(text, m->depends_on[i]) == 0);
    }
    if (m->attempt_timeout && ns_of(m->attempt_timeout) > 0)
        ASSERT(t && t->attempt_timeout_ns == ns_of(m->attempt_timeout));
    if (m->deadline)
        ASSERT(t && t->deadline > 0);
    if (m->retry && m->retry->max_attempts > 1) {
        ASSERT(t && t->retry);
        compare_retry(t->retry, m->retry);
    }
}

static void compare_task(const struct future *f, const Futured__V1__Task *m)
{
    Futured__V1__Task *kept = futured__v1__task__unpack(NULL, f->task->len, f->task->data);
    size_t n = futured__v1__task__get_packed_size(m);
    uint8_t *a = malloc(2 * n + 1), *b = a + n;

    ASSERT(a && kept && futured__v1__task__get_packed_size(kept) == n);
    futured__v1__task__pack(m, a);
    futured__v1__task__pack(kept, b);
    ASSERT(memcmp(a, b, n) == 0);
    ASSERT(f->argument_bytes == m->argument.len);
    if (f->argument_bytes)
        ASSERT(memcmp(f->task->data + f->argument_at + f->argument_field_bytes - f->argument_bytes,
                      m->argument.data, f->argument_bytes) == 0);
    free(a);
    futured__v1__task__free_unpacked(kept, NULL);
}

static void compare(const struct future *f, const Futured__V1__SubmitRequest *m)
{
    static const Futured__V1__TaskOptions none = FUTURED__V1__TASK_OPTIONS__INIT;

    ASSERT(m && m->task && is(future_function_name(f), m->task->function));
    if (f->state != FUTURE_PENDING) /* it could not start, and has let go of what it had for that */
        return;
    ASSERT(is(future_group(f), m->group));
    compare_task(f, m->task);
    compare_options(f, m->task->options ? m->task->options : &none);
}

static struct future *learn(struct world *w, const Futured__V1__Future *made)
{
    struct future *f = harness_find(&w->h, made->id);

    ASSERT(f);
    if (w->n_known < KNOWN_MAX)
        memcpy(w->known[w->n_known++].text, made->id, ID_TEXT_LEN + 1);
    return f;
}

static void refused(enum grpc_code code)
{
    ASSERT(code != GRPC_OK && code != GRPC_UNKNOWN && code != GRPC_INTERNAL);
}

/* ---- the calls */

/* A whole call with one request; who waits for the end of a task goes. */
static void call(struct world *w, struct loopback_call *c, const char *method, struct span request)
{
    harness_call(&w->h, c, method);
    loopback_send(c, request.p, request.len);
    loopback_half_close(c);
    harness_settle(&w->h);
    if (!c->is_done) {
        grpc_client_call_cancel(c->call);
        harness_settle(&w->h);
    }
    ASSERT(c->is_done);
    if (c->status.code != GRPC_OK && c->status.code != GRPC_CANCELLED)
        refused(c->status.code);
}

static void submit(struct world *w, const char *method, struct span request)
{
    struct loopback_call c;

    call(w, &c, method, request);
    if (c.n_messages > 0) {
        Futured__V1__SubmitResponse *r =
                harness_message(&w->h, &c, 0, &futured__v1__submit_response__descriptor);
        Futured__V1__SubmitRequest *m = futured__v1__submit_request__unpack(NULL, request.len, request.p);

        if (r->answer_case == FUTURED__V1__SUBMIT_RESPONSE__ANSWER_STATUS)
            refused((enum grpc_code)r->status->code);
        else if (!r->joined)
            compare(learn(w, r->future), m);
        harness_free(m);
        harness_free(r);
    }
    loopback_call_deinit(&c);
}

/* With announce the first answer is the future. */
static void run(struct world *w, const char *method, struct span request)
{
    struct loopback_call c;

    call(w, &c, method, request);
    if (c.n_messages > 0) {
        Futured__V1__RunResponse *r = harness_message(&w->h, &c, 0, &futured__v1__run_response__descriptor);

        if (r->answer_case == FUTURED__V1__RUN_RESPONSE__ANSWER_STATUS)
            refused((enum grpc_code)r->status->code);
        else if (r->answer_case == FUTURED__V1__RUN_RESPONSE__ANSWER_ACCEPTED)
            (void)learn(w, r->accepted);
        harness_free(r);
    }
    loopback_call_deinit(&c);
}

/* A task that depends on what was made, with any options beside. */
static void submit_dependent(struct world *w, uint8_t which, struct input *in)
{
    struct buf out = BUF_INIT;
    struct writer wr = writer_to(&out);
    struct writer_mark task = writer_begin(&wr, 1, 1024), options;

    writer_text(&wr, 1, which & 0x80 ? "sleep" : "echo");
    options = writer_begin(&wr, 6, 1024);
    if (w->n_known)
        writer_text(&wr, 9, known(w, which));
    if (w->n_known && which & 0x40)
        writer_text(&wr, 9, known(w, which >> 1));
    writer_raw(&wr, input_some(in));
    writer_end(&wr, options);
    writer_raw(&wr, input_some(in));
    writer_end(&wr, task);
    submit(w, "Submit", (struct span){buf_head(&out), buf_len(&out)});
    buf_deinit(&out);
}

static void retry(struct world *w, uint8_t which, struct span options)
{
    struct buf out = BUF_INIT;
    struct writer wr = writer_to(&out);
    struct loopback_call c;

    writer_text(&wr, 1, known(w, which));
    if (which & 0x80)
        writer_bytes(&wr, 2, options);
    call(w, &c, "Retry", (struct span){buf_head(&out), buf_len(&out)});
    if (c.n_messages > 0) {
        Futured__V1__Future *made = harness_message(&w->h, &c, 0, &futured__v1__future__descriptor);
        const struct future *f = learn(w, made);

        ASSERT(future_retry_of(f));
        harness_free(made);
    }
    loopback_call_deinit(&c);
    buf_deinit(&out);
}

static void cancel(struct world *w, uint8_t which)
{
    if (w->n_known && harness_find(&w->h, known(w, which)))
        harness_cancel(&w->h, known(w, which));
}

static void step(struct world *w, struct input *in)
{
    uint8_t what = input_byte(in), which = input_byte(in);

    switch (what % 8) {
    case 0: submit(w, "Submit", input_some(in)); break;
    case 1: submit(w, "SubmitStream", input_some(in)); break;
    case 2: run(w, "Run", input_some(in)); break;
    case 3: run(w, "RunStream", input_some(in)); break;
    case 4: submit_dependent(w, which, in); break;
    case 5: retry(w, which, input_some(in)); break;
    case 6: cancel(w, which); break;
    default: harness_advance(&w->h, (int64_t)which * NS_PER_S); break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, data + size};
    struct world w = {0};

    harness_init(&w.h, NULL);
    for (int i = 0; i < STEPS_MAX && in.at < in.end; i++)
        step(&w, &in);
    harness_deinit(&w.h);
    return 0;
}
