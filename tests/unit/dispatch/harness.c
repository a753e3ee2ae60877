// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/dispatch/harness.h"

#include "dispatch/worker.h"
#include "grpc/messages.h"

#define ATTACH     "/futured.v1.Workers/Attach"
#define START_WALL (INT64_C(1700000000) * NS_PER_S)

static const struct hash_seed seed = {1, 2};

/* --- the pool */

static struct child *child_of(struct harness *h, uint64_t key)
{
    for (size_t i = 0; i < h->n_children; i++)
        if (h->children[i]->key == key && h->children[i]->is_alive)
            return h->children[i];
    return NULL;
}

static const struct runpage *page_of(void *context, uint64_t key)
{
    struct child *w = child_of(context, key);

    return w ? &w->page : NULL;
}

static void term_child(void *context, uint64_t child)
{
    struct harness *h = context;

    for (size_t i = 0; i < h->n_children; i++)
        if (h->children[i]->key == dispatch_key(child, 0))
            h->children[i]->n_terms++;
}

static void kill_child(void *context, uint64_t child, const char *why)
{
    struct child *w = child_of(context, dispatch_key(child, 0));

    assert_non_null(w);
    w->n_kills++;
    snprintf(w->why, sizeof w->why, "%s", why);
}

static int say_options(void *context, struct function *f, struct span options, struct grpc_status *st)
{
    struct harness *h = context;

    snprintf(h->said_options, sizeof h->said_options, "%.*s: %zu bytes", (int)f->name->len,
             (const char *)f->name->data, options.len);
    return h->refuses_options ? hello_bad_field(st, "hello.functions.default_options", "is refused") : 0;
}

static void stop_child(void *context, uint64_t child)
{
    struct child *w = child_of(context, dispatch_key(child, 0));

    assert_non_null(w);
    w->n_stops++;
}

static void on_told(void *context, const char *event, struct span worker, struct span name, struct span who,
                    struct span why)
{
    struct harness *h = context;

    snprintf(h->told, sizeof h->told, "%s %.*s %.*s", event, (int)worker.len, (const char *)worker.p,
             (int)why.len, why.len ? (const char *)why.p : "");
}

static uint32_t pid_of(void *context, uint64_t child)
{
    return 1000 + (uint32_t)child;
}

/* --- the whole */

void harness_init(struct harness *h)
{
    const struct grpc_server_config server_config = {.seed = seed, .max_message_bytes = 4 << 20};
    struct engine_config config = engine_config_default();
    const struct dispatch_config dispatch_config = {
            .max_message_bytes = server_config.max_message_bytes,
            .max_result_bytes = HARNESS_MAX_RESULT,
            .lease_ttl_ns = 10 * NS_PER_S,
            .seed = seed,
            .pool = {.page = page_of,
                     .kill = kill_child,
                     .term = term_child,
                     .stop = stop_child,
                     .pid = pid_of,
                     .context = h},
            .log = {.told = on_told, .context = h},
            .say_options = say_options,
            .context = h,
    };
    const struct grpc_method *methods;
    size_t n;

    *h = (struct harness){.now = NS_PER_S, .wall = START_WALL};
    config.seed = seed;
    config.random = 3;
    config.epoch = HARNESS_EPOCH;
    config.accept_unknown_functions = 1;
    assert_int_equal(engine_new(&h->engine, &config), 0);
    engine_begin(h->engine, h->now, h->wall);
    h->scope = engine_scope(h->engine, (struct span){0}, SPAN_LIT("ann"));
    assert_non_null(h->scope);
    assert_int_equal(dispatch_new(&h->dispatch, h->engine, &dispatch_config), 0);
    assert_int_equal(grpc_server_new(&h->server, &server_config), 0);
    methods = dispatch_methods(h->dispatch, &n);
    assert_int_equal(grpc_server_add(h->server, methods, n), 0);
}

static void forget_told(struct child *w)
{
    if (w->told)
        futured__v1__lease__free_unpacked(w->told, NULL);
    w->told = NULL;
}

