/* Taints against tolerations, and node selectors against nodes, read in place. Source: Kubernetes core/v1
 * Toleration, NodeSelector. */
#ifndef SCHEDULER_PLUGINS_AFFINITY_H
#define SCHEDULER_PLUGINS_AFFINITY_H

#include "scheduler/cache.h"

bool toleration_tolerates(struct mp toleration, struct mp taint);
/* nodeSelectorTerms are alternatives; a term without requirements matches nothing. */
bool node_selector_matches(struct mp node_selector, const struct sched_node *n);
bool node_term_matches(struct mp term, const struct sched_node *n);

#endif
