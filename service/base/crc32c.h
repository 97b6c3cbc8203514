/*
 * crc32c: the Castagnoli checksum, in hardware where the processor has it.
 */
#ifndef SERVICE_BASE_CRC32C_H
#define SERVICE_BASE_CRC32C_H

#include "service/base/base.h"

/* Continues from `seed` (0 to start). */
uint32_t crc32c(uint32_t seed, str bytes);
/* The same without the processor's help: what the test compares with. */
uint32_t crc32c_portable(uint32_t seed, str bytes);

#endif
