// SPDX-License-Identifier: Apache-2.0
/*
 * Reflection. Owns an index over FileDescriptorSets that stand in the program's read-only data: files by
 * name, every full name by the file that declares it, extensions, imports. All of it is built at start, lives
 * in one arena and never changes; descriptors themselves are sent as they stand in the set, never re-encoded.
 *
 *  1. files[] is in an order in which each file stands behind its imports, as protoc writes a set.
 *  2. A call's state is the set of files it has sent: an answer is the file that was asked for, first, and
 *     those of its imports that this call has not sent yet.
 *  3. Answers are bounded by the sets (about 100 KiB), questions by REFLECTION_QUESTION_MAX_BYTES; the next
 *     question is taken only when the answers before it have left, so a call costs one answer of memory.
 *
 * The numbers of the fields read here: descriptor.proto of protobuf, reflection.proto of gRPC.
 */
#include "service/reflection.h"

#include "base/arena.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "engine/right.h"
#include "grpc/status.h"
#include "grpc/writer.h"

#include <errno.h>
#include <string.h>

enum { FILES_MAX = 256, NESTING_MAX = 32 };

struct file {
    struct map_item by_name;
    struct span descriptor; /* its FileDescriptorProto */
    uint32_t index;         /* in files[] */
    uint32_t n_imports;
    const struct file **imports;
};

struct symbol {
    struct map_item by_name;
    const struct file *file;
    int is_message;
};

struct extension {
    struct list link;
    struct span extendee; /* full name of the message */
    int32_t number;
    const struct file *file;
};

struct reflection {
    const struct grpc_server *server;
    struct grpc_method methods[2];
    struct arena arena;
    struct map files_by_name, symbols;
    struct list extensions; /* few or none: searched one by one */
    struct file *files[FILES_MAX];
    uint32_t n_files;
};

/* The files that a call has sent. */
struct sent {
    uint64_t bits[FILES_MAX / 64];
};

/* --- the index */

/* The scope whose names are being indexed. */
struct scope {
    struct reflection *reflection;
    struct file *file;
    struct span name; /* "" or a full name */
    int depth;
};

/* Walk over the fields of @message that are @number and length-delimited. 1: *ret is one, 0: no more, < 0:
 * not protobuf. */
static int each(struct wire_reader *r, uint32_t number, struct span *ret)
{
    struct wire_field f;
    int rc;

    while ((rc = wire_next(r, &f)) == 0)
        if (f.number == number && f.type == WIRE_BYTES) {
            *ret = f.bytes;
            return 1;
        }
    return rc == WIRE_E_END ? 0 : -EINVAL;
}

/* The first field @number of @message, "" when there is none. */
static struct span text_of(struct span message, uint32_t number)
{
    struct wire_reader r = wire_reader(message);
    struct span text;

    return each(&r, number, &text) > 0 ? text : SPAN_LIT("");
}

static int32_t int_of(struct span message, uint32_t number)
{
    struct wire_reader r = wire_reader(message);
    struct wire_field f;

    while (wire_next(&r, &f) == 0)
        if (f.number == number && f.type == WIRE_VARINT)
            return (int32_t)f.value;
    return 0;
}

/* Put "SCOPE.NAME" into the table. */
static int add_symbol(const struct scope *scope, struct span name, int is_message, struct span *ret_full)
{
    struct reflection *r = scope->reflection;
    struct symbol *symbol = arena_alloc(&r->arena, sizeof *symbol);
    size_t dot = scope->name.len ? 1 : 0, len = scope->name.len + dot + name.len;
    uint8_t *full = arena_alloc(&r->arena, len);
    int rc;

    if (!symbol || !full)
        return -ENOMEM;
    memcpy(full, scope->name.p, scope->name.len);
    if (dot)
        full[scope->name.len] = '.';
    memcpy(full + scope->name.len + dot, name.p, name.len);
    *symbol = (struct symbol){.file = scope->file, .is_message = is_message};
    rc = map_insert(&r->symbols, &symbol->by_name, (struct span){full, len});
    if (rc == MAP_E_EXISTS)
        return REFLECTION_E_MALFORMED;
    if (rc == 0 && ret_full)
        *ret_full = symbol->by_name.key;
    return rc;
}