static void child_free(struct child *w)
{
    for (size_t i = 0; i < w->n_items; i++)
        buf_deinit(&w->items[i].task);
    forget_told(w);
    if (w->welcome)
        futured__v1__welcome__free_unpacked(w->welcome, NULL);
    buf_deinit(&w->pieces);
    for (size_t i = 0; i < HARNESS_PASSED_ON; i++)
        buf_deinit(&w->passed_on[i].data);
    loopback_call_deinit(&w->call);
    free(w);
}

void harness_deinit(struct harness *h)
{
    for (size_t i = 0; i < h->n_children; i++)
        if (h->children[i]->has_stream)
            harness_hang_up(h->children[i]);
    dispatch_free(h->dispatch);
    engine_check(h->engine);
    engine_free(h->engine);
    grpc_server_free(h->server);
    for (size_t i = 0; i < h->n_children; i++)
        child_free(h->children[i]);
}

/* --- what workers are told */

static void take_payload(struct child *w, const Futured__V1__PayloadChunk *m)
{
    struct buf *to = m->part ? &w->passed_on[m->part - 1].data : &w->pieces;

    assert_true(m->part <= HARNESS_PASSED_ON);
    assert_in_range(m->data.len, 1, 64 * 1024);
    if (m->offset == 0)
        buf_clear(to);
    assert_int_equal(m->offset, buf_len(to));
    text_put(to, m->data.data, m->data.len);
}

static void take_upstream(struct passed_on *p, const Futured__V1__Upstream *m)
{
    snprintf(p->id, sizeof p->id, "%s", m->id);
    p->is_result = m->outcome_case == FUTURED__V1__UPSTREAM__OUTCOME_RESULT;
    p->was_ahead = m->chunked;
    p->message[0] = '\0';
    if (!p->is_result) {
        snprintf(p->message, sizeof p->message, "%s", m->error->message);
        return;
    }
    if (!m->chunked) {
        buf_clear(&p->data);
        text_put(&p->data, m->result->data.data, m->result->data.len);
    }
    assert_int_equal(m->result->size_bytes, buf_len(&p->data));
}

static void take_item(struct child *w, const Futured__V1__Assignment *m)
{
    struct item *item = &w->items[w->n_items++];
    char id[ID_TEXT_LEN + 1];

    assert_true(w->n_items < ARRAY_LEN(w->items));
    assert_non_null(m->lease);
    assert_int_equal(m->lease->id.len, ID_BYTES);
    memcpy(item->id.b, m->lease->id.data, ID_BYTES);
    item->attempt = m->lease->attempt;
    item->epoch = m->lease->epoch;
    id_format(&item->id, id);
    assert_string_equal(m->id, id);
    assert_int_equal(m->attempt, m->lease->attempt);
    assert_int_equal(m->lease->epoch, HARNESS_EPOCH);
    assert_int_equal(m->task_chunked != 0, m->task == NULL);
    assert_string_equal(m->submitter->principal, "ann");
    assert_true(m->n_upstream <= HARNESS_PASSED_ON);
    w->n_passed_on = m->n_upstream;
    for (size_t i = 0; i < m->n_upstream; i++)
        take_upstream(&w->passed_on[i], m->upstream[i]);
    if (m->task_chunked) {
        item->task = w->pieces;
        w->pieces = BUF_INIT;
    } else {
        item->task = judge_pack(&m->task->base);
    }
}

static void tell(struct child *w, Futured__V1__Lease **lease, const char *reason)
{
    forget_told(w);
    w->told = *lease;
    *lease = NULL;
    snprintf(w->told_reason, sizeof w->told_reason, "%s", reason);
}

static void take_response(struct child *w, Futured__V1__AttachResponse *m)
{
    if (m->welcome) {
        if (w->welcome)
            futured__v1__welcome__free_unpacked(w->welcome, NULL);
        w->welcome = m->welcome;
        m->welcome = NULL;
        w->n_welcomes++;
    }
    for (size_t i = 0; i < m->n_payload; i++)
        take_payload(w, m->payload[i]);
    w->n_assigns += m->assign ? 1 : 0;
    w->n_drains += m->drain ? 1 : 0;
    for (size_t i = 0; m->assign && i < m->assign->n_items; i++)
        take_item(w, m->assign->items[i]);
    for (size_t i = 0; i < m->n_cancel_attempt; i++, w->n_cancels++) {
        const Google__Protobuf__Duration *grace = m->cancel_attempt[i]->grace;

        w->told_grace_ns = grace ? grace->seconds * NS_PER_S + grace->nanos : -1;
        tell(w, &m->cancel_attempt[i]->lease, m->cancel_attempt[i]->reason);
    }
    for (size_t i = 0; i < m->n_recall; i++, w->n_recalls++)
        tell(w, &m->recall[i]->lease, "");
    for (size_t i = 0; i < m->n_refused; i++, w->n_refused++)
        tell(w, &m->refused[i]->lease, m->refused[i]->reason);
}

