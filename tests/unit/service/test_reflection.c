// SPDX-License-Identifier: Apache-2.0
/* Reflection over a loopback connection. The judge is the generated code: it makes the requests, reads the
 * answers, and walks over the descriptor set to say which symbols there are. */
#include "proto/descriptor_set.h"
#include "service/reflection.h"
#include "tests/support/loopback.h"
#include "tests/support/testing.h"

#include <google/protobuf/descriptor.pb-c.h>
#include <grpc/reflection/v1/reflection.pb-c.h>

#define INFO       "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
#define INFO_ALPHA "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"

typedef Grpc__Reflection__V1__ServerReflectionRequest request_t;
typedef Grpc__Reflection__V1__ServerReflectionResponse response_t;
typedef Grpc__Reflection__V1__ServerReflectionRequest__MessageRequestCase question_t;
typedef Google__Protobuf__FileDescriptorProto file_t;
typedef Google__Protobuf__FileDescriptorSet set_t;
typedef Google__Protobuf__DescriptorProto message_t;
typedef Google__Protobuf__EnumDescriptorProto enum_t;
typedef Google__Protobuf__ServiceDescriptorProto service_t;
typedef Google__Protobuf__FieldDescriptorProto field_t;

#define BY_NAME   GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_BY_FILENAME
#define OF_SYMBOL GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_SYMBOL
#define OF_EXTENSION \
    GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_EXTENSION
#define NUMBERS  GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_ALL_EXTENSION_NUMBERS_OF_TYPE
#define SERVICES GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_LIST_SERVICES
#define ANSWER_FILES \
    GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_FILE_DESCRIPTOR_RESPONSE
#define ANSWER_NUMBERS \
    GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ALL_EXTENSION_NUMBERS_RESPONSE
#define ANSWER_SERVICES \
    GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_LIST_SERVICES_RESPONSE
#define ANSWER_ERROR GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ERROR_RESPONSE

static const struct grpc_method other_methods[] = {
        {"/a.v1.Things/Get", GRPC_UNARY, NULL, NULL, 0},
        {"/b.v1.Others/Get", GRPC_UNARY, NULL, NULL, 0},
        {"/a.v1.Things/Put", GRPC_UNARY, NULL, NULL, 0},
};

struct fixture {
    struct grpc_server *server;
    struct reflection *reflection;
    struct loopback lo;
    struct loopback_call call; /* one open stream */
    size_t n_answers;          /* taken from it */
    set_t *set;                /* the contract's files */
};