/* Index every @number of @message as a plain name within @scope (fields, methods, enum values). */
static int add_names(const struct scope *scope, struct span message, uint32_t number)
{
    struct wire_reader r = wire_reader(message);
    struct span item;
    int rc;

    while ((rc = each(&r, number, &item)) > 0) {
        rc = add_symbol(scope, text_of(item, 1), 0, NULL);
        if (rc)
            return rc;
    }
    return rc ? REFLECTION_E_MALFORMED : 0;
}

static int add_enums(const struct scope *scope, struct span message, uint32_t number)
{
    struct wire_reader r = wire_reader(message);
    struct span item;
    int rc;

    while ((rc = each(&r, number, &item)) > 0) {
        rc = add_symbol(scope, text_of(item, 1), 0, NULL);
        if (rc == 0)
            rc = add_names(scope, item, 2); /* values are named beside their enum, not within */
        if (rc)
            return rc;
    }
    return rc ? REFLECTION_E_MALFORMED : 0;
}

static int add_services(const struct scope *scope, struct span message, uint32_t number)
{
    struct wire_reader r = wire_reader(message);
    struct scope inner = *scope;
    struct span item;
    int rc;

    while ((rc = each(&r, number, &item)) > 0) {
        rc = add_symbol(scope, text_of(item, 1), 0, &inner.name);
        if (rc == 0)
            rc = add_names(&inner, item, 2);
        if (rc)
            return rc;
    }
    return rc ? REFLECTION_E_MALFORMED : 0;
}

static int add_extensions(const struct scope *scope, struct span message, uint32_t number)
{
    struct wire_reader r = wire_reader(message);
    struct extension *extension;
    struct span item, extendee;
    int rc;

    while ((rc = each(&r, number, &item)) > 0) {
        extendee = text_of(item, 2);
        if (extendee.len < 2 || extendee.p[0] != '.')
            return REFLECTION_E_MALFORMED;
        rc = add_symbol(scope, text_of(item, 1), 0, NULL);
        if (rc)
            return rc;
        extension = arena_alloc(&scope->reflection->arena, sizeof *extension);
        if (!extension)
            return -ENOMEM;
        *extension = (struct extension){.extendee = {extendee.p + 1, extendee.len - 1},
                                        .number = int_of(item, 3),
                                        .file = scope->file};
        list_push_back(&scope->reflection->extensions, &extension->link);
    }
    return rc ? REFLECTION_E_MALFORMED : 0;
}

static int add_messages(const struct scope *scope, struct span message, uint32_t number);

/* What a message declares: fields, nested messages and enums, extensions, oneofs. */
static int add_members(const struct scope *scope, struct span message)
{
    int rc = add_names(scope, message, 2);

    if (rc == 0)
        rc = add_messages(scope, message, 3);
    if (rc == 0)
        rc = add_enums(scope, message, 4);
    if (rc == 0)
        rc = add_extensions(scope, message, 6);
    if (rc == 0)
        rc = add_names(scope, message, 8);
    return rc;
}

static int add_messages(const struct scope *scope, struct span message, uint32_t number)
{
    struct wire_reader r = wire_reader(message);
    struct scope inner = *scope;
    struct span item;
    int rc;

    if (++inner.depth > NESTING_MAX)
        return REFLECTION_E_MALFORMED;
    while ((rc = each(&r, number, &item)) > 0) {
        rc = add_symbol(scope, text_of(item, 1), 1, &inner.name);
        if (rc == 0)
            rc = add_members(&inner, item);
        if (rc)
            return rc;
    }
    return rc ? REFLECTION_E_MALFORMED : 0;
}

static const struct file *file_find(const struct reflection *r, struct span name)
{
    struct map_item *item = map_find(&r->files_by_name, name);

    return item ? CONTAINER_OF(item, struct file, by_name) : NULL;
}

