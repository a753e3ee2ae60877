// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * grpc.reflection.v1 and v1alpha ServerReflection: a client learns the contract from the server. The files
 * come from FileDescriptorSets (proto/descriptor_set.h), indexed once; the services from the method table.
 */
#include "grpc/server.h"

struct reflection;

enum { REFLECTION_QUESTION_MAX_BYTES = 4096 }; /* one request; a longer one ends the call INVALID_ARGUMENT */

/* reflection_new: without any file. @server is borrowed. Owns: the caller, who frees it after the
 * connections. 0, -ENOMEM. */
MUST_CHECK int reflection_new(struct reflection **ret, const struct grpc_server *server);
struct reflection *reflection_free(struct reflection *r);

/* reflection_add: index the files of a FileDescriptorSet whose bytes outlive @r. A file of a name that is
 * known already is skipped, so sets may share imports. Before the first call only.
 *   Return: 0; REFLECTION_E_MALFORMED (no such set, a symbol twice, or an import that is in no set before
 *   it); -ENOMEM. After any but 0 only reflection_free. */
enum { REFLECTION_E_MALFORMED = 1 };
MUST_CHECK int reflection_add(struct reflection *r, struct span descriptor_set);

/* reflection_methods: the rows for grpc_server_add; they live as long as @r. */
const struct grpc_method *reflection_methods(const struct reflection *r, size_t *ret_n);
