/* The list of kinds, in the order of their ids (enum kind_id) without gaps: X(NAME) stands for `kind_NAME`, which the kind's file defines. */
#ifndef PROTO_KINDS_LIST_H
#define PROTO_KINDS_LIST_H

#define KINDS(X)                                                                                                       \
    X(namespace)                                                                                                       \
    X(node)                                                                                                            \
    X(pod)                                                                                                             \
    X(configmap)                                                                                                       \
    X(secret)                                                                                                          \
    X(replicaset)                                                                                                      \
    X(deployment)                                                                                                      \
    X(event)

#endif
