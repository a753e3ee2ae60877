// SPDX-License-Identifier: Apache-2.0
#include "service/functions.h"

#include "base/mem.h"
#include "service/convert.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE_DEFAULT = 100, PAGE_RESERVE_BYTES = 512 };
enum { LIST_FUNCTIONS = 1, LIST_NEXT_PAGE_TOKEN = 2 };

struct functions {
    struct engine *engine;
    size_t max_message_bytes;
    struct grpc_method methods[2];
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

/* The fields of a FunctionInfo; their numbers are those of proto/futured/v1/functions.proto. */
static void put_info(struct writer *w, const struct function *f)
{
    struct writer_mark m = writer_begin(w, 1, f->name->len + (f->doc ? f->doc->len : 0) + 8);

    writer_bytes(w, 1, SPAN_OF_BYTES(f->name));
    writer_bytes(w, 2, SPAN_OF_BYTES(f->doc));
    writer_end(w, m);
    for (uint32_t kind = FUNCTION_PLUGIN; kind <= FUNCTION_REMOTE; kind++)
        if (f->kinds & 1U << kind)
            writer_uint(w, 2, kind);
    m = writer_begin(w, 6, 32);
    writer_uint(w, 1, f->n_pending);
    writer_uint(w, 2, f->n_running);
    writer_uint(w, 3, f->n_succeeded);
    writer_uint(w, 4, f->n_failed);
    writer_uint(w, 5, f->n_cancelled);
    writer_end(w, m);
    writer_uint(w, 7, f->n_holders);
    if (f->mean_run_ns >= 0)
        writer_duration(w, 9, f->mean_run_ns);
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
    size_t i, room = s->max_message_bytes - PAGE_RESERVE_BYTES, start;

    if (!out) {
        grpc_call_fail(call, convert_no_memory(&(struct grpc_status){0}));
        return;
    }
    start = buf_len(out);
    for (i = 0; i < n && i < page_size; i++) {
        struct writer_mark m;
        size_t size = found[i]->name->len + (found[i]->doc ? found[i]->doc->len : 0) + 256;

        if (i > 0 && buf_len(out) - start + size > room)
            break;
        m = writer_begin(&w, LIST_FUNCTIONS, size);
        put_info(&w, found[i]);
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
    n = collect(s, &request, &found);
    if (n < 0)
        grpc_call_fail(call, convert_no_memory(&st));
    else
        put_page(call, found, (size_t)n, request.page_size ? request.page_size : PAGE_DEFAULT);
    mem_free(found);
}

static void on_get(struct grpc_call *call, struct span message)
{
    const struct functions *s = grpc_call_context(call);
    struct get_function_request request = {0};
    const struct function *f;
    struct grpc_status st;
    struct writer w;

    if (request_read(&get_table, message, &request, &st) ||
        request_text(request.function, LIMIT_FUNCTION_NAME_BYTES, 0, REQUEST_FUNCTION_CHARSET, "function",
                     &st)) {
        grpc_call_fail(call, &st);
        return;
    }
    f = engine_function_find(s->engine, request.function);
    if (!f) {
        status_set(&st, GRPC_NOT_FOUND, "NO_SUCH_FUNCTION",
                   "no function \"%.*s\" was ever configured or offered", (int)request.function.len,
                   (const char *)request.function.p);
        grpc_call_fail(call, convert_resource(&st, "futured.v1.Function", request.function));
        return;
    }
    w = writer_to(grpc_call_begin(call));
    if (w.out)
        put_info(&w, f);
    if (!w.out || w.failed) {
        if (w.out)
            grpc_call_undo(call);
        grpc_call_fail(call, convert_no_memory(&st));
        return;
    }
    grpc_call_end(call);
    grpc_call_finish(call);
}

static const struct grpc_handler list_functions_handler = {.on_message = on_list},
                                 get_function_handler = {.on_message = on_get};

int functions_new(struct functions **ret, struct engine *e, size_t max_message_bytes)
{
    struct functions *s = mem_zalloc(sizeof *s);

    if (!s)
        return -ENOMEM;
    s->engine = e;
    s->max_message_bytes = max_message_bytes;
    s->methods[0] = (struct grpc_method){"/futured.v1.Functions/ListFunctions", GRPC_UNARY,
                                         &list_functions_handler, s};
    s->methods[1] =
            (struct grpc_method){"/futured.v1.Functions/GetFunction", GRPC_UNARY, &get_function_handler, s};
    *ret = s;
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
