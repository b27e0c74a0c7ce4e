/* The list of kinds: X(NAME, NUMBER) stands for `kind_NAME`, which the kind's file defines, and KIND_NAME, its number.
 *
 * In the order of numbers. They go into the log and the keys of the store: never reuse one, never renumber. */
#ifndef PROTO_KINDS_LIST_H
#define PROTO_KINDS_LIST_H

#define KIND_LIST(X)                                                                                                   \
    X(namespace, NAMESPACE, 1)                                                                                         \
    X(node, NODE, 2)                                                                                                   \
    X(pod, POD, 3)                                                                                                     \
    X(configmap, CONFIGMAP, 4)                                                                                         \
    X(secret, SECRET, 5)                                                                                               \
    X(replicaset, REPLICASET, 6)                                                                                       \
    X(deployment, DEPLOYMENT, 7)                                                                                       \
    X(event, EVENT, 8)                                                                                                 \
    X(clusterconfiguration, CLUSTERCONFIGURATION, 9)                                                                   \
    X(service, SERVICE, 10)                                                                                            \
    X(endpoints, ENDPOINTS, 11)                                                                                        \
    X(endpointslice, ENDPOINTSLICE, 12)                                                                                \
    X(persistentvolume, PERSISTENTVOLUME, 13)                                                                          \
    X(persistentvolumeclaim, PERSISTENTVOLUMECLAIM, 14)                                                                \
    X(storageclass, STORAGECLASS, 15)                                                                                  \
    X(controllerrevision, CONTROLLERREVISION, 20)                                                                      \
    X(daemonset, DAEMONSET, 21)                                                                                        \
    X(statefulset, STATEFULSET, 22)                                                                                    \
    X(job, JOB, 23)                                                                                                    \
    X(cronjob, CRONJOB, 24)                                                                                            \
    X(replicationcontroller, REPLICATIONCONTROLLER, 25)                                                                \
    X(horizontalpodautoscaler, HORIZONTALPODAUTOSCALER, 26)                                                            \
    X(poddisruptionbudget, PODDISRUPTIONBUDGET, 27)                                                                    \
    X(resourcequota, RESOURCEQUOTA, 28)                                                                                \
    X(limitrange, LIMITRANGE, 29)                                                                                      \
    X(networkpolicy, NETWORKPOLICY, 30)                                                                                \
    X(priorityclass, PRIORITYCLASS, 31)                                                                                \
    X(podgroup, PODGROUP, 32)                                                                                          \
    X(lease, LEASE, 33)                                                                                                \
    X(serviceaccount, SERVICEACCOUNT, 34)                                                                              \
    X(role, ROLE, 35)                                                                                                  \
    X(clusterrole, CLUSTERROLE, 36)                                                                                    \
    X(rolebinding, ROLEBINDING, 37)                                                                                    \
    X(clusterrolebinding, CLUSTERROLEBINDING, 38)                                                                      \
    X(podtemplate, PODTEMPLATE, 39)                                                                                    \
    X(ingress, INGRESS, 40)                                                                                            \
    X(ingressclass, INGRESSCLASS, 41)                                                                                  \
    X(certificatesigningrequest, CERTIFICATESIGNINGREQUEST, 42)                                                        \
    X(runtimeclass, RUNTIMECLASS, 43)

#endif
