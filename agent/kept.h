/* What a node needs of services, names, routes and network policies to go on without masters, also after its agent or
 * the whole machine was started anew: kept in the files DIR/services and DIR/policies, written at most every
 * KEPT_EACH_MS while it changes, when masters are lost, and at the end.
 * What masters say later takes its place. More than KEPT_BYTES_MAX is not kept. Loop thread only. */
#ifndef AGENT_KEPT_H
#define AGENT_KEPT_H

#include "base/mem.h"
#include "base/str.h"

#define KEPT_EACH_MS   30000
#define KEPT_BYTES_MAX (32u << 20)

struct agent;
void kept_open(struct agent *a); /* after names_open and isolation_open: what was kept is in force */
/* Ranges and domain as told: they go to the dataplane and to names as well. What is empty is as before. */
void kept_set_ranges(struct agent *a, struct str domain, struct str services, struct str pods);
void kept_set_overlay(struct agent *a, struct str routing, int64_t id, int64_t port); /* as network_set_overlay */
/* The cluster's podTokens: if it is Automatic, pods act as accounts, and may reach the masters (network/guard.h).
 * Empty, from an older master: it is not. */
void kept_set_pods_act(struct agent *a, struct str pod_tokens);
bool kept_pods_act(const struct agent *a); /* as last told, or kept */
void kept_changed(struct agent *a);        /* what is told of services or routes */
void kept_policies_changed(struct agent *a);
void kept_policies_now(struct agent *a); /* writes them, if they have changed */
void kept_check(struct agent *a);        /* once in a while: writes, if it is time */
void kept_now(struct agent *a);          /* the masters are lost: writes what is not written yet */
void kept_close(struct agent *a);        /* writes; before dataplane_close and isolation_close */

#endif