static int setup(void **state)
{
    const struct grpc_server_config config = {.max_message_bytes = 1 << 20};
    const struct span set = {futured_descriptor_set, futured_descriptor_set_bytes};
    struct fixture *f = mem_zalloc(sizeof *f);
    const struct grpc_method *methods;
    size_t n;

    assert_non_null(f);
    assert_int_equal(grpc_server_new(&f->server, &config), 0);
    assert_int_equal(reflection_new(&f->reflection, f->server), 0);
    assert_int_equal(reflection_add(f->reflection, set), 0);
    methods = reflection_methods(f->reflection, &n);
    assert_int_equal(grpc_server_add(f->server, methods, n), 0);
    assert_int_equal(grpc_server_add(f->server, other_methods, ARRAY_LEN(other_methods)), 0);
    f->set = google__protobuf__file_descriptor_set__unpack(NULL, set.len, set.p);
    assert_non_null(f->set);
    loopback_init(&f->lo, f->server);
    loopback_call(&f->lo, &f->call, INFO, 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    loopback_deinit(&f->lo);
    loopback_call_deinit(&f->call);
    assert_null(reflection_free(f->reflection));
    grpc_server_free(f->server);
    google__protobuf__file_descriptor_set__free_unpacked(f->set, NULL);
    mem_free(f);
    return 0;
}

static void send_request(struct loopback_call *c, const request_t *request)
{
    size_t n = grpc__reflection__v1__server_reflection_request__get_packed_size(request);
    uint8_t *packed = mem_alloc(n + 1);

    assert_non_null(packed);
    grpc__reflection__v1__server_reflection_request__pack(request, packed);
    loopback_send(c, packed, n);
    mem_free(packed);
}

/* Ask the open stream about a text; the answer must repeat the question. To be freed by the caller. */
static response_t *ask(struct fixture *f, question_t kind, const char *text)
{
    char *copy = mem_strndup(text, strlen(text)), host[] = "h";
    request_t request = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    struct span message;
    response_t *response;

    request.host = host;
    request.message_request_case = kind;
    request.file_by_filename = copy; /* all but the extension share the place of this member */
    send_request(&f->call, &request);
    mem_free(copy);
    loopback_pump(&f->lo);
    message = loopback_message(&f->call, f->n_answers++);
    response = grpc__reflection__v1__server_reflection_response__unpack(NULL, message.len, message.p);
    assert_non_null(response);
    assert_string_equal(response->valid_host, "h");
    assert_int_equal(response->original_request->message_request_case, kind);
    assert_string_equal(response->original_request->file_by_filename, text);
    return response;
}

static void response_free(response_t *response)
{
    grpc__reflection__v1__server_reflection_response__free_unpacked(response, NULL);
}

static file_t *file_in(const response_t *response, size_t i)
{
    ProtobufCBinaryData data;
    file_t *file;

    assert_int_equal(response->message_response_case, ANSWER_FILES);
    assert_true(i < response->file_descriptor_response->n_file_descriptor_proto);
    data = response->file_descriptor_response->file_descriptor_proto[i];
    file = google__protobuf__file_descriptor_proto__unpack(NULL, data.len, data.data);
    assert_non_null(file);
    return file;
}

static void file_free(file_t *file)
{
    google__protobuf__file_descriptor_proto__free_unpacked(file, NULL);
}

static int error_of(const response_t *response)
{
    assert_int_equal(response->message_response_case, ANSWER_ERROR);
    assert_true(strlen(response->error_response->error_message) > 0);
    return response->error_response->error_code;
}

static void test_list_services(void **state)
{
    static const char *const expect[] = {"grpc.reflection.v1.ServerReflection",
                                         "grpc.reflection.v1alpha.ServerReflection", "a.v1.Things",
                                         "b.v1.Others"};
    response_t *response = ask(*state, SERVICES, "*");

    assert_int_equal(response->message_response_case, ANSWER_SERVICES);
    assert_int_equal(response->list_services_response->n_service, ARRAY_LEN(expect));
    for (size_t i = 0; i < ARRAY_LEN(expect); i++)
        assert_string_equal(response->list_services_response->service[i]->name, expect[i]);
    response_free(response);
}

/* Each file by its name: it comes first; on one stream nothing but the file asked for comes twice; and in the
 * end all imports of what came have come. */
static void test_files(void **state)
{
    struct fixture *f = *state;
    size_t *seen = mem_zalloc(f->set->n_file * sizeof *seen), n_all = 0;
    response_t *response;
    file_t *file;

    assert_non_null(seen);
    for (size_t i = f->set->n_file; i-- > 0;) {
        response = ask(f, BY_NAME, f->set->file[i]->name);
        for (size_t k = 0; k < response->file_descriptor_response->n_file_descriptor_proto; k++) {
            file = file_in(response, k);
            if (k == 0)
                assert_string_equal(file->name, f->set->file[i]->name);
            for (size_t j = 0; j < f->set->n_file; j++)
                if (strcmp(f->set->file[j]->name, file->name) == 0 && (seen[j]++ == 0 || k > 0)) {
                    assert_int_equal(seen[j], 1);
                    n_all++;
                }
            file_free(file);
        }
        response_free(response);
        /* closed under import, after each answer */
        for (size_t j = 0; j < f->set->n_file; j++)
            for (size_t k = 0; seen[j] && k < f->set->file[j]->n_dependency; k++)
                for (size_t m = 0; m < f->set->n_file; m++)
                    if (strcmp(f->set->file[m]->name, f->set->file[j]->dependency[k]) == 0)
                        assert_true(seen[m] > 0);
    }
    assert_int_equal(n_all, f->set->n_file);
    mem_free(seen);
}

/* A file's bytes are those of the set. */
static void test_bytes_unchanged(void **state)
{
    struct fixture *f = *state;
    response_t *response = ask(f, BY_NAME, "futured/v1/futures.proto");
    ProtobufCBinaryData data = response->file_descriptor_response->file_descriptor_proto[0];

    assert_non_null(memmem(futured_descriptor_set, futured_descriptor_set_bytes, data.data, data.len));
    response_free(response);
}

static size_t expect_symbol(struct fixture *f, const file_t *file, const char *scope, const char *name)
{
    char full[512];
    response_t *response;
    file_t *got;

    snprintf(full, sizeof full, "%s%s%s", scope, *scope ? "." : "", name);
    response = ask(f, OF_SYMBOL, full);
    got = file_in(response, 0);
    assert_string_equal(got->name, file->name);
    file_free(got);
    response_free(response);
    return 1;
}

static size_t expect_enum(struct fixture *f, const file_t *file, const char *scope, const enum_t *e)
{
    size_t n = expect_symbol(f, file, scope, e->name);

    for (size_t i = 0; i < e->n_value; i++)
        n += expect_symbol(f, file, scope, e->value[i]->name);
    return n;
}

static size_t expect_message(struct fixture *f, const file_t *file, const char *scope, const message_t *m)
{
    char inner[512];
    size_t n = expect_symbol(f, file, scope, m->name);

    snprintf(inner, sizeof inner, "%s.%s", scope, m->name);
    for (size_t i = 0; i < m->n_field; i++)
        n += expect_symbol(f, file, inner, m->field[i]->name);
    for (size_t i = 0; i < m->n_oneof_decl; i++)
        n += expect_symbol(f, file, inner, m->oneof_decl[i]->name);
    for (size_t i = 0; i < m->n_enum_type; i++)
        n += expect_enum(f, file, inner, m->enum_type[i]);
    for (size_t i = 0; i < m->n_nested_type; i++)
        n += expect_message(f, file, inner, m->nested_type[i]);
    return n;
}

static size_t expect_service(struct fixture *f, const file_t *file, const char *scope, const service_t *s)
{
    char inner[512];
    size_t n = expect_symbol(f, file, scope, s->name);

    snprintf(inner, sizeof inner, "%s.%s", scope, s->name);
    for (size_t i = 0; i < s->n_method; i++)
        n += expect_symbol(f, file, inner, s->method[i]->name);
    return n;
}

static void test_symbols(void **state)
{
    struct fixture *f = *state;
    size_t n = 0;

    for (size_t i = 0; i < f->set->n_file; i++) {
        const file_t *file = f->set->file[i];

        for (size_t k = 0; k < file->n_message_type; k++)
            n += expect_message(f, file, file->package, file->message_type[k]);
        for (size_t k = 0; k < file->n_enum_type; k++)
            n += expect_enum(f, file, file->package, file->enum_type[k]);
        for (size_t k = 0; k < file->n_service; k++)
            n += expect_service(f, file, file->package, file->service[k]);
    }
    printf("%zu symbols\n", n);
    assert_in_range(n, 400, 100000);
}

static void test_not_found(void **state)
{
    static const struct {
        question_t kind;
        const char *text;
    } asked[] = {
            {BY_NAME, ""},
            {BY_NAME, "futured/v1/futures"},
            {BY_NAME, "/etc/passwd"},
            {OF_SYMBOL, ""},
            {OF_SYMBOL, "futured"},
            {OF_SYMBOL, "futured.v1"},
            {OF_SYMBOL, "futured.v1.Future."},
            {OF_SYMBOL, ".futured.v1.Future"},
            {NUMBERS, "futured.v1.Nothing"},
            {NUMBERS, "futured.v1.Futures"}, /* a service */
            {NUMBERS, "futured.v1.Task.function"},
    };

    for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
        response_t *response = ask(*state, asked[i].kind, asked[i].text);

        assert_int_equal(error_of(response), GRPC_NOT_FOUND);
        response_free(response);
    }
}

