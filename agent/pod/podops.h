/* What pods ask of their node (struct pod_ops), done by the agent's runtime, network, volumes and images: podops.c,
 * podops_start.c (what a container needs before it runs), podops_check.c (probes and hooks). Loop thread only. */
#ifndef AGENT_POD_PODOPS_H
#define AGENT_POD_PODOPS_H

#include "agent/dataplane.h"
#include "agent/pod/pods.h"

static inline struct agent *podops_agent(const struct pod *p)
{
    return p->node->data;
}
/* What a pod may be told of the node and of itself, with its address. */
static inline struct podspec_facts podops_facts(const struct pod *p)
{
    struct podspec_facts f = p->node->facts;
    f.pod_ip = p->ip;
    f.services = dataplane_known(podops_agent(p));
    return f;
}
/* Limits of its control group: the sum of its containers', and the node's bound of processes. */
static inline struct cgroup_limits podops_limits(const struct pod *p)
{
    struct cgroup_limits limits;
    podspec_pod_limits(p->spec, &limits);
    limits.pids_max = podops_agent(p)->pod_pids;
    return limits;
}
/* Rows of struct pod_ops (agent/pod/pod.h), which says what each does and answers. */
int podops_volumes_mount(struct pod *p, struct error *err);
void podops_volumes_update(struct pod *p);
void podops_image_ensure(struct container *c);
bool podops_pull_lacks(const struct container *c);
int podops_start(struct container *c, struct error *err);
void podops_hook(struct container *c, const struct podspec_handler *h, int64_t timeout_ms);
void podops_probe(struct container *c, int which);
extern const struct pod_ops podops;
/* Looks at the timers of all pods when one of them may be due. */
void podops_on_wake(uv_timer_t *t);
/* a->node_ip is another one: pods on the node's network have it, and all tell it. */
void podops_node_ip_changed(struct agent *a);
/* The runtime's event: a container of any pod has ended. data: the agent. */
void podops_on_exit(const struct runtime_status *st, void *data);

/* ---- podops_paths.c ---- */
/* Moves the process that holds the pod's shared PID namespace into the pod's control group: in the agent's own group it
 * might be killed together with the agent. */
void podops_place_holder(struct agent_pod *ap);
void podops_sandbox_paths(struct agent_pod *ap); /* into ap->sandbox, which stays as it was if none is there */

/* At the start: the user ids of sandboxes that are there from before are taken, so that no other pod gets them. */
void podops_keep_userids(struct agent *a);

#endif
