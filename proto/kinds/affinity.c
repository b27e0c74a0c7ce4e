/* Where pods want to be: node affinity, pod affinity and anti-affinity, topology spread. */
#include "proto/kinds/kinds.h"

/* clang-format off */

SCHEMA_STATIC(node_requirement, "NodeSelectorRequirement", "One condition on a node.",
    STRING("key", "Label key, or field name in matchFields.", REQUIRED),
    STRING("operator", "How it is compared; Gt and Lt compare whole numbers.", .flags = FIELD_REQUIRED,
           ONE_OF("In|NotIn|Exists|DoesNotExist|Gt|Lt")),
    STRINGS("values", "Values to compare with; none for Exists and DoesNotExist, one for Gt and Lt."));

SCHEMA_STATIC(node_term, "NodeSelectorTerm", "Conditions that must all hold; a term without any matches no node.",
    OBJECTS("matchExpressions", node_requirement, "Conditions on labels."),
    OBJECTS("matchFields", node_requirement, "Conditions on fields; metadata.name is the only one."));

SCHEMA(schema_node_selector, "NodeSelector", "Nodes that match at least one of the terms.",
    OBJECTS("nodeSelectorTerms", node_term, "The terms; one that matches is enough.", REQUIRED));

SCHEMA_STATIC(preferred_node, "PreferredSchedulingTerm", "Nodes that are liked better.",
    INT32("weight", "How much, from 1 to 100.", REQUIRED),
    OBJECT("preference", node_term, "Which nodes.", REQUIRED));

SCHEMA_STATIC(node_affinity, "NodeAffinity", "Which nodes the pod must or would like to run on.",
    OBJECT("requiredDuringSchedulingIgnoredDuringExecution", schema_node_selector,
           "The pod is put on no other nodes; looked at only when a node is chosen."),
    OBJECTS("preferredDuringSchedulingIgnoredDuringExecution", preferred_node,
            "Nodes with the highest sum of weights come first."));

SCHEMA_STATIC(pod_affinity_term, "PodAffinityTerm", "Pods to be near to, or far from, and what near means.",
    OBJECT("labelSelector", schema_label_selector, "Which pods; none if absent."),
    STRINGS("namespaces", "Namespaces of these pods; the pod's own if none is given."),
    STRING("topologyKey", "Node label; nodes with the same value are one place.", REQUIRED),
    OBJECT("namespaceSelector", schema_label_selector, "Namespaces by their labels, in addition to namespaces."),
    STRINGS("matchLabelKeys", "Labels of this pod that the others must have with the same value."),
    STRINGS("mismatchLabelKeys", "Labels of this pod that the others must not have with the same value."));

SCHEMA_STATIC(weighted_term, "WeightedPodAffinityTerm", "A wish with a weight.",
    INT32("weight", "How much, from 1 to 100.", REQUIRED),
    OBJECT("podAffinityTerm", pod_affinity_term, "The wish.", REQUIRED));

#define POD_AFFINITY_ROWS                                                                                              \
    OBJECTS("requiredDuringSchedulingIgnoredDuringExecution", pod_affinity_term,                                       \
            "All of them must hold when a node is chosen."),                                                           \
        OBJECTS("preferredDuringSchedulingIgnoredDuringExecution", weighted_term,                                      \
                "Nodes with the highest sum of weights come first.")
SCHEMA_STATIC(pod_affinity, "PodAffinity", "Pods to run near to.",
    POD_AFFINITY_ROWS);
SCHEMA_STATIC(pod_anti_affinity, "PodAntiAffinity", "Pods to keep away from.",
    POD_AFFINITY_ROWS);

SCHEMA(schema_affinity, "Affinity", "Where the pod must or would like to run.",
    OBJECT("nodeAffinity", node_affinity, "By labels of nodes."),
    OBJECT("podAffinity", pod_affinity, "Near other pods."),
    OBJECT("podAntiAffinity", pod_anti_affinity, "Away from other pods."));

SCHEMA(schema_topology_spread, "TopologySpreadConstraint", "Spreads matching pods evenly over places.",
    INT32("maxSkew", "How far the fullest and the emptiest place may differ in number of pods.", REQUIRED),
    STRING("topologyKey", "Node label; nodes with the same value are one place.", REQUIRED),
    STRING("whenUnsatisfiable", "What to do if it cannot be kept.", .flags = FIELD_REQUIRED,
           ONE_OF("DoNotSchedule|ScheduleAnyway")),
    OBJECT("labelSelector", schema_label_selector, "Which pods are counted."),
    INT32("minDomains", "Count missing places as empty until there are this many."),
    STRING("nodeAffinityPolicy", "Whether nodes that affinity excludes count.", ONE_OF("Honor|Ignore")),
    STRING("nodeTaintsPolicy", "Whether nodes whose taints are not tolerated count.", ONE_OF("Honor|Ignore")),
    STRINGS("matchLabelKeys", "Labels of this pod that counted pods must share."));
