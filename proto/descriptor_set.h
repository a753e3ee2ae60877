// SPDX-License-Identifier: Apache-2.0
// The contract as data: a serialized google.protobuf.FileDescriptorSet of every .proto file of this folder
// and what they import, each file after its imports, without comments. It is linked in by
// futured-descriptors.
#ifndef FUTURED_PROTO_DESCRIPTOR_SET_H
#define FUTURED_PROTO_DESCRIPTOR_SET_H

#include <stddef.h>

extern const unsigned char futured_descriptor_set[];
extern const size_t futured_descriptor_set_bytes;

#endif
