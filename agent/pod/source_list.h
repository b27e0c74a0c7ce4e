/* The sources of volumes that a node can lay out: X(NAME) stands for `source_NAME`, which a file of this folder
 * defines. */
#ifndef AGENT_POD_SOURCE_LIST_H
#define AGENT_POD_SOURCE_LIST_H

#define SOURCES(X)                                                                                                     \
    X(empty_dir)                                                                                                       \
    X(host_path)                                                                                                       \
    X(config_map)                                                                                                      \
    X(secret)                                                                                                          \
    X(downward)                                                                                                        \
    X(token)                                                                                                           \
    X(projected)                                                                                                       \
    X(nfs)                                                                                                             \
    X(claim)                                                                                                           \
    X(ephemeral)

#endif