static void test_nothing_asked(void **state)
{
    struct fixture *f = *state;
    struct span message;
    response_t *response;

    loopback_send(&f->call, "", 0);
    loopback_pump(&f->lo);
    message = loopback_message(&f->call, 0);
    response = grpc__reflection__v1__server_reflection_response__unpack(NULL, message.len, message.p);
    assert_non_null(response);
    assert_int_equal(error_of(response), GRPC_INVALID_ARGUMENT);
    response_free(response);
}

static void test_no_extensions(void **state)
{
    struct fixture *f = *state;
    request_t request = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    Grpc__Reflection__V1__ExtensionRequest extension = GRPC__REFLECTION__V1__EXTENSION_REQUEST__INIT;
    char type[] = "futured.v1.Task";
    struct span message;
    response_t *response;

    response = ask(f, NUMBERS, type);
    assert_int_equal(response->message_response_case, ANSWER_NUMBERS);
    assert_string_equal(response->all_extension_numbers_response->base_type_name, type);
    assert_int_equal(response->all_extension_numbers_response->n_extension_number, 0);
    response_free(response);

    extension.containing_type = type;
    extension.extension_number = 1000;
    request.message_request_case = OF_EXTENSION;
    request.file_containing_extension = &extension;
    send_request(&f->call, &request);
    loopback_pump(&f->lo);
    message = loopback_message(&f->call, f->n_answers++);
    response = grpc__reflection__v1__server_reflection_response__unpack(NULL, message.len, message.p);
    assert_non_null(response);
    assert_int_equal(error_of(response), GRPC_NOT_FOUND);
    response_free(response);
}

