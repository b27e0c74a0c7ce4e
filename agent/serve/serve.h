/* Calls from masters, relayed from clients, and what their files share. */
#ifndef AGENT_SERVE_SERVE_H
#define AGENT_SERVE_SERVE_H

#include "agent/pod/pods.h"

void serve_request(struct rpc_request *r, struct str method, struct mp params, void *data);
void serve_logs(struct agent *a, struct rpc_request *r, struct mp params); /* serve/logs.c */
/* A container's end: its log followers finish. */
void serve_container_ended(struct agent *a, const char *uid, const char *container, unsigned attempt);
/* The pod and container (serve/find.c) that a call's parameters mean; NULL with the error for the caller. Without a
 * name: the pod's default, or its first container. */
struct agent_pod *serve_find_pod(struct agent *a, struct mp params, struct error *err);
struct container *serve_find_container(struct agent_pod *ap, struct mp params, struct error *err);
void serve_exec(struct agent *a, struct rpc_request *r, struct mp params);        /* serve/exec.c */
void serve_attach(struct agent *a, struct rpc_request *r, struct mp params);      /* serve/attach.c */
void serve_portforward(struct agent *a, struct rpc_request *r, struct mp params); /* serve/port.c */
void serve_image_load(struct agent *a, struct rpc_request *r, struct mp params);  /* serve/image.c */
void serve_image_list(struct agent *a, struct rpc_request *r, struct mp params);
void serve_image_remove(struct agent *a, struct rpc_request *r, struct mp params);
void serve_image_pull(struct agent *a, struct rpc_request *r, struct mp params); /* serve/image_pull.c */

#endif
