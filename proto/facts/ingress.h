/* What is read off Ingresses and IngressClasses beside their fields. Source: Kubernetes networking.k8s.io/v1. Pure. */
#ifndef PROTO_FACTS_INGRESS_H
#define PROTO_FACTS_INGRESS_H

#include "proto/schema/object.h"

/* Annotations: of an Ingress, its class in the spelling of old manifests; of a class, "true" makes it the class of new
 * Ingresses that name none. */
#define INGRESS_CLASS_ANNOTATION "kubernetes.io/ingress.class"
#define INGRESS_DEFAULT_CLASS    "ingressclass.kubernetes.io/is-default-class"

bool ingress_class_is_default(const struct object *class);

#endif