static void read_responses(struct child *w)
{
    for (; w->n_read < w->call.n_messages; w->n_read++) {
        struct span message = loopback_message(&w->call, w->n_read);
        Futured__V1__AttachResponse *m = futured__v1__attach_response__unpack(NULL, message.len, message.p);

        assert_non_null(m);
        assert_int_equal(m->base.n_unknown_fields, 0);
        w->largest = MAX(w->largest, message.len);
        take_response(w, m);
        futured__v1__attach_response__free_unpacked(m, NULL);
    }
    if (w->n_read > 64) { /* what was read is not kept */
        buf_clear(&w->call.received);
        buf_clear(&w->call.lens);
        w->call.n_messages = w->n_read = 0;
    }
}

/* --- turns */

static uint64_t fail_nth; /* of harness_fail_allocations */

void harness_arm(struct harness *h)
{
    h->fail_nth = fail_nth;
}

static void begin_failing(struct harness *h)
{
    if (h->fail_nth)
        mem_fail_at(h->fail_nth);
}

static void end_failing(struct harness *h)
{
    if (!h->fail_nth)
        return;
    if (!mem_fail_pending()) {
        h->has_failed = 1;
        h->fail_nth = 0;
    }
    mem_fail_at(0);
}

static size_t move(struct harness *h, struct child *w, int to_daemon)
{
    struct h2_session *client = grpc_client_session(w->lo.client), *server = grpc_conn_session(w->lo.conn);
    struct h2_session *from = to_daemon ? client : server, *to = to_daemon ? server : client;
    struct buf bytes = BUF_INIT;
    mono_ns_t next;
    size_t n;
    int r;

    if (!to_daemon)
        begin_failing(h);
    next = h2_session_tick(from, h->now);
    r = h2_session_send(from, &bytes, 1 << 20, h->now);
    if (!to_daemon)
        end_failing(h);
    n = buf_len(&bytes);
    if (r == 0 && n) {
        h2_session_sent(from, n, h->now);
        if (to_daemon)
            begin_failing(h);
        r = h2_session_recv(to, buf_head(&bytes), n, h->now);
        if (to_daemon)
            end_failing(h);
    }
    buf_deinit(&bytes);
    return r == 0 && (n > 0 || next <= h->now);
}

static size_t take_effects(struct harness *h)
{
    struct effects *effects;
    size_t n_work = 0;
    mono_ns_t ladder;

    h->next = dispatch_tick(h->dispatch, h->now);
    effects = engine_end(h->engine);
    if (effects->n_facts)
        engine_durable(h->engine, effects->commit_seq);
    while (list_pop_front(&effects->answers))
        ;
    ladder = dispatch_run(h->dispatch, effects, h->now);
    h->next = MIN(h->next, ladder);
    assert_true(list_is_empty(&effects->revokes));
    n_work += !list_is_empty(&effects->work);
    return n_work + (h->next <= h->now);
}

size_t harness_turn(struct harness *h)
{
    size_t moved = 0;

    engine_begin(h->engine, h->now, h->wall);
    for (size_t i = 0; i < h->n_children; i++)
        if (h->children[i]->has_stream)
            moved += move(h, h->children[i], 1);
    begin_failing(h);
    moved += take_effects(h);
    end_failing(h);
    for (size_t i = 0; i < h->n_children; i++)
        if (h->children[i]->has_stream) {
            moved += move(h, h->children[i], 0);
            read_responses(h->children[i]);
        }
    return moved;
}

void harness_settle(struct harness *h)
{
    for (int i = 0; harness_turn(h) > 0; i++)
        assert_true(i < 100000);
    engine_check(h->engine);
}

