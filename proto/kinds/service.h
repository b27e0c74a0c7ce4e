/* What the tables of Service, Endpoints and EndpointSlice share, and what others ask of a Service's document. */
#ifndef PROTO_KINDS_SERVICE_H
#define PROTO_KINDS_SERVICE_H

#include "proto/model/value.h"
#include "proto/schema/object.h"
#include "proto/schema/table.h"

#define SERVICE_AFFINITY_S_DEFAULT 10800
#define SERVICE_AFFINITY_S_MAX     86400

/* Of the spec of a Service, checked or not. */
bool service_has_address(const struct value *spec);         /* every type but ExternalName */
bool service_is_balanced(const struct value *spec);         /* LoadBalancer */
bool service_may_have_node_ports(const struct value *spec); /* NodePort, LoadBalancer */
bool service_has_health_port(const struct value *spec);     /* LoadBalancer with externalTrafficPolicy Local */
bool service_is_external(const struct value *spec);         /* somebody outside may reach it */

void service_validate(const struct value *obj, const struct value *old, struct errlist *l);

void service_describe(struct buf *out, const struct object *o, const struct describe_context *c);
void endpoints_describe(struct buf *out, const struct object *o, const struct describe_context *c);
#define LABEL_SERVICE_NAME "kubernetes.io/service-name" /* of an EndpointSlice: the Service that it belongs to */

/* An IPv4 address that a pod or a host can have: not 0.0.0.0, nor of loopback or of one link alone. */
void check_endpoint_ip(struct errlist *l, const struct value *v, const struct fpath *p);
/* Ports of Endpoints and EndpointSlices. numbered: each has a number and, if there are several, a name. */
void check_endpoint_ports(const struct value *ports, bool numbered, const struct fpath *p, struct errlist *l);
/* A port of 1 to 65535; absent is fine. */
void check_port(struct errlist *l, const struct value *v, const struct fpath *p);
void check_app_protocol(struct errlist *l, const struct value *port, const struct fpath *p);

#endif