static int add_imports(struct reflection *r, struct file *file)
{
    struct wire_reader reader = wire_reader(file->descriptor);
    uint32_t n = 0;
    struct span name;

    while (each(&reader, 3, &name) > 0)
        n++;
    file->imports = arena_alloc(&r->arena, n * sizeof *file->imports);
    if (!file->imports)
        return -ENOMEM;
    reader = wire_reader(file->descriptor);
    while (each(&reader, 3, &name) > 0) {
        file->imports[file->n_imports] = file_find(r, name);
        if (!file->imports[file->n_imports++])
            return REFLECTION_E_MALFORMED;
    }
    return 0;
}

/* What a file declares: services, messages, enums, extensions. */
static int add_declarations(struct reflection *r, struct file *file)
{
    const struct scope scope = {.reflection = r, .file = file, .name = text_of(file->descriptor, 2)};
    int rc = add_messages(&scope, file->descriptor, 4);

    if (rc == 0)
        rc = add_enums(&scope, file->descriptor, 5);
    if (rc == 0)
        rc = add_services(&scope, file->descriptor, 6);
    if (rc == 0)
        rc = add_extensions(&scope, file->descriptor, 7);
    return rc;
}

static int add_file(struct reflection *r, struct span descriptor)
{
    struct span name = text_of(descriptor, 1);
    struct file *file;
    int rc;

    if (file_find(r, name))
        return 0;
    if (!name.len || r->n_files == FILES_MAX)
        return REFLECTION_E_MALFORMED;
    file = arena_alloc(&r->arena, sizeof *file);
    if (!file)
        return -ENOMEM;
    *file = (struct file){.descriptor = descriptor, .index = r->n_files};
    rc = add_imports(r, file);
    if (rc)
        return rc;
    rc = map_insert(&r->files_by_name, &file->by_name, name);
    if (rc)
        return rc; /* -ENOMEM: it was not in */
    r->files[r->n_files++] = file;
    return add_declarations(r, file);
}

int reflection_add(struct reflection *r, struct span descriptor_set)
{
    struct wire_reader reader = wire_reader(descriptor_set);
    struct span descriptor;
    int rc;

    while ((rc = each(&reader, 1, &descriptor)) > 0) {
        rc = add_file(r, descriptor);
        if (rc)
            return rc;
    }
    return rc ? REFLECTION_E_MALFORMED : 0;
}

/* --- answers */

/* Which answer a request asks for: the field of the request's oneof. */
enum question {
    ASK_NOTHING = 0,
    ASK_FILE_BY_NAME = 3,
    ASK_FILE_OF_SYMBOL = 4,
    ASK_FILE_OF_EXTENSION = 5,
    ASK_EXTENSION_NUMBERS = 6,
    ASK_SERVICES = 7,
};

enum { ANSWER_FILES = 4, ANSWER_NUMBERS = 5, ANSWER_SERVICES = 6, ANSWER_ERROR = 7 };

struct request {
    struct span host, text; /* text: of the question, whichever it is */
    enum question question;
};

/* 0; 1: no ServerReflectionRequest. Of a oneof the last one counts. */
static int request_read(struct span message, struct request *ret)
{
    struct wire_reader r = wire_reader(message);
    struct wire_field f;
    int rc;

    *ret = (struct request){0};
    while ((rc = wire_next(&r, &f)) == 0) {
        if (f.number != 1 && (f.number < ASK_FILE_BY_NAME || f.number > ASK_SERVICES))
            continue;
        if (f.type != WIRE_BYTES)
            return 1;
        if (f.number != ASK_FILE_OF_EXTENSION && !utf8_is_valid(f.bytes.p, f.bytes.len))
            return 1;
        if (f.number == 1) {
            ret->host = f.bytes;
        } else {
            ret->question = (enum question)f.number;
            ret->text = f.bytes;
        }
    }
    return rc == WIRE_E_END ? 0 : 1;
}

