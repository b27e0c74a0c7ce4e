/* Nodes for a cell's cluster: one reeve-agent process with hollow nodes (containers are only pretended), on a machine
 * of its own on the fabric. Its journals say what really ran. Main thread only. */
#ifndef TESTS_FAULT_AGENTS_H
#define TESTS_FAULT_AGENTS_H

#include "tests/fault/cluster.h"

#define AGENTS_PORT 11u /* of the fabric */
#define AGENTS_MAX  4u

struct agents {
    struct cluster *cluster;
    const char *dir, *program;
    unsigned nodes;
    pid_t pid; /* 0 = down */
};
/* Joined and started. False: see agents.log. */
bool agents_up(struct agents *a, struct cluster *c, const char *dir, const char *program, unsigned nodes);
void agents_start(struct agents *a);
void agents_kill(struct agents *a);
bool agents_lost(struct agents *a, int *status); /* it has ended by itself; it is down then */
const char *agents_journal(struct arena *arena, const struct agents *a, unsigned node);

#endif
