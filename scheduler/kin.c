/* One table for classes that differ by their owner alone.
 *
 * A thousand Deployments of one template with eight pods each are a thousand classes, since their pods are to be on
 * different nodes. Each with a table of its own would judge all nodes for eight pods, and then follow what all others
 * change. So in a cluster of KIN_NODES or more they share one, the kin's, which judges nodes as for an owner that has
 * no pods. That is never less than what a node is worth for any of them: on nodes where an owner has pods already it is
 * less for that one (OwnerSpread). The best node is found by looking into the heap from its top as deep as nodes are
 * worth more than the best one so far: hardly deeper than there are nodes with pods of the owner. One with pods on more
 * than a KIN_SHARE-th of the nodes has a table of its own.
 *
 * Zones are no matter of tables: they are asked cell by cell (topology.h). Classes with claims, with terms of their own
 * or that others' terms mean have tables of their own, and so have those that read keys that are not wide. */
#include <assert.h>
#include <string.h>
#include <xxhash.h>

#include "scheduler/core.h"

#define KIN_NODES 256u
#define KIN_SHARE 2u

static XXH64_hash_t hash_of(const void *p, size_t n, uint64_t seed)
{
    return XXH3_64bits_withSeed(n > 0 ? p : "", n, seed);
}

static uint64_t hash_mp(struct mp m, uint64_t seed)
{
    return hash_of(m.p, (size_t)(m.end - m.p), seed);
}

void kin_identify(struct sched_class *c)
{
    int64_t numbers[RESOURCE_FIXED + 4];
    memcpy(numbers, c->request.fixed, sizeof c->request.fixed);
    numbers[RESOURCE_FIXED] = c->scored_request[0];
    numbers[RESOURCE_FIXED + 1] = c->scored_request[1];
    numbers[RESOURCE_FIXED + 2] = c->priority;
    numbers[RESOURCE_FIXED + 3] = str_empty(c->sample->owner_uid);
    for (unsigned i = 0; i < ARRAY_SIZE(c->kin); i++) {
        uint64_t sum = hash_of(numbers, sizeof numbers, i);
        for (unsigned k = 0; k < c->request.ext_count; k++) {
            const struct extended *e = &c->request.ext[k];
            sum = hash_of(e->name, strlen(e->name), sum) + (uint64_t)e->amount;
        }
        sum = hash_of(c->ports, c->ports_count * sizeof *c->ports, sum);
        sum = hash_of(c->images.items, c->images.count * sizeof *c->images.items, sum);
        sum = hash_mp(c->tolerations, sum);
        sum = hash_mp(c->node_selector, sum);
        sum = hash_mp(c->affinity, sum);
        c->kin[i] = sum ^ plugins_identify(object_spec(c->sample));
    }
}

static struct str kin_of(const uint64_t *kin)
{
    return (struct str){(const char *)kin, KIN_PARTS * sizeof *kin};
}

bool kin_has_table(const struct scheduler *s, const struct sched_class *c)
{
    unsigned least = s->config.kin_nodes == 0 ? KIN_NODES : s->config.kin_nodes;
    return c->table == NULL && s->nodes_present >= least && c->claims == NULL && !c->places->says_spread &&
           (c->group == NULL || c->group->used <= s->nodes_present / KIN_SHARE) && places_by_owner_alone(c) &&
           places_all_wide(c);
}

static bool reads_the_same(const struct sched_table *t, struct topo_key *const *wide, unsigned wide_count)
{
    return t->wide_count == wide_count &&
           (wide_count == 0 || memcmp(t->wide, wide, wide_count * sizeof(struct topo_key *)) == 0);
}

struct sched_table *kin_find(struct scheduler *s, const struct sched_class *c)
{
    struct topo_key *wide[TOPO_KEYS_MAX];
    struct sched_table *t = strmap_get(&s->kins, kin_of(c->kin));
    if (t != NULL && !reads_the_same(t, wide, places_wide_keys(c, wide, ARRAY_SIZE(wide)))) {
        kin_drop(s, t);
        return NULL;
    }
    return t;
}

void kin_enter(struct scheduler *s, const struct sched_class *c, struct sched_table *t)
{
    assert(t->owner == NULL && strmap_get(&s->kins, kin_of(c->kin)) == NULL);
    memcpy(t->kin, c->kin, sizeof t->kin);
    strmap_set(&s->kins, kin_of(t->kin), t);
    for (unsigned i = 0; i < t->wide_count; i++) { /* no class keeps them for it */
        t->wide[i]->refs++;
    }
}

void kin_drop(struct scheduler *s, struct sched_table *t)
{
    assert(t->owner == NULL);
    strmap_remove(&s->kins, kin_of(t->kin));
    for (unsigned i = 0; i < t->wide_count; i++) {
        places_key_unref(s, t->wide[i]);
    }
    table_free(t);
    s->tables_count--;
}

int kin_moving_score(const struct sched_class *c, const struct sched_node *n)
{
    struct sched_class *nobodys = (struct sched_class *)c; /* for the time of the question */
    struct group *own = TAKE_PTR(nobodys->group);
    int score = sched_node_moving_score(c, n);
    nobodys->group = own;
    return score;
}

/* By how much less the node is worth for the class than for its kin. */
static uint64_t loss(const struct sched_class *c, const struct sched_node *n)
{
    if (group_count(c->group, n->slot) == 0) {
        return 0;
    }
    int lost = kin_moving_score(c, n) - sched_node_moving_score(c, n);
    assert(lost >= 0);
    return (uint64_t)lost << 32;
}

static void look(const struct scheduler *s, const struct sched_class *c, const struct sched_table *t,
                 const struct sched_cell *cell, uint32_t at, struct kin_best *best)
{
    if (at >= cell->count) {
        return;
    }
    uint32_t slot = cell->heap[at];
    if (best->slot != TABLE_NONE && t->key[slot] <= best->key) {
        return; /* nothing below is worth more */
    }
    uint64_t key = t->key[slot] - loss(c, s->slots[slot]);
    if (best->slot == TABLE_NONE || key > best->key) {
        *best = (struct kin_best){slot, key};
    }
    look(s, c, t, cell, 2 * at + 1, best);
    look(s, c, t, cell, 2 * at + 2, best);
}

struct kin_best kin_cell_best(const struct scheduler *s, const struct sched_class *c, const struct sched_table *t,
                              const struct sched_cell *cell)
{
    struct kin_best best = {TABLE_NONE, 0};
    look(s, c, t, cell, 0, &best);
    return best;
}
