/* What the containers of this node and the node itself use of cpu and memory, measured once a period and told to the
 * masters (controllers/usage.h has the words of it).
 *
 * Cpu is counted by the kernel since the group was made: the difference of two looks is the mean of the time between.
 * So a container is told of from its second look on, and a pod when all of its containers that run are. A few
 * containers are looked at in one turn of the loop. A report that cannot be sent is lost: the next one says more. Of
 * hollow containers the runtime tells what it was told (agent/runtime/runtime.h). Loop thread only. */
#ifndef AGENT_METER_H
#define AGENT_METER_H

#include "agent/agent_int.h"

#define METER_STEP           16u /* containers in one turn: about a millisecond */
#define METER_CONTAINERS_MAX 4096u

struct meter;
struct meter *meter_new(struct agent *a);
/* The masters take reports, one each period; 0: they do not. */
void meter_set_period(struct meter *m, int64_t period_ms);
void meter_tell_services(struct meter *m, bool tells); /* they take the revision of what is known of Services, too */
/* The session must be stopped before. */
void meter_close(struct meter *m, void (*cb)(void *data), void *data);

#endif
