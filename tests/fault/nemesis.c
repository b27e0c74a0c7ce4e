#include <stdio.h>
#include <string.h>

#include "tests/fault/nemeses.h"

static void nothing(struct trial *t)
{
    (void)t;
}

static const struct nemesis none = {
    .name = "none",
    .about = "no fault at all",
    .hold_min_ms = 1000,
    .hold_max_ms = 1000,
    .start = nothing,
    .stop = nothing,
};
static const struct nemesis *const nemeses_none[] = {&none, NULL};
static const struct nemesis *const *const tables[] = {nemeses_none,   nemeses_process, nemeses_network, nemeses_disk,
                                                      nemeses_damage, nemeses_members, nemeses_agents,  nemeses_mixed};

const struct nemesis *nemesis_at(unsigned i)
{
    for (unsigned t = 0; t < ARRAY_SIZE(tables); t++) {
        for (unsigned k = 0; tables[t][k] != NULL; k++) {
            if (i-- == 0) {
                return tables[t][k];
            }
        }
    }
    return NULL;
}

const struct nemesis *nemesis_find(const char *name)
{
    const struct nemesis *n;
    for (unsigned i = 0; (n = nemesis_at(i)) != NULL; i++) {
        if (strcmp(n->name, name) == 0) {
            return n;
        }
    }
    return NULL;
}

/* ---- Choosing ---- */

int nemesis_pick(struct trial *t, unsigned among)
{
    unsigned candidates[CLUSTER_MEMBERS_MAX], n = 0;
    for (unsigned i = 0; i < t->cluster.count; i++) {
        if (cluster_member_in(&t->cluster, i) && (among == 0 || (among & 1u << i))) {
            candidates[n++] = i;
        }
    }
    return n == 0 ? -1 : (int)candidates[rng_below(&t->rng, n)];
}

unsigned nemesis_pick_leader(struct trial *t)
{
    int leader = cluster_leader(&t->cluster);
    return (unsigned)(leader >= 0 ? leader : nemesis_pick(t, 0));
}

unsigned nemesis_pick_some(struct trial *t, unsigned count)
{
    unsigned picked = 0, left = 0;
    for (unsigned i = 0; i < t->cluster.count; i++) {
        left |= cluster_member_in(&t->cluster, i) ? 1u << i : 0;
    }
    for (; count > 0 && left != 0; count--) {
        unsigned i = (unsigned)nemesis_pick(t, left);
        picked |= 1u << i;
        left &= ~(1u << i);
    }
    return picked;
}

unsigned nemesis_minority(const struct trial *t)
{
    return (cluster_size(&t->cluster) - 1) / 2;
}

const char *nemesis_names(unsigned members, char *out, size_t size)
{
    size_t n = 0;
    out[0] = '\0';
    for (unsigned i = 0; i < CLUSTER_MEMBERS_MAX && n < size; i++) {
        if (members & 1u << i) {
            n += (size_t)snprintf(out + n, size - n, "%sm%u", n > 0 ? " " : "", i + 1);
        }
    }
    return out;
}
