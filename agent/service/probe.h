/* What the kernel must be able to do so that it can balance services. */
#ifndef AGENT_SERVICE_PROBE_H
#define AGENT_SERVICE_PROBE_H

#include "agent/service/nft.h"
#include "base/err.h"

/* Sends a transaction that has no end, so that the kernel checks it and does nothing. 0 or -errno: its first error. */
typedef int service_probe_try(const struct nft *n, void *data);

/* Tries each thing that the skeleton is made of by itself. ERR_UNSUPPORTED tells all that is missing, by the names of
 * the kernel's options. */
int service_probe(service_probe_try *try, void *data, struct error *err);

#endif
