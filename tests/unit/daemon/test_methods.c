// SPDX-License-Identifier: Apache-2.0
/* Every method of the contract stands once in the rows of the rooms, and it is called as the contract says. */
#include "dispatch/dispatch.h"
#include "google/protobuf/descriptor.pb-c.h"
#include "proto/descriptor_set.h"
#include "service/health.h"
#include "service/reflection.h"
#include "service/reload.h"
#include "service/system.h"
#include "tests/unit/service/harness.h"

enum { ROWS_MAX = 128, SOURCES = 8 };

/* Everything that the daemon adds to its table. */
struct rows {
    struct health *health;
    struct reflection *reflection;
    struct dispatch *dispatch;
    struct system *system;
    struct drain drain;
    struct reload reload;
    struct {
        const struct grpc_method *rows;
        size_t n;
    } sources[SOURCES];
};

static const struct runpage *no_page(void *context, uint64_t key)
{
    return NULL;
}

static void no_kill(void *context, uint64_t key, const char *why)
{
}

static uint32_t no_pid(void *context, uint64_t key)
{
    return 0;
}

static void rows_init(struct rows *r, struct harness *h)
{
    const struct dispatch_config config = {.pool = {.page = no_page, .kill = no_kill, .pid = no_pid}};
    const struct system_config system_config = {0};
    const struct drain_world world = {0};
    const struct reload_world reload_world = {0};

    assert_int_equal(health_new(&r->health, h->server), 0);
    assert_int_equal(reflection_new(&r->reflection, h->server), 0);
    assert_int_equal(dispatch_new(&r->dispatch, h->engine, &config), 0);
    assert_int_equal(system_new(&r->system, h->engine, h->server, &system_config), 0);
    r->sources[0].rows = futures_methods(h->futures, &r->sources[0].n);
    r->sources[1].rows = functions_methods(h->functions, &r->sources[1].n);
    r->sources[2].rows = dispatch_methods(r->dispatch, &r->sources[2].n);
    r->sources[3].rows = health_methods(r->health, &r->sources[3].n);
    r->sources[4].rows = reflection_methods(r->reflection, &r->sources[4].n);
    r->sources[5].rows = system_methods(r->system, &r->sources[5].n);
    reload_init(&r->reload, &reload_world);
    r->sources[6].rows = reload_methods(&r->reload, &r->sources[6].n);
    drain_init(&r->drain, h->engine, &world);
    r->sources[7].rows = drain_methods(&r->drain, &r->sources[7].n);
}

static void rows_deinit(struct rows *r)
{
    system_free(r->system);
    dispatch_free(r->dispatch);
    reflection_free(r->reflection);
    health_free(r->health);
}

static enum grpc_kind kind_of(const Google__Protobuf__MethodDescriptorProto *m)
{
    if (m->client_streaming)
        return m->server_streaming ? GRPC_BIDI : GRPC_CLIENT_STREAM;
    return m->server_streaming ? GRPC_SERVER_STREAM : GRPC_UNARY;
}

/* How often @path stands in the rows, as @kind. */
static int count(const struct rows *r, const char *path, enum grpc_kind kind)
{
    int n = 0;

    for (size_t i = 0; i < SOURCES; i++)
        for (size_t k = 0; k < r->sources[i].n; k++)
            if (strcmp(r->sources[i].rows[k].path, path) == 0) {
                if (r->sources[i].rows[k].kind != kind)
                    fail_msg("%s: unary or streaming?", path);
                assert_non_null(r->sources[i].rows[k].handler);
                n++;
            }
    return n;
}

static void test_every_method_once(void **state)
{
    Google__Protobuf__FileDescriptorSet *set = google__protobuf__file_descriptor_set__unpack(
            NULL, futured_descriptor_set_bytes, futured_descriptor_set);
    size_t n_contract = 0, n_rows = 0;
    struct harness h;
    struct rows r;

    assert_non_null(set);
    harness_init(&h, NULL);
    rows_init(&r, &h);
    for (size_t i = 0; i < set->n_file; i++)
        for (size_t k = 0; k < set->file[i]->n_service; k++) {
            const Google__Protobuf__ServiceDescriptorProto *service = set->file[i]->service[k];

            for (size_t m = 0; m < service->n_method; m++, n_contract++) {
                char path[256];
                int n;

                snprintf(path, sizeof path, "/%s.%s/%s", set->file[i]->package, service->name,
                         service->method[m]->name);
                n = count(&r, path, kind_of(service->method[m]));
                if (n != 1)
                    fail_msg("%s stands %d times", path, n);
            }
        }
    for (size_t i = 0; i < SOURCES; i++)
        n_rows += r.sources[i].n;
    assert_int_equal(n_rows, n_contract); /* and there is none beside */
    assert_true(n_contract > 40);
    rows_deinit(&r);
    harness_deinit(&h);
    google__protobuf__file_descriptor_set__free_unpacked(set, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_every_method_once),
    };

    return cmocka_run_group_tests_name("daemon/methods", tests, NULL, NULL);
}
