/* What the machine of a pod (pod.c) and its orders (pod_orders.c) share; nobody else includes this. */
#ifndef AGENT_POD_POD_INT_H
#define AGENT_POD_POD_INT_H

#include "agent/pod/pod.h"

#define POD_NEVER INT64_MAX /* a timer that is not set */

static inline int64_t pod_now(const struct pod *p)
{
    return env_now_ms(p->node->env);
}
/* Does what the table says of this event in the present state: nothing, if it says nothing, or if the agent ends. The
 * caller ends with pod_settle. */
void pod_handle(struct pod *p, enum pod_event ev);
/* Its time from now on: activeDeadlineSeconds counts from the start of the pod. */
void pod_begin_time(struct pod *p);
/* Gives back what is next; at the end the pod has finished or is gone. */
void pod_clean_step(struct pod *p);
const char *pod_stop_why(const struct pod *p); /* for the journal; literal text */
struct container *pod_container_new(struct pod *p, const struct podspec_container *spec); /* freed by pod_free */

#endif
