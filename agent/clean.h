/* What an agent leaves in the kernel on purpose, so that pods and connections go on without it, taken away: its tables
 * of nf_tables, its routes, the tunnel to other nodes, the address of its name server. For a node that stops being one;
 * containers and their interfaces are not touched. */
#ifndef AGENT_CLEAN_H
#define AGENT_CLEAN_H

#include "base/err.h"

/* Blocking; root. All of it is tried; the first error is told. What is not there is no error. */
int clean_node(struct error *err);

#endif
