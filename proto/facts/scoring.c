#include "proto/facts/scoring.h"

#include <string.h>

#include "base/mem.h"
#include "proto/schema/kind.h"

#define UTILIZATION_MAX 100
#define SCORE_MAX_      10
#define WEIGHT_MAX      100

enum scoring_strategy scoring_strategy_parse(struct str text)
{
    return str_is(text, "MostAllocated")              ? SCORING_MOST
           : str_is(text, "RequestedToCapacityRatio") ? SCORING_RATIO
                                                      : SCORING_LEAST;
}

/* "LEFT:RIGHT", up to the next comma, which is dropped. */
static bool pair_take(struct str *rest, struct str *left, int64_t *right)
{
    const char *comma = rest->n == 0 ? NULL : memchr(rest->p, ',', rest->n);
    size_t n = comma == NULL ? rest->n : (size_t)(comma - rest->p);
    const char *colon = n == 0 ? NULL : memrchr(rest->p, ':', n);
    if (colon == NULL || (comma != NULL && n + 1 == rest->n)) {
        return false;
    }
    *left = (struct str){rest->p, (size_t)(colon - rest->p)};
    if (!str_to_int64((struct str){colon + 1, n - left->n - 1}, right)) {
        return false;
    }
    rest->p += n + (comma != NULL);
    rest->n -= n + (comma != NULL);
    return true;
}

bool scoring_shape_parse(struct str text, struct scoring_shape *out)
{
    struct str rest = text, left;
    out->count = 0;
    while (rest.n > 0) {
        struct scoring_point p;
        bool ok = out->count < SCORING_POINTS_MAX && pair_take(&rest, &left, &p.score) &&
                  str_to_int64(left, &p.utilization) && p.utilization >= 0 && p.utilization <= UTILIZATION_MAX &&
                  p.score >= 0 && p.score <= SCORE_MAX_ &&
                  (out->count == 0 || out->points[out->count - 1].utilization < p.utilization);
        if (!ok) {
            out->count = 0;
            return false;
        }
        out->points[out->count++] = p;
    }
    return out->count > 0;
}

int64_t scoring_shape_at(const struct scoring_shape *s, int64_t used_permille)
{
    const struct scoring_point *first = &s->points[0];
    for (unsigned i = 0; i < s->count; i++) {
        const struct scoring_point *p = &s->points[i], *before = i == 0 ? first : p - 1;
        int64_t from = before->utilization * 10, to = p->utilization * 10;
        if (used_permille <= to) {
            return p == before
                       ? p->score * 100
                       : before->score * 100 + (p->score - before->score) * 100 * (used_permille - from) / (to - from);
        }
    }
    return s->points[s->count - 1].score * 100;
}

bool scoring_shape_packs(const struct scoring_shape *s)
{
    return scoring_shape_at(s, 1000) > scoring_shape_at(s, 0);
}

static bool is_resource(struct str name)
{
    return str_is(name, "cpu") || str_is(name, "memory") || str_is(name, "ephemeral-storage") ||
           (name_is_label_key(name) && memchr(name.p, '/', name.n) != NULL);
}

bool scoring_weight_next(struct str *rest, struct scoring_weight *out)
{
    struct str at = *rest;
    bool ok = pair_take(&at, &out->name, &out->weight) && is_resource(out->name) && out->weight >= 1 &&
              out->weight <= WEIGHT_MAX;
    *rest = ok ? at : *rest;
    return ok;
}
