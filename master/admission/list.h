/* The rows of admission, in the order in which they act (row.h). A row is one file that defines admission_NAME, and one
 * line here. Those that say `evaluated` come last, as the evaluation asks them. */
#ifndef MASTER_ADMISSION_LIST_H
#define MASTER_ADMISSION_LIST_H

#define ADMISSION_ROWS(X)                                                                                              \
    X(namespace_lifecycle)                                                                                             \
    X(service_account)                                                                                                 \
    X(priority)                                                                                                        \
    X(default_toleration_seconds)                                                                                      \
    X(runtime_class)                                                                                                   \
    X(default_storage_class)                                                                                           \
    X(default_ingress_class)                                                                                           \
    X(in_use_protection)                                                                                               \
    X(service_addresses)                                                                                               \
    X(certificate_request)                                                                                             \
    X(master_records)                                                                                                  \
    X(node_lease)                                                                                                      \
    X(claim_resize)                                                                                                    \
    X(time_zone)                                                                                                       \
    X(role_escalation)                                                                                                 \
    X(certificate_approval)                                                                                            \
    X(certificate_signing)                                                                                             \
    X(audit_policy)                                                                                                    \
    X(cluster_configuration)                                                                                           \
    X(overlapping_selectors)                                                                                           \
    X(pod_security)                                                                                                    \
    X(limit_ranger)                                                                                                    \
    X(resource_quota)

#endif
