// SPDX-License-Identifier: Apache-2.0
#include "service/functions.h"

#include "base/mem.h"
#include "service/internal.h"
#include "service/options.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE_DEFAULT = 100, PAGE_RESERVE_BYTES = 512 };
enum {
    FAILURE_BYTES = sizeof(struct function_failure) + 128,
    INFO_BYTES = 320,
    CHANGE_BYTES = 64 + LIMIT_KEY_BYTES + LIMIT_REASON_BYTES
};
enum { LIST_FUNCTIONS = 1, LIST_NEXT_PAGE_TOKEN = 2 };

struct functions {
    struct futures *futures;
    struct engine *engine;
    struct functions_log log;
    struct grpc_method methods[5];
};

struct list_functions_request {
    uint64_t page_size;
    struct span page_token, prefix;
};
static const struct codec_row list_rows[] = {
        CODEC_ROW(1, CODEC_UINT, struct list_functions_request, page_size),
        CODEC_ROW(2, CODEC_STRING, struct list_functions_request, page_token),
        CODEC_ROW(3, CODEC_STRING, struct list_functions_request, prefix),
};
static const struct codec_table list_table = {list_rows, ARRAY_LEN(list_rows)};

struct get_function_request {
    struct span function;
};
static const struct codec_row get_rows[] = {
        CODEC_ROW(1, CODEC_STRING, struct get_function_request, function)};
static const struct codec_table get_table = {get_rows, ARRAY_LEN(get_rows)};

/* Pause, Resume. */
struct pause_request {
    struct span function, reason;
};
static const struct codec_row pause_rows[] = {
        CODEC_ROW(1, CODEC_STRING, struct pause_request, function),
        CODEC_ROW(2, CODEC_STRING, struct pause_request, reason),
};
static const struct codec_table pause_table = {pause_rows, ARRAY_LEN(pause_rows)};

struct limits_request {
    struct span function, reason;
    struct codec_number max_running, max_pending;
    double rate;
    uint64_t reset;
};
enum { LIMITS_RATE = 5 };
static const struct codec_row limits_rows[] = {
        CODEC_ROW(1, CODEC_STRING, struct limits_request, function),
        CODEC_ROW(2, CODEC_STRING, struct limits_request, reason),
        CODEC_ROW(3, CODEC_NUMBER, struct limits_request, max_running),
        CODEC_ROW(4, CODEC_NUMBER, struct limits_request, max_pending),
        CODEC_ROW(LIMITS_RATE, CODEC_DOUBLE, struct limits_request, rate),
        CODEC_ROW(6, CODEC_UINT, struct limits_request, reset),
};
static const struct codec_table limits_table = {limits_rows, ARRAY_LEN(limits_rows)};

static void put_change(struct writer *w, uint32_t number, const struct change *c)
{
    struct writer_mark m;

    if (!c)
        return;
    m = writer_begin(w, number, 64);
    writer_timestamp(w, 1, c->time);
    writer_bytes(w, 2, SPAN_OF_BYTES(c->who));
    writer_bytes(w, 3, SPAN_OF_BYTES(c->why));
    writer_end(w, m);
}

static void put_limits(struct writer *w, const struct function_limits *l)
{
    struct writer_mark m;

    if (!l->max_running && !l->max_pending && !(l->rate > 0))
        return;
    m = writer_begin(w, 4, 32);
    writer_uint(w, 1, l->max_running);
    writer_uint(w, 2, l->max_pending);
    if (l->rate > 0)
        writer_double(w, 3, l->rate);
    writer_end(w, m);
}

/* Why it cannot be served, since when and when last. */
static void put_failure(struct writer *w, const struct functions *s, const struct function *f)
{
    struct function_failure failure;
    struct writer_mark m;

    if (LIKELY(!futures_failure(s->futures, f, &failure)))
        return;
    m = writer_begin(w, 11, FAILURE_BYTES);
    writer_uint(w, 1, GRPC_UNAVAILABLE);
    writer_text(w, 2, future_reason_text(failure.is_death ? REASON_CRASHED : REASON_NO_SUCH_FUNCTION));
    writer_text(w, 4, failure.text);
    writer_end(w, m);
    writer_timestamp(w, 12, failure.at);
    writer_timestamp(w, 14, failure.began_at);
}

/* An upper bound of the bytes of its FunctionInfo. */
static size_t info_size(const struct functions *s, const struct function *f)
{
    size_t failure = futures_failure(s->futures, f, &(struct function_failure){0}) ? FAILURE_BYTES : 0;

    return f->name->len + (f->doc ? f->doc->len : 0) + (f->said ? f->said->len : 0) + INFO_BYTES +
           (f->gate.paused ? CHANGE_BYTES : 0) + (f->gate.limits_set ? CHANGE_BYTES : 0) + failure +
           options_defaults_size(f->defaults.all);
}

