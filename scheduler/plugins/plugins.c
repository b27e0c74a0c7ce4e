/* The table of plugins, and what all of them together say of a node. */
#include <assert.h>
#include <stdio.h>
#include <xxhash.h>

#include "scheduler/plugins/plugin.h"
#include "scheduler/topology.h"

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

static bool all_fit(const struct sched_class *c, const struct sched_node *n, struct reasons *why)
{
    for (unsigned i = 0; i < ARRAY_SIZE(plugins); i++) {
        if (plugins[i]->fits != NULL && !plugins[i]->fits(c, n, why)) {
            return false;
        }
    }
    return true;
}

/* What a node has, without other nodes. */
static bool room_fits(const struct sched_class *c, const struct sched_node *n, struct reasons *why)
{
    for (unsigned i = 0; i < ARRAY_SIZE(plugins); i++) {
        const struct plugin *p = plugins[i];
        if (p->fits != NULL && !p->fixed && !p->places && !p->fits(c, n, why)) {
            return false;
        }
    }
    return true;
}

/* "Room is kept for nominees of equal or higher priority": they are put on the node for the time of the question. Where
 * one side wants to be apart from others the node is the nominee's alone; that asks less of the state than to count it
 * everywhere, and it is not for long. */
static bool fits_beside_nominees(const struct sched_class *c, const struct sched_node *node, struct reasons *why)
{
    struct sched_node *n = (struct sched_node *)node;
    unsigned counted = 0;
    bool apart = false;
    for (unsigned i = 0; i < n->nominees_count; i++) {
        const struct sched_class *other = n->nominees[i].class;
        if (other != NULL && other->priority >= c->priority) {
            sched_node_account(n, other, 1);
            counted++;
            apart |= places_apart(other) || places_apart(c);
        }
    }
    bool fits = counted == 0 || (!apart && room_fits(c, n, why));
    if (counted > 0 && apart) {
        reasons_add(why, "node(s) kept for a pod of higher priority");
    }
    for (unsigned i = 0; i < n->nominees_count && counted > 0; i++) {
        const struct sched_class *other = n->nominees[i].class;
        if (other != NULL && other->priority >= c->priority) {
            sched_node_account(n, other, -1);
        }
    }
    return fits;
}

/* Without them, too: who wants to be where a nominee will be must wait until it is there. */
bool sched_node_fits(const struct sched_class *c, const struct sched_node *n, struct reasons *why)
{
    return n->obj != NULL && all_fit(c, n, why) && (n->nominees_count == 0 || fits_beside_nominees(c, n, why));
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
    int score = half_score(c, n, false);
    return score < 0 || n->nominees_count == 0 || fits_beside_nominees(c, n, NULL) ? score : -1;
}
