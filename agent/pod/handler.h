/* Which OCI runtime runs the containers of a pod: the handler of its RuntimeClass, of which masters tell the node.
 * Source: Kubernetes node.k8s.io/v1 RuntimeClass. Loop thread only. */
#ifndef AGENT_POD_HANDLER_H
#define AGENT_POD_HANDLER_H

#include "agent/pod/pods.h"

#define HANDLER_CRUN "crun" /* the runtime that every node has, by its name as a handler */
#define HANDLER_SIZE 64u    /* a DNS label */

/* Looks which one it is before the pod begins, and keeps it for as long as the agent runs: a class that goes later
 * takes nothing away. ERR_BUSY: the classes are not known yet; ERR_NOT_FOUND: there is no such class; ERR_UNSUPPORTED:
 * the agent is not given that handler, or cannot run it. */
int handler_find(struct agent_pod *ap, struct error *err);
/* For a container that is to start: the one that the pod began with, as its other containers tell after a restart of
 * the agent; else as above. name: "" for crun itself, as runtime_spec.handler has it. */
int handler_of_pod(struct agent_pod *ap, char name[HANDLER_SIZE], struct error *err);

/* Reads NAME=PATH into h, which points into the arena. ERR_USAGE. */
int handler_parse(struct arena *a, const char *text, struct runtime_handler *h, struct error *err);

#endif