void harness_advance(struct harness *h, int64_t ns)
{
    h->now += ns;
    h->wall += ns;
    harness_settle(h);
}

void harness_fail_allocations(void (*scenario)(struct harness *h), uint64_t n_min)
{
    int has_failed = 1;

    for (fail_nth = 1; has_failed; fail_nth++) {
        struct harness h;
        struct child *w;

        scenario(&h);
        has_failed = h.has_failed;
        h.fail_nth = 0;
        engine_check(h.engine);
        w = harness_spawn(&h, 99); /* whatever became of the others, a new one works */
        harness_hello(w, "slots: 1", 1);
        if (harness_n_open(w) == 0)
            harness_submit(&h, "function: 'echo'");
        harness_settle(&h);
        worker_runs(w, harness_take(w));
        harness_deinit(&h);
    }
    assert_true(fail_nth - 2 >= n_min);
}

/* --- workers */

void harness_attach(struct harness *h, struct child *w, int is_pool_worker)
{
    struct grpc_peer peer = {.address = "worker:1", .is_pool_worker = is_pool_worker, .worker_key = w->key};

    loopback_init_as(&w->lo, h->server, &peer);
    w->lo.now = h->now;
    loopback_call(&w->lo, &w->call, ATTACH, 0);
    w->has_stream = 1;
}

static struct child *child_new(struct harness *h, uint64_t key)
{
    struct child *w = calloc(1, sizeof *w);

    assert_non_null(w);
    w->harness = h;
    w->key = key;
    assert_true(h->n_children < HARNESS_WORKERS);
    h->children[h->n_children++] = w;
    return w;
}

struct child *harness_spawn(struct harness *h, uint64_t child)
{
    return harness_spawn_thread(h, child, 0);
}

struct child *harness_spawn_thread(struct harness *h, uint64_t child, uint32_t thread)
{
    struct child *w = child_new(h, dispatch_key(child, thread));

    w->is_alive = 1;
    harness_attach(h, w, 1);
    harness_settle(h);
    return w;
}

struct child *harness_remote(struct harness *h)
{
    struct child *w = child_new(h, 0);

    harness_attach(h, w, 0);
    harness_settle(h);
    return w;
}

void harness_call(struct child *w, struct loopback_call *c, const char *method,
                  const ProtobufCMessageDescriptor *request, const char *format, ...)
{
    struct buf message = BUF_INIT;
    char path[128];
    va_list args;

    snprintf(path, sizeof path, "/futured.v1.Workers/%s", method);
    va_start(args, format);
    text_encode_v(&message, request, format, args);
    va_end(args);
    loopback_call(&w->lo, c, path, 0);
    loopback_send(c, buf_head(&message), buf_len(&message));
    loopback_half_close(c);
    buf_deinit(&message);
    harness_settle(w->harness);
}

struct span harness_reply(const struct loopback_call *c)
{
    assert_true(c->is_done);
    if (c->status.code != GRPC_OK)
        fail_msg("%s: %s", status_name(c->status.code), c->status.message);
    assert_int_equal(c->n_messages, 1);
    return loopback_message(c, 0);
}

void harness_expect_refused(struct loopback_call *c, enum grpc_code code, const char *reason,
                            const char *what)
{
    assert_true(c->is_done);
    if (c->status.code != code || strcmp(c->status.reason, reason) != 0 || !strstr(c->status.message, what))
        fail_msg("%s %s, not %s %s: \"%s\" without \"%s\"", status_name(c->status.code), c->status.reason,
                 status_name(code), reason, c->status.message, what);
    loopback_call_deinit(c);
}

void harness_say(struct child *w, const char *format, ...)
{
    struct buf request = BUF_INIT;
    va_list args;

    va_start(args, format);
    text_encode_v(&request, &futured__v1__attach_request__descriptor, format, args);
    va_end(args);
    if (w->call.call)
        loopback_send(&w->call, buf_head(&request), buf_len(&request));
    buf_deinit(&request);
}

void harness_hello(struct child *w, const char *more, uint32_t credit)
{
    harness_say(w,
                "hello { name: 'w' session_token: 'tttttttttttttttt' functions { name: 'echo' doc: 'the "
                "argument back' } "
                "functions { name: 'slow' } %s } ready { credit: %u }",
                more, (unsigned int)credit);
    harness_settle(w->harness);
}

