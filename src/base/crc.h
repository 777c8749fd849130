/*
 * crc - CRC-32C (Castagnoli), as iSCSI (RFC 3720 appendix B.4) uses it.
 *
 * crc32c(crc32c(0, a), b) == crc32c(0, ab). Uses the processor's instruction where there is one.
 */
#ifndef BASE_CRC_H
#define BASE_CRC_H

#include <stddef.h>
#include <stdint.h>

uint32_t crc32c(uint32_t crc, const void *p, size_t n);

#endif
