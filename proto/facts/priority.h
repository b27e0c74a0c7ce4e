/* Priorities of pods: the classes that are always there, and what is read off a class. Source: Kubernetes
 * scheduling.k8s.io/v1 PriorityClass, its built-in classes and the rules of its names and values. Pure. */
#ifndef PROTO_FACTS_PRIORITY_H
#define PROTO_FACTS_PRIORITY_H

#include "proto/schema/object.h"

#define PRIORITY_USER_MAX      1000000000 /* of a class that a user makes */
#define PRIORITY_CRITICAL      2000000000 /* from here on a pod belongs to the cluster itself */
#define PRIORITY_SYSTEM_PREFIX "system-"  /* names of built-in classes alone */
#define PREEMPT_LOWER          "PreemptLowerPriority"
#define PREEMPT_NEVER          "Never"

/* The two classes that are always there, whether their objects exist or not. */
struct priority_builtin {
    const char *name;
    int64_t value;
    const char *description;
};
extern const struct priority_builtin priority_builtins[2];
const struct priority_builtin *priority_builtin_find(struct str name); /* NULL if it is none */

/* What pods of a class get. */
struct priority {
    struct str class; /* its name; empty: none */
    int64_t value;
    struct str policy; /* PREEMPT_LOWER, PREEMPT_NEVER */
};
/* Of a PriorityClass; borrowed from it. */
struct priority priority_of_class(const struct object *class);
bool priority_class_is_default(const struct object *class);

/* What a pod has, as it is stored: 0 if it says none. */
int64_t priority_of_pod(struct mp spec);
/* May it push out others? */
bool priority_preempts(struct mp spec);

#endif
