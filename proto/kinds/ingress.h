/* Ingress and IngressClass: what their tables and their texts share. For proto/kinds alone. */
#ifndef PROTO_KINDS_INGRESS_H
#define PROTO_KINDS_INGRESS_H

#include "proto/kinds/kinds.h"

/* ---- Rules (ingress.c) ---- */

/* apiGroup, kind and name of an object that is referred to, in ref; NULL is fine. Source: Kubernetes'
 * validateIngressTypedLocalObjectReference. */
void ingress_check_reference(const struct value *ref, const struct fpath *p, struct errlist *l);

/* ---- Cells: columns (ingress_text.c) ---- */

void ingress_cell_class(struct buf *out, const struct object *o, int64_t now_ms);
void ingress_cell_hosts(struct buf *out, const struct object *o, int64_t now_ms);
void ingress_cell_address(struct buf *out, const struct object *o, int64_t now_ms);
void ingress_cell_ports(struct buf *out, const struct object *o, int64_t now_ms);

void ingress_describe(struct buf *out, const struct object *o, const struct describe_context *c);

#endif
