/* What the numbers mean for a class: which places it may have, and how good they are. */
#include <assert.h>
#include <stdlib.h>

#include "scheduler/core.h"
#include "scheduler/topology.h"

#define LIKED_MAX (1ll << 40) /* of a sum of weights: beyond it all places are alike */

static bool in_part(const struct topo_counter *k, enum topo_part part)
{
    return part == TOPO_ALL || k->key->wide == (part == TOPO_WIDE);
}

/* ---- What it reads ---- */

static unsigned key_add(struct class_places *p, struct topo_key *k)
{
    for (unsigned i = 0; i < p->keys_count; i++) {
        if (p->keys[i] == k) {
            return i;
        }
    }
    p->keys = xrealloc(p->keys, (p->keys_count + 1) * sizeof(struct topo_key *));
    p->keys[p->keys_count] = k;
    return p->keys_count++;
}

static void add_borrowed(struct topo_terms *t, struct topo_term term)
{
    t->items = xrealloc(t->items, (t->count + 1) * sizeof *t->items);
    t->items[t->count++] = term;
}

static void add_scored(struct class_places *p, struct topo_counter *k, int weight)
{
    p->unit = MAX(p->unit, weight < 0 ? -weight : weight);
    add_borrowed(&p->scored, (struct topo_term){.counter = k, .weight = weight, .key_at = key_add(p, k->key)});
}

static void prepare_terms(struct class_places *p, const struct sched_class *c, struct topo_terms *t)
{
    for (unsigned i = 0; i < t->count; i++) {
        t->items[i].self = places_means(t->items[i].counter->matcher, c);
        key_add(p, t->items[i].counter->key);
    }
}

static struct class_places *prepared(const struct sched_class *c)
{
    struct class_places *p = c->places;
    if (!p->stale) {
        return p;
    }
    p->stale = false;
    p->keys_count = p->forbids.count = p->scored.count = 0;
    p->unit = 1;
    for (unsigned i = 0; i < p->likes.count; i++) {
        add_scored(p, p->likes.items[i].counter, p->likes.items[i].weight);
    }
    LIST_FOR(at, &p->matches)
    {
        LIST_FOR(link, &LIST_ENTRY(at, struct topo_match, in_class)->matcher->counters)
        {
            struct topo_counter *k = LIST_ENTRY(link, struct topo_counter, link);
            if (k->what == TOPO_LIKING) {
                add_scored(p, k, k->weight);
            }
        }
    }
    p->score_keys_count = p->keys_count;
    LIST_FOR(at, &p->matches)
    {
        LIST_FOR(link, &LIST_ENTRY(at, struct topo_match, in_class)->matcher->counters)
        {
            struct topo_counter *k = LIST_ENTRY(link, struct topo_counter, link);
            if (k->what == TOPO_KEEPING_AWAY) {
                add_borrowed(&p->forbids, (struct topo_term){.counter = k});
                key_add(p, k->key);
            }
        }
    }
    prepare_terms(p, c, &p->near);
    prepare_terms(p, c, &p->away);
    prepare_terms(p, c, &p->hard);
    prepare_terms(p, c, &p->soft);
    p->near_self = p->near.count > 0 && p->near.items[0].self;
    return p;
}

/* ---- Filters ---- */

/* "No pod anywhere matches": on nodes that have one of the keys. */
static bool group_is_empty(const struct class_places *p)
{
    for (unsigned i = 0; i < p->near.count; i++) {
        if (p->near.items[i].counter->total > 0) {
            return false;
        }
    }
    return true;
}

enum topo_refusal places_affinity(const struct sched_class *c, unsigned slot, enum topo_part part)
{
    const struct class_places *p = prepared(c);
    bool first = p->near_self && group_is_empty(p);
    if (p->refused != NULL) {
        return TOPO_NEAR;
    }
    for (unsigned i = 0; i < p->near.count; i++) {
        const struct topo_counter *k = p->near.items[i].counter;
        /* "The node must have the labels of all terms, also for the first pod of a group." */
        if (in_part(k, part) && (k->key->domain_of[slot] == TOPO_NONE || (!first && topo_count(k, slot) == 0))) {
            return TOPO_NEAR;
        }
    }
    for (unsigned i = 0; i < p->away.count; i++) {
        const struct topo_counter *k = p->away.items[i].counter;
        if (in_part(k, part) && topo_count(k, slot) > 0) {
            return TOPO_AWAY;
        }
    }
    for (unsigned i = 0; i < p->forbids.count; i++) {
        const struct topo_counter *k = p->forbids.items[i].counter;
        if (in_part(k, part) && topo_count(k, slot) > 0) {
            return TOPO_FORBIDDEN;
        }
    }
    return TOPO_FITS;
}

/* "The global minimum; 0 while there are fewer domains than minDomains." */
static uint32_t least_of(const struct topo_term *t)
{
    return t->counter->scope->domains < (uint32_t)t->min_domains ? 0 : topo_least(t->counter);
}

enum topo_skew places_spread(const struct sched_class *c, unsigned slot, enum topo_part part)
{
    const struct class_places *p = prepared(c);
    for (unsigned i = 0; i < p->hard.count; i++) {
        const struct topo_term *t = &p->hard.items[i];
        if (!in_part(t->counter, part)) {
            continue;
        }
        if (t->counter->key->domain_of[slot] == TOPO_NONE) {
            return TOPO_UNLABELLED;
        }
        /* "skew = pods that match + (1 if the pod itself does) - global minimum" */
        if ((int64_t)topo_count(t->counter, slot) + t->self - least_of(t) > t->max_skew) {
            return TOPO_SKEWED;
        }
    }
    return TOPO_EVEN;
}