/* The fields of a FunctionInfo; their numbers are those of proto/futured/v1/functions.proto. */
static void put_info(struct writer *w, const struct functions *s, const struct function *f)
{
    const struct future *oldest = engine_oldest(f);
    wall_ns_t now = engine_wall(s->engine);
    struct writer_mark m = writer_begin(w, 1, f->name->len + (f->doc ? f->doc->len : 0) + 8), of_options;

    writer_bytes(w, 1, SPAN_OF_BYTES(f->name));
    writer_bytes(w, 2, SPAN_OF_BYTES(f->doc));
    if (f->defaults.all) {
        of_options = writer_begin(w, 4, options_defaults_size(f->defaults.all));
        options_write_defaults(w, f->defaults.all);
        writer_end(w, of_options);
    }
    writer_raw(w, SPAN_OF_BYTES(f->said));
    writer_end(w, m);
    for (uint32_t kind = FUNCTION_PLUGIN; kind <= FUNCTION_REMOTE; kind++)
        if (f->kinds & 1U << kind)
            writer_uint(w, 2, kind);
    put_change(w, 3, f->gate.paused);
    put_limits(w, &f->gate.limits);
    put_change(w, 5, f->gate.limits_set);
    m = writer_begin(w, 6, 32);
    writer_uint(w, 1, f->n_pending);
    writer_uint(w, 2, f->n_running);
    writer_uint(w, 3, f->n_succeeded);
    writer_uint(w, 4, f->n_failed);
    writer_uint(w, 5, f->n_cancelled);
    writer_end(w, m);
    writer_uint(w, 7, f->n_holders);
    writer_uint(w, 8, futures_credit(s->futures, f));
    if (f->mean_run_ns >= 0)
        writer_duration(w, 9, f->mean_run_ns);
    if (oldest)
        writer_duration(w, 10, MAX(now - oldest->submit_time, (int64_t)0));
    writer_uint(w, 13, f->n_reserved);
    put_failure(w, s, f);
}

/* What is said from now on shows counts and settings. < 0: no memory, and the call has been ended. */
static int show(struct grpc_call *call)
{
    const struct functions *s = grpc_call_context(call);

    return futures_show_seq(call, engine_shown_any(s->engine));
}