static void answer_error(struct writer *w, enum grpc_code code, const char *message)
{
    struct writer_mark mark = writer_begin(w, ANSWER_ERROR, 64);

    writer_uint(w, 1, code);
    writer_text(w, 2, message);
    writer_end(w, mark);
}

static int is_sent(const struct sent *sent, const struct file *file)
{
    return (int)(sent->bits[file->index / 64] >> file->index % 64 & 1);
}

static void set_sent(struct sent *sent, const struct file *file)
{
    sent->bits[file->index / 64] |= UINT64_C(1) << file->index % 64;
}

/* @file, and then of its imports, theirs and so on what was not sent. */
static void answer_file(struct writer *w, const struct file *file, struct sent *sent)
{
    const struct file *queue[FILES_MAX];
    uint32_t n = 0, at = 0;
    struct sent queued = *sent;
    struct writer_mark mark = writer_begin(w, ANSWER_FILES, file->descriptor.len + 16384);

    queue[n++] = file;
    set_sent(&queued, file);
    while (at < n) {
        file = queue[at++];
        writer_bytes_always(w, 1, file->descriptor);
        for (uint32_t i = 0; i < file->n_imports; i++) {
            if (is_sent(&queued, file->imports[i]))
                continue;
            set_sent(&queued, file->imports[i]);
            queue[n++] = file->imports[i];
        }
    }
    writer_end(w, mark);
    *sent = queued;
}

static void answer_symbol(const struct reflection *r, struct writer *w, struct span name, struct sent *sent)
{
    struct map_item *item = map_find(&r->symbols, name);

    if (item)
        answer_file(w, CONTAINER_OF(item, struct symbol, by_name)->file, sent);
    else
        answer_error(w, GRPC_NOT_FOUND, "no such symbol");
}

static void answer_extension(const struct reflection *r, struct writer *w, struct span question,
                             struct sent *sent)
{
    struct span type = text_of(question, 1);
    int32_t number = int_of(question, 2);

    LIST_FOREACH (l, &r->extensions) {
        const struct extension *e = LIST_ENTRY(l, struct extension, link);

        if (e->number == number && span_eq(e->extendee, type)) {
            answer_file(w, e->file, sent);
            return;
        }
    }
    answer_error(w, GRPC_NOT_FOUND, "no such extension");
}

static void answer_extension_numbers(const struct reflection *r, struct writer *w, struct span type)
{
    struct map_item *item = map_find(&r->symbols, type);
    struct writer_mark mark;

    if (!item || !CONTAINER_OF(item, struct symbol, by_name)->is_message) {
        answer_error(w, GRPC_NOT_FOUND, "no such message");
        return;
    }
    mark = writer_begin(w, ANSWER_NUMBERS, type.len + 16);
    writer_bytes(w, 1, type);
    LIST_FOREACH (l, &r->extensions) {
        const struct extension *e = LIST_ENTRY(l, struct extension, link);

        if (span_eq(e->extendee, type))
            writer_int_always(w, 2, e->number);
    }
    writer_end(w, mark);
}

static struct span service_of(const struct grpc_method *m)
{
    const char *path = m->path + 1, *end = strchr(path, '/');

    return (struct span){(const uint8_t *)path, end ? (size_t)(end - path) : strlen(path)};
}

/* Whether @m is the first row of its service. */
static int is_first_of_service(const struct reflection *r, const struct grpc_method *m)
{
    const struct grpc_method *other = NULL;

    while ((other = grpc_server_next_method(r->server, other)) != m)
        if (span_eq(service_of(other), service_of(m)))
            return 0;
    return 1;
}

static void answer_services(const struct reflection *r, struct writer *w)
{
    const struct grpc_method *m = NULL;
    struct writer_mark mark = writer_begin(w, ANSWER_SERVICES, 512), inner;

    while ((m = grpc_server_next_method(r->server, m))) {
        if (!is_first_of_service(r, m))
            continue;
        inner = writer_begin(w, 1, 64);
        writer_bytes(w, 1, service_of(m));
        writer_end(w, inner);
    }
    writer_end(w, mark);
}

