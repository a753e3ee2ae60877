// SPDX-License-Identifier: Apache-2.0
#pragma once
/* CRC32C (Castagnoli, reflected polynomial 0x82f63b78, as in RFC 3720): by the processor where it can, else by a small
 * table. Debian 12 has no C library for it. */
#include <stddef.h>
#include <stdint.h>

/* crc32c: the checksum of the @n bytes at @p behind those whose checksum is @crc (0 to begin). Any thread. */
uint32_t crc32c(uint32_t crc, const void *p, size_t n);

/* crc32c_portable: the same without the processor's help; for the test that compares them. */
uint32_t crc32c_portable(uint32_t crc, const void *p, size_t n);