static int compare_names(struct span a, struct span b)
{
    int order = memcmp(a.p, b.p, MIN(a.len, b.len));

    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static int by_name(const void *a, const void *b)
{
    const struct function *const *fa = a, *const *fb = b;

    return compare_names(SPAN_OF_BYTES((*fa)->name), SPAN_OF_BYTES((*fb)->name));
}

static int is_wanted(const struct function *f, const struct list_functions_request *request)
{
    struct span name = SPAN_OF_BYTES(f->name);

    if (name.len < request->prefix.len ||
        (request->prefix.len && memcmp(name.p, request->prefix.p, request->prefix.len) != 0))
        return 0;
    return request->page_token.len == 0 || compare_names(name, request->page_token) > 0;
}

/* All that the request is about, by name. The names known are bounded by limits.max_functions. -1: no memory. */
static int collect(const struct functions *s, const struct list_functions_request *request,
                   struct function ***ret)
{
    struct function **found, *f;
    size_t n = 0;

    for (f = engine_function_next(s->engine, NULL); f; f = engine_function_next(s->engine, f))
        n += (size_t)is_wanted(f, request);
    found = mem_alloc((n + 1) * sizeof(struct function *));
    if (!found)
        return -1;
    n = 0;
    for (f = engine_function_next(s->engine, NULL); f; f = engine_function_next(s->engine, f))
        if (is_wanted(f, request))
            found[n++] = f;
    qsort(found, n, sizeof(struct function *), by_name);
    *ret = found;
    return (int)n;
}

static void put_page(struct grpc_call *call, struct function **found, size_t n, size_t page_size)
{
    const struct functions *s = grpc_call_context(call);
    struct buf *out = grpc_call_begin(call);
    struct writer w = writer_to(out);
    size_t i, room = s->futures->max_message_bytes - PAGE_RESERVE_BYTES, start;

    if (!out) {
        grpc_call_fail(call, convert_no_memory(&(struct grpc_status){0}));
        return;
    }
    start = buf_len(out);
    for (i = 0; i < n && i < page_size; i++) {
        struct writer_mark m;
        size_t size = info_size(s, found[i]);

        if (i > 0 && buf_len(out) - start + size > room)
            break;
        m = writer_begin(&w, LIST_FUNCTIONS, size);
        put_info(&w, s, found[i]);
        writer_end(&w, m);
    }
    if (i < n && i > 0)
        writer_bytes(&w, LIST_NEXT_PAGE_TOKEN, SPAN_OF_BYTES(found[i - 1]->name));
    if (w.failed) {
        grpc_call_undo(call);
        grpc_call_fail(call, convert_no_memory(&(struct grpc_status){0}));
        return;
    }
    grpc_call_end(call);
    grpc_call_finish(call);
}

static void on_list(struct grpc_call *call, struct span message)
{
    const struct functions *s = grpc_call_context(call);
    struct list_functions_request request = {0};
    struct function **found = NULL;
    struct grpc_status st;
    int n;

    if (request_read(&list_table, message, &request, &st)) {
        grpc_call_fail(call, &st);
        return;
    }
    if (request.page_size > LIMIT_PAGE_SIZE) {
        request_bad_field(&st, "page_size", "is %llu; at most %d are allowed",
                          (unsigned long long)request.page_size, LIMIT_PAGE_SIZE);
        grpc_call_fail(call, &st);
        return;
    }
    if (show(call) < 0)
        return;
    n = collect(s, &request, &found);
    if (n < 0)
        grpc_call_fail(call, convert_no_memory(&st));
    else
        put_page(call, found, (size_t)n, request.page_size ? request.page_size : PAGE_DEFAULT);
    mem_free(found);
}

/* Answer with what is known of @f, held back until that is durable. */
static void reply(struct grpc_call *call, const struct function *f)
{
    const struct functions *s = grpc_call_context(call);
    struct writer w;

    if (show(call) < 0)
        return;
    w = writer_to(grpc_call_begin(call));
    if (w.out)
        put_info(&w, s, f);
    if (!w.out) {
        grpc_call_fail(call, convert_no_memory(&(struct grpc_status){0}));
        return;
    }
    futures_send(call, &w);
    grpc_call_finish(call);
}

static void on_get(struct grpc_call *call, struct span message)
{
    const struct functions *s = grpc_call_context(call);
    struct get_function_request request = {0};
    const struct function *f;
    struct grpc_status st;

    if (request_read(&get_table, message, &request, &st)) {
        grpc_call_fail(call, &st);
        return;
    }
    f = futures_find_function(s->futures, call, request.function);
    if (f)
        reply(call, f);
}

/* Whose call it is, if settings may be changed now; NULL: the call has been ended. */
static const struct scope *may_change(struct grpc_call *call, struct span reason)
{
    const struct functions *s = grpc_call_context(call);
    const struct caller *caller;
    struct grpc_status st;

    if (request_text(reason, LIMIT_REASON_BYTES, 1, NULL, "reason", &st) ||
        futures_may_change(s->futures, s->futures->has_store ? DURABILITY_DURABLE : DURABILITY_EPHEMERAL, 0,
                           &st)) {
        grpc_call_fail(call, &st);
        return NULL;
    }
    caller = caller_of(&s->futures->callers, call);
    if (!caller)
        grpc_call_fail(call, convert_no_memory(&st));
    return caller ? caller->scope : NULL;
}

static void pause_or_resume(struct grpc_call *call, struct span message, int is_pause)
{
    const struct functions *s = grpc_call_context(call);
    struct pause_request request = {0};
    const struct scope *by;
    struct grpc_status st;
    struct function *f;

    if (request_read(&pause_table, message, &request, &st)) {
        grpc_call_fail(call, &st);
        return;
    }
    f = futures_find_function(s->futures, call, request.function);
    by = f ? may_change(call, request.reason) : NULL;
    if (!by)
        return;
    if (is_pause && engine_pause(s->engine, f, by, request.reason) < 0) {
        grpc_call_fail(call, convert_no_memory(&st));
        return;
    }
    if (!is_pause)
        engine_resume(s->engine, f);
    s->log.changed(s->log.context, f, is_pause ? "function_paused" : "function_resumed",
                   SPAN_OF_BYTES(by->principal), request.reason);
    reply(call, f);
}

static void on_pause(struct grpc_call *call, struct span message)
{
    pause_or_resume(call, message, 1);
}

static void on_resume(struct grpc_call *call, struct span message)
{
    pause_or_resume(call, message, 0);
}

static int has_field(struct span message, uint32_t number)
{
    struct wire_reader r = wire_reader(message);
    struct wire_field field;

    while (wire_next(&r, &field) == 0)
        if (field.number == number)
            return 1;
    return 0;
}

/* Which limits are set. 0; REQUEST_E_BAD. */
static int check_limits(const struct limits_request *request, struct span message,
                        struct function_limits *ret, unsigned int *ret_which, struct grpc_status *st)
{
    int has_rate = has_field(message, LIMITS_RATE);

    *ret_which = (request->max_running.is_set ? FUNCTION_MAX_RUNNING : 0U) |
                 (request->max_pending.is_set ? FUNCTION_MAX_PENDING : 0U) | (has_rate ? FUNCTION_RATE : 0U);
    if (request->reset && *ret_which)
        return request_bad_field(st, "reset", "cannot be given together with a limit");
    if (!request->reset && !*ret_which)
        return request_bad_field(st, "max_running", "a limit, or reset, is required");
    if (request->max_running.value > UINT32_MAX)
        return request_bad_field(st, "max_running", "does not fit 32 bits");
    if (has_rate && !(isfinite(request->rate) && request->rate >= 0))
        return request_bad_field(st, "rate", "is negative or not finite");
    *ret = (struct function_limits){.max_running = (uint32_t)request->max_running.value,
                                    .max_pending = request->max_pending.value,
                                    .rate = request->rate};
    return 0;
}

static void on_limits(struct grpc_call *call, struct span message)
{
    const struct functions *s = grpc_call_context(call);
    struct limits_request request = {0};
    struct function_limits limits;
    const struct scope *by;
    struct grpc_status st;
    struct function *f;
    unsigned int which;

    if (request_read(&limits_table, message, &request, &st) ||
        check_limits(&request, message, &limits, &which, &st)) {
        grpc_call_fail(call, &st);
        return;
    }
    f = futures_find_function(s->futures, call, request.function);
    by = f ? may_change(call, request.reason) : NULL;
    if (!by)
        return;
    if (engine_limit(s->engine, f, &limits, which, by, request.reason) < 0) {
        grpc_call_fail(call, convert_no_memory(&st));
        return;
    }
    s->log.changed(s->log.context, f, "function_limits", SPAN_OF_BYTES(by->principal), request.reason);
    reply(call, f);
}

static const struct grpc_handler list_functions_handler = {.on_message = on_list},
                                 get_function_handler = {.on_message = on_get},
                                 pause_handler = {.on_message = on_pause},
                                 resume_handler = {.on_message = on_resume},
                                 limits_handler = {.on_message = on_limits};

static const struct grpc_method rows[] = {
        {"/futured.v1.Functions/ListFunctions", GRPC_UNARY, &list_functions_handler, NULL, RIGHT_KNOWN},
        {"/futured.v1.Functions/GetFunction", GRPC_UNARY, &get_function_handler, NULL, RIGHT_KNOWN},
        {"/futured.v1.Functions/PauseFunction", GRPC_UNARY, &pause_handler, NULL, RIGHT_ADMIN},
        {"/futured.v1.Functions/ResumeFunction", GRPC_UNARY, &resume_handler, NULL, RIGHT_ADMIN},
        {"/futured.v1.Functions/SetFunctionLimits", GRPC_UNARY, &limits_handler, NULL, RIGHT_ADMIN},
};

int functions_new(struct functions **ret, struct futures *futures, const struct functions_log *log)
{
    struct functions *s = mem_zalloc(sizeof *s);

    if (!s)
        return -ENOMEM;
    s->futures = futures;
    s->engine = futures->engine;
    s->log = *log;
    _Static_assert(ARRAY_LEN(rows) == ARRAY_LEN(s->methods), "room for every method");
    memcpy(s->methods, rows, sizeof rows);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        s->methods[i].context = s;
    *ret = s;
    return 0;
}

int functions_say_options(const struct functions *s, struct function *f, struct span options,
                          struct grpc_status *st)
{
    struct function_defaults defaults;
    struct schedule_room room; /* is filled where it is asked for */

    if (options_read_defaults(options, s->futures->has_store, &room, &defaults, st))
        return REQUEST_E_BAD;
    if (engine_defaults(s->engine, f, DEFAULTS_SAID, &defaults) < 0) {
        convert_no_memory(st);
        return REQUEST_E_BAD;
    }
    return 0;
}

struct functions *functions_free(struct functions *s)
{
    return mem_free(s);
}

const struct grpc_method *functions_methods(const struct functions *s, size_t *ret_n)
{
    *ret_n = ARRAY_LEN(s->methods);
    return s->methods;
}
