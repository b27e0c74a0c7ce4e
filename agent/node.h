/* The Node object: what the machine has, and how it is. */
#ifndef AGENT_NODE_H
#define AGENT_NODE_H

#include "agent/agent_int.h"

/* reserved_bytes: as in agent.h */
void node_read_facts(struct agent *a, int64_t reserved_bytes);
/* Of a machine with so much memory, what pods are not given unless somebody says otherwise: a twentieth, at least 256
 * MiB and at most 2 GiB, but never more than a quarter. */
int64_t node_reserve_memory(int64_t memory_bytes);
int64_t node_memory_for_pods(const struct agent *a);
/* Three quarters of the processes that the kernel numbers: a crowd of pods that all fork leaves the node some. */
int64_t node_pids_for_pods(void);
void node_write(struct buf *out, void *data);
bool node_write_status(struct buf *out, void *data);
/* Looks at memory, disk and process ids; true if a condition changed. A pressure is told for five minutes more than it
 * lasts. */
bool node_check(struct agent *a);

#endif