void harness_hang_up(struct child *w)
{
    engine_begin(w->harness->engine, w->harness->now, w->harness->wall);
    begin_failing(w->harness);
    loopback_deinit(&w->lo);
    end_failing(w->harness);
    w->has_stream = 0;
}

void harness_die(struct child *w, int wait_status, int asked)
{
    engine_begin(w->harness->engine, w->harness->now, w->harness->wall);
    begin_failing(w->harness);
    (void)dispatch_worker_died(w->harness->dispatch, dispatch_child(w->key), wait_status, asked);
    end_failing(w->harness);
    for (size_t i = 0; i < w->harness->n_children; i++) {
        struct child *thread = w->harness->children[i];

        if (dispatch_child(thread->key) != dispatch_child(w->key))
            continue;
        thread->is_alive = 0;
        memset(&thread->page, 0xee, sizeof thread->page); /* it is unmapped now */
    }
}

/* --- tasks */

struct future *harness_submit(struct harness *h, const char *format, ...)
{
    struct engine_submit in = {.scope = h->scope,
                               .durability = DURABILITY_EPHEMERAL,
                               .on_lost = ON_LOST_RETRY,
                               .retention_ns = -1};
    struct task_options options = {0};
    struct task task = {0};
    struct buf text = BUF_INIT;
    struct future *f;
    const char *field;
    va_list args;

    va_start(args, format);
    text_encode_v(&text, &futured__v1__task__descriptor, format, args);
    va_end(args);
    assert_int_equal(codec_read(&task_table, judge_span(&text), &task, &field), 0);
    assert_int_equal(codec_read(&task_options_table, task.options.data, &options, &field), 0);
    in.function = task.function;
    in.priority = (int32_t)options.priority;
    if (options.on_lost == ON_LOST_FAIL)
        in.on_lost = ON_LOST_FAIL;
    in.task = bytes_dup(buf_head(&text), buf_len(&text));
    assert_non_null(in.task);
    assert_int_equal(engine_submit(h->engine, &in, &f), 0);
    bytes_unref(in.task);
    buf_deinit(&text);
    return f;
}

size_t harness_n_open(const struct child *w)
{
    return w->n_items - w->n_taken;
}

struct item *harness_take(struct child *w)
{
    assert_true(harness_n_open(w) > 0);
    return &w->items[w->n_taken++];
}

const char *harness_lease(const struct item *item)
{
    static char texts[4][128];
    static unsigned int next;
    char *text = texts[next++ % ARRAY_LEN(texts)], hex[2 * ID_BYTES + 1];

    for (size_t i = 0; i < ID_BYTES; i++)
        snprintf(hex + 2 * i, 3, "%02x", item->id.b[i]);
    snprintf(text, sizeof texts[0], "lease { id: #%s attempt: %u epoch: %" PRIu64 " }", hex,
             (unsigned int)item->attempt, item->epoch);
    return text;
}

void worker_starts(struct child *w, const struct item *item)
{
    runpage_start(&w->page, id_key(&item->id), item->attempt, w->harness->wall);
}

void worker_ends(struct child *w)
{
    runpage_finish(&w->page);
}

void worker_finishes(struct child *w, const struct item *item, const char *outcome)
{
    runpage_sent(&w->page, 1);
    harness_say(w, "finish { %s %s }", harness_lease(item), outcome);
}

void worker_runs(struct child *w, const struct item *item)
{
    worker_starts(w, item);
    worker_ends(w);
    worker_finishes(w, item, "result { data: 'done' size_bytes: 4 }");
    harness_say(w, "ready { credit: 1 }");
    harness_settle(w->harness);
}

void harness_expect_cut(const struct child *w, enum grpc_code code, const char *what)
{
    assert_true(w->call.is_done);
    if (w->call.status.code != code)
        fail_msg("%s, not %s: %s", status_name(w->call.status.code), status_name(code),
                 w->call.status.message);
    if (!strstr(w->call.status.message, what))
        fail_msg("no \"%s\" in \"%s\"", what, w->call.status.message);
    if (!*w->call.status.reason)
        fail_msg("no reason for \"%s\"", w->call.status.message);
}
