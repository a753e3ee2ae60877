// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * grpc.health.v1.Health: whether the server ("") and each registered service take calls. Check answers once,
 * Watch answers at once and on each change. The services known are those of the method table; a status that
 * was never set is NOT_SERVING. Beside them there is the pool (HEALTH_POOL), once something was said of it. Bounded:
 * HEALTH_WATCHERS_MAX open watches, then RESOURCE_EXHAUSTED.
 */
#include "grpc/server.h"

struct health;

enum health_status { HEALTH_SERVING = 1, HEALTH_NOT_SERVING = 2 }; /* the numbers of the contract */

enum { HEALTH_WATCHERS_MAX = 4096 };

/* health_new: all NOT_SERVING.
 *   Owns:   the caller, who frees it after the connections and before or after @server, which it borrows.
 *   Return: 0, -ENOMEM. */
MUST_CHECK int health_new(struct health **ret, const struct grpc_server *server);
struct health *health_free(struct health *h);

/* health_methods: the rows for grpc_server_add; they live as long as @h. */
const struct grpc_method *health_methods(const struct health *h, size_t *ret_n);

/* health_set_all: the server and every service, those set one by one included. Watchers are told. */
void health_set_all(struct health *h, enum health_status status);

/* health_set: one service, or with "" the server as a whole and nothing else.
 *   Return: 0; HEALTH_E_UNKNOWN (no row of the method table has this service); -ENOMEM. */
enum { HEALTH_E_UNKNOWN = 1 };
MUST_CHECK int health_set(struct health *h, const char *service, enum health_status status);

/* health_set_pool: the pool serves as the whole does, but while @is_failing it does not. Watchers are told. */
#define HEALTH_POOL "futured.pool"
void health_set_pool(struct health *h, int is_failing);

/* health_shutdown: for the drain. All is NOT_SERVING for good, every watcher is told so and its call ended
 * with UNAVAILABLE (a watch has no end of its own and would hold the drain up); a later Watch ends at once. */
void health_shutdown(struct health *h);
