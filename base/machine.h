/* What this machine has, as far as this process may use it: defaults of limits are made of it. */
#ifndef BASE_MACHINE_H
#define BASE_MACHINE_H

#include <stdint.h>

/* Bytes of memory: what is built in, or the lowest memory.max of the control groups (version 2) that this process is
 * in. Never 0. */
uint64_t machine_memory_bytes(void);

/* The architecture that this program was built for, in the words of OCI images: "amd64", "arm64"; "" = another one. */
const char *machine_arch(void);

#endif
