/* A small cluster of placement.h as documents of the API. */
#ifndef TESTS_UNIT_KIT_PLACEMENT_TEXT_H
#define TESTS_UNIT_KIT_PLACEMENT_TEXT_H

#include "base/buf.h"
#include "tests/unit/kit/placement.h"

/* What the labels are called. */
extern const char *const placement_pod_labels[POD_LABELS];
extern const char *const placement_node_labels[NODE_LABELS];
extern const char *const placement_ns_labels[NS_LABELS];

/* "{app: 'v1', ...}": those that are there. */
void placement_write_labels(struct buf *b, const char *const *names, const unsigned *labels, unsigned count);
void placement_write_pod(struct buf *b, const struct model *m, unsigned i);
void placement_write_node(struct buf *b, const struct node *n, unsigned i);

#endif