static void answer_write(const struct reflection *r, struct writer *w, struct span message,
                         const struct request *request, struct sent *sent)
{
    const struct file *file;

    writer_bytes(w, 1, request->host);
    writer_bytes_always(w, 2, message);
    switch (request->question) {
    case ASK_FILE_BY_NAME:
        file = file_find(r, request->text);
        if (file)
            answer_file(w, file, sent);
        else
            answer_error(w, GRPC_NOT_FOUND, "no such file");
        break;
    case ASK_FILE_OF_SYMBOL: answer_symbol(r, w, request->text, sent); break;
    case ASK_FILE_OF_EXTENSION: answer_extension(r, w, request->text, sent); break;
    case ASK_EXTENSION_NUMBERS: answer_extension_numbers(r, w, request->text); break;
    case ASK_SERVICES: answer_services(r, w); break;
    case ASK_NOTHING: answer_error(w, GRPC_INVALID_ARGUMENT, "the request asks nothing"); break;
    }
}

/* --- the calls */

static struct sent *sent_of(struct grpc_call *call)
{
    struct sent *sent = grpc_call_user(call);

    if (!sent) {
        sent = mem_zalloc(sizeof *sent);
        grpc_call_set_user(call, sent);
    }
    return sent;
}

static void info_on_message(struct grpc_call *call, struct span message)
{
    struct sent *sent = sent_of(call);
    struct request request;
    struct writer w;

    if (message.len > REFLECTION_QUESTION_MAX_BYTES || request_read(message, &request)) {
        grpc_call_fail_code(call, GRPC_INVALID_ARGUMENT, "MALFORMED_MESSAGE",
                            "no ServerReflectionRequest, or too long a one");
        return;
    }
    w = writer_to(sent ? grpc_call_begin(call) : NULL);
    if (!w.out) {
        grpc_call_fail(call, status_set_no_memory(&(struct grpc_status){0}));
        return;
    }
    answer_write(grpc_call_context(call), &w, message, &request, sent);
    if (w.failed) {
        grpc_call_undo(call);
        grpc_call_fail(call, status_set_no_memory(&(struct grpc_status){0}));
        return;
    }
    grpc_call_end(call);
    if (!grpc_call_is_writable(call))
        grpc_call_pause(call, 1);
}

static void info_on_writable(struct grpc_call *call)
{
    grpc_call_pause(call, 0);
}

static void info_on_half_close(struct grpc_call *call)
{
    grpc_call_finish(call);
}

static void info_on_done(struct grpc_call *call, enum grpc_end end)
{
    mem_free(grpc_call_user(call));
}

static const struct grpc_handler info_handler = {.on_message = info_on_message,
                                                 .on_half_close = info_on_half_close,
                                                 .on_writable = info_on_writable,
                                                 .on_done = info_on_done};

int reflection_new(struct reflection **ret, const struct grpc_server *server)
{
    /* No peer chooses a key that is put in, so the seed is no secret. */
    static const struct hash_seed seed = {1, 2};
    struct reflection *r = mem_zalloc(sizeof *r);

    if (!r)
        return -ENOMEM;
    r->server = server;
    arena_init(&r->arena, 0);
    map_init(&r->files_by_name, &seed);
    map_init(&r->symbols, &seed);
    list_init(&r->extensions);
    r->methods[0] = (struct grpc_method){"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
                                         GRPC_BIDI, &info_handler, r, RIGHT_KNOWN};
    r->methods[1] = (struct grpc_method){"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                                         GRPC_BIDI, &info_handler, r, RIGHT_KNOWN};
    *ret = r;
    return 0;
}

struct reflection *reflection_free(struct reflection *r)
{
    if (!r)
        return NULL;
    map_deinit(&r->files_by_name);
    map_deinit(&r->symbols);
    arena_deinit(&r->arena);
    return mem_free(r);
}

const struct grpc_method *reflection_methods(const struct reflection *r, size_t *ret_n)
{
    *ret_n = ARRAY_LEN(r->methods);
    return r->methods;
}