static void test_end(void **state)
{
    struct fixture *f = *state;

    response_free(ask(f, SERVICES, ""));
    loopback_half_close(&f->call);
    loopback_pump(&f->lo);
    assert_true(f->call.is_done);
    assert_int_equal(f->call.status.code, GRPC_OK);
    assert_int_equal(f->call.n_messages, 1);
}

static void test_v1alpha(void **state)
{
    struct fixture *f = *state;
    request_t request = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    struct loopback_call alpha;
    char name[] = "futured/v1/future.proto", host[] = "h";
    struct span a, b;

    response_free(ask(f, BY_NAME, name));
    loopback_call(&f->lo, &alpha, INFO_ALPHA, 0);
    request.host = host;
    request.message_request_case = BY_NAME;
    request.file_by_filename = name;
    send_request(&alpha, &request);
    loopback_half_close(&alpha);
    loopback_pump(&f->lo);
    assert_true(alpha.is_done);
    assert_int_equal(alpha.status.code, GRPC_OK);
    a = loopback_message(&f->call, 0);
    b = loopback_message(&alpha, 0);
    assert_true(span_eq(a, b));
    loopback_call_deinit(&alpha);
}

static void test_malformed_requests(void **state)
{
    struct fixture *f = *state;
    struct loopback_call c;
    uint8_t bad[3][REFLECTION_QUESTION_MAX_BYTES + 1] = {{0x1a, 0x7f}, {0x1a, 0x01, 0xff}, {0x3a}};
    const size_t lens[3] = {2, 3, sizeof bad[2]};

    /* the last one is right but too long: list_services with a text to fill the space */
    bad[2][1] = (REFLECTION_QUESTION_MAX_BYTES - 2) % 128 + 128;
    bad[2][2] = (REFLECTION_QUESTION_MAX_BYTES - 2) / 128;
    for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
        loopback_call(&f->lo, &c, INFO, 0);
        loopback_send(&c, bad[i], lens[i]);
        loopback_pump(&f->lo);
        assert_true(c.is_done);
        assert_int_equal(c.status.code, GRPC_INVALID_ARGUMENT);
        assert_int_equal(c.n_messages, 0);
        loopback_call_deinit(&c);
    }
    loopback_call(&f->lo, &c, INFO, 0);
    bad[2][1]--; /* and as long as is allowed */
    loopback_send(&c, bad[2], lens[2] - 1);
    loopback_half_close(&c);
    loopback_pump(&f->lo);
    assert_true(c.is_done);
    assert_int_equal(c.status.code, GRPC_OK);
    assert_int_equal(c.n_messages, 1);
    loopback_call_deinit(&c);
}

