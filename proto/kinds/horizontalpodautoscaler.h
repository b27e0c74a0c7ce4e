/* HorizontalPodAutoscaler: what its table and its texts share. For proto/kinds alone. */
#ifndef PROTO_KINDS_HORIZONTALPODAUTOSCALER_H
#define PROTO_KINDS_HORIZONTALPODAUTOSCALER_H

#include "proto/kinds/kinds.h"

/* ---- Cells: columns ---- */

void hpa_cell_reference(struct buf *out, const struct object *o, int64_t now_ms);
void hpa_cell_targets(struct buf *out, const struct object *o, int64_t now_ms);
void hpa_cell_min(struct buf *out, const struct object *o, int64_t now_ms);
void hpa_cell_max(struct buf *out, const struct object *o, int64_t now_ms);
void hpa_cell_replicas(struct buf *out, const struct object *o, int64_t now_ms);

void hpa_describe(struct buf *out, const struct object *o, const struct describe_context *c);

#endif
