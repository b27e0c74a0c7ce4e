/* Pod security: what a pod asks of its node, held to one of three levels. Source: Kubernetes' Pod Security Standards
 * and its admission plugin PodSecurity, whose labels and words these are; as of version 1.33. The versions that a
 * namespace may name are taken and mean this one. Pure. */
#ifndef PROTO_FACTS_POD_SECURITY_H
#define PROTO_FACTS_POD_SECURITY_H

#include "base/buf.h"
#include "proto/model/msgpack.h"
#include "proto/model/value.h"

#define POD_SECURITY_PREFIX "pod-security.kubernetes.io/"

enum pod_security_level { POD_SECURITY_PRIVILEGED, POD_SECURITY_BASELINE, POD_SECURITY_RESTRICTED };
extern const char *const pod_security_words[3];
/* "privileged", "baseline", "restricted"; false: it is none of these. */
bool pod_security_parse(struct str word, enum pod_security_level *out);

/* What a namespace asks for. enforce: other pods are refused; warn: whoever makes them is told; audit: the record of
 * the request says it. A label that is no level counts as restricted, as in Kubernetes: it was meant to keep something
 * out. */
struct pod_security {
    enum pod_security_level enforce, warn, audit;
};
/* labels: of the Namespace, msgpack; none: `fallback` for all. */
struct pod_security pod_security_of(struct mp labels, struct pod_security fallback);

/* How a pod goes against a level, in Kubernetes' words ("privileged (container \"a\" must not set ...), ..."), at the
 * end of out; nothing: it keeps to it. pod: a Pod's document, or a template of one: metadata and spec. */
void pod_security_breaks(struct buf *out, const struct value *pod, enum pod_security_level level);

#endif
