/* What the machine of a container (container.c) and its answers (container_answers.c) share; nobody else includes
 * this. */
#ifndef AGENT_POD_CONTAINER_INT_H
#define AGENT_POD_CONTAINER_INT_H

#include "agent/pod/pod.h"

static inline const struct pod_ops *container_ops(const struct container *c)
{
    return c->pod->node->ops;
}
static inline int64_t container_now(const struct container *c)
{
    return env_now_ms(c->pod->node->env);
}
/* Does what the table says of this event in the present state: nothing, if it says nothing, or if the agent ends. */
void container_handle(struct container *c, enum container_event ev);
/* What the status shows while it waits. Takes the message; NULL: none. */
void container_set_waiting(struct container *c, const char *reason, char *give_message);
/* Startup has passed: liveness and readiness are probed. was_ready: how it stands until the first answer. */
void container_start_checks(struct container *c, bool was_ready);
void container_refresh_ready(struct container *c); /* one without a readiness probe is ready when it has started */

#endif
