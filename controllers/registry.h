/* The controllers, one per file. X(NAME) stands for `controller_NAME`, which the controller's file defines. Adding
 * one is a file and a line here. */
#ifndef CONTROLLERS_REGISTRY_H
#define CONTROLLERS_REGISTRY_H

#include "controllers/controller.h"

/* In the order in which they are served when several have work. */
#define CONTROLLERS(X)                                                                                                 \
    X(endpointslice)                                                                                                   \
    X(deployment)                                                                                                      \
    X(replicaset)                                                                                                      \
    X(replicationcontroller)                                                                                           \
    X(daemonset)                                                                                                       \
    X(statefulset)                                                                                                     \
    X(job)                                                                                                             \
    X(cronjob)                                                                                                         \
    X(horizontalpodautoscaler)                                                                                         \
    X(rivals)                                                                                                          \
    X(disruption)                                                                                                      \
    X(endpoints)                                                                                                       \
    X(endpoints_mirror)                                                                                                \
    X(load_balancer)                                                                                                   \
    X(ephemeral_claims)                                                                                                \
    X(claim_binder)                                                                                                    \
    X(volume_reclaim)                                                                                                  \
    X(service_repair)                                                                                                  \
    X(api_service)                                                                                                     \
    X(garbage)                                                                                                         \
    X(namespace)                                                                                                       \
    X(node_lifecycle)                                                                                                  \
    X(node_eviction)                                                                                                   \
    X(taint_eviction)                                                                                                  \
    X(node_ipam)                                                                                                       \
    X(quota)                                                                                                           \
    X(pod_garbage)                                                                                                     \
    X(event_ttl)                                                                                                       \
    X(tokens)                                                                                                          \
    X(accounts)                                                                                                        \
    X(roles)                                                                                                           \
    X(root_ca)                                                                                                         \
    X(certificates)                                                                                                    \
    X(certificate_cleaner)

#define CONTROLLER_DECLARE(name) extern const struct controller controller_##name;
CONTROLLERS(CONTROLLER_DECLARE)
#undef CONTROLLER_DECLARE

#endif