/* A client that asks without reading costs a buffer and one answer, and gets all answers in the end. */
static void test_unread(void **state)
{
    enum { QUESTIONS = 500 };
    struct fixture *f = *state;
    struct h2_session *server = grpc_conn_session(f->lo.conn), *client = grpc_client_session(f->lo.client);
    const struct h2_config config = h2_config_client();
    char name[] = "futured/v1/workers.proto";
    request_t request = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    size_t answer_bytes;

    response_free(ask(f, BY_NAME, name));
    response_free(ask(f, BY_NAME, name)); /* without its imports, as all that follow */
    answer_bytes = loopback_message(&f->call, 1).len;
    assert_true(answer_bytes * QUESTIONS > 2 * (H2_STREAM_HIGH_BYTES + (size_t)config.stream_window_bytes));

    request.message_request_case = BY_NAME;
    request.file_by_filename = name;
    for (int i = 0; i < QUESTIONS; i++)
        send_request(&f->call, &request);
    while (loopback_move(&f->lo, client, server) > 0)
        ;
    assert_in_range(h2_session_pending_bytes(server), H2_STREAM_HIGH_BYTES / 2,
                    H2_STREAM_HIGH_BYTES + answer_bytes);
    loopback_half_close(&f->call);
    loopback_pump(&f->lo);
    assert_int_equal(f->call.n_messages, 2 + QUESTIONS);
    assert_true(f->call.is_done);
    assert_int_equal(f->call.status.code, GRPC_OK);
}

/* --- sets made for the purpose */

/* A packed set with file b.proto that imports a.proto and extends its message; @change spoils it. */
enum change { GOOD, NO_IMPORT, SYMBOL_TWICE, EXTENDEE_RELATIVE };

static struct buf make_set(enum change change)
{
    char a_name[] = "a.proto", b_name[] = "b.proto", pkg[] = "p", type[] = "M", dup[] = "E", value[] = "V";
    char extendee[] = ".p.M", ext_name[] = "x", inner_ext[] = "y", holder_name[] = "H";
    char *imports[] = {a_name};
    Google__Protobuf__EnumValueDescriptorProto v = GOOGLE__PROTOBUF__ENUM_VALUE_DESCRIPTOR_PROTO__INIT;
    field_t x = GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__INIT, y = x;
    message_t m = GOOGLE__PROTOBUF__DESCRIPTOR_PROTO__INIT, h = m;
    enum_t e = GOOGLE__PROTOBUF__ENUM_DESCRIPTOR_PROTO__INIT;
    file_t a = GOOGLE__PROTOBUF__FILE_DESCRIPTOR_PROTO__INIT, b = a;
    set_t set = GOOGLE__PROTOBUF__FILE_DESCRIPTOR_SET__INIT;
    Google__Protobuf__EnumValueDescriptorProto *values[] = {&v};
    field_t *file_extensions[] = {&x}, *message_extensions[] = {&y};
    message_t *messages[] = {&m}, *holders[] = {&h};
    enum_t *enums[] = {&e};
    file_t *files[] = {&a, &b};
    struct buf out = BUF_INIT;
    size_t n;

    v.name = value;
    x.name = ext_name;
    y.name = inner_ext;
    x.extendee = y.extendee = change == EXTENDEE_RELATIVE ? extendee + 1 : extendee;
    x.has_number = y.has_number = 1;
    x.number = 100;
    y.number = 101;
    m.name = type;
    h.name = holder_name;
    h.n_extension = 1;
    h.extension = message_extensions;
    e.name = change == SYMBOL_TWICE ? type : dup;
    e.n_value = 1;
    e.value = values;
    a.name = a_name;
    b.name = b_name;
    a.package = b.package = pkg;
    a.n_message_type = b.n_message_type = 1;
    a.message_type = messages;
    b.message_type = holders;
    a.n_enum_type = 1;
    a.enum_type = enums;
    b.n_dependency = 1;
    b.dependency = imports;
    b.n_extension = 1;
    b.extension = file_extensions;
    set.n_file = change == NO_IMPORT ? 1 : 2;
    set.file = change == NO_IMPORT ? files + 1 : files;
    n = google__protobuf__file_descriptor_set__get_packed_size(&set);
    assert_int_equal(buf_reserve(&out, n), 0);
    buf_commit(&out, google__protobuf__file_descriptor_set__pack(&set, buf_tail(&out)));
    return out;
}

