/* Gangs: pods that get nodes all together or not at all, and the PodGroup that says so.
 *
 * A pod belongs to the PodGroup of its namespace that spec.schedulingGroup.podGroupName names, from its creation on.
 * The policy `gang` of the group asks for so many members at the same time (minCount); with the policy `basic` its pods
 * are placed one by one, as all others.
 * Source: KEP-4671, as of Kubernetes v1.36 (scheduling.k8s.io/v1alpha2 PodGroup, core/v1 PodSchedulingGroup). In v1.35
 * a group was an entry of a Workload, and pods named both (workloadRef); there is no Workload here: it is a template of
 * groups, for controllers, and places nothing. Pure. */
#ifndef PROTO_FACTS_GANG_H
#define PROTO_FACTS_GANG_H

#include "proto/schema/object.h"

/* Members that are placed in one transaction: the greatest minCount. Theirs is the longest turn of a master. */
#define GANG_MEMBERS_MAX    1000
#define GANG_CONDITION      "PodGroupScheduled"
#define GANG_REASON_PLACED  "Scheduled"
#define GANG_REASON_WAITING "Unschedulable"

/* The name of its group; empty: it belongs to none. */
struct str gang_of_pod(const struct object *pod);
/* How many members must have a place at the same time; 0: it is no gang. group: a PodGroup. */
int64_t gang_min_count(const struct object *group);
bool gang_is_placed(const struct object *group); /* it says so of itself */

#endif
