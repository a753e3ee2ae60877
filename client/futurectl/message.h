// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Any message of the contract as JSON, from its descriptor, so that a new field needs no line here.
 *
 * Names are those of the .proto. Numbers, strings, enums (by name), lists and maps are always there; messages and
 * members of an oneof only where they are set. Bytes are base64 under their name and, where they are UTF-8, the
 * text itself under NAME_text. A Timestamp is RFC 3339 in UTC, a Duration like "1.5s". 64-bit numbers are numbers;
 * those above 2^63-1 lose their last digits, as they do in most readers of JSON.
 */
#include "base/bytes.h"

#include <jansson.h>

#include <protobuf-c/protobuf-c.h>

/* message_to_json: a new reference; NULL: no memory. */
MUST_CHECK json_t *message_to_json(const ProtobufCMessage *message);

/* message_read_json: the same for an encoded message. NULL: malformed, or no memory. */
MUST_CHECK json_t *message_read_json(const ProtobufCMessageDescriptor *descriptor, struct span wire);
