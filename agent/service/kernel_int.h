/* Inside of kernel.h: the socket is kernel.c, what the kernel must be able to do is probe.c. */
#ifndef AGENT_SERVICE_KERNEL_INT_H
#define AGENT_SERVICE_KERNEL_INT_H

#include "agent/service/kernel.h"

/* Sends as it is. 0 or -errno: the first error. A transaction without its end is checked and undone. */
int service_kernel_try(struct service_kernel *k, const struct nft *n);
/* Tries each thing that the skeleton is made of by itself, in transactions that are never done. ERR_UNSUPPORTED tells
 * all that is missing, by the names of the kernel's options. */
int service_kernel_probe(struct service_kernel *k, struct error *err);

#endif
