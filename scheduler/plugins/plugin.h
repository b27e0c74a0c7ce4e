/* A plugin of the scheduler: can this node take a pod of this class, and how good a choice is it?
 *
 * One file in this folder and one line in list.h. Names and texts of filters are those of the Kubernetes scheduler
 * framework's plugins. Scores are integers from 0 to 100, weighed; unlike Kubernetes' they do not depend on the other
 * nodes, so a change of one node changes one score. Pods of one class are judged once: what a plugin reads of a
 * pod is part of what makes the class (reads). Pure. */
#ifndef SCHEDULER_PLUGINS_PLUGIN_H
#define SCHEDULER_PLUGINS_PLUGIN_H

#include "scheduler/cache.h"
#include "scheduler/plugins/list.h"

#define SCORE_MAX 100

struct plugin {
    const char *name;
    bool fixed;  /* reads nothing that binding a pod changes */
    bool places; /* reads what is on other nodes: of tables, evaluate.c has its own way to ask for it (topology.h) */
    /* Fields of a pod's spec that it reads from the class's sample beside what struct sched_class has: they become part
     * of what makes pods alike. Ended by NULL; NULL = none. */
    const char *const *reads;
    /* NULL = any node will do. A node that does not fit is told to why (reasons_add), which may be NULL. */
    bool (*fits)(const struct sched_class *c, const struct sched_node *n, struct reasons *why);
    int weight;                                                            /* of its score */
    int (*score)(const struct sched_class *c, const struct sched_node *n); /* 0 to SCORE_MAX; NULL = none */
};

#define PLUGIN_DECLARE(name) extern const struct plugin plugin_##name;
SCHED_PLUGINS(PLUGIN_DECLARE)
#undef PLUGIN_DECLARE

#endif