bool places_fit(const struct sched_class *c, unsigned slot, enum topo_part part)
{
    return places_spread(c, slot, part) == TOPO_EVEN && places_affinity(c, slot, part) == TOPO_FITS;
}

/* ---- Scores ---- */

/* From 0 to 100: a domain with the fewest pods is the best, one with maxSkew + 1 more is half as good. Before there are
 * two domains all are alike. */
static int spread_score(const struct topo_term *t, unsigned slot)
{
    const struct topo_counter *k = t->counter;
    if (k->scope->domains < 2) {
        return 0;
    }
    if (k->key->domain_of[slot] == TOPO_NONE) {
        return k->matcher->atoms_count == 0 ? 100 : 0; /* pods that said nothing need no label */
    }
    int64_t excess = MAX(0, (int64_t)topo_count(k, slot) - topo_least(k));
    return (int)(100 * ((int64_t)t->max_skew + 1) / (t->max_skew + 1 + excess));
}

/* From -100 to 100, by key: one pod that is liked with the greatest weight is worth 50, two are worth 66. */
static int liked_score(const struct class_places *p, unsigned slot, enum topo_part part)
{
    int score = 0;
    for (unsigned key = 0; key < p->score_keys_count; key++) {
        int64_t sum = 0;
        if (part != TOPO_ALL && p->keys[key]->wide != (part == TOPO_WIDE)) {
            continue;
        }
        for (unsigned i = 0; i < p->scored.count; i++) {
            const struct topo_term *t = &p->scored.items[i];
            sum += t->key_at == key ? (int64_t)t->weight * topo_count(t->counter, slot) : 0;
        }
        sum = MAX(-LIKED_MAX, MIN(sum, LIKED_MAX));
        score += (int)(100 * sum / ((sum < 0 ? -sum : sum) + p->unit));
    }
    return score;
}

int places_score(const struct sched_class *c, unsigned slot, enum topo_part part)
{
    const struct class_places *p = prepared(c);
    int score = liked_score(p, slot, part);
    for (unsigned i = 0; i < p->soft.count; i++) {
        if (in_part(p->soft.items[i].counter, part)) {
            score += spread_score(&p->soft.items[i], slot);
        }
    }
    return TOPO_WEIGHT * score;
}

/* ---- For tables ---- */

bool places_any(const struct sched_class *c)
{
    const struct class_places *p = prepared(c);
    return p->refused != NULL || p->keys_count > 0;
}

bool places_by_owner_alone(const struct sched_class *c)
{
    const struct class_places *p = prepared(c);
    bool alone = p->refused == NULL && p->near.count + p->away.count + p->hard.count == 0;
    for (unsigned i = 0; i < p->soft.count; i++) {
        alone = alone && p->soft.items[i].counter->matcher->atoms_count == 0;
    }
    return alone && p->forbids.count + p->scored.count == 0;
}

unsigned places_wide_keys(const struct sched_class *c, struct topo_key **keys, unsigned max)
{
    const struct class_places *p = prepared(c);
    unsigned count = 0;
    for (unsigned i = 0; i < p->keys_count && count < max; i++) {
        if (p->keys[i]->wide) {
            keys[count++] = p->keys[i];
        }
    }
    return count;
}

bool places_all_wide(const struct sched_class *c)
{
    const struct class_places *p = prepared(c);
    for (unsigned i = 0; i < p->keys_count; i++) {
        if (!p->keys[i]->wide && p->keys[i]->domains_live > 0) { /* without domains it says nothing of any node */
            return false;
        }
    }
    return true;
}

static uint64_t mix(uint64_t sum, uint64_t v)
{
    sum = (sum ^ v) * 0x9e3779b97f4a7c15ull;
    return sum ^ sum >> 29;
}

uint64_t places_common(const struct sched_class *c)
{
    const struct class_places *p = prepared(c);
    uint64_t sum = p->near.count > 0 && group_is_empty(p);
    for (unsigned i = 0; i < p->hard.count; i++) {
        if (!p->hard.items[i].counter->key->wide) {
            sum = mix(sum, least_of(&p->hard.items[i]) + 1);
        }
    }
    for (unsigned i = 0; i < p->soft.count; i++) {
        const struct topo_counter *k = p->soft.items[i].counter;
        if (!k->key->wide) {
            sum = mix(sum, 2ull * topo_least(k) + (k->scope->domains < 2));
        }
    }
    return sum;
}

/* ---- Waiting ---- */

/* pushes: others may go for it, so that what is there beside them counts, too. */
static bool terms_helped(const struct topo_terms *t, uint64_t seen, bool by_rise, bool pushes)
{
    for (unsigned i = 0; i < t->count; i++) {
        const struct topo_counter *k = t->items[i].counter;
        if (k->fell > seen || (by_rise && k->rose > seen) || (by_rise && pushes && k->grew > seen) ||
            (k->scope != NULL && k->scope->changed > seen)) {
            return true;
        }
    }
    return false;
}

bool places_helped(const struct scheduler *s, const struct sched_class *c)
{
    const struct class_places *p = prepared(c);
    if (p->seen == s->places.changes) {
        return false;
    }
    if (p->refused != NULL) {
        return s->places.keys_count < p->refused_for_keys;
    }
    bool pushes = preempt_may_help(s, c);
    return p->touched > p->seen || terms_helped(&p->near, p->seen, true, pushes) ||
           terms_helped(&p->away, p->seen, false, false) || terms_helped(&p->forbids, p->seen, false, false) ||
           terms_helped(&p->hard, p->seen, true, false);
}

bool places_apart(const struct sched_class *c)
{
    return c->places != NULL && c->places->away.count > 0;
}
