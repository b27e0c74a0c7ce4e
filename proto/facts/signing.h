/* What everybody must say alike about requests for certificates (CertificateSigningRequest): who signs them, what may
 * be asked for, and where such a request stands. Source: Kubernetes certificates.k8s.io/v1, "Certificate Signing
 * Requests".
 *
 *   Pending --approval: Approved--> approved --status.certificate--> issued
 *           \-approval: Denied                \-Failed: its signer cannot or will not
 *
 * Approved and Denied exclude each other, and none of the three is ever taken away. */
#ifndef PROTO_FACTS_SIGNING_H
#define PROTO_FACTS_SIGNING_H

#include "proto/schema/object.h"

#define SIGNING_GROUP "certificates.k8s.io"
/* The signers of Kubernetes. The first one is the cluster's CA (controllers/cluster/certificates.c); the next two would
 * be for kubelets, of which there are none; the last one is of an older version of the API. */
#define SIGNER_CLIENT       "kubernetes.io/kube-apiserver-client"
#define SIGNER_NODE_CLIENT  "kubernetes.io/kube-apiserver-client-kubelet"
#define SIGNER_NODE_SERVING "kubernetes.io/kubelet-serving"
#define SIGNER_LEGACY       "kubernetes.io/legacy-unknown"
#define SIGNING_APPROVED    "Approved"
#define SIGNING_DENIED      "Denied"
#define SIGNING_FAILED      "Failed"
#define SIGNING_LIFE_MIN_S  600
#define SIGNING_NO_KUBELETS                                                                                            \
    "there are no kubelets here: agents get certificates of their own when they join (rctl token create, reeve-agent " \
    "join) and renew them themselves"

bool signing_is_of_kubelets(struct str signer);
/* May a certificate of the signer SIGNER_CLIENT be for all of these? `client auth` must be among them, and beside it
 * `digital signature` and `key encipherment` alone. */
bool signing_client_usages(struct mp usages);
bool signing_has(const struct object *o, const char *condition); /* the condition is there */
struct str signing_certificate(const struct object *o);          /* PEM; empty: none was issued */

#endif