static void test_extensions(void **state)
{
    struct fixture *f = *state;
    struct buf set = make_set(GOOD);
    const struct span bytes = {buf_head(&set), buf_len(&set)};
    request_t request = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    Grpc__Reflection__V1__ExtensionRequest extension = GRPC__REFLECTION__V1__EXTENSION_REQUEST__INIT;
    char type[] = "p.M";
    response_t *response;
    struct span message;
    file_t *file;

    assert_int_equal(reflection_add(f->reflection, bytes), 0);
    assert_int_equal(reflection_add(f->reflection, bytes), 0); /* known names are skipped */
    response = ask(f, NUMBERS, type);
    assert_int_equal(response->message_response_case, ANSWER_NUMBERS);
    assert_int_equal(response->all_extension_numbers_response->n_extension_number, 2);
    assert_int_equal(response->all_extension_numbers_response->extension_number[0] +
                             response->all_extension_numbers_response->extension_number[1],
                     201);
    response_free(response);

    extension.containing_type = type;
    extension.extension_number = 101;
    request.message_request_case = OF_EXTENSION;
    request.file_containing_extension = &extension;
    send_request(&f->call, &request);
    loopback_pump(&f->lo);
    message = loopback_message(&f->call, f->n_answers++);
    response = grpc__reflection__v1__server_reflection_response__unpack(NULL, message.len, message.p);
    assert_non_null(response);
    assert_int_equal(response->file_descriptor_response->n_file_descriptor_proto, 2);
    file = file_in(response, 0);
    assert_string_equal(file->name, "b.proto");
    file_free(file);
    response_free(response);

    for (size_t i = 0; i < 2; i++) { /* an extension is a symbol, where it is declared */
        response = ask(f, OF_SYMBOL, i ? "p.H.y" : "p.x");
        file = file_in(response, 0);
        assert_string_equal(file->name, "b.proto");
        file_free(file);
        response_free(response);
    }
    loopback_deinit(&f->lo); /* the set must outlive the reflection */
    reflection_free(TAKE_PTR(f->reflection));
    loopback_call_deinit(&f->call);
    buf_deinit(&set);

    assert_int_equal(reflection_new(&f->reflection, f->server), 0);
    loopback_init(&f->lo, f->server);
    f->call = (struct loopback_call){.is_done = 1};
}

static int add_to_new(struct span set)
{
    struct reflection *r;
    int rc = reflection_new(&r, NULL);

    if (rc)
        return rc;
    rc = reflection_add(r, set);
    reflection_free(r);
    return rc;
}

static void test_malformed_sets(void **state)
{
    static const enum change changes[] = {NO_IMPORT, SYMBOL_TWICE, EXTENDEE_RELATIVE};
    struct buf set;

    for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
        set = make_set(changes[i]);
        assert_int_equal(add_to_new((struct span){buf_head(&set), buf_len(&set)}), REFLECTION_E_MALFORMED);
        buf_deinit(&set);
    }
    set = make_set(GOOD);
    assert_int_equal(add_to_new((struct span){buf_head(&set), buf_len(&set)}), 0);
    for (size_t n = 1; n < buf_len(&set); n++) { /* cut off anywhere: an error, or the files before the cut */
        int rc = add_to_new((struct span){buf_head(&set), n});

        assert_true(rc == 0 || rc == REFLECTION_E_MALFORMED);
        if (n == buf_len(&set) - 1)
            assert_int_equal(rc, REFLECTION_E_MALFORMED);
    }
    buf_deinit(&set);
}

static void test_no_memory(void **state)
{
    struct buf set = make_set(GOOD);

    FAIL_EACH_ALLOCATION(nth)
    {
        int rc = add_to_new((struct span){buf_head(&set), buf_len(&set)});

        assert_int_equal(rc, test_allocation_failed() ? -ENOMEM : 0);
    }
    buf_deinit(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(test_list_services, setup, teardown),
            cmocka_unit_test_setup_teardown(test_files, setup, teardown),
            cmocka_unit_test_setup_teardown(test_bytes_unchanged, setup, teardown),
            cmocka_unit_test_setup_teardown(test_symbols, setup, teardown),
            cmocka_unit_test_setup_teardown(test_not_found, setup, teardown),
            cmocka_unit_test_setup_teardown(test_nothing_asked, setup, teardown),
            cmocka_unit_test_setup_teardown(test_no_extensions, setup, teardown),
            cmocka_unit_test_setup_teardown(test_end, setup, teardown),
            cmocka_unit_test_setup_teardown(test_v1alpha, setup, teardown),
            cmocka_unit_test_setup_teardown(test_malformed_requests, setup, teardown),
            cmocka_unit_test_setup_teardown(test_unread, setup, teardown),
            cmocka_unit_test_setup_teardown(test_extensions, setup, teardown),
            cmocka_unit_test(test_malformed_sets),
            cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests_name("service/reflection", tests, NULL, NULL);
}
