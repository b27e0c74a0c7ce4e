/* Network policies as elements of the kernel's table (skeleton.h): what masters tell and the pods that are here go in,
 * cells come out. Pure.
 *
 * Messages are those of the feed node.policies (master/nodes/policing.h): {revision, whole, policies: [objects],
 * gone: [{namespace, name}], classes: [{key, whole, short, members: [[address, [[name, protocol, port]...]]...],
 * gone: [address...]}], dropped: [key...], complete}. Nothing is changed before `complete`.
 *
 * A pod here that some policy selects for a direction is in pods-in or pods-out. For each identity that a rule names it
 * has an element with a list of ports; pods that the same policies select, and that call ports alike, share the work.
 * A rule's port that has a name is the number that the pod which is connected to has under that name, with the same
 * protocol; in an egress rule for a range of addresses no port has a name.
 *
 * Limits: what the rules of a pod allow beyond POLICY_GRANTS_MAX pairs of an identity and ports is not allowed, nor
 * what needs more than POLICY_WORK_MAX such pairs once everybody's are added to each identity's, or more than
 * POLICY_ELEMENTS_MAX elements of all pods. */
#ifndef AGENT_POLICY_CORE_H
#define AGENT_POLICY_CORE_H

#include "agent/policy/cells.h"
#include "proto/model/msgpack.h"
#include "proto/schema/object.h"

#define POLICY_GRANTS_MAX   32768u
#define POLICY_WORK_MAX     262144u
#define POLICY_ELEMENTS_MAX 524288u

struct policy_core;
struct policy_core *policy_core_new(struct cells *cells); /* borrowed */
void policy_core_free(struct policy_core *c);

void policy_core_told(struct policy_core *c, struct mp message);
/* All of it as one message, which policy_core_told reads back; appended. */
void policy_core_write(const struct policy_core *c, struct buf *out);
/* All policies that were committed up to this revision and select a pod that was bound to this node up to it are known.
 * 0: nothing is, or it is being told anew. */
uint64_t policy_core_revision(const struct policy_core *c);

/* What was told came from before the agent's start; until all is told anew. What masters knew of addresses that others
 * have meanwhile counts for nobody. */
void policy_core_remembered(struct policy_core *c);

/* A pod here, with its address; new, or another than before. Its status has the address that masters know, in their
 * states from this revision on. Pods that policies are not for are passed over.
 *
 * What is told of an address is said of the pod that had it in the masters' state of that time, which may be another
 * one than has it now. As a peer such a pod is never more than it is: what was told of the address counts for it only
 * if masters knew it there when they told it. Else it counts for the one pod that they knew there, where that one is
 * now, or for nobody: a pod that comes to an address is nobody's peer until its status is known and policies were told
 * of a state that has it. */
void policy_core_put_pod(struct policy_core *c, const struct object *pod, uint32_t ip, uint64_t revision);
void policy_core_remove_pod(struct policy_core *c, struct str uid);
/* Does a policy that is known select it? */
bool policy_core_selects(const struct policy_core *c, const struct object *pod);

/* Brings the cells up to date; nothing while something is being told in parts. */
void policy_core_settle(struct policy_core *c);

struct policy_core_stats {
    size_t policies, pods, identities, groups;
    char overflow[128]; /* "NAMESPACE/NAME" of a pod for which policies allow too much, or "" */
    char lacking[128];  /* "NAMESPACE/NAME" of a policy some of whose peers masters had no room for, or "" */
};
void policy_core_get_stats(const struct policy_core *c, struct policy_core_stats *out);

#endif
