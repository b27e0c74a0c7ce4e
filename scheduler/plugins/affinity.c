#include "scheduler/plugins/affinity.h"

#include "proto/facts/node_match.h"

bool toleration_tolerates(struct mp toleration, struct mp taint)
{
    return node_match_toleration(toleration, taint);
}

bool node_term_matches(struct mp term, const struct sched_node *n)
{
    return node_match_term(term, n->labels, str_of(n->name));
}

bool node_selector_matches(struct mp node_selector, const struct sched_node *n)
{
    return node_match_selector(node_selector, n->labels, str_of(n->name));
}
