/* Addresses that pods hold: a file named by the address for each, with the uid of its holder in its first line. The
 * files are as the CNI plugin host-local writes them, which earlier agents used.
 *
 * The first address of a range is the node's own, the last one nobody's. Addresses are given out in turn, so that one
 * that has just been given back is the last to come again. Blocking, short; nothing is waited for but the disk. */
#ifndef AGENT_NETWORK_LEASES_H
#define AGENT_NETWORK_LEASES_H

#include <netinet/in.h>
#include <stdint.h>

#include "base/err.h"
#include "proto/facts/cidr.h"

/* An address of the range for uid. wish 0: any. ERR_EXISTS: the wish is somebody else's or none that a pod can have;
 * ERR_LIMIT: all are taken. *out is in the machine's byte order. What uid holds already is not looked for. */
int leases_take(const char *dir, struct cidr range, const char *uid, uint32_t wish, uint32_t *out, struct error *err);
/* All that uid holds. at: the one that it is known to have, which spares looking through all of them; 0: not known. */
void leases_give(const char *dir, const char *uid, uint32_t at);

#endif
