/* The table of plugins, and what all of them together say of a node. */
#include <assert.h>
#include <stdio.h>
#include <xxhash.h>

#include "scheduler/plugins/plugin.h"

static const struct plugin *const plugins[] = {
#define PLUGIN_ROW(name) &plugin_##name,
    SCHED_PLUGINS(PLUGIN_ROW)
#undef PLUGIN_ROW
};

void reasons_add(struct reasons *r, const char *fmt, ...)
{
    if (r == NULL) {
        return;
    }
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    uintptr_t count = (uintptr_t)strmap_get(&r->counts, str_of(text));
    strmap_set(&r->counts, str_of(text), (void *)(count + 1));
}

uint64_t plugins_identify(struct mp spec)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(plugins); i++) {
        for (const char *const *field = plugins[i]->reads; field != NULL && *field != NULL; field++) {
            struct mp m = mp_get(spec, *field);
            sum = XXH3_64bits_withSeed(m.p != NULL ? (const void *)m.p : "", (size_t)(m.end - m.p), sum + 1);
        }
    }
    return sum;
}

bool sched_node_fits(const struct sched_class *c, const struct sched_node *n, struct reasons *why)
{
    if (n->obj == NULL) {
        return false;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(plugins); i++) {
        if (plugins[i]->fits != NULL && !plugins[i]->fits(c, n, why)) {
            return false;
        }
    }
    return true;
}

static int half_score(const struct sched_class *c, const struct sched_node *n, bool fixed)
{
    int sum = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(plugins); i++) {
        const struct plugin *p = plugins[i];
        if (p->fixed == fixed && !p->places && p->fits != NULL && !p->fits(c, n, NULL)) {
            return -1;
        }
    }
    for (unsigned i = 0; i < ARRAY_SIZE(plugins); i++) {
        const struct plugin *p = plugins[i];
        if (p->fixed == fixed && p->score != NULL) {
            int score = p->score(c, n);
            assert(score >= 0 && score <= SCORE_MAX);
            sum += p->weight * score;
        }
    }
    assert(sum >= 0 && sum <= INT16_MAX);
    return sum;
}

int sched_node_fixed_score(const struct sched_class *c, const struct sched_node *n)
{
    return n->obj == NULL ? -1 : half_score(c, n, true);
}

int sched_node_moving_score(const struct sched_class *c, const struct sched_node *n)
{
    return half_score(c, n, false);
}
