/* How nodes are scored: what the cluster's configuration says, read once. */
#include <stdlib.h>
#include <string.h>

#include "proto/facts/cluster.h"
#include "scheduler/cache.h"

void sched_policy_close(struct sched_policy *p)
{
    for (unsigned i = 0; i < p->weights_count; i++) {
        free(p->weights[i].name);
    }
    free(p->weights);
    free(p->text);
    *p = (struct sched_policy){0};
}

static void weights_read(struct sched_policy *p, struct str text)
{
    struct scoring_weight w;
    p->weights = xcalloc(SCORING_RESOURCES_MAX, sizeof *p->weights);
    while (p->weights_count < SCORING_RESOURCES_MAX && scoring_weight_next(&text, &w)) {
        p->weights[p->weights_count++] = (struct sched_weight){xstrndup(w.name.p, w.name.n), w.weight};
    }
    if (p->weights_count == 0) {
        free(TAKE_PTR(p->weights));
    }
}

bool sched_policy_read(struct sched_policy *p, const struct cluster_config *c)
{
    CLEANUP_BUF struct buf text = BUF_INIT;
    buf_printf(&text, "%d %.*s %.*s", (int)c->scoring, STR_ARG(c->scoring_shape), STR_ARG(c->scoring_resources));
    if (str_is(buf_str(&text), p->text == NULL ? "" : p->text)) {
        return false;
    }
    sched_policy_close(p);
    p->text = xstrndup((const char *)text.data, text.size);
    bool shaped = scoring_shape_parse(c->scoring_shape, &p->shape);
    p->strategy = c->scoring == SCORING_RATIO && !shaped ? SCORING_LEAST : c->scoring;
    p->pack = p->strategy == SCORING_MOST || (p->strategy == SCORING_RATIO && scoring_shape_packs(&p->shape));
    weights_read(p, str_is(c->scoring_resources, CLUSTER_SCORING_RESOURCES) ? STR_NONE : c->scoring_resources);
    return true;
}
