/* Talking to the CNI plugin `bridge`, which uses `host-local` for addresses: its configuration, its run, its answer. A
 * plugin is a program: the configuration goes to its stdin, what is wanted into its environment, and its answer comes
 * from its stdout, JSON all of it. Source: CNI specification 1.0.0. */
#ifndef AGENT_NETWORK_CNI_H
#define AGENT_NETWORK_CNI_H

#include "agent/network/network.h"
#include "agent/runtime/process.h"

#define NETWORK_NAME "reeve" /* in the configuration; host-local's leases are in a directory of that name */

struct network_cni {
    const char *dir; /* leases are below it */
    const char *plugin_dir, *bridge, *pod_cidr;
    unsigned mtu; /* 0 = the plugin's choice */
};
/* Runs the plugin once. command: "ADD" or "DEL". Of the pod its uid, names, netns and wish are used; for DEL uid and
 * netns are enough. A wish that cannot be fulfilled is an error. cb as process_run; all arguments are copied. */
void network_cni_run(uv_loop_t *loop, const struct network_cni *n, const char *command, const struct network_pod *pod,
                     process_exit_cb *cb, void *data);
/* 0, or ERR_SYSTEM with what the plugin itself says went wrong, if it says it. */
int network_cni_error(const struct process_result *r, const char *plugin, struct error *err);
/* The first address of an answer to ADD, without its prefix length. ERR_SYSTEM if there is none, ERR_INVALID if the
 * answer is no JSON. */
int network_cni_address(struct str answer, char ip[64], struct error *err);

#endif
