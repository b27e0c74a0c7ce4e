/* How full a node should be for a pod: the strategies of the scheduler's NodeResourcesFit, and how they are written in
 * the cluster's configuration. Source: Kubernetes' NodeResourcesFitArgs (LeastAllocated, MostAllocated,
 * RequestedToCapacityRatio). Pure. */
#ifndef PROTO_FACTS_SCORING_H
#define PROTO_FACTS_SCORING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

enum scoring_strategy { SCORING_LEAST, SCORING_MOST, SCORING_RATIO };
/* What makes no sense is LeastAllocated. */
enum scoring_strategy scoring_strategy_parse(struct str text);

/* "UTILIZATION:SCORE,...": utilization of 0 to 100 percent, ascending; score of 0 to 10. Between two points it goes in
 * a straight line, before the first and behind the last it stays. */
#define SCORING_POINTS_MAX 16u
struct scoring_shape {
    struct scoring_point {
        int64_t utilization, score;
    } points[SCORING_POINTS_MAX];
    unsigned count;
};
/* False: it is none, and *out has no points. */
bool scoring_shape_parse(struct str text, struct scoring_shape *out);
/* Of a node that is used so far, in thousandths: from 0 to 1000, which is the score 10. At least one point. */
int64_t scoring_shape_at(const struct scoring_shape *s, int64_t used_permille);
/* A full node is the better one. */
bool scoring_shape_packs(const struct scoring_shape *s);

/* The next of "NAME:WEIGHT,..." (cpu:1,memory:1,example.com/gpu:5), weights of 1 to 100; *rest goes on behind it, the
 * name is borrowed. False: there are no more, or what follows is none (rest->n > 0). */
#define SCORING_RESOURCES_MAX 16u
struct scoring_weight {
    struct str name;
    int64_t weight;
};
bool scoring_weight_next(struct str *rest, struct scoring_weight *out);

#endif
