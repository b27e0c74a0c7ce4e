/* The controllers, one per file. */
#ifndef CONTROLLERS_REGISTRY_H
#define CONTROLLERS_REGISTRY_H

#include "controllers/controller.h"

extern const struct controller controller_deployment, controller_replicaset, controller_garbage, controller_namespace,
    controller_node_lifecycle, controller_taint_eviction, controller_node_ipam, controller_pod_garbage,
    controller_event_ttl, controller_tokens;

#endif
