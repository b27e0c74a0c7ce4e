/* What pods ask of their node, done by the modules of this one: podops.c, podops_start.c, podops_check.c. */
#ifndef AGENT_POD_PODOPS_H
#define AGENT_POD_PODOPS_H

#include "agent/pod/pods.h"

static inline struct agent *podops_agent(const struct pod *p)
{
    return p->node->data;
}
static inline struct podspec_facts podops_facts(const struct pod *p)
{
    struct podspec_facts f = p->node->facts;
    f.pod_ip = p->ip;
    return f;
}
static inline struct cgroup_limits podops_limits(const struct pod *p)
{
    struct cgroup_limits limits;
    podspec_pod_limits(p->spec, &limits);
    limits.pids_max = podops_agent(p)->pod_pids;
    return limits;
}
int podops_volumes_mount(struct pod *p, struct error *err);
void podops_volumes_update(struct pod *p);
void podops_image_ensure(struct container *c);
int podops_start(struct container *c, struct error *err);
void podops_hook(struct container *c, const struct podspec_handler *h, int64_t timeout_ms);
void podops_probe(struct container *c, int which);
extern const struct pod_ops podops;
/* Looks at the timers of all pods when one of them may be due. */
void podops_on_wake(uv_timer_t *t);
void podops_on_exit(const struct runtime_status *st, void *data);

/* ---- podops_paths.c ---- */
/* The agent's own group may be killed with the agent: whoever holds a PID namespace belongs to the pod's. */
void podops_place_holder(struct agent_pod *ap);
void podops_sandbox_paths(struct agent_pod *ap); /* find what is there */

void podops_keep_userids(struct agent *a); /* those of sandboxes from before */

#endif
